/* SPDX-License-Identifier: MIT */
/*
 * Event channels, 2-level: the table of ports, binding and closing, and making events pending.
 *
 * Sending takes no lock but the sending port's own bit; binding and closing take the table's lock,
 * of both domains in the order of their ids where two are involved.  Memory for ports is allocated
 * before a lock is taken and lives as long as the domain, so a port number once checked stays good.
 * An interdomain port holds a reference to its peer.
 */
#include "evtchn/evtchn.h"

#include "port/cpu.h"

#include "abi/errno.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/panic.h"
#include "evtchn/evtchn_priv.h"
#include "hcall/hcall.h"
#include "irq/pirq.h"
#include "mm/heap.h"
#include "mm/pool.h"

static struct pool table_pool = POOL("evtchn_table", struct evtchn_table);

/* ---- locks ------------------------------------------------------------------------------------
 */

/* Locks d's table, and other's if there is one, in the order of ids. */
static unsigned long lock_two(struct domain *d, struct domain *other)
{
    unsigned long flags = port_irq_save();

    if (other == NULL || other == d) {
        spin_lock(&d->evtchn->lock);
    } else {
        bool first = d->id < other->id;
        spin_lock(first ? &d->evtchn->lock : &other->evtchn->lock);
        spin_lock(first ? &other->evtchn->lock : &d->evtchn->lock);
    }
    return flags;
}

static void unlock_two(struct domain *d, struct domain *other, unsigned long flags)
{
    if (other != NULL && other != d) {
        spin_unlock(d->id < other->id ? &other->evtchn->lock : &d->evtchn->lock);
        spin_unlock(d->id < other->id ? &d->evtchn->lock : &other->evtchn->lock);
    } else {
        spin_unlock(&d->evtchn->lock);
    }
    port_irq_restore(flags);
}

static void port_lock(struct evtchn *e)
{
    while ((atomic_fetch_or_explicit(&e->word, EW_LOCK, memory_order_acquire) & EW_LOCK) != 0) {
        port_cpu_relax();
    }
}

/* Ends the lock with a new word. */
static void port_unlock(struct evtchn *e, uint64_t word)
{
    atomic_store_explicit(&e->word, word & ~EW_LOCK, memory_order_release);
}

/* Changes a port, waiting for a sender that is using it. locks: the table's held. */
static void port_set(struct evtchn *e, uint64_t word, struct domain *peer)
{
    port_lock(e);
    e->peer = peer;
    port_unlock(e, word);
}

/* ---- finding ports ----------------------------------------------------------------------------
 */

bool evtchn_port_ok(const struct domain *d, uint32_t port)
{
    return port < d->evtchn->count;
}

/* A free port; -ENOSPC, -EAGAIN (its bucket is missing), -EINVAL (dying). locks: t->lock held. */
static int64_t find_free(struct evtchn_table *t)
{
    if (t->dying) {
        return -EINVAL;
    }
    for (uint32_t port = t->first_free; port < t->count; port++) {
        const struct evtchn *e = evtchn_of(t, port);
        t->first_free = port;
        if (e == NULL) {
            return -EAGAIN;
        }
        if (ew_state(evtchn_word(e)) == ES_FREE) {
            return port;
        }
    }
    t->first_free = t->count;
    return -ENOSPC;
}

/* Adds the first missing bucket. fails: -ENOMEM. locks: takes t->lock. */
static int64_t bucket_add(struct evtchn_table *t)
{
    void *frame = heap_alloc(0, HEAP_ANY);

    if (frame == NULL) {
        return -ENOMEM;
    }
    unsigned long flags = spin_lock_irqsave(&t->lock);
    uint32_t i = t->first_free / EVTCHN_PER_BUCKET;
    if (i < EVTCHN_BUCKETS && atomic_load_explicit(&t->bucket[i], memory_order_relaxed) == NULL) {
        atomic_store_explicit(&t->bucket[i], frame, memory_order_release);
        frame = NULL;
    }
    spin_unlock_irqrestore(&t->lock, flags);
    if (frame != NULL) {
        heap_free(frame, 0);
    }
    return 0;
}

/* Locks d (and other) with a free port of d at hand, which is the result. On an error nothing is
 * locked. */
static int64_t lock_with_port(struct domain *d, struct domain *other, unsigned long *flags)
{
    for (;;) {
        *flags = lock_two(d, other);
        int64_t port = find_free(d->evtchn);
        if (port >= 0) {
            return port;
        }
        unlock_two(d, other, *flags);
        if (port != -EAGAIN) {
            return port;
        }
        int64_t rc = bucket_add(d->evtchn);
        if (rc != 0) {
            return rc;
        }
    }
}

