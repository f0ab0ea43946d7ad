/* SPDX-License-Identifier: MIT */
/*
 * The control interface: domctl and sysctl with Xen 4.17's layouts and versions. The tables stand
 * in ctl.c, the handlers in one file per subject.
 *
 * A handler works on a private copy of the structure; what it leaves there is copied back if its
 * row says so. It is called with no lock held, by the control domain only (the row of the hypercall
 * says so), with its target referenced. There is no lock around control calls as a whole: each
 * takes what it needs.
 */
#pragma once

#include <stdint.h>

#include "abi/domctl.h"
#include "abi/sysctl.h"
#include "base/cpumask.h"
#include "hcall/hcall.h"

struct domain;
struct vcpu;

/* 0, negative errno, HC_AGAIN (progress is in the object). */
typedef int64_t domctl_fn(struct vcpu *v, struct domain *d, struct xen_domctl *op);
typedef int64_t sysctl_fn(struct vcpu *v, struct xen_sysctl *op);

#define CTL_OUT     1u  /* the structure is copied back if rc >= 0 */
#define CTL_OUT_ERR 2u  /* and also if rc < 0: error fields */
#define CTL_NODOM   4u  /* takes no existing domain: d is NULL */
#define CTL_OTHER   8u  /* -EINVAL if the target is the caller's own domain */
#define CTL_NEXT    16u /* the target is the first domain with that id or a higher one */

/* domctl_life.c */
int64_t domctl_createdomain(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_destroydomain(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_pausedomain(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_unpausedomain(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_resumedomain(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_getdomaininfo(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_max_vcpus(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_setdomainhandle(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_settimeoffset(struct vcpu *v, struct domain *d, struct xen_domctl *op);
void domctl_fill_info(struct domain *d, struct xen_domctl_getdomaininfo *info);

/* domctl_vcpu.c */
int64_t domctl_setvcpucontext(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_getvcpucontext(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_getvcpuinfo(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_setvcpuaffinity(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_getvcpuaffinity(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_scheduler_op(struct vcpu *v, struct domain *d, struct xen_domctl *op);
/* ns that target has run since it was made. */
uint64_t ctl_vcpu_time(const struct vcpu *target);

/* domctl_mem.c */
int64_t domctl_max_mem(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_setnodeaffinity(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_getnodeaffinity(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_irq_permission(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_iomem_permission(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t domctl_ioport_permission(struct vcpu *v, struct domain *d, struct xen_domctl *op);

/* sysctl_host.c */
int64_t sysctl_readconsole(struct vcpu *v, struct xen_sysctl *op);
int64_t sysctl_physinfo(struct vcpu *v, struct xen_sysctl *op);
int64_t sysctl_getdomaininfolist(struct vcpu *v, struct xen_sysctl *op);
int64_t sysctl_debug_keys(struct vcpu *v, struct xen_sysctl *op);
int64_t sysctl_getcpuinfo(struct vcpu *v, struct xen_sysctl *op);
int64_t sysctl_availheap(struct vcpu *v, struct xen_sysctl *op);
int64_t sysctl_cputopoinfo(struct vcpu *v, struct xen_sysctl *op);
int64_t sysctl_numainfo(struct vcpu *v, struct xen_sysctl *op);
int64_t sysctl_pcitopoinfo(struct vcpu *v, struct xen_sysctl *op);

/* sysctl_perfc.c */
int64_t sysctl_perfc_op(struct vcpu *v, struct xen_sysctl *op);

/* sysctl_sched.c */
int64_t sysctl_sched_id(struct vcpu *v, struct xen_sysctl *op);
int64_t sysctl_cpupool_op(struct vcpu *v, struct xen_sysctl *op);
int64_t sysctl_scheduler_op(struct vcpu *v, struct xen_sysctl *op);

/* ctl_bitmap.c: sets of `nr` numbers to and from the caller's bitmaps. 0 or -EFAULT. */
int ctl_bitmap_get(const struct xenctl_bitmap *from, struct cpumask *to);
int ctl_bitmap_put(const struct xenctl_bitmap *to, const struct cpumask *from);
/* One past the highest cpu that runs. */
uint32_t ctl_cpu_limit(void);

#define CTL_POOL_ID 0u /* the one pool of cpus */
