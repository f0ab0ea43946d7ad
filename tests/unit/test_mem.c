/* SPDX-License-Identifier: MIT */
/* The freestanding memory functions, compared byte by byte with plain loops for every small size
 * and alignment. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

void *our_memcpy(void *restrict to, const void *restrict from, size_t size);
void *our_memmove(void *to, const void *from, size_t size);
void *our_memset(void *to, int byte, size_t size);
int our_memcmp(const void *a, const void *b, size_t size);
size_t our_strlen(const char *s);

#define AREA 512

static void fill(unsigned char *p, unsigned int seed)
{
    for (unsigned int i = 0; i < AREA; i++) {
        p[i] = (unsigned char)(i * 7 + seed);
    }
}

static void test_copy(void **state)
{
    (void)state;
    for (size_t to = 0; to < 9; to++) {
        for (size_t from = 0; from < 9; from++) {
            for (size_t n = 0; n < 300; n++) {
                unsigned char a[AREA], b[AREA], want[AREA];

                fill(a, 1);
                fill(b, 99);
                memcpy(want, b, AREA);
                memcpy(want + to, a + from, n);
                assert_ptr_equal(our_memcpy(b + to, a + from, n), b + to);
                assert_memory_equal(b, want, AREA);
            }
        }
    }
}

static void move_one(size_t to, size_t from, size_t n)
{
    unsigned char a[AREA], want[AREA];

    fill(a, 5);
    memcpy(want, a, AREA);
    memmove(want + to, want + from, n);
    assert_ptr_equal(our_memmove(a + to, a + from, n), a + to);
    assert_memory_equal(a, want, AREA);
}

static void test_move(void **state)
{
    (void)state;
    for (size_t to = 0; to < 40; to++) {
        for (size_t from = 0; from < 40; from++) {
            for (size_t n = 0; n < 80; n += 3) {
                move_one(to, from, n);
            }
            for (size_t n = 120; n < 300; n += 17) {
                move_one(to, from, n);
            }
        }
    }
}

static void test_set(void **state)
{
    (void)state;
    for (size_t to = 0; to < 9; to++) {
        for (size_t n = 0; n < 300; n++) {
            unsigned char a[AREA], want[AREA];

            fill(a, 3);
            fill(want, 3);
            memset(want + to, 0x1e5, n);
            assert_ptr_equal(our_memset(a + to, 0x1e5, n), a + to);
            assert_memory_equal(a, want, AREA);
        }
    }
}

static void test_compare(void **state)
{
    unsigned char a[AREA], b[AREA];

    (void)state;
    fill(a, 3);
    fill(b, 3);
    for (size_t n = 0; n < 60; n++) {
        assert_int_equal(our_memcmp(a + 1, b + 1, n), 0);
        b[n + 1] = (unsigned char)(a[n + 1] + 128);
        assert_int_equal(our_memcmp(a + 1, b + 1, n), 0);
        assert_int_equal(our_memcmp(a + 1, b + 1, n + 1), a[n + 1] < b[n + 1] ? -1 : 1);
        assert_int_equal(our_memcmp(a + 1, b + 1, AREA - 1), a[n + 1] < b[n + 1] ? -1 : 1);
        b[n + 1] = a[n + 1];
    }
}

static void test_length(void **state)
{
    (void)state;
    assert_int_equal(our_strlen(""), 0);
    assert_int_equal(our_strlen("12345678901"), 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy),    cmocka_unit_test(test_move),   cmocka_unit_test(test_set),
        cmocka_unit_test(test_compare), cmocka_unit_test(test_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
