/* SPDX-License-Identifier: MIT */
/*
 * Rights to the machine beyond RAM: sets of ranges, per domain and for everybody.
 *
 * A set is a sorted array of disjoint ranges with gaps between them.  Writers hold the lock;
 * readers take none, since page tables are checked under locks of every rank: they read between two
 * equal, even sequence numbers.
 */
#include "irq/rights.h"

#include "port/cpu.h"

#include "abi/errno.h"
#include "base/lock.h"
#include "base/panic.h"
#include "domain/domain.h"
#include "mm/pool.h"

struct range {
    uint64_t first;
    uint64_t last; /* inclusive */
};

struct range_set {
    _Atomic uint32_t seq; /* odd: being changed */
    uint32_t count;
    uint32_t max;
    struct range *r;
};

#define DOMAIN_RANGES 80u
#define GLOBAL_RANGES 512u

struct rights {
    struct spinlock lock;
    struct range_set set[RIGHT_COUNT];
    struct range ranges[RIGHT_COUNT][DOMAIN_RANGES];
};
_Static_assert(sizeof(struct rights) <= PAGE_SIZE, "an object of a pool");

static struct pool rights_pool = POOL("rights", struct rights);

static struct spinlock global_lock = SPINLOCK(LOCK_rights);
static struct range deny_ranges[RIGHT_COUNT][GLOBAL_RANGES];
static struct range readonly_ranges[GLOBAL_RANGES];
static struct range_set deny[RIGHT_COUNT] = {
    [RIGHT_MMIO] = { .max = GLOBAL_RANGES, .r = deny_ranges[RIGHT_MMIO] },
    [RIGHT_PORT] = { .max = GLOBAL_RANGES, .r = deny_ranges[RIGHT_PORT] },
    [RIGHT_IRQ] = { .max = GLOBAL_RANGES, .r = deny_ranges[RIGHT_IRQ] },
};
static struct range_set readonly = { .max = GLOBAL_RANGES, .r = readonly_ranges };

/* ---- sets -------------------------------------------------------------------------------------
 */

