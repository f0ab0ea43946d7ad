/* SPDX-License-Identifier: MIT */
/* The two tables of the ABI comparison: the same list, read with our headers and with Xen's. */
#pragma once

#include <stdint.h>

struct abi_entry {
    const char *what;
    uint64_t value;
    uint64_t size; /* fields: bytes; else 0 */
};

/* Both end with a null name. */
extern const struct abi_entry abi_ours[];
extern const struct abi_entry abi_theirs[];
