/* SPDX-License-Identifier: MIT */
/* The hypervisor's part of every guest's top-level table. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Entries 256..271 of the template root (hw/paging.c). */
extern const uint64_t *x86_hv_slots;

/*
 * L1TF: the processor reads its cache through an entry that is not present.  An address of 1 to
 * x86_l1tf_span under x86_l1tf_mask names memory; a span of 0 is a processor without that.  Set at
 * boot, before there are guests.
 */
extern uint64_t x86_l1tf_mask;
extern uint64_t x86_l1tf_span;

/*
 * Page-table isolation keeps copies of guests' top-level tables: any change of one is counted,
 * after the entry is written and before a clock of flushes is read for it.  Not counted unless
 * watched, which is decided at boot.
 */
extern bool x86_root_watched;
extern _Atomic uint64_t x86_root_changes;

static inline void x86_root_changed(void)
{
    if (__builtin_expect(x86_root_watched, 0)) {
        atomic_fetch_add(&x86_root_changes, 1);
    }
}
