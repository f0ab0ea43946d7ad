/* SPDX-License-Identifier: MIT */
/*
 * The heap: a buddy allocator over the frame table.
 *
 * Free blocks of 2^order frames, aligned to their size, stand in a list per (zone, order).  A zone
 * holds the addresses with the same number of significant bits, so a limit given in bits is a limit
 * on zones, and ordinary requests, served from the top, keep low memory free for devices.  Frame 0
 * is never in the heap: 0 ends the lists.
 *
 * Memory is cleared when it is handed out, not when it comes back: death of a domain stays short,
 * and memory that nobody uses is never touched.  Handing out also flushes translation caches older
 * than the frames' stamps.
 */
#include "mm/heap.h"

#include "port/cpu.h"
#include "port/mmu.h"
#include "base/panic.h"
#include "domain/domain.h"
#include "hcall/hcall.h"
#include "lib/mem.h"

#define ZONES  41u /* frame numbers of up to 40 bits */
#define ORDERS (HEAP_MAX_ORDER + 1u)

static struct {
    struct spinlock lock;
    uint32_t list[ZONES][ORDERS]; /* first free block [lock] */
    uint32_t orders[ZONES];       /* bit per order whose list is not empty [lock] */
    uint64_t zones;               /* bit per zone that has any block [lock] */
    uint64_t free;                /* frames [lock]; these three are read at any time */
    uint64_t total;               /* frames ever given [lock] */
    uint64_t claimed;             /* frames promised to domains [lock] */
} heap = { .lock = SPINLOCK(LOCK_heap) };

/* A count that is read without the lock, too. locks: the one of the count held. */
static void change(uint64_t *count, uint64_t by)
{
    __atomic_store_n(count, *count + by, __ATOMIC_RELAXED);
}

static unsigned int zone_of(uint64_t mfn)
{
    return 64u - (unsigned int)__builtin_clzll(mfn);
}

static void block_add(uint64_t mfn, unsigned int order)
{
    unsigned int z = zone_of(mfn);
    struct frame *f = &frame_table[mfn];
    uint32_t head = heap.list[z][order];

    f->aux = order;
    f->prev = 0;
    f->next = head;
    if (head != 0) {
        frame_table[head].prev = (uint32_t)mfn;
    }
    heap.list[z][order] = (uint32_t)mfn;
    heap.orders[z] |= 1u << order;
    heap.zones |= UINT64_C(1) << z;
    /* Marks the head of a free block; every other free frame has a plain word. */
    atomic_store_explicit(&f->word, FW_RAM | FW_VALID, memory_order_relaxed);
}

static void block_del(uint64_t mfn, unsigned int order)
{
    unsigned int z = zone_of(mfn);
    struct frame *f = &frame_table[mfn];

    if (f->prev != 0) {
        frame_table[f->prev].next = f->next;
    } else {
        heap.list[z][order] = f->next;
        if (f->next == 0) {
            heap.orders[z] &= ~(1u << order);
            if (heap.orders[z] == 0) {
                heap.zones &= ~(UINT64_C(1) << z);
            }
        }
    }
    if (f->next != 0) {
        frame_table[f->next].prev = f->prev;
    }
    atomic_store_explicit(&f->word, FW_RAM, memory_order_relaxed);
}

/* Is mfn the first frame of a free block of this order? locks: heap held. */
static bool is_block(uint64_t mfn, unsigned int order)
{
    if (mfn == 0 || mfn >= frame_limit) {
        return false;
    }
    const struct frame *f = &frame_table[mfn];
    /* No owner, no references, and the mark: free frames change only under the lock held here. */
    return atomic_load_explicit(&f->word, memory_order_relaxed) == (FW_RAM | FW_VALID) &&
           f->aux == order;
}

static void block_free(uint64_t mfn, unsigned int order)
{
    change(&heap.free, UINT64_C(1) << order);
    while (order < HEAP_MAX_ORDER) {
        uint64_t buddy = mfn ^ (UINT64_C(1) << order);
        if (!is_block(buddy, order) || (mfn & buddy) == 0) {
            break; /* a block never starts at frame 0 */
        }
        block_del(buddy, order);
        mfn &= buddy;
        order++;
    }
    block_add(mfn, order);
}

