/* SPDX-License-Identifier: MIT */
/* sched_op: give way, wait, poll, shut down. */
#include "hcall/hcall.h"

#include "port/copy.h"
#include "port/cpu.h"
#include "port/time.h"

#include "abi/sched.h"
#include "domain/domain.h"
#include "evtchn/evtchn.h"
#include "sched/sched.h"

#define POLL_MAX_PORTS       128u
#define WATCHDOG_MAX_SECONDS UINT32_C(0x7fffffff)

static int64_t sched_op_yield(struct vcpu *v, void *arg, struct hcall_args *a)
{
    (void)arg;
    (void)a;
    sched_yield(v);
    return 0;
}

/* What an earlier poll has left behind. */
static void poll_end(struct vcpu *v)
{
    evtchn_poll_end(v);
    if (timer_is_set(&v->poll_timer)) {
        timer_stop(&v->poll_timer);
    }
}

/* The state is set first, so that whoever raises an event meanwhile takes it back. */
void sched_block(struct vcpu *v)
{
    poll_end(v);
    __atomic_store_n(&v->info->evtchn_upcall_mask, 0, __ATOMIC_RELAXED);
    atomic_fetch_or(&v->state, VS_BLOCKED);
    if (vcpu_upcall_due(v)) {
        atomic_fetch_and(&v->state, ~VS_BLOCKED);
    } else {
        port_cpu_raise(port_cpu_id(), CW_SCHED);
    }
}

static int64_t sched_op_block(struct vcpu *v, void *arg, struct hcall_args *a)
{
    (void)arg;
    (void)a;
    sched_block(v);
    return 0;
}

static int64_t shutdown_with(struct domain *d, uint32_t reason)
{
    if (reason > SHUTDOWN_MAX) {
        return -EINVAL;
    }
    domain_shutdown(d, reason);
    return 0;
}

static int64_t sched_op_shutdown(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct sched_shutdown *r = arg;

    (void)a;
    return shutdown_with(v->d, r->reason);
}

/* The reason to be reported should the domain shut down without giving one. */
static int64_t sched_op_shutdown_code(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct sched_shutdown *r = arg;

    (void)a;
    if (r->reason > SHUTDOWN_MAX) {
        return -EINVAL;
    }
    if (atomic_load(&v->d->shutting_down) == 0) {
        v->d->shutdown_code = r->reason;
    }
    return 0;
}

/* fails: -ESRCH, -EPERM, -EINVAL. */
static int64_t sched_op_remote_shutdown(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct sched_remote_shutdown *r = arg;
    struct domain *d = domain_get(r->domain_id);

    (void)a;
    if (d == NULL) {
        return -ESRCH;
    }
    int64_t rc = d == v->d ? -EPERM : shutdown_with(d, r->reason);
    domain_put(d);
    return rc;
}

/* Reads the ports to poll for; in range is checked by evtchn_port_ok(). */
static int64_t poll_ports(struct vcpu *v, const struct sched_poll *r, uint32_t *ports)
{
    if (r->nr_ports > POLL_MAX_PORTS) {
        return -EINVAL;
    }
    if (r->nr_ports != 0 && guest_read(ports, r->ports, r->nr_ports * sizeof(ports[0])) != 0) {
        return -EFAULT;
    }
    for (uint32_t i = 0; i < r->nr_ports; i++) {
        if (!evtchn_port_ok(v->d, ports[i])) {
            return -EINVAL;
        }
    }
    return 0;
}

/*
 * Waits until one of the ports is pending, masked or not, or an event is due, or the timeout has
 * passed. Any port may wake a poller of several: it looks again by itself. fails: -EINVAL (ports),
 * -EFAULT.
 */
static int64_t sched_op_poll(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct sched_poll *r = arg;
    uint32_t ports[POLL_MAX_PORTS];
    int64_t rc = poll_ports(v, r, ports);

    (void)a;
    if (rc != 0) {
        return rc;
    }

    poll_end(v);
    v->poll_nr = r->nr_ports;
    v->poll_port = r->nr_ports == 1 ? ports[0] : 0;
    evtchn_poll_begin(v);
    atomic_fetch_or(&v->state, VS_BLOCKED | VS_POLLING);
    bool past = r->timeout != 0 && r->timeout <= port_time_now();
    if (past || vcpu_upcall_due(v) || evtchn_poll_pending(v, ports, r->nr_ports)) {
        atomic_fetch_and(&v->state, ~(VS_BLOCKED | VS_POLLING));
        evtchn_poll_end(v);
        return 0;
    }
    if (r->timeout != 0) {
        timer_set(&v->poll_timer, r->timeout);
    }
    port_cpu_raise(port_cpu_id(), CW_SCHED);
    return 0;
}

