/* SPDX-License-Identifier: MIT */
/*
 * Every operation, with its k-th allocation failing, with its k-th byte of guest memory faulting,
 * and stopped at every check point, for each k until nothing is met any more.
 *
 * After each run: an audit of all frames, grants, ports and domains; a refused call has changed
 * nothing; the domains' end gives everything back. A stopped run must come to what the other came
 * to. The linker leads allocations through the functions __wrap_... (tests/unit/files.mk).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "abi/arch_x86_64.h"
#include "abi/domctl.h"
#include "abi/errno.h"
#include "abi/event.h"
#include "abi/grant.h"
#include "abi/memory.h"
#include "abi/physdev.h"
#include "abi/platform.h"
#include "abi/sysctl.h"
#include "abi/vcpu.h"
#include "abi/version.h"
#include "abi/xen.h"
#include "arch/host/machine.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "evtchn/evtchn.h"
#include "gnttab/gnttab.h"
#include "guest/trap.h"
#include "mm/audit.h"
#include "mm/heap.h"
#include "mm/pool.h"
#include "port/mmu.h"
#include "tests/unit/mm_kit.h"

#define RUNS_MAX 20000u
#define CHUNK    8u
#define REF      9u
#define HOLE_REF 10u
#define FREE_PTE 100u

/* ---- the k-th allocation ---- */

static uint64_t fail_at; /* counts down; 0: none */
static bool has_failed;

static bool fails(void)
{
    if (fail_at != 0 && --fail_at == 0) {
        has_failed = true;
        return true;
    }
    return false;
}

void *__real_heap_alloc(unsigned int order, unsigned int flags);
void *__wrap_heap_alloc(unsigned int order, unsigned int flags);
struct frame *__real_heap_alloc_domain(struct domain *d, unsigned int order, unsigned int flags);
struct frame *__wrap_heap_alloc_domain(struct domain *d, unsigned int order, unsigned int flags);
struct frame *__real_heap_alloc_shared(struct domain *d);
struct frame *__wrap_heap_alloc_shared(struct domain *d);
void *__real_pool_alloc(struct pool *p);
void *__wrap_pool_alloc(struct pool *p);
int __wrap_msi_setup(const struct msi_source *src, unsigned int irq);
int __real_port_irq_startup(unsigned int irq, bool level, bool active_low);
int __wrap_port_irq_startup(unsigned int irq, bool level, bool active_low);

void *__wrap_heap_alloc(unsigned int order, unsigned int flags)
{
    return fails() ? NULL : __real_heap_alloc(order, flags);
}

struct frame *__wrap_heap_alloc_domain(struct domain *d, unsigned int order, unsigned int flags)
{
    return fails() ? NULL : __real_heap_alloc_domain(d, order, flags);
}

struct frame *__wrap_heap_alloc_shared(struct domain *d)
{
    return fails() ? NULL : __real_heap_alloc_shared(d);
}

void *__wrap_pool_alloc(struct pool *p)
{
    return fails() ? NULL : __real_pool_alloc(p);
}

int __wrap_msi_setup(const struct msi_source *src, unsigned int irq)
{
    (void)src;
    (void)irq;
    return fails() ? -ENODEV : 0;
}

int __wrap_port_irq_startup(unsigned int irq, bool level, bool active_low)
{
    return fails() ? -EBUSY : __real_port_irq_startup(irq, level, active_low);
}

/* ---- the world: dom0, which calls, and a guest ---- */

static struct kit_guest g0, g1;
static uint64_t free_before;
static struct grant_entry_v1 *grants; /* the guest's */
static union {
    struct xen_domctl dom;
    struct xen_sysctl sys;
    struct xen_platform_op pf;
    struct xen_memory_reservation res;
    struct xen_memory_exchange ex;
    struct xen_mem_acquire_resource acq;
    struct vcpu_guest_context ctx;
    struct gnttab_map_grant_ref map[CHUNK];
    struct gnttab_unmap_grant_ref unmap[CHUNK];
    struct gnttab_copy copy[CHUNK];
    struct gnttab_setup_table setup;
    struct evtchn_alloc_unbound unbound;
    struct evtchn_bind_virq virq;
    struct evtchn_bind_interdomain inter;
    struct evtchn_bind_pirq pirq;
    struct evtchn_reset reset;
    struct physdev_map_pirq mpirq;
    struct mmu_update mmu[CHUNK];
    struct mmuext_op ext[CHUNK];
    struct multicall_entry calls[CHUNK];
    uint8_t bytes[8192];
} u;
static uint64_t list[1024], list2[1024];
static uint8_t text[8192];
static struct frame *tree[3]; /* level 3 and two level 2, not validated */
static uint32_t port;