static void take(struct domain *d, uint32_t port, uint64_t word, struct domain *peer)
{
    struct evtchn_table *t = d->evtchn;

    t->in_use++;
    t->first_free = port + 1;
    port_set(evtchn_of(t, port), word, peer);
}

/* The port is free again, and so is its pending bit. locks: the table's held. */
static void give_back(struct domain *d, uint32_t port)
{
    struct evtchn_table *t = d->evtchn;

    port_set(evtchn_of(t, port), ew_make(ES_FREE, 0, 0), NULL);
    __atomic_fetch_and(&d->shared->evtchn_pending[port / 64], ~(UINT64_C(1) << (port % 64)),
                       __ATOMIC_SEQ_CST);
    t->in_use--;
    t->first_free = port < t->first_free ? port : t->first_free;
}

/* ---- raising ----------------------------------------------------------------------------------
 */

void evtchn_tell_vcpu(struct vcpu *v)
{
    vcpu_kick(v);
}

/* Some vcpus of d may be polling for `port`. */
void evtchn_wake_pollers(struct domain *d, uint32_t port)
{
    uint64_t mask = atomic_load(&d->evtchn->poll_mask);

    for (uint32_t id = 0; id < d->max_vcpus; id++) {
        struct vcpu *v = d->vcpu[id];
        if (v != NULL && (mask >> (id % 64) & 1) != 0 &&
            (atomic_load(&v->state) & VS_POLLING) != 0 &&
            (v->poll_nr != 1 || v->poll_port == port)) {
            vcpu_kick(v);
        }
    }
}

void evtchn_poll_begin(struct vcpu *v)
{
    atomic_fetch_or(&v->d->evtchn->poll_mask, UINT64_C(1) << (v->id % 64));
}

/* Another vcpu may stand for the same bit: only with few vcpus does the mask become empty again. */
void evtchn_poll_end(struct vcpu *v)
{
    uint64_t bit = UINT64_C(1) << (v->id % 64);

    if (v->d->max_vcpus <= 64 &&
        (atomic_load_explicit(&v->d->evtchn->poll_mask, memory_order_relaxed) & bit) != 0) {
        atomic_fetch_and(&v->d->evtchn->poll_mask, ~bit);
    }
}

bool evtchn_poll_pending(struct vcpu *v, const uint32_t *ports, uint32_t n)
{
    const struct shared_info *s = v->d->shared;

    for (uint32_t i = 0; i < n; i++) {
        if (evtchn_port_ok(v->d, ports[i])) {
            uint32_t port = (uint32_t)index_nospec(ports[i], EVTCHN_2L_NR_CHANNELS);
            uint64_t word = __atomic_load_n(&s->evtchn_pending[port / 64], __ATOMIC_SEQ_CST);
            if ((word >> (port % 64) & 1) != 0) {
                return true;
            }
        }
    }
    return false;
}

/* Over a port that was interdomain a moment ago: with its bit held, the peer cannot go. fails:
 * -EINVAL. */
int64_t evtchn_send_interdomain(struct evtchn *e)
{
    int64_t rc = 0;

    port_lock(e);
    uint64_t w = atomic_load_explicit(&e->word, memory_order_relaxed);
    if (ew_state(w) == ES_INTERDOMAIN) {
        struct domain *rd = e->peer;
        count(CNT_EVENT_SEND, 1);
        uint32_t rport = ew_arg(w);
        evtchn_set_pending_movable(rd, rport, evtchn_of(rd->evtchn, rport));
    } else if (ew_state(w) != ES_UNBOUND) {
        rc = -EINVAL;
    }
    port_unlock(e, w);
    return rc;
}

/* Any context. The port may have been closed and given out again meanwhile: then its new owner sees
 * one event too many. */
void virq_raise(struct vcpu *v, uint32_t virq)
{
    uint32_t port = __atomic_load_n(&v->virq_port[virq], __ATOMIC_ACQUIRE);

    if (port != 0) {
        evtchn_set_pending(v->d, port, v->id);
    }
}

void virq_raise_global(struct domain *d, uint32_t virq)
{
    const struct vcpu *v0 = vcpu_get(d, 0);
    uint32_t port = v0 != NULL ? __atomic_load_n(&v0->virq_port[virq], __ATOMIC_ACQUIRE) : 0;

    if (port != 0) {
        evtchn_set_pending_movable(d, port, evtchn_of(d->evtchn, port));
    }
}

