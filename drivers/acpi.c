/* SPDX-License-Identifier: MIT */
/*
 * ACPI static tables.  Everything in them is the firmware's word: lengths are checked before use,
 * nothing is trusted to be there, and multi-byte fields are read unaligned.
 */
#include "drivers/acpi.h"

#include <stddef.h>

#include "abi/errno.h"
#include "base/log.h"
#include "lib/mem.h"

#define HEADER_SIZE    36u
#define TABLE_SIZE_MAX (UINT32_C(1) << 20)
#define RSDP_V1_SIZE   20u
#define RSDP_V2_SIZE   36u

#define MADT_LAPIC      0u
#define MADT_IOAPIC     1u
#define MADT_OVERRIDE   2u
#define MADT_LAPIC_ADDR 5u
#define MADT_X2APIC     9u
#define MADT_ENABLED    1u
#define MADT_PCAT       1u

#define FADT_RESET_SUP    (UINT32_C(1) << 10)
#define FADT_TIMER_32     (UINT32_C(1) << 8)
#define LAPIC_BASE_COMMON UINT64_C(0xfee00000)

static uint16_t get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static bool checksum_ok(const uint8_t *p, uint32_t size)
{
    uint8_t sum = 0;

    for (uint32_t i = 0; i < size; i++) {
        sum = (uint8_t)(sum + p[i]);
    }
    return sum == 0;
}

/* A whole table of at least `min` bytes, checked; NULL with a warning otherwise. */
static const uint8_t *map_table(uint64_t pa, acpi_map_fn *map, uint32_t min, uint32_t *size)
{
    const uint8_t *t = map(pa, HEADER_SIZE);

    if (t == NULL) {
        log_warn("ACPI: table at %#lx cannot be mapped", (unsigned long)pa);
        return NULL;
    }
    uint32_t n = get32(t + 4);
    if (n < min || n < HEADER_SIZE || n > TABLE_SIZE_MAX) {
        log_warn("ACPI: table %.4s at %#lx has length %u", (const char *)t, (unsigned long)pa, n);
        return NULL;
    }
    t = map(pa, n);
    if (t == NULL || !checksum_ok(t, n)) {
        log_warn("ACPI: table at %#lx has a bad checksum", (unsigned long)pa);
        return NULL;
    }
    *size = n;
    return t;
}

static struct acpi_reg gas(const uint8_t *p)
{
    return (struct acpi_reg){ .space = p[0], .width = p[1], .address = get64(p + 4) };
}

/* The extended address if it is there, else the 32-bit port number. */
static struct acpi_reg block(const uint8_t *t, uint32_t size, uint32_t old_at, uint32_t gas_at,
                             uint8_t width)
{
    struct acpi_reg r = { 0 };

    if (size >= gas_at + 12) {
        r = gas(t + gas_at);
    }
    if (r.address == 0) {
        r = (struct acpi_reg){ .space = 1, .width = width, .address = get32(t + old_at) };
    }
    return r;
}

static void read_fadt(const uint8_t *t, uint32_t size, struct acpi_info *o)
{
    uint32_t flags = get32(t + 112);

    o->sci = get16(t + 46);
    o->pm1a_evt = block(t, size, 56, 148, 32);
    o->pm1b_evt = block(t, size, 60, 160, 32);
    o->pm1a_cnt = block(t, size, 64, 172, 16);
    o->pm1b_cnt = block(t, size, 68, 184, 16);
    o->pm_timer = block(t, size, 76, 208, 32);
    o->pm_timer_32 = (flags & FADT_TIMER_32) != 0;
    o->century = t[108];
    o->boot_arch = get16(t + 109);
    if ((flags & FADT_RESET_SUP) && size >= 129) {
        o->reset = gas(t + 116);
        o->reset_value = t[128];
        o->has_reset = o->reset.address != 0;
    }
}

static void add_cpu(struct acpi_info *o, uint32_t apic_id, uint32_t acpi_id, uint32_t flags)
{
    if (!(flags & MADT_ENABLED)) {
        return;
    }
    for (uint32_t i = 0; i < o->cpu_count; i++) {
        if (o->cpu[i].apic_id == apic_id) {
            return;
        }
    }
    if (o->cpu_count == ACPI_CPUS_MAX) {
        log_warn("ACPI: more than %u processors", ACPI_CPUS_MAX);
        return;
    }
    o->cpu[o->cpu_count++] = (struct acpi_cpu){ .apic_id = apic_id, .acpi_id = acpi_id };
}

static void add_ioapic(struct acpi_info *o, const uint8_t *e)
{
    if (o->ioapic_count == ACPI_IOAPICS_MAX) {
        log_warn("ACPI: more than %u I/O APICs", ACPI_IOAPICS_MAX);
        return;
    }
    o->ioapic[o->ioapic_count++] =
        (struct acpi_ioapic){ .id = e[2], .base = get32(e + 4), .gsi_base = get32(e + 8) };
}

/* MPS INTI flags: polarity in bits 0-1, trigger in 2-3; 1 high/edge, 3 low/level, 0 as the bus
 * (ISA: high, edge). */
static void add_override(struct acpi_info *o, const uint8_t *e)
{
    uint16_t flags = get16(e + 8);

    if (e[2] != 0 || e[3] > 15 || o->override_count == ACPI_OVERRIDES_MAX) {
        return;
    }
    o->override[o->override_count++] = (struct acpi_override){
        .irq = e[3],
        .gsi = get32(e + 4),
        .active_low = (flags & 3) == 3,
        .level = (flags >> 2 & 3) == 3,
    };
}

