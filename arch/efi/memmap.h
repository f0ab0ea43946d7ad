/* SPDX-License-Identifier: MIT */
/* From the firmware's memory map to the ranges of struct boot_info: pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "start/boot_info.h"

/* A piece of usable memory that the loader has put to use. */
struct memmap_piece {
    uint64_t start; /* bytes, page-aligned */
    uint64_t end;
    uint32_t type; /* enum boot_range_type */
};

bool memmap_convert(const void *map, size_t map_size, size_t entry_size, struct boot_info *bi);
bool memmap_carve(struct boot_info *bi, const struct memmap_piece *piece);
uint64_t memmap_usable(const struct boot_info *bi);