static void count_pins(struct audit *a)
{
    domid_t id = 0;
    struct domain *d;

    while ((d = domain_get_next(id)) != NULL) {
        gnttab_audit_refs(d, a);
        for (uint32_t i = 0; i < d->max_vcpus; i++) {
            const struct vcpu *v = vcpu_get(d, i);
            if (v != NULL && v->info_frame != NULL) {
                audit_add(a, v->info_frame, FT_WRITABLE);
            }
        }
        id = (domid_t)(d->id + 1);
        domain_put(d);
    }
}

static void audit(void)
{
    domid_t id = 0;
    struct domain *d;

    audit_all(count_pins);
    host_tlb_audit();
    domain_audit();
    while ((d = domain_get_next(id)) != NULL) {
        gnttab_audit(d);
        evtchn_audit(d);
        id = (domid_t)(d->id + 1);
        domain_put(d);
    }
}

static int64_t call(hcall_fn *fn, uint64_t a0, const void *a1, uint64_t a2)
{
    return kit_call(fn, a0, (uintptr_t)a1, a2, DOMID_SELF);
}

static int64_t event_op(unsigned int cmd, const void *arg)
{
    return call(hc_event_channel_op, cmd, arg, 0);
}

static void world(void)
{
    uint64_t mfn = 0;

    free_before = heap_free_frames();
    kit_guest(&g0, true, 1);
    kit_guest(&g1, false, 2);
    u.setup = (struct gnttab_setup_table){ .dom = DOMID_SELF,
                                           .nr_frames = 1,
                                           .frame_list = { (uintptr_t)&mfn } };
    assert_int_equal(call(hc_grant_table_op, GNTTABOP_setup_table, &u, 1), 0);
    grants = port_frame_va(MFN(mfn));
    for (unsigned int i = 0; i < CHUNK; i++) {
        grants[REF + i].domid = 0;
        grants[REF + i].frame = (uint32_t)frame_mfn(g1.data[i % KIT_DATA]).n;
        grants[REF + i].flags = GTF_permit_access;
    }
    u.unbound = (struct evtchn_alloc_unbound){ .dom = DOMID_SELF, .remote_dom = 0 };
    assert_int_equal(event_op(EVTCHNOP_alloc_unbound, &u), 0);
    port = u.unbound.port;
    host_load(g0.v);
    for (unsigned int i = 0; i < 3; i++) {
        tree[i] = kit_frame(&g0);
    }
    kit_poke(tree[0], 0, kit_pte(tree[1], TAB));
    kit_poke(tree[0], 1, kit_pte(tree[2], TAB));
    for (unsigned int i = 0; i < 64; i++) {
        struct frame *l1 = kit_frame(&g0);
        kit_poke(l1, 3, kit_pte(g0.data[0], K_RW));
        kit_poke(tree[1 + (i & 1)], i, kit_pte(l1, TAB));
    }
    memset(&u, 0, sizeof u);
}

static void world_ends(void)
{
    struct domain *d;

    host_inject_yields(0, 0);
    host_fault_at(0);
    fail_at = 0;
    host_load(NULL);
    /* What dom0 may still have mapped of the others keeps them until it goes too. */
    for (domid_t id = 1; (d = domain_get_next(id)) != NULL;) {
        id = (domid_t)(d->id + 1);
        host_domain_end(d);
        domain_put(d);
        domain_deferred_run();
    }
    kit_guest_end(&g0);
    domain_deferred_run();
    assert_null(domain_get_next(0));
    audit();
    assert_int_equal(heap_free_frames(), free_before);
}

/* What a refused call may not change. */
struct state {
    uint64_t free, owned0, owned1, claimed, ports0, ports1, domains;
};

static struct state state_now(void)
{
    struct state s = { .free = heap_free_frames(),
                       .owned0 = g0.d->owned_frames,
                       .owned1 = g1.d->owned_frames,
                       .claimed = heap_claimed_frames(),
                       .ports0 = evtchn_count(g0.d),
                       .ports1 = evtchn_count(g1.d) };
    domid_t id = 0;
    struct domain *d;

