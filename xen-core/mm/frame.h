/* SPDX-License-Identifier: MIT */
/*
 * Frames: who owns each 4 KiB of RAM, how often it is used, and as what.
 *
 * Every frame of RAM has one struct frame.  Its word holds all that changes under concurrency:
 *
 *   63    62   61     60     59   58     57      56     55..52  51......26  25....0
 *   [RAM| -- | RELE | SETT | LOCK| PIN | PARTI | VALID | type | type_refs | refs ]
 *
 * refs counts every use, type_refs the uses as `type`; refs >= type_refs.  All changes are
 * compare-and-swap loops, here and in frame.c, and those of walked types in the machine's walker;
 * nobody else writes the word.  The invariants I1-I8 stand in docs/memory.md and are checked by
 * mm/audit.c.
 *
 * Types without a walk (WRITABLE, NONE) are taken and dropped lock-free from any domain.  Types
 * with a walk (page tables, descriptor pages) are taken only by the owner, under its mm lock.
 *
 * A type stays when its last use goes, so that taking it again is cheap.  Taking a different one
 * flushes what translation caches may still hold from the old one (stamp): see frame_settle().
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/errno.h"
#include "mm/addr.h"

struct domain;

enum frame_type {
    FT_NONE,     /* no special use; read-only mappings are allowed */
    FT_WRITABLE, /* mapped writable somewhere, or shared with the hypervisor */
    FT_PT1,      /* x86 PV page table of level 1..4; owner only */
    FT_PT2,
    FT_PT3,
    FT_PT4,
    FT_DESC, /* GDT or LDT page; owner only */
    FT_COUNT
};

#define FW_REF        UINT64_C(1)
#define FW_REFS_MASK  ((UINT64_C(1) << 26) - 1)
#define FW_TREF_SHIFT 26
#define FW_TREF       (UINT64_C(1) << FW_TREF_SHIFT)
#define FW_TREFS_MASK (FW_REFS_MASK << FW_TREF_SHIFT)
#define FW_TYPE_SHIFT 52
#define FW_TYPE_MASK  (UINT64_C(15) << FW_TYPE_SHIFT)
#define FW_TYPE(t)    ((uint64_t)(t) << FW_TYPE_SHIFT)
#define FW_VALID      (UINT64_C(1) << 56) /* the walk of a typed frame is complete */
#define FW_PARTIAL    (UINT64_C(1) << 57) /* a walk over this frame is not complete */
#define FW_PINNED     (UINT64_C(1) << 58) /* the guest holds a reference and type reference more */
#define FW_LOCK       (UINT64_C(1) << 59) /* level-1 entries of this table are being changed */
#define FW_SETTLING   (UINT64_C(1) << 60) /* new type chosen, stale TLB entries being flushed */
#define FW_RELEASED   (UINT64_C(1) << 61) /* the owner has given up its own reference */
#define FW_RAM                                                                        \
    (UINT64_C(1) << 63) /* a frame of RAM; 0 in holes, whatever backs the table there \
                         */
/*
 * A frame that the hypervisor uses itself.  Its count is full, so that nobody can add to it: a
 * guest's call may name any frame, and a reference that lasts only until the owner is looked at
 * would be there when the frame is handed back, or would be lost with that.
 */
#define FW_HYPERVISOR (FW_RAM | FW_REFS_MASK)

/* struct frame.aux of an allocated frame [pages of its owner]. */
#define FA_UNLISTED  1u /* not on the owner's list: holds a reference to the domain by itself */
#define FA_UNCOUNTED 2u /* not part of owned_frames */

/* One per frame of RAM; 32 bytes. */
struct frame {
    _Atomic uint64_t word;
    struct domain *owner; /* NULL: free, or the hypervisor's own (never mappable) */
    uint32_t next;        /* owner's list [pages] or heap list [heap]: frame numbers */
    uint32_t prev;
    uint32_t stamp; /* TLB stamp of the last dropped reference or type */
    uint32_t aux;   /* order while free [heap]; FA_* while it has an owner [pages] */
};
_Static_assert(sizeof(struct frame) == 32, "the frame table is sized by this");

/*
 * The frame table.  The machine backs it for all RAM; where there is none, it may be backed by a
 * shared page of zeros or by anything else that reads as zero, but every entry below frame_limit
 * can be read.
 */
extern struct frame *frame_table;
extern uint64_t frame_limit; /* first frame number beyond the table */

/* Pseudo-owners, never scheduled: dom_xen owns what guests may map read-only (the M2P) and frames
 * shared read-write with privileged domains (trace, none now); dom_io names memory that is not RAM.
 */
extern struct domain *dom_xen;
extern struct domain *dom_io;

/* The frame of a number that came from anywhere; NULL if that is not RAM. */
static inline struct frame *frame_of(mfn_t mfn)
{
    if (mfn.n >= frame_limit) {
        return NULL;
    }
    struct frame *f = &frame_table[mfn.n];
    uint64_t word = atomic_load_explicit(&f->word, memory_order_relaxed);
    return (word & FW_RAM) != 0 ? f : NULL;
}

static inline mfn_t frame_mfn(const struct frame *f)
{
    return MFN((uint64_t)(f - frame_table));
}

/* The owner as it is now: without a reference a hint only, to be looked at again with one. */
static inline struct domain *frame_owner(const struct frame *f)
{
    return __atomic_load_n(&f->owner, __ATOMIC_RELAXED);
}

