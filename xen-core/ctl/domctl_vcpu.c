/* SPDX-License-Identifier: MIT */
/* domctl: vcpus: context, state, where they run and with what weight. */

#include "ctl/ctl.h"

#include "domain/domain.h"
#include "domain/vcpu.h"
#include "mm/heap.h"
#include "port/copy.h"
#include "port/ctl.h"
#include "port/time.h"
#include "port/vcpu.h"
#include "sched/sched.h"

/* Frames for a context: it is kept on the heap as it does not fit a stack. */
#define CONTEXT_ORDER 1u
_Static_assert(sizeof(struct vcpu_guest_context) <= (PAGE_SIZE << CONTEXT_ORDER), "two frames");

#define CAP_PER_VCPU 100u /* percent */

/* The running total is written by the cpu on which the vcpu runs: read until nothing changed in
 * between. */
uint64_t ctl_vcpu_time(const struct vcpu *target)
{
    uint64_t entry;
    uint64_t total;
    uint32_t state;

    do {
        entry = __atomic_load_n(&target->runstate_entry, __ATOMIC_ACQUIRE);
        state = __atomic_load_n(&target->runstate, __ATOMIC_RELAXED);
        total = __atomic_load_n(&target->runstate_time[RUNSTATE_running], __ATOMIC_ACQUIRE);
    } while (entry != __atomic_load_n(&target->runstate_entry, __ATOMIC_RELAXED));
    if (state == RUNSTATE_running) {
        uint64_t now = port_time_now();

        total += now > entry ? now - entry : 0;
    }
    return total;
}

/* The vcpu of that number, or NULL with *rc: -EINVAL beyond the domain's size, -ESRCH not made yet.
 */
static struct vcpu *target_vcpu(struct domain *d, uint32_t id, int64_t *rc)
{
    struct vcpu *t = vcpu_get(d, id);

    *rc = t ? 0 : id < d->max_vcpus ? -ESRCH : -EINVAL;
    return t;
}

/* Takes back what a context has set. 0, -EINVAL (the domain dies), HC_AGAIN. locks: takes life. */
static int64_t reset_vcpu(struct domain *d, struct vcpu *t)
{
    int64_t rc = -EINVAL;

    domain_pause(d);
    spin_lock(&d->life_lock);
    if (!domain_is_dying(d)) {
        /* First, as giving up page tables may have to go on later, with the domain running. */
        vcpu_reset(t);
        rc = port_vcpu_relinquish(t);
    }
    spin_unlock(&d->life_lock);
    domain_unpause(d);
    return rc;
}

/* Without a context: back to the state before the first one. 0, -EINVAL (no such vcpu, one without
 * a vcpu_info, or what the context asks for), -EFAULT, -ENOMEM, HC_AGAIN. */
int64_t domctl_setvcpucontext(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    struct vcpu *t = vcpu_get(d, op->u.vcpucontext.vcpu);
    void *ctx;
    int64_t rc;

    (void)v;
    if (!t) {
        return -EINVAL;
    }
    if (op->u.vcpucontext.ctxt.va == 0) {
        return reset_vcpu(d, t);
    }
    ctx = heap_alloc(CONTEXT_ORDER, HEAP_NOSCRUB);
    if (!ctx) {
        return -ENOMEM;
    }
    if (guest_read(ctx, op->u.vcpucontext.ctxt, sizeof(struct vcpu_guest_context))) {
        rc = -EFAULT;
    } else {
        domain_pause(d);
        spin_lock(&d->life_lock); /* a domain that dies gives up page tables only once */
        rc = domain_is_dying(d) || !vcpu_has_info(t) ? -EINVAL : port_vcpu_set_context(t, ctx);
        if (rc == 0) {
            t->initialised = true;
        }
        if (rc == 0 && port_context_online(ctx)) {
            vcpu_up(t); /* under the lock: a reset may be waiting for it */
        }
        spin_unlock(&d->life_lock);
        domain_unpause(d);
    }
    heap_free(ctx, CONTEXT_ORDER);
    return rc;
}

/* 0, -EINVAL (no such vcpu, or the domain dies), -ENODATA (it has no context), -EFAULT, -ENOMEM. */
int64_t domctl_getvcpucontext(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    struct vcpu *t = vcpu_get(d, op->u.vcpucontext.vcpu);
    void *ctx;
    int64_t rc;

    (void)v;
    if (!t) {
        return -EINVAL;
    }
    ctx = heap_alloc(CONTEXT_ORDER, HEAP_ANY);
    if (!ctx) {
        return -ENOMEM;
    }
    vcpu_pause(t);
    spin_lock(&d->life_lock); /* a reset or the domain's end takes the context back */
    rc = domain_is_dying(d) ? -EINVAL : t->initialised ? 0 : -ENODATA;
    if (rc == 0) {
        port_vcpu_get_context(t, ctx);
    }
    spin_unlock(&d->life_lock);
    vcpu_unpause(t);
    if (rc == 0 && guest_write(op->u.vcpucontext.ctxt, ctx, sizeof(struct vcpu_guest_context))) {
        rc = -EFAULT;
    }
    heap_free(ctx, CONTEXT_ORDER);
    return rc;
}

