/* SPDX-License-Identifier: MIT */
/* The sweeps of test_sweep.c over the calls that mostly read and write: what they are told, what
 * they tell, and registrations. Each is a sequence that ends with its first error. */
#include "tests/unit/sweep_kit.h"

#include <string.h>

#include "abi/callback.h"
#include "abi/errno.h"
#include "abi/nmi.h"
#include "abi/sched.h"
#include "abi/vcpu.h"
#include "arch/host/machine.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/trap.h"

#define SPARE 6u /* a data page whose entry is moved */

static uint64_t domctl_of(void)
{
    return g1.d->id;
}

static int64_t then_domctl(int64_t rc, uint32_t cmd)
{
    if (rc == 0) {
        rc = domctl(cmd, (domid_t)domctl_of());
        sweep_clear();
    }
    return rc;
}

static int64_t do_domctls(void)
{
    int64_t rc = then_domctl(0, XEN_DOMCTL_getdomaininfo);

    rc = then_domctl(rc, XEN_DOMCTL_getvcpuinfo);
    u.dom.u.max_mem.max_memkb = 40960;
    rc = then_domctl(rc, XEN_DOMCTL_max_mem);
    u.dom.u.setdomainhandle.handle[3] = 7;
    rc = then_domctl(rc, XEN_DOMCTL_setdomainhandle);
    rc = then_domctl(rc, XEN_DOMCTL_settimeoffset);
    rc = then_domctl(rc, XEN_DOMCTL_gettscinfo);
    rc = then_domctl(rc, XEN_DOMCTL_pausedomain);
    rc = then_domctl(rc, XEN_DOMCTL_unpausedomain);
    rc = then_domctl(rc, XEN_DOMCTL_get_address_size);
    u.dom.u.irq_permission.pirq = 9;
    u.dom.u.irq_permission.allow_access = 1;
    rc = then_domctl(rc, XEN_DOMCTL_irq_permission);
    u.dom.u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT2;
    u.dom.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    return then_domctl(rc, XEN_DOMCTL_scheduler_op);
}

static int64_t do_bitmaps(void)
{
    uint64_t map = 3;

    u.dom.u.vcpuaffinity.flags = XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT;
    u.dom.u.vcpuaffinity.cpumap_hard.bitmap.va = (uintptr_t)&map;
    u.dom.u.vcpuaffinity.cpumap_hard.nr_bits = 64;
    u.dom.u.vcpuaffinity.cpumap_soft.bitmap.va = (uintptr_t)text;
    u.dom.u.vcpuaffinity.cpumap_soft.nr_bits = 100;
    int64_t rc = then_domctl(0, XEN_DOMCTL_getvcpuaffinity);
    u.dom.u.nodeaffinity.nodemap.bitmap.va = (uintptr_t)text;
    u.dom.u.nodeaffinity.nodemap.nr_bits = 64;
    rc = then_domctl(rc, XEN_DOMCTL_getnodeaffinity);
    map = 1;
    u.dom.u.nodeaffinity.nodemap.bitmap.va = (uintptr_t)&map;
    u.dom.u.nodeaffinity.nodemap.nr_bits = 64;
    return then_domctl(rc, XEN_DOMCTL_setnodeaffinity);
}

static int64_t then_sysctl(int64_t rc, uint32_t cmd)
{
    if (rc == 0) {
        rc = sysctl(cmd);
        sweep_clear();
    }
    return rc;
}

static int64_t do_sysctls(void)
{
    u.sys.u.cputopoinfo.num_cpus = 8;
    u.sys.u.cputopoinfo.cputopo.va = (uintptr_t)text;
    int64_t rc = then_sysctl(0, XEN_SYSCTL_cputopoinfo);
    u.sys.u.numainfo.num_nodes = 4;
    u.sys.u.numainfo.meminfo.va = (uintptr_t)text;
    u.sys.u.numainfo.distance.va = (uintptr_t)list;
    rc = then_sysctl(rc, XEN_SYSCTL_numainfo);
    u.sys.u.getcpuinfo.max_cpus = 8;
    u.sys.u.getcpuinfo.info.va = (uintptr_t)text;
    rc = then_sysctl(rc, XEN_SYSCTL_getcpuinfo);
    u.sys.u.availheap.node = -1;
    rc = then_sysctl(rc, XEN_SYSCTL_availheap);
    rc = then_sysctl(rc, XEN_SYSCTL_sched_id);
    u.sys.u.perfc_op.cmd = XEN_SYSCTL_PERFCOP_query;
    u.sys.u.perfc_op.desc.va = (uintptr_t)text;
    u.sys.u.perfc_op.val.va = (uintptr_t)list;
    rc = then_sysctl(rc, XEN_SYSCTL_perfc_op);
    u.sys.u.cpu_featureset.index = XEN_SYSCTL_cpu_featureset_host;
    u.sys.u.cpu_featureset.nr_features = 30;
    u.sys.u.cpu_featureset.features.va = (uintptr_t)text;
    rc = then_sysctl(rc, XEN_SYSCTL_get_cpu_featureset);
    u.sys.u.cpupool_op.op = XEN_SYSCTL_CPUPOOL_OP_INFO;
    u.sys.u.cpupool_op.cpumap.bitmap.va = (uintptr_t)text;
    u.sys.u.cpupool_op.cpumap.nr_bits = 64;
    rc = then_sysctl(rc, XEN_SYSCTL_cpupool_op);
    text[0] = 'h';
    u.sys.u.debug_keys.keys.va = (uintptr_t)text;
    u.sys.u.debug_keys.nr_keys = 1;
    return then_sysctl(rc, XEN_SYSCTL_debug_keys);
}

