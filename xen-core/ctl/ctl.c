/* SPDX-License-Identifier: MIT */
/* Entry of the control calls: version, table row, target, copies in and out. */

#include "ctl/ctl.h"

#include "base/nospec.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "port/copy.h"
#include "port/ctl.h"

struct domctl_row {
    const char *name;
    domctl_fn *fn; /* NULL: known, not here: -EOPNOTSUPP */
    uint32_t flags;
};

struct sysctl_row {
    const char *name;
    sysctl_fn *fn;
    uint32_t flags;
};

static const struct domctl_row domctl_rows[] = {
    [XEN_DOMCTL_createdomain] = { "createdomain", domctl_createdomain, CTL_NODOM | CTL_OUT },
    [XEN_DOMCTL_destroydomain] = { "destroydomain", domctl_destroydomain, 0 },
    [XEN_DOMCTL_pausedomain] = { "pausedomain", domctl_pausedomain, CTL_OTHER },
    [XEN_DOMCTL_unpausedomain] = { "unpausedomain", domctl_unpausedomain, 0 },
    [XEN_DOMCTL_getdomaininfo] = { "getdomaininfo", domctl_getdomaininfo, CTL_NEXT | CTL_OUT },
    [XEN_DOMCTL_setvcpuaffinity] = { "setvcpuaffinity", domctl_setvcpuaffinity, 0 },
    [XEN_DOMCTL_shadow_op] = { "shadow_op", NULL, 0 },
    [XEN_DOMCTL_max_mem] = { "max_mem", domctl_max_mem, 0 },
    [XEN_DOMCTL_setvcpucontext] = { "setvcpucontext", domctl_setvcpucontext, CTL_OTHER },
    [XEN_DOMCTL_getvcpucontext] = { "getvcpucontext", domctl_getvcpucontext, CTL_OTHER | CTL_OUT },
    [XEN_DOMCTL_getvcpuinfo] = { "getvcpuinfo", domctl_getvcpuinfo, CTL_OUT },
    [XEN_DOMCTL_max_vcpus] = { "max_vcpus", domctl_max_vcpus, CTL_OTHER },
    [XEN_DOMCTL_scheduler_op] = { "scheduler_op", domctl_scheduler_op, CTL_OUT },
    [XEN_DOMCTL_setdomainhandle] = { "setdomainhandle", domctl_setdomainhandle, 0 },
    [XEN_DOMCTL_setdebugging] = { "setdebugging", NULL, 0 },
    [XEN_DOMCTL_irq_permission] = { "irq_permission", domctl_irq_permission, 0 },
    [XEN_DOMCTL_iomem_permission] = { "iomem_permission", domctl_iomem_permission, 0 },
    [XEN_DOMCTL_ioport_permission] = { "ioport_permission", domctl_ioport_permission, 0 },
    [XEN_DOMCTL_hypercall_init] = { "hypercall_init", port_domctl_hypercall_init, 0 },
    [XEN_DOMCTL_settimeoffset] = { "settimeoffset", domctl_settimeoffset, 0 },
    [XEN_DOMCTL_getvcpuaffinity] = { "getvcpuaffinity", domctl_getvcpuaffinity, 0 },
    [XEN_DOMCTL_resumedomain] = { "resumedomain", domctl_resumedomain, CTL_OTHER },
    [XEN_DOMCTL_sendtrigger] = { "sendtrigger", port_domctl_sendtrigger, 0 },
    [XEN_DOMCTL_subscribe] = { "subscribe", NULL, 0 },
    [XEN_DOMCTL_gethvmcontext] = { "gethvmcontext", NULL, 0 },
    [XEN_DOMCTL_sethvmcontext] = { "sethvmcontext", NULL, 0 },
    [XEN_DOMCTL_set_address_size] = { "set_address_size", port_domctl_set_address_size, 0 },
    [XEN_DOMCTL_get_address_size] = { "get_address_size", port_domctl_get_address_size, CTL_OUT },
    [XEN_DOMCTL_assign_device] = { "assign_device", NULL, 0 },
    [XEN_DOMCTL_bind_pt_irq] = { "bind_pt_irq", NULL, 0 },
    [XEN_DOMCTL_memory_mapping] = { "memory_mapping", NULL, 0 },
    [XEN_DOMCTL_ioport_mapping] = { "ioport_mapping", NULL, 0 },
    [XEN_DOMCTL_set_ext_vcpucontext] = { "set_ext_vcpucontext", NULL, 0 },
    [XEN_DOMCTL_get_ext_vcpucontext] = { "get_ext_vcpucontext", NULL, 0 },
    [XEN_DOMCTL_test_assign_device] = { "test_assign_device", NULL, 0 },
    [XEN_DOMCTL_set_target] = { "set_target", NULL, 0 },
    [XEN_DOMCTL_deassign_device] = { "deassign_device", NULL, 0 },
    [XEN_DOMCTL_unbind_pt_irq] = { "unbind_pt_irq", NULL, 0 },
    [XEN_DOMCTL_get_device_group] = { "get_device_group", NULL, 0 },
    [XEN_DOMCTL_debug_op] = { "debug_op", NULL, 0 },
    [XEN_DOMCTL_gethvmcontext_partial] = { "gethvmcontext_partial", NULL, 0 },
    [XEN_DOMCTL_vm_event_op] = { "vm_event_op", NULL, 0 },
    [XEN_DOMCTL_mem_sharing_op] = { "mem_sharing_op", NULL, 0 },
    [XEN_DOMCTL_gettscinfo] = { "gettscinfo", port_domctl_gettscinfo, CTL_OTHER | CTL_OUT },
    [XEN_DOMCTL_settscinfo] = { "settscinfo", port_domctl_settscinfo, CTL_OTHER },
    [XEN_DOMCTL_getpageframeinfo3] = { "getpageframeinfo3", NULL, 0 },
    [XEN_DOMCTL_setvcpuextstate] = { "setvcpuextstate", NULL, 0 },
    [XEN_DOMCTL_getvcpuextstate] = { "getvcpuextstate", NULL, 0 },
    [XEN_DOMCTL_set_access_required] = { "set_access_required", NULL, 0 },
    [XEN_DOMCTL_audit_p2m] = { "audit_p2m", NULL, 0 },
    [XEN_DOMCTL_set_virq_handler] = { "set_virq_handler", NULL, 0 },
    [XEN_DOMCTL_set_broken_page_p2m] = { "set_broken_page_p2m", NULL, 0 },
    [XEN_DOMCTL_setnodeaffinity] = { "setnodeaffinity", domctl_setnodeaffinity, 0 },
    [XEN_DOMCTL_getnodeaffinity] = { "getnodeaffinity", domctl_getnodeaffinity, 0 },
    [XEN_DOMCTL_cacheflush] = { "cacheflush", NULL, 0 },
    [XEN_DOMCTL_get_vcpu_msrs] = { "get_vcpu_msrs", NULL, 0 },
    [XEN_DOMCTL_set_vcpu_msrs] = { "set_vcpu_msrs", NULL, 0 },
    [XEN_DOMCTL_setvnumainfo] = { "setvnumainfo", NULL, 0 },
    [XEN_DOMCTL_psr_cmt_op] = { "psr_cmt_op", NULL, 0 },
    [XEN_DOMCTL_monitor_op] = { "monitor_op", NULL, 0 },
    [XEN_DOMCTL_psr_alloc] = { "psr_alloc", NULL, 0 },
    [XEN_DOMCTL_soft_reset] = { "soft_reset", NULL, 0 },
    [XEN_DOMCTL_vuart_op] = { "vuart_op", NULL, 0 },
    [XEN_DOMCTL_get_cpu_policy] = { "get_cpu_policy", port_domctl_get_cpu_policy, CTL_OUT },
    [XEN_DOMCTL_set_cpu_policy] = { "set_cpu_policy", port_domctl_set_cpu_policy,
                                    CTL_OTHER | CTL_OUT_ERR },
    [XEN_DOMCTL_vmtrace_op] = { "vmtrace_op", NULL, 0 },
    [XEN_DOMCTL_get_paging_mempool_size] = { "get_paging_mempool_size", NULL, 0 },
    [XEN_DOMCTL_set_paging_mempool_size] = { "set_paging_mempool_size", NULL, 0 },
};

