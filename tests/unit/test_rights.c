/* SPDX-License-Identifier: MIT */
/* Rights to the machine: sets of ranges against a plain bitmap, global denials, read-only memory.
 */
#include "core_kit.h"

#include "abi/errno.h"
#include "irq/rights.h"

#define SPACE 256u

static uint32_t seed = 12345;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void compare(struct domain *d, const bool *may)
{
    for (unsigned int i = 0; i < SPACE; i++) {
        assert_int_equal(rights_check(d, RIGHT_PORT, i, i), may[i]);
    }
    for (unsigned int k = 0; k < 64; k++) {
        unsigned int a = rnd(SPACE);
        unsigned int b = a + rnd(SPACE - a);
        bool all = true;
        for (unsigned int i = a; i <= b; i++) {
            all = all && may[i];
        }
        assert_int_equal(rights_check(d, RIGHT_PORT, a, b), all);
    }
}

static void test_against_bitmap(void **state)
{
    struct domain *d = kit_domain(1, 1);
    bool may[SPACE] = { false };

    (void)state;
    compare(d, may);
    assert_int_equal(rights_deny(d, RIGHT_PORT, 0, 10), 0); /* nothing to take away */
    for (unsigned int n = 0; n < 3000; n++) {
        unsigned int a = rnd(SPACE);
        unsigned int b = a + rnd(rnd(2) ? 4 : SPACE - a);
        b = b < SPACE ? b : SPACE - 1;
        bool allow = rnd(2);
        int rc = allow ? rights_allow(d, RIGHT_PORT, a, b) : rights_deny(d, RIGHT_PORT, a, b);
        assert_true(rc == 0 || rc == -ENOMEM);
        for (unsigned int i = a; rc == 0 && i <= b; i++) {
            may[i] = allow;
        }
        compare(d, may);
    }
    assert_false(rights_check(d, RIGHT_IRQ, 0, 0)); /* kinds are apart */
}

static void test_limits(void **state)
{
    struct domain *d = kit_domain(1, 1);

    (void)state;
    assert_int_equal(rights_allow(d, RIGHT_MMIO, 5, 4), -EINVAL);
    assert_int_equal(rights_deny(d, RIGHT_MMIO, 5, 4), -EINVAL);
    assert_int_equal(rights_allow(d, RIGHT_MMIO, 0, UINT64_MAX), 0);
    assert_int_equal(rights_deny(d, RIGHT_MMIO, UINT64_MAX, UINT64_MAX), 0);
    assert_false(rights_check(d, RIGHT_MMIO, UINT64_MAX, UINT64_MAX));
    assert_true(rights_check(d, RIGHT_MMIO, 0, UINT64_MAX - 1));
    assert_false(rights_check(d, RIGHT_MMIO, 3, 2));
    assert_int_equal(rights_allow(d, RIGHT_MMIO, UINT64_MAX, UINT64_MAX), 0);
    assert_true(rights_check(d, RIGHT_MMIO, 0, UINT64_MAX));
    /* As many pieces as there is room for: then an error, and nothing has changed. */
    int rc = 0;
    uint64_t n = 0;
    for (; rc == 0; n++) {
        rc = rights_deny(d, RIGHT_MMIO, n * 2 + 1, n * 2 + 1);
    }
    assert_int_equal(rc, -ENOMEM);
    assert_true(n > 64);
    assert_true(rights_check(d, RIGHT_MMIO, n * 2 - 2, UINT64_MAX));
    assert_false(rights_check(d, RIGHT_MMIO, 1, 1));
}

static void test_global(void **state)
{
    struct domain *d0 = kit_domain(0, 1);
    struct domain *d1 = kit_domain(1, 1);
    bool readonly = true;

    (void)state;
    assert_int_equal(rights_check_mmio(d0, MFN(0x90000), &readonly), 0);
    assert_false(readonly);
    assert_int_equal(rights_check_mmio(d1, MFN(0x90000), &readonly), -EPERM);
    assert_int_equal(rights_deny_global(RIGHT_MMIO, 0xfee00, 0xfee00), 0);
    assert_int_equal(rights_readonly_global(0x90010, 0x90011), 0);
    assert_int_equal(rights_check_mmio(d0, MFN(0xfee00), &readonly), -EPERM);
    assert_int_equal(rights_check_mmio(d0, MFN(0xfedff), &readonly), 0);
    assert_int_equal(rights_check_mmio(d0, MFN(0xfee01), &readonly), 0);
    assert_int_equal(rights_check_mmio(d0, MFN(0x90011), &readonly), 0);
    assert_true(readonly);
    assert_int_equal(rights_check_mmio(d0, MFN(0x90012), &readonly), 0);
    assert_false(readonly);
    /* Given to a guest, the global set still holds. */
    assert_int_equal(rights_allow(d1, RIGHT_MMIO, 0xfed00, 0xfeeff), 0);
    assert_int_equal(rights_check_mmio(d1, MFN(0xfee00), &readonly), -EPERM);
    assert_int_equal(rights_check_mmio(d1, MFN(0xfee01), &readonly), 0);
    assert_false(rights_check(d1, RIGHT_MMIO, 0xfedff, 0xfee01));
    assert_int_equal(rights_deny_global(RIGHT_COUNT, 0, 0), -EINVAL);
    assert_int_equal(rights_deny_global(RIGHT_PORT, 2, 1), -EINVAL);
    assert_int_equal(rights_readonly_global(2, 1), -EINVAL);
    assert_int_equal(rights_deny_global(RIGHT_IRQ, 4, 4), 0);
    assert_false(rights_check(d0, RIGHT_IRQ, 4, 4));
    assert_true(rights_check(d0, RIGHT_IRQ, 5, 100));
}

int main(void)
{
    kit_start(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_against_bitmap, kit_teardown),
        cmocka_unit_test_teardown(test_limits, kit_teardown),
        cmocka_unit_test_teardown(test_global, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
