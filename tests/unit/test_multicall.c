/* SPDX-License-Identifier: MIT */
/* multicall: results, refusals, restarts, faults. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fake_core.h"

#include "abi/hcall_nr.h"
#include "abi/xen.h"

static unsigned int calls;

static int64_t hc_sum(struct vcpu *v, struct hcall_args *a)
{
    (void)v;
    calls++;
    return (int64_t)(a->arg[0] + a->arg[5]);
}

/* Counts its first argument down to 0, one a round. */
static int64_t hc_again(struct vcpu *v, struct hcall_args *a)
{
    (void)v;
    calls++;
    return a->arg[0]-- > 1 ? HC_AGAIN : 77;
}

const struct hcall_row hcall_table[HCALL_COUNT] = {
    [1] = { "sum", hc_sum, 6, WHO_ANY, 0 },
    [2] = { "again", hc_again, 1, WHO_ANY, HC_RESTART },
    [3] = { "ctl", hc_sum, 6, WHO_CTL, 0 },
    [13] = { "multicall", hc_multicall, 2, WHO_ANY, HC_RESTART },
    [23] = { "iret", hc_sum, 0, WHO_ANY, HC_NORESULT },
};

static struct multicall_entry *list(unsigned int n)
{
    struct multicall_entry *e = (struct multicall_entry *)(void *)fake.guest;

    calls = 0;
    for (unsigned int i = 0; i < n; i++) {
        e[i] =
            (struct multicall_entry){ .op = 1, .result = 0xdead, .args = { i, 0, 0, 0, 0, 100 } };
    }
    return e;
}

static int64_t run(unsigned int domid, uint64_t va, uint64_t n)
{
    struct hcall_args a = { { va, n } };
    int64_t rc;

    do {
        rc = hc_multicall(fake_caller(domid), &a);
    } while (rc == HC_AGAIN);
    return rc;
}

static void test_results(void **state)
{
    struct multicall_entry *e = list(20);

    (void)state;
    assert_int_equal(run(1, FAKE_GUEST_VA, 20), 0);
    assert_int_equal(calls, 20);
    for (unsigned int i = 0; i < 20; i++) {
        assert_int_equal(e[i].result, 100 + i);
    }
    assert_int_equal(run(1, FAKE_GUEST_VA, 0), 0);
}

static void test_refused(void **state)
{
    struct multicall_entry *e = list(6);

    (void)state;
    e[0].op = 4;
    e[1].op = 64;
    e[2].op = UINT64_MAX;
    e[3].op = 13;
    e[4].op = 2000;
    e[5].op = 3;
    assert_int_equal(run(1, FAKE_GUEST_VA, 6), 0);
    assert_int_equal(calls, 0);
    assert_int_equal((int64_t)e[0].result, -ENOSYS);
    assert_int_equal((int64_t)e[1].result, -ENOSYS);
    assert_int_equal((int64_t)e[2].result, -ENOSYS);
    assert_int_equal((int64_t)e[3].result, -EINVAL);
    assert_int_equal((int64_t)e[4].result, -ENOSYS);
    assert_int_equal((int64_t)e[5].result, -EPERM);
    assert_int_equal(run(0, FAKE_GUEST_VA, 6), 0);
    assert_int_equal(e[5].result, 105);
}

/* What follows an iret is not done: it would be asked for by user mode (XSA-213). */
static void test_iret(void **state)
{
    struct multicall_entry *e = list(4);

    (void)state;
    e[1].op = 23;
    assert_int_equal(run(1, FAKE_GUEST_VA, 4), HC_LEFT);
    assert_int_equal(calls, 2);
    assert_int_equal(e[0].result, 100);
    assert_int_equal(e[1].result, 0xdead);
    assert_int_equal(e[2].result, 0xdead);
}

static void test_restart_of_entry(void **state)
{
    struct multicall_entry *e = list(4);
    struct hcall_args a = { { FAKE_GUEST_VA, 4 } };

    (void)state;
    e[1].op = 2;
    e[1].args[0] = 3;
    assert_int_equal(hc_multicall(fake_caller(1), &a), HC_AGAIN);
    assert_int_equal(a.arg[0], FAKE_GUEST_VA + 64);
    assert_int_equal(a.arg[1], 3);
    assert_int_equal(e[1].args[0], 2); /* progress is where the guest's list is */
    assert_int_equal(e[1].result, 0xdead);
    assert_int_equal(hc_multicall(fake_caller(1), &a), HC_AGAIN);
    assert_int_equal(hc_multicall(fake_caller(1), &a), 0);
    assert_int_equal(e[0].result, 100);
    assert_int_equal(e[1].result, 77);
    assert_int_equal(e[3].result, 103);
    assert_int_equal(calls, 6);
}

/* Wherever it yields, each entry runs exactly once. */
static void test_yield_anywhere(void **state)
{
    (void)state;
    for (unsigned int at = 1; at < 20; at++) {
        struct multicall_entry *e = list(19);

        fake.preempt_at = at;
        assert_int_equal(run(1, FAKE_GUEST_VA, 19), 0);
        assert_int_equal(calls, 19);
        assert_int_equal(e[18].result, 118);
    }
}

static void test_always_some_progress(void **state)
{
    struct hcall_args a = { { FAKE_GUEST_VA, 3 } };

    (void)state;
    list(3);
    fake.preempt_at = 1;
    assert_int_equal(hc_multicall(fake_caller(1), &a), HC_AGAIN);
    assert_int_equal(a.arg[1], 2);
    assert_int_equal(calls, 1);
}

static void test_faults(void **state)
{
    uint64_t va = FAKE_GUEST_VA + FAKE_GUEST_SIZE - 3 * 64 - 32;
    struct multicall_entry *e = fake_at(va);

    (void)state;
    calls = 0;
    for (unsigned int i = 0; i < 3; i++) {
        e[i] = (struct multicall_entry){ .op = 1, .args = { i, 0, 0, 0, 0, 100 } };
    }
    /* The fourth entry is only half there: those before it run. */
    assert_int_equal(run(1, va, 4), -EFAULT);
    assert_int_equal(calls, 3);
    assert_int_equal(e[2].result, 102);
    assert_int_equal(run(1, 64, 1), -EFAULT);
    assert_int_equal(calls, 3);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_results),          TEST(test_refused),        TEST(test_iret),
        TEST(test_restart_of_entry), TEST(test_yield_anywhere), TEST(test_always_some_progress),
        TEST(test_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
