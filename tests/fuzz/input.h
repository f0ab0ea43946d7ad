/* SPDX-License-Identifier: MIT */
/* What the fuzzers' drivers take their choices from: bytes, most significant first; past the end,
 * 0. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct input {
    const uint8_t *at;
    size_t left;
};

static inline uint8_t byte(struct input *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->at++;
}

static inline uint64_t word(struct input *in)
{
    uint64_t x = 0;

    for (unsigned int i = 0; i < 8; i++) {
        x = x << 8 | byte(in);
    }
    return x;
}
