/* SPDX-License-Identifier: MIT */
/* ACPI static tables, read once at boot: processors, interrupt controllers, timers, power
 * registers.  ACPI 6.4 chapter 5. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ACPI_CPUS_MAX      512u
#define ACPI_IOAPICS_MAX   16u
#define ACPI_OVERRIDES_MAX 32u
#define ACPI_MCFG_MAX      8u

struct acpi_cpu {
    uint32_t apic_id;
    uint32_t acpi_id;
};

struct acpi_ioapic {
    uint32_t id;
    uint64_t base; /* machine address */
    uint32_t gsi_base;
};

/* An ISA irq that is wired to another GSI, or signals unlike ISA. */
struct acpi_override {
    uint8_t irq;
    uint32_t gsi;
    bool level;
    bool active_low;
};

/* A register as a generic address: space 0 memory, 1 I/O ports; address 0 = absent. */
struct acpi_reg {
    uint8_t space;
    uint8_t width; /* bits */
    uint64_t address;
};

struct acpi_mcfg {
    uint64_t base;
    uint16_t segment;
    uint8_t first_bus, last_bus;
};

struct acpi_info {
    uint64_t lapic_base;
    bool has_pic; /* a pair of 8259s is there */
    uint32_t cpu_count;
    struct acpi_cpu cpu[ACPI_CPUS_MAX]; /* enabled ones, in table order */
    uint32_t ioapic_count;
    struct acpi_ioapic ioapic[ACPI_IOAPICS_MAX];
    uint32_t override_count;
    struct acpi_override override[ACPI_OVERRIDES_MAX];
    uint32_t mcfg_count;
    struct acpi_mcfg mcfg[ACPI_MCFG_MAX];
    uint64_t hpet_base; /* 0 = none */
    struct acpi_reg pm_timer;
    bool pm_timer_32;
    struct acpi_reg pm1a_cnt, pm1b_cnt, pm1a_evt, pm1b_evt;
    struct acpi_reg reset;
    uint8_t reset_value;
    bool has_reset;
    uint16_t sci;
    uint16_t boot_arch;   /* IAPC_BOOT_ARCH */
    uint8_t century;      /* RTC index of the century, 0 = none */
    struct acpi_reg spcr; /* serial console */
    uint8_t spcr_type;    /* 0xff = none */
    uint32_t spcr_gsi;
};

/* Maps `size` bytes at a physical address for reading; NULL if that cannot be. May be called again
 * for the same address. */
typedef const void *acpi_map_fn(uint64_t pa, uint64_t size);

/* Reads all tables from the RSDP on. Tables with bad lengths or checksums are left out, with a
 * warning. 0, or -ENOENT (no RSDP), -EINVAL (RSDP or root table damaged, no local APIC). */
int acpi_read(uint64_t rsdp, acpi_map_fn *map, struct acpi_info *out);