void evtchn_raise(struct domain *d, uint32_t port)
{
    const struct evtchn *e = evtchn_of(d->evtchn, port);
    uint64_t w = e != NULL ? evtchn_word(e) : 0;

    if (ew_state(w) == ES_PIRQ) {
        evtchn_set_pending_movable(d, port, e);
    }
}

/* Everything is marked: what came in while the place was changing is not lost. */
void evtchn_vcpu_info_moved(struct vcpu *v)
{
    struct vcpu_info *info = v->info;

    __atomic_store_n(&info->evtchn_pending_sel, ~UINT64_C(0), __ATOMIC_SEQ_CST);
    __atomic_store_n(&info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST);
    vcpu_kick(v);
}

/* ---- binding ----------------------------------------------------------------------------------
 */

/* fails: -ENOSPC, -ENOMEM, -EINVAL (d dies). locks: takes evtchn. */
int evtchn_alloc_unbound(struct domain *d, domid_t remote, uint32_t *port)
{
    unsigned long flags;
    int64_t p = lock_with_port(d, NULL, &flags);

    if (p < 0) {
        return (int)p;
    }
    take(d, (uint32_t)p, ew_make(ES_UNBOUND, 0, remote), NULL);
    unlock_two(d, NULL, flags);
    *port = (uint32_t)p;
    return 0;
}

/*
 * Binds a new port of d to rport of rd, which must be waiting for d.  The new port is made pending
 * at once, since events may have been sent to the other end before.  fails: -EINVAL, -ENOSPC,
 * -ENOMEM. locks: takes evtchn of both.
 */
int64_t evtchn_bind_interdomain(struct domain *d, struct domain *rd, uint32_t rport, uint32_t *port)
{
    unsigned long flags;
    int64_t p = lock_with_port(d, rd, &flags);

    if (p < 0) {
        return p;
    }
    struct evtchn *re = evtchn_of(rd->evtchn, rport);
    uint64_t rw = re != NULL ? evtchn_word(re) : 0;
    if (rd->evtchn->dying || ew_state(rw) != ES_UNBOUND || ew_arg(rw) != d->id) {
        unlock_two(d, rd, flags);
        return -EINVAL;
    }

    domain_ref(d);
    domain_ref(rd);
    take(d, (uint32_t)p, ew_make(ES_INTERDOMAIN, 0, rport), rd);
    port_set(re, ew_make(ES_INTERDOMAIN, ew_vcpu(rw), (uint32_t)p), d);
    evtchn_set_pending(d, (uint32_t)p, 0);
    unlock_two(d, rd, flags);
    *port = (uint32_t)p;
    return 0;
}

static bool virq_is_global(uint32_t virq)
{
    return virq != VIRQ_TIMER && virq != VIRQ_DEBUG && virq != VIRQ_XENOPROF && virq != VIRQ_XENPMU;
}

/* Global ones are bound on vcpu 0. fails: -EINVAL, -ENOENT (vcpu), -EEXIST, -ENOSPC, -ENOMEM.
 * locks: takes evtchn. */
int64_t evtchn_bind_virq(struct domain *d, uint32_t virq, uint32_t vcpu, uint32_t *port)
{
    struct vcpu *v = vcpu_get(d, vcpu);
    unsigned long flags;

    if (virq >= NR_VIRQS) {
        return -EINVAL;
    }
    virq = (uint32_t)index_nospec(virq, NR_VIRQS);
    if (virq_is_global(virq) && vcpu != 0) {
        return -EINVAL;
    }
    if (v == NULL) {
        return -ENOENT;
    }
    int64_t p = lock_with_port(d, NULL, &flags);
    if (p < 0) {
        return p;
    }
    if (v->virq_port[virq] != 0) {
        unlock_two(d, NULL, flags);
        return -EEXIST;
    }

    take(d, (uint32_t)p, ew_make(ES_VIRQ, vcpu, virq), NULL);
    __atomic_store_n(&v->virq_port[virq], (uint32_t)p, __ATOMIC_RELEASE);
    unlock_two(d, NULL, flags);
    *port = (uint32_t)p;
    return 0;
}

