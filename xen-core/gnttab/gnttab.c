/* SPDX-License-Identifier: MIT */
/*
 * Grant tables, version 1: the table of a granter, and what is in use of it.
 *
 * An entry lies in the guest's memory and may change at any time.  It is read once, as 8 bytes,
 * when it is not in use; what was read is kept in the active entry, and only the guest's permission
 * for writing is looked at again.  The bits that tell the granter of use are set by
 * compare-and-swap against what was read, a few times at most: who keeps changing his entry gets an
 * error.  A frame is let go only after the mappings have been flushed, and before its bits are
 * cleared.
 */
#include "gnttab/gnttab.h"

#include "port/cpu.h"
#include "port/mmu.h"

#include "abi/errno.h"
#include "base/nospec.h"
#include "base/panic.h"
#include "domain/domain.h"
#include "gnttab/gnttab_priv.h"
#include "hcall/hcall.h"
#include "mm/audit.h"
#include "mm/heap.h"
#include "mm/pool.h"

#define MARK_RETRIES 5

static struct pool gnttab_pool = POOL("gnttab", struct gnttab);

/* ---- entries ----------------------------------------------------------------------------------
 */

static struct active *active_of(struct gnttab *t, uint32_t ref)
{
    if (ref >= t->frames * ENTRIES_PER_FRAME) {
        return NULL;
    }
    ref = (uint32_t)index_nospec(ref, t->frames * ENTRIES_PER_FRAME);
    return &t->active[ref / ENTRIES_PER_FRAME][ref % ENTRIES_PER_FRAME];
}

/* The guest's entry as one word: flags 15:0, domid 31:16, frame 63:32. NULL once the table is gone.
 */
static uint64_t *shared_of(const struct gnttab *t, uint32_t ref)
{
    struct grant_entry_v1 *page = t->shared[ref / ENTRIES_PER_FRAME];

    return page != NULL ? (uint64_t *)(void *)&page[ref % ENTRIES_PER_FRAME] : NULL;
}

static uint16_t entry_flags(uint64_t e)
{
    return (uint16_t)e;
}

static domid_t entry_domid(uint64_t e)
{
    return (domid_t)(e >> 16);
}

static uint32_t entry_frame(uint64_t e)
{
    return (uint32_t)(e >> 32);
}

/*
 * Checks the entry for this use and sets the bits that say so.  With `act` in use already, frame
 * and user must be the same: the guest may not change them under a mapping.
 */
static int16_t mark(uint64_t *entry, const struct active *act, domid_t user, bool write,
                    uint64_t *seen)
{
    bool used = act->read + act->write != 0;
    uint64_t want = write ? GTF_reading | GTF_writing : GTF_reading;

    for (unsigned int i = 0; i < MARK_RETRIES; i++) {
        uint64_t e = __atomic_load_n(entry, __ATOMIC_ACQUIRE);
        if ((entry_flags(e) & GTF_type_mask) != GTF_permit_access || entry_domid(e) != user ||
            (entry_flags(e) & GTF_sub_page) != 0) {
            return GNTST_general_error;
        }
        if (write && (entry_flags(e) & GTF_readonly) != 0) {
            return GNTST_general_error;
        }
        if (used && (act->domid != user || act->mfn != entry_frame(e))) {
            return GNTST_general_error;
        }
        *seen = e;
        if ((e & want) == want || __atomic_compare_exchange_n(entry, &e, e | want, false,
                                                              __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE)) {
            return GNTST_okay;
        }
    }
    return GNTST_general_error;
}

/* Takes back the bits that no use is left for. */
static void unmark(uint64_t *entry, const struct active *act)
{
    uint64_t gone = 0;

    if (act->write == 0) {
        gone |= GTF_writing;
    }
    if (act->read + act->write == 0) {
        gone |= GTF_reading;
    }
    if (entry != NULL && gone != 0) {
        __atomic_fetch_and(entry, ~gone, __ATOMIC_SEQ_CST);
    }
}

static int16_t take_frame(struct domain *d, uint32_t mfn, bool write)
{
    struct frame *f = frame_of(MFN(mfn));
    int rc;

    if (f == NULL) {
        return GNTST_bad_page;
    }
    rc = write ? frame_get_writable(f, d) : frame_get(f, d);
    return rc == 0 ? GNTST_okay : GNTST_general_error;
}

static int16_t pin_locked(struct domain *d, uint32_t ref, domid_t user, bool write, mfn_t *mfn)
{
    struct gnttab *t = d->gnttab;
    struct active *act = active_of(t, ref);
    uint64_t *entry = act != NULL && !t->dying ? shared_of(t, ref) : NULL;
    uint64_t e;

    if (entry == NULL) {
        return GNTST_bad_gntref;
    }
    int16_t status = mark(entry, act, user, write, &e);
    if (status != GNTST_okay) {
        return status;
    }
    if ((write ? act->write : act->read) == 0) {
        status = take_frame(d, entry_frame(e), write);
        if (status != GNTST_okay) {
            unmark(entry, act);
            return status;
        }
    }
    if (act->read + act->write == 0) {
        t->pinned++;
        act->mfn = entry_frame(e); /* whoever holds a pin reads it without the lock */
        act->domid = user;
    }
    act->read += !write;
    act->write += write;
    *mfn = MFN(act->mfn);
    return GNTST_okay;
}