/* A block of exactly 2^order frames below 2^bits frames; 0 if there is none. locks: heap held. */
static uint64_t block_take(unsigned int order, unsigned int bits)
{
    uint64_t zones = heap.zones & (bits >= ZONES ? ~UINT64_C(0) : (UINT64_C(2) << bits) - 1);

    while (zones != 0) {
        unsigned int z = 63u - (unsigned int)__builtin_clzll(zones);
        uint32_t orders = heap.orders[z] >> order << order;
        if (orders != 0) {
            unsigned int o = (unsigned int)__builtin_ctz(orders);
            uint64_t mfn = heap.list[z][o];
            block_del(mfn, o);
            while (o > order) {
                o--;
                /* Keep the lower half free: what is handed out comes from the top. */
                block_add(mfn, o);
                mfn += UINT64_C(1) << o;
            }
            change(&heap.free, -(UINT64_C(1) << order));
            return mfn;
        }
        zones &= ~(UINT64_C(1) << z);
    }
    return 0;
}

/* Frames below 2^n are asked for in bits of addresses. */
static unsigned int frame_bits(unsigned int flags)
{
    unsigned int bits = flags >> 8;

    return bits == 0 ? ZONES : bits <= PAGE_SHIFT ? 0 : bits - PAGE_SHIFT;
}

/* Nobody's translation caches may still show these frames. No lock held. */
static void flush_stale(uint64_t mfn, unsigned int order)
{
    uint32_t done = frame_table[mfn].stamp;

    port_tlb_flush_before(&cpu_online_mask, done);
    for (uint64_t i = 1; i < UINT64_C(1) << order; i++) {
        if (frame_table[mfn + i].stamp != done) {
            done = frame_table[mfn + i].stamp;
            port_tlb_flush_before(&cpu_online_mask, done);
        }
    }
}

static void clear(uint64_t mfn, unsigned int order)
{
    for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
        memset(port_frame_va(MFN(mfn + i)), 0, PAGE_SIZE);
    }
}

/* Takes a block out of what is free; what was promised to d (NULL: nobody) is used first, *used
 * frames of it. 0: none. */
static uint64_t take(unsigned int order, unsigned int flags, struct domain *d, uint64_t *used)
{
    uint64_t n = UINT64_C(1) << order;
    uint64_t mfn = 0;

    *used = 0;
    if (order > HEAP_MAX_ORDER) {
        return 0;
    }
    spin_lock(&heap.lock);
    uint64_t promised = d != NULL && d->claimed_frames != 0 ? d->claimed_frames : 0;
    if (heap.free - (heap.claimed - promised) >= n) {
        mfn = block_take(order, frame_bits(flags));
    }
    if (mfn != 0 && promised != 0) {
        *used = promised < n ? promised : n;
        change(&d->claimed_frames, -*used);
        change(&heap.claimed, -*used);
    }
    spin_unlock(&heap.lock);
    return mfn;
}

/* A block that d cannot have after all, and the promise of which it was part. A domain that dies
 * gives all promises back after it is seen dying. */
static void untake(uint64_t mfn, unsigned int order, struct domain *d, uint64_t used)
{
    spin_lock(&heap.lock);
    block_free(mfn, order);
    if (!domain_is_dying(d)) {
        change(&d->claimed_frames, used);
        change(&heap.claimed, used);
    }
    spin_unlock(&heap.lock);
}

static void give(uint64_t mfn, unsigned int order)
{
    spin_lock(&heap.lock);
    block_free(mfn, order);
    spin_unlock(&heap.lock);
}

/* The frames of a block are handed out: the references and the type of each are in its word. */
static void own(uint64_t mfn, unsigned int order, struct domain *d, uint32_t aux, uint64_t word)
{
    for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
        struct frame *f = &frame_table[mfn + i];
        __atomic_store_n(&f->owner, d, __ATOMIC_RELAXED); /* it may be looked at all the time */
        f->aux = aux;
        f->next = 0;
        f->prev = 0;
        atomic_store_explicit(&f->word, FW_RAM | word, memory_order_release);
    }
}

void *heap_alloc(unsigned int order, unsigned int flags)
{
    uint64_t used;
    uint64_t mfn = take(order, flags, NULL, &used);

    if (mfn == 0) {
        return NULL;
    }
    flush_stale(mfn, order);
    if ((flags & HEAP_NOSCRUB) == 0) {
        clear(mfn, order);
    }
    own(mfn, order, NULL, 0, FW_REFS_MASK); /* FW_HYPERVISOR */
    return port_frame_va(MFN(mfn));
}