static inline enum frame_type frame_word_type(uint64_t word)
{
    return (enum frame_type)((word & FW_TYPE_MASK) >> FW_TYPE_SHIFT);
}

static inline uint64_t frame_word(const struct frame *f)
{
    return atomic_load_explicit(&f->word, memory_order_acquire);
}

static inline bool frame_cas(struct frame *f, uint64_t *old, uint64_t new_word)
{
    return atomic_compare_exchange_weak_explicit(&f->word, old, new_word, memory_order_acq_rel,
                                                 memory_order_acquire);
}

/* No reference can be added: there is none (free), or the count is full. */
static inline bool frame_word_closed(uint64_t word)
{
    return ((word + FW_REF) & FW_REFS_MASK) <= 1;
}

/*
 * References.  All return 0 or -EINVAL (wrong or no owner, or the count is full), -EBUSY (its type
 * is in use otherwise), -EAGAIN (a walk over it is pending: when that is finished it may be had),
 * and take no lock unless said.
 */

/* Drop a reference; the last one frees the frame (takes `pages` of the owner, then `heap`). */
void frame_put(struct frame *f);

/* Take a reference if `owner` owns the frame. */
static inline __attribute__((warn_unused_result)) int frame_get(struct frame *f,
                                                                const struct domain *owner)
{
    uint64_t w = frame_word(f);

    /* Others' frames are left alone: what is taken even for a moment is in their way. */
    if (__builtin_expect(frame_owner(f) != owner, 0)) {
        return -EINVAL;
    }
    do {
        if (__builtin_expect(frame_word_closed(w), 0)) {
            return -EINVAL;
        }
    } while (!frame_cas(f, &w, w + FW_REF));
    /* The owner of a frame with a reference does not change. */
    if (__builtin_expect(f->owner != owner, 0)) {
        frame_put(f);
        return -EINVAL;
    }
    return 0;
}

/* Slow part of frame_get_writable(): the frame was used as something else. May flush translation
 * caches. */
int frame_retype_writable(struct frame *f, const struct domain *owner)
    __attribute__((warn_unused_result));
/* Slow part of frame_put_writable(): the last use as writable, or the last of all. */
void frame_put_writable_last(struct frame *f);

/* A reference and a writable type reference at once (one compare-and-swap): a writable mapping. */
static inline __attribute__((warn_unused_result)) int frame_get_writable(struct frame *f,
                                                                         const struct domain *owner)
{
    uint64_t w = frame_word(f);

    if (__builtin_expect(frame_owner(f) != owner, 0)) {
        return -EINVAL;
    }
    do {
        if (__builtin_expect((w & (FW_TYPE_MASK | FW_SETTLING)) != FW_TYPE(FT_WRITABLE) ||
                                 frame_word_closed(w),
                             0)) {
            return frame_retype_writable(f, owner);
        }
    } while (!frame_cas(f, &w, w + FW_REF + FW_TREF));
    if (__builtin_expect(f->owner != owner, 0)) {
        frame_put_writable_last(f);
        return -EINVAL;
    }
    return 0;
}

static inline void frame_put_writable(struct frame *f)
{
    uint64_t w = frame_word(f);

    do {
        if (__builtin_expect((w & FW_TREFS_MASK) == FW_TREF, 0)) {
            frame_put_writable_last(f);
            return;
        }
    } while (!frame_cas(f, &w, w - FW_REF - FW_TREF));
}

/* Take a type reference as FT_WRITABLE; the caller holds a reference. */
int frame_get_type(struct frame *f, enum frame_type t) __attribute__((warn_unused_result));
/* Drop a type reference taken as FT_WRITABLE, or as FT_DESC. */
void frame_put_type(struct frame *f);
/* After a change of type that set FW_SETTLING: flush what may be stale, then let others in.
 * Interrupts on. */
void frame_settle(struct frame *f, enum frame_type was);

/*
 * The owner gives frames up (mem_op.c).  Each takes `pages` of d; the caller holds no reference.
 *
 * frame_release: d's own reference ("allocated") is dropped and the frame leaves d's list; freed
 * when the last other reference goes.  0, -EINVAL (not d's, or released before), -EBUSY (pinned).
 * frame_take: only if d's own reference is the only one and no type is held: marks it RELEASED and
 * takes it off the list; no reference is left, yet it is not free, and it stays counted in
 * owned_frames, so that what is to replace it has room.  0 or -EINVAL.  Then one of: frame_untake
 * (as it was before; cannot fail), frame_free_taken (frees it; what replaces it, heap_own(), has
 * its place in the count).
 */
int frame_release(struct frame *f, struct domain *d) __attribute__((warn_unused_result));
int frame_take(struct frame *f, struct domain *d) __attribute__((warn_unused_result));
void frame_untake(struct frame *f, struct domain *d);
void frame_free_taken(struct frame *f, struct domain *d);

/* Start of day: the table exists and is zero: nothing is RAM yet. */
void frame_init(void);
/* Start of day: the frames [first, end) are RAM in use by the hypervisor: FW_HYPERVISOR, no owner.
 */
void frame_reserve(mfn_t first, mfn_t end);
/* Reserved frames become dom_xen's: whoever may name it can map them read-only. Pseudo-domains
 * exist. */
void frame_share(mfn_t first, mfn_t end);
