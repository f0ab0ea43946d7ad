/* SPDX-License-Identifier: MIT */
/* ACPI tables, good and damaged, in a small fake memory that starts at physical address 4096. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "abi/errno.h"
#include "base/log.h"
#include "drivers/acpi.h"

#define BASE 4096u
#define RSDP BASE
#define XSDT (BASE + 0x100u)
#define MADT (BASE + 0x200u)
#define FADT (BASE + 0x600u)
#define HPET (BASE + 0x800u)
#define MCFG (BASE + 0x900u)

static uint8_t memory[8192];
static struct acpi_info info;
static unsigned int warnings;

void log_at(enum log_level level, const char *fmt, ...)
{
    (void)fmt;
    warnings += level == LOG_WARN;
}

static const void *map(uint64_t pa, uint64_t size)
{
    if (pa < BASE || pa - BASE > sizeof(memory) || size > sizeof(memory) - (pa - BASE)) {
        return NULL;
    }
    return memory + (pa - BASE);
}

static void put(uint32_t pa, uint64_t val, size_t size)
{
    memcpy(memory + (pa - BASE), &val, size);
}

static void fix_sum(uint32_t pa, uint32_t size, uint32_t at)
{
    uint8_t sum = 0;

    memory[pa - BASE + at] = 0;
    for (uint32_t i = 0; i < size; i++) {
        sum = (uint8_t)(sum + memory[pa - BASE + i]);
    }
    memory[pa - BASE + at] = (uint8_t)-sum;
}

static void finish(uint32_t pa, const char *signature, uint32_t size)
{
    memcpy(memory + (pa - BASE), signature, 4);
    put(pa + 4, size, 4);
    fix_sum(pa, size, 9);
}

static void make_madt(uint32_t last_length)
{
    uint32_t at = MADT + 44;
    static const uint8_t entries[] = {
        0, 8,  10, 0,    1,    0,    0,    0,                  /* cpu 0 */
        0, 8,  11, 4,    1,    0,    0,    0,                  /* cpu 4 */
        0, 8,  12, 6,    0,    0,    0,    0,                  /* disabled */
        1, 12, 9,  0,    0,    0,    0xc0, 0xfe, 0,   0, 0, 0, /* I/O APIC */
        2, 10, 0,  0,    2,    0,    0,    0,    0,   0,       /* irq 0 -> GSI 2 */
        2, 10, 0,  9,    9,    0,    0,    0,    0xf, 0,       /* irq 9: level, low */
        9, 16, 0,  0,    0x23, 1,    0,    0,    1,   0, 0, 0, 13, 0, 0, 0,
        0, 8,  14, 0xff, 1,    0,    0,    0, /* enabled, and nobody */
        9, 16, 0,  0,    0xff, 0xff, 0xff, 0xff, 1,   0, 0, 0, 15, 0, 0, 0,
    };

    put(MADT + 36, 0xfee00000, 4);
    put(MADT + 40, 1, 4);
    memcpy(memory + (at - BASE), entries, sizeof(entries));
    at += sizeof(entries);
    put(at, 5, 1);
    put(at + 1, last_length, 1);
    put(at + 4, UINT64_C(0xfee01000), 8);
    finish(MADT, "APIC", at + 12 - MADT);
}

static int setup(void **state)
{
    (void)state;
    memset(memory, 0, sizeof(memory));
    warnings = 0;
    make_madt(12);
    put(FADT + 46, 9, 2);
    put(FADT + 64, 0x604, 4);
    put(FADT + 76, 0x608, 4);
    put(FADT + 112, 0x500, 4);
    put(FADT + 116, 1, 1);
    put(FADT + 120, 0xcf9, 8);
    put(FADT + 128, 0xf, 1);
    finish(FADT, "FACP", 129);
    put(HPET + 44, 0xfed00000, 8);
    finish(HPET, "HPET", 56);
    put(MCFG + 44, 0xb0000000, 8);
    put(MCFG + 55, 0xff, 1);
    finish(MCFG, "MCFG", 60);
    put(XSDT + 36, MADT, 8);
    put(XSDT + 44, FADT, 8);
    put(XSDT + 52, HPET, 8);
    put(XSDT + 60, MCFG, 8);
    put(XSDT + 68, UINT64_C(0xdead00000000), 8); /* cannot be mapped */
    finish(XSDT, "XSDT", 76);
    memcpy(memory, "RSD PTR ", 8);
    put(RSDP + 15, 2, 1);
    put(RSDP + 20, 36, 4);
    put(RSDP + 24, XSDT, 8);
    fix_sum(RSDP, 20, 8);
    fix_sum(RSDP, 36, 32);
    return 0;
}

