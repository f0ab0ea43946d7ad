/* SPDX-License-Identifier: MIT */
/* Formatted text: every conversion against libc's snprintf, which is the judge, at every buffer
 * size. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lib/fmt.h"

#define SAME(...)                                                                        \
    do {                                                                                 \
        char want[128], got[128];                                                        \
        int n = snprintf(want, sizeof(want), __VA_ARGS__);                               \
        for (size_t size = 0; size < sizeof(got); size++) {                              \
            memset(got, '#', sizeof(got));                                               \
            assert_int_equal(fmt_snprintf(got, size, __VA_ARGS__), n);                   \
            if (size > 0) {                                                              \
                assert_int_equal(got[(size_t)n < size ? (size_t)n : size - 1], '\0');    \
                assert_memory_equal(got, want, (size_t)n < size ? (size_t)n : size - 1); \
            }                                                                            \
            assert_int_equal(got[size], '#');                                            \
        }                                                                                \
    } while (0)

static void test_integers(void **state)
{
    static const long values[] = { 0,     1,         -1,        42,        -42,      255,
                                   65535, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN };

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        long v = values[i];
        unsigned long u = (unsigned long)v;

        SAME("%ld|%5ld|%-7ld|%07ld|%+ld|% ld|%.3ld", v, v, v, v, v, v, v);
        SAME("%lu|%lx|%lX|%#lx|%016lx|%lo", u, u, u, u, u, u);
        SAME("%d|%u|%x|%hd|%hhu", (int)v, (unsigned int)v, (unsigned int)v, (short)v,
             (unsigned char)v);
        SAME("%zu|%lld|%jd|%td", (size_t)u, (long long)v, (intmax_t)v, (ptrdiff_t)v);
        SAME("%*d|%-*d|%.*d|%*d", 8, (int)v, 8, (int)v, 4, (int)v, -9, (int)v);
        SAME("%8.3d|%+.1d", (int)v, (int)v);
    }
}

static void test_text(void **state)
{
    (void)state;
    SAME("%s|%8s|%-8s|%.2s|%.*s", "abc", "abc", "abc", "abc", 1, "abc");
    SAME("%c%c%%|%3c|%-3c|", 'x', 'y', 'z', 'w');
    SAME("%p", (void *)0x1234);
    SAME("plain");
}

static void test_null_string(void **state)
{
    char buf[32];
    const char *volatile none = NULL;

    (void)state;
    assert_int_equal(fmt_snprintf(buf, sizeof(buf), "<%s>", none), 8);
    assert_string_equal(buf, "<(null)>");
}

static void test_unknown(void **state)
{
    char buf[32];
    const char *volatile format = "a%5qb%";

    (void)state;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
    fmt_snprintf(buf, sizeof(buf), format);
#pragma GCC diagnostic pop
    assert_string_equal(buf, "a%5qb%");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_null_string),
        cmocka_unit_test(test_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
