/* SPDX-License-Identifier: MIT */
/*
 * Domains: the unit of isolation.  Creation, look-up, pause, death.
 *
 * A domain lives while somebody holds a reference (get/put): one for being alive, one per non-empty
 * frame list, per maptrack entry in others' tables, per interdomain port.  domain_kill() is a list
 * of numbered, restartable phases; until the last put the domain is reported as dying and its id is
 * not reused.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/types.h"
#include "abi/xen.h"
#include "base/lock.h"
#include "base/cpumask.h"
#include "mm/frame.h"
#include "config.h"
#include "cpu/arch_types.h" /* struct arch_domain, struct arch_vcpu: one file per machine */
#include "domain/vcpu.h"

struct evtchn_table; /* evtchn/evtchn.h */
struct gnttab;       /* gnttab/gnttab.h */
struct rights;       /* irq/rights.h */
struct pirq_table;   /* irq/pirq.h */

#define SHUTDOWN_CODE_NONE UINT32_MAX
#define DOMAIN_WATCHDOGS   2u
#define DOMAIN_MAX_VCPUS   512u /* pointers in one frame */

enum domain_life {
    DL_BUILDING, /* created, not finished: never ran */
    DL_ALIVE,
    DL_DYING, /* domain_kill() runs its phases */
    DL_DEAD   /* all given up; waits for the last reference */
};

struct domain {
    domid_t id;
    bool is_hw;      /* may drive the machine (dom0) */
    bool is_loading; /* domain 0, before any guest ran: its frames need not be cleared */
    bool is_ctl;     /* may control other domains (dom0) */
    bool is_idle;    /* owner of the idle vcpus; also the pseudo-domains */
    bool is_pseudo;  /* dom_xen, dom_io, dom_idle: never looked up */
    _Atomic uint32_t refs;
    _Atomic uint32_t life; /* enum domain_life [life] */
    struct spinlock life_lock;
    uint32_t kill_phase; /* progress of domain_kill() [life] */

    uint32_t max_vcpus; /* entries of vcpu[]; set once by domctl max_vcpus/createdomain */
    struct vcpu **vcpu; /* NULL where not yet created; never shrinks */

    /* Memory. */
    struct spinlock mm_lock;
    struct spinlock pages_lock;
    uint32_t page_head;          /* first frame number of the owned list; 0 = none [pages] */
    uint64_t owned_frames;       /* [pages]; read at any time, as claimed_frames */
    _Atomic uint64_t max_frames; /* limit set by domctl max_mem */
    uint64_t claimed_frames;     /* XENMEM_claim_pages [heap] */
    struct shared_info *shared;  /* hypervisor's mapping */
    struct frame *shared_frame;

    /* Interrupts, events, grants. */
    struct evtchn_table *evtchn;
    struct gnttab *gnttab;
    struct rights *rights;
    struct pirq_table *pirqs;

    /* State that control calls show. */
    uint8_t handle[16];           /* [life] */
    _Atomic uint32_t pause_count; /* paused by control calls or by the hypervisor */
    /* So many of these are from domctl pausedomain; 1 at creation [life, read at any time]. */
    _Atomic uint32_t ctl_pause_count;
    _Atomic uint32_t shutting_down; /* asked for, or crashed: its vcpus are being stopped */
    _Atomic uint32_t is_shut_down;  /* all of them have stopped */
    _Atomic uint32_t shutdown_code; /* SHUTDOWN_*, or SHUTDOWN_CODE_NONE; the first set stays */
    _Atomic uint32_t crash_pending; /* set by domain_crash(), acted on at guest_return */
    uint32_t create_flags;          /* XEN_DOMCTL_CDF_* */
    uint32_t ssidref;
    uint32_t vm_assist;          /* bits VMASST_TYPE_* */
    _Atomic int64_t time_offset; /* seconds, XEN_DOMCTL_settimeoffset */
    uint64_t created_ns;

    /* Scheduling parameters (credit2's names). */
    uint16_t weight;
    uint16_t cap;              /* percent of one cpu; 0 = none */
    _Atomic uint64_t cap_used; /* ns used in this period of the cap */
    struct timer cap_timer;    /* end of the period */

    struct timer watchdog[DOMAIN_WATCHDOGS]; /* SCHEDOP_watchdog */
    uint32_t watchdog_used;                  /* bit per timer [life] */

    /* Deferred work: see domain_deferred_run(). */
    _Atomic uint32_t deferred; /* DEFER_* waiting */
    _Atomic(struct domain *) deferred_next;

    struct cpumask dirty_cpus; /* cpus on which one of its vcpus is loaded */
    uint64_t log_tokens;       /* rate limit of log_guest() */
    uint64_t log_refill_ns;

    struct arch_domain arch;
};

/* Look-up without a lock: a counted try-get. NULL if there is none (or only a dead one). Pair with
 * domain_put(). */
struct domain *domain_get(domid_t id);
/* DOMID_SELF or an id -> a referenced domain or NULL. */
struct domain *domain_get_self_or(struct vcpu *v, domid_t id);
/* A further reference to one already held. */
void domain_ref(struct domain *d);
/* The last put queues the structure for release (deferred work): any context, any lock up to 75. */
void domain_put(struct domain *d);
/* For lists: the first domain with id >= id, referenced, or NULL. Dying ones are included. */
struct domain *domain_get_next(domid_t id);

struct domain_config {
    uint32_t create_flags;
    uint8_t handle[16];
    uint32_t ssidref;
    uint32_t max_vcpus;
    uint32_t max_evtchn_port; /* highest port number allowed */
    uint32_t max_grant_frames;
    uint32_t max_maptrack_frames;
    bool is_hw, is_ctl;
};

/* Create with a given id (DOMID_FIRST_RESERVED.. = next free). 0, -EEXIST, -ENOMEM, -EINVAL. locks:
 * domlist. */
int domain_create(domid_t *id, const struct domain_config *cfg, struct domain **out);
/* One or more phases of death; 0 when done, HC_AGAIN to be called again, -EINVAL for dom0 and self.
 */
int64_t domain_kill(struct domain *d);

/* Pause/unpause count; domain_pause() waits until no vcpu runs (not for the caller's own vcpu). */
void domain_pause(struct domain *d);
void domain_pause_nosync(struct domain *d);
void domain_unpause(struct domain *d);

/* The guest cannot go on: logs, flags it; it shuts down with SHUTDOWN_crash at its next return. Any
 * context, any lock. */
void domain_crash(struct domain *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Guest-requested or forced shutdown: stops its vcpus, raises VIRQ_DOM_EXC. For dom0: powers off or
 * reboots. */
void domain_shutdown(struct domain *d, uint32_t code);
void domain_resume(struct domain *d);

/* Deferred list (work bit CW_DEFERRED). */
void domain_deferred_run(void);
/* Start of day: pseudo-domains, idle domain with one vcpu per cpu. */
void domain_init(void);

extern struct domain *dom0;     /* NULL until built */
extern struct domain *dom_idle; /* vcpu[cpu] is the idle vcpu of that cpu */

static inline bool domain_is_dying(const struct domain *d)
{
    return atomic_load_explicit(&d->life, memory_order_acquire) >= DL_DYING;
}

/* Checks of the domain table, for tests and the debug key: panics on a broken invariant. */
void domain_audit(void);
