/* SPDX-License-Identifier: MIT */
/*
 * Domains: creation, look-up, pause, shutdown.
 *
 * The table maps every possible id to its domain.  A look-up takes no lock: it announces itself in
 * `looking`, reads the slot, and takes a reference unless the count is 0.  A domain's memory is
 * given back only after its slot has been cleared and every cpu has been seen outside a look-up
 * (domain_release_wait), so the pointer read is never stale.
 */
#include "domain/domain.h"

#include "port/cpu.h"
#include "port/mmu.h"
#include "port/power.h"
#include "port/time.h"
#include "port/vcpu.h"

#include "base/log.h"
#include "base/nospec.h"
#include "base/panic.h"
#include "domain/domain_priv.h"
#include "evtchn/evtchn.h"
#include "gnttab/gnttab.h"
#include "irq/pirq.h"
#include "irq/rights.h"
#include "lib/fmt.h"
#include "lib/mem.h"
#include "mm/heap.h"
#include "mm/pool.h"
#include "start/cmdline.h"
#include "sched/sched.h"
#include "sched/systime.h"
#include "abi/errno.h"
#include "abi/sched.h"

struct domain *dom0;
struct domain *dom_idle;
struct domain *dom_xen;
struct domain *dom_io;

static struct spinlock domlist_lock = SPINLOCK(LOCK_domlist);
static _Atomic(struct domain *) table[DOMID_FIRST_RESERVED];
static _Atomic uint64_t listed[(DOMID_FIRST_RESERVED + 63) / 64]; /* a bit for each slot in use */
static uint32_t live;                                             /* slots in use [domlist] */
static domid_t last_id;                                           /* handed out last [domlist] */
static struct pool domain_pool = POOL("domain", struct domain);
static struct domain pseudo[3];

/* Look-ups in progress, by cpu; each on its own cache line. */
static struct {
    _Alignas(64) _Atomic uint32_t n;
} looking[CONFIG_MAX_CPUS];

