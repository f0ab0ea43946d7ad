/* SPDX-License-Identifier: MIT */
/* sysctl: the machine: log, processors, memory, topology, and the list of domains. */

#include "ctl/ctl.h"

#include "base/console.h"
#include "base/log.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "lib/str.h"
#include "mm/heap.h"
#include "port/copy.h"
#include "port/cpu.h"
#include "port/ctl.h"
#include "port/time.h"
#include "sched/sched.h"

#define NODE_DISTANCE_SELF 10u
#define KEYS_MAX           32u /* each writes many lines to a slow uart */

/* index: place in the stream of text, in and out. 0, -EFAULT. */
int64_t sysctl_readconsole(struct vcpu *v, struct xen_sysctl *op)
{
    struct xen_sysctl_readconsole *r = &op->u.readconsole;
    bool incremental = r->incremental != 0;
    uint32_t index = r->index;
    uint32_t done = 0;
    char text[256];

    (void)v;
    while (done < r->count) {
        size_t want = r->count - done < sizeof(text) ? r->count - done : sizeof(text);
        size_t n = log_read(text, want, &index, incremental, false);

        if (n == 0) {
            break;
        }
        if (guest_write(gptr_at(r->buffer, done, 1), text, n)) {
            return -EFAULT;
        }
        incremental = true; /* go on from where this piece ended */
        done += (uint32_t)n;
    }
    if (r->clear) {
        /* Only what has been handed over goes: lines that came since stay. */
        (void)log_read(text, 0, &index, true, true);
    }
    r->count = done;
    r->index = index;
    return 0;
}

int64_t sysctl_physinfo(struct vcpu *v, struct xen_sysctl *op)
{
    struct xen_sysctl_physinfo *pi = &op->u.physinfo;

    (void)v;
    memset(pi, 0, sizeof(*pi));
    pi->nr_cpus = port_cpu_count();
    pi->max_cpu_id = ctl_cpu_limit() - 1;
    pi->nr_nodes = 1;
    pi->cpu_khz = (uint32_t)port_ticks_khz();
    pi->capabilities = XEN_SYSCTL_PHYSCAP_pv | XEN_SYSCTL_PHYSCAP_gnttab_v1;
    pi->total_pages = port_ram_frames();
    pi->free_pages = heap_free_frames();
    pi->outstanding_pages = heap_claimed_frames();
    pi->max_mfn = frame_limit - 1;
    port_physinfo(pi);
    return 0;
}

/* Bounded by the number of domains; each record is made without a lock and copied out at once. 0,
 * -EFAULT. */
int64_t sysctl_getdomaininfolist(struct vcpu *v, struct xen_sysctl *op)
{
    struct xen_sysctl_getdomaininfolist *l = &op->u.getdomaininfolist;
    uint32_t next = l->first_domain;

    (void)v;
    l->num_domains = 0;
    while (l->num_domains < l->max_domains && next < DOMID_FIRST_RESERVED) {
        struct xen_domctl_getdomaininfo info;
        struct domain *d = domain_get_next((domid_t)next);

        if (!d) {
            break;
        }
        domctl_fill_info(d, &info);
        next = (uint32_t)d->id + 1;
        domain_put(d);
        if (guest_write(gptr_at(l->buffer, l->num_domains, sizeof(info)), &info, sizeof(info))) {
            return -EFAULT;
        }
        l->num_domains++;
    }
    return 0;
}

/* 0, -EFAULT, -E2BIG. */
int64_t sysctl_debug_keys(struct vcpu *v, struct xen_sysctl *op)
{
    const struct xen_sysctl_debug_keys *k = &op->u.debug_keys;
    char keys[KEYS_MAX];

    (void)v;
    if (k->nr_keys > sizeof(keys)) {
        return -E2BIG;
    }
    if (guest_read(keys, k->keys, k->nr_keys)) {
        return -EFAULT;
    }
    for (uint32_t i = 0; i < k->nr_keys; i++) {
        console_key(keys[i]);
    }
    return 0;
}

