/* SPDX-License-Identifier: MIT */
/* Words of command lines, lists, and lines of configuration files. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/kv.h"

static void word_is(struct slice *rest, const char *key, const char *value)
{
    struct kv kv;

    assert_true(kv_word(rest, &kv));
    assert_true(slice_eq(kv.key, key));
    assert_int_equal(kv.has_value, value != NULL);
    assert_true(slice_eq(kv.value, value != NULL ? value : ""));
}

static void test_words(void **state)
{
    struct slice rest =
        slice_of("  console=com1 noreboot\tdom0_mem=1G,max:2G a==b x=\"p q\"z \n end= ");
    struct kv kv;

    (void)state;
    word_is(&rest, "console", "com1");
    word_is(&rest, "noreboot", NULL);
    word_is(&rest, "dom0_mem", "1G,max:2G");
    word_is(&rest, "a", "=b");
    word_is(&rest, "x", "\"p q\"z");
    word_is(&rest, "end", "");
    assert_false(kv_word(&rest, &kv));
    rest = slice_of("\"never closed = x");
    word_is(&rest, "\"never closed ", " x");
    assert_false(kv_word(&rest, &kv));
}

static void test_items(void **state)
{
    struct slice rest = slice_of("1G,,max:2G,");
    struct slice item;

    (void)state;
    assert_true(kv_item(&rest, ',', &item) && slice_eq(item, "1G"));
    assert_true(kv_item(&rest, ',', &item) && slice_eq(item, ""));
    assert_true(kv_item(&rest, ',', &item) && slice_eq(item, "max:2G"));
    assert_true(kv_item(&rest, ',', &item) && slice_eq(item, ""));
    assert_false(kv_item(&rest, ',', &item));
}

static void test_lines(void **state)
{
    struct slice rest = slice_of("# comment\n\n[global]\r\n default = x \n ; other\n[ a b "
                                 "]\nkernel=k a=b # kept\nrubbish\n=v\n[]\n[x\nlast=1");
    unsigned int line = 0;
    struct kv kv;

    (void)state;
    assert_int_equal(kv_next_line(&rest, &line, &kv), KV_SECTION);
    assert_int_equal(line, 3);
    assert_true(slice_eq(kv.key, "global"));
    assert_int_equal(kv_next_line(&rest, &line, &kv), KV_PAIR);
    assert_true(slice_eq(kv.key, "default") && slice_eq(kv.value, "x"));
    assert_int_equal(kv_next_line(&rest, &line, &kv), KV_SECTION);
    assert_true(slice_eq(kv.key, "a b"));
    assert_int_equal(kv_next_line(&rest, &line, &kv), KV_PAIR);
    assert_true(slice_eq(kv.key, "kernel") && slice_eq(kv.value, "k a=b # kept"));
    assert_int_equal(kv_next_line(&rest, &line, &kv), KV_BAD);
    assert_true(slice_eq(kv.key, "rubbish"));
    assert_int_equal(line, 8);
    assert_int_equal(kv_next_line(&rest, &line, &kv), KV_BAD);
    assert_true(slice_eq(kv.key, "=v"));
    assert_int_equal(kv_next_line(&rest, &line, &kv), KV_BAD);
    assert_int_equal(kv_next_line(&rest, &line, &kv), KV_BAD);
    assert_int_equal(kv_next_line(&rest, &line, &kv), KV_PAIR);
    assert_true(slice_eq(kv.key, "last") && slice_eq(kv.value, "1"));
    assert_int_equal(line, 12);
    assert_int_equal(kv_next_line(&rest, &line, &kv), KV_END);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_items),
        cmocka_unit_test(test_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
