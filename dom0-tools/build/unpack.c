/* SPDX-License-Identifier: MIT */
/* Bounded unpacking of gzip, xz, zstd and lz4 (legacy frames) into one growing block of memory. */
#include "build/unpack.h"

#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define XZ_MEMORY_MAX   (UINT64_C(512) << 20) /* what the decoder may allocate */
#define LZ4_MAGIC       0x184c2102u
#define LZ4_BLOCK_MAX   (8u << 20) /* unpacked bytes of one block of the legacy frame */
#define FIRST_ALLOC     (UINT64_C(16) << 20)
#define ZSTD_WINDOW_LOG 27

struct sink {
    uint8_t *data;
    size_t used;
    size_t room;
};

/* Makes sure that at least `n` bytes are free; the block doubles until the bound. */
static int reserve(struct sink *s, size_t n)
{
    size_t room = s->room;
    uint8_t *grown;

    if (n > UNPACK_MAX - s->used) {
        return -E2BIG;
    }
    if (s->room - s->used >= n) {
        return 0;
    }
    while (room - s->used < n) {
        room = room * 2 < UNPACK_MAX ? room * 2 : UNPACK_MAX;
    }
    grown = realloc(s->data, room);
    if (grown == NULL) {
        return -ENOMEM;
    }
    s->data = grown;
    s->room = room;
    return 0;
}

static int unpack_gzip(struct sink *s, const uint8_t *in, size_t size)
{
    z_stream z = { .next_in = (Bytef *)in, .avail_in = (uInt)size };
    int rc = 0;
    int zrc;

    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) {
        return -ENOMEM;
    }
    do {
        rc = reserve(s, 1);
        if (rc != 0) {
            break;
        }
        z.next_out = s->data + s->used;
        z.avail_out = (uInt)(s->room - s->used);
        zrc = inflate(&z, Z_NO_FLUSH);
        s->used = s->room - z.avail_out;
        if (zrc != Z_OK && zrc != Z_STREAM_END) {
            rc = zrc == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
        } else if (zrc == Z_OK && z.avail_in == 0 && z.avail_out != 0) {
            rc = -EBADMSG;
        }
    } while (rc == 0 && zrc != Z_STREAM_END);
    inflateEnd(&z);
    return rc;
}

static int unpack_xz(struct sink *s, const uint8_t *in, size_t size)
{
    lzma_stream z = LZMA_STREAM_INIT;
    lzma_ret zrc;
    int rc = 0;

    if (lzma_stream_decoder(&z, XZ_MEMORY_MAX, 0) != LZMA_OK) {
        return -ENOMEM;
    }
    z.next_in = in;
    z.avail_in = size;
    do {
        rc = reserve(s, 1);
        if (rc != 0) {
            break;
        }
        z.next_out = s->data + s->used;
        z.avail_out = s->room - s->used;
        zrc = lzma_code(&z, z.avail_in == 0 ? LZMA_FINISH : LZMA_RUN);
        s->used = s->room - z.avail_out;
        if (zrc != LZMA_OK && zrc != LZMA_STREAM_END) {
            rc = zrc == LZMA_MEM_ERROR ? -ENOMEM : -EBADMSG;
        }
    } while (rc == 0 && zrc != LZMA_STREAM_END);
    lzma_end(&z);
    return rc;
}

static int unpack_zstd(struct sink *s, const uint8_t *in, size_t size)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    ZSTD_inBuffer src = { .src = in, .size = size };
    size_t left = 1;
    int rc = z != NULL ? 0 : -ENOMEM;

    if (rc == 0) {
        ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
    }
    while (rc == 0 && left != 0) {
        rc = reserve(s, 1);
        if (rc == 0) {
            ZSTD_outBuffer dst = { .dst = s->data, .size = s->room, .pos = s->used };

            left = ZSTD_decompressStream(z, &dst, &src);
            if (ZSTD_isError(left) || (left != 0 && src.pos == src.size && dst.pos < dst.size)) {
                rc = -EBADMSG;
            }
            s->used = dst.pos;
        }
    }
    ZSTD_freeDStream(z);
    return rc;
}

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int unpack_lz4(struct sink *s, const uint8_t *in, size_t size)
{
    size_t at = 4;
    uint32_t block;
    int n;
    int rc;

    if (size < 4 || le32(in) != LZ4_MAGIC) {
        return -EBADMSG;
    }
    while (size - at >= 4) {
        block = le32(in + at);
        at += 4;
        if (block == LZ4_MAGIC) { /* frames may follow one another */
            continue;
        }
        if (block == 0 || block > size - at) {
            return -EBADMSG;
        }
        rc = reserve(s, LZ4_BLOCK_MAX);
        if (rc != 0) {
            return rc;
        }
        n = LZ4_decompress_safe((const char *)in + at, (char *)s->data + s->used, (int)block,
                                LZ4_BLOCK_MAX);
        if (n < 0) {
            return -EBADMSG;
        }
        s->used += (size_t)n;
        at += block;
    }
    return at == size && s->used > 0 ? 0 : -EBADMSG;
}

int unpack(enum payload_kind kind, const void *data, size_t size, uint64_t hint, void **out,
           size_t *out_size)
{
    struct sink s = { .room = hint > 0 ? hint + LZ4_BLOCK_MAX : FIRST_ALLOC };
    int rc;

    *out = NULL;
    *out_size = 0;
    if (hint > UNPACK_MAX - LZ4_BLOCK_MAX || size > UNPACK_MAX) {
        return -E2BIG;
    }
    s.data = malloc(s.room);
    if (s.data == NULL) {
        return -ENOMEM;
    }
    switch (kind) {
    case PAYLOAD_GZIP:
        rc = unpack_gzip(&s, data, size);
        break;
    case PAYLOAD_XZ:
        rc = unpack_xz(&s, data, size);
        break;
    case PAYLOAD_ZSTD:
        rc = unpack_zstd(&s, data, size);
        break;
    case PAYLOAD_LZ4:
        rc = unpack_lz4(&s, data, size);
        break;
    default:
        rc = -EOPNOTSUPP;
        break;
    }
    if (rc == 0 && hint != 0 && s.used != hint) {
        rc = -EBADMSG;
    }
    if (rc != 0) {
        free(s.data);
        return rc;
    }
    *out = s.data;
    *out_size = s.used;
    return 0;
}
