/* SPDX-License-Identifier: MIT */
/* The heap: a buddy allocator over all RAM that the boot left free. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/addr.h"
#include "mm/frame.h"

struct domain;

#define HEAP_MAX_ORDER 20 /* 4 GiB */

/* Flags of heap_alloc_*(). */
#define HEAP_ANY 0u
#define HEAP_NOSCRUB \
    1u /* not zeroed: the caller overwrites all at once, or it is domain 0 being built */
#define HEAP_BELOW(bits) ((unsigned int)(bits) << 8) /* machine addresses below 2^bits; 0 = any */

/*
 * 2^order frames for the hypervisor's own use, zeroed (unless HEAP_NOSCRUB), owner NULL, their
 * words FW_HYPERVISOR.  Returns their direct-map address or NULL.  locks: takes heap.
 */
void *heap_alloc(unsigned int order, unsigned int flags);
void heap_free(void *va, unsigned int order);

/*
 * 2^order frames for a domain: zeroed, owner d, refs 1 each ("allocated"), on d's page list,
 * counted against d->max_frames; the machine-to-physical table says gpfn, gpfn + 1, ... of them
 * (M2P_INVALID: of none).  Returns the first frame or NULL (no memory, limit, or d is
 * dying). locks: takes heap, pages(d).
 */
struct frame *heap_alloc_domain(struct domain *d, unsigned int order, unsigned int flags,
                                uint64_t gpfn);

/*
 * The same in two steps, in place of frames that d gives up (frame_take()) and that are counted
 * until then.  heap_reserve: a zeroed block that nobody can name yet; NULL: no memory.  Then one
 * of: heap_own (it is d's, gpfn as above; cannot fail; takes pages(d)), heap_unreserve.
 */
struct frame *heap_reserve(unsigned int order, unsigned int flags);
void heap_own(struct frame *f, unsigned int order, struct domain *d, uint64_t gpfn);
void heap_unreserve(struct frame *f, unsigned int order);

/*
 * One zeroed frame that the hypervisor shares with d (shared_info, grant table): owner d, not on
 * its page list and not counted against max_frames; holds a reference to d until it is free.  refs
 * and type_refs 1 as FT_WRITABLE, both the hypervisor's, given back by heap_free_shared(); it is
 * free when guests have dropped theirs too.  NULL: no memory.
 */
struct frame *heap_alloc_shared(struct domain *d);
void heap_free_shared(struct frame *f);
/* Domain death: drop the owner's reference of every frame on d's list, bounded. 0 or HC_AGAIN. */
int64_t heap_relinquish(struct domain *d);

/* Called by frame_put() when the last reference goes: unlink from the owner, free. */
void heap_release(struct frame *f);
/* d's list of frames. locks: pages(d) held.  link: true if the list was empty; unlink: true if it
 * is empty now. */
bool heap_link(struct frame *f, struct domain *d);
bool heap_unlink(struct frame *f, struct domain *d);

/* Give the frames [first, end) of usable RAM to the heap (start of day). They may have been
 * reserved before. */
void heap_add(mfn_t first, mfn_t end);

uint64_t heap_free_frames(void);  /* frames free now (claims not deducted) */
uint64_t heap_total_frames(void); /* frames ever given to the heap */

/* XENMEM_claim_pages: outstanding claims are kept for their domain. -ENOMEM if not available. */
int heap_claim(struct domain *d, uint64_t frames);
uint64_t heap_claimed_frames(void);
