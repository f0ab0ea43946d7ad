/* SPDX-License-Identifier: MIT */
/*
 * Every operation that allocates or takes long, with its k-th allocation failing, with its k-th
 * byte of guest memory faulting, and stopped at every check point, for each k until nothing is met
 * any more. test_sweep_calls has the calls that only read and write.
 *
 * After each run: an audit of all frames, grants, ports and domains; a refused call has changed
 * nothing; the domains' end gives everything back. A stopped run must come to what the other came
 * to.
 */
#include "tests/unit/sweep_kit.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/vcpu.h"
#include "abi/version.h"
#include "arch/host/machine.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/trap.h"

static int64_t do_createdomain(void)
{
    u.dom.u.createdomain.max_vcpus = 3;
    u.dom.u.createdomain.max_evtchn_port = 2000;
    u.dom.u.createdomain.max_grant_frames = 8;
    u.dom.u.createdomain.max_maptrack_frames = 8;
    u.dom.u.createdomain.grant_opts = 1;
    int64_t rc = domctl(XEN_DOMCTL_createdomain, 0);
    if (rc != 0) {
        return rc;
    }
    domid_t id = u.dom.domain;
    memset(&u, 0, sizeof u);
    u.dom.u.max_vcpus.max = 3;
    rc = domctl(XEN_DOMCTL_max_vcpus, id);
    memset(&u, 0, sizeof u);
    /* A tool would do the same. */
    sweep_calm();
    return domctl(XEN_DOMCTL_destroydomain, id) != 0 ? 1 : rc;
}

static void context(void)
{
    static struct vcpu_guest_context c;

    memset(&c, 0, sizeof c);
    c.flags = VGCF_in_kernel | VGCF_i387_valid;
    c.ctrlreg[3] = xen_pfn_to_cr3(frame_mfn(g1.l4).n);
    u.dom.u.vcpucontext.vcpu = 1;
    u.dom.u.vcpucontext.ctxt.va = (uintptr_t)&c;
}

static int64_t do_setcontext(void)
{
    context();
    return domctl(XEN_DOMCTL_setvcpucontext, g1.d->id);
}

static int64_t do_getcontext(void)
{
    g1.d->vcpu[1]->initialised = true;
    u.dom.u.vcpucontext.vcpu = 1;
    u.dom.u.vcpucontext.ctxt.va = (uintptr_t)text;
    return domctl(XEN_DOMCTL_getvcpucontext, g1.d->id);
}

static int64_t do_permissions(void)
{
    u.dom.u.iomem_permission.first_mfn = 0xfe000;
    u.dom.u.iomem_permission.nr_mfns = 7;
    u.dom.u.iomem_permission.allow_access = 1;
    int64_t rc = domctl(XEN_DOMCTL_iomem_permission, g1.d->id);
    if (rc != 0) {
        return rc;
    }
    memset(&u, 0, sizeof u);
    u.dom.u.ioport_permission.first_port = 0x3f8;
    u.dom.u.ioport_permission.nr_ports = 8;
    u.dom.u.ioport_permission.allow_access = 1;
    return domctl(XEN_DOMCTL_ioport_permission, g1.d->id);
}

static int64_t do_cpu_policy(void)
{
    u.dom.u.cpu_policy.nr_leaves = 60;
    u.dom.u.cpu_policy.leaves.va = (uintptr_t)text;
    int64_t rc = domctl(XEN_DOMCTL_get_cpu_policy, g1.d->id);
    return rc != 0 ? rc : domctl(XEN_DOMCTL_set_cpu_policy, g1.d->id);
}

static int64_t do_affinity(void)
{
    uint64_t map = 3;

    u.dom.u.vcpuaffinity.flags = XEN_VCPUAFFINITY_HARD;
    u.dom.u.vcpuaffinity.cpumap_hard.bitmap.va = (uintptr_t)&map;
    u.dom.u.vcpuaffinity.cpumap_hard.nr_bits = 64;
    return domctl(XEN_DOMCTL_setvcpuaffinity, g1.d->id);
}

