/* SPDX-License-Identifier: MIT */
/*
 * A port's state, shared by evtchn.c and evtchn_op.c.
 *
 *   63 ........ 32  31 .... 16  15 ... 9    8     7 .. 0
 *   [ argument     | vcpu told |   --    | LOCK | state ]
 *
 * The word is read without a lock.  It changes only under the table's lock and with LOCK held.  A
 * sender over an interdomain port holds LOCK while it uses `peer`, so that closing waits for it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/event.h"
#include "abi/xen.h"
#include "base/lock.h"
#include "base/nospec.h"
#include "domain/domain.h"

enum evtchn_state {
    ES_FREE,
    ES_RESERVED,    /* port 0: never given out */
    ES_UNBOUND,     /* argument: domain that may bind to it */
    ES_INTERDOMAIN, /* argument: port of `peer` */
    ES_PIRQ,        /* argument: pirq */
    ES_VIRQ,        /* argument: virq */
    ES_IPI
};

#define EW_STATE      UINT64_C(0xff)
#define EW_LOCK       UINT64_C(0x100)
#define EW_VCPU_SHIFT 16
#define EW_ARG_SHIFT  32

struct evtchn {
    _Atomic uint64_t word;
    struct domain *peer; /* ES_INTERDOMAIN: the other end; a reference is held [LOCK] */
};

#define EVTCHN_PER_BUCKET 256u /* a frame of them */
#define EVTCHN_BUCKETS    (EVTCHN_2L_NR_CHANNELS / EVTCHN_PER_BUCKET)

struct evtchn_table {
    struct spinlock lock;
    uint32_t count;             /* ports below this number may be used */
    uint32_t first_free;        /* no free port lies below [lock] */
    uint32_t in_use;            /* [lock] */
    bool dying;                 /* nothing is bound any more [lock] */
    uint32_t close_next;        /* progress of relinquish and reset [lock] */
    _Atomic uint64_t poll_mask; /* vcpus, by number modulo 64, that may be polling */
    _Atomic(struct evtchn *) bucket[EVTCHN_BUCKETS]; /* never freed before the domain */
};

static inline enum evtchn_state ew_state(uint64_t word)
{
    return (enum evtchn_state)(word & EW_STATE);
}

static inline uint32_t ew_vcpu(uint64_t word)
{
    return (uint32_t)(word >> EW_VCPU_SHIFT) & 0xffffu;
}

static inline uint32_t ew_arg(uint64_t word)
{
    return (uint32_t)(word >> EW_ARG_SHIFT);
}

static inline uint64_t ew_make(enum evtchn_state state, uint32_t vcpu, uint32_t arg)
{
    return (uint64_t)state | (uint64_t)vcpu << EW_VCPU_SHIFT | (uint64_t)arg << EW_ARG_SHIFT;
}

/* The port, or NULL if there is none of that number. A number below `count` whose bucket is missing
 * is a free port. */
static inline struct evtchn *evtchn_of(const struct evtchn_table *t, uint32_t port)
{
    if (port >= t->count) {
        return NULL;
    }
    port = (uint32_t)index_nospec(port, t->count);
    struct evtchn *b =
        atomic_load_explicit(&t->bucket[port / EVTCHN_PER_BUCKET], memory_order_acquire);
    return b != NULL ? &b[port % EVTCHN_PER_BUCKET] : NULL;
}

static inline uint64_t evtchn_word(const struct evtchn *e)
{
    return atomic_load_explicit(&e->word, memory_order_acquire);
}

/* Slow parts of evtchn_set_pending(). */
void evtchn_tell_vcpu(struct vcpu *v);
void evtchn_wake_pollers(struct domain *d, uint32_t port);

/* Unmasked and pending: the selector bit, and the upcall if it is new. */
static inline void evtchn_select(struct domain *d, uint32_t word, uint32_t vcpu)
{
    struct vcpu *v = __atomic_load_n(&d->vcpu[vcpu], __ATOMIC_ACQUIRE);

    if (__builtin_expect(v == NULL, 0)) {
        return; /* a port of a domain that has no vcpus yet */
    }
    struct vcpu_info *info = __atomic_load_n(&v->info, __ATOMIC_ACQUIRE);
    uint64_t bit = UINT64_C(1) << word;

    if ((__atomic_fetch_or(&info->evtchn_pending_sel, bit, __ATOMIC_SEQ_CST) & bit) == 0 &&
        __atomic_exchange_n(&info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST) == 0) {
        evtchn_tell_vcpu(v);
    }
}

/* Where in the shared bits: the port has been checked, and is in bounds where the check was
 * mispredicted, too. */
static inline uint32_t evtchn_index(uint32_t port)
{
    return port % EVTCHN_2L_NR_CHANNELS / 64;
}

/* The pending bit: true if it is new, and so somebody is to be told. */
static inline bool evtchn_mark(struct domain *d, uint32_t port)
{
    uint64_t bit = UINT64_C(1) << (port % 64);

    return (__atomic_fetch_or(&d->shared->evtchn_pending[evtchn_index(port)], bit,
                              __ATOMIC_SEQ_CST) &
            bit) == 0;
}

/* What follows a new pending bit. */
static inline void evtchn_tell(struct domain *d, uint32_t port, uint32_t vcpu)
{
    uint32_t word = evtchn_index(port);
    uint64_t bit = UINT64_C(1) << (port % 64);

    if ((__atomic_load_n(&d->shared->evtchn_mask[word], __ATOMIC_SEQ_CST) & bit) == 0) {
        evtchn_select(d, word, vcpu);
    }
    if (__builtin_expect(atomic_load_explicit(&d->evtchn->poll_mask, memory_order_relaxed) != 0,
                         0)) {
        evtchn_wake_pollers(d, port);
    }
}

/* Makes `port` of d, which always tells `vcpu`, pending. Any context. */
static inline void evtchn_set_pending(struct domain *d, uint32_t port, uint32_t vcpu)
{
    if (evtchn_mark(d, port)) {
        evtchn_tell(d, port, vcpu);
    }
}

/*
 * The same for a port whose vcpu may be changed meanwhile.  Whom to tell is read after the bit is
 * set: a guest masks the port, has the vcpu changed, and looks at the bit when it unmasks; so
 * either it sees the bit then, or the new vcpu is seen here.  Otherwise the former vcpu would be
 * told, which no longer looks at that port, and with the bit set nobody would ever be told again.
 */
static inline void evtchn_set_pending_movable(struct domain *d, uint32_t port,
                                              const struct evtchn *e)
{
    if (evtchn_mark(d, port)) {
        evtchn_tell(d, port, ew_vcpu(evtchn_word(e)));
    }
}

/* evtchn.c; all return 0 or a negative errno. */
int64_t evtchn_bind_interdomain(struct domain *d, struct domain *rd, uint32_t rport,
                                uint32_t *port);
int64_t evtchn_bind_virq(struct domain *d, uint32_t virq, uint32_t vcpu, uint32_t *port);
int64_t evtchn_bind_pirq(struct domain *d, uint32_t pirq, bool share, uint32_t *port);
int64_t evtchn_bind_ipi(struct domain *d, uint32_t vcpu, uint32_t *port);
int64_t evtchn_bind_vcpu(struct domain *d, uint32_t port, uint32_t vcpu);
int64_t evtchn_close(struct domain *d, uint32_t port);
int64_t evtchn_unmask(struct domain *d, uint32_t port);
int64_t evtchn_status(struct domain *d, struct evtchn_status *out);
int64_t evtchn_reset(struct domain *d);
int64_t evtchn_send_interdomain(struct evtchn *e);