    while ((d = domain_get_next(id)) != NULL) {
        s.domains++;
        id = (domid_t)(d->id + 1);
        domain_put(d);
    }
    return s;
}

/* ---- the operations ---- */

static int64_t domctl(uint32_t cmd, domid_t id)
{
    u.dom.cmd = cmd;
    u.dom.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    u.dom.domain = id;
    return call(hc_domctl, (uintptr_t)&u, NULL, 0);
}

static int64_t sysctl(uint32_t cmd)
{
    u.sys.cmd = cmd;
    u.sys.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return call(hc_sysctl, (uintptr_t)&u, NULL, 0);
}

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
    fail_at = 0;
    host_fault_at(0);
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
    fail_at = 0;
    host_fault_at(0);
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
    fail_at = 0;
    host_fault_at(0);
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
    fail_at = 0;
    host_fault_at(0);
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
    return !fails();
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

static const struct op {
    const char *name;
    int64_t (*run)(void);
    void (*prepare)(void);
    bool in_part; /* a list or a sequence: what was done before the failure stays */
    int64_t want;
} ops[] = {
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

enum how { PLAIN, ALLOCATION, FAULT, YIELD };

static uint64_t runs, refusals;

/* One run; returns true if what it was to meet was met. */
static bool run(const struct op *op, enum how how, uint64_t k)
{
    bool met = false;

    if (host_verbose) {
        print_message("%s, way %d, %lu\n", op->name, how, k);
    }
    world();
    if (op->prepare != NULL) {
        op->prepare();
    }
    struct state before = state_now();
    has_failed = false;
    fail_at = how == ALLOCATION ? k : 0;
    host_fault_at(how == FAULT ? k : 0);
    host_inject_yields(how == YIELD ? (uint32_t)k : 0, 7);
    int64_t rc = op->run();
    host_inject_yields(0, 0);
    host_fault_at(0);
    fail_at = 0;
    domain_deferred_run();
    audit();
    if (how == PLAIN || how == YIELD) {
        if (rc != op->want) {
            fail_msg("%s (%d, %lu): %ld, not %ld", op->name, how, k, rc, op->want);
        }
    } else if (how == ALLOCATION) {
        met = has_failed;
        if (!met && rc != op->want) {
            fail_msg("%s: %ld without a failure", op->name, rc);
        }
    } else {
        met = rc != op->want;
        if (rc < 0 && rc != -EFAULT && rc != -ENOMEM && rc > -1000 && op->want == 0 &&
            !op->in_part) {
            fail_msg("%s: byte %lu faults: %ld", op->name, k, rc);
        }
    }
    if (how == ALLOCATION && rc < 0 && !op->in_part) {
        struct state after = state_now();
        if (memcmp(&before, &after, sizeof before) != 0) {
            fail_msg("%s: allocation %lu failed with %ld and something has changed", op->name, k,
                     rc);
        }
    }
    refusals += rc < 0;
    runs++;
    world_ends();
    return met;
}

static void test_plain(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        (void)run(&ops[i], PLAIN, 0);
    }
}

static void test_yields(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        for (uint32_t one_in = 1; one_in <= 5; one_in++) {
            (void)run(&ops[i], YIELD, one_in);
        }
    }
    print_message("sweep: %lu runs stopped at check points\n", runs);
}

static void test_allocations(void **state)
{
    (void)state;
    runs = refusals = 0;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        for (uint64_t k = 1; run(&ops[i], ALLOCATION, k); k++) {
            assert_true(k < RUNS_MAX);
        }
    }
    assert_true(refusals > 20);
    print_message("sweep: %lu runs with a failed allocation, %lu refused\n", runs, refusals);
}

/* The first bytes each, of long structures and lists then every 13th. */
static void test_faults(void **state)
{
    (void)state;
    runs = refusals = 0;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        for (uint64_t k = 1; run(&ops[i], FAULT, k); k += k < 300 ? 1 : 13) {
            assert_true(k < RUNS_MAX * 10);
        }
    }
    assert_true(refusals > 50);
    print_message("sweep: %lu runs with a fault, %lu refused\n", runs, refusals);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_yields),
        cmocka_unit_test(test_allocations),
        cmocka_unit_test(test_faults),
    };

    (void)argv;
    host_verbose = argc > 1; /* with any argument: the log, which says why */
    kit_machine(8192, 2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
