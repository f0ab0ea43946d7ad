/* SPDX-License-Identifier: MIT */
/* Attack: by domain 0, which owns the devices and makes domains, but not the hypervisor: memory of
 * the hypervisor, its interrupt controllers and ports, control calls on itself and on nothing,
 * numbers that cannot be. */
#include "abi/domctl.h"
#include "abi/platform.h"
#include "abi/sysctl.h"

#include "kit/kit.h"

const char kit_name[] = "attack/owner";

static u8 *page, *buf;
static struct xen_domctl d;

static long domctl(u32 cmd, u32 id)
{
    d.cmd = cmd;
    d.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    d.domain = (domid_t)id;
    return hc1(__HYPERVISOR_domctl, U64(&d));
}

static bool is_mine(u64 mfn)
{
    u64 pfn = mfn_to_pfn(mfn);

    return (pfn < si->nr_pages && ((u64 *)si->mfn_list)[pfn] == mfn) ||
           mfn == si->shared_info / PAGE;
}

static bool can_map(u64 mfn, u64 flags)
{
    bool done = update_va(page, mfn * PAGE | flags, UVMF_INVLPG) == 0;

    page_restore(page);
    return done;
}

/* RAM that is not ours is the hypervisor's or nobody's. */
static void ram(void)
{
    static struct e820entry map[128];
    struct xen_memory_map m = { .nr_entries = ARRAY(map), .buffer = gptr(map) };
    u64 tried = 0, taken = 0;

    check_eq(memory_op(XENMEM_machine_memory_map, &m), 0);
    for (u32 i = 0; i < m.nr_entries; i++) {
        u64 end = (map[i].addr + map[i].size) / PAGE;

        for (u64 mfn = map[i].addr / PAGE + 1; map[i].type == E820_RAM && mfn + 1 < end; mfn += 7) {
            if (mfn < 256 || is_mine(mfn)) {
                continue; /* the first MiB is left to domain 0 */
            }
            tried++;
            if (can_map(mfn, PTE_RW) || (on_joist && can_map(mfn, PTE_RO))) {
                taken++;
                check_at(taken > 10, __FILE__, __LINE__, "frame 0x%lx of others mapped", mfn);
            }
            if (mfn % 16 == 0) {
                check(mmuext1(MMUEXT_PIN_L1_TABLE, mfn) < 0);
                check(mmu_update1(mfn * PAGE, 0) < 0);
                check(mmu_update1(mfn * PAGE | MMU_MACHPHYS_UPDATE, 5) < 0);
            }
        }
    }
    print("%lu frames tried\r\n", tried);
    check(tried > 1000);
    check_eq(taken, 0);
}

static void store_word(u64 val)
{
    *(volatile u32 *)page = (u32)val;
}

/* An interrupt controller that may be read, for the firmware's sake: whatever is asked for, nothing
 * comes of a store, be it dropped or a fault. */
static void readable(u64 mfn)
{
    if (update_va(page, mfn * PAGE | PTE_RW, UVMF_INVLPG) == 0) {
        u32 was = *(volatile u32 *)page;

        kit_try(store_word, was ^ 1);
        check_eq(*(volatile u32 *)page, was);
    }
    page_restore(page);
}

/* The table that all may read, writable; interrupt controllers. */
static void shared_frames(void)
{
    u64 frames[4];
    struct xen_machphys_mfn_list list = { .max_extents = 4, .extent_start = gptr(frames) };

    check_eq(memory_op(XENMEM_machphys_mfn_list, &list), 0);
    for (u32 i = 0; i < list.nr_extents; i++) {
        check(!can_map(frames[i], PTE_RW));
        check(hc4(__HYPERVISOR_mmuext_op,
                  U64(&((struct mmuext_op){ .cmd = MMUEXT_CLEAR_PAGE, .arg1.mfn = frames[i] })), 1,
                  0, DOMID_SELF) < 0);
    }
    check(!can_map(0xfee00, PTE_RW));
    readable(0xfec00);
    check(!can_map(0x000fffffffffUL, PTE_RW));
}

static void out(u64 port)
{
    __asm__ volatile("outb %b0, %w1" ::"a"(0), "d"((u16)port));
}

