/* SPDX-License-Identifier: MIT */
/*
 * From a kernel file to its ELF image, by the well-kept decompression libraries.
 *
 * The libraries are built for a hosted system: they use the red zone, vector registers and a stack
 * protector that reads %fs:0x28. So they run with interrupts off (task priority at the top: the
 * firmware's timer would run on our stack) and FS on readable memory. No firmware call is made
 * meanwhile: the heap is taken before, errors are told after.
 */

#include "arch/efi/loader.h"

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "lib/elf.h"
#include "lib/mem.h"

#define UNPACKED_LIMIT \
    (UINT64_C(1) << 30) /* no kernel is larger; keeps a forged size from taking all memory */
#define HEAP_SMALL \
    (UINT64_C(40) << 20) /* enough for the 32 MiB window that kernels are packed with */
#define HEAP_LARGE (UINT64_C(144) << 20)
#define LZ4_BLOCK  (UINT32_C(8) << 20)

enum unpack_result { UNPACK_OK, UNPACK_CORRUPT, UNPACK_SIZE, UNPACK_HEAP };

struct job {
    const uint8_t *in;
    uint64_t in_size;
    uint8_t *out;
    uint64_t out_size; /* room; after success, what was produced */
};

static enum unpack_result unpack_xz(struct job *job)
{
    uint64_t limit = HEAP_LARGE;
    size_t in = 0;
    size_t out = 0;
    lzma_ret rc = lzma_stream_buffer_decode(&limit, 0, NULL, job->in, &in, job->in_size, job->out,
                                            &out, job->out_size);

    if (rc == LZMA_OK) {
        job->out_size = out;
        return UNPACK_OK;
    }
    if (rc == LZMA_MEM_ERROR || rc == LZMA_MEMLIMIT_ERROR) {
        return UNPACK_HEAP;
    }
    return rc == LZMA_BUF_ERROR ? UNPACK_SIZE : UNPACK_CORRUPT;
}

static enum unpack_result unpack_zstd(struct job *job)
{
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    size_t n;

    if (ctx == NULL) {
        return UNPACK_HEAP;
    }
    n = ZSTD_decompressDCtx(ctx, job->out, job->out_size, job->in, job->in_size);
    if (ZSTD_isError(n)) {
        return UNPACK_CORRUPT;
    }
    job->out_size = n;
    return UNPACK_OK;
}

static enum unpack_result unpack_gzip(struct job *job)
{
    z_stream stream = { .next_in = (Bytef *)(uintptr_t)job->in, .avail_in = (uInt)job->in_size };
    int rc;

    stream.next_out = job->out;
    stream.avail_out = (uInt)job->out_size;
    if (inflateInit2(&stream, 15 + 16) != Z_OK) {
        return UNPACK_HEAP;
    }
    rc = inflate(&stream, Z_FINISH);
    if (rc == Z_STREAM_END) {
        job->out_size = stream.total_out;
        return UNPACK_OK;
    }
    return rc == Z_BUF_ERROR || rc == Z_OK ? UNPACK_SIZE : UNPACK_CORRUPT;
}

/* The legacy framing of the lz4 program: a magic word, then blocks, each behind a 32-bit length; 8
 * MiB unpacked but the last. */
static enum unpack_result unpack_lz4(struct job *job)
{
    uint64_t at = 4;
    uint64_t out = 0;

    while (job->in_size - at >= sizeof(uint32_t)) {
        uint64_t room = job->out_size - out < LZ4_BLOCK ? job->out_size - out : LZ4_BLOCK;
        uint32_t length;
        int n;

        memcpy(&length, job->in + at, sizeof(length));
        at += sizeof(length);
        if (length == 0) {
            break;
        }
        if (length > job->in_size - at || length > INT32_MAX) {
            return UNPACK_SIZE;
        }
        n = LZ4_decompress_safe((const char *)job->in + at, (char *)job->out + out, (int)length,
                                (int)room);
        if (n < 0) {
            return UNPACK_CORRUPT;
        }
        at += length;
        out += (uint64_t)(unsigned int)n;
    }
    if (out != job->out_size) {
        return UNPACK_SIZE;
    }
    return UNPACK_OK;
}

