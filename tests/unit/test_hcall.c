/* SPDX-License-Identifier: MIT */
/* Dispatch: numbers without a call, rights before anything else, arguments copied once each way,
 * bounded indices. */
#include "core_kit.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/hcall_nr.h"
#include "arch/host/machine.h"
#include "base/log.h"
#include "base/nospec.h"

static struct vcpu *v0, *v1;
static int64_t next_rc;
static uint64_t seen[2];
static unsigned int calls;

static int setup(void **state)
{
    (void)state;
    v0 = kit_domain(0, 1)->vcpu[0];
    v1 = kit_domain(1, 1)->vcpu[0];
    calls = 0;
    return 0;
}

static void test_numbers(void **state)
{
    struct hcall_args a = { { 0 } };

    (void)state;
    static const uint64_t none[] = { 6,         11, 16, 19, 31,  34,         37,
                                     38,        39, 40, 41, 42,  49,         55,
                                     56,        63, 64, 65, 255, UINT32_MAX, UINT64_C(1) << 32,
                                     UINT64_MAX };
    for (unsigned int i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_int_equal(hcall_dispatch(v0, none[i], &a), -ENOSYS);
    }
    for (uint64_t n = HCALL_COUNT; n < 4096; n++) {
        assert_int_equal(hcall_dispatch(v1, n, &a), -ENOSYS);
    }
    /* Every call that is not for everybody is refused before it looks at its arguments. */
    for (uint64_t n = 0; n < HCALL_COUNT; n++) {
        if (hcall_table[n].fn != NULL && hcall_table[n].who != WHO_ANY) {
            a.arg[0] = KIT_BAD_VA;
            assert_int_equal(hcall_dispatch(v1, n, &a), -EPERM);
        }
    }
}

static int64_t sub(struct vcpu *v, void *arg, struct hcall_args *a)
{
    uint64_t *w = arg;

    (void)v;
    (void)a;
    calls++;
    seen[0] = w[0];
    seen[1] = w[1];
    w[0] = 11;
    w[1] = 22;
    return next_rc;
}

static const struct subop_row rows[] = {
    { "in", sub, .in = 8, .who = WHO_ANY },
    { "both", sub, .in = 8, .out = 16, .who = WHO_ANY },
    { NULL, NULL, 0, 0, 0, 0 },
    { "back", sub, .in = 16, .out = 16, .who = WHO_ANY, .flags = SUB_BACK },
    { "always", sub, .in = 16, .out = 8, .who = WHO_CTL, .flags = SUB_ALWAYS },
};

static int64_t call(struct vcpu *v, uint64_t op, void *p)
{
    struct hcall_args a = { { 0 } };
    return subop_dispatch(v, rows, 5, op, (gptr_t){ (uintptr_t)p }, &a);
}

static void test_subops(void **state)
{
    uint64_t w[2] = { 1, 2 };

    (void)state;
    next_rc = 5;
    assert_int_equal(call(v1, 0, w), 5);
    assert_int_equal(seen[0], 1);
    assert_int_equal(w[0], 1); /* nothing goes back */
    assert_int_equal(call(v1, 1, w), 5);
    assert_int_equal(seen[1], 0); /* never what lies on our stack */
    assert_int_equal(w[0] + w[1], 33);
    next_rc = -EINVAL;
    w[0] = 1;
    assert_int_equal(call(v1, 1, w), -EINVAL);
    assert_int_equal(w[0], 1);
    next_rc = HC_AGAIN;
    assert_int_equal(call(v1, 1, w), HC_AGAIN);
    assert_int_equal(w[0], 1);
    assert_int_equal(call(v1, 3, w), HC_AGAIN); /* progress is in the structure */
    assert_int_equal(w[0] + w[1], 33);
    next_rc = -ENOENT;
    w[0] = w[1] = 1;
    assert_int_equal(call(v0, 4, w), -ENOENT);
    assert_int_equal(w[0], 11);
    assert_int_equal(w[1], 1);

    calls = 0;
    assert_int_equal(call(v1, 4, (void *)KIT_BAD_VA), -EPERM);
    assert_int_equal(call(v1, 2, w), -ENOSYS);
    assert_int_equal(call(v1, 5, w), -ENOSYS);
    assert_int_equal(call(v1, UINT64_MAX, w), -ENOSYS);
    assert_int_equal(call(v1, 0, (void *)KIT_BAD_VA), -EFAULT);
    assert_int_equal(calls, 0);
    next_rc = 0;
    for (uint64_t at = 1; at <= 24; at++) {
        host_fault_at(at);
        calls = 0;
        assert_int_equal(call(v1, 1, w), -EFAULT);
        assert_int_equal(calls, at > 8); /* read whole before it is done, written after */
        host_fault_at(0);
    }
}

static void test_nospec(void **state)
{
    (void)state;
    static const uint64_t n[] = { 1, 2, 56, 64, 4096, UINT32_MAX };
    for (unsigned int i = 0; i < 6; i++) {
        assert_int_equal(index_nospec(0, n[i]), 0);
        assert_int_equal(index_nospec(n[i] - 1, n[i]), n[i] - 1);
        assert_int_equal(index_nospec(n[i], n[i]), 0);
        assert_int_equal(index_nospec(UINT64_MAX, n[i]), 0);
        assert_int_equal(index_nospec(UINT64_C(1) << 63, n[i]), 0);
    }
}

/* The longest stretch is kept, whichever comes first; no check point stops for it. */
static void test_measure(void **state)
{
    char out[512];
    uint32_t index = 0;

    (void)state;
    (void)log_read(out, sizeof(out), &index, false, true);
    measure_begin(0, 0);
    host_advance(700);
    assert_false(measure_check("first"));
    host_advance(5000);
    assert_false(measure_check("second"));
    host_advance(600);
    measure_end();
    assert_false(measure_check("outside"));
    measure_show();
    out[log_read(out, sizeof(out) - 1, &index, false, false)] = '\0';
    assert_non_null(strstr(out, "longest set_trap_table 0: "));
    assert_non_null(strstr(out, " to second"));
    assert_null(strstr(out, " to first"));
}

int main(void)
{
    kit_start(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_numbers, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_subops, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_nospec, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_measure, setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
