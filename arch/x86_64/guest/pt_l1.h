/* SPDX-License-Identifier: MIT */
/*
 * Level-1 entries: the lock bit of their table, what an entry may hold, and its references.
 *
 * All hot paths (mmu_update, update_va_mapping, direct stores, grants, the walker) are made of
 * these, inline.  A level-1 table that is valid stays so while its lock bit is held, whoever holds
 * it: the bit is only ever set on a valid table, and the last type reference of one is not dropped
 * before the bit is clear.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "port/cpu.h"
#include "port/mmu.h"
#include "domain/domain.h"
#include "mm/frame.h"
#include "guest/pte.h"
#include "guest/x86_slots.h"

/* Bits that ordinary guests may not set in a present level-1 entry: memory types are for those who
 * own devices. */
#define PT1_REFUSED (PTE_PWT | PTE_PCD | PTE_PAT)

/* The slow part of pt_l1_get(): memory without a frame, dom_xen's, and errors. May clear PTE_RW in
 * *e. */
int pt_l1_get_special(struct domain *d, struct domain *pg_owner, pte_t *e);
/* Drop the references of an entry that mapped a frame of another domain. */
void pt_l1_put_foreign(struct domain *d, pte_t e, struct frame *f);

/* Lock f as a valid level-1 table of d. False: it is none. */
static inline bool pt_l1_lock(struct frame *f, const struct domain *d)
{
    const uint64_t is_valid = FW_TYPE(FT_PT1) | FW_VALID;
    uint64_t w = frame_word(f);

    do {
        while (__builtin_expect((w & (FW_TYPE_MASK | FW_VALID | FW_LOCK)) != is_valid, 0)) {
            if ((w & (FW_TYPE_MASK | FW_VALID)) != is_valid) {
                return false;
            }
            port_cpu_relax();
            w = frame_word(f);
        }
    } while (!frame_cas(f, &w, w | FW_LOCK));
    if (__builtin_expect(f->owner != d, 0)) {
        atomic_fetch_and_explicit(&f->word, ~FW_LOCK, memory_order_release);
        return false;
    }
    return true;
}

static inline void pt_l1_unlock(struct frame *f)
{
    atomic_fetch_and_explicit(&f->word, ~FW_LOCK, memory_order_release);
}

/*
 * The form in which a present entry is stored: user bit forced; kernel pages marked and never
 * global, user pages global (they are the same under both of a process's roots). 0 or -EINVAL.
 */
static inline int pt_l1_adjust(const struct domain *d, pte_t *e)
{
    pte_t x = *e;

    if (__builtin_expect((x & PT1_REFUSED) != 0, 0) && !d->is_hw) {
        return -EINVAL;
    }
    if ((x & (PTE_US | PTE_GUEST_KERNEL)) == PTE_US) {
        *e = x | PTE_G;
    } else {
        *e = (x & ~PTE_G) | PTE_US | PTE_GUEST_KERNEL;
    }
    return 0;
}

/* Does an entry that is not present let d read what it must not (L1TF)? Domain 0 may read it
 * anyway. */
static inline bool pt_absent_leaks(const struct domain *d, pte_t e)
{
    return __builtin_expect((e & x86_l1tf_mask) - 1 < x86_l1tf_span, 0) && !d->is_hw;
}

/* Take the references of a present entry for table owner d, its frame belonging to pg_owner. 0 or
 * an error. */
static inline int pt_l1_get(struct domain *d, struct domain *pg_owner, pte_t *e)
{
    struct frame *f = frame_of(pte_mfn(*e));

    if (__builtin_expect(f == NULL || frame_owner(f) != pg_owner || pg_owner->is_pseudo, 0)) {
        return pt_l1_get_special(d, pg_owner, e);
    }
    return (*e & PTE_RW) != 0 ? frame_get_writable(f, pg_owner) : frame_get(f, pg_owner);
}

