/* SPDX-License-Identifier: MIT */
/*
 * The planner for a PV domain's memory at its start (x86_64): pure arithmetic from image and sizes
 * to addresses. The hypervisor (for domain 0) and the tools (for guests) execute the same plan.
 *
 *   virtual, from v_start; pseudo-physical frame = (va - v_start) / 4096
 *   +--------+---------+-----+------------+-------+---------+-------------+-------+-----------+
 * v_end (4 MiB aligned) | kernel | ramdisk | P2M | start_info | store | console | page tables |
 * stack | >= 512 KiB |
 *   +--------+---------+-----+------------+-------+---------+-------------+-------+-----------+
 *              [1]       [2]                [3]     [3]
 *   frames after v_end: ramdisk [1], P2M page tables and P2M [2]
 *
 * [1] A kernel with the note MOD_START_PFN gets the ramdisk unmapped, right after the region.
 * [2] A kernel with the note INIT_P2M gets the list mapped there, by page tables of its own below
 * the common top level. [3] Not for the control domain.
 *
 * To execute a plan:
 *   - give the domain frames 0 … pages_needed-1 (and the rest up to `pages`),
 *   - copy the image's segments: frame pvplan_pfn(plan, segment.va), zeros elsewhere,
 *   - copy the ramdisk to ramdisk.pfn …; write the P2M list (8 bytes per frame, `pages` entries) to
 * p2m.pfn …,
 *   - for each i < pvplan_table_count(): pvplan_table(), and for each slot 0 … 511 pvplan_entry():
 * write the entry,
 *   - fill start_info from the plan: pt_base = pt.va, nr_pt_frames = pt.frames, mfn_list = p2m.va,
 *     mod_start = plan->mod_start, mod_len = bytes of the ramdisk, flags |= plan->mod_start_flags,
 *     first_p2m_pfn and nr_p2m_frames as in the plan,
 *   - pin the top-level table pt.pfn; start at entry with RSI = start_info.va, RSP = stack_top.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/elf.h"

#define PV_PAGE_SHIFT 12
#define PV_PAGE_SIZE  UINT64_C(4096)
#define PV_NONE       UINT64_MAX
#define PV_SLOTS      512

/* One part of the start-of-day memory. */
struct pv_part {
    uint64_t va;     /* page-aligned; PV_NONE = not mapped or absent */
    uint64_t pfn;    /* first frame; PV_NONE = absent */
    uint64_t frames; /* 0 = absent */
};

struct pv_plan_input {
    const struct image_info *image;
    uint64_t ramdisk_size; /* bytes, 0 = none */
    uint64_t pages;        /* frames the domain starts with: entries of the P2M list */
    bool control;          /* the control domain: no store page, no console page */
};

/* A range of addresses mapped by its own tables of levels 3, 2 and 1: internal to the planner, but
 * for the counts. */
struct pv_range {
    uint64_t va;       /* first address, 2 MiB aligned */
    uint64_t end;      /* exclusive, page-aligned */
    uint64_t pfn;      /* frame of `va` */
    uint64_t count[4]; /* tables per level: [1] … [3]; [0] is not used */
    uint64_t first[4]; /* frame of the first table per level */
};

struct pv_plan {
    uint64_t v_start; /* the region, v_end exclusive; both multiples of 4 MiB */
    uint64_t v_end;
    uint64_t entry;
    uint64_t stack_top;      /* initial stack pointer */
    uint64_t hypercall_page; /* virtual, or PV_NONE */
    struct pv_part kernel;
    struct pv_part ramdisk;
    struct pv_part p2m;
    struct pv_part start_info;
    struct pv_part store;
    struct pv_part console;
    struct pv_part pt;     /* tables of the region; the first is the top level */
    struct pv_part p2m_pt; /* tables of a P2M list outside the region; never mapped */
    struct pv_part stack;
    uint64_t
        mod_start; /* start_info.mod_start: address, or frame number if unmapped, 0 = no ramdisk */
    uint32_t mod_start_flags; /* SIF_MOD_START_PFN or 0 */
    uint64_t first_p2m_pfn;   /* start_info's fields: a P2M list outside the region with its tables,
                                 or 0 and 0 */
    uint64_t nr_p2m_frames;
    uint64_t pages;           /* as given */
    uint64_t pages_needed;    /* frames that the plan itself uses, from frame 0; also set for
                                 PVPLAN_ERR_MEMORY */
    struct pv_range range[2]; /* [0] the region, [1] the P2M list; count[3] = 0 if absent */
};

/* One page table of the plan. */
struct pv_table {
    unsigned int level; /* 4 … 1 */
    unsigned int range; /* index into plan->range; 0 for level 4 */
    uint64_t pfn;
    uint64_t va; /* first address that slot 0 maps */
};

enum pvplan_error {
    PVPLAN_ERR_NONE = 0,
    PVPLAN_ERR_MEMORY = -1, /* `pages` is less than pages_needed */
    PVPLAN_ERR_ADDRESS =
        -2, /* the region does not fit the address space or touches the hypervisor's hole */
    PVPLAN_ERR_P2M = -3,  /* the P2M list is wanted where it cannot be: unaligned, in the hole, same
                             top-level slot */
    PVPLAN_ERR_SIZE = -4, /* a size is beyond all reason (more than 16 TiB) */
};

int pvplan_make(const struct pv_plan_input *in, struct pv_plan *out);
const char *pvplan_strerror(int rc);

/* Frame of an address in the region [v_start, v_end). */
static inline uint64_t pvplan_pfn(const struct pv_plan *plan, uint64_t va)
{
    return (va - plan->v_start) >> PV_PAGE_SHIFT;
}

uint64_t pvplan_table_count(const struct pv_plan *plan);
void pvplan_table(const struct pv_plan *plan, uint64_t index, struct pv_table *out);
uint64_t pvplan_entry(const struct pv_plan *plan, const struct pv_table *table, unsigned int slot,
                      bool *writable);
