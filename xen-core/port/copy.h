/* SPDX-License-Identifier: MIT */
/*
 * Port: the current vcpu's memory.  The only way to touch guest virtual addresses.
 *
 * Each returns the number of bytes NOT copied (0 = all done): the copy ends at the first fault.
 * Addresses within the hypervisor's hole are refused whole.  No lock may be held.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "abi/types.h"

#include "port_inline.h"

/* n bytes; small constant sizes (8, 16, 24, 32) are fast. */
size_t guest_read(void *dst, gptr_t src, size_t n) __attribute__((warn_unused_result));
size_t guest_write(gptr_t dst, const void *src, size_t n) __attribute__((warn_unused_result));
size_t guest_clear(gptr_t dst, size_t n) __attribute__((warn_unused_result));

/*
 * For the hottest paths, words one by one without a buffer (inline, port_inline.h):
 *
 *   bool guest_window_ok(va, n)            n bytes from va are the guest's to name
 *   void guest_window_begin(), _end()      around the accesses, nothing else between them
 *   bool guest_load(uint64_t *to, va), guest_store(va, val)    8 bytes; false: they fault
 */

/* p + index * size, for arrays in guest memory; sets an impossible address on overflow. */
static inline gptr_t gptr_at(gptr_t p, uint64_t index, size_t size)
{
    uint64_t off;
    uint64_t va;
    if (__builtin_mul_overflow(index, size, &off) || __builtin_add_overflow(p.va, off, &va)) {
        va = UINT64_C(0xffff800000000000);
    }
    return (gptr_t){ va };
}

static inline gptr_t gptr(uint64_t va)
{
    return (gptr_t){ va };
}
