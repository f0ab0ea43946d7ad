/* SPDX-License-Identifier: MIT */
/* The hypervisor's part of every guest's top-level table. */
#pragma once

#include <stdint.h>

/* Entries 256..271 of the template root (hw/paging.c). */
extern const uint64_t *x86_hv_slots;
