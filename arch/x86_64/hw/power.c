/* SPDX-License-Identifier: MIT */
/* Power off and reset, by whatever the machine has. */
#include "hw/power.h"

#include "abi/errno.h"
#include "base/log.h"
#include "cpu/machine.h"
#include "cpu/msr.h"
#include "drivers/acpi.h"
#include "hw/efi_rt.h"
#include "port/irq.h"
#include "port/mmu.h"
#include "port/power.h"

#define SLP_EN     0x2000u
#define SPACE_MEM  0u
#define SPACE_PORT 1u

#define EFI_RESET_COLD     0u
#define EFI_RESET_SHUTDOWN 2u

#define KBC_STATUS     0x64u
#define KBC_BUSY       0x02u
#define KBC_RESET      0xfeu
#define RESET_PORT     0xcf9u
#define RESET_PORT_ALL 0x0eu

static struct acpi_reg pm1a;
static struct acpi_reg pm1b;
static struct acpi_reg reset;
static uint8_t reset_value;
static volatile uint8_t *reset_mem;

void power_init(const struct acpi_info *acpi)
{
    pm1a = acpi->pm1a_cnt;
    pm1b = acpi->pm1b_cnt;
    if (acpi->has_reset) {
        reset = acpi->reset;
        reset_value = acpi->reset_value;
        if (reset.space == SPACE_MEM) {
            reset_mem = port_map_device(reset.address, 1);
        }
    }
}

static bool is_port(const struct acpi_reg *r)
{
    return r->space == SPACE_PORT && r->address != 0 && r->address <= 0xfffe;
}

int cpu_acpi_sleep(unsigned int state, uint16_t val_a, uint16_t val_b)
{
    (void)state;
    if (!is_port(&pm1a)) {
        return -ENODEV;
    }
    cpu_out((uint16_t)pm1a.address, 2, val_a & ~SLP_EN);
    if (is_port(&pm1b)) {
        cpu_out((uint16_t)pm1b.address, 2, val_b & ~SLP_EN);
    }
    cpu_out((uint16_t)pm1a.address, 2, val_a | SLP_EN);
    if (is_port(&pm1b)) {
        cpu_out((uint16_t)pm1b.address, 2, val_b | SLP_EN);
    }
    return 0;
}

void port_power_off(void)
{
    log_info("power off");
    efi_rt_reset(EFI_RESET_SHUTDOWN);
    log_err("the firmware did not power off: switch off by hand");
    port_halt();
}

void port_reboot(void)
{
    log_info("reset");
    if (reset.space == SPACE_PORT && reset.address != 0 && reset.address <= 0xffff) {
        cpu_out((uint16_t)reset.address, 1, reset_value);
    } else if (reset_mem != NULL) {
        *reset_mem = reset_value;
    }
    efi_rt_reset(EFI_RESET_COLD);
    for (unsigned int i = 0; i < 100000 && (cpu_in(KBC_STATUS, 1) & KBC_BUSY); i++) {
    }
    cpu_out(KBC_STATUS, 1, KBC_RESET);
    cpu_out(RESET_PORT, 1, RESET_PORT_ALL);
    port_halt();
}

/* A push at an address that is not canonical is a stack fault; delivering that, another. */
void port_double_fault(void)
{
    __asm__ volatile("mov %0, %%rsp; push %%rax" ::"r"((UINT64_C(1) << 47) + PAGE_SIZE) : "memory");
    __builtin_unreachable();
}

void port_halt(void)
{
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}
