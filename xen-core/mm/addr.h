/* SPDX-License-Identifier: MIT */
/* Address and frame-number types: a machine frame number cannot be mixed up with a guest's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE  (UINT64_C(1) << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))

/* A machine address in bytes. */
typedef uint64_t paddr_t;

/* A machine frame number: a 4 KiB frame of the machine. */
typedef struct {
    uint64_t n;
} mfn_t;

#define MFN(num)    ((mfn_t){ (num) })
#define INVALID_MFN MFN(~UINT64_C(0))

static inline bool mfn_eq(mfn_t a, mfn_t b)
{
    return a.n == b.n;
}

static inline paddr_t mfn_to_paddr(mfn_t mfn)
{
    return mfn.n << PAGE_SHIFT;
}

static inline mfn_t paddr_to_mfn(paddr_t pa)
{
    return MFN(pa >> PAGE_SHIFT);
}