/* Ports of what the hypervisor drives: the first interrupt controller, the timer, the line. */
static void ports(void)
{
    static const u16 own[] = { 0x20, 0x21, 0xa0, 0xa1, 0x43, 0x40, 0x3f8, 0x3f9 };

    for (u32 i = 0; i < ARRAY(own); i++) {
        check_at(kit_try(out, own[i]) != 0, __FILE__, __LINE__, "port 0x%x could be written",
                 own[i]);
    }
}

static void itself(void)
{
    static const u32 ids[] = { 0, DOMID_SELF, 0x7ff1, 0x7ff2, 0x7ff3, 0x7ff4, 0x7fff, 0xffff, 500 };
    static const u32 cmds[] = { XEN_DOMCTL_destroydomain,  XEN_DOMCTL_pausedomain,
                                XEN_DOMCTL_setvcpucontext, XEN_DOMCTL_getvcpucontext,
                                XEN_DOMCTL_max_vcpus,      XEN_DOMCTL_resumedomain,
                                XEN_DOMCTL_settscinfo,     XEN_DOMCTL_set_cpu_policy };

    for (u32 i = 0; i < ARRAY(ids); i++) {
        for (u32 k = 0; k < ARRAY(cmds); k++) {
            memset(&d, 0xff, sizeof(d));
            long rc = domctl(cmds[k], ids[i]);

            check_at(rc < 0, __FILE__, __LINE__, "control call %u on domain %u: %ld", cmds[k],
                     ids[i], rc);
        }
    }
}

/* Every control call with nonsense for an argument, on a domain that is not there. */
static void nonsense(void)
{
    struct xen_sysctl *s = (struct xen_sysctl *)buf;
    struct xen_platform_op *p = (struct xen_platform_op *)buf;
    static const u8 fills[] = { 0x00, 0x7f, 0x80, 0xff };

    for (u32 f = 0; f < ARRAY(fills); f++) {
        for (u32 cmd = 0; cmd < 100; cmd++) {
            if (cmd == XEN_DOMCTL_createdomain) {
                continue; /* nothing but zeros makes one; the control guest tries it */
            }
            memset(&d, fills[f], sizeof(d));
            check(domctl(cmd, 0x7ff5) < 0 || cmd == XEN_DOMCTL_getdomaininfo);
        }
        for (u32 cmd = 0; cmd < 40; cmd++) {
            if (cmd == XEN_SYSCTL_perfc_op || cmd == XEN_SYSCTL_debug_keys ||
                cmd == XEN_SYSCTL_cpu_hotplug) {
                continue; /* counters go back to 0; keys do what keys do */
            }
            memset(buf, fills[f], PAGE);
            s->cmd = cmd;
            s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
            hc1(__HYPERVISOR_sysctl, U64(s));
        }
        for (u32 cmd = 0; cmd < 70; cmd++) {
            if (cmd == XENPF_settime32 || cmd == XENPF_settime64 || cmd == XENPF_enter_acpi_sleep ||
                cmd == XENPF_efi_runtime_call || cmd == XENPF_cpu_offline ||
                cmd == XENPF_core_parking || cmd == XENPF_change_freq) {
                continue; /* the clock, the end of the machine */
            }
            memset(buf, fills[f], PAGE);
            p->cmd = cmd;
            p->interface_version = XENPF_INTERFACE_VERSION;
            hc1(__HYPERVISOR_platform_op, U64(p));
        }
    }
    memset(buf, 0xff, PAGE);
    p->cmd = XENPF_efi_runtime_call;
    p->interface_version = XENPF_INTERFACE_VERSION;
    check(hc1(__HYPERVISOR_platform_op, U64(p)) < 0);
}

