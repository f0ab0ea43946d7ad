/* SPDX-License-Identifier: MIT */
/*
 * The end of domains: the phases of domain_kill(), and the work put off to a place where no lock is
 * held.
 *
 * A domain killed is first stopped, then gives up in a fixed order what others might wait for:
 * ports, grants it has mapped, page tables, frames.  Each phase is bounded and restartable; the
 * phase is kept in the domain.  What others still hold of it (mapped grants, foreign mappings)
 * keeps the structure, which stays listed as dying.
 */
#include "domain/domain.h"

#include "port/cpu.h"
#include "port/vcpu.h"

#include "abi/errno.h"
#include "abi/sched.h"
#include "base/log.h"
#include "base/panic.h"
#include "domain/domain_priv.h"
#include "evtchn/evtchn.h"
#include "gnttab/gnttab.h"
#include "hcall/hcall.h"
#include "mm/heap.h"
#include "sched/sched.h"
#include "sched/systime.h"

static _Atomic(struct domain *) deferred_head;

/* Work other than the release holds a reference of its own while it waits. */
void domain_defer(struct domain *d, uint32_t what)
{
    if (what != DEFER_RELEASE) {
        domain_ref(d);
    }

    /* Whoever finds no work noted puts the domain on the list; it is taken off before the work is
     * read. */
    uint32_t old = atomic_fetch_or(&d->deferred, what);
    if ((old & what) != 0) {
        domain_put(d);
    }
    if (old == 0) {
        struct domain *head = atomic_load(&deferred_head);
        do {
            atomic_store_explicit(&d->deferred_next, head, memory_order_relaxed);
        } while (!atomic_compare_exchange_weak(&deferred_head, &head, d));
    }
    port_cpu_raise(port_cpu_id(), CW_DEFERRED);
}

static void tell_control_domain(void)
{
    if (dom0 != NULL) {
        virq_raise_global(dom0, VIRQ_DOM_EXC);
    }
}

static bool any_vcpu_loaded(struct domain *d)
{
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        const struct vcpu *v = vcpu_get(d, i);
        if (v != NULL && atomic_load_explicit(&v->on_cpu, memory_order_acquire) != 0) {
            return true;
        }
    }
    return false;
}

/* The vcpus were told to stop; as long as one is still loaded somewhere, look again at the next way
 * out. */
static void stopped(struct domain *d)
{
    if (any_vcpu_loaded(d)) {
        domain_defer(d, DEFER_STOPPED);
        return;
    }
    atomic_store(&d->is_shut_down, 1);
    tell_control_domain();
}

static void release(struct domain *d)
{
    bool was_alive = atomic_load(&d->life) != DL_BUILDING;

    sched_domain_destroy(d);
    domain_parts_destroy(d);
    domain_unlist(d);
    domain_struct_free(d);
    if (was_alive) {
        tell_control_domain();
    }
}

/* Work of CW_DEFERRED. context: interrupts on, no lock held. */
void domain_deferred_run(void)
{
    struct domain *d = atomic_exchange(&deferred_head, NULL);

    while (d != NULL) {
        struct domain *next = atomic_load_explicit(&d->deferred_next, memory_order_relaxed);
        uint32_t what = atomic_exchange(&d->deferred, 0);

        if ((what & DEFER_RELEASE) != 0) {
            release(d);
        }
        if ((what & DEFER_CRASH) != 0) {
            domain_shutdown(d, SHUTDOWN_crash);
            domain_put(d);
        }
        if ((what & DEFER_STOPPED) != 0) {
            stopped(d);
            domain_put(d);
        }
        d = next;
    }
}

void domain_kill_shared(struct domain *d)
{
    struct frame *f = d->shared_frame;

    if (f != NULL) {
        __atomic_store_n(&d->shared_frame, NULL, __ATOMIC_RELAXED); /* shown by control calls */
        heap_free_shared(f);
    }
}

/* Timers first: a watchdog must not shut down what is already going. */
static void areas_drop(struct domain *d)
{
    for (unsigned int i = 0; i < DOMAIN_WATCHDOGS; i++) {
        timer_stop(&d->watchdog[i]);
    }
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        if (d->vcpu[i] != NULL) {
            vcpu_areas_drop(d->vcpu[i]);
        }
    }
}

enum kill_phase {
    KILL_EVTCHN,
    KILL_GNTTAB,
    KILL_AREAS,
    KILL_TABLES,
    KILL_FRAMES,
    KILL_SHARED,
    KILL_DONE
};

/* One phase, or a bounded part of it. 0 when the phase is done, HC_AGAIN. */
static int64_t kill_step(struct domain *d)
{
    switch (d->kill_phase) {
    case KILL_EVTCHN:
        return evtchn_domain_relinquish(d);
    case KILL_GNTTAB:
        return gnttab_domain_relinquish(d);
    case KILL_AREAS:
        areas_drop(d);
        return 0;
    case KILL_TABLES:
        return port_domain_relinquish(d);
    case KILL_FRAMES:
        (void)heap_claim(d, 0); /* cannot fail: gives back what it was promised */
        return heap_relinquish(d);
    case KILL_SHARED:
        domain_kill_shared(d);
        return 0;
    default:
        return 0;
    }
}

/*
 * Kill d, a bounded part at a time; the caller holds a reference.  A second caller joins in where
 * the first has got to. fails: -EINVAL for dom0, pseudo-domains and the caller's own. locks: takes
 * life; none held.
 */
int64_t domain_kill(struct domain *d)
{
    const struct vcpu *v = port_current();
    int64_t rc = 0;

    if (d == dom0 || d->is_pseudo || (v != NULL && v->d == d)) {
        return -EINVAL;
    }

    /* Once it is seen dying, it has been paused for good. Its vcpus may want `life` on their way
     * out: wait without it. */
    if (!domain_is_dying(d)) {
        uint32_t alive = DL_ALIVE;

        domain_pause_nosync(d);
        /* Another may have begun, and be done, meanwhile. */
        (void)atomic_compare_exchange_strong(&d->life, &alive, DL_DYING);
    }
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        if (vcpu_get(d, i) != NULL) {
            sched_wait_off_cpu(vcpu_get(d, i));
        }
    }

    spin_lock(&d->life_lock);
    while (d->kill_phase < KILL_DONE) {
        rc = kill_step(d);
        if (rc != 0) {
            break;
        }
        d->kill_phase++;
        if (d->kill_phase == KILL_DONE) {
            atomic_store_explicit(&d->life, DL_DEAD, memory_order_release);
            tell_control_domain();
            domain_put(d); /* the one for being alive */
        } else if (hcall_preempt_check()) {
            rc = HC_AGAIN;
            break;
        }
    }
    spin_unlock(&d->life_lock);
    return rc;
}
