/* SPDX-License-Identifier: MIT */
/*
 * Page-table calls: mmu_update, mmuext_op, update_va_mapping.
 *
 * Facts: Xen 4.17 public xen.h.
 */
#pragma once

#include "abi/types.h"

/* mmu_update: low two bits of ptr. The foreign domain's id is in the upper half of the foreigndom
 * argument plus one (the owner of the tables) and in the lower half (the owner of the targets). */
#define MMU_NORMAL_PT_UPDATE       0 /* ptr: machine address of the entry; val: new entry */
#define MMU_MACHPHYS_UPDATE        1 /* ptr: machine address in the frame; val: its new pfn */
#define MMU_PT_UPDATE_PRESERVE_AD  2 /* as 0, accessed and dirty kept */
#define MMU_PT_UPDATE_NO_TRANSLATE 3

struct mmu_update {
    uint64_t ptr;
    uint64_t val;
};
_Static_assert(sizeof(struct mmu_update) == 16, "mmu_update");

/* mmuext_op.cmd; the operand that each reads */
#define MMUEXT_PIN_L1_TABLE       0 /* arg1.mfn */
#define MMUEXT_PIN_L2_TABLE       1 /* arg1.mfn */
#define MMUEXT_PIN_L3_TABLE       2 /* arg1.mfn */
#define MMUEXT_PIN_L4_TABLE       3 /* arg1.mfn */
#define MMUEXT_UNPIN_TABLE        4 /* arg1.mfn */
#define MMUEXT_NEW_BASEPTR        5 /* arg1.mfn */
#define MMUEXT_TLB_FLUSH_LOCAL    6
#define MMUEXT_INVLPG_LOCAL       7 /* arg1.linear_addr */
#define MMUEXT_TLB_FLUSH_MULTI    8 /* arg2.vcpumask */
#define MMUEXT_INVLPG_MULTI       9 /* arg1.linear_addr, arg2.vcpumask */
#define MMUEXT_TLB_FLUSH_ALL      10
#define MMUEXT_INVLPG_ALL         11 /* arg1.linear_addr */
#define MMUEXT_FLUSH_CACHE        12
#define MMUEXT_SET_LDT            13 /* arg1.linear_addr, arg2.nr_ents */
#define MMUEXT_NEW_USER_BASEPTR   15 /* arg1.mfn, 0 for none */
#define MMUEXT_CLEAR_PAGE         16 /* arg1.mfn */
#define MMUEXT_COPY_PAGE          17 /* arg1.mfn, arg2.src_mfn */
#define MMUEXT_FLUSH_CACHE_GLOBAL 18
#define MMUEXT_MARK_SUPER         19
#define MMUEXT_UNMARK_SUPER       20

struct mmuext_op {
    uint32_t cmd;
    union {
        xen_pfn_t mfn;
        uint64_t linear_addr;
    } arg1;
    union {
        uint32_t nr_ents;
        gptr_t vcpumask; /* one bit per vCPU */
        xen_pfn_t src_mfn;
    } arg2;
};
_Static_assert(sizeof(struct mmuext_op) == 24, "mmuext_op");

/* update_va_mapping: flags; where UVMF_MULTI is meant, the rest is the address of a mask */
#define UVMF_NONE           (0UL << 0)
#define UVMF_TLB_FLUSH      (1UL << 0)
#define UVMF_INVLPG         (2UL << 0)
#define UVMF_FLUSHTYPE_MASK (3UL << 0)
#define UVMF_MULTI          (0UL << 2)
#define UVMF_LOCAL          (0UL << 2)
#define UVMF_ALL            (1UL << 2)
