/* SPDX-License-Identifier: MIT */
/* Frames: the slow parts of references and types, and giving frames up. */
#include "mm/frame.h"

#include "port/cpu.h"
#include "port/mmu.h"
#include "base/panic.h"
#include "domain/domain.h"
#include "mm/heap.h"

struct frame *frame_table;
uint64_t frame_limit;

/*
 * Translation caches may hold what was allowed under the old type: writable mappings, or, of a
 * former page table, the path through it.  The stamp was taken when the last use ended; every cpu
 * that has not flushed since then does.  Only cpus on which the owner's vcpus are loaded can hold
 * any: others have flushed when they left it, and whoever maps a foreign frame flushes before its
 * reference goes.  Descriptor pages were mapped by the hypervisor too, on whatever cpu: there all
 * flush.
 */
void frame_settle(struct frame *f, enum frame_type was)
{
    const struct cpumask *cpus = was == FT_DESC ? &cpu_online_mask : &f->owner->dirty_cpus;

    port_tlb_flush_before(cpus, f->stamp);
    atomic_fetch_and_explicit(&f->word, ~FW_SETTLING, memory_order_release);
}

/* Waits for another cpu to settle the type, then reads the word again. */
static uint64_t wait_settled(struct frame *f)
{
    uint64_t w = frame_word(f);

    while ((w & FW_SETTLING) != 0) {
        port_cpu_relax();
        w = frame_word(f);
    }
    return w;
}

/*
 * The new word for a writable use of a frame whose word is w, without references added; 0 =
 * refused, with the reason in *rc. A frame that was never typed needs no flush: only read-only
 * mappings of it exist.
 */
static uint64_t as_writable(uint64_t w, int *rc)
{
    enum frame_type t = frame_word_type(w);

    if (t == FT_WRITABLE) {
        return w;
    }
    if ((w & FW_PARTIAL) != 0) {
        *rc = -EAGAIN;
        return 0;
    }
    if ((w & FW_TREFS_MASK) != 0) {
        *rc = -EBUSY;
        return 0;
    }
    uint64_t next = (w & ~(FW_TYPE_MASK | FW_VALID)) | FW_TYPE(FT_WRITABLE);
    return t == FT_NONE ? next : next | FW_SETTLING;
}

/* As frame_get_writable(), for any former type. */
int frame_retype_writable(struct frame *f, const struct domain *owner)
{
    /* A plain reference first: then the owner, and who may change its type, stay as they are. */
    int rc = frame_get(f, owner);

    if (rc == 0) {
        rc = frame_get_type(f, FT_WRITABLE);
        if (rc != 0) {
            frame_put(f);
        }
    }
    return rc;
}

int frame_get_type(struct frame *f, enum frame_type t)
{
    uint64_t w = wait_settled(f);
    uint64_t next;
    int rc = 0;

    bug_if(t != FT_WRITABLE);
    for (;;) {
        if ((w & FW_SETTLING) != 0) {
            w = wait_settled(f);
        }
        next = as_writable(w, &rc);
        if (next == 0) {
            return rc;
        }
        if (frame_cas(f, &w, next + FW_TREF)) {
            break;
        }
    }
    if ((next & FW_SETTLING) != 0) {
        frame_settle(f, frame_word_type(w));
    }
    return 0;
}

/*
 * The last use as a type is dropped in two steps: only while nobody else can take the type is the
 * clock read.  Read before one compare-and-swap it could be too old: another cpu may have flushed,
 * taken the type, mapped the frame and dropped it again, and left the word as it was.
 */
void frame_put_type(struct frame *f)
{
    uint64_t w = frame_word(f);
    bool last;

    do {
        bug_if((w & FW_TREFS_MASK) == 0);
        last = (w & FW_TREFS_MASK) == FW_TREF;
    } while (!frame_cas(f, &w, last ? w | FW_SETTLING : w - FW_TREF));
    if (last) {
        enum frame_type t = frame_word_type(w);
        bug_if((t != FT_WRITABLE && t != FT_DESC) || (w & FW_SETTLING) != 0);
        f->stamp = port_tlb_stamp();
        atomic_fetch_sub_explicit(&f->word, FW_TREF + FW_SETTLING + (w & FW_VALID),
                                  memory_order_release);
    }
}

