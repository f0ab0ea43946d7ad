/* SPDX-License-Identifier: MIT */
/* Unpacking of compressed kernels with the usual libraries, within a bound on the result. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/bzimage.h"

#define UNPACK_MAX (UINT64_C(512) << 20) /* bytes that an unpacked kernel may have */

/*
 * Unpacks `size` bytes of the given kind; *out is to be freed by the caller.  `hint` is the size
 * the file claims for the result, 0 if it does not say; a result of another size than claimed is
 * refused.  -EBADMSG (damaged or ends early), -E2BIG (more than UNPACK_MAX), -EOPNOTSUPP (a kind
 * that is recognised but not unpacked), -ENOMEM.
 */
int unpack(enum payload_kind kind, const void *data, size_t size, uint64_t hint, void **out,
           size_t *out_size);
