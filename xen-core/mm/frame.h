/* SPDX-License-Identifier: MIT */
/*
 * Frames: who owns each 4 KiB of RAM, how often it is used, and as what.
 *
 * Every frame of RAM has one struct frame.  Its word holds all that changes under concurrency:
 *
 *   63     62   61     60     59   58       57     56    55..52  51....26   25....0
 *   [ --  |BUSY|RELEAS|SETTLE|LOCK| PINNED | PART | VALID| type | type_refs | refs ]
 *
 * refs counts every use, type_refs the uses as `type`; refs >= type_refs.  All changes are
 * compare-and-swap loops in frame.c and frame_inline.h; nobody else writes the word.  The
 * invariants I1-I8 stand in docs/memory.md and are checked by mm/audit.c.
 *
 * Types without a walk (WRITABLE, NONE) are taken and dropped lock-free from any domain.  Types
 * with a walk (page tables, descriptor pages) are taken only by the owner, under its mm lock.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm/addr.h"

struct domain;

enum frame_type {
    FT_NONE,     /* no special use; read-only mappings are allowed */
    FT_WRITABLE, /* mapped writable somewhere, or shared with the hypervisor */
    FT_PT1,      /* x86 PV page table of level 1..4; owner only */
    FT_PT2,
    FT_PT3,
    FT_PT4,
    FT_DESC,     /* GDT or LDT page; owner only */
    FT_COUNT
};

#define FW_REF           UINT64_C(1)
#define FW_REFS_MASK     ((UINT64_C(1) << 26) - 1)
#define FW_TREF_SHIFT    26
#define FW_TREF          (UINT64_C(1) << FW_TREF_SHIFT)
#define FW_TREFS_MASK    (FW_REFS_MASK << FW_TREF_SHIFT)
#define FW_TYPE_SHIFT    52
#define FW_TYPE_MASK     (UINT64_C(15) << FW_TYPE_SHIFT)
#define FW_TYPE(t)       ((uint64_t)(t) << FW_TYPE_SHIFT)
#define FW_VALID         (UINT64_C(1) << 56) /* the walk of a typed frame is complete */
#define FW_PARTIAL       (UINT64_C(1) << 57) /* a walk over this frame is suspended in the cursor */
#define FW_PINNED        (UINT64_C(1) << 58) /* the guest holds one extra type reference */
#define FW_LOCK          (UINT64_C(1) << 59) /* level-1 entries of this table are being changed */
#define FW_SETTLING      (UINT64_C(1) << 60) /* new type chosen, stale TLB entries being flushed */
#define FW_RELEASING     (UINT64_C(1) << 61) /* exchange has taken the frame from its owner */
#define FW_BUSY          (UINT64_C(1) << 62)

/* One per frame of RAM; 32 bytes. */
struct frame {
    _Atomic uint64_t word;
    struct domain *owner; /* NULL: free, or the hypervisor's own (never mappable) */
    uint32_t next;        /* owner's list [pages] or heap list [heap]: frame numbers */
    uint32_t prev;
    uint32_t stamp;       /* TLB stamp of the last dropped reference or type */
    uint32_t aux;         /* heap: order while free; level-2..4 tables: present entries */
};
_Static_assert(sizeof(struct frame) == 32, "the frame table is sized by this");

/* The frame table; the machine maps it so that holes in RAM need no memory. */
extern struct frame *frame_table;
extern uint64_t frame_limit; /* first frame number beyond the table */

/* Pseudo-owners, never scheduled: dom_xen owns what guests may map read-only (the M2P) and frames
 * shared read-write with privileged domains (trace, none now); dom_io names memory that is not RAM. */
extern struct domain *dom_xen;
extern struct domain *dom_io;

/* The frame of a number that came from anywhere; NULL if that is not RAM. */
struct frame *frame_of(mfn_t mfn);

static inline mfn_t frame_mfn(const struct frame *f)
{
    return MFN((uint64_t)(f - frame_table));
}

static inline enum frame_type frame_word_type(uint64_t word)
{
    return (enum frame_type)((word & FW_TYPE_MASK) >> FW_TYPE_SHIFT);
}

/*
 * References.  All return 0 or -EINVAL (wrong or no owner), -EBUSY (type in use otherwise), -EOVERFLOW
 * (count full), unless said otherwise.  None takes a lock unless said.
 */

/* Take a reference if `owner` owns the frame. */
int frame_get(struct frame *f, const struct domain *owner) __attribute__((warn_unused_result));
/* Drop a reference; the last one frees the frame (takes `pages` of the owner, then `heap`). */
void frame_put(struct frame *f);
/* Take a type reference for FT_WRITABLE (or FT_DESC/FT_PTn already valid); the caller holds a reference. */
int frame_get_type(struct frame *f, enum frame_type t) __attribute__((warn_unused_result));
void frame_put_type(struct frame *f);
/* A reference and a writable type reference at once (one compare-and-swap): a writable mapping. */
int frame_get_writable(struct frame *f, const struct domain *owner) __attribute__((warn_unused_result));
void frame_put_writable(struct frame *f);

/*
 * The owner gives frames up (mem_op.c).  Each takes `pages` of d; the caller holds no reference.
 *
 * frame_release: d's own reference ("allocated") is dropped and the frame leaves d's list; freed when the last other
 *   reference goes.  0, -EINVAL (not d's, or released before), -EBUSY (pinned).
 * frame_take: only if d's own reference is the only one and no type is held: marks it RELEASING and takes it off the
 *   list (owned_frames falls), not freed.  0 or -EINVAL.  Then one of: frame_untake (as it was before; cannot fail),
 *   frame_free_taken (frees it).
 */
int frame_release(struct frame *f, struct domain *d) __attribute__((warn_unused_result));
int frame_take(struct frame *f, struct domain *d) __attribute__((warn_unused_result));
void frame_untake(struct frame *f, struct domain *d);
void frame_free_taken(struct frame *f, struct domain *d);

/* Start of day: the table exists, every frame is owned by nobody with refs == 0. */
void frame_init(void);