static int64_t memory(int64_t rc, unsigned int cmd, void *arg)
{
    rc = rc < 0 ? rc : call(hc_memory_op, cmd, arg, 0);
    return rc < 0 ? rc : 0;
}

static int64_t do_memory_maps(void)
{
    struct e820entry map[3] = { { 0, 0x9f000, E820_RAM },
                                { 0x100000, 0x1000000, E820_RAM },
                                { 0x2000000, 0x1000, E820_RESERVED } };
    struct xen_foreign_memory_map set = { .domid = g1.d->id, .map = { 3, { (uintptr_t)map } } };
    struct xen_memory_map get = { 64, { (uintptr_t)text } };
    struct {
        uint32_t max_extents;
        gptr_t extent_start;
        uint32_t nr_extents;
    } m2p = { 4, { (uintptr_t)list }, 0 };
    uint64_t mapping[3];
    domid_t self = DOMID_SELF;

    int64_t rc = memory(0, XENMEM_set_memory_map, &set);
    host_load(g1.v);
    rc = memory(rc, XENMEM_memory_map, &get);
    host_load(g0.v);
    get.nr_entries = 64;
    rc = memory(rc, XENMEM_machine_memory_map, &get);
    rc = memory(rc, XENMEM_machphys_mfn_list, &m2p);
    rc = memory(rc, XENMEM_machphys_mapping, mapping);
    rc = memory(rc, XENMEM_current_reservation, &self);
    rc = memory(rc, XENMEM_maximum_reservation, &self);
    return memory(rc, XENMEM_maximum_gpfn, &self);
}

static int64_t grant_op(int64_t rc, unsigned int cmd, unsigned int n, const int16_t *status)
{
    rc = rc != 0 ? rc : call(hc_grant_table_op, cmd, &u, n);
    return rc != 0 || status == NULL ? rc : *status;
}

static int64_t do_replace(void)
{
    static union sweep_arg kept;
    struct gnttab_unmap_and_replace *r = (struct gnttab_unmap_and_replace *)(void *)&u;
    uint64_t at = KIT_VA + FREE_PTE * PAGE_SIZE;

    u.map[0] = (struct gnttab_map_grant_ref){
        .host_addr = at, .flags = GNTMAP_host_map, .ref = REF, .dom = g1.d->id
    };
    int64_t rc = grant_op(0, GNTTABOP_map_grant_ref, 1, &u.map[0].status);
    kept = u;
    *r = (struct gnttab_unmap_and_replace){ .host_addr = at,
                                            .new_addr = KIT_VA + SPARE * PAGE_SIZE,
                                            .handle = kept.map[0].handle };
    return grant_op(rc, GNTTABOP_unmap_and_replace, 1, &r->status);
}

/* More than one flush's worth; all but the first are no handles. */
static int64_t do_unmap_many(void)
{
    struct gnttab_unmap_grant_ref *many = (struct gnttab_unmap_grant_ref *)(void *)text;

    memset(text, 0xff, sizeof text);
    for (unsigned int i = 0; i < 100; i++) {
        many[i] = (struct gnttab_unmap_grant_ref){ .host_addr = KIT_VA, .handle = 1000000 };
    }
    int64_t rc = call(hc_grant_table_op, GNTTABOP_unmap_grant_ref, many, 100);
    for (unsigned int i = 0; i < 100 && rc == 0; i++) {
        rc = many[i].status == GNTST_bad_handle ? 0 : -1;
    }
    return rc;
}