/* Interrupts by impossible numbers; interrupts that the hypervisor uses itself. */
static void interrupts(void)
{
    static const u32 odd[] = {
        0, 4, 0xff, 0x100, 0x3ff, 0x400, 0x7fffffff, 0x80000000, 0xffffffff
    };

    for (u32 i = 0; i < ARRAY(odd); i++) {
        struct physdev_map_pirq m = {
            .domid = DOMID_SELF, .type = 1, .index = (int)odd[i], .pirq = -1
        };
        struct physdev_map_pirq far = {
            .domid = DOMID_SELF, .type = 1, .index = 9, .pirq = (int)odd[i]
        };
        struct physdev_map_pirq msi = { .domid = DOMID_SELF,
                                        .type = 0,
                                        .index = -1,
                                        .pirq = -1,
                                        .bus = (int)odd[i],
                                        .devfn = (int)odd[i],
                                        .entry_nr = (int)odd[i],
                                        .table_base = ~0UL };
        struct physdev_eoi e = { .irq = odd[i] };
        struct physdev_apic a = { .apic_physbase = odd[i], .reg = odd[i], .value = odd[i] };
        struct physdev_unmap_pirq u = { .domid = DOMID_SELF, .pirq = (int)odd[i] };
        struct evtchn_bind_pirq b = { .pirq = odd[i] };

        physdev_op(PHYSDEVOP_map_pirq, &m);
        if (odd[i] >= 0x400) {
            check(m.pirq < 0 || physdev_op(PHYSDEVOP_map_pirq, &m) < 0);
            check(event_op(EVTCHNOP_bind_pirq, &b) < 0);
            check(physdev_op(PHYSDEVOP_unmap_pirq, &u) < 0);
        }
        physdev_op(PHYSDEVOP_map_pirq, &far);
        physdev_op(PHYSDEVOP_map_pirq, &msi);
        physdev_op(PHYSDEVOP_eoi, &e);
        physdev_op(PHYSDEVOP_apic_read, &a);
        physdev_op(PHYSDEVOP_apic_write, &a);
    }
}

/* Time goes on and timers fire: nothing of the hypervisor's has been turned off. */
static void lives(void)
{
    struct sched_poll p = { .timeout = now() + 20000000 };
    u64 before = now();

    check_eq(sched_op(SCHEDOP_poll, &p), 0);
    check(now() - before < 2000000000);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_version, 0), 4 << 16 | 17);
}

/* The machine-to-physical table is for reading: it is cleared by nobody and becomes nobody's page
 * table, whoever's name is given. */
static void machine_table(void)
{
    static const u32 cmds[] = { MMUEXT_CLEAR_PAGE,   MMUEXT_COPY_PAGE,    MMUEXT_PIN_L1_TABLE,
                                MMUEXT_PIN_L2_TABLE, MMUEXT_PIN_L3_TABLE, MMUEXT_PIN_L4_TABLE };
    static const domid_t names[] = { DOMID_SELF, DOMID_XEN, DOMID_IO };
    static u64 frames[4];
    struct xen_machphys_mfn_list list = { .max_extents = ARRAY(frames),
                                          .extent_start = gptr(frames) };

    check_eq(memory_op(XENMEM_machphys_mfn_list, &list), 0);
    check(list.nr_extents > 0);
    for (u32 i = 0; i < ARRAY(cmds) * ARRAY(names) * 2; i++) {
        struct mmuext_op op = { .cmd = cmds[i % ARRAY(cmds)] };

        op.arg1.mfn = frames[0] + i / (ARRAY(cmds) * ARRAY(names)) * 511;
        op.arg2.src_mfn = mfn_of(page);
        check_at(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, names[i / ARRAY(cmds) % 3]) < 0,
                 __FILE__, __LINE__, "operation %u on a frame of the table", op.cmd);
    }
}

/* An event for a domain before it has a vcpu. */
static void unborn(void)
{
    struct evtchn_alloc_unbound a = { .remote_dom = DOMID_SELF };
    struct evtchn_bind_interdomain b = { 0 };
    struct evtchn_send s = { 0 };

    memset(&d, 0, sizeof(d));
    d.u.createdomain.max_vcpus = 1;
    d.u.createdomain.grant_opts = 1;
    d.u.createdomain.max_evtchn_port = 1023;
    d.u.createdomain.max_grant_frames = 4;
    check_eq(domctl(XEN_DOMCTL_createdomain, 0), 0);
    a.dom = b.remote_dom = d.domain;
    if (on_joist && event_op(EVTCHNOP_alloc_unbound, &a) == 0) {
        b.remote_port = a.port;
        check_eq(event_op(EVTCHNOP_bind_interdomain, &b), 0);
        s.port = b.local_port;
        check_eq(event_op(EVTCHNOP_send, &s), 0);
    }
    check_eq(domctl(XEN_DOMCTL_destroydomain, a.dom), 0);
}

void test_main(void)
{
    page = page_alloc();
    buf = page_alloc();
    if (!is_dom0) {
        test_skip("for domain 0");
        return;
    }
    ram();
    shared_frames();
    machine_table();
    unborn();
    ports();
    itself();
    nonsense();
    interrupts();
    lives();
}