/* Frames of the guest's, to be used one way or the other. */
static void frames_listed(void)
{
    for (unsigned int i = 0; i < 24; i++) {
        list[i] = frame_mfn(kit_frame(&g1)).n;
        list2[i] = 7000 + i * 4;
    }
}

static int64_t do_hypercall_init(void)
{
    u.dom.u.hypercall_init.gmfn = list[0];
    return domctl(XEN_DOMCTL_hypercall_init, g1.d->id);
}

static int64_t do_destroy(void)
{
    domid_t id = g1.d->id;

    domain_ref(g1.d);
    int64_t rc = domctl(XEN_DOMCTL_destroydomain, id);
    bool gone = atomic_load(&g1.d->life) == DL_DEAD;
    domain_put(g1.d);
    return rc != 0 ? rc : gone;
}

static int64_t do_sysctls(void)
{
    int64_t rc = sysctl(XEN_SYSCTL_physinfo);

    memset(&u, 0, sizeof u);
    u.sys.u.getdomaininfolist.max_domains = 8;
    u.sys.u.getdomaininfolist.buffer.va = (uintptr_t)text;
    rc = rc != 0 ? rc : sysctl(XEN_SYSCTL_getdomaininfolist);
    memset(&u, 0, sizeof u);
    u.sys.u.readconsole.buffer.va = (uintptr_t)text;
    u.sys.u.readconsole.count = sizeof text;
    rc = rc != 0 ? rc : sysctl(XEN_SYSCTL_readconsole);
    memset(&u, 0, sizeof u);
    u.sys.u.cpu_policy.nr_leaves = 200;
    u.sys.u.cpu_policy.leaves.va = (uintptr_t)text;
    return rc != 0 ? rc : sysctl(XEN_SYSCTL_get_cpu_policy);
}

static void reservation(struct xen_memory_reservation *r, uint64_t *at, uint64_t n,
                        unsigned int order)
{
    *r = (struct xen_memory_reservation){
        .extent_start = { (uintptr_t)at }, .nr_extents = n, .extent_order = order, .domid = g1.d->id
    };
}

static int64_t do_populate(void)
{
    for (unsigned int i = 0; i < 24; i++) {
        list[i] = 5000 + i * 2;
    }
    reservation(&u.res, list, 24, 1);
    return call(hc_memory_op, XENMEM_populate_physmap, &u, 0);
}

static int64_t do_increase(void)
{
    reservation(&u.res, list, 24, 0);
    return call(hc_memory_op, XENMEM_increase_reservation, &u, 0);
}

static int64_t do_decrease(void)
{
    reservation(&u.res, list, 24, 0);
    return call(hc_memory_op, XENMEM_decrease_reservation, &u, 0);
}

static int64_t do_exchange(void)
{
    reservation(&u.ex.in, list, 16, 0);
    reservation(&u.ex.out, list2, 4, 2);
    return call(hc_memory_op, XENMEM_exchange, &u, 0);
}

static int64_t do_acquire(void)
{
    u.acq = (struct xen_mem_acquire_resource){ .domid = g1.d->id,
                                               .type = XENMEM_resource_grant_table,
                                               .nr_frames = 3,
                                               .frame_list = { (uintptr_t)list } };
    return call(hc_memory_op, XENMEM_acquire_resource, &u, 0);
}

static int64_t do_claim(void)
{
    reservation(&u.res, NULL, 200, 0);
    int64_t rc = call(hc_memory_op, XENMEM_claim_pages, &u, 0);
    if (rc != 0) {
        return rc;
    }
    reservation(&u.res, NULL, 0, 0);
    return call(hc_memory_op, XENMEM_claim_pages, &u, 0);
}

