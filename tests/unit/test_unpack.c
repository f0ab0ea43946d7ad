/* SPDX-License-Identifier: MIT */
/* Unpacking: each library's packing, cut short at many places, damaged, too large, falsely sized.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <lz4.h>
#include <lz4hc.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "build/unpack.h"

#define PLAIN_SIZE  (300u * 1024)
#define PACKED_ROOM (1u << 20)

static uint8_t plain[PLAIN_SIZE];
static uint8_t packed[PACKED_ROOM];

/* Half text that packs well, half noise that does not. */
static int make_plain(void **state)
{
    uint32_t x = 1;
    size_t i;
    (void)state;

    for (i = 0; i < PLAIN_SIZE; i++) {
        x = x * 1664525u + 1013904223u;
        plain[i] = i / 4096 % 2 == 0 ? (uint8_t) "a kernel "[i % 9] : (uint8_t)(x >> 24);
    }
    return 0;
}

static size_t pack_gzip(void)
{
    z_stream z = { .next_in = plain, .avail_in = PLAIN_SIZE, .next_out = packed };

    z.avail_out = PACKED_ROOM;
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return PACKED_ROOM - z.avail_out;
}

static size_t pack_xz(void)
{
    size_t n = 0;

    assert_int_equal(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, plain, PLAIN_SIZE, packed,
                                             &n, PACKED_ROOM),
                     LZMA_OK);
    return n;
}

static size_t pack_zstd(void)
{
    size_t n = ZSTD_compress(packed, PACKED_ROOM, plain, PLAIN_SIZE, 3);

    assert_false(ZSTD_isError(n));
    return n;
}

static void put32(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)v;
    at[1] = (uint8_t)(v >> 8);
    at[2] = (uint8_t)(v >> 16);
    at[3] = (uint8_t)(v >> 24);
}

/* Legacy frames: two of them, as when files are joined. */
static size_t pack_lz4(void)
{
    size_t half = PLAIN_SIZE / 2;
    size_t at = 0;
    int part;
    int n;

    for (part = 0; part < 2; part++) {
        put32(packed + at, 0x184c2102);
        n = LZ4_compress_default((const char *)plain + (size_t)part * half, (char *)packed + at + 8,
                                 (int)half, (int)(PACKED_ROOM - at - 8));
        assert_true(n > 0);
        put32(packed + at + 4, (uint32_t)n);
        at += 8 + (size_t)n;
    }
    return at;
}

static const struct {
    enum payload_kind kind;
    size_t (*pack)(void);
    int has_check; /* finds any change of a byte */
} kinds[] = {
    { PAYLOAD_GZIP, pack_gzip, 1 },
    { PAYLOAD_XZ, pack_xz, 1 },
    { PAYLOAD_ZSTD, pack_zstd, 0 },
    { PAYLOAD_LZ4, pack_lz4, 0 },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Unpacks a copy of exact size, so that the sanitizer sees each byte read beyond it. */
static int run(enum payload_kind kind, const uint8_t *data, size_t size, uint64_t hint, void **out,
               size_t *n)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    int rc;

    memcpy(copy, data, size);
    rc = unpack(kind, copy, size, hint, out, n);
    free(copy);
    return rc;
}

static void sound(void **state)
{
    size_t i;
    size_t n;
    void *out;
    (void)state;

    for (i = 0; i < KINDS; i++) {
        size_t size = kinds[i].pack();
        uint64_t hints[] = { 0, PLAIN_SIZE };
        size_t h;

        for (h = 0; h < 2; h++) {
            assert_int_equal(run(kinds[i].kind, packed, size, hints[h], &out, &n), 0);
            assert_int_equal(n, PLAIN_SIZE);
            assert_memory_equal(out, plain, PLAIN_SIZE);
            free(out);
        }
        assert_int_equal(run(kinds[i].kind, packed, size, PLAIN_SIZE - 1, &out, &n), -EBADMSG);
        assert_null(out);
        assert_int_equal(run(kinds[i].kind, packed, size, PLAIN_SIZE + 1, &out, &n), -EBADMSG);
        assert_int_equal(run(kinds[i].kind, packed, size, UINT64_MAX, &out, &n), -E2BIG);
    }
}

static void cut_short(void **state)
{
    size_t i;
    size_t n;
    void *out;
    (void)state;

    for (i = 0; i < KINDS; i++) {
        size_t size = kinds[i].pack();
        size_t cut;

        for (cut = 0; cut < size; cut += cut < 64 || size - cut < 64 ? 1 : size / 23) {
            int rc = run(kinds[i].kind, packed, cut, PLAIN_SIZE, &out, &n);

            if (rc == 0) {
                fail_msg("kind %zu cut at %zu of %zu was taken", i, cut, size);
            }
            assert_null(out);
        }
    }
}

static void damaged(void **state)
{
    size_t i;
    size_t n;
    void *out;
    (void)state;

    for (i = 0; i < KINDS; i++) {
        size_t size = kinds[i].pack();
        size_t at;

        for (at = 0; at < size; at += at < 32 ? 1 : size / 29) {
            int rc;

            packed[at] ^= 0x20;
            rc = run(kinds[i].kind, packed, size, PLAIN_SIZE, &out, &n);
            packed[at] ^= 0x20;
            /* bytes that say nothing about the content may change unseen: the gzip header's */
            if (rc == 0 && kinds[i].has_check) {
                assert_memory_equal(out, plain, PLAIN_SIZE);
            }
            free(out);
        }
    }
}

/* A few bytes that unpack to more than is allowed. */
static void bomb(void **state)
{
    static uint8_t zeros[1u << 20];
    z_stream z = { .next_out = packed, .avail_out = PACKED_ROOM };
    size_t n;
    void *out;
    unsigned int i;
    (void)state;

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    for (i = 0; i <= (UNPACK_MAX >> 20); i++) {
        z.next_in = zeros;
        z.avail_in = sizeof(zeros);
        assert_int_equal(deflate(&z, Z_NO_FLUSH), Z_OK);
    }
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    assert_int_equal(run(PAYLOAD_GZIP, packed, PACKED_ROOM - z.avail_out, 0, &out, &n), -E2BIG);
    assert_null(out);
}

static void unknown(void **state)
{
    size_t n;
    void *out;
    (void)state;

    assert_int_equal(unpack(PAYLOAD_LZMA, "x", 1, 0, &out, &n), -EOPNOTSUPP);
    assert_int_equal(unpack(PAYLOAD_UNKNOWN, "x", 1, 0, &out, &n), -EOPNOTSUPP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound), cmocka_unit_test(cut_short), cmocka_unit_test(damaged),
        cmocka_unit_test(bomb),  cmocka_unit_test(unknown),
    };

    return cmocka_run_group_tests(tests, make_plain, NULL);
}
