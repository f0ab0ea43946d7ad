/* SPDX-License-Identifier: MIT */
/* Indices from guests: kept in bounds on the wrong side of a mispredicted check, too. */
#pragma once

#include <stdint.h>

/* i if i < n, else 0, without a branch; n and the difference fit 63 bits. */
static inline uint64_t index_nospec(uint64_t i, uint64_t n)
{
    uint64_t below = (uint64_t)((int64_t)((i - n) & ~i) >> 63); /* all ones if i < n */
    return i & below;
}
