/* SPDX-License-Identifier: MIT */
/* What the files of gnttab/ share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/grant.h"
#include "base/lock.h"
#include "mm/frame.h"

struct domain;

#define ENTRIES_PER_FRAME (PAGE_SIZE / sizeof(struct grant_entry_v1))
#define ACTIVE_ORDER      1u   /* frames of active entries for one frame of shared ones */
#define TABLE_FRAMES_MAX  512u /* pointers in one frame */

/*
 * How often a grant is in use.  While read is not 0 the frame has one reference of ours, while
 * write is not 0 another one with a writable type reference; each mapping's page-table entry holds
 * its own besides.
 */
struct active {
    uint32_t mfn;
    domid_t domid; /* who uses it */
    uint16_t pad;
    uint32_t read;
    uint32_t write;
};
_Static_assert(sizeof(struct active) * ENTRIES_PER_FRAME <= PAGE_SIZE << ACTIVE_ORDER, "active");

/* A handle: a grant of `granter` that this domain has mapped. */
struct maptrack {
    struct domain *granter; /* a reference is held; NULL: free */
    uint32_t ref;           /* or the next free handle */
    uint32_t
        flags; /* GNTMAP_*, of which _host_map and _device_map tell what is left of it; MT_BUSY */
};

#define MT_BUSY UINT32_C(0x80000000) /* being mapped or unmapped by somebody */
#define MT_KEEP                                                                       \
    (GNTMAP_device_map | GNTMAP_host_map | GNTMAP_readonly | GNTMAP_application_map | \
     GNTMAP_contains_pte)
#define MT_NONE             UINT32_MAX
#define HANDLES_PER_FRAME   (PAGE_SIZE / sizeof(struct maptrack))
#define MAPTRACK_ORDER      1u /* frames of pointers to frames of handles */
#define MAPTRACK_FRAMES_MAX (((size_t)PAGE_SIZE << MAPTRACK_ORDER) / sizeof(void *))

struct gnttab {
    struct spinlock lock; /* of the granter: everything down to `active` */
    uint32_t frames;
    uint32_t max_frames;
    uint32_t pinned;                /* entries with a pin */
    bool dying;                     /* the shared frames are gone; pins may still be dropped */
    struct grant_entry_v1 **shared; /* [frames], in the direct map */
    struct active **active;         /* [frames] */

    struct spinlock map_lock;  /* of the mapper: the handles */
    struct maptrack **handles; /* [handle_frames]; allocated with the first mapping */
    uint32_t handle_frames;
    uint32_t max_handle_frames;
    uint32_t free_handle;  /* list through maptrack.ref; MT_NONE: empty */
    uint32_t mapped;       /* handles in use */
    uint32_t release_next; /* progress of relinquish */
};

/*
 * Pin an entry of d's table for `user`: checks the entry, marks it, takes the frame.  A GNTST_
 * status; *mfn is the frame. locks: takes gnttab(d).
 */
int16_t gnttab_pin(struct domain *d, uint32_t ref, domid_t user, bool write, mfn_t *mfn);
/* Undo it. locks: takes gnttab(d). */
void gnttab_unpin(struct domain *d, uint32_t ref, bool write);
/* Allow `frames` frames in all. 0, -EINVAL, -ENOMEM. locks: takes gnttab(d). */
int gnttab_grow(struct domain *d, uint32_t frames);
/* The swap of two entries. A GNTST_ status. locks: takes gnttab(d). */
int16_t gnttab_swap(struct domain *d, uint32_t a, uint32_t b);

/* The frame of an entry on which the caller holds a pin. */
mfn_t gnttab_pinned_mfn(const struct domain *d, uint32_t ref);

/* maptrack.c: handles of the mapper d. A new one is claimed; maptrack_end() with nothing gone makes
 * it usable. */
int16_t maptrack_alloc(struct domain *d, struct domain *granter, uint32_t ref, uint32_t flags,
                       uint32_t *handle);
/* Claim a handle for unmapping; at most one claim at a time. False: no such handle, or claimed. */
bool maptrack_claim(struct domain *d, uint32_t handle, struct maptrack *out);
/* What a handle that the caller has claimed stands for. */
struct maptrack maptrack_claimed(struct domain *d, uint32_t handle);
/* Ends a claim; `gone`: these of its GNTMAP_ flags are over. The last one frees the handle: true,
 * and the caller drops the reference to the granter. */
bool maptrack_end(struct domain *d, uint32_t handle, uint32_t gone);
void maptrack_destroy(struct domain *d);

/* gnttab_copy.c; also shared by the table of sub-operations in gnttab_op.c. */
int16_t gnttab_copy_one(struct domain *d, const struct gnttab_copy *op);
