/* SPDX-License-Identifier: MIT */
/* What of the machine is used for what: serial port, ACPI, interrupt controllers, by literal lists.
 */
#include <stddef.h>

#include "abi/errno.h"
#include "base/console.h"
#include "base/log.h"
#include "base/panic.h"
#include "config.h"
#include "domain/domain.h"
#include "drivers/acpi.h"
#include "drivers/efifb.h"
#include "drivers/uart.h"
#include "guest/cpuid.h"
#include "guest/spec.h"
#include "hw/cpu.h"
#include "hw/cpu_info.h"
#include "hw/efi_rt.h"
#include "hw/guard.h"
#include "hw/ioapic.h"
#include "hw/lapic.h"
#include "hw/paging.h"
#include "hw/power.h"
#include "hw/seg.h"
#include "hw/smp.h"
#include "hw/tsc.h"
#include "hw/xstate.h"
#include "irq/irq.h"
#include "irq/rights.h"
#include "lib/kv.h"
#include "lib/str.h"
#include "port/console.h"
#include "port/irq.h"
#include "port/mmu.h"
#include "port/start.h"
#include "start/boot_info.h"
#include "start/cmdline.h"

#define COM1_PORT 0x3f8u
#define COM1_IRQ  4u
#define COM_PORTS 8u

static const struct uart_ops *const uarts[] = { &ns16550 };

static const struct uart_ops *uart; /* that one which is there */
static struct uart_config uart_config;
static struct acpi_info acpi;

/* I/O ports that stay ours: 8259 pair, PIT, PCI configuration (port_io.c has a way for dom0); CMOS
 * is dom0's too. */
static const struct {
    uint16_t first;
    uint16_t last;
} own_ports[] = {
    { 0x20, 0x21 }, { 0xa0, 0xa1 },   { 0x40, 0x43 },
    { 0x61, 0x61 }, { 0xcf8, 0xcfb }, { 0xcfc, 0xcff },
};

static uint64_t number(struct slice s, uint64_t otherwise)
{
    uint64_t val;
    bool hex = s.len > 2 && s.at[0] == '0' && (s.at[1] == 'x' || s.at[1] == 'X');

    if (hex ? str_u64(s.at + 2, s.len - 2, 16, &val) : str_u64(s.at, s.len, 10, &val)) {
        return val;
    }
    return otherwise;
}

/* com1=<baud>[/<base clock>],<data bits><parity><stop bits>[,<port>[,<irq>]]; "auto" leaves the
 * speed. */
static void parse_com1(struct uart_config *c)
{
    struct slice rest = slice_of(options.com1);
    struct slice item;

    *c = (struct uart_config){ .baud = 115200,
                               .data_bits = 8,
                               .parity = 'n',
                               .stop_bits = 1,
                               .base = COM1_PORT,
                               .irq = COM1_IRQ };
    for (unsigned int i = 0; kv_item(&rest, ',', &item); i++) {
        if (i == 0) {
            c->baud = slice_eq(item, "auto") ? 0 : (uint32_t)number(item, 115200);
        } else if (i == 1 && item.len == 3) {
            c->data_bits = (uint8_t)(item.at[0] - '0');
            c->parity = item.at[1];
            c->stop_bits = (uint8_t)(item.at[2] - '0');
        } else if (i == 2) {
            c->base = number(item, COM1_PORT);
        } else if (i == 3) {
            c->irq = (uint32_t)number(item, COM1_IRQ);
        }
    }
}

static bool console_wants(const char *name)
{
    struct slice rest = slice_of(options.console);
    struct slice item;

    while (kv_item(&rest, ',', &item)) {
        if (slice_eq(item, name)) {
            return true;
        }
    }
    return false;
}

void port_console_early(const struct boot_info *bi)
{
    (void)bi;
    parse_com1(&uart_config);
    for (size_t i = 0; i < sizeof uarts / sizeof uarts[0] && console_wants("com1"); i++) {
        if (uarts[i]->probe(&uart_config)) {
            uart = uarts[i];
            break;
        }
    }
}

void port_console_write(const char *text, size_t len)
{
    if (uart != NULL) {
        uart->write(text, len);
    }
    efifb_write(text, len);
}

void port_console_screen_off(void)
{
    efifb_stop();
}