int16_t gnttab_pin(struct domain *d, uint32_t ref, domid_t user, bool write, mfn_t *mfn)
{
    spin_lock(&d->gnttab->lock);
    int16_t status = pin_locked(d, ref, user, write, mfn);
    spin_unlock(&d->gnttab->lock);
    return status;
}

void gnttab_unpin(struct domain *d, uint32_t ref, bool write)
{
    struct gnttab *t = d->gnttab;

    spin_lock(&t->lock);
    struct active *act = active_of(t, ref);
    bug_if(act == NULL || (write ? act->write : act->read) == 0);
    struct frame *f = frame_of(MFN(act->mfn));
    act->read -= !write;
    act->write -= write;
    if (write && act->write == 0) {
        frame_put_writable(f);
    } else if (!write && act->read == 0) {
        frame_put(f);
    }
    if (act->read + act->write == 0) {
        t->pinned--;
    }
    unmark(shared_of(t, ref), act);
    spin_unlock(&t->lock);
}

mfn_t gnttab_pinned_mfn(const struct domain *d, uint32_t ref)
{
    return MFN(active_of(d->gnttab, ref)->mfn);
}

int16_t gnttab_swap(struct domain *d, uint32_t a, uint32_t b)
{
    struct gnttab *t = d->gnttab;
    int16_t status = GNTST_okay;

    spin_lock(&t->lock);
    const struct active *act_a = active_of(t, a);
    const struct active *act_b = active_of(t, b);
    if (act_a == NULL || act_b == NULL || t->dying) {
        status = GNTST_bad_gntref;
    } else if (act_a->read + act_a->write + act_b->read + act_b->write != 0) {
        status = GNTST_eagain;
    } else if (a != b) {
        uint64_t was = __atomic_load_n(shared_of(t, a), __ATOMIC_ACQUIRE);
        was = __atomic_exchange_n(shared_of(t, b), was, __ATOMIC_SEQ_CST);
        __atomic_store_n(shared_of(t, a), was, __ATOMIC_SEQ_CST);
    }
    spin_unlock(&t->lock);
    return status;
}

/* ---- the table --------------------------------------------------------------------------------
 */

/* One more frame of entries. locks: gnttab(d) held; takes heap. */
static int grow_one(struct domain *d)
{
    struct gnttab *t = d->gnttab;
    struct active *active = heap_alloc(ACTIVE_ORDER, HEAP_ANY);
    struct frame *f = active != NULL ? heap_alloc_shared(d) : NULL;

    if (f == NULL) {
        if (active != NULL) {
            heap_free(active, ACTIVE_ORDER);
        }
        return -ENOMEM;
    }
    t->shared[t->frames] = port_frame_va(frame_mfn(f));
    t->active[t->frames] = active;
    t->frames++;
    return 0;
}

/* Frames once added stay, whatever comes after. */
int gnttab_grow(struct domain *d, uint32_t frames)
{
    struct gnttab *t = d->gnttab;
    int rc = 0;

    spin_lock(&t->lock);
    if (frames > t->max_frames || t->dying) {
        rc = -EINVAL;
    }
    while (rc == 0 && t->frames < frames) {
        rc = grow_one(d);
    }
    spin_unlock(&t->lock);
    return rc;
}

int gnttab_table_frame(struct domain *d, uint32_t idx, mfn_t *mfn)
{
    struct gnttab *t = d->gnttab;

    if (idx >= t->max_frames) {
        return -EINVAL;
    }
    int rc = gnttab_grow(d, idx + 1);
    if (rc == 0) {
        spin_lock(&t->lock);
        const void *frame = t->shared[index_nospec(idx, t->max_frames)];
        spin_unlock(&t->lock);
        if (frame == NULL) {
            return -EINVAL; /* d has died meanwhile */
        }
        *mfn = port_va_mfn(frame);
    }
    return rc;
}

uint32_t gnttab_table_frames(struct domain *d)
{
    return d->gnttab->frames;
}

uint32_t gnttab_max_frames(struct domain *d)
{
    return d->gnttab->max_frames;
}

uint32_t gnttab_pinned(struct domain *d)
{
    return d->gnttab->pinned;
}

