/* SPDX-License-Identifier: MIT */
/* A bump allocator over the boot memory map, until the heap stands.  Nothing is ever given back. */
#pragma once

#include <stdint.h>

#include "mm/addr.h"

struct boot_info;

void boot_alloc_init(const struct boot_info *bi);
/* Physical address of `frames` contiguous frames aligned to `align` frames (a power of two), not
 * zeroed. Panics if there are none. */
paddr_t boot_alloc(uint64_t frames, uint64_t align);
/* All memory can be reached now: from here on memory above 4 GiB is taken too, first. */
void boot_alloc_mapped(void);
/* Give everything usable that was not taken to the heap (after frame_init); ends the use of
 * boot_alloc. */
void boot_alloc_finish(const struct boot_info *bi);
