/* SPDX-License-Identifier: MIT */
/*
 * Guests' clocks and timers.
 *
 * Reading a clock is the guest's own work: it finds a counter value, the time at it and a scale in
 * its vcpu_time_info. The version is odd while we write.  We count it ourselves, as the guest may
 * write what it sees.
 */
#include "sched/systime.h"

#include "port/copy.h"
#include "port/cpu.h"
#include "port/time.h"

#include "abi/errno.h"
#include "abi/xen.h"
#include "base/lock.h"
#include "domain/domain.h"
#include "evtchn/evtchn.h"

#define SEC        UINT64_C(1000000000)
#define PERIOD_MIN UINT64_C(1000000)
#define PERIOD_MAX ((UINT64_C(1) << 62) - 1)

static struct spinlock wall_lock = SPINLOCK(LOCK_domlist); /* one writer of wall clocks at a time */
static _Atomic uint64_t
    wall_base; /* ns since 1970 at system time 0; 0 = not read from the machine yet */

static uint64_t wall_at_zero(void)
{
    uint64_t base = atomic_load(&wall_base);

    if (base == 0) {
        uint64_t sec;
        uint32_t nsec;
        port_time_wall_base(&sec, &nsec);
        base = sec * SEC + nsec;
        atomic_store(&wall_base, base);
    }
    return base;
}

static void time_info_write(volatile struct vcpu_time_info *t, const struct vcpu_time_info *val)
{
    t->version = val->version - 1;
    atomic_thread_fence(memory_order_release);
    t->tsc_timestamp = val->tsc_timestamp;
    t->system_time = val->system_time;
    t->tsc_to_system_mul = val->tsc_to_system_mul;
    t->tsc_shift = val->tsc_shift;
    t->flags = val->flags;
    atomic_thread_fence(memory_order_release);
    t->version = val->version;
}

/* context: v loaded on this cpu, no lock held. Its timers follow it here. */
void systime_update(struct vcpu *v)
{
    struct port_time_scale s;
    unsigned int cpu = port_cpu_id();

    if (v->singleshot.cpu != cpu) {
        timer_migrate(&v->singleshot, cpu);
        timer_migrate(&v->periodic, cpu);
        timer_migrate(&v->poll_timer, cpu);
    }
    if (v->periodic_ns != 0 && !timer_is_set(&v->periodic)) {
        timer_set(&v->periodic, port_time_now() + v->periodic_ns);
    }
    port_time_scale(&s);
    v->time_version += 2;
    struct vcpu_time_info val = {
        .version = v->time_version,
        .tsc_timestamp = s.ticks0,
        .system_time = s.ns0,
        .tsc_to_system_mul = s.mul,
        .tsc_shift = s.shift,
    };
    time_info_write(&v->info->time, &val);
    if (v->time_area.va != 0) {
        struct vcpu_time_info copy = val;
        copy.version--;
        if (guest_write(v->time_area, &copy, sizeof(copy)) != 0) {
            return;
        }
        atomic_thread_fence(memory_order_release);
        (void)!guest_write(v->time_area, &val.version, sizeof(val.version));
    }
}

static void wallclock_write(struct domain *d, uint64_t base)
{
    volatile struct shared_info *s = d->shared;
    uint64_t sec = base / SEC + (uint64_t)d->time_offset;
    uint32_t version = (s->wc_version | 1) + 1;

    s->wc_version = version - 1;
    atomic_thread_fence(memory_order_release);
    s->wc_sec = (uint32_t)sec;
    s->wc_sec_hi = (uint32_t)(sec >> 32);
    s->wc_nsec = (uint32_t)(base % SEC);
    atomic_thread_fence(memory_order_release);
    s->wc_version = version;
}

/* A dead domain has no page to write to. locks: takes domlist's rank, then life. */
void systime_wallclock_update(struct domain *d)
{
    uint64_t base = wall_at_zero();

    spin_lock(&wall_lock);
    spin_lock(&d->life_lock);
    if (d->shared_frame != NULL) {
        wallclock_write(d, base);
    }
    spin_unlock(&d->life_lock);
    spin_unlock(&wall_lock);
}

void systime_wallclock_set(uint64_t sec, uint32_t nsec, uint64_t system_time)
{
    uint64_t wall = sec * SEC + nsec;
    struct domain *d;

    atomic_store(&wall_base, wall > system_time ? wall - system_time : 1);
    for (d = domain_get_next(0); d != NULL;) {
        uint32_t id = d->id;
        if (!domain_is_dying(d)) {
            systime_wallclock_update(d);
        }
        domain_put(d);
        d = domain_get_next((domid_t)(id + 1));
    }
}

uint64_t systime_wall_now(void)
{
    return (wall_at_zero() + port_time_now()) / SEC;
}

static void singleshot_fired(void *data)
{
    virq_raise(data, VIRQ_TIMER);
}

/* The next one is counted from when this one was due, unless that is past as well: no burst to
 * catch up. */
static void periodic_fired(void *data)
{
    struct vcpu *v = data;
    uint64_t period = __atomic_load_n(&v->periodic_ns, __ATOMIC_RELAXED);
    uint64_t now = port_time_now();

    if (period == 0) {
        return;
    }
    virq_raise(v, VIRQ_TIMER);
    if ((atomic_load(&v->state) & VS_DOWN) != 0) {
        return; /* goes on when it is loaded: what never runs costs nobody anything */
    }
    uint64_t next = v->periodic.expires + period;
    timer_set(&v->periodic, next > now ? next : now + period);
}

/* A poll has lasted as long as it should. */
static void poll_expired(void *data)
{
    vcpu_kick(data);
}

void systime_singleshot_set(struct vcpu *v, uint64_t when)
{
    if (when != 0) {
        timer_set(&v->singleshot, when);
    } else if (timer_is_set(&v->singleshot)) {
        timer_stop(&v->singleshot);
    }
}

int64_t systime_periodic_set(struct vcpu *v, uint64_t period_ns)
{
    if (period_ns != 0 && (period_ns < PERIOD_MIN || period_ns > PERIOD_MAX)) {
        return -EINVAL;
    }
    if (period_ns == 0 && v->periodic_ns == 0) {
        return 0;
    }
    __atomic_store_n(&v->periodic_ns, period_ns, __ATOMIC_RELAXED);
    if (period_ns != 0) {
        timer_set(&v->periodic, port_time_now() + period_ns);
    } else {
        timer_stop(&v->periodic);
    }
    return 0;
}

void systime_vcpu_init(struct vcpu *v)
{
    unsigned int cpu = port_cpu_id();

    timer_init(&v->singleshot, singleshot_fired, v, cpu);
    timer_init(&v->periodic, periodic_fired, v, cpu);
    timer_init(&v->poll_timer, poll_expired, v, cpu);
}

/* Stops them and waits for one that is just running; may be called twice. */
void systime_vcpu_destroy(struct vcpu *v)
{
    __atomic_store_n(&v->periodic_ns, 0, __ATOMIC_RELAXED);
    timer_stop(&v->singleshot);
    timer_stop(&v->periodic);
    timer_stop(&v->poll_timer);
}
