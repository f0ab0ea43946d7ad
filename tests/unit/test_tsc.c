/* SPDX-License-Identifier: MIT */
/* Time from the TSC: calibration, the choice of the timer's mode, deadlines as they reach the APIC.
 * An invariant TSC and deadline mode cannot be run in QEMU without KVM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/panic.h"
#include "base/timer.h"
#include "cpu/msr.h"
#include "drivers/acpi.h"
#include "hw/lapic.h"
#include "hw/tsc.h"
#include "port/cpu.h"
#include "port/mmu.h"
#include "port/time.h"
#include "sched/systime.h"

#define TSC_KHZ UINT64_C(2500000)
#define PM_HZ   UINT64_C(3579545)

uint64_t host_ticks; /* the TSC; moves on each reading of the reference */
static struct host_cpu this_cpu;
_Thread_local struct host_cpu *host_this_cpu = &this_cpu;
unsigned char *host_ram;

static bool invariant, deadline_there;
static uint32_t max_ext = 0x80000008;
static uint64_t start_ticks;
static uint64_t deadline;
static uint32_t oneshot;
static bool mode_deadline;
static uint32_t raised;

void log_at(enum log_level level, const char *fmt, ...)
{
    (void)level;
    (void)fmt;
}

static bool stands_still; /* the reference */
static jmp_buf *on_panic; /* where one is expected */
static unsigned int panics;

void panic(const char *fmt, ...)
{
    panics++;
    if (on_panic != NULL) {
        longjmp(*on_panic, 1);
    }
    fail_msg("panic: %s", fmt);
    abort();
}

void host_relax(void)
{
    host_ticks += stands_still ? UINT64_C(1) << 20 : 1000;
}

void *port_map_device(paddr_t pa, uint64_t size)
{
    (void)pa;
    (void)size;
    return NULL;
}

void cpu_cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *out)
{
    (void)subleaf;
    *out = (struct cpuid_leaf){ 0 };
    if (leaf == 0x80000000u) {
        out->a = max_ext;
    } else if (leaf == 0x80000007u) {
        out->d = invariant ? 1u << 8 : 0;
    }
}

/* The ACPI timer of 24 bits. */
uint32_t cpu_in(uint16_t port, unsigned int size)
{
    if (port != 0x608 || size != 4) {
        return 0;
    }
    host_ticks += 300;
    if (stands_still) {
        return 0xfffff0;
    }
    unsigned __int128 t = (unsigned __int128)(host_ticks - start_ticks) * PM_HZ;
    return (uint32_t)(t / (TSC_KHZ * 1000) + 0xfffff0) & 0xffffff;
}

void cpu_out(uint16_t port, unsigned int size, uint32_t val)
{
    (void)port;
    (void)size;
    (void)val;
}

/* CMOS: 2026-11-21 13:45:30, BCD. */
static uint8_t rtc_second = 0x30;

uint8_t cpu_cmos_read(uint8_t index)
{
    switch (index) {
    case 0:
        return rtc_second;
    case 2:
        return 0x45;
    case 4:
        return 0x13;
    case 7:
        return 0x21;
    case 8:
        return 0x11;
    case 9:
        return 0x26;
    case 0x32:
        return 0x20;
    case 0x0b:
        return 2;
    default:
        return 0;
    }
}

bool lapic_has_deadline(void)
{
    return deadline_there;
}

void lapic_timer_setup(bool to_deadline)
{
    mode_deadline = to_deadline;
}

void lapic_timer_oneshot(uint32_t count)
{
    oneshot = count;
}

/* Counts down at 1 GHz / 16 = 62.5 MHz: one for 40 ticks. */
uint32_t lapic_timer_count(void)
{
    return UINT32_MAX - (uint32_t)((host_ticks - start_ticks) / 40);
}

void lapic_timer_deadline(uint64_t tsc)
{
    deadline = tsc;
}

void port_cpu_raise(unsigned int cpu, uint32_t bits)
{
    assert_int_equal(cpu, 0);
    raised |= bits;
}

static void (*edge_fn)(void *);
static unsigned int edge_sets;

void timer_init(struct timer *t, void (*fn)(void *), void *data, unsigned int cpu)
{
    (void)t;
    (void)data;
    (void)cpu;
    edge_fn = fn;
}

void timer_set(struct timer *t, uint64_t ns)
{
    (void)t;
    (void)ns;
    edge_sets++;
}

static uint64_t wall_set;    /* seconds that the wall clock was last set to */
static uint64_t wall_set_at; /* system time at which it had them */

void systime_wallclock_set(uint64_t sec, uint32_t nsec, uint64_t at)
{
    assert_int_equal(nsec, 0);
    wall_set = sec;
    wall_set_at = at;
}

static void boot(bool inv, bool dl)
{
    struct acpi_info acpi = { .century = 0x32 };

    acpi.pm_timer.address = 0x608;
    acpi.pm_timer.space = 1;
    invariant = inv;
    deadline_there = dl;
    host_ticks = start_ticks = 1000000;
    tsc_init(&acpi);
    raised = 0;
}