static int64_t do_grant_asks(void)
{
    struct gnttab_query_size size = { .dom = DOMID_SELF };
    struct gnttab_get_version get = { .dom = DOMID_SELF };
    struct gnttab_set_version set = { .version = 1 };
    struct gnttab_swap_grant_ref swap = { .ref_a = REF, .ref_b = REF + 1 };

    int64_t rc = call(hc_grant_table_op, GNTTABOP_query_size, &size, 1);
    rc = rc != 0 ? rc : call(hc_grant_table_op, GNTTABOP_get_version, &get, 1);
    rc = rc != 0 ? rc : call(hc_grant_table_op, GNTTABOP_set_version, &set, 1);
    host_load(g1.v);
    rc = rc != 0 ? rc : call(hc_grant_table_op, GNTTABOP_swap_grant_ref, &swap, 1);
    host_load(g0.v);
    return rc != 0 ? rc : swap.status;
}

static int64_t do_events(void)
{
    struct evtchn_bind_ipi ipi = { .vcpu = 0 };
    int64_t rc = event_op(EVTCHNOP_bind_ipi, &ipi);
    struct evtchn_status status = { .dom = DOMID_SELF, .port = ipi.port };
    struct evtchn_bind_vcpu move = { .port = ipi.port };
    struct evtchn_unmask unmask = { ipi.port };
    struct evtchn_send send = { ipi.port };
    struct evtchn_close close = { ipi.port };

    rc = rc != 0 ? rc : event_op(EVTCHNOP_status, &status);
    rc = rc != 0 ? rc : event_op(EVTCHNOP_unmask, &unmask);
    rc = rc != 0 ? rc : event_op(EVTCHNOP_send, &send);
    if (rc == 0 && event_op(EVTCHNOP_bind_vcpu, &move) == -EFAULT) {
        rc = -EFAULT; /* an ipi stays where it is */
    }
    return rc != 0 ? rc : event_op(EVTCHNOP_close, &close);
}

/* The ports of another domain, more than are looked at in one go. */
static int64_t do_reset_other(void)
{
    struct evtchn_reset reset = { .dom = g1.d->id };
    int64_t rc = 0;

    for (unsigned int i = 0; i < 200 && rc == 0; i++) {
        struct evtchn_alloc_unbound a = { .dom = g1.d->id, .remote_dom = g0.d->id };
        rc = event_op(EVTCHNOP_alloc_unbound, &a);
    }
    return rc != 0 ? rc : event_op(EVTCHNOP_reset, &reset);
}

static int64_t vcpu_op(int64_t rc, unsigned int cmd, void *arg)
{
    rc = rc < 0 ? rc : kit_call(hc_vcpu_op, cmd, 0, (uintptr_t)arg, 0);
    return rc < 0 ? rc : 0;
}

static int64_t do_vcpu_ops(void)
{
    struct vcpu_runstate_info info;
    struct vcpu_set_periodic_timer periodic = { 10000000 };
    struct vcpu_set_singleshot_timer once = { .timeout_abs_ns = UINT64_C(1) << 40 };
    struct vcpu_register_time_memory_area area = { .addr.h.va = (uintptr_t)text };

    int64_t rc = vcpu_op(0, VCPUOP_get_runstate_info, &info);
    rc = vcpu_op(rc, VCPUOP_set_periodic_timer, &periodic);
    rc = vcpu_op(rc, VCPUOP_stop_periodic_timer, NULL);
    rc = vcpu_op(rc, VCPUOP_set_singleshot_timer, &once);
    rc = vcpu_op(rc, VCPUOP_stop_singleshot_timer, NULL);
    rc = vcpu_op(rc, VCPUOP_register_vcpu_time_memory_area, &area);
    area.addr.h.va = 0;
    return vcpu_op(rc, VCPUOP_register_vcpu_time_memory_area, &area);
}

static int64_t do_sched_ops(void)
{
    uint32_t ports[3] = { 1, 2, 3 };
    struct sched_poll poll = { .ports = { (uintptr_t)ports }, .nr_ports = 3, .timeout = 1 };
    struct sched_watchdog dog = { .timeout = 30 };
    struct sched_remote_shutdown end = { .domain_id = g1.d->id, .reason = 1 };

    int64_t rc = call(hc_sched_op, SCHEDOP_poll, &poll, 0);
    int64_t id = rc != 0 ? rc : call(hc_sched_op, SCHEDOP_watchdog, &dog, 0);
    if (id <= 0) {
        return id;
    }
    dog = (struct sched_watchdog){ .id = (uint32_t)id, .timeout = 0 };
    rc = call(hc_sched_op, SCHEDOP_watchdog, &dog, 0);
    return rc != 0 ? rc : call(hc_sched_op, SCHEDOP_remote_shutdown, &end, 0);
}