static int64_t do_pin(void)
{
    u.ext[0] = (struct mmuext_op){ .cmd = MMUEXT_PIN_L3_TABLE, .arg1.mfn = frame_mfn(tree[0]).n };
    u.ext[1] = (struct mmuext_op){ .cmd = MMUEXT_TLB_FLUSH_ALL };
    u.ext[2] = (struct mmuext_op){ .cmd = MMUEXT_UNPIN_TABLE, .arg1.mfn = frame_mfn(tree[0]).n };
    return kit_call(hc_mmuext_op, (uintptr_t)&u, 3, 0, DOMID_SELF);
}

static int64_t do_mmu_update(void)
{
    for (unsigned int i = 0; i < CHUNK; i++) {
        u.mmu[i].ptr = kit_maddr(i < 6 ? g0.l1 : g0.l3, FREE_PTE + i);
        u.mmu[i].val = i < 6 ? kit_pte(g0.data[i], K_RW) : kit_pte(tree[i - 5], TAB);
    }
    int64_t rc = kit_call(hc_mmu_update, (uintptr_t)&u, CHUNK, (uintptr_t)list, DOMID_SELF);
    for (unsigned int i = 0; i < CHUNK; i++) {
        u.mmu[i].ptr = kit_maddr(i < 6 ? g0.l1 : g0.l3, FREE_PTE + i);
        u.mmu[i].val = 0;
    }
    host_fault_at(0);
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)&u, CHUNK, 0, DOMID_SELF), 0);
    return rc;
}

static int64_t do_update_va(void)
{
    int64_t rc = kit_update_va(KIT_VA + FREE_PTE * PAGE_SIZE, kit_pte(g0.data[1], K_RW), 0);

    return rc != 0 ? rc : kit_update_va(KIT_VA + FREE_PTE * PAGE_SIZE, 0, 0);
}

static int64_t do_grant_setup(void)
{
    u.setup = (struct gnttab_setup_table){ .dom = DOMID_SELF,
                                           .nr_frames = 4,
                                           .frame_list = { (uintptr_t)list } };
    int64_t rc = call(hc_grant_table_op, GNTTABOP_setup_table, &u, 1);
    return rc != 0 ? rc : u.setup.status;
}

static int64_t do_grant_map(void)
{
    int64_t rc;
    unsigned int mapped = 0;

    for (unsigned int i = 0; i < CHUNK; i++) {
        u.map[i] = (struct gnttab_map_grant_ref){
            .host_addr = KIT_VA + (FREE_PTE + i) * PAGE_SIZE,
            .flags = GNTMAP_host_map,
            .ref = REF + i,
            .dom = g1.d->id,
        };
    }
    rc = call(hc_grant_table_op, GNTTABOP_map_grant_ref, &u, CHUNK);
    static struct gnttab_map_grant_ref was[CHUNK];
    memcpy(was, u.map, sizeof was);
    /* Whatever was mapped can be unmapped, also what the caller was not told of at the end. */
    sweep_calm();
    for (unsigned int i = 0; i < CHUNK; i++) {
        u.unmap[0] = (struct gnttab_unmap_grant_ref){ .host_addr = was[i].host_addr,
                                                      .handle = was[i].handle };
        if (was[i].status == GNTST_okay) {
            (void)call(hc_grant_table_op, GNTTABOP_unmap_grant_ref, &u, 1);
            mapped += u.unmap[0].status == GNTST_okay;
        }
    }
    return rc != 0 ? rc : mapped < CHUNK ? -ENOMEM : 0;
}

static int64_t do_grant_copy(void)
{
    for (unsigned int i = 0; i < CHUNK; i++) {
        u.copy[i] = (struct gnttab_copy){ .source.u.ref = REF + i,
                                          .source.domid = g1.d->id,
                                          .dest.u.gmfn = frame_mfn(g0.data[0]).n,
                                          .dest.domid = DOMID_SELF,
                                          .len = 100,
                                          .flags = GNTCOPY_source_gref };
    }
    int64_t rc = call(hc_grant_table_op, GNTTABOP_copy, &u, CHUNK);
    for (unsigned int i = 0; i < CHUNK && rc == 0; i++) {
        rc = u.copy[i].status;
    }
    return rc;
}

