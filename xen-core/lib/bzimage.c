/* SPDX-License-Identifier: MIT */
/* Linux's bzImage container. Facts: the boot protocol, Documentation/arch/x86/boot.rst, fields of
 * the setup header. */

#include "lib/bzimage.h"

#include <stdbool.h>

#include "lib/mem.h"

#define OFFSET_SETUP_SECTS \
    0x1f1 /* uint8: sectors of set-up code, 0 means 4; one boot sector comes before them */
#define OFFSET_BOOT_FLAG      0x1fe /* uint16: 0xaa55 */
#define OFFSET_MAGIC          0x202 /* "HdrS" */
#define OFFSET_VERSION        0x206 /* uint16 */
#define OFFSET_PAYLOAD_OFFSET 0x248 /* uint32, from the start of the protected-mode code */
#define OFFSET_PAYLOAD_LENGTH \
    0x24c /* uint32, with a trailing word of the unpacked size except for gzip */
#define OFFSET_SYSSIZE  0x1f4 /* uint32: size of the protected-mode code in units of 16 bytes */
#define OFFSET_PE       0x3c /* uint32: where the PE header is, if the file is an EFI program too */
#define PE_CHECKSUM     0x58 /* from the PE header: uint32 */
#define PE_SIGNATURE    0xa8 /* from the PE header: offset and size of the signature, two uint32 */
#define HEADER_END      0x250
#define VERSION_PAYLOAD 0x0208
#define SECTOR          512

struct signature {
    unsigned char bytes[6];
    unsigned char len;
    enum payload_kind kind;
};

static const struct signature signatures[] = {
    { { 0x7f, 'E', 'L', 'F' }, 4, PAYLOAD_ELF },
    { { 0x1f, 0x8b }, 2, PAYLOAD_GZIP },
    { { 0x1f, 0x9e }, 2, PAYLOAD_GZIP },
    { { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6, PAYLOAD_XZ },
    { { 0x28, 0xb5, 0x2f, 0xfd }, 4, PAYLOAD_ZSTD },
    { { 0x02, 0x21, 0x4c, 0x18 }, 4, PAYLOAD_LZ4 },
    { { 0x5d, 0, 0 }, 3, PAYLOAD_LZMA },
    { { 'B', 'Z', 'h' }, 3, PAYLOAD_BZIP2 },
    { { 0x89, 'L', 'Z', 'O', 0, 0x0d }, 6, PAYLOAD_LZO },
};

static uint32_t read_u32(const unsigned char *at)
{
    uint32_t v;

    memcpy(&v, at, sizeof(v));
    return v;
}

/* A word of the PE header that signing changes: the checksum of the file was made when it was 0. */
static bool signed_byte(uint64_t at, uint64_t pe)
{
    return (at >= pe + PE_CHECKSUM && at < pe + PE_CHECKSUM + 4) ||
           (at >= pe + PE_SIGNATURE && at < pe + PE_SIGNATURE + 8);
}

/*
 * The kernel's build ends a bzImage with a checksum that makes the CRC-32 of the whole (without
 * final inversion) 0. Newer kernels have none: there the last word is padding.
 */
static bool checksum_ok(const unsigned char *file, uint64_t size)
{
    uint32_t table[256];
    uint32_t crc = UINT32_MAX;
    uint64_t pe = read_u32(file + OFFSET_PE);

    if (read_u32(file + size - 4) == 0) {
        return true;
    }
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i;

        for (unsigned int bit = 0; bit < 8; bit++) {
            v = (v >> 1) ^ ((v & 1) != 0 ? 0xedb88320u : 0);
        }
        table[i] = v;
    }
    for (uint64_t i = 0; i < size; i++) {
        unsigned char byte = i < HEADER_END && signed_byte(i, pe) ? 0 : file[i];

        crc = table[(crc ^ byte) & 0xff] ^ (crc >> 8);
    }
    return crc == 0;
}