/* A reference unless there is none left. */
static bool ref_try(struct domain *d)
{
    uint32_t refs = atomic_load_explicit(&d->refs, memory_order_relaxed);

    while (refs != 0) {
        bug_if(refs == UINT32_MAX);
        if (atomic_compare_exchange_weak_explicit(&d->refs, &refs, refs + 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* Any context; needs no lock. Pair with domain_put(). */
struct domain *domain_get(domid_t id)
{
    if (id >= DOMID_FIRST_RESERVED) {
        return NULL;
    }

    _Atomic uint32_t *mine = &looking[port_cpu_id()].n;
    atomic_fetch_add(mine, 1);
    struct domain *d = atomic_load(&table[index_nospec(id, DOMID_FIRST_RESERVED)]);
    if (d != NULL && !ref_try(d)) {
        d = NULL;
    }
    atomic_fetch_sub_explicit(mine, 1, memory_order_release);
    if (d != NULL && atomic_load_explicit(&d->life, memory_order_acquire) == DL_BUILDING) {
        domain_put(d);
        d = NULL;
    }
    return d;
}

struct domain *domain_get_self_or(struct vcpu *v, domid_t id)
{
    if (id == DOMID_SELF || id == v->d->id) {
        domain_ref(v->d);
        return v->d;
    }
    return domain_get(id);
}

void domain_ref(struct domain *d)
{
    uint32_t old = atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
    bug_if(old == 0 || old == UINT32_MAX);
}

void domain_put(struct domain *d)
{
    uint32_t old = atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel);
    bug_if(old == 0);
    if (old == 1) {
        bug_if(d->is_pseudo);
        domain_defer(d, DEFER_RELEASE);
    }
}

struct domain *domain_get_next(domid_t id)
{
    /* By words of bits: the slots themselves are too many to be looked at one by one. */
    for (uint32_t i = id; i < DOMID_FIRST_RESERVED; i = (i | 63) + 1) {
        uint64_t bits = atomic_load_explicit(&listed[i / 64], memory_order_relaxed) >> i % 64;

        for (uint32_t k = i; bits != 0; bits >>= 1, k++) {
            struct domain *d = (bits & 1) != 0 ? domain_get((domid_t)k) : NULL;
            if (d != NULL) {
                return d;
            }
        }
    }
    return NULL;
}

/* Takes the slot of `id`, or of the next free one for DOMID_FIRST_RESERVED and above. */
static int slot_take(struct domain *d, domid_t id)
{
    int rc = 0;

    spin_lock(&domlist_lock);
    if (live >= CONFIG_MAX_DOMAINS) {
        rc = -ENOMEM;
    } else if (id < DOMID_FIRST_RESERVED) {
        rc = atomic_load_explicit(&table[id], memory_order_relaxed) != NULL ? -EEXIST : 0;
    } else {
        uint32_t tried = 0;
        id = last_id;
        do {
            id = (domid_t)(id < DOMID_FIRST_RESERVED - 1 ? id + 1u : 1u);
        } while (atomic_load_explicit(&table[id], memory_order_relaxed) != NULL &&
                 ++tried < DOMID_FIRST_RESERVED);
        rc = tried == DOMID_FIRST_RESERVED ? -ENOMEM : 0;
        last_id = rc == 0 ? id : last_id;
    }
    if (rc == 0) {
        d->id = id;
        atomic_store(&table[id], d);
        atomic_fetch_or(&listed[id / 64], UINT64_C(1) << id % 64);
        live++;
    }
    spin_unlock(&domlist_lock);
    return rc;
}

/* Gives the slot back and waits until no cpu can still be looking at the pointer that stood there.
 */
void domain_unlist(struct domain *d)
{
    spin_lock(&domlist_lock);
    atomic_fetch_and(&listed[d->id / 64], ~(UINT64_C(1) << d->id % 64));
    atomic_store(&table[d->id], NULL);
    live--;
    spin_unlock(&domlist_lock);

    for (unsigned int cpu = 0; cpu < CONFIG_MAX_CPUS; cpu++) {
        while (atomic_load(&looking[cpu].n) != 0) {
            port_cpu_relax();
        }
    }
}

void domain_struct_free(struct domain *d)
{
    pool_free(&domain_pool, d);
}

static void watchdog_fired(void *data)
{
    struct domain *d = data;

    log_guest(d, LOG_WARN, "watchdog timer expired");
    domain_shutdown(d, SHUTDOWN_watchdog);
}

static void struct_init(struct domain *d, const struct domain_config *cfg)
{
    d->is_hw = cfg->is_hw;
    d->is_ctl = cfg->is_ctl;
    d->create_flags = cfg->create_flags;
    d->ssidref = cfg->ssidref;
    memcpy(d->handle, cfg->handle, sizeof(d->handle));
    spin_init(&d->life_lock, LOCK_life);
    spin_init(&d->mm_lock, LOCK_mm);
    spin_init(&d->pages_lock, LOCK_pages);
    d->weight = SCHED_WEIGHT_DEFAULT;
    d->created_ns = port_time_now();
    atomic_init(&d->pause_count, 1); /* as the control ABI has it: unpaused by the builder */
    d->ctl_pause_count = 1;
    d->shutdown_code = SHUTDOWN_CODE_NONE;
    atomic_init(&d->refs, 1);
    for (unsigned int i = 0; i < DOMAIN_WATCHDOGS; i++) {
        timer_init(&d->watchdog[i], watchdog_fired, d, port_cpu_id());
    }
    sched_domain_init(d);
}

/* The parts of a domain in order of creation; domain_parts_destroy() takes them down in the reverse
 * order. */
static int parts_create(struct domain *d, const struct domain_config *cfg)
{
    size_t bytes = cfg->max_vcpus * sizeof(struct vcpu *);

    bug_if(bytes > PAGE_SIZE);
    d->vcpu = heap_alloc(0, HEAP_ANY);
    if (d->vcpu == NULL) {
        return -ENOMEM;
    }
    d->max_vcpus = cfg->max_vcpus;
    d->shared_frame = heap_alloc_shared(d);
    if (d->shared_frame == NULL) {
        return -ENOMEM;
    }
    d->shared = port_frame_va(frame_mfn(d->shared_frame));

    int rc = rights_domain_init(d);
    if (rc == 0) {
        rc = pirq_domain_init(d);
    }
    if (rc == 0) {
        rc = evtchn_domain_init(d, cfg->max_evtchn_port);
    }
    if (rc == 0) {
        rc = gnttab_domain_init(d, cfg->max_grant_frames, cfg->max_maptrack_frames);
    }
    if (rc == 0) {
        rc = port_domain_init(d);
    }
    return rc;
}

/* Reverse of parts_create(); accepts a half-made domain. */
void domain_parts_destroy(struct domain *d)
{
    port_domain_destroy(d);
    gnttab_domain_destroy(d);
    evtchn_domain_destroy(d);
    pirq_domain_destroy(d);
    rights_domain_destroy(d);
    if (d->vcpu != NULL) {
        for (uint32_t i = d->max_vcpus; i-- > 0;) {
            if (d->vcpu[i] != NULL) {
                vcpu_destroy(d->vcpu[i]);
                d->vcpu[i] = NULL;
            }
        }
        heap_free(d->vcpu, 0);
        d->vcpu = NULL;
    }
}

/*
 * A new domain, paused once.  `id` DOMID_FIRST_RESERVED and above: the next free one; the id given
 * is left there.  *out is safe to follow only where nobody can destroy the domain yet: the caller
 * has no reference of its own.
 * fails: -EINVAL (vcpus), -EEXIST, -ENOMEM, everything undone. locks: takes domlist.
 */
int domain_create(domid_t *id, const struct domain_config *cfg, struct domain **out)
{
    if (cfg->max_vcpus == 0 || cfg->max_vcpus > DOMAIN_MAX_VCPUS) {
        return -EINVAL;
    }
    struct domain *d = pool_alloc(&domain_pool);
    if (d == NULL) {
        return -ENOMEM;
    }
    struct_init(d, cfg);

    int rc = slot_take(d, *id);
    if (rc != 0) {
        domain_struct_free(d);
        return rc;
    }
    rc = parts_create(d, cfg);
    if (rc != 0) {
        domain_kill_shared(d);
        domain_put(d); /* the deferred release takes down what there is */
        return rc;
    }
    systime_wallclock_update(d);
    *id = d->id;
    *out = d;
    atomic_store_explicit(&d->life, DL_ALIVE, memory_order_release); /* from here on it is found */
    return 0;
}

/*
 * Pausing.  A vcpu runs only while both pause counts are 0, which the scheduler looks at under the
 * lock of its run queue; so after sched_sleep() it is on no queue, and its cpu has been told.
 */
void domain_pause_nosync(struct domain *d)
{
    bug_if(atomic_fetch_add(&d->pause_count, 1) == UINT32_MAX);
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = vcpu_get(d, i);
        if (v != NULL) {
            sched_sleep(v);
        }
    }
}

/* context: hypercall, interrupts on, no lock that a vcpu of d may wait for. */
void domain_pause(struct domain *d)
{
    domain_pause_nosync(d);
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = vcpu_get(d, i);
        if (v != NULL && v != port_current()) {
            sched_wait_off_cpu(v);
        }
    }
}

void domain_unpause(struct domain *d)
{
    uint32_t old = atomic_fetch_sub(&d->pause_count, 1);

    bug_if(old == 0);
    if (old != 1) {
        return;
    }
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = vcpu_get(d, i);
        if (v != NULL) {
            sched_wake(v);
        }
    }
}