static const struct sysctl_row sysctl_rows[] = {
    [XEN_SYSCTL_readconsole] = { "readconsole", sysctl_readconsole, CTL_OUT },
    [XEN_SYSCTL_tbuf_op] = { "tbuf_op", NULL, 0 },
    [XEN_SYSCTL_physinfo] = { "physinfo", sysctl_physinfo, CTL_OUT },
    [XEN_SYSCTL_sched_id] = { "sched_id", sysctl_sched_id, CTL_OUT },
    [XEN_SYSCTL_perfc_op] = { "perfc_op", sysctl_perfc_op, CTL_OUT },
    [XEN_SYSCTL_getdomaininfolist] = { "getdomaininfolist", sysctl_getdomaininfolist, CTL_OUT },
    [XEN_SYSCTL_debug_keys] = { "debug_keys", sysctl_debug_keys, 0 },
    [XEN_SYSCTL_getcpuinfo] = { "getcpuinfo", sysctl_getcpuinfo, CTL_OUT },
    [XEN_SYSCTL_availheap] = { "availheap", sysctl_availheap, CTL_OUT },
    [XEN_SYSCTL_get_pmstat] = { "get_pmstat", NULL, 0 },
    [XEN_SYSCTL_cpu_hotplug] = { "cpu_hotplug", NULL, 0 },
    [XEN_SYSCTL_pm_op] = { "pm_op", NULL, 0 },
    [XEN_SYSCTL_page_offline_op] = { "page_offline_op", NULL, 0 },
    [XEN_SYSCTL_lockprof_op] = { "lockprof_op", NULL, 0 },
    [XEN_SYSCTL_cputopoinfo] = { "cputopoinfo", sysctl_cputopoinfo, CTL_OUT },
    [XEN_SYSCTL_numainfo] = { "numainfo", sysctl_numainfo, CTL_OUT },
    [XEN_SYSCTL_cpupool_op] = { "cpupool_op", sysctl_cpupool_op, CTL_OUT },
    [XEN_SYSCTL_scheduler_op] = { "scheduler_op", sysctl_scheduler_op, CTL_OUT },
    [XEN_SYSCTL_coverage_op] = { "coverage_op", NULL, 0 },
    [XEN_SYSCTL_psr_cmt_op] = { "psr_cmt_op", NULL, 0 },
    [XEN_SYSCTL_pcitopoinfo] = { "pcitopoinfo", sysctl_pcitopoinfo, CTL_OUT },
    [XEN_SYSCTL_psr_alloc] = { "psr_alloc", NULL, 0 },
    [XEN_SYSCTL_get_cpu_levelling_caps] = { "get_cpu_levelling_caps",
                                            port_sysctl_get_cpu_levelling_caps, CTL_OUT },
    [XEN_SYSCTL_get_cpu_featureset] = { "get_cpu_featureset", port_sysctl_get_cpu_featureset,
                                        CTL_OUT | CTL_OUT_ERR },
    [XEN_SYSCTL_livepatch_op] = { "livepatch_op", NULL, 0 },
    [XEN_SYSCTL_get_cpu_policy] = { "get_cpu_policy", port_sysctl_get_cpu_policy,
                                    CTL_OUT | CTL_OUT_ERR },
};

