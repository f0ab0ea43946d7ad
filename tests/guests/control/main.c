/* SPDX-License-Identifier: MIT */
/* Control calls as dom0: the life of domains, what is refused and how, and that nothing is left of
 * them. */
#include "abi/domctl.h"
#include "abi/sysctl.h"

#include "kit/kit.h"

const char kit_name[] = "control";

#define BAD_VA 8UL /* not mapped */
#define CYCLES 10u
#define FRAMES 300u

static struct xen_domctl d;
static struct xen_sysctl s;
static u64 frames[FRAMES];
static u8 map[64];
static struct vcpu_guest_context ctx;
static struct xen_domctl_getdomaininfo infos[8];

static long domctl(u32 cmd, u32 id)
{
    d.cmd = cmd;
    d.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    d.domain = (domid_t)id;
    return hc1(__HYPERVISOR_domctl, U64(&d));
}

static long sysctl(u32 cmd)
{
    s.cmd = cmd;
    s.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return hc1(__HYPERVISOR_sysctl, U64(&s));
}

static u64 free_pages(void)
{
    memset(&s, 0xff, sizeof(s));
    check_eq(sysctl(XEN_SYSCTL_physinfo), 0);
    return s.u.physinfo.free_pages;
}

static struct xen_domctl_createdomain *creation(void)
{
    memset(&d, 0, sizeof(d));
    d.u.createdomain.max_vcpus = 2;
    d.u.createdomain.grant_opts = 1;
    d.u.createdomain.max_evtchn_port = 1023;
    d.u.createdomain.max_grant_frames = 4;
    d.u.createdomain.max_maptrack_frames = 0;
    return &d.u.createdomain;
}

static u32 create(void)
{
    creation();
    check_eq(domctl(XEN_DOMCTL_createdomain, 0), 0);
    u32 id = d.domain;
    check(id > 0 && id < DOMID_FIRST_RESERVED);
    d.u.max_vcpus.max = 2;
    check_eq(domctl(XEN_DOMCTL_max_vcpus, id), 0);
    d.u.max_mem.max_memkb = 4096;
    check_eq(domctl(XEN_DOMCTL_max_mem, id), 0);
    return id;
}

static void destroy(u32 id)
{
    check_eq(domctl(XEN_DOMCTL_destroydomain, id), 0);
    for (u32 i = 0; i < 100; i++) {
        if (domctl(XEN_DOMCTL_getdomaininfo, id) != 0 || d.domain != id) {
            return;
        }
        spin_ns(10000000);
    }
    check_at(false, __FILE__, __LINE__, "domain %u does not go", id);
}

static void test_entry(void)
{
    memset(&d, 0, sizeof(d));
    check_eq(hc1(__HYPERVISOR_domctl, BAD_VA), -EFAULT);
    check_eq(hc1(__HYPERVISOR_sysctl, BAD_VA), -EFAULT);
    d.cmd = XEN_DOMCTL_max_mem;
    check_eq(hc1(__HYPERVISOR_domctl, U64(&d)), -EACCES);
    s.cmd = XEN_SYSCTL_physinfo;
    s.interface_version = XEN_SYSCTL_INTERFACE_VERSION - 1;
    check_eq(hc1(__HYPERVISOR_sysctl, U64(&s)), -EACCES);
    check_eq(domctl(200, 0), -ENOSYS);
    check_eq(sysctl(200), -ENOSYS);
    check_eq(domctl(XEN_DOMCTL_max_mem, 5000), -ESRCH);
    check_eq(domctl(XEN_DOMCTL_getdomaininfo, 5000), -ESRCH);
    check_eq(domctl(XEN_DOMCTL_getdomaininfo, DOMID_SELF), -EINVAL);
    check_eq(domctl(XEN_DOMCTL_pausedomain, 0), -EINVAL);
    check_eq(domctl(XEN_DOMCTL_destroydomain, 0), -EINVAL);
    check_eq(domctl(XEN_DOMCTL_setvcpucontext, 0), -EINVAL);
}

static void test_create_refused(void)
{
    creation()->max_vcpus = 0;
    check_eq(domctl(XEN_DOMCTL_createdomain, 0), -EINVAL);
    creation()->max_vcpus = 1u << 20;
    check_eq(domctl(XEN_DOMCTL_createdomain, 0), -EINVAL);
    creation()->flags = 1u << 31;
    check_eq(domctl(XEN_DOMCTL_createdomain, 0), -EINVAL);
    creation()->iommu_opts = 1;
    check_eq(domctl(XEN_DOMCTL_createdomain, 0), -EINVAL);
    creation()->grant_opts = 3;
    check_eq(domctl(XEN_DOMCTL_createdomain, 0), -EINVAL);
    creation()->arch.misc_flags = 1u << 31;
    check_eq(domctl(XEN_DOMCTL_createdomain, 0), -EINVAL);
    creation()->arch.emulation_flags = 1;
    check_eq(domctl(XEN_DOMCTL_createdomain, 0), -EOPNOTSUPP);
}