static int64_t do_ports(void)
{
    u.virq = (struct evtchn_bind_virq){ .virq = VIRQ_CONSOLE };
    int64_t rc = event_op(EVTCHNOP_bind_virq, &u);
    u.inter = (struct evtchn_bind_interdomain){ .remote_dom = g1.d->id, .remote_port = port };
    rc = rc != 0 ? rc : event_op(EVTCHNOP_bind_interdomain, &u);
    for (unsigned int i = 0; i < 300 && rc == 0; i++) { /* more pages of ports */
        u.unbound = (struct evtchn_alloc_unbound){ .dom = DOMID_SELF, .remote_dom = g1.d->id };
        rc = event_op(EVTCHNOP_alloc_unbound, &u);
    }
    sweep_calm();
    u.reset = (struct evtchn_reset){ .dom = DOMID_SELF };
    int64_t end = event_op(EVTCHNOP_reset, &u);
    return rc != 0 ? rc : end;
}

static int64_t do_pirq(void)
{
    u.mpirq = (struct physdev_map_pirq){
        .domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_MSI, .pirq = -1, .entry_nr = 1
    };
    int64_t rc = call(hc_physdev_op, PHYSDEVOP_map_pirq, &u, 0);
    if (rc != 0) {
        return rc;
    }
    int32_t pirq = u.mpirq.pirq;
    u.pirq = (struct evtchn_bind_pirq){ .pirq = (uint32_t)pirq };
    rc = event_op(EVTCHNOP_bind_pirq, &u);
    uint32_t bound = u.pirq.port;
    sweep_calm();
    if (rc == 0) {
        struct evtchn_close c = { .port = bound };
        rc = event_op(EVTCHNOP_close, &c);
    }
    struct physdev_unmap_pirq un = { .domid = DOMID_SELF, .pirq = pirq };
    int64_t end = call(hc_physdev_op, PHYSDEVOP_unmap_pirq, &un, 0);
    return rc != 0 ? rc : end;
}

static int64_t do_initialise(void)
{
    context();
    host_load(g1.v);
    int64_t rc =
        kit_call(hc_vcpu_op, VCPUOP_initialise, 1, u.dom.u.vcpucontext.ctxt.va, DOMID_SELF);
    host_load(g0.v);
    return rc;
}

static int64_t do_areas(void)
{
    struct vcpu_register_runstate_memory_area r = { .addr.h.va = (uintptr_t)text };
    struct vcpu_register_vcpu_info i = { .mfn = frame_mfn(g0.data[0]).n, .offset = 64 };
    int64_t rc = kit_call(hc_vcpu_op, VCPUOP_register_runstate_memory_area, 0, (uintptr_t)&r, 0);

    rc = rc != 0 ? rc : kit_call(hc_vcpu_op, VCPUOP_register_vcpu_info, 0, (uintptr_t)&i, 0);
    r.addr.h.va = 0;
    host_fault_at(0);
    (void)kit_call(hc_vcpu_op, VCPUOP_register_runstate_memory_area, 0, (uintptr_t)&r, 0);
    return rc;
}

static bool hook_efi(unsigned int offset, const uint64_t args[5], uint64_t *status)
{
    (void)offset;
    *status = 0;
    *(uint64_t *)(uintptr_t)args[3] = 40;
    return !sweep_fails();
}

static int64_t do_efi(void)
{
    static const uint16_t name[64] = { 0x61, 0x62 }; /* it is read in pieces */
    struct xenpf_efi_runtime_call *c = &u.pf.u.efi_runtime_call;

    host_hooks.efi = hook_efi;
    u.pf.cmd = XENPF_efi_runtime_call;
    u.pf.interface_version = XENPF_INTERFACE_VERSION;
    c->function = XEN_EFI_get_variable;
    c->u.get_variable.name.va = (uintptr_t)name;
    c->u.get_variable.data.va = (uintptr_t)text;
    c->u.get_variable.size = 100;
    int64_t rc = call(hc_platform_op, (uintptr_t)&u, NULL, 0);
    host_hooks.efi = NULL;
    return rc;
}

