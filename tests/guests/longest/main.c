/* SPDX-License-Identifier: MIT */
/* The longest of every long operation, for a hypervisor that records how far it is between two
 * check points: full trees of page tables, batches, blocks of memory, a domain with many event
 * channels and grants that ends. As domain 0. */
#include "abi/domctl.h"
#include "abi/sysctl.h"

#include "kit/kit.h"

const char kit_name[] = "longest";

#define L2S   8
#define BATCH 512

static u64 l2s[L2S], frames[BATCH], more[BATCH];
static struct mmu_update updates[BATCH];
static struct mmuext_op exts[BATCH];
static struct multicall_entry calls[BATCH];
static struct gnttab_map_grant_ref maps[BATCH];
static struct gnttab_unmap_grant_ref unmaps[BATCH];
static struct gnttab_copy copies[BATCH];
static struct xen_domctl d;
static struct xen_sysctl s;
static u8 target[BATCH][PAGE] __attribute__((aligned(4096)));
static u8 *data;

static long domctl(u32 cmd, u32 id)
{
    d.cmd = cmd;
    d.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    d.domain = (domid_t)id;
    return hc1(__HYPERVISOR_domctl, U64(&d));
}

/* A full tree: pinned, entered, made the base, removed; by one call each. */
static void trees(void)
{
    u64 l3 = spare_tree(l2s, L2S, mfn_of(data) * PAGE | PTE_RO);
    u64 slot = mfn_of((void *)si->pt_base) * PAGE + 300 * 8;
    u64 *l4 = l4_clone();

    check_eq(mmuext1(MMUEXT_PIN_L3_TABLE, l3), 0);
    check_eq(mmuext1(MMUEXT_UNPIN_TABLE, l3), 0);
    check_eq(mmu_update1(slot, l3 * PAGE | PTE_RW | PTE_U), 0);
    check_eq(mmu_update1(slot, 0), 0);
    page_restore(l4);
    l4[300] = l3 * PAGE | PTE_RW | PTE_U;
    page_protect(l4, false);
    check_eq(mmuext1(MMUEXT_NEW_BASEPTR, mfn_of(l4)), 0);
    check_eq(mmuext1(MMUEXT_NEW_BASEPTR, mfn_of((void *)si->pt_base)), 0);
    check_eq(mmuext1(MMUEXT_NEW_USER_BASEPTR, mfn_of(l4)), 0);
    check_eq(mmuext1(MMUEXT_NEW_USER_BASEPTR, 0), 0);
    page_restore(l4);
    /* each level-2 table by itself, removed by the update that enters the next */
    check_eq(mmuext1(MMUEXT_PIN_L2_TABLE, l2s[0]), 0);
    check_eq(mmuext1(MMUEXT_UNPIN_TABLE, l2s[0]), 0);
}

static void batches(void)
{
    u64 *l1 = page_alloc();
    u64 base;
    u32 done;

    page_protect(l1, false);
    check_eq(mmuext1(MMUEXT_PIN_L1_TABLE, mfn_of(l1)), 0);
    base = mfn_of(l1) * PAGE;
    for (u32 i = 0; i < BATCH; i++) {
        updates[i] =
            (struct mmu_update){ .ptr = base + i * 8, .val = mfn_of(data) * PAGE | PTE_RW };
        exts[i] = (struct mmuext_op){ .cmd = i & 1 ? MMUEXT_CLEAR_PAGE : MMUEXT_COPY_PAGE,
                                      .arg1.mfn = mfn_of(target[i]),
                                      .arg2.src_mfn = mfn_of(data) };
        calls[i] =
            (struct multicall_entry){ .op = __HYPERVISOR_update_va_mapping,
                                      .args = { U64(target[i]), mfn_of(target[i]) * PAGE | PTE_RW,
                                                UVMF_INVLPG | UVMF_ALL } };
    }
    check_eq(hc4(__HYPERVISOR_mmu_update, U64(updates), BATCH, U64(&done), DOMID_SELF), 0);
    for (u32 i = 0; i < BATCH; i++) {
        updates[i].val = 0;
    }
    check_eq(hc4(__HYPERVISOR_mmu_update, U64(updates), BATCH, U64(&done), DOMID_SELF), 0);
    check_eq(hc4(__HYPERVISOR_mmuext_op, U64(exts), BATCH, U64(&done), DOMID_SELF), 0);
    check_eq(hc2(__HYPERVISOR_multicall, U64(calls), BATCH), 0);
    for (u32 i = 0; i < BATCH; i++) {
        exts[i].cmd = i & 1 ? MMUEXT_TLB_FLUSH_ALL : MMUEXT_INVLPG_ALL;
        exts[i].arg1.linear_addr = U64(data);
    }
    check_eq(hc4(__HYPERVISOR_mmuext_op, U64(exts), BATCH, U64(&done), DOMID_SELF), 0);
    check_eq(mmuext1(MMUEXT_UNPIN_TABLE, mfn_of(l1)), 0);
    page_restore(l1);
}