void frame_put(struct frame *f)
{
    uint64_t w = frame_word(f);

    while (!frame_cas(f, &w, w - FW_REF)) {
    }
    if ((w & FW_REFS_MASK) == FW_REF) {
        bug_if((w & (FW_TREFS_MASK | FW_PINNED | FW_PARTIAL | FW_LOCK)) != 0);
        /* Not before: until its last reference goes, others may map and unmap the frame. */
        f->stamp = port_tlb_stamp();
        heap_release(f);
    }
}

void frame_put_writable_last(struct frame *f)
{
    frame_put_type(f);
    frame_put(f);
}

/*
 * Off d's list, still d's: the frame now holds a reference to d by itself.
 * locks: pages(d) held. Returns true if the list became empty, whose reference to d the caller then
 * drops.
 */
static bool unlist(struct frame *f, struct domain *d)
{
    bool was_last = heap_unlink(f, d);

    f->aux |= FA_UNLISTED;
    domain_ref(d);
    return was_last;
}

/* f is on d's list, d holding its own reference.  locks: pages(d) held, which keeps it so. */
static bool is_listed(const struct frame *f, const struct domain *d, uint64_t w)
{
    return (w & FW_REFS_MASK) != 0 && (w & FW_RELEASED) == 0 && frame_owner(f) == d &&
           (f->aux & FA_UNLISTED) == 0;
}

int frame_release(struct frame *f, struct domain *d)
{
    bool was_last = false;
    int rc = 0;

    spin_lock(&d->pages_lock);
    uint64_t w = frame_word(f);
    do {
        rc = !is_listed(f, d, w) ? -EINVAL : (w & FW_PINNED) != 0 ? -EBUSY : 0;
    } while (rc == 0 && !frame_cas(f, &w, w | FW_RELEASED));
    if (rc == 0) {
        was_last = unlist(f, d);
    }
    spin_unlock(&d->pages_lock);

    if (was_last) {
        domain_put(d);
    }
    if (rc == 0) {
        frame_put(f);
    }
    return rc;
}

/* A taken frame has no references, so nobody can get at it; its owner's reference comes back with
 * frame_untake(). */
int frame_take(struct frame *f, struct domain *d)
{
    bool was_last = false;
    int rc = 0;

    spin_lock(&d->pages_lock);
    uint64_t w = frame_word(f);
    do {
        if (!is_listed(f, d, w) || (w & FW_REFS_MASK) != FW_REF ||
            (w & (FW_TREFS_MASK | FW_PINNED | FW_PARTIAL)) != 0) {
            rc = -EINVAL;
            break;
        }
    } while (!frame_cas(f, &w, (w - FW_REF) | FW_RELEASED));
    if (rc == 0) {
        f->stamp = port_tlb_stamp();
        was_last = unlist(f, d);
        f->aux |= FA_UNCOUNTED; /* its place in the count goes to what replaces it */
    }
    spin_unlock(&d->pages_lock);

    if (was_last) {
        domain_put(d);
    }
    return rc;
}

void frame_untake(struct frame *f, struct domain *d)
{
    spin_lock(&d->pages_lock);
    bool was_empty = heap_link(f, d);
    f->aux = 0;
    uint64_t w = frame_word(f);
    atomic_store_explicit(&f->word, (w & ~FW_RELEASED) | FW_REF, memory_order_release);
    spin_unlock(&d->pages_lock);

    /* Its own reference becomes that of the list, if that has none. */
    if (!was_empty) {
        domain_put(d);
    }
}

void frame_free_taken(struct frame *f, struct domain *d)
{
    bug_if(f->owner != d || (frame_word(f) & FW_REFS_MASK) != 0);
    heap_release(f);
}

void frame_reserve(mfn_t first, mfn_t end)
{
    for (uint64_t n = first.n; n < end.n && n < frame_limit; n++) {
        atomic_store_explicit(&frame_table[n].word, FW_HYPERVISOR, memory_order_relaxed);
    }
}

void frame_share(mfn_t first, mfn_t end)
{
    for (uint64_t n = first.n; n < end.n && n < frame_limit; n++) {
        bug_if(frame_word(&frame_table[n]) != FW_HYPERVISOR);
        frame_table[n].owner = dom_xen;
        atomic_store_explicit(&frame_table[n].word, FW_RAM | FW_REF, memory_order_release);
    }
}

void frame_init(void)
{
    bug_if(frame_table == NULL || frame_limit == 0);
}