/* fails: what pirq_bind() says, -ENOSPC, -ENOMEM. locks: takes evtchn, then pirq. */
int64_t evtchn_bind_pirq(struct domain *d, uint32_t pirq, bool share, uint32_t *port)
{
    unsigned long flags;
    int64_t p;

    if (pirq > INT32_MAX) {
        return -EINVAL;
    }
    p = lock_with_port(d, NULL, &flags);
    if (p < 0) {
        return p;
    }
    /* Known before the line is started: the first interrupt may come at once. */
    take(d, (uint32_t)p, ew_make(ES_PIRQ, 0, pirq), NULL);
    int rc = pirq_bind(d, (int)pirq, (uint32_t)p, share);
    if (rc != 0) {
        give_back(d, (uint32_t)p);
    }
    unlock_two(d, NULL, flags);
    *port = (uint32_t)p;
    return rc;
}

/* fails: -ENOENT, -ENOSPC, -ENOMEM. locks: takes evtchn. */
int64_t evtchn_bind_ipi(struct domain *d, uint32_t vcpu, uint32_t *port)
{
    unsigned long flags;

    if (vcpu_get(d, vcpu) == NULL) {
        return -ENOENT;
    }
    int64_t p = lock_with_port(d, NULL, &flags);
    if (p < 0) {
        return p;
    }
    take(d, (uint32_t)p, ew_make(ES_IPI, vcpu, 0), NULL);
    unlock_two(d, NULL, flags);
    *port = (uint32_t)p;
    return 0;
}

static bool is_unmasked_pending(const struct domain *d, uint32_t port)
{
    const struct shared_info *s = d->shared;

    port = (uint32_t)index_nospec(port, EVTCHN_2L_NR_CHANNELS);
    uint64_t pending = __atomic_load_n(&s->evtchn_pending[port / 64], __ATOMIC_SEQ_CST) &
                       ~__atomic_load_n(&s->evtchn_mask[port / 64], __ATOMIC_SEQ_CST);

    return (pending >> (port % 64) & 1) != 0;
}

/* Chooses the vcpu that is told. fails: -ENOENT (vcpu), -EINVAL (port; or it belongs to its vcpu).
 * locks: takes evtchn. */
int64_t evtchn_bind_vcpu(struct domain *d, uint32_t port, uint32_t vcpu)
{
    const struct vcpu *v = vcpu_get(d, vcpu);
    struct evtchn *e = evtchn_of(d->evtchn, port);
    int64_t rc = 0;

    if (v == NULL) {
        return -ENOENT;
    }
    if (e == NULL) {
        return -EINVAL;
    }
    unsigned long flags = lock_two(d, NULL);
    uint64_t w = evtchn_word(e) & ~EW_LOCK;
    switch (ew_state(w)) {
    case ES_VIRQ:
        rc = virq_is_global(ew_arg(w)) ? 0 : -EINVAL;
        break;
    case ES_PIRQ:
        pirq_set_cpu(d, (int)ew_arg(w), atomic_load(&v->cpu));
        break;
    case ES_UNBOUND:
    case ES_INTERDOMAIN:
        break;
    default:
        rc = -EINVAL;
        break;
    }
    if (rc == 0) {
        /* The port is not masked by every guest meanwhile: one that came in is told here as well.
         */
        port_set(e, ew_make(ew_state(w), vcpu, ew_arg(w)), e->peer);
        atomic_thread_fence(memory_order_seq_cst);
        if (is_unmasked_pending(d, port)) {
            evtchn_select(d, port / 64, vcpu);
        }
    }
    unlock_two(d, NULL, flags);
    return rc;
}

/* ---- closing ----------------------------------------------------------------------------------
 */

/* Closes a port of any kind but interdomain. locks: the table's held. */
static int64_t close_simple(struct domain *d, uint32_t port, uint64_t w)
{
    switch (ew_state(w)) {
    case ES_FREE:
    case ES_RESERVED:
        return -EINVAL;
    case ES_PIRQ:
        pirq_unbind(d, (int)ew_arg(w));
        break;
    case ES_VIRQ:
        __atomic_store_n(&d->vcpu[virq_is_global(ew_arg(w)) ? 0 : ew_vcpu(w)]->virq_port[ew_arg(w)],
                         0, __ATOMIC_RELEASE);
        break;
    default:
        break;
    }
    give_back(d, port);
    return 0;
}

/* Both ends are locked: the other one goes back to waiting for d. */
static void close_pair(struct domain *d, uint32_t port, struct domain *rd, uint32_t rport)
{
    struct evtchn *re = evtchn_of(rd->evtchn, rport);

    port_set(re, ew_make(ES_UNBOUND, ew_vcpu(evtchn_word(re)), d->id), NULL);
    give_back(d, port);
}