/* Limits above what the arrays hold count as that. fails: -ENOMEM. */
int gnttab_domain_init(struct domain *d, uint32_t max_frames, uint32_t max_maptrack)
{
    struct gnttab *t = pool_alloc(&gnttab_pool);

    if (t == NULL) {
        return -ENOMEM;
    }
    spin_init(&t->lock, LOCK_gnttab);
    spin_init(&t->map_lock, LOCK_gnttab);
    t->max_frames = max_frames < TABLE_FRAMES_MAX ? max_frames : TABLE_FRAMES_MAX;
    t->max_handle_frames =
        max_maptrack < MAPTRACK_FRAMES_MAX ? max_maptrack : (uint32_t)MAPTRACK_FRAMES_MAX;
    t->free_handle = MT_NONE;
    d->gnttab = t;
    /* Half of one frame of pointers each. */
    t->shared = heap_alloc(1, HEAP_ANY);
    if (t->shared == NULL) {
        return -ENOMEM;
    }
    t->active = (struct active **)(void *)(t->shared + TABLE_FRAMES_MAX);
    return 0;
}

static void shared_free(struct gnttab *t)
{
    spin_lock(&t->lock);
    t->dying = true;
    for (uint32_t i = 0; i < t->frames; i++) {
        struct grant_entry_v1 *page = t->shared[i];
        if (page != NULL) {
            t->shared[i] = NULL;
            heap_free_shared(frame_of(port_va_mfn(page)));
        }
    }
    spin_unlock(&t->lock);
}

/*
 * d will never run again.  Its mappings are given up without touching its page tables, which go
 * next; then its own table goes, so that nobody maps anything of it any more.  What others have
 * mapped keeps its frames, and d's structure.
 */
int64_t gnttab_domain_relinquish(struct domain *d)
{
    struct gnttab *t = d->gnttab;

    while (t->release_next < t->handle_frames * HANDLES_PER_FRAME) {
        uint32_t handle = t->release_next;
        struct maptrack m;
        if (maptrack_claim(d, handle, &m)) {
            bool write = (m.flags & GNTMAP_readonly) == 0;
            if ((m.flags & GNTMAP_host_map) != 0) {
                gnttab_unpin(m.granter, m.ref, write);
            }
            if ((m.flags & GNTMAP_device_map) != 0) {
                gnttab_unpin(m.granter, m.ref, write);
            }
            (void)!maptrack_end(d, handle, GNTMAP_host_map | GNTMAP_device_map);
            domain_put(m.granter);
        }
        t->release_next++;
        if (t->release_next % 64 == 0 && hcall_preempt_check()) {
            return HC_AGAIN;
        }
    }
    shared_free(t);
    return 0;
}

void gnttab_domain_destroy(struct domain *d)
{
    struct gnttab *t = d->gnttab;

    if (t == NULL) {
        return;
    }
    bug_if(t->pinned != 0 || t->mapped != 0);
    for (uint32_t i = 0; i < t->frames; i++) {
        bug_if(t->shared[i] != NULL);
        heap_free(t->active[i], ACTIVE_ORDER);
    }
    maptrack_destroy(d);
    if (t->shared != NULL) {
        heap_free(t->shared, 1);
    }
    d->gnttab = NULL;
    pool_free(&gnttab_pool, t);
}

static void audit_entry(const struct gnttab *t, uint32_t ref, const struct active *act)
{
    const uint64_t *entry = shared_of(t, ref);
    const struct frame *f = frame_of(MFN(act->mfn));

    if (act->read + act->write == 0) {
        return;
    }
    bug_if(f == NULL || f->owner == NULL || (frame_word(f) & FW_REFS_MASK) == 0);
    bug_if(act->write != 0 && frame_word_type(frame_word(f)) != FT_WRITABLE);
    (void)entry; /* the guest may have cleared the bits: its loss */
}

void gnttab_audit_refs(struct domain *d, struct audit *a)
{
    struct gnttab *t = d->gnttab;

    for (uint32_t ref = 0; ref < t->frames * ENTRIES_PER_FRAME; ref++) {
        const struct active *act = active_of(t, ref);
        if (act->read != 0) {
            audit_add(a, frame_of(MFN(act->mfn)), FT_NONE);
        }
        if (act->write != 0) {
            audit_add(a, frame_of(MFN(act->mfn)), FT_WRITABLE);
        }
    }
}

void gnttab_audit(struct domain *d)
{
    struct gnttab *t = d->gnttab;
    uint32_t pinned = 0;
    uint32_t mapped = 0;

    for (uint32_t ref = 0; ref < t->frames * ENTRIES_PER_FRAME; ref++) {
        const struct active *act = active_of(t, ref);
        audit_entry(t, ref, act);
        pinned += act->read + act->write != 0;
    }
    bug_if(pinned != t->pinned);
    for (uint32_t h = 0; h < t->handle_frames * HANDLES_PER_FRAME; h++) {
        const struct maptrack *m = &t->handles[h / HANDLES_PER_FRAME][h % HANDLES_PER_FRAME];
        if (m->granter != NULL) {
            const struct active *act = active_of(m->granter->gnttab, m->ref);
            bug_if((m->flags & MT_BUSY) != 0);
            bug_if((m->flags & (GNTMAP_host_map | GNTMAP_device_map)) == 0);
            bug_if(act == NULL ||
                   ((m->flags & GNTMAP_readonly) != 0 ? act->read : act->write) == 0);
            mapped++;
        }
    }
    bug_if(mapped != t->mapped);
}
