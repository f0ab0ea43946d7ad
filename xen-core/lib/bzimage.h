/* SPDX-License-Identifier: MIT */
/* Linux's bzImage container: where the compressed kernel lies in the file, and what compressed it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum payload_kind {
    PAYLOAD_UNKNOWN = 0,
    PAYLOAD_ELF, /* not compressed */
    PAYLOAD_GZIP,
    PAYLOAD_XZ,
    PAYLOAD_ZSTD,
    PAYLOAD_LZ4,  /* the kernel's legacy framing */
    PAYLOAD_LZMA, /* recognised to be named in an error, not unpacked */
    PAYLOAD_BZIP2,
    PAYLOAD_LZO,
};

struct payload {
    size_t offset; /* bytes from the start of the file */
    size_t size;   /* bytes, without the trailing length word if there is one */
    enum payload_kind kind;
    uint64_t unpacked_size; /* what the file claims, 0 = it does not say */
};

enum bzimage_error {
    BZIMAGE_ERR_NONE = 0,
    BZIMAGE_ERR_FORMAT = -1,    /* neither an ELF file, nor a bzImage, nor a known compression */
    BZIMAGE_ERR_PROTOCOL = -2,  /* a boot protocol older than 2.08: has no payload fields */
    BZIMAGE_ERR_TRUNCATED = -3, /* the payload reaches beyond the end of the file */
    BZIMAGE_ERR_PAYLOAD = -4,   /* the payload is compressed by something unknown */
    BZIMAGE_ERR_CHECKSUM = -5,  /* the file's checksum is wrong */
};

int bzimage_find(const void *file, size_t size, struct payload *out);
const char *bzimage_strerror(int rc);
const char *payload_kind_name(enum payload_kind kind);