/* Text on the firmware's framebuffer, beginning with what the log holds already. */
static void start_screen(const struct boot_fb *fb)
{
    struct efifb_mode m = {
        .size = fb->size, .width = fb->width, .height = fb->height, .pitch = fb->pitch
    };
    char text[256];
    uint32_t index = 0;
    size_t n;

    if (!console_wants("vga") || fb->base == 0 || fb->bpp != 32) {
        return;
    }
    m.base = port_map_device(fb->base, fb->size);
    m.colour = 0xaau << fb->red_pos | 0xaau << fb->green_pos | 0xaau << fb->blue_pos;
    if (m.base == NULL || !efifb_init(&m)) {
        log_warn("no text on the framebuffer (%ux%u at %#lx)", fb->width, fb->height,
                 (unsigned long)fb->base);
        return;
    }
    while ((n = log_read(text, sizeof text, &index, true, false)) != 0) {
        efifb_write(text, n);
    }
}

void port_cpu_init(const struct boot_info *bi)
{
    (void)bi;
    cpu_detect();
    seg_early();
    cpu_setup();
    xstate_detect();
    cpuid_init();
    spec_init();
    guard_init();
}

static void uart_input(void *data)
{
    int c;

    (void)data;
    while ((c = uart->read()) >= 0) {
        console_input((char)c);
    }
}

/* An ISA irq's line, and how it signals: edge, active high, unless the tables say otherwise. */
static uint32_t isa_gsi(uint32_t irq, bool *level, bool *low)
{
    *level = false;
    *low = false;
    for (uint32_t i = 0; i < acpi.override_count; i++) {
        if (acpi.override[i].irq == irq) {
            *level = acpi.override[i].level;
            *low = acpi.override[i].active_low;
            return acpi.override[i].gsi;
        }
    }
    return irq;
}

static void start_input(void)
{
    bool level;
    bool low;

    if (uart == NULL || uart_config.irq == 0) {
        return;
    }
    uint32_t gsi = isa_gsi(uart_config.irq, &level, &low);
    if (irq_own(gsi, uart_input, NULL, level, low) != 0) {
        log_warn("serial input: GSI %u is taken", gsi);
        return;
    }
    uart->irq_enable();
}

void port_irq_init(const struct boot_info *bi)
{
    int rc;

    paging_use_heap();
    cpu_info()->current = dom_idle->vcpu[0];
    start_screen(&bi->fb);
    rc = acpi_read(bi->rsdp, paging_map_firmware, &acpi);
    if (rc != 0) {
        panic("no usable ACPI tables (error %d): this machine has no MADT, or RSDP at %#lx is "
              "damaged",
              rc, (unsigned long)bi->rsdp);
    }
    lapic_init_bsp(acpi.lapic_base, cpu_features.x2apic);
    lapic_init_cpu();
    smp_init(&acpi, bi);
    ioapic_init(&acpi);
    power_init(&acpi);
}

void port_time_init(const struct boot_info *bi)
{
    (void)bi;
    tsc_init(&acpi);
    port_irq_enable();
}

static void deny(enum rights_kind kind, uint64_t first, uint64_t last)
{
    if (rights_deny_global(kind, first, last) != 0) {
        panic("no memory for the list of what domains may not touch");
    }
}

static void make_readonly(paddr_t pa)
{
    if (rights_readonly_global(pa >> PAGE_SHIFT, pa >> PAGE_SHIFT) != 0) {
        panic("no memory for the list of what domains may not write");
    }
}

/* What no domain may map or reach, dom0 included, or only read. */
static void deny_own(void)
{
    for (size_t i = 0; i < sizeof own_ports / sizeof own_ports[0]; i++) {
        deny(RIGHT_PORT, own_ports[i].first, own_ports[i].last);
    }
    if (uart != NULL) {
        deny(RIGHT_PORT, uart_config.base, uart_config.base + COM_PORTS - 1);
    }
    deny(RIGHT_MMIO, acpi.lapic_base >> PAGE_SHIFT, acpi.lapic_base >> PAGE_SHIFT);
    /* The firmware's AML reads the HPET, and on some boards the I/O APICs; it even writes there,
     * which comes to nothing (pt_write.c). */
    for (uint32_t i = 0; i < acpi.ioapic_count; i++) {
        make_readonly(acpi.ioapic[i].base);
    }
    if (acpi.hpet_base != 0) {
        make_readonly(acpi.hpet_base);
    }
}

void port_late_init(const struct boot_info *bi)
{
    deny_own();
    paging_share_m2p();
    spec_late_init();
    start_input();
    efi_rt_init(bi);
    tsc_watch_rtc();
}
