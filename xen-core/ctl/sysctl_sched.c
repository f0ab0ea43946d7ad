/* SPDX-License-Identifier: MIT */
/* sysctl: the scheduler, under credit2's name, and the one pool of cpus. */

#include "ctl/ctl.h"

#include "domain/domain.h"
#include "domain/vcpu.h"

int64_t sysctl_sched_id(struct vcpu *v, struct xen_sysctl *op)
{
    (void)v;
    op->u.sched_id.sched_id = XEN_SCHEDULER_CREDIT2;
    return 0;
}

static uint32_t domain_count(void)
{
    uint32_t n = 0;
    struct domain *d;

    for (uint32_t next = 0; next < DOMID_FIRST_RESERVED; n++) {
        d = domain_get_next((domid_t)next);
        if (!d) {
            break;
        }
        next = (uint32_t)d->id + 1;
        domain_put(d);
    }
    return n;
}

/* 0; -ENOENT: no other pool; -EOPNOTSUPP: there will be none; -EINVAL, -EFAULT, -ESRCH. */
int64_t sysctl_cpupool_op(struct vcpu *v, struct xen_sysctl *op)
{
    struct xen_sysctl_cpupool_op *p = &op->u.cpupool_op;
    struct cpumask none;
    struct domain *d;

    (void)v;
    switch (p->op) {
    case XEN_SYSCTL_CPUPOOL_OP_INFO:
        /* The first pool from that id on. */
        if (p->cpupool_id > CTL_POOL_ID) {
            return -ENOENT;
        }
        p->cpupool_id = CTL_POOL_ID;
        p->sched_id = XEN_SCHEDULER_CREDIT2;
        p->n_dom = domain_count();
        return ctl_bitmap_put(&p->cpumap, &cpu_online_mask);
    case XEN_SYSCTL_CPUPOOL_OP_FREEINFO:
        cpumask_zero(&none);
        return ctl_bitmap_put(&p->cpumap, &none);
    case XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN:
        if (p->cpupool_id != CTL_POOL_ID) {
            return -ENOENT;
        }
        d = p->domid < DOMID_FIRST_RESERVED ? domain_get((domid_t)p->domid) : NULL;
        if (!d) {
            return -ESRCH;
        }
        domain_put(d); /* it is there already */
        return 0;
    case XEN_SYSCTL_CPUPOOL_OP_CREATE:
    case XEN_SYSCTL_CPUPOOL_OP_DESTROY:
    case XEN_SYSCTL_CPUPOOL_OP_ADDCPU:
    case XEN_SYSCTL_CPUPOOL_OP_RMCPU:
        return -EOPNOTSUPP;
    default:
        return -EINVAL;
    }
}

/* The rate limit of credit2 has no counterpart: it reads as off, and can only be set to that. */
int64_t sysctl_scheduler_op(struct vcpu *v, struct xen_sysctl *op)
{
    struct xen_sysctl_scheduler_op *s = &op->u.scheduler_op;
    uint32_t limit = s->u.sched_credit2.ratelimit_us;

    (void)v;
    if (s->cpupool_id != CTL_POOL_ID) {
        return -ESRCH;
    }
    if (s->sched_id != XEN_SCHEDULER_CREDIT2) {
        return -EINVAL;
    }
    switch (s->cmd) {
    case XEN_SYSCTL_SCHEDOP_getinfo:
        s->u.sched_credit2.ratelimit_us = 0;
        return 0;
    case XEN_SYSCTL_SCHEDOP_putinfo:
        if (limit &&
            (limit < XEN_SYSCTL_SCHED_RATELIMIT_MIN || limit > XEN_SYSCTL_SCHED_RATELIMIT_MAX)) {
            return -EINVAL;
        }
        return limit ? -EOPNOTSUPP : 0;
    default:
        return -EINVAL;
    }
}