/* Drop the references of a present entry that is no longer in its table. */
static inline void pt_l1_put(struct domain *d, pte_t e)
{
    struct frame *f = frame_of(pte_mfn(e));

    if (__builtin_expect(f == NULL, 0)) {
        return;
    }
    if (__builtin_expect(f->owner != d, 0)) {
        pt_l1_put_foreign(d, e, f);
    } else if ((e & PTE_RW) != 0) {
        frame_put_writable(f);
    } else {
        frame_put(f);
    }
}

static inline pte_t *pt_entries(struct frame *f)
{
    return port_frame_va(frame_mfn(f));
}

static inline pte_t pt_read(const pte_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void pt_write(pte_t *p, pte_t e)
{
    __atomic_store_n(p, e, __ATOMIC_RELEASE);
}

/* Store e, keeping the accessed and dirty bits that stand there now: the processor may set them at
 * any time. */
static inline void pt_write_keep_ad(pte_t *p, pte_t e)
{
    pte_t now = pt_read(p);

    while (!__atomic_compare_exchange_n(p, &now, (e & ~(PTE_A | PTE_D)) | (now & (PTE_A | PTE_D)),
                                        true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
    }
}

/*
 * Whether a change of old to e, which keeps the frame and its references, would take the mark of an
 * access from a frame of another domain: an entry without the mark is taken for one that no
 * translation cache holds (see grant_map.c). The processor may be setting the mark just now, so the
 * new entry alone decides.
 */
static inline bool pt_l1_hides_access(const struct domain *d, pte_t e)
{
    if (__builtin_expect((e & PTE_A) != 0, 1)) {
        return false;
    }
    const struct frame *f = frame_of(pte_mfn(e));
    return f != NULL && f->owner != d;
}

#define PT_KEEP_AD 1u /* accessed and dirty stay as they are */

/*
 * Change one entry of a level-1 table of d.  0, -ENOENT (no such table), -EINVAL, -EPERM, -EBUSY,
 * -EAGAIN (see frame.h). Nothing changes on errors. No lock held.
 */
static inline int pt_l1_update(struct domain *d, struct domain *pg_owner, struct frame *table,
                               unsigned int index, pte_t e, unsigned int flags)
{
    int rc = 0;

    if (!pt_l1_lock(table, d)) {
        return -ENOENT;
    }
    pte_t *p = &pt_entries(table)[index];
    pte_t old = pt_read(p);
    bool has_refs = (old & PTE_P) != 0;
    if ((e & PTE_P) != 0) {
        rc = pt_l1_adjust(d, &e);
        if (__builtin_expect(rc != 0, 0)) {
            goto out;
        }
        if (((old ^ e) & (PTE_ADDR | PTE_RW | PTE_P)) == 0) {
            has_refs = false; /* those of the old entry serve the new one */
            flags |= pt_l1_hides_access(d, e) ? PT_KEEP_AD : 0;
        } else {
            rc = pt_l1_get(d, pg_owner, &e);
            if (__builtin_expect(rc != 0, 0)) {
                goto out;
            }
        }
    } else if (pt_absent_leaks(d, e)) {
        rc = -EINVAL;
        goto out;
    }
    /* commit */
    if ((flags & PT_KEEP_AD) != 0) {
        pt_write_keep_ad(p, e);
    } else {
        pt_write(p, e);
    }
    pt_l1_unlock(table);
    if (has_refs) {
        pt_l1_put(d, old);
    }
    return 0;
out:
    pt_l1_unlock(table);
    return rc;
}

/*
 * The level-1 table that translates va under a top-level table, NULL if none.  Runs against
 * concurrent changes without a lock: what comes out is only a candidate, which pt_l1_lock() accepts
 * or not.
 */
static inline struct frame *pt_l1_find(struct frame *root, uint64_t va)
{
    struct frame *f = root;

    for (unsigned int level = 4; level > 1; level--) {
        pte_t e = pt_read(&pt_entries(f)[pt_index(va, level)]);
        if (__builtin_expect((e & PTE_P) == 0, 0)) {
            return NULL;
        }
        f = frame_of(pte_mfn(e));
        if (__builtin_expect(f == NULL, 0)) {
            return NULL;
        }
    }
    return f;
}