/* fails: -EINVAL. locks: takes evtchn, of both ends if interdomain. */
int64_t evtchn_close(struct domain *d, uint32_t port)
{
    struct evtchn *e = evtchn_of(d->evtchn, port);

    if (e == NULL) {
        return -EINVAL;
    }
    for (;;) {
        unsigned long flags = lock_two(d, NULL);
        uint64_t w = evtchn_word(e);
        struct domain *rd = e->peer;
        if (ew_state(w) != ES_INTERDOMAIN) {
            int64_t rc = close_simple(d, port, w);
            unlock_two(d, NULL, flags);
            return rc;
        }
        /* The order of locks is by id: let go, keep the peer alive, and look again with both. */
        domain_ref(rd);
        unlock_two(d, NULL, flags);

        flags = lock_two(d, rd);
        w = evtchn_word(e);
        bool same = ew_state(w) == ES_INTERDOMAIN && e->peer == rd;
        if (same) {
            close_pair(d, port, rd, ew_arg(w));
        }
        unlock_two(d, rd, flags);
        domain_put(rd);
        if (same) {
            domain_put(d);
            domain_put(rd);
            return 0;
        }
    }
}

/* Closes every port from t->close_next on, 64 at a time. 0 or HC_AGAIN. */
static int64_t close_all(struct domain *d)
{
    struct evtchn_table *t = d->evtchn;

    while (t->close_next < t->count) {
        uint32_t port = t->close_next;
        const struct evtchn *e = evtchn_of(t, port);
        if (e == NULL) {
            t->close_next += EVTCHN_PER_BUCKET - port % EVTCHN_PER_BUCKET;
            continue;
        }
        if (ew_state(evtchn_word(e)) > ES_RESERVED) {
            (void)!evtchn_close(d, port);
        }
        t->close_next++;
        if (t->close_next % 64 == 0 && hcall_preempt_check()) {
            return HC_AGAIN;
        }
    }
    t->close_next = 0;
    return 0;
}

/* locks: life(d) held: only one closes them all. */
int64_t evtchn_reset(struct domain *d)
{
    return close_all(d);
}

int64_t evtchn_domain_relinquish(struct domain *d)
{
    unsigned long flags = lock_two(d, NULL);

    if (!d->evtchn->dying) {
        d->evtchn->dying = true;
        d->evtchn->close_next = 0;
    }
    unlock_two(d, NULL, flags);
    return close_all(d);
}

/* ---- the rest ---------------------------------------------------------------------------------
 */

/* Takes the mask off; what was pending under it is delivered now. fails: -EINVAL. */
int64_t evtchn_unmask(struct domain *d, uint32_t port)
{
    const struct evtchn *e = evtchn_of(d->evtchn, port);
    struct shared_info *s = d->shared;
    uint64_t bit = UINT64_C(1) << (port % 64);

    if (e == NULL) {
        return -EINVAL;
    }
    uint32_t word = (uint32_t)index_nospec(port, EVTCHN_2L_NR_CHANNELS) / 64;
    uint64_t was = __atomic_fetch_and(&s->evtchn_mask[word], ~bit, __ATOMIC_SEQ_CST);
    if ((was & bit) != 0 &&
        (__atomic_load_n(&s->evtchn_pending[word], __ATOMIC_SEQ_CST) & bit) != 0) {
        evtchn_select(d, word, ew_vcpu(evtchn_word(e)));
    }
    return 0;
}

/* fails: -EINVAL (no such port). locks: takes evtchn. */
int64_t evtchn_status(struct domain *d, struct evtchn_status *out)
{
    const struct evtchn *e = evtchn_of(d->evtchn, out->port);

    if (out->port >= d->evtchn->count) {
        return -EINVAL;
    }
    unsigned long flags = lock_two(d, NULL);
    uint64_t w = e != NULL ? evtchn_word(e) : 0;
    out->vcpu = ew_vcpu(w);
    switch (ew_state(w)) {
    case ES_UNBOUND:
        out->status = EVTCHNSTAT_unbound;
        out->u.unbound.dom = (domid_t)ew_arg(w);
        break;
    case ES_INTERDOMAIN:
        out->status = EVTCHNSTAT_interdomain;
        out->u.interdomain.dom = e->peer->id;
        out->u.interdomain.port = ew_arg(w);
        break;
    case ES_PIRQ:
        out->status = EVTCHNSTAT_pirq;
        out->u.pirq = ew_arg(w);
        break;
    case ES_VIRQ:
        out->status = EVTCHNSTAT_virq;
        out->u.virq = ew_arg(w);
        break;
    case ES_IPI:
        out->status = EVTCHNSTAT_ipi;
        break;
    default:
        out->status = EVTCHNSTAT_closed;
        break;
    }
    unlock_two(d, NULL, flags);
    return 0;
}