/* Any context, any lock: only logs and leaves a mark; the shutdown happens in the deferred work of
 * this cpu. */
void domain_crash(struct domain *d, const char *fmt, ...)
{
    char text[160];
    va_list ap;

    bug_if(d->is_idle);
    va_start(ap, fmt);
    fmt_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_guest(d, LOG_ERR, "domain crashed: %s", text);
    if (atomic_exchange(&d->crash_pending, 1) == 0) {
        domain_defer(d, DEFER_CRASH);
    }
}

/* dom0 is the machine: it ends with it. */
static _Noreturn void dom0_shutdown(uint32_t code)
{
    log_info("Domain 0 has shut down (reason %u)", code);
    if (code == SHUTDOWN_poweroff) {
        port_power_off();
    }
    if ((code == SHUTDOWN_crash || code == SHUTDOWN_watchdog) && options.noreboot) {
        log_err("'noreboot' set: not rebooting");
        port_halt();
    }
    port_reboot();
}

/*
 * The first reason counts.  Its vcpus are stopped here; the control domain is told when the last
 * one has left its cpu. context: any in which domain_pause_nosync() may be called; no lock held.
 */
void domain_shutdown(struct domain *d, uint32_t code)
{
    if (atomic_exchange(&d->shutting_down, 1) != 0) {
        return;
    }
    if (d->shutdown_code == SHUTDOWN_CODE_NONE) {
        d->shutdown_code = code;
    }
    if (d == dom0) {
        dom0_shutdown(d->shutdown_code);
    }
    domain_pause_nosync(d);
    domain_defer(d, DEFER_STOPPED);
}

