/* SPDX-License-Identifier: MIT */
/* domctl: how much memory, and what of the machine beyond it. */

#include "ctl/ctl.h"

#include "domain/domain.h"
#include "domain/vcpu.h"
#include "irq/rights.h"
#include "port/copy.h"

#define KIB_SHIFT  (PAGE_SHIFT - 10)
#define PORT_COUNT 0x10000u

/* A limit below what the domain has already lets it only shrink. 0. */
int64_t domctl_max_mem(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    (void)v;
    atomic_store_explicit(&d->max_frames, op->u.max_mem.max_memkb >> KIB_SHIFT,
                          memory_order_relaxed);
    return 0;
}

/* There is one node: a set with it is fine, and has no effect. 0, -EINVAL, -EFAULT. */
int64_t domctl_setnodeaffinity(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    struct cpumask nodes;

    (void)v;
    (void)d;
    if (ctl_bitmap_get(&op->u.nodeaffinity.nodemap, &nodes)) {
        return -EFAULT;
    }
    return cpumask_test(&nodes, 0) ? 0 : -EINVAL;
}

int64_t domctl_getnodeaffinity(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    struct cpumask nodes;

    (void)v;
    (void)d;
    cpumask_zero(&nodes);
    cpumask_set(&nodes, 0);
    return ctl_bitmap_put(&op->u.nodeaffinity.nodemap, &nodes);
}

/* Nobody can pass on what he does not have himself. 0, -EPERM, -ENOMEM. */
static int64_t change(struct vcpu *v, struct domain *d, enum rights_kind k, uint64_t first,
                      uint64_t last, bool allow)
{
    if (!rights_check(v->d, k, first, last)) {
        return -EPERM;
    }
    return allow ? rights_allow(d, k, first, last) : rights_deny(d, k, first, last);
}

int64_t domctl_irq_permission(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_irq_permission *p = &op->u.irq_permission;

    return change(v, d, RIGHT_IRQ, p->pirq, p->pirq, p->allow_access != 0);
}

int64_t domctl_iomem_permission(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_iomem_permission *p = &op->u.iomem_permission;
    uint64_t last;

    if (p->nr_mfns == 0 || __builtin_add_overflow(p->first_mfn, p->nr_mfns - 1, &last)) {
        return -EINVAL;
    }
    return change(v, d, RIGHT_MMIO, p->first_mfn, last, p->allow_access != 0);
}

int64_t domctl_ioport_permission(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_ioport_permission *p = &op->u.ioport_permission;

    if (p->nr_ports == 0) {
        return 0;
    }
    if (p->first_port >= PORT_COUNT || p->nr_ports > PORT_COUNT - p->first_port) {
        return -EINVAL;
    }
    return change(v, d, RIGHT_PORT, p->first_port, p->first_port + p->nr_ports - 1,
                  p->allow_access != 0);
}
