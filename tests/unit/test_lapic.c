/* SPDX-License-Identifier: MIT */
/* The local APIC in both modes: which registers are written, in which order. QEMU has no x2APIC to
 * run. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/panic.h"
#include "cpu/msr.h"
#include "hw/lapic.h"
#include "port/mmu.h"

#define APIC_BASE UINT64_C(0xfee00000)
#define MSR_BASE  0x1bu
#define X2_ICR    0x830u
#define X2_EOI    0x80bu

static uint32_t page[1024]; /* xAPIC registers */
static uint64_t base_msr;
static bool has_x2apic;
static struct {
    uint32_t msr;
    uint64_t val;
} writes[64];
static unsigned int write_count;
static unsigned int map_count;

void log_at(enum log_level level, const char *fmt, ...)
{
    (void)level;
    (void)fmt;
}

void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

void host_relax(void)
{
    fail_msg("waits for a register that never changes");
}

void *port_map_device(paddr_t pa, uint64_t size)
{
    assert_int_equal(pa, APIC_BASE);
    assert_int_equal(size, PAGE_SIZE);
    map_count++;
    return page;
}

void cpu_cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *out)
{
    (void)subleaf;
    *out = (struct cpuid_leaf){ .c = leaf == 1 && has_x2apic ? UINT32_C(1) << 21 : 0 };
}

bool cpu_rdmsr_safe(uint32_t msr, uint64_t *val)
{
    *val = msr == MSR_BASE ? base_msr : msr == 0x802 ? 0x12345 : 0;
    return true;
}

bool cpu_wrmsr_safe(uint32_t msr, uint64_t val)
{
    assert_true(write_count < sizeof(writes) / sizeof(writes[0]));
    writes[write_count].msr = msr;
    writes[write_count++].val = val;
    if (msr == MSR_BASE) {
        base_msr = val;
    }
    return true;
}

static void start(bool x2apic, bool wanted, uint64_t base)
{
    memset(page, 0, sizeof(page));
    write_count = 0;
    map_count = 0;
    has_x2apic = x2apic;
    base_msr = base;
    lapic_init_bsp(APIC_BASE, wanted);
}

static uint32_t xapic(uint32_t reg)
{
    return page[reg * 4];
}

static bool wrote(uint32_t msr, uint64_t val)
{
    for (unsigned int i = 0; i < write_count; i++) {
        if (writes[i].msr == msr && writes[i].val == val) {
            return true;
        }
    }
    return false;
}

static void test_mode(void **state)
{
    (void)state;
    start(true, true, 0x900);
    assert_true(lapic_is_x2apic());
    assert_int_equal(map_count, 0);
    start(true, false, 0x900);
    assert_false(lapic_is_x2apic());
    assert_int_equal(map_count, 1);
    start(false, true, 0x900);
    assert_false(lapic_is_x2apic());
    /* Left on by the firmware: stays, whatever is wanted. */
    start(true, false, 0xd00);
    assert_true(lapic_is_x2apic());
}

static void test_x2apic(void **state)
{
    (void)state;
    start(true, true, 0x100 | APIC_BASE);
    lapic_init_cpu();
    /* SDM 10.12.5: from off by way of xAPIC mode, never at once. */
    assert_int_equal(writes[0].msr, MSR_BASE);
    assert_int_equal(writes[0].val & 0xc00, 0x800);
    assert_int_equal(writes[1].msr, MSR_BASE);
    assert_int_equal(writes[1].val & 0xc00, 0xc00);
    assert_true(wrote(0x80f, 0x100 | VEC_SPURIOUS));
    assert_true(wrote(0x837, VEC_ERROR));
    assert_true(wrote(0x808, 0));
    for (unsigned int i = 0; i < write_count; i++) {
        assert_int_not_equal(writes[i].msr, 0x80d); /* read-only there */
        assert_int_not_equal(writes[i].msr, 0x80e); /* not there: a fault */
        assert_int_not_equal(writes[i].msr, 0x831); /* not there */
    }
    assert_int_equal(lapic_id(), 0x12345); /* 32 bits wide */

    write_count = 0;
    lapic_send(0x12345, VEC_IPI_WORK);
    lapic_eoi();
    assert_int_equal(write_count, 2);
    assert_int_equal(writes[0].msr, X2_ICR);
    assert_int_equal(writes[0].val, UINT64_C(0x1234500004000) | VEC_IPI_WORK);
    assert_int_equal(writes[1].msr, X2_EOI);
    assert_int_equal(writes[1].val, 0);

    write_count = 0;
    lapic_send_init(3);
    lapic_send_startup(3, 8);
    lapic_send_nmi(3);
    assert_int_equal(writes[0].val, UINT64_C(0x30000c500));
    assert_int_equal(writes[1].val, UINT64_C(0x300004608));
    assert_int_equal(writes[2].val, UINT64_C(0x300004400));
}

static void test_xapic(void **state)
{
    (void)state;
    start(false, true, 0x900 | APIC_BASE);
    lapic_init_cpu();
    assert_int_equal(write_count, 0); /* enabled already */
    assert_int_equal(xapic(0x0f), 0x100 | VEC_SPURIOUS);
    assert_int_equal(xapic(0x0e), UINT32_MAX); /* flat */
    assert_int_equal(xapic(0x35), 0x10000);
    page[2 * 4] = 7u << 24;
    assert_int_equal(lapic_id(), 7);
    lapic_send(5, VEC_IPI_TLB);
    assert_int_equal(xapic(0x31), 5u << 24);
    assert_int_equal(xapic(0x30), 0x4000 | VEC_IPI_TLB);
    lapic_timer_setup(false);
    lapic_timer_oneshot(1000);
    assert_int_equal(xapic(0x32), VEC_TIMER);
    assert_int_equal(xapic(0x38), 1000);
    lapic_timer_setup(true);
    assert_int_equal(xapic(0x32), 0x40000 | VEC_TIMER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mode),
        cmocka_unit_test(test_x2apic),
        cmocka_unit_test(test_xapic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
