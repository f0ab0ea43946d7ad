/* SPDX-License-Identifier: MIT */
/* Virtual cpus: state common to all machines, and vcpu_op. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"
#include "abi/vcpu.h"
#include "abi/xen.h"
#include "base/cpumask.h"
#include "base/timer.h"
#include "mm/frame.h"
#include "cpu/arch_types.h"

struct domain;

/* vcpu.state bits: any set, or a pause count of it or its domain not 0 -> it does not run. */
#define VS_DOWN    1u /* not initialised or taken down by vcpu_op */
#define VS_BLOCKED 2u /* sched_op block: waits for an event */
#define VS_POLLING 4u /* sched_op poll: waits for one of some ports (VS_BLOCKED is set too) */
#define VS_CAPPED  8u /* its domain has used up its cap in this period */

struct vcpu {
    struct domain *d;
    uint32_t id;
    bool is_idle;
    _Atomic uint32_t state; /* VS_* [runq of its cpu for transitions to runnable] */
    _Atomic uint32_t pause_count;

    /* Scheduler (sched/sched.c). */
    _Atomic uint32_t cpu;     /* whose run queue; where it ran last */
    _Atomic uint32_t on_cpu;  /* its state is loaded somewhere: may not be loaded elsewhere */
    _Atomic uint32_t leaving; /* cpus that have let go of it and still look where it goes */
    bool initialised;         /* a context has been set: it may be taken up [life] */
    bool queued;              /* in cpu's run queue [runq] */
    struct vcpu *rq_next;     /* run queue, sorted by vtime [runq] */
    struct vcpu *rq_prev;
    uint64_t vtime;             /* weighted virtual time, ns [runq] */
    uint64_t boost;             /* of a wake-up: so much of vtime does not count yet [runq] */
    uint64_t ran_from;          /* since when its running time is not yet charged [runq] */
    struct cpumask hard, soft;  /* affinity */
    struct cpumask hard_before; /* what pin_override goes back to, while it is overridden */
    _Atomic bool is_overridden;

    /* Events: the registered or default vcpu_info. */
    struct vcpu_info *info;   /* hypervisor's mapping; never NULL (a dummy until there is one) */
    struct frame *info_frame; /* reference held, NULL for the default place in shared_info */
    uint32_t poll_nr;         /* VS_POLLING: number of ports */
    uint32_t poll_port;       /* the port if poll_nr == 1 */
    uint32_t virq_port[24];   /* NR_VIRQS; 0 = unbound [evtchn] */

    /* Time. */
    struct timer singleshot;
    struct timer periodic;
    struct timer poll_timer;
    uint64_t periodic_ns; /* 0 = stopped */

    /* Runstate (vcpu_op get/register_runstate). */
    uint64_t runstate_entry;   /* system time of the last change */
    uint64_t runstate_time[4]; /* ns per RUNSTATE_* */
    uint32_t runstate;         /* RUNSTATE_* */
    gptr_t runstate_area;      /* guest virtual address; 0 = none */
    gptr_t time_area;          /* VCPUOP_register_vcpu_time_memory_area; 0 = none */
    uint32_t time_version;     /* ours: the guest may write the one it sees */

    struct arch_vcpu arch;
};

struct vcpu *vcpu_create(struct domain *d, uint32_t id); /* NULL: no memory. locks: life held */
void vcpu_destroy(struct vcpu *v);
/* Has it a vcpu_info, in the shared page or where the guest has put it? Without one it cannot run.
 */
bool vcpu_has_info(const struct vcpu *v);
struct vcpu *vcpu_get(struct domain *d, uint64_t id); /* bounds-checked; NULL if not there */
/* Up: clears VS_DOWN, wakes; a context has been set before. */
void vcpu_up(struct vcpu *v);
/* Down: it stops at its next way to the guest; the last one up shuts the domain down. */
void vcpu_down(struct vcpu *v);
/* Back to before its first context: down, which for once says nothing to its domain. Does not run.
 */
void vcpu_reset(struct vcpu *v);
/* Domain death: gives up the registered areas of a vcpu that will never run again. */
void vcpu_areas_drop(struct vcpu *v);
/* Times in each state up to now: state, time of the last change, ns per RUNSTATE_*. */
void vcpu_runstate_get(struct vcpu *v, struct vcpu_runstate_info *out);
/* True if nothing but the scheduler keeps it from running. Stable only under the lock of its run
 * queue. */
bool vcpu_runnable(const struct vcpu *v);
void vcpu_pause(struct vcpu *v); /* waits until it does not run (unless the caller's own) */
void vcpu_pause_nosync(struct vcpu *v);
void vcpu_unpause(struct vcpu *v);
/* Change of runstate at `now`. */
void vcpu_runstate_change(struct vcpu *v, uint32_t state, uint64_t now);
/* Copies the run state to the registered area: called with v loaded on this cpu, no lock held. */
void vcpu_areas_update(struct vcpu *v);
/* An event has become pending: make it look. Wakes if blocked, interrupts the cpu on which it runs.
 * Any context. */
void vcpu_kick(struct vcpu *v);

/* True if an upcall is due: pending and not masked. */
static inline bool vcpu_upcall_due(const struct vcpu *v)
{
    const struct vcpu_info *i = v->info;
    return __atomic_load_n(&i->evtchn_upcall_pending, __ATOMIC_RELAXED) &&
           !__atomic_load_n(&i->evtchn_upcall_mask, __ATOMIC_RELAXED);
}
