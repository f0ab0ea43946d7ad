/* SPDX-License-Identifier: MIT */
/* Page-table entry format of x86_64; nothing else knows these bits.  SDM vol. 3A section 4.5. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/addr.h"

typedef uint64_t pte_t;

#define PTE_P   (UINT64_C(1) << 0)
#define PTE_RW  (UINT64_C(1) << 1)
#define PTE_US  (UINT64_C(1) << 2)
#define PTE_PWT (UINT64_C(1) << 3)
#define PTE_PCD (UINT64_C(1) << 4)
#define PTE_A   (UINT64_C(1) << 5)
#define PTE_D   (UINT64_C(1) << 6)
#define PTE_PSE (UINT64_C(1) << 7) /* levels 2-4; PAT in level 1 */
#define PTE_PAT (UINT64_C(1) << 7)
#define PTE_G   (UINT64_C(1) << 8)
#define PTE_AVL (UINT64_C(7) << 9)
#define PTE_GUEST_KERNEL \
    (UINT64_C(1) << 52) /* ours: a kernel-mode page of the guest (US is forced) */
#define PTE_NX   (UINT64_C(1) << 63)
#define PTE_ADDR UINT64_C(0x000ffffffffff000)

#define PT_ENTRIES 512u

/* Slots of a top-level table that belong to the hypervisor (256..271: ABI, xen.h). */
#define PT4_HV_FIRST 256u
#define PT4_HV_LAST  271u

#define HV_VIRT_START UINT64_C(0xffff800000000000)
#define HV_VIRT_END   UINT64_C(0xffff880000000000)

static inline mfn_t pte_mfn(pte_t e)
{
    return MFN((e & PTE_ADDR) >> PAGE_SHIFT);
}

/* First frame number that the processor cannot address. */
uint64_t cpu_mfn_limit(void);

static inline pte_t pte_make(mfn_t mfn, uint64_t flags)
{
    return (mfn.n << PAGE_SHIFT) | flags;
}

static inline unsigned int pt_index(uint64_t va, unsigned int level)
{
    return (unsigned int)(va >> (PAGE_SHIFT + 9 * (level - 1))) & (PT_ENTRIES - 1);
}

static inline bool va_canonical(uint64_t va)
{
    return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}

/* Guests may name this address: canonical and not in the hypervisor's hole. */
static inline bool va_guest_ok(uint64_t va)
{
    return va_canonical(va) && (va < HV_VIRT_START || va >= HV_VIRT_END);
}