/* 0, -EINVAL, -ESRCH. */
int64_t domctl_getvcpuinfo(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    struct xen_domctl_getvcpuinfo *info = &op->u.getvcpuinfo;
    int64_t rc;
    const struct vcpu *t = target_vcpu(d, info->vcpu, &rc);
    uint32_t state;

    (void)v;
    if (!t) {
        return rc;
    }
    state = atomic_load_explicit(&t->state, memory_order_relaxed);
    info->online = !(state & VS_DOWN);
    info->blocked = (state & VS_BLOCKED) != 0;
    info->running = __atomic_load_n(&t->runstate, __ATOMIC_RELAXED) == RUNSTATE_running;
    info->cpu_time = ctl_vcpu_time(t);
    info->cpu = atomic_load_explicit(&t->cpu, memory_order_relaxed);
    return 0;
}

static void mask_and(struct cpumask *m, const struct cpumask *with)
{
    for (unsigned int i = 0; i < CPUMASK_WORDS; i++) {
        atomic_fetch_and(&m->w[i], atomic_load_explicit(&with->w[i], memory_order_relaxed));
    }
}

/* What was asked for; what comes into effect goes back into the caller's bitmaps. 0, -EINVAL,
 * -EBUSY (it is overridden), -ESRCH, -EFAULT. */
int64_t domctl_setvcpuaffinity(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
    int64_t rc;
    struct vcpu *t = target_vcpu(d, a->vcpu, &rc);
    struct cpumask hard;
    struct cpumask soft;

    (void)v;
    if (!t) {
        return rc;
    }
    if (a->flags & ~(XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT | XEN_VCPUAFFINITY_FORCE)) {
        return -EINVAL;
    }
    if (atomic_load(&t->is_overridden)) {
        return -EBUSY; /* by its own call, for a moment */
    }
    cpumask_copy(&hard, &t->hard);
    cpumask_copy(&soft, &t->soft);
    if ((a->flags & XEN_VCPUAFFINITY_HARD && ctl_bitmap_get(&a->cpumap_hard, &hard)) ||
        (a->flags & XEN_VCPUAFFINITY_SOFT && ctl_bitmap_get(&a->cpumap_soft, &soft))) {
        return -EFAULT;
    }
    rc = sched_set_affinity(t, &hard, &soft);
    if (rc) {
        return rc;
    }
    mask_and(&hard, &cpu_online_mask);
    mask_and(&soft, &hard);
    if ((a->flags & XEN_VCPUAFFINITY_HARD && ctl_bitmap_put(&a->cpumap_hard, &hard)) ||
        (a->flags & XEN_VCPUAFFINITY_SOFT && ctl_bitmap_put(&a->cpumap_soft, &soft))) {
        return -EFAULT;
    }
    return 0;
}

/* 0, -EINVAL, -ESRCH, -EFAULT. */
int64_t domctl_getvcpuaffinity(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
    int64_t rc;
    const struct vcpu *t = target_vcpu(d, a->vcpu, &rc);

    (void)v;
    if (!t) {
        return rc;
    }
    if ((a->flags & XEN_VCPUAFFINITY_HARD && ctl_bitmap_put(&a->cpumap_hard, &t->hard)) ||
        (a->flags & XEN_VCPUAFFINITY_SOFT && ctl_bitmap_put(&a->cpumap_soft, &t->soft))) {
        return -EFAULT;
    }
    return 0;
}

/* The scheduler goes by credit2's name and parameters. 0, -EINVAL (another's), -EOPNOTSUPP (per
 * vcpu: has none). */
int64_t domctl_scheduler_op(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    struct xen_domctl_scheduler_op *s = &op->u.scheduler_op;
    struct xen_domctl_sched_credit2 *p = &s->u.credit2;

    (void)v;
    if (s->sched_id != XEN_SCHEDULER_CREDIT2) {
        return -EINVAL;
    }
    switch (s->cmd) {
    case XEN_DOMCTL_SCHEDOP_getinfo:
        p->weight = d->weight;
        p->cap = d->cap;
        return 0;
    case XEN_DOMCTL_SCHEDOP_putinfo:
        if (p->cap > CAP_PER_VCPU * d->max_vcpus) {
            return -EINVAL;
        }
        if (p->weight) {
            __atomic_store_n(&d->weight, p->weight, __ATOMIC_RELAXED); /* read at any time */
        }
        __atomic_store_n(&d->cap, p->cap, __ATOMIC_RELAXED);
        sched_params_changed(d);
        return 0;
    case XEN_DOMCTL_SCHEDOP_putvcpuinfo:
    case XEN_DOMCTL_SCHEDOP_getvcpuinfo:
        return -EOPNOTSUPP;
    default:
        return -EINVAL;
    }
}