/* The first range that ends at or after x; s->count if none. */
static uint32_t set_find(const struct range_set *s, uint64_t x)
{
    uint32_t lo = 0;
    uint32_t hi = __atomic_load_n(&s->count, __ATOMIC_RELAXED);

    hi = hi <= s->max ? hi : s->max;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (__atomic_load_n(&s->r[mid].last, __ATOMIC_RELAXED) < x) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

enum coverage { COVERS_NONE, COVERS_SOME, COVERS_ALL };

static enum coverage coverage_once(const struct range_set *s, uint64_t first, uint64_t last)
{
    uint32_t i = set_find(s, first);

    if (i >= __atomic_load_n(&s->count, __ATOMIC_RELAXED) || i >= s->max) {
        return COVERS_NONE;
    }
    uint64_t from = __atomic_load_n(&s->r[i].first, __ATOMIC_RELAXED);
    uint64_t to = __atomic_load_n(&s->r[i].last, __ATOMIC_RELAXED);
    if (from > last) {
        return COVERS_NONE;
    }
    return from <= first && to >= last ? COVERS_ALL : COVERS_SOME;
}

/* How much of [first, last] lies in the set. Any context. */
static enum coverage coverage(const struct range_set *s, uint64_t first, uint64_t last)
{
    enum coverage c;
    uint32_t seq;

    do {
        seq = atomic_load_explicit(&s->seq, memory_order_acquire);
        c = coverage_once(s, first, last);
        atomic_thread_fence(memory_order_acquire);
        if ((seq & 1) != 0) {
            port_cpu_relax();
        }
    } while ((seq & 1) != 0 || atomic_load_explicit(&s->seq, memory_order_relaxed) != seq);
    return c;
}

/* Replaces the ranges [i, i + n) by the m ranges of `with`. The caller has checked that they fit.
 * locks: the set's. */
static void splice(struct range_set *s, uint32_t i, uint32_t n, const struct range *with,
                   uint32_t m)
{
    uint32_t tail = s->count - (i + n);

    atomic_fetch_add_explicit(&s->seq, 1, memory_order_acq_rel);
    if (m <= n) {
        for (uint32_t k = 0; k < tail; k++) {
            s->r[i + m + k] = s->r[i + n + k];
        }
    } else {
        for (uint32_t k = tail; k-- > 0;) {
            s->r[i + m + k] = s->r[i + n + k];
        }
    }
    for (uint32_t k = 0; k < m; k++) {
        s->r[i + k] = with[k];
    }
    __atomic_store_n(&s->count, s->count - n + m, __ATOMIC_RELAXED);
    atomic_fetch_add_explicit(&s->seq, 1, memory_order_release);
}

static int set_add(struct range_set *s, uint64_t first, uint64_t last)
{
    uint32_t i = set_find(s, first == 0 ? 0 : first - 1); /* one that only touches is joined, too */
    uint32_t n = 0;
    struct range all = { first, last };

    while (i + n < s->count && (last == UINT64_MAX || s->r[i + n].first <= last + 1)) {
        all.first = s->r[i + n].first < all.first ? s->r[i + n].first : all.first;
        all.last = s->r[i + n].last > all.last ? s->r[i + n].last : all.last;
        n++;
    }
    if (s->count - n + 1 > s->max) {
        return -ENOMEM;
    }
    splice(s, i, n, &all, 1);
    return 0;
}

static int set_remove(struct range_set *s, uint64_t first, uint64_t last)
{
    uint32_t i = set_find(s, first);
    uint32_t n = 0;
    uint32_t m = 0;
    struct range left[2];

    while (i + n < s->count && s->r[i + n].first <= last) {
        if (s->r[i + n].first < first) {
            left[m++] = (struct range){ s->r[i + n].first, first - 1 };
        }
        if (s->r[i + n].last > last) {
            left[m++] = (struct range){ last + 1, s->r[i + n].last };
        }
        n++;
    }
    if (s->count - n + m > s->max) {
        return -ENOMEM;
    }
    splice(s, i, n, left, m);
    return 0;
}

/* ---- domains ----------------------------------------------------------------------------------
 */

static struct rights *rights_new(void)
{
    struct rights *r = pool_alloc(&rights_pool);

    if (r != NULL) {
        spin_init(&r->lock, LOCK_rights);
        for (unsigned int k = 0; k < RIGHT_COUNT; k++) {
            r->set[k].r = r->ranges[k];
            r->set[k].max = DOMAIN_RANGES;
        }
    }
    return r;
}

/* Ordinary domains have no rights, and no memory for them until they are given some. fails:
 * -ENOMEM. */
int rights_domain_init(struct domain *d)
{
    if (!d->is_hw) {
        return 0;
    }
    d->rights = rights_new();
    if (d->rights == NULL) {
        return -ENOMEM;
    }
    for (unsigned int k = 0; k < RIGHT_COUNT; k++) {
        bug_if(set_add(&d->rights->set[k], 0, UINT64_MAX) != 0);
    }
    return 0;
}

void rights_domain_destroy(struct domain *d)
{
    if (d->rights != NULL) {
        pool_free(&rights_pool, d->rights);
        d->rights = NULL;
    }
}

/* fails: -EINVAL, -ENOMEM. locks: takes rights. */
int rights_allow(struct domain *d, enum rights_kind k, uint64_t first, uint64_t last)
{
    if (first > last || k >= RIGHT_COUNT) {
        return -EINVAL;
    }
    if (__atomic_load_n(&d->rights, __ATOMIC_ACQUIRE) == NULL) {
        struct rights *fresh = rights_new();
        struct rights *none = NULL;
        if (fresh == NULL) {
            return -ENOMEM;
        }
        if (!__atomic_compare_exchange_n(&d->rights, &none, fresh, false, __ATOMIC_ACQ_REL,
                                         __ATOMIC_ACQUIRE)) {
            pool_free(&rights_pool, fresh);
        }
    }
    spin_lock(&d->rights->lock);
    int rc = set_add(&d->rights->set[k], first, last);
    spin_unlock(&d->rights->lock);
    return rc;
}

/* fails: -EINVAL, -ENOMEM. locks: takes rights. */
int rights_deny(struct domain *d, enum rights_kind k, uint64_t first, uint64_t last)
{
    if (first > last || k >= RIGHT_COUNT) {
        return -EINVAL;
    }
    if (d->rights == NULL) {
        return 0;
    }
    spin_lock(&d->rights->lock);
    int rc = set_remove(&d->rights->set[k], first, last);
    spin_unlock(&d->rights->lock);
    return rc;
}

/* Any context. */
bool rights_check(struct domain *d, enum rights_kind k, uint64_t first, uint64_t last)
{
    const struct rights *r = __atomic_load_n(&d->rights, __ATOMIC_ACQUIRE);

    return r != NULL && first <= last && coverage(&r->set[k], first, last) == COVERS_ALL &&
           coverage(&deny[k], first, last) == COVERS_NONE;
}

int rights_deny_global(enum rights_kind k, uint64_t first, uint64_t last)
{
    if (first > last || k >= RIGHT_COUNT) {
        return -EINVAL;
    }
    spin_lock(&global_lock);
    int rc = set_add(&deny[k], first, last);
    spin_unlock(&global_lock);
    return rc;
}

int rights_readonly_global(uint64_t first_mfn, uint64_t last_mfn)
{
    if (first_mfn > last_mfn) {
        return -EINVAL;
    }
    spin_lock(&global_lock);
    int rc = set_add(&readonly, first_mfn, last_mfn);
    spin_unlock(&global_lock);
    return rc;
}

/* Any context. fails: -EPERM. */
int rights_check_mmio(struct domain *d, mfn_t mfn, bool *readonly_only)
{
    if (!rights_check(d, RIGHT_MMIO, mfn.n, mfn.n)) {
        return -EPERM;
    }
    *readonly_only = coverage(&readonly, mfn.n, mfn.n) != COVERS_NONE;
    return 0;
}