void heap_free(void *va, unsigned int order)
{
    uint64_t mfn = port_va_mfn(va).n;

    for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
        struct frame *f = &frame_table[mfn + i];
        bug_if(frame_word(f) != FW_HYPERVISOR || f->owner != NULL);
        atomic_store_explicit(&f->word, FW_RAM, memory_order_relaxed);
    }
    give(mfn, order);
}

bool heap_link(struct frame *f, struct domain *d)
{
    uint32_t head = d->page_head;

    f->prev = 0;
    f->next = head;
    if (head != 0) {
        frame_table[head].prev = (uint32_t)frame_mfn(f).n;
    }
    d->page_head = (uint32_t)frame_mfn(f).n;
    return head == 0;
}

bool heap_unlink(struct frame *f, struct domain *d)
{
    if (f->prev != 0) {
        frame_table[f->prev].next = f->next;
    } else {
        d->page_head = f->next;
    }
    if (f->next != 0) {
        frame_table[f->next].prev = f->prev;
    }
    f->next = 0;
    f->prev = 0;
    return d->page_head == 0;
}

/*
 * Under the lock that a frame's end takes as well (heap_release()): what is said here of a frame
 * that another vcpu gives up meanwhile is not said of its next owner's.
 * locks: pages(d) held. Returns true if the list was empty.
 */
static bool make_known(uint64_t mfn, unsigned int order, struct domain *d, uint64_t gpfn)
{
    bool was_empty = false;

    own(mfn, order, d, 0, FW_REF);
    for (uint64_t i = UINT64_C(1) << order; i-- > 0;) {
        was_empty |= heap_link(&frame_table[mfn + i], d);
        port_m2p_set(MFN(mfn + i), gpfn == M2P_INVALID ? gpfn : gpfn + i);
    }
    return was_empty;
}

/*
 * 2^order frames for d.  The memory is ready before d's list is touched, so nothing fails half-way.
 * fails: NULL: no memory, more than max_frames, or d is dying.
 */
struct frame *heap_alloc_domain(struct domain *d, unsigned int order, unsigned int flags,
                                uint64_t gpfn)
{
    uint64_t n = UINT64_C(1) << (order & 63);
    uint64_t used;
    uint64_t mfn = take(order, flags, d, &used);
    bool was_empty = false;

    if (mfn == 0) {
        return NULL;
    }
    flush_stale(mfn, order);
    if ((flags & HEAP_NOSCRUB) == 0 || !d->is_loading) {
        clear(mfn, order);
    }

    spin_lock(&d->pages_lock);
    uint64_t max = atomic_load_explicit(&d->max_frames, memory_order_relaxed);
    bool fits = !domain_is_dying(d) && d->owned_frames <= max && n <= max - d->owned_frames;
    if (fits) {
        was_empty = make_known(mfn, order, d, gpfn);
        change(&d->owned_frames, n);
        if (was_empty) {
            domain_ref(d);
        }
    }
    spin_unlock(&d->pages_lock);

    if (!fits) {
        untake(mfn, order, d, used);
        return NULL;
    }
    return &frame_table[mfn];
}

struct frame *heap_reserve(unsigned int order, unsigned int flags)
{
    const void *va = heap_alloc(order, flags);

    return va != NULL ? frame_of(port_va_mfn(va)) : NULL;
}

void heap_own(struct frame *f, unsigned int order, struct domain *d, uint64_t gpfn)
{
    spin_lock(&d->pages_lock);
    if (make_known(frame_mfn(f).n, order, d, gpfn)) {
        domain_ref(d);
    }
    spin_unlock(&d->pages_lock);
}

void heap_unreserve(struct frame *f, unsigned int order)
{
    heap_free(port_frame_va(frame_mfn(f)), order);
}

struct frame *heap_alloc_shared(struct domain *d)
{
    uint64_t used;
    uint64_t mfn = take(0, HEAP_ANY, NULL, &used);

    if (mfn == 0) {
        return NULL;
    }
    flush_stale(mfn, 0);
    clear(mfn, 0);
    domain_ref(d);
    own(mfn, 0, d, FA_UNLISTED | FA_UNCOUNTED, FW_TYPE(FT_WRITABLE) | FW_TREF | FW_REF);
    return &frame_table[mfn];
}