static void test_pause(u32 id)
{
    check_eq(domctl(XEN_DOMCTL_getdomaininfo, id), 0);
    check_eq(d.u.getdomaininfo.domain, id);
    check(d.u.getdomaininfo.flags & XEN_DOMINF_paused);
    check_eq(domctl(XEN_DOMCTL_pausedomain, id), 0);
    check_eq(domctl(XEN_DOMCTL_unpausedomain, id), 0);
    check_eq(domctl(XEN_DOMCTL_getdomaininfo, id), 0);
    check(d.u.getdomaininfo.flags & XEN_DOMINF_paused); /* since it was made */
    check_eq(domctl(XEN_DOMCTL_unpausedomain, id), 0);
    check_eq(domctl(XEN_DOMCTL_unpausedomain, id), -EINVAL);
    check_eq(domctl(XEN_DOMCTL_getdomaininfo, id), 0);
    check(!(d.u.getdomaininfo.flags & XEN_DOMINF_paused));
}

static void test_vcpus(u32 id)
{
    d.u.max_vcpus.max = 3;
    check_eq(domctl(XEN_DOMCTL_max_vcpus, id), -EINVAL);
    memset(&d.u, 0, sizeof(d.u));
    check_eq(domctl(XEN_DOMCTL_getvcpuinfo, id), 0);
    check_eq(d.u.getvcpuinfo.online, 0);
    d.u.getvcpuinfo.vcpu = 2;
    check_eq(domctl(XEN_DOMCTL_getvcpuinfo, id), -EINVAL);
    d.u.vcpucontext = (struct xen_domctl_vcpucontext){ 0, gptr(&ctx) };
    check_eq(domctl(XEN_DOMCTL_getvcpucontext, id), -ENODATA);
    d.u.vcpucontext.vcpu = 9;
    check_eq(domctl(XEN_DOMCTL_getvcpucontext, id), -EINVAL);
    check_eq(domctl(XEN_DOMCTL_setvcpucontext, id), -EINVAL);
    d.u.vcpucontext = (struct xen_domctl_vcpucontext){ 0, { BAD_VA } };
    check_eq(domctl(XEN_DOMCTL_setvcpucontext, id), -EFAULT);
    /* No page tables: there is nothing that it could run on. */
    memset(&ctx, 0, sizeof(ctx));
    ctx.flags = VGCF_in_kernel | VGCF_online;
    ctx.ctrlreg[3] = xen_pfn_to_cr3(~0UL >> 12);
    d.u.vcpucontext = (struct xen_domctl_vcpucontext){ 0, gptr(&ctx) };
    check(domctl(XEN_DOMCTL_setvcpucontext, id) < 0);
}

static void test_affinity(u32 id)
{
    memset(map, 0xff, sizeof(map));
    d.u.vcpuaffinity = (struct xen_domctl_vcpuaffinity){ .vcpu = 1,
                                                         .flags = XEN_VCPUAFFINITY_HARD,
                                                         .cpumap_hard = { gptr(map), 100 } };
    check_eq(domctl(XEN_DOMCTL_setvcpuaffinity, id), 0);
    check(map[0] & 1); /* what came into effect */
    check_eq(map[12], 0);
    check_eq(map[13], 0xff);
    memset(map, 0, sizeof(map));
    check_eq(domctl(XEN_DOMCTL_setvcpuaffinity, id), -EINVAL);
    d.u.vcpuaffinity.cpumap_hard.bitmap.va = BAD_VA;
    check_eq(domctl(XEN_DOMCTL_setvcpuaffinity, id), -EFAULT);
    d.u.vcpuaffinity.vcpu = 2;
    check_eq(domctl(XEN_DOMCTL_getvcpuaffinity, id), -EINVAL);
}

static void test_scheduler(u32 id)
{
    memset(&d.u, 0, sizeof(d.u));
    d.u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT2;
    d.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    check_eq(domctl(XEN_DOMCTL_scheduler_op, id), 0);
    check_eq(d.u.scheduler_op.u.credit2.weight, 256);
    d.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_putinfo;
    d.u.scheduler_op.u.credit2.weight = 512;
    d.u.scheduler_op.u.credit2.cap = 50;
    check_eq(domctl(XEN_DOMCTL_scheduler_op, id), 0);
    memset(&d.u.scheduler_op.u, 0, sizeof(d.u.scheduler_op.u));
    d.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    check_eq(domctl(XEN_DOMCTL_scheduler_op, id), 0);
    check_eq(d.u.scheduler_op.u.credit2.weight, 512);
    check_eq(d.u.scheduler_op.u.credit2.cap, 50);
    d.u.scheduler_op.sched_id = XEN_SCHEDULER_RTDS;
    check_eq(domctl(XEN_DOMCTL_scheduler_op, id), -EINVAL);
}