static enum unpack_result unpack_by_kind(enum payload_kind kind, struct job *job)
{
    switch (kind) {
    case PAYLOAD_XZ:
        return unpack_xz(job);
    case PAYLOAD_ZSTD:
        return unpack_zstd(job);
    case PAYLOAD_GZIP:
        return unpack_gzip(job);
    default:
        return unpack_lz4(job);
    }
}

/* Run one decompressor in the surroundings it needs. */
static enum unpack_result run(enum payload_kind kind, struct job *job, uint64_t heap)
{
    static uint8_t fs_area[64] __attribute__((aligned(64)));
    enum unpack_result result;
    uint64_t fs;
    EFI_TPL tpl;

    if (!unpack_begin(heap)) {
        return UNPACK_HEAP;
    }
    tpl = efi_bs->RaiseTPL(TPL_HIGH_LEVEL);
    fs = cpu_fs_swap((uint64_t)fs_area);
    result = unpack_by_kind(kind, job);
    cpu_fs_swap(fs);
    efi_bs->RestoreTPL(tpl);
    unpack_end();
    return result;
}

static bool unpack_payload(const char *name, const struct blob *in, const struct payload *payload,
                           struct blob *out)
{
    const char *kind = payload_kind_name(payload->kind);
    struct job job = { .in = in->data + payload->offset, .in_size = payload->size };
    enum unpack_result result;

    if (payload->unpacked_size == 0 || payload->unpacked_size > UNPACKED_LIMIT) {
        return fail("kernel %s: corrupt %s payload: claims %llu bytes unpacked", name, kind,
                    (unsigned long long)payload->unpacked_size);
    }
    if (!pages_alloc(out, payload->unpacked_size, "unpacked kernel")) {
        return false;
    }
    job.out = out->data;
    job.out_size = payload->unpacked_size;
    result = run(payload->kind, &job, HEAP_SMALL);
    if (result == UNPACK_HEAP) {
        job.out_size = payload->unpacked_size;
        result = run(payload->kind, &job, HEAP_LARGE);
    }
    if (result == UNPACK_OK && job.out_size == payload->unpacked_size) {
        return true;
    }
    pages_free(out);
    if (result == UNPACK_HEAP) {
        return fail("kernel %s: not enough memory to unpack %s", name, kind);
    }
    return fail("kernel %s: corrupt %s payload: %s", name, kind,
                result == UNPACK_CORRUPT ? "does not unpack" : "is not as long as the file says");
}

/*
 * Turn a kernel file into an ELF image. A compressed file that is not inside a bzImage does not say
 * its unpacked size where this could trust it, and no distribution ships one: refused. On success
 * *in is empty.
 */
bool unpack_kernel(const char *name, struct blob *in, struct blob *out)
{
    struct payload payload;
    int rc = bzimage_find(in->data, in->size, &payload);
    bool ok;

    if (rc != BZIMAGE_ERR_NONE) {
        return fail("kernel %s: %s", name, bzimage_strerror(rc));
    }
    switch (payload.kind) {
    case PAYLOAD_ELF:
        memmove(in->data, in->data + payload.offset, payload.size);
        in->size = payload.size;
        pages_trim(in);
        *out = *in;
        *in = (struct blob){ .data = NULL, .size = 0, .pages = 0 };
        return true;
    case PAYLOAD_XZ:
    case PAYLOAD_ZSTD:
    case PAYLOAD_GZIP:
    case PAYLOAD_LZ4:
        ok = payload.unpacked_size == 0 && payload.offset == 0
                 ? fail("kernel %s: a bare %s file; a bzImage or an ELF file is needed", name,
                        payload_kind_name(payload.kind))
                 : unpack_payload(name, in, &payload, out);
        if (ok) {
            pages_free(in);
        }
        return ok;
    default:
        return fail(
            "kernel %s: compressed by %s, which is not supported (xz, zstd, lz4 and gzip are)",
            name, payload_kind_name(payload.kind));
    }
}