static long list(u32 cmd, u64 n, u32 order, u32 id)
{
    struct xen_memory_reservation r = {
        .extent_start = gptr(frames), .nr_extents = n, .extent_order = order, .domid = (domid_t)id
    };

    return memory_op(cmd, &r);
}

static void reservations(u32 id)
{
    static const u32 orders[] = { 0, 9 };

    for (u32 k = 0; k < ARRAY(orders); k++) {
        u64 n = orders[k] ? 4 : BATCH;

        for (u64 i = 0; i < n; i++) {
            frames[i] = 0x10000 + (i << orders[k]);
        }
        check_eq(list(XENMEM_populate_physmap, n, orders[k], id), n);
        check_eq(list(XENMEM_decrease_reservation, n, orders[k], id), n);
        check_eq(list(XENMEM_increase_reservation, n, orders[k], id), n);
        check_eq(list(XENMEM_decrease_reservation, n, orders[k], id), n);
    }
    /* small ones for a large one, and back */
    for (u64 i = 0; i < BATCH; i++) {
        frames[i] = 0x10000 + i;
    }
    check_eq(list(XENMEM_populate_physmap, BATCH, 0, id), BATCH);
    more[0] = 0x20000;
    struct xen_memory_exchange e = { .in = { gptr(frames), BATCH, 0, 0, (domid_t)id },
                                     .out = { gptr(more), 1, 9, 0, (domid_t)id } };
    check_eq(memory_op(XENMEM_exchange, &e), 0);
    e = (struct xen_memory_exchange){ .in = { gptr(more), 1, 9, 0, (domid_t)id },
                                      .out = { gptr(frames), BATCH, 0, 0, (domid_t)id } };
    for (u64 i = 0; i < BATCH; i++) {
        frames[i] = 0x10000 + i;
    }
    check_eq(memory_op(XENMEM_exchange, &e), 0);
}

/* Grants of the domain's own to itself. */
static void grants(void)
{
    struct gnttab_setup_table setup = { .dom = DOMID_SELF,
                                        .nr_frames = 4,
                                        .frame_list = gptr(frames) };
    struct grant_entry_v1 *table;

    check_eq(grant_op(GNTTABOP_setup_table, &setup, 1), 0);
    check_eq(setup.status, GNTST_okay);
    for (u32 f = 0; f < 4; f++) {
        table = frame_open(f, frames[f], PTE_RW);
        for (u32 i = f ? 0 : 8; i < 512; i++) {
            table[i].domid = 0;
            table[i].frame = (u32)mfn_of(data);
            table[i].flags = GTF_permit_access;
        }
    }
    for (u32 i = 0; i < BATCH; i++) {
        maps[i] = (struct gnttab_map_grant_ref){
            .host_addr = U64(target[i]), .flags = GNTMAP_host_map, .ref = 8 + i, .dom = 0
        };
        copies[i] = (struct gnttab_copy){ .source.u.ref = 8 + i,
                                          .source.domid = 0,
                                          .dest.u.gmfn = mfn_of(data),
                                          .dest.domid = DOMID_SELF,
                                          .len = 4096,
                                          .flags = GNTCOPY_source_gref };
    }
    check_eq(grant_op(GNTTABOP_copy, copies, BATCH), 0);
    check_eq(copies[BATCH - 1].status, GNTST_okay);
    check_eq(grant_op(GNTTABOP_map_grant_ref, maps, BATCH), 0);
    check_eq(maps[BATCH - 1].status, GNTST_okay);
    for (u32 i = 0; i < BATCH; i++) {
        unmaps[i] = (struct gnttab_unmap_grant_ref){ .host_addr = U64(target[i]),
                                                     .handle = maps[i].handle };
    }
    check_eq(grant_op(GNTTABOP_unmap_grant_ref, unmaps, BATCH), 0);
    check_eq(unmaps[BATCH - 1].status, GNTST_okay);
    for (u32 f = 0; f < 4; f++) {
        frame_close(f);
    }
}