static void test_good(void **state)
{
    (void)state;
    assert_int_equal(acpi_read(RSDP, map, &info), 0);
    assert_int_equal(info.cpu_count, 3);
    assert_int_equal(info.cpu[1].apic_id, 4);
    assert_int_equal(info.cpu[1].acpi_id, 11);
    assert_int_equal(info.cpu[2].apic_id, 0x123);
    assert_int_equal(info.cpu[2].acpi_id, 13);
    assert_int_equal(info.lapic_base, 0xfee01000);
    assert_true(info.has_pic);
    assert_int_equal(info.ioapic_count, 1);
    assert_int_equal(info.ioapic[0].base, 0xfec00000);
    assert_int_equal(info.override_count, 2);
    assert_int_equal(info.override[0].gsi, 2);
    assert_false(info.override[0].level);
    assert_true(info.override[1].level && info.override[1].active_low);
    assert_int_equal(info.sci, 9);
    assert_int_equal(info.pm1a_cnt.address, 0x604);
    assert_int_equal(info.pm1a_cnt.space, 1);
    assert_int_equal(info.pm_timer.address, 0x608);
    assert_true(info.pm_timer_32);
    assert_true(info.has_reset);
    assert_int_equal(info.reset.address, 0xcf9);
    assert_int_equal(info.reset_value, 0xf);
    assert_int_equal(info.hpet_base, 0xfed00000);
    assert_int_equal(info.mcfg_count, 1);
    assert_int_equal(info.mcfg[0].last_bus, 0xff);
    assert_int_equal(info.spcr_type, 0xff);
}

static void test_root(void **state)
{
    (void)state;
    assert_int_equal(acpi_read(0, map, &info), -ENOENT);
    memory[3] ^= 1;
    assert_int_equal(acpi_read(RSDP, map, &info), -EINVAL);
    memory[3] ^= 1;
    memory[30]++; /* extended checksum: the old table is taken, which is not there */
    assert_int_equal(acpi_read(RSDP, map, &info), -EINVAL);
    memory[30]--;
    put(XSDT + 4, UINT32_MAX, 4);
    assert_int_equal(acpi_read(RSDP, map, &info), -EINVAL);
    put(XSDT + 4, 20, 4);
    assert_int_equal(acpi_read(RSDP, map, &info), -EINVAL);
}

static void test_damaged(void **state)
{
    (void)state;
    memory[HPET - BASE + 50]++; /* left out, the rest is read */
    assert_int_equal(acpi_read(RSDP, map, &info), 0);
    assert_int_equal(info.hpet_base, 0);
    assert_int_equal(warnings, 1);
    assert_int_equal(info.mcfg_count, 1);

    make_madt(40); /* the last entry runs out of the table */
    assert_int_equal(acpi_read(RSDP, map, &info), 0);
    assert_int_equal(info.cpu_count, 3);
    assert_int_equal(info.lapic_base, 0xfee00000);
    make_madt(0); /* no progress */
    assert_int_equal(acpi_read(RSDP, map, &info), 0);

    memory[MADT - BASE + 60]++;
    assert_int_equal(acpi_read(RSDP, map, &info), -EINVAL); /* no cpu is known */
    finish(FADT, "FACP", 100);                              /* shorter than what is read of it */
    make_madt(12);
    assert_int_equal(acpi_read(RSDP, map, &info), 0);
    assert_int_equal(info.pm1a_cnt.address, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good, setup),
        cmocka_unit_test_setup(test_root, setup),
        cmocka_unit_test_setup(test_damaged, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