/* Others may have it mapped: then it stays theirs, and the audit must not count us any more. */
void heap_free_shared(struct frame *f)
{
    atomic_fetch_or(&f->word, FW_RELEASED);
    frame_put_writable(f);
}

void heap_release(struct frame *f)
{
    struct domain *d = f->owner;
    bool drop = false;

    if (d != NULL) {
        spin_lock(&d->pages_lock);
        if ((f->aux & FA_UNCOUNTED) == 0) {
            change(&d->owned_frames, -UINT64_C(1));
        }
        drop = (f->aux & FA_UNLISTED) != 0 || heap_unlink(f, d);
        spin_unlock(&d->pages_lock);
        port_m2p_set(frame_mfn(f), M2P_INVALID);
    }
    __atomic_store_n(&f->owner, NULL, __ATOMIC_RELAXED);
    atomic_store_explicit(&f->word, FW_RAM, memory_order_release);
    give(frame_mfn(f).n, 0);
    if (drop) {
        domain_put(d);
    }
}

int64_t heap_relinquish(struct domain *d)
{
    for (;;) {
        spin_lock(&d->pages_lock);
        uint32_t head = d->page_head;
        spin_unlock(&d->pages_lock);
        if (head == 0) {
            return 0;
        }
        /* A frame leaves the list here or, if somebody else was faster, has left it already. */
        int rc = frame_release(&frame_table[head], d);
        bug_if(rc == -EBUSY);
        if (hcall_preempt_check()) {
            return HC_AGAIN;
        }
    }
}

void heap_add(mfn_t first, mfn_t end)
{
    uint64_t mfn = first.n == 0 ? 1 : first.n;
    uint64_t last = end.n < frame_limit ? end.n : frame_limit;

    while (mfn < last) {
        /* The largest block that is aligned here and fits. */
        unsigned int order = (unsigned int)__builtin_ctzll(mfn);
        order = order > HEAP_MAX_ORDER ? HEAP_MAX_ORDER : order;
        while (last - mfn < UINT64_C(1) << order) {
            order--;
        }
        for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
            struct frame *f = &frame_table[mfn + i];
            __atomic_store_n(&f->owner, NULL, __ATOMIC_RELAXED);
            f->stamp = port_tlb_stamp();
            port_m2p_set(MFN(mfn + i), M2P_INVALID);
            atomic_store_explicit(&f->word, FW_RAM, memory_order_relaxed);
        }
        spin_lock(&heap.lock);
        change(&heap.total, UINT64_C(1) << order);
        block_free(mfn, order);
        spin_unlock(&heap.lock);
        mfn += UINT64_C(1) << order;
    }
}

/* Keys of the console ask from an interrupt, which may have come while the lock was held. */
uint64_t heap_free_frames(void)
{
    return __atomic_load_n(&heap.free, __ATOMIC_RELAXED);
}

uint64_t heap_total_frames(void)
{
    return __atomic_load_n(&heap.total, __ATOMIC_RELAXED);
}

uint64_t heap_claimed_frames(void)
{
    return __atomic_load_n(&heap.claimed, __ATOMIC_RELAXED);
}

/*
 * d is to be able to grow to `frames` in all; 0 gives an earlier claim back.
 * fails: -EINVAL (a claim stands already, or not more than it has, or more than its limit),
 * -ENOMEM. locks: pages(d), heap.
 */
int heap_claim(struct domain *d, uint64_t frames)
{
    int rc = 0;

    spin_lock(&d->pages_lock);
    uint64_t has = d->owned_frames;
    uint64_t max = atomic_load_explicit(&d->max_frames, memory_order_relaxed);
    bool dying = domain_is_dying(d);
    spin_unlock(&d->pages_lock);

    spin_lock(&heap.lock);
    if (frames == 0) {
        change(&heap.claimed, -d->claimed_frames);
        change(&d->claimed_frames, -d->claimed_frames);
    } else if (d->claimed_frames != 0 || frames <= has || frames > max || dying) {
        rc = -EINVAL;
    } else if (frames - has > heap.free - heap.claimed) {
        rc = -ENOMEM;
    } else {
        change(&d->claimed_frames, frames - has);
        change(&heap.claimed, frames - has);
    }
    spin_unlock(&heap.lock);
    return rc;
}