static u32 make_domain(u64 mb)
{
    memset(&d, 0, sizeof(d));
    d.u.createdomain.max_vcpus = 64;
    d.u.createdomain.grant_opts = 1;
    d.u.createdomain.max_evtchn_port = 4095;
    d.u.createdomain.max_grant_frames = 64;
    check_eq(domctl(XEN_DOMCTL_createdomain, 0), 0);
    u32 id = d.domain;

    d.u.max_vcpus.max = 64;
    check_eq(domctl(XEN_DOMCTL_max_vcpus, id), 0);
    d.u.max_mem.max_memkb = mb * 1024;
    check_eq(domctl(XEN_DOMCTL_max_mem, id), 0);
    return id;
}

static void domains(void)
{
    u32 id = make_domain(64);
    long rc = 0;

    reservations(id);
    for (u64 i = 0; i < BATCH; i++) {
        frames[i] = 0x10000 + i;
    }
    for (u32 k = 0; k < 16; k++) {
        list(XENMEM_populate_physmap, BATCH, 0, id);
    }
    /* map them all, by updates in the name of the other */
    for (u32 k = 0; k < 4000 && rc == 0; k++) {
        struct evtchn_alloc_unbound u = { .dom = (domid_t)id, .remote_dom = 0 };

        rc = event_op(EVTCHNOP_alloc_unbound, &u);
    }
    struct evtchn_reset reset = { .dom = (domid_t)id };
    check_eq(event_op(EVTCHNOP_reset, &reset), 0);
    for (u32 k = 0; k < 4000; k++) {
        struct evtchn_alloc_unbound u = { .dom = (domid_t)id, .remote_dom = 0 };

        event_op(EVTCHNOP_alloc_unbound, &u);
    }
    check_eq(domctl(XEN_DOMCTL_destroydomain, id), 0);
}

static void others(void)
{
    static struct xen_domctl_getdomaininfo infos[64];
    static char text[8192];
    static struct trap_info traps[257];

    memset(&s, 0, sizeof(s));
    s.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    s.cmd = XEN_SYSCTL_getdomaininfolist;
    s.u.getdomaininfolist.max_domains = 64;
    s.u.getdomaininfolist.buffer = gptr(infos);
    check_eq(hc1(__HYPERVISOR_sysctl, U64(&s)), 0);
    memset(&s, 0, sizeof(s));
    s.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    s.cmd = XEN_SYSCTL_readconsole;
    s.u.readconsole.buffer = gptr(text);
    s.u.readconsole.count = sizeof(text);
    check_eq(hc1(__HYPERVISOR_sysctl, U64(&s)), 0);
    for (u32 i = 0; i < 256; i++) {
        traps[i] = (struct trap_info){ .vector = 40, .cs = KERNEL_CS, .address = 0x1000 };
    }
    check_eq(hc1(__HYPERVISOR_set_trap_table, U64(traps)), 0);
    kit_traps_init();
    struct xen_machphys_mfn_list list_of = { .max_extents = BATCH, .extent_start = gptr(frames) };
    check_eq(memory_op(XENMEM_machphys_mfn_list, &list_of), 0);
    struct xen_memory_map map = { .nr_entries = 128, .buffer = gptr(text) };
    check_eq(memory_op(XENMEM_machine_memory_map, &map), 0);
    memset(text, ' ', sizeof(text));
    text[0] = '\r';
    check_eq(hc3(__HYPERVISOR_console_io, CONSOLEIO_write, 2048, U64(text)), 0);
}

void test_main(void)
{
    struct sched_poll p = { .timeout = 0 };

    if (!is_dom0) {
        test_skip("makes domains");
        return;
    }
    data = page_alloc();
    trees();
    batches();
    grants();
    domains();
    others();
    if (kit_option("stay")) { /* for the key that shows what was recorded */
        print("longest: all done\r\n");
        p.timeout = now() + 60000000000UL;
        sched_op(SCHEDOP_poll, &p);
    }
}
