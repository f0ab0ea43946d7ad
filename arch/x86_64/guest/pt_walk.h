/* SPDX-License-Identifier: MIT */
/*
 * Page tables as typed frames: making them valid, giving them up, and the one walk per domain that
 * may be pending.
 *
 * A level-1 table is the unit of work: 512 entries are walked in one go.  Walks over higher levels
 * stop between such units when the cpu has other work, and leave a cursor in the domain (struct
 * pt_cursor).  Whoever next needs the tables, and domain death, finishes it first (pt_finish), so
 * there is never more than one.
 *
 * The request that began a validation comes back (HC_AGAIN) and finds the table valid.  If another
 * vcpu finished the walk, the references wait for the request in a hold, so two vcpus cannot undo
 * each other's work for ever.
 */
#pragma once

#include <stdint.h>

#include "guest/mm_x86.h"

/* Bring a pending walk to its end. 0 or HC_AGAIN. locks: mm(d) held. */
int64_t pt_finish(struct domain *d);
/* The same from outside the lock, after -EAGAIN from a frame of d: 0 (try again) or HC_AGAIN.
 * locks: takes mm(d). */
int64_t pt_finish_unlocked(struct domain *d);
/*
 * Drop a reference and a type reference of a page table of d.  0, or HC_AGAIN: dropped, but a walk
 * over it is pending, for pt_finish().  locks: mm(d) held, no walk pending.
 */
int64_t pt_put(struct domain *d, struct frame *f);
/* Domain death: give up all holds. 0 or HC_AGAIN. locks: mm(d) held. */
int64_t pt_drop_holds(struct domain *d);

/* What may stand in a present entry of levels 2-4; 0 or -EINVAL. */
static inline int pt_upper_check(pte_t e)
{
    return (e & (PTE_PWT | PTE_PCD | PTE_PSE | PTE_G)) != 0 ? -EINVAL : 0;
}

static inline pte_t pt_upper_adjust(pte_t e)
{
    return e | PTE_US;
}

/* Slots of a level-4 table that are not the guest's. */
static inline bool pt_slot_is_hv(unsigned int level, unsigned int index)
{
    return level == 4 && index >= PT4_HV_FIRST && index <= PT4_HV_LAST;
}