static bool copies_out(uint32_t flags, int64_t rc)
{
    return rc != HC_AGAIN && (rc >= 0 ? flags & (CTL_OUT | CTL_OUT_ERR) : flags & CTL_OUT_ERR);
}

static int64_t domctl_run(struct vcpu *v, const struct domctl_row *row, struct xen_domctl *op)
{
    struct domain *d = NULL;
    int64_t rc;

    if ((row->flags & CTL_NEXT) && op->domain >= DOMID_FIRST_RESERVED) {
        return -EINVAL;
    }
    if (!(row->flags & CTL_NODOM)) {
        d = row->flags & CTL_NEXT ? domain_get_next(op->domain) : domain_get(op->domain);
        if (!d) {
            return -ESRCH;
        }
    }
    rc = d == v->d && (row->flags & CTL_OTHER) ? -EINVAL : row->fn(v, d, op);
    if (d) {
        domain_put(d);
    }
    return rc;
}

/*
 * arg 0: struct xen_domctl. Results by sub-operation; -EFAULT, -EACCES (interface version),
 * -ENOSYS, -EOPNOTSUPP, -ESRCH. No lock held.
 */
int64_t hc_domctl(struct vcpu *v, struct hcall_args *a)
{
    gptr_t at = gptr(a->arg[0]);
    const struct domctl_row *row;
    struct xen_domctl op;
    int64_t rc;

    if (guest_read(&op, at, sizeof(op))) {
        return -EFAULT;
    }
    if (op.interface_version != XEN_DOMCTL_INTERFACE_VERSION) {
        return -EACCES;
    }
    row = &domctl_rows[index_nospec(op.cmd, sizeof(domctl_rows) / sizeof(domctl_rows[0]))];
    if (op.cmd >= sizeof(domctl_rows) / sizeof(domctl_rows[0]) || !row->name) {
        return -ENOSYS;
    }
    measure_op(op.cmd);
    rc = row->fn ? domctl_run(v, row, &op) : -EOPNOTSUPP;
    if (row->fn && copies_out(row->flags, rc) && guest_write(at, &op, sizeof(op))) {
        return -EFAULT;
    }
    return rc;
}

/* arg 0: struct xen_sysctl. As hc_domctl. */
int64_t hc_sysctl(struct vcpu *v, struct hcall_args *a)
{
    gptr_t at = gptr(a->arg[0]);
    const struct sysctl_row *row;
    struct xen_sysctl op;
    int64_t rc;

    if (guest_read(&op, at, sizeof(op))) {
        return -EFAULT;
    }
    if (op.interface_version != XEN_SYSCTL_INTERFACE_VERSION) {
        return -EACCES;
    }
    row = &sysctl_rows[index_nospec(op.cmd, sizeof(sysctl_rows) / sizeof(sysctl_rows[0]))];
    if (op.cmd >= sizeof(sysctl_rows) / sizeof(sysctl_rows[0]) || !row->name) {
        return -ENOSYS;
    }
    measure_op(op.cmd);
    rc = row->fn ? row->fn(v, &op) : -EOPNOTSUPP;
    if (row->fn && copies_out(row->flags, rc) && guest_write(at, &op, sizeof(op))) {
        return -EFAULT;
    }
    return rc;
}
