/* SPDX-License-Identifier: MIT */
/* String helpers. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/str.h"

static void test_compare(void **state)
{
    (void)state;
    assert_true(str_eq("abc", "abc"));
    assert_false(str_eq("abc", "abd"));
    assert_false(str_eq("abc", "ab"));
    assert_true(str_cmp("a", "b") < 0);
    assert_true(str_cmp("\xff", "a") > 0);
    assert_true(str_cmp("", "") == 0);
    assert_true(str_eq_n("abcd", 3, "abc"));
    assert_false(str_eq_n("abcd", 3, "abcd"));
    assert_false(str_eq_n("abcd", 3, "ab"));
    assert_true(str_eq_n("x", 0, ""));
    assert_true(str_starts("com1=115200", "com1="));
    assert_false(str_starts("com", "com1"));
    assert_true(str_starts("x", ""));
}

static void test_copy(void **state)
{
    char buf[4];

    (void)state;
    assert_int_equal(str_copy(buf, sizeof(buf), "ab"), 2);
    assert_string_equal(buf, "ab");
    assert_int_equal(str_copy(buf, sizeof(buf), "abcdef"), 6);
    assert_string_equal(buf, "abc");
    assert_int_equal(str_nlen("abc", 2), 2);
    assert_int_equal(str_nlen("abc", 10), 3);
}

static void check_number(const char *text, unsigned int base, int ok, uint64_t want)
{
    uint64_t value = 4711;

    assert_int_equal(str_u64(text, strlen(text), base, &value), ok);
    assert_int_equal(value, ok ? want : 4711);
}

static void test_number(void **state)
{
    (void)state;
    check_number("0", 0, 1, 0);
    check_number("115200", 0, 1, 115200);
    check_number("0x3f8", 0, 1, 0x3f8);
    check_number("0X3F8", 16, 1, 0x3f8);
    check_number("017", 0, 1, 15);
    check_number("18446744073709551615", 10, 1, UINT64_MAX);
    check_number("18446744073709551616", 10, 0, 0);
    check_number("99999999999999999999", 10, 0, 0);
    check_number("", 0, 0, 0);
    check_number("0x", 0, 0, 0);
    check_number("12a", 0, 0, 0);
    check_number("-1", 0, 0, 0);
    check_number("08", 0, 0, 0);
    check_number("ff", 16, 1, 255);
}

static void check_size(const char *text, int ok, uint64_t want)
{
    uint64_t value = 4711;

    assert_int_equal(str_size(text, strlen(text), &value), ok);
    assert_int_equal(value, ok ? want : 4711);
}

static void test_size(void **state)
{
    (void)state;
    check_size("512M", 1, 512ull << 20);
    check_size("2g", 1, 2ull << 30);
    check_size("1T", 1, 1ull << 40);
    check_size("4096B", 1, 4096);
    check_size("64", 1, 64 << 10);
    check_size("0x1b", 1, 0x1b << 10);
    check_size("16k", 1, 16 << 10);
    check_size("M", 0, 0);
    check_size("", 0, 0);
    check_size("1.5G", 0, 0);
    check_size("16777216T", 0, 0);
    check_size("16777215T", 1, 16777215ull << 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_number),
        cmocka_unit_test(test_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