static void test_calibration(void **state)
{
    uint64_t sec;
    uint32_t nsec;

    (void)state;
    boot(false, false);
    assert_in_range(port_ticks_khz(), TSC_KHZ - TSC_KHZ / 5000, TSC_KHZ + TSC_KHZ / 5000);
    uint64_t t0 = port_time_now();
    host_ticks += TSC_KHZ * 1000 * 100;
    assert_in_range(port_time_now() - t0, UINT64_C(99980000000), UINT64_C(100020000000));
    /* A year at once does not overflow. */
    host_ticks += TSC_KHZ * 1000 * 86400 * 365;
    assert_in_range((port_time_now() - t0) / 1000000000, UINT64_C(31530000), UINT64_C(31543000));
    port_time_wall_base(&sec, &nsec);
    assert_int_equal(sec, UINT64_C(1795268730)); /* 2026-11-21 13:45:30 UTC */
    struct port_time_scale s;
    port_time_scale(&s);
    assert_int_equal(s.ticks0, host_ticks);
    assert_int_equal(s.ns0, port_time_now());
}

/* A reference that does not count ends the boot with its name; it is not waited for for ever. */
static void test_stands_still(void **state)
{
    jmp_buf here;

    (void)state;
    stands_still = true;
    on_panic = &here;
    if (setjmp(here) == 0) {
        boot(false, false);
    }
    on_panic = NULL;
    stands_still = false;
    assert_int_equal(panics, 1);
    assert_in_range(host_ticks - start_ticks, UINT64_C(1) << 34, UINT64_C(1) << 35);
}

/* Deadlines of the TSC only if it never changes its pace. */
static void test_mode(void **state)
{
    (void)state;
    for (unsigned int i = 0; i < 4; i++) {
        boot(i & 1, i & 2);
        assert_int_equal(mode_deadline, i == 3);
        assert_int_equal(tsc_is_invariant(), i & 1);
    }
    max_ext = 0x80000006;
    invariant = true;
    assert_false(tsc_is_invariant()); /* the leaf is not there */
    max_ext = 0x80000008;
}

static void test_deadline_mode(void **state)
{
    (void)state;
    boot(true, true);
    uint64_t now = port_time_now();
    port_time_set_deadline(now + 1000000);
    assert_in_range(deadline - host_ticks, 2499000, 2501000);
    port_time_set_deadline(UINT64_MAX - 1); /* far away: an hour, then again */
    assert_in_range(deadline - host_ticks, TSC_KHZ * 1000 * 3599, TSC_KHZ * 1000 * 3601);
    port_time_set_deadline(UINT64_MAX);
    assert_int_equal(deadline, 0);
    assert_int_equal(raised, 0);
    deadline = 77;
    port_time_set_deadline(now);
    port_time_set_deadline(0); /* XSA-20: the past is now, once */
    assert_int_equal(raised, CW_TIMER);
    assert_int_equal(deadline, 77);
}

static void test_oneshot_mode(void **state)
{
    (void)state;
    boot(true, false);
    uint64_t now = port_time_now();
    port_time_set_deadline(now + 1000000);
    assert_in_range(oneshot, 62480, 62520);
    port_time_set_deadline(now + UINT64_C(1000000000000)); /* at most a second */
    assert_in_range(oneshot, 62480000, 62520000);
    port_time_set_deadline(now + 1);
    assert_int_equal(oneshot, 1); /* never 0, which would stop it */
    port_time_set_deadline(UINT64_MAX);
    assert_int_equal(oneshot, 0);
    assert_int_equal(raised, 0);
}

/* Lets time pass and the RTC's timer fire; true if the wall clock was set and nothing is waited for
 * any longer. */
static bool look(uint64_t ms)
{
    unsigned int sets = edge_sets;

    host_ticks += TSC_KHZ * ms;
    edge_fn(NULL);
    return edge_sets == sets;
}

static void test_rtc_edge(void **state)
{
    (void)state;
    rtc_second = 0x30;
    boot(true, false);
    tsc_watch_rtc();
    rtc_second = 0x31; /* it ended at some time of the 700 ms in which nobody looked */
    assert_false(look(700));
    assert_false(look(5));
    assert_int_equal(wall_set, 0);
    rtc_second = 0x32;
    assert_true(look(5));
    assert_int_equal(wall_set, UINT64_C(1795268732));
    assert_in_range(port_time_now() - wall_set_at, 2000000, 3000000);
    rtc_second = 0x30;
}

/* Every look comes late: after so many, a coarse answer is better than looking for ever. */
static void test_rtc_always_late(void **state)
{
    unsigned int looks = 0;

    (void)state;
    boot(true, false);
    wall_set = 0;
    tsc_watch_rtc();
    do {
        rtc_second = (uint8_t)(looks & 1 ? 0x31 : 0x30);
        looks++;
        assert_true(looks < 3000);
    } while (!look(40));
    assert_int_equal(looks, 1001);
    assert_int_not_equal(wall_set, 0);
    assert_in_range(port_time_now() - wall_set_at, 0, 20000000);
    rtc_second = 0x30;
}

/* The RTC stands still: nothing is set, and nothing looks any more. */
static void test_rtc_stands(void **state)
{
    unsigned int looks = 0;

    (void)state;
    rtc_second = 0x30;
    boot(true, false);
    wall_set = 0;
    tsc_watch_rtc();
    do {
        looks++;
        assert_true(looks < 3000);
    } while (!look(5));
    assert_int_equal(looks, 2000);
    assert_int_equal(wall_set, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calibration),   cmocka_unit_test(test_mode),
        cmocka_unit_test(test_deadline_mode), cmocka_unit_test(test_oneshot_mode),
        cmocka_unit_test(test_rtc_edge),      cmocka_unit_test(test_rtc_always_late),
        cmocka_unit_test(test_rtc_stands),    cmocka_unit_test(test_stands_still),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