static int64_t do_physdev(void)
{
    struct physdev_set_iopl iopl = { 1 };
    struct physdev_set_iobitmap bitmap = { .bitmap.va = (uintptr_t)text, .nr_ports = 1024 };
    struct physdev_irq_status_query query = { .irq = 9 };
    struct physdev_setup_gsi gsi = { .gsi = 9, .triggering = 1 };
    struct physdev_map_pirq map = {
        .domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_GSI, .index = 9, .pirq = 9
    };
    struct physdev_unmap_pirq unmap = { .domid = DOMID_SELF, .pirq = 9 };

    int64_t rc = call(hc_physdev_op, PHYSDEVOP_set_iopl, &iopl, 0);
    rc = rc != 0 ? rc : call(hc_physdev_op, PHYSDEVOP_set_iobitmap, &bitmap, 0);
    rc = rc != 0 ? rc : call(hc_physdev_op, PHYSDEVOP_setup_gsi, &gsi, 0);
    rc = rc != 0 ? rc : call(hc_physdev_op, PHYSDEVOP_map_pirq, &map, 0);
    rc = rc != 0 ? rc : call(hc_physdev_op, PHYSDEVOP_irq_status_query, &query, 0);
    sweep_calm();
    int64_t end = call(hc_physdev_op, PHYSDEVOP_unmap_pirq, &unmap, 0);
    return rc != 0 ? rc : end;
}

static int64_t do_entry_points(void)
{
    struct callback_register reg = { .type = CALLBACKTYPE_event, .address = 0x1000 };
    struct callback_unregister unreg = { .type = CALLBACKTYPE_nmi };
    struct xennmi_callback nmi = { .handler_address = 0x2000 };

    int64_t rc = kit_call(hc_set_callbacks, 0x1000, 0x2000, 0x3000, 0);
    rc = rc != 0 ? rc : call(hc_callback_op, CALLBACKOP_register, &reg, 0);
    rc = rc != 0 ? rc : call(hc_callback_op, CALLBACKOP_unregister, &unreg, 0);
    rc = rc != 0 ? rc : call(hc_nmi_op, XENNMI_register_callback, &nmi, 0);
    rc = rc != 0 ? rc : kit_call(hc_nmi_op, XENNMI_unregister_callback, 0, 0, 0);
    rc = rc != 0 ? rc : kit_call(hc_set_debugreg, 0, 0x4000, 0, 0);
    rc = rc != 0 ? rc : kit_call(hc_set_segment_base, 0, 0x5000, 0, 0);
    return rc != 0 ? rc : kit_call(hc_stack_switch, 0x18, 0x6000, 0, 0);
}

static void not_mapped(void)
{
    assert_int_equal(kit_mmu_update(kit_maddr(g0.l1, 5), 0), 0);
    assert_int_equal(kit_mmu_update(kit_maddr(g0.l1, 6), 0), 0);
}

static int64_t do_descriptors(void)
{
    uint64_t mfns[2] = { frame_mfn(g0.data[5]).n, frame_mfn(g0.data[6]).n };

    int64_t rc = kit_call(hc_set_gdt, (uintptr_t)mfns, 1024, 0, 0);
    rc = rc != 0 ? rc : kit_call(hc_update_descriptor, kit_maddr(g0.data[5], 3), 0, 0, 0);
    return rc != 0 ? rc : kit_call(hc_set_gdt, 0, 0, 0, 0);
}

/* A tree that is not valid yet as root, pages cleared and copied, other cpus' caches. */
static struct frame *l4;

static void make_l4(void)
{
    l4 = kit_frame(&g0);
    kit_poke(l4, 5, kit_pte(tree[0], TAB));
}

