/* SPDX-License-Identifier: MIT */
/* The hypervisor's own page tables. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guest/pte.h"
#include "mm/addr.h"

/* Entries 256..271 of every top-level table. */
extern const uint64_t *x86_hv_slots;
/* Machine address of the root that has nothing but ours: idle cpus run on it. */
uint64_t paging_root(void);

/* The level-1 table of the first half of a cpu's area (512 entries), making it; before any guest
 * runs. */
uint64_t *paging_percpu_table(unsigned int cpu);
/* Map at an offset of the area. */
void paging_percpu_map(unsigned int cpu, uint32_t offset, paddr_t pa, uint64_t flags);

/* Machine address of something in the image. */
paddr_t paging_image_pa(const void *va);
/* The frames of the machine-to-physical table become dom_xen's. */
void paging_share_m2p(void);
/* From now on tables come from the heap. */
void paging_use_heap(void);
/* A zeroed frame for a page table, by its direct-map address. */
uint64_t *paging_new_table(void);
/* Its machine address. */
paddr_t paging_table_pa(const uint64_t *table);
/* The entry of `level` for va below another top-level table than ours, making tables above it. */
uint64_t *paging_entry_in(uint64_t *top, uint64_t va, unsigned int level);
/* The same memory as firmware tables say: direct map if RAM, else a device mapping. */
const void *paging_map_firmware(paddr_t pa, uint64_t size);