uint32_t evtchn_count(struct domain *d)
{
    return d->evtchn->in_use;
}

uint32_t evtchn_table_frames(struct domain *d)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < EVTCHN_BUCKETS; i++) {
        n += atomic_load_explicit(&d->evtchn->bucket[i], memory_order_relaxed) != NULL;
    }
    return n;
}

/* max_port: the highest number allowed; above what 2-level can have it counts as that. fails:
 * -ENOMEM. */
int evtchn_domain_init(struct domain *d, uint32_t max_port)
{
    struct evtchn_table *t = pool_alloc(&table_pool);

    if (t == NULL) {
        return -ENOMEM;
    }
    spin_init(&t->lock, LOCK_evtchn);
    t->count = max_port < EVTCHN_2L_NR_CHANNELS ? max_port + 1 : EVTCHN_2L_NR_CHANNELS;
    d->evtchn = t;
    if (bucket_add(t) != 0) {
        return -ENOMEM;
    }
    atomic_store(&evtchn_of(t, 0)->word, ew_make(ES_RESERVED, 0, 0));
    t->first_free = 1;
    return 0;
}

void evtchn_domain_destroy(struct domain *d)
{
    struct evtchn_table *t = d->evtchn;

    if (t == NULL) {
        return;
    }
    for (uint32_t i = 0; i < EVTCHN_BUCKETS; i++) {
        void *frame = atomic_load(&t->bucket[i]);
        if (frame != NULL) {
            heap_free(frame, 0);
        }
    }
    d->evtchn = NULL;
    pool_free(&table_pool, t);
}

/* Without locks: for a person who looks at a guest that may hang. */
#define DUMP_LINES 64u /* of a domain: each is written to a slow uart */

void evtchn_dump(struct domain *d)
{
    unsigned int lines = 0;

    for (uint32_t port = 0; port < d->evtchn->count && lines < DUMP_LINES; port++) {
        const struct evtchn *e = evtchn_of(d->evtchn, port);
        uint64_t bit = UINT64_C(1) << (port % 64);
        if (e != NULL && (d->shared->evtchn_pending[port / 64] & bit) != 0) {
            uint64_t w = evtchn_word(e);
            lines++;
            log_at(LOG_ERR, "  port %u pending%s: state %u, vcpu %u, argument %u", port,
                   (d->shared->evtchn_mask[port / 64] & bit) != 0 ? ", masked" : "", ew_state(w),
                   ew_vcpu(w), ew_arg(w));
        }
    }
}

static void audit_port(struct domain *d, uint32_t port, const struct evtchn *e)
{
    uint64_t w = evtchn_word(e);
    const struct evtchn *re;

    bug_if((w & EW_LOCK) != 0);
    switch (ew_state(w)) {
    case ES_INTERDOMAIN:
        re = evtchn_of(e->peer->evtchn, ew_arg(w));
        bug_if(re == NULL || ew_state(evtchn_word(re)) != ES_INTERDOMAIN || re->peer != d ||
               ew_arg(evtchn_word(re)) != port);
        break;
    case ES_VIRQ:
        bug_if(d->vcpu[virq_is_global(ew_arg(w)) ? 0 : ew_vcpu(w)]->virq_port[ew_arg(w)] != port);
        break;
    case ES_FREE:
        bug_if(port < d->evtchn->first_free);
        break;
    default:
        break;
    }
    bug_if(ew_state(w) != ES_INTERDOMAIN && e->peer != NULL);
    bug_if(ew_state(w) > ES_RESERVED && vcpu_get(d, ew_vcpu(w)) == NULL && ew_vcpu(w) != 0);
}

void evtchn_audit(struct domain *d)
{
    uint32_t n = 0;

    for (uint32_t port = 0; port < d->evtchn->count; port++) {
        const struct evtchn *e = evtchn_of(d->evtchn, port);
        if (e != NULL) {
            audit_port(d, port, e);
            n += ew_state(evtchn_word(e)) > ES_RESERVED;
        }
    }
    bug_if(n != d->evtchn->in_use);
}
