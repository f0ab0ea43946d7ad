/* SPDX-License-Identifier: MIT */
/* Every number, size and offset of xen-core/abi is that of libxen-dev's headers. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "abi/table.h"

static size_t count(const struct abi_entry *table)
{
    size_t n = 0;

    while (table[n].what) {
        n++;
    }
    return n;
}

static void test_same_list(void **state)
{
    (void)state;
    assert_int_equal(count(abi_ours), count(abi_theirs));
    /* A list that has shrunk to little would compare nothing. */
    assert_true(count(abi_ours) > 1800);
}

static void test_same_values(void **state)
{
    unsigned int wrong = 0;

    (void)state;
    for (size_t i = 0; abi_ours[i].what; i++) {
        const struct abi_entry *o = &abi_ours[i];
        const struct abi_entry *t = &abi_theirs[i];

        assert_string_equal(o->what, t->what);
        if (o->value != t->value || o->size != t->size) {
            print_error("%s: ours 0x%lx (%lu bytes), Xen's 0x%lx (%lu bytes)\n", o->what, o->value,
                        o->size, t->value, t->size);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_list),
        cmocka_unit_test(test_same_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
