/* SPDX-License-Identifier: MIT */
/* The bzImage reader, on headers made here. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/bzimage.h"

#define SETUP_SECTS 2
#define SETUP       ((SETUP_SECTS + 1) * 512)
#define SYS_SIZE    0x400
#define FILE_SIZE   (SETUP + SYS_SIZE)
#define PE_AT       0x80

static uint8_t *file;

static void set32(size_t at, uint32_t v)
{
    memcpy(file + at, &v, sizeof(v));
}

static int begin(void **state)
{
    (void)state;
    file = calloc(1, FILE_SIZE);
    file[0x1f1] = SETUP_SECTS;
    set32(0x1f4, SYS_SIZE / 16);
    file[0x1fe] = 0x55;
    file[0x1ff] = 0xaa;
    memcpy(file + 0x202, "HdrS", 4);
    file[0x206] = 0x0f;
    file[0x207] = 2;
    set32(0x3c, PE_AT);
    set32(0x248, 0x100);
    set32(0x24c, 0x200);
    set32(SETUP + 0x100 + 0x200 - 4, 123456);
    memcpy(file + SETUP + 0x100,
           "\xfd"
           "7zXZ\0",
           6);
    return 0;
}

static int end(void **state)
{
    (void)state;
    free(file);
    return 0;
}

static void finds(enum payload_kind kind, size_t size)
{
    struct payload p;

    assert_int_equal(bzimage_find(file, FILE_SIZE, &p), 0);
    assert_int_equal(p.kind, kind);
    assert_int_equal(p.offset, SETUP + 0x100);
    assert_int_equal(p.size, size);
    assert_int_equal(p.unpacked_size, 123456);
}

static void test_kinds(void **state)
{
    (void)state;
    finds(PAYLOAD_XZ, 0x1fc);
    memcpy(file + SETUP + 0x100, "\x1f\x8b\x08", 3);
    finds(PAYLOAD_GZIP, 0x200);
    memcpy(file + SETUP + 0x100, "\x28\xb5\x2f\xfd", 4);
    finds(PAYLOAD_ZSTD, 0x1fc);
    memcpy(file + SETUP + 0x100, "\x02\x21\x4c\x18", 4);
    finds(PAYLOAD_LZ4, 0x1fc);
    memcpy(file + SETUP + 0x100, "BZh9", 4);
    finds(PAYLOAD_BZIP2, 0x1fc);
}

static void fails(size_t size, int want)
{
    struct payload p;
    uint8_t *copy = malloc(size > 0 ? size : 1);

    memcpy(copy, file, size);
    assert_int_equal(bzimage_find(copy, size, &p), want);
    free(copy);
}

static void test_refusals(void **state)
{
    (void)state;
    for (size_t n = 0; n < 0x250; n++) {
        fails(n, BZIMAGE_ERR_FORMAT);
    }
    fails(0x250, BZIMAGE_ERR_TRUNCATED);
    fails(SETUP + 0x300, BZIMAGE_ERR_TRUNCATED);
    fails(FILE_SIZE - 1, BZIMAGE_ERR_TRUNCATED);
    fails(FILE_SIZE, BZIMAGE_ERR_NONE);
    set32(0x248, UINT32_MAX);
    fails(FILE_SIZE, BZIMAGE_ERR_TRUNCATED);
    set32(0x248, 0x100);
    set32(0x24c, UINT32_MAX);
    fails(FILE_SIZE, BZIMAGE_ERR_TRUNCATED);
    set32(0x24c, 0);
    fails(FILE_SIZE, BZIMAGE_ERR_PAYLOAD);
    set32(0x24c, 0x200);
    file[0x206] = 7;
    fails(FILE_SIZE, BZIMAGE_ERR_PROTOCOL);
    file[0x206] = 0x0f;
    memcpy(file + SETUP + 0x100, "junk", 4);
    fails(FILE_SIZE, BZIMAGE_ERR_PAYLOAD);
    file[0x202] = 'h';
    fails(FILE_SIZE, BZIMAGE_ERR_FORMAT);
}

static void test_bare(void **state)
{
    struct payload p;

    (void)state;
    assert_int_equal(bzimage_find("\177ELFxxxx", 8, &p), 0);
    assert_int_equal(p.kind, PAYLOAD_ELF);
    assert_int_equal(p.offset, 0);
    assert_int_equal(p.size, 8);
    assert_int_equal(bzimage_find("\x1f\x8b", 2, &p), 0);
    assert_int_equal(p.kind, PAYLOAD_GZIP);
    assert_int_equal(p.unpacked_size, 0);
}

/* Bit by bit, from the definition of the CRC: not the table method of the code under test. */
static uint32_t crc_slow(size_t size)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < 8 * size; i++) {
        uint32_t bit = (crc ^ ((uint32_t)file[i / 8] >> (i % 8))) & 1;

        crc = (crc >> 1) ^ (bit != 0 ? 0xedb88320u : 0);
    }
    return crc;
}

static void test_checksum(void **state)
{
    (void)state;
    memcpy(file + SETUP + 0x100, "\x02\x21\x4c\x18", 4);
    for (size_t i = SETUP + 0x104; i < SETUP + 0x2f0; i++) {
        file[i] = (uint8_t)(i * 31);
    }
    finds(PAYLOAD_LZ4, 0x1fc); /* the last word is 0: the kernel has no checksum */
    set32(FILE_SIZE - 4, crc_slow(FILE_SIZE - 4));
    assert_int_equal(crc_slow(FILE_SIZE), 0);
    finds(PAYLOAD_LZ4, 0x1fc);
    set32(PE_AT + 0x58, 0x12345678); /* what signing changes does not count */
    set32(PE_AT + 0xa8, 0x9abcdef);
    set32(PE_AT + 0xac, 0x1111);
    finds(PAYLOAD_LZ4, 0x1fc);
    for (size_t i = SETUP + 0x104; i < SETUP + 0x2f0; i += 5) {
        file[i] ^= 0x10;
        fails(FILE_SIZE, BZIMAGE_ERR_CHECKSUM);
        file[i] ^= 0x10;
    }
    finds(PAYLOAD_LZ4, 0x1fc);
}

static void test_words(void **state)
{
    (void)state;
    for (int rc = 0; rc >= BZIMAGE_ERR_CHECKSUM; rc--) {
        assert_string_not_equal(bzimage_strerror(rc), "unknown error");
    }
    assert_string_equal(bzimage_strerror(-77), "unknown error");
    assert_string_equal(payload_kind_name(PAYLOAD_ZSTD), "zstd");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_kinds),    TEST(test_refusals), TEST(test_bare),
        TEST(test_checksum), TEST(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