static int64_t do_multicall(void)
{
    for (unsigned int i = 0; i < CHUNK; i++) {
        u.calls[i] = (struct multicall_entry){ .op = __HYPERVISOR_xen_version,
                                               .args = { XENVER_extraversion, (uintptr_t)text } };
    }
    int64_t rc = call(hc_multicall, (uintptr_t)&u, (void *)(uintptr_t)CHUNK, 0);
    for (unsigned int i = 0; i < CHUNK && rc == 0; i++) {
        rc = (int64_t)u.calls[i].result;
    }
    return rc;
}

static int64_t do_texts(void)
{
    int64_t rc = call(hc_console_io, CONSOLEIO_write, (void *)(uintptr_t)600, (uintptr_t)text);

    memset(text, 0, sizeof text);
    for (unsigned int i = 1; i < 10 && rc >= 0; i++) {
        rc = i == XENVER_pagesize ? 0 : call(hc_xen_version, i, text, 0);
    }
    return rc;
}

static int64_t do_trap_table(void)
{
    struct trap_info *t = (struct trap_info *)(void *)text;

    memset(text, 0, sizeof text);
    for (unsigned int i = 0; i < 40; i++) {
        t[i] = (struct trap_info){ .vector = (uint8_t)i, .address = 0x1000 };
    }
    return call(hc_set_trap_table, (uintptr_t)text, NULL, 0);
}

static const struct sweep_op ops[] = {
    { "createdomain, max_vcpus", do_createdomain, NULL, false, 0 },
    { "setvcpucontext", do_setcontext, NULL, false, 0 },
    { "getvcpucontext", do_getcontext, NULL, false, 0 },
    { "permissions", do_permissions, NULL, true, 0 },
    { "cpu_policy", do_cpu_policy, NULL, false, 0 },
    { "setvcpuaffinity", do_affinity, NULL, false, 0 },
    { "hypercall_init", do_hypercall_init, frames_listed, true, 0 },
    { "destroydomain", do_destroy, NULL, true, 1 },
    { "sysctls", do_sysctls, NULL, false, 0 },
    { "populate_physmap", do_populate, NULL, true, 24 },
    { "increase_reservation", do_increase, NULL, true, 24 },
    { "decrease_reservation", do_decrease, frames_listed, true, 24 },
    { "exchange", do_exchange, frames_listed, false, 0 },
    { "acquire_resource", do_acquire, NULL, true, 0 },
    { "claim_pages", do_claim, NULL, true, 0 },
    { "pin, flush, unpin", do_pin, NULL, true, 0 },
    { "mmu_update", do_mmu_update, NULL, true, 0 },
    { "update_va_mapping", do_update_va, NULL, true, 0 },
    { "setup_table", do_grant_setup, NULL, true, 0 },
    { "map and unmap grants", do_grant_map, NULL, true, 0 },
    { "copy grants", do_grant_copy, NULL, false, 0 },
    { "ports", do_ports, NULL, true, 0 },
    { "map_pirq, bind_pirq", do_pirq, NULL, false, 0 },
    { "initialise", do_initialise, NULL, false, 0 },
    { "registered areas", do_areas, NULL, true, 0 },
    { "firmware variable", do_efi, NULL, false, 0 },
    { "multicall", do_multicall, NULL, true, 0 },
    { "texts", do_texts, NULL, true, 0 },
    { "set_trap_table", do_trap_table, NULL, true, 0 },
};

int main(int argc, char **argv)
{
    static const struct sweep_want want = { .allocations = 40, .faults = 5000 };

    (void)argv;
    return sweep_main(ops, sizeof ops / sizeof ops[0], &want, argc);
}