static int64_t do_mmuext(void)
{
    uint64_t mask = 1;

    u.ext[0] = (struct mmuext_op){ .cmd = MMUEXT_NEW_USER_BASEPTR, .arg1.mfn = frame_mfn(l4).n };
    u.ext[1] =
        (struct mmuext_op){ .cmd = MMUEXT_TLB_FLUSH_MULTI, .arg2.vcpumask = { (uintptr_t)&mask } };
    u.ext[2] = (struct mmuext_op){ .cmd = MMUEXT_INVLPG_MULTI,
                                   .arg1.linear_addr = KIT_VA,
                                   .arg2.vcpumask = { (uintptr_t)&mask } };
    u.ext[3] = (struct mmuext_op){ .cmd = MMUEXT_CLEAR_PAGE, .arg1.mfn = frame_mfn(g0.data[0]).n };
    u.ext[4] = (struct mmuext_op){ .cmd = MMUEXT_COPY_PAGE,
                                   .arg1.mfn = frame_mfn(g0.data[1]).n,
                                   .arg2.src_mfn = frame_mfn(g0.data[2]).n };
    u.ext[5] =
        (struct mmuext_op){ .cmd = MMUEXT_SET_LDT, .arg1.linear_addr = KIT_VA, .arg2.nr_ents = 64 };
    u.ext[6] = (struct mmuext_op){ .cmd = MMUEXT_NEW_USER_BASEPTR };
    return kit_call(hc_mmuext_op, (uintptr_t)&u, 7, (uintptr_t)list, DOMID_SELF);
}

/* The control domain maps frames of the guest, and enters the machine-to-physical table. */
static int64_t do_foreign(void)
{
    for (unsigned int i = 0; i < CHUNK; i++) {
        u.mmu[i].ptr = kit_maddr(g0.l1, FREE_PTE + i);
        u.mmu[i].val = kit_pte(g1.data[i], (i & 1) != 0 ? K_RO : K_RW);
    }
    int64_t rc = kit_call(hc_mmu_update, (uintptr_t)&u, CHUNK, (uintptr_t)list, g1.d->id);
    if (rc == 0) {
        rc = kit_call(hc_update_va_mapping_otherdomain, KIT_VA + (FREE_PTE + 20) * PAGE_SIZE,
                      kit_pte(g1.data[0], K_RW), 0, g1.d->id);
    }
    u.mmu[0].ptr = mfn_to_paddr(frame_mfn(g1.data[0])) | MMU_MACHPHYS_UPDATE;
    u.mmu[0].val = 77;
    return rc != 0 ? rc : kit_call(hc_mmu_update, (uintptr_t)&u, 1, 0, g1.d->id);
}

static int64_t platform(int64_t rc, uint32_t cmd)
{
    u.pf.cmd = cmd;
    u.pf.interface_version = XENPF_INTERFACE_VERSION;
    rc = rc != 0 ? rc : call(hc_platform_op, (uintptr_t)&u, NULL, 0);
    sweep_clear();
    return rc;
}

static int64_t do_platform(void)
{
    uint8_t map = 3;
    uint64_t idle[2];

    u.pf.u.getidletime.cpumap_bitmap.va = (uintptr_t)&map;
    u.pf.u.getidletime.cpumap_nr_cpus = 2;
    u.pf.u.getidletime.idletime.va = (uintptr_t)idle;
    int64_t rc = platform(0, XENPF_getidletime);
    u.pf.u.pcpu_info.xen_cpuid = 1;
    rc = platform(rc, XENPF_get_cpuinfo);
    u.pf.u.pcpu_version.xen_cpuid = 1;
    rc = platform(rc, XENPF_get_cpu_version);
    u.pf.u.settime64.secs = 1700000000;
    u.pf.u.settime64.mbz = 0;
    return platform(rc, XENPF_settime64);
}

static const struct sweep_op ops[] = {
    { "domctls", do_domctls, NULL, true, 0 },
    { "bitmaps", do_bitmaps, NULL, true, 0 },
    { "sysctls", do_sysctls, NULL, true, 0 },
    { "memory maps", do_memory_maps, NULL, true, 0 },
    { "unmap_and_replace", do_replace, NULL, true, 0 },
    { "unmap many", do_unmap_many, NULL, true, 0 },
    { "grant questions, swap", do_grant_asks, NULL, true, 0 },
    { "ipi, status, unmask, send", do_events, NULL, true, 0 },
    { "reset another's ports", do_reset_other, NULL, true, 0 },
    { "vcpu timers and areas", do_vcpu_ops, NULL, true, 0 },
    { "poll, watchdog, shutdown", do_sched_ops, NULL, true, 0 },
    { "iopl, bitmap, interrupts", do_physdev, NULL, true, 0 },
    { "entry points", do_entry_points, NULL, true, 0 },
    { "gdt, descriptor", do_descriptors, not_mapped, true, 0 },
    { "roots, masks, pages, ldt", do_mmuext, make_l4, true, 0 },
    { "foreign mappings", do_foreign, NULL, true, 0 },
    { "platform", do_platform, NULL, true, 0 },
};

int main(int argc, char **argv)
{
    static const struct sweep_want want = { .allocations = 4, .faults = 3000 };

    (void)argv;
    return sweep_main(ops, sizeof ops / sizeof ops[0], &want, argc);
}