int64_t sysctl_getcpuinfo(struct vcpu *v, struct xen_sysctl *op)
{
    struct xen_sysctl_getcpuinfo *g = &op->u.getcpuinfo;
    uint32_t n = g->max_cpus < ctl_cpu_limit() ? g->max_cpus : ctl_cpu_limit();

    (void)v;
    for (uint32_t i = 0; i < n; i++) {
        struct xen_sysctl_cpuinfo info = {
            .idletime = cpumask_test(&cpu_online_mask, i) ? sched_idle_time(i) : 0,
        };

        if (guest_write(gptr_at(g->info, i, sizeof(info)), &info, sizeof(info))) {
            return -EFAULT;
        }
    }
    g->nr_cpus = n;
    return 0;
}

/* The heap keeps no sums by address width: only the question without bounds has an answer. 0,
 * -EINVAL, -EOPNOTSUPP. */
int64_t sysctl_availheap(struct vcpu *v, struct xen_sysctl *op)
{
    struct xen_sysctl_availheap *h = &op->u.availheap;

    (void)v;
    if (h->node != -1 && h->node != 0) {
        return -EINVAL;
    }
    if (h->min_bitwidth || h->max_bitwidth) {
        return -EOPNOTSUPP;
    }
    h->avail_bytes = heap_free_frames() << PAGE_SHIFT;
    return 0;
}

/* A null address asks only for the number of records. 0, -EFAULT. */
int64_t sysctl_cputopoinfo(struct vcpu *v, struct xen_sysctl *op)
{
    struct xen_sysctl_cputopoinfo *t = &op->u.cputopoinfo;
    uint32_t n = ctl_cpu_limit();

    (void)v;
    if (t->cputopo.va) {
        n = t->num_cpus < n ? t->num_cpus : n;
        for (uint32_t i = 0; i < n; i++) {
            struct xen_sysctl_cputopo topo = { XEN_INVALID_CORE_ID, XEN_INVALID_SOCKET_ID,
                                               XEN_INVALID_NODE_ID };
            struct port_cpu_place place;

            if (port_cpu_place(i, &place)) {
                topo = (struct xen_sysctl_cputopo){ place.core, place.socket, 0 };
            }
            if (guest_write(gptr_at(t->cputopo, i, sizeof(topo)), &topo, sizeof(topo))) {
                return -EFAULT;
            }
        }
    }
    t->num_cpus = n;
    return 0;
}

/* One node. Null addresses ask only for the number. 0, -EFAULT. */
int64_t sysctl_numainfo(struct vcpu *v, struct xen_sysctl *op)
{
    struct xen_sysctl_numainfo *n = &op->u.numainfo;
    struct xen_sysctl_meminfo mem = {
        .memsize = port_ram_frames() << PAGE_SHIFT,
        .memfree = heap_free_frames() << PAGE_SHIFT,
    };
    uint32_t distance = NODE_DISTANCE_SELF;

    (void)v;
    if ((n->meminfo.va || n->distance.va) && n->num_nodes == 0) {
        return 0;
    }
    if ((n->meminfo.va && guest_write(n->meminfo, &mem, sizeof(mem))) ||
        (n->distance.va && guest_write(n->distance, &distance, sizeof(distance)))) {
        return -EFAULT;
    }
    n->num_nodes = 1;
    return 0;
}

/* Where PCI devices sit is not known; the caller may ask for more than fits between two looks at
 * the clock and is told how many were answered. 0, -EFAULT. */
int64_t sysctl_pcitopoinfo(struct vcpu *v, struct xen_sysctl *op)
{
    struct xen_sysctl_pcitopoinfo *p = &op->u.pcitopoinfo;
    uint32_t done = 0;

    (void)v;
    while (done < p->num_devs && !(done && hcall_preempt_check())) {
        uint32_t node = XEN_INVALID_NODE_ID;

        if (guest_write(gptr_at(p->nodes, done, sizeof(node)), &node, sizeof(node))) {
            return -EFAULT;
        }
        done++;
    }
    p->num_devs = done;
    return 0;
}
