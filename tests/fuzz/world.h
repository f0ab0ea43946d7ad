/* SPDX-License-Identifier: MIT */
/* For fuzzers of calls: a control domain and a guest, made for one input and taken down after it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/mm_kit.h"

extern struct kit_guest world_guest[2]; /* 0 is dom0 */

/* What is left of an input; after its end everything is 0. */
struct world_input {
    const uint8_t *at;
    size_t left;
};

uint8_t world_byte(struct world_input *in);
uint64_t world_word(struct world_input *in);
/* Numbers that calls trip over, small ones, frames of either domain, addresses, and any. */
uint64_t world_number(struct world_input *in);
/* Fills n bytes: words of world_number(), or what the input says. */
void world_fill(struct world_input *in, void *to, size_t n);
/* A frame of one of the two, tables among them. */
struct frame *world_frame(struct world_input *in);

/* Writes n bytes (of whole words) at a guest's address as the loaded vcpu would; what it cannot
 * write stays. */
void world_put(uint64_t va, const void *from, size_t n);

void world_begin(void);
/* Aborts if anything is left. */
void world_end(void);
/* Caches, grants, ports and domains, each fourth time all frames. Aborts. */
void world_audit(void);
