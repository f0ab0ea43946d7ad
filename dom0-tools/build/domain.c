/* SPDX-License-Identifier: MIT */
/* The builder's steps on the domain itself: creation, limits, scheduling, event channels. */
#include "build/parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "abi/domctl.h"
#include "abi/event.h"
#include "abi/hcall_nr.h"
#include "abi/sysctl.h"

#define MAX_MEM_SLACK_KIB 1024 /* as libxl grants, for what a guest balloons around its size */

static struct xen_domctl domctl(const struct building *b, uint32_t cmd)
{
    return (struct xen_domctl){ .cmd = cmd, .domain = b->out->domid };
}

static int set_limits(struct building *b)
{
    struct xen_domctl op = domctl(b, XEN_DOMCTL_max_vcpus);
    int rc;

    op.u.max_vcpus.max = b->c->max_vcpus;
    rc = joist_domctl(b->h, &op);
    if (rc < 0) {
        return build_failed(b, "vcpus", rc, "vCPUs cannot be made");
    }
    op = domctl(b, XEN_DOMCTL_max_mem);
    op.u.max_mem.max_memkb = b->c->maxmem_kib + MAX_MEM_SLACK_KIB;
    rc = joist_domctl(b->h, &op);
    if (rc < 0) {
        return build_failed(b, "memory", rc, "the memory limit cannot be set");
    }
    op = domctl(b, XEN_DOMCTL_settscinfo);
    op.u.tsc_info.tsc_mode = b->c->tsc_mode;
    rc = joist_domctl(b->h, &op);
    if (rc < 0) {
        return build_failed(b, "clock", rc, "the TSC mode cannot be set");
    }
    op = domctl(b, XEN_DOMCTL_getdomaininfo);
    rc = joist_domctl(b->h, &op);
    if (rc < 0 || op.u.getdomaininfo.domain != b->out->domid) {
        return build_failed(b, "create", rc < 0 ? rc : -ESRCH, "the new domain cannot be found");
    }
    b->shared_info_mfn = op.u.getdomaininfo.shared_info_frame;
    return 0;
}

int build_create_domain(struct building *b)
{
    struct xen_domctl op = { .cmd = XEN_DOMCTL_createdomain };
    struct xen_domctl_createdomain *cd = &op.u.createdomain;
    int rc;

    memcpy(cd->handle, b->c->uuid, sizeof(cd->handle));
    cd->max_vcpus = b->c->max_vcpus;
    cd->max_evtchn_port = b->c->max_event_channels;
    cd->max_grant_frames = (int32_t)b->c->max_grant_frames;
    cd->max_maptrack_frames = (int32_t)b->c->max_maptrack_frames;
    cd->grant_opts = XEN_DOMCTL_GRANT_version(1);
    rc = joist_domctl(b->h, &op);
    if (rc < 0) {
        build_failed(b, "create", rc, "the hypervisor makes no domain");
        return fail_remedy(b->f, "joist dmesg may say more");
    }
    b->out->domid = op.domain;
    rc = set_limits(b);
    if (rc != 0) {
        build_destroy_domain(b);
    }
    return rc;
}

void build_destroy_domain(struct building *b)
{
    struct xen_domctl op = domctl(b, XEN_DOMCTL_destroydomain);
    int rc;

    do {
        rc = joist_domctl(b->h, &op);
    } while (rc == -EAGAIN);
}

/* Applies one CPU set to the vCPUs from `first` to `last`. */
static int set_affinity(struct building *b, const struct cpuset *set, uint32_t first, uint32_t last)
{
    struct xen_domctl op = domctl(b, XEN_DOMCTL_setvcpuaffinity);
    struct xen_domctl_vcpuaffinity *va = &op.u.vcpuaffinity;
    uint8_t *map = joist_buf_alloc(b->h, sizeof(*set));
    int rc = map != NULL ? 0 : -ENOMEM;

    for (; rc >= 0 && first <= last; first++) {
        memcpy(map, set, sizeof(*set)); /* the call writes back what is in effect */
        va->vcpu = first;
        va->flags = XEN_VCPUAFFINITY_HARD;
        va->cpumap_hard = (struct xenctl_bitmap){ { (uintptr_t)map }, sizeof(*set) * 8 };
        rc = joist_domctl(b->h, &op);
    }
    joist_buf_free(b->h, map);
    if (rc < 0) {
        build_failed(b, "cpus", rc, "the CPUs it may use cannot be set");
        return fail_remedy(b->f, "cpus= must name at least one CPU that the machine has");
    }
    return 0;
}

static int set_weight(struct building *b)
{
    struct xen_sysctl id = { .cmd = XEN_SYSCTL_sched_id };
    struct xen_domctl op = domctl(b, XEN_DOMCTL_scheduler_op);
    struct xen_domctl_scheduler_op *so = &op.u.scheduler_op;
    int rc = joist_sysctl(b->h, &id);

    if (rc >= 0 && id.u.sched_id.sched_id != XEN_SCHEDULER_CREDIT2) {
        rc = -EOPNOTSUPP;
    }
    if (rc >= 0) {
        so->sched_id = XEN_SCHEDULER_CREDIT2;
        so->cmd = XEN_DOMCTL_SCHEDOP_getinfo;
        rc = joist_domctl(b->h, &op);
    }
    if (rc >= 0) {
        so->cmd = XEN_DOMCTL_SCHEDOP_putinfo;
        so->u.credit2.weight = b->c->weight != 0 ? (uint16_t)b->c->weight : so->u.credit2.weight;
        so->u.credit2.cap = b->c->cap >= 0 ? (uint16_t)b->c->cap : so->u.credit2.cap;
        rc = joist_domctl(b->h, &op);
    }
    return rc >= 0 ? 0 : build_failed(b, "scheduler", rc, "cpu_weight and cap cannot be set");
}

int build_set_cpus(struct building *b)
{
    const struct config *c = b->c;
    uint32_t i;
    int rc = 0;

    if (c->affinity_count == 1) {
        rc = set_affinity(b, &c->affinity[0], 0, c->max_vcpus - 1);
    }
    for (i = 0; rc == 0 && c->affinity_count > 1 && i < c->max_vcpus && i < c->affinity_count;
         i++) {
        rc = set_affinity(b, &c->affinity[i], i, i);
    }
    if (rc == 0 && (c->weight != 0 || c->cap >= 0)) {
        rc = set_weight(b);
    }
    return rc;
}

static int alloc_port(struct building *b, uint32_t *port)
{
    struct evtchn_alloc_unbound *op = joist_buf_alloc(b->h, sizeof(*op));
    struct joist_args args = { { EVTCHNOP_alloc_unbound, (uintptr_t)op } };
    long rc;

    if (op == NULL) {
        return -ENOMEM;
    }
    *op = (struct evtchn_alloc_unbound){ .dom = b->out->domid, .remote_dom = 0 };
    rc = joist_hypercall(b->h, __HYPERVISOR_event_channel_op, &args);
    *port = op->port;
    joist_buf_free(b->h, op);
    return rc < 0 ? (int)rc : 0;
}

int build_alloc_ports(struct building *b)
{
    int rc = alloc_port(b, &b->out->store_port);

    if (rc == 0) {
        rc = alloc_port(b, &b->out->console_port);
    }
    return rc == 0 ? 0 : build_failed(b, "create", rc, "no event channel for store or console");
}