/* id 0: a free timer, whose number is the result; timeout 0 stops and frees one. fails: -EINVAL,
 * -ENOSPC, -EEXIST. */
static int64_t sched_op_watchdog(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct sched_watchdog *r = arg;
    struct domain *d = v->d;
    uint64_t end = port_time_now() + (uint64_t)r->timeout * UINT64_C(1000000000);
    int64_t rc = 0;

    (void)a;
    if (r->id > DOMAIN_WATCHDOGS) {
        return -EINVAL;
    }
    if (r->id == 0 && r->timeout == 0) {
        return -EINVAL;
    }
    spin_lock(&d->life_lock);
    if (r->id == 0) {
        uint32_t i = 0;
        while (i < DOMAIN_WATCHDOGS && (d->watchdog_used & (1u << i)) != 0) {
            i++;
        }
        rc = i < DOMAIN_WATCHDOGS ? (int64_t)i + 1 : -ENOSPC;
        if (rc > 0) {
            d->watchdog_used |= 1u << i;
            timer_set(&d->watchdog[i], end);
        }
    } else if ((d->watchdog_used & (1u << (r->id - 1))) == 0) {
        rc = -EINVAL;
    } else if (r->timeout == 0) {
        d->watchdog_used &= ~(1u << (r->id - 1));
        timer_stop(&d->watchdog[r->id - 1]);
    } else {
        timer_set(&d->watchdog[r->id - 1], end);
    }
    spin_unlock(&d->life_lock);
    return rc;
}

/* The caller onto one cpu, for firmware that answers on that one only; a negative one: back to
 * where it may run otherwise. 0, -EINVAL (no such cpu, nothing to go back to), -EBUSY (done
 * already). */
static int64_t sched_op_pin_override(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct sched_pin_override *r = arg;
    struct cpumask mask;
    int64_t rc;

    (void)a;
    if (r->pcpu < 0) {
        if (!atomic_load(&v->is_overridden)) {
            return -EINVAL;
        }
        rc = sched_set_affinity(v, &v->hard_before, &v->soft);
        atomic_store(&v->is_overridden, false);
        return rc;
    }
    if (r->pcpu >= CONFIG_MAX_CPUS) {
        return -EINVAL;
    }
    if (atomic_exchange(&v->is_overridden, true)) {
        return -EBUSY;
    }
    cpumask_copy(&v->hard_before, &v->hard);
    cpumask_zero(&mask);
    cpumask_set(&mask, (unsigned int)r->pcpu);
    rc = sched_set_affinity(v, &mask, &v->soft);
    if (rc != 0) {
        atomic_store(&v->is_overridden, false);
    }
    return rc;
}

static const struct subop_row ops[] = {
    [SCHEDOP_yield] = { "yield", sched_op_yield, .who = WHO_ANY },
    [SCHEDOP_block] = { "block", sched_op_block, .who = WHO_ANY },
    [SCHEDOP_shutdown] = { "shutdown", sched_op_shutdown, .in = sizeof(struct sched_shutdown),
                           .who = WHO_ANY },
    [SCHEDOP_poll] = { "poll", sched_op_poll, .in = sizeof(struct sched_poll), .who = WHO_ANY },
    [SCHEDOP_remote_shutdown] = { "remote_shutdown", sched_op_remote_shutdown,
                                  .in = sizeof(struct sched_remote_shutdown), .who = WHO_CTL },
    [SCHEDOP_shutdown_code] = { "shutdown_code", sched_op_shutdown_code,
                                .in = sizeof(struct sched_shutdown), .who = WHO_ANY },
    [SCHEDOP_watchdog] = { "watchdog", sched_op_watchdog, .in = sizeof(struct sched_watchdog),
                           .who = WHO_ANY },
    [SCHEDOP_pin_override] = { "pin_override", sched_op_pin_override,
                               .in = sizeof(struct sched_pin_override), .who = WHO_HW },
};

/* sched_op(cmd, argument). fails: -ENOSYS, -EPERM, -EFAULT, or as above. */
int64_t hc_sched_op(struct vcpu *v, struct hcall_args *a)
{
    return subop_dispatch(v, ops, sizeof(ops) / sizeof(ops[0]), (uint32_t)a->arg[0],
                          gptr(a->arg[1]), a);
}