/* After a suspend: the domain goes on as if nothing had been. Does nothing to a domain that has not
 * shut down. */
void domain_resume(struct domain *d)
{
    if (atomic_exchange(&d->is_shut_down, 0) == 0) {
        return;
    }
    d->shutdown_code = SHUTDOWN_CODE_NONE;
    atomic_store(&d->crash_pending, 0);
    atomic_store(&d->shutting_down, 0);
    domain_unpause(d);
}

static void pseudo_init(struct domain *d, domid_t id)
{
    d->id = id;
    d->is_pseudo = true;
    d->is_idle = true;
    atomic_init(&d->refs, 1);
    atomic_init(&d->life, DL_ALIVE);
    atomic_init(&d->max_frames, UINT64_MAX);
    d->weight = SCHED_WEIGHT_DEFAULT;
    spin_init(&d->life_lock, LOCK_life);
    spin_init(&d->mm_lock, LOCK_mm);
    spin_init(&d->pages_lock, LOCK_pages);
}

/* Start of day, one cpu: the owners of what is nobody's, and an idle vcpu for every cpu there may
 * be. */
void domain_init(void)
{
    static struct vcpu *idle[CONFIG_MAX_CPUS];

    dom_xen = &pseudo[0];
    dom_io = &pseudo[1];
    dom_idle = &pseudo[2];
    pseudo_init(dom_xen, DOMID_XEN);
    pseudo_init(dom_io, DOMID_IO);
    pseudo_init(dom_idle, DOMID_IDLE);
    dom_idle->vcpu = idle;
    dom_idle->max_vcpus = CONFIG_MAX_CPUS;
    for (unsigned int cpu = 0; cpu < CONFIG_MAX_CPUS; cpu++) {
        idle[cpu] = vcpu_create(dom_idle, cpu);
        bug_if(idle[cpu] == NULL);
    }
}

/* Every listed domain stands under its own id, with a reference, and the count of slots is right.
 */
void domain_audit(void)
{
    uint32_t n = 0;

    spin_lock(&domlist_lock);
    for (uint32_t i = 0; i < DOMID_FIRST_RESERVED; i++) {
        const struct domain *d = atomic_load(&table[i]);
        bug_if((d != NULL) != (atomic_load(&listed[i / 64]) >> i % 64 & 1));
        if (d != NULL) {
            bug_if(d->id != i || d->is_pseudo);
            n++;
        }
    }
    bug_if(n != live || n != domain_pool.live);
    spin_unlock(&domlist_lock);
}