static void read_madt(const uint8_t *t, uint32_t size, struct acpi_info *o)
{
    o->lapic_base = get32(t + 36);
    o->has_pic = (get32(t + 40) & MADT_PCAT) != 0;
    for (uint32_t at = 44; at + 2 <= size;) {
        const uint8_t *e = t + at;
        uint32_t n = e[1];
        if (n < 2 || n > size - at) {
            log_warn("ACPI: MADT entry at %u has length %u", at, n);
            return;
        }
        /* An id of all ones is everybody's address, and some firmware's word for none. */
        if (e[0] == MADT_LAPIC && n >= 8 && e[3] != UINT8_MAX) {
            add_cpu(o, e[3], e[2], get32(e + 4));
        } else if (e[0] == MADT_X2APIC && n >= 16 && get32(e + 4) != UINT32_MAX) {
            add_cpu(o, get32(e + 4), get32(e + 12), get32(e + 8));
        } else if (e[0] == MADT_IOAPIC && n >= 12) {
            add_ioapic(o, e);
        } else if (e[0] == MADT_OVERRIDE && n >= 10) {
            add_override(o, e);
        } else if (e[0] == MADT_LAPIC_ADDR && n >= 12) {
            o->lapic_base = get64(e + 4);
        }
        at += n;
    }
}

static void read_mcfg(const uint8_t *t, uint32_t size, struct acpi_info *o)
{
    for (uint32_t at = 44; at + 16 <= size && o->mcfg_count < ACPI_MCFG_MAX; at += 16) {
        o->mcfg[o->mcfg_count++] = (struct acpi_mcfg){
            .base = get64(t + at),
            .segment = get16(t + at + 8),
            .first_bus = t[at + 10],
            .last_bus = t[at + 11],
        };
    }
}

static void read_hpet(const uint8_t *t, uint32_t size, struct acpi_info *o)
{
    (void)size;
    if (t[40] == 0) { /* in memory */
        o->hpet_base = get64(t + 44);
    }
}

static void read_spcr(const uint8_t *t, uint32_t size, struct acpi_info *o)
{
    (void)size;
    o->spcr_type = t[36];
    o->spcr = gas(t + 40);
    o->spcr_gsi = get32(t + 54);
}

static const struct {
    char signature[4];
    uint32_t min;
    void (*read)(const uint8_t *t, uint32_t size, struct acpi_info *o);
} tables[] = {
    { { 'F', 'A', 'C', 'P' }, 116, read_fadt }, { { 'A', 'P', 'I', 'C' }, 44, read_madt },
    { { 'M', 'C', 'F', 'G' }, 44, read_mcfg },  { { 'H', 'P', 'E', 'T' }, 56, read_hpet },
    { { 'S', 'P', 'C', 'R' }, 58, read_spcr },
};

static void read_table(uint64_t pa, acpi_map_fn *map, struct acpi_info *o)
{
    const uint8_t *head = map(pa, HEADER_SIZE);

    if (head == NULL) {
        return;
    }
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (memcmp(head, tables[i].signature, 4) == 0) {
            uint32_t size;
            const uint8_t *t = map_table(pa, map, tables[i].min, &size);
            if (t != NULL) {
                tables[i].read(t, size, o);
            }
            return;
        }
    }
}

/* Address of the root table and the size of its entries; 0 if the RSDP is no good. */
static uint64_t read_rsdp(uint64_t rsdp, acpi_map_fn *map, uint32_t *entry_size)
{
    const uint8_t *p = map(rsdp, RSDP_V1_SIZE);

    if (p == NULL || memcmp(p, "RSD PTR ", 8) != 0 || !checksum_ok(p, RSDP_V1_SIZE)) {
        return 0;
    }
    if (p[15] >= 2) {
        p = map(rsdp, RSDP_V2_SIZE);
        if (p != NULL && checksum_ok(p, RSDP_V2_SIZE) && get64(p + 24) != 0) {
            *entry_size = 8;
            return get64(p + 24);
        }
        p = map(rsdp, RSDP_V1_SIZE);
    }
    *entry_size = 4;
    return p != NULL ? get32(p + 16) : 0;
}

int acpi_read(uint64_t rsdp, acpi_map_fn *map, struct acpi_info *out)
{
    uint32_t entry_size = 4;
    uint32_t size;

    memset(out, 0, sizeof *out);
    out->spcr_type = 0xff;
    if (rsdp == 0) {
        return -ENOENT;
    }
    uint64_t root = read_rsdp(rsdp, map, &entry_size);
    const uint8_t *t = root != 0 ? map_table(root, map, HEADER_SIZE, &size) : NULL;
    if (t == NULL) {
        return -EINVAL;
    }
    uint32_t count = (size - HEADER_SIZE) / entry_size;
    for (uint32_t i = 0; i < count; i++) {
        /* Mapped anew each time: a map may be a window that the last table moved. */
        t = map(root, size);
        if (t == NULL) {
            return -EINVAL;
        }
        const uint8_t *e = t + HEADER_SIZE + (uint64_t)i * entry_size;
        read_table(entry_size == 8 ? get64(e) : get32(e), map, out);
    }
    if (out->lapic_base == 0) {
        out->lapic_base = LAPIC_BASE_COMMON;
    }
    return out->cpu_count == 0 ? -EINVAL : 0;
}