static void test_memory(u32 id)
{
    struct xen_memory_reservation r = { gptr(frames), FRAMES, 0, 0, (domid_t)id };

    for (u32 i = 0; i < FRAMES; i++) {
        frames[i] = i;
    }
    check_eq(memory_op(XENMEM_populate_physmap, &r), FRAMES);
    check_eq(domctl(XEN_DOMCTL_getdomaininfo, id), 0);
    check(d.u.getdomaininfo.tot_pages >= FRAMES);
    for (u32 i = 0; i < FRAMES; i++) {
        check_eq(mfn_to_pfn(frames[i]), i);
    }
    /* More than its limit. */
    d.u.max_mem.max_memkb = d.u.getdomaininfo.tot_pages * 4;
    check_eq(domctl(XEN_DOMCTL_max_mem, id), 0);
    u64 one = 1;
    r.extent_start = gptr(&one);
    r.nr_extents = 1;
    check_eq(memory_op(XENMEM_populate_physmap, &r), 0);
    r.extent_start = gptr(frames + 10);
    r.nr_extents = 20;
    check_eq(memory_op(XENMEM_decrease_reservation, &r), 20);
    check_eq(memory_op(XENMEM_decrease_reservation, &r), 0); /* they are not its own any more */
    struct xen_mem_acquire_resource a = { .domid = (domid_t)id,
                                          .type = XENMEM_resource_grant_table,
                                          .nr_frames = 1,
                                          .frame_list = gptr(&one) };
    check_eq(memory_op(XENMEM_acquire_resource, &a), 0);
    a.nr_frames = 5;
    check_eq(memory_op(XENMEM_acquire_resource, &a), -EINVAL);
    a.pad = 1;
    check_eq(memory_op(XENMEM_acquire_resource, &a), -EINVAL);
}

static void test_lists(u32 id)
{
    memset(&s, 0, sizeof(s));
    s.u.getdomaininfolist.max_domains = ARRAY(infos);
    s.u.getdomaininfolist.buffer = gptr(infos);
    check_eq(sysctl(XEN_SYSCTL_getdomaininfolist), 0);
    check_eq(s.u.getdomaininfolist.num_domains, 2);
    check_eq(infos[0].domain, 0);
    check_eq(infos[1].domain, id);
    s.u.getdomaininfolist.buffer.va = BAD_VA;
    check_eq(sysctl(XEN_SYSCTL_getdomaininfolist), -EFAULT);
    check_eq(domctl(XEN_DOMCTL_getdomaininfo, 1), 0); /* the next that is there */
    check_eq(d.domain, id);
    creation();
    check_eq(domctl(XEN_DOMCTL_createdomain, id), -EEXIST);
}

static void test_machine(void)
{
    memset(&s, 0, sizeof(s));
    check_eq(sysctl(XEN_SYSCTL_sched_id), 0);
    check_eq(s.u.sched_id.sched_id, XEN_SCHEDULER_CREDIT2);
    memset(&s, 0, sizeof(s));
    check_eq(sysctl(XEN_SYSCTL_cputopoinfo), 0);
    check(s.u.cputopoinfo.num_cpus >= 1);
    check_eq(sysctl(XEN_SYSCTL_numainfo), 0);
    check_eq(s.u.numainfo.num_nodes, 1);
    memset(&s, 0, sizeof(s));
    s.u.cpupool_op.op = XEN_SYSCTL_CPUPOOL_OP_INFO;
    s.u.cpupool_op.cpumap = (struct xenctl_bitmap){ gptr(map), 8 };
    check_eq(sysctl(XEN_SYSCTL_cpupool_op), 0);
    check_eq(s.u.cpupool_op.cpupool_id, 0);
    check(map[0] & 1);
    s.u.cpupool_op.cpupool_id = 7;
    check_eq(sysctl(XEN_SYSCTL_cpupool_op), -ENOENT);
    memset(&s, 0, sizeof(s));
    s.u.cpu_policy.index = XEN_SYSCTL_cpu_policy_pv_default;
    check_eq(sysctl(XEN_SYSCTL_get_cpu_policy), 0);
    check(s.u.cpu_policy.nr_leaves > 10);
    s.u.cpu_policy.index = 99;
    check_eq(sysctl(XEN_SYSCTL_get_cpu_policy), -EINVAL);
    memset(&s, 0, sizeof(s));
    s.u.readconsole.buffer = gptr(map);
    s.u.readconsole.count = sizeof(map);
    check_eq(sysctl(XEN_SYSCTL_readconsole), 0);
    check_eq(s.u.readconsole.count, sizeof(map));
}

void test_main(void)
{
    test_entry();
    test_create_refused();
    test_machine();
    u32 first = create();
    test_lists(first);
    test_vcpus(first);
    test_affinity(first);
    test_scheduler(first);
    test_memory(first);
    test_pause(first);
    destroy(first);
    u64 before = free_pages();
    for (u32 i = 0; i < CYCLES; i++) {
        u32 id = create();

        test_memory(id);
        destroy(id);
    }
    /* Xen frees some of it later, when nobody looks any more, and with it what it kept for the
     * first one. */
    for (u32 i = 0; i < 200 && !on_joist && free_pages() < before; i++) {
        spin_ns(10000000);
    }
    if (on_joist) {
        check_eq(free_pages(), before);
    } else {
        check(free_pages() >= before);
    }
}