static enum payload_kind kind_of(const unsigned char *at, size_t size)
{
    for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++) {
        const struct signature *s = &signatures[i];

        if (size >= s->len && memcmp(at, s->bytes, s->len) == 0) {
            return s->kind;
        }
    }
    return PAYLOAD_UNKNOWN;
}

/* Find the kernel in a file: a bzImage's payload, or the whole file if it is an ELF image or
 * compressed by itself. */
int bzimage_find(const void *file, size_t size, struct payload *out)
{
    const unsigned char *at = file;
    uint64_t setup_sects;
    uint64_t offset;
    uint64_t length;
    uint64_t end;
    uint16_t version;

    *out = (struct payload){ .offset = 0, .size = size, .kind = kind_of(at, size) };
    if (out->kind != PAYLOAD_UNKNOWN) {
        return BZIMAGE_ERR_NONE;
    }
    if (size < HEADER_END || at[OFFSET_BOOT_FLAG] != 0x55 || at[OFFSET_BOOT_FLAG + 1] != 0xaa ||
        memcmp(at + OFFSET_MAGIC, "HdrS", 4) != 0) {
        return BZIMAGE_ERR_FORMAT;
    }
    memcpy(&version, at + OFFSET_VERSION, sizeof(version));
    if (version < VERSION_PAYLOAD) {
        return BZIMAGE_ERR_PROTOCOL;
    }
    setup_sects = at[OFFSET_SETUP_SECTS] == 0 ? 4 : at[OFFSET_SETUP_SECTS];
    offset = (setup_sects + 1) * SECTOR + read_u32(at + OFFSET_PAYLOAD_OFFSET);
    length = read_u32(at + OFFSET_PAYLOAD_LENGTH);
    end = (setup_sects + 1) * SECTOR + (uint64_t)read_u32(at + OFFSET_SYSSIZE) * 16;
    if (offset > size || length > size - offset || end > size) {
        return BZIMAGE_ERR_TRUNCATED;
    }
    out->offset = offset;
    out->size = length;
    out->kind = kind_of(at + offset, length);
    if (out->kind == PAYLOAD_UNKNOWN) {
        return BZIMAGE_ERR_PAYLOAD;
    }
    if (out->kind == PAYLOAD_LZ4 && !checksum_ok(at, end)) {
        return BZIMAGE_ERR_CHECKSUM; /* the others carry a check of their own */
    }
    if (length > 8 && out->kind != PAYLOAD_ELF) {
        /* gzip ends with the size by its own format; for the others the kernel's build appends it
         */
        out->unpacked_size = read_u32(at + offset + length - 4);
        out->size -= out->kind == PAYLOAD_GZIP ? 0 : 4;
    }
    return BZIMAGE_ERR_NONE;
}

/* The words for an enum bzimage_error, to stand behind a file's name. */
const char *bzimage_strerror(int rc)
{
    switch (rc) {
    case BZIMAGE_ERR_NONE:
        return "no error";
    case BZIMAGE_ERR_FORMAT:
        return "neither a bzImage nor an ELF file";
    case BZIMAGE_ERR_PROTOCOL:
        return "a bzImage of a boot protocol before 2.08";
    case BZIMAGE_ERR_TRUNCATED:
        return "truncated: the payload reaches beyond the end of the file";
    case BZIMAGE_ERR_PAYLOAD:
        return "the payload is compressed in an unknown way or damaged";
    case BZIMAGE_ERR_CHECKSUM:
        return "corrupt: its checksum is wrong";
    default:
        return "unknown error";
    }
}

/* Name of a compression, for messages. */
const char *payload_kind_name(enum payload_kind kind)
{
    static const char *const names[] = {
        [PAYLOAD_UNKNOWN] = "unknown", [PAYLOAD_ELF] = "ELF",     [PAYLOAD_GZIP] = "gzip",
        [PAYLOAD_XZ] = "xz",           [PAYLOAD_ZSTD] = "zstd",   [PAYLOAD_LZ4] = "lz4",
        [PAYLOAD_LZMA] = "lzma",       [PAYLOAD_BZIP2] = "bzip2", [PAYLOAD_LZO] = "lzo",
    };

    return names[kind];
}
