/* SPDX-License-Identifier: MIT */
/* Attack: mapping, owning, pinning and describing frames that are not one's own: every frame of the
 * machine, and what is beyond. */
#include "kit/kit.h"

const char kit_name[] = "frames";

static u64 *page;
static u64 most;
static u64 grants[8];

static bool is_grants(u64 mfn)
{
    for (u32 i = 0; i < ARRAY(grants); i++) {
        if (grants[i] == mfn && mfn != 0) {
            return true;
        }
    }
    return false;
}

static bool is_mine(u64 mfn)
{
    u64 pfn = mfn <= most ? mfn_to_pfn(mfn) : ~0UL;

    return (pfn < si->nr_pages && ((u64 *)si->mfn_list)[pfn] == mfn) ||
           mfn == si->shared_info / PAGE || is_grants(mfn);
}

static void load(u64 at)
{
    *(volatile u64 *)at;
}

/* The machine-to-physical table has holes where there is no memory at all. */
static bool known(u64 mfn)
{
    return kit_try(load, HYPERVISOR_VIRT_START + mfn * 8) == 0;
}

static void sweep(void)
{
    u64 seen = 0, taken = 0, last = 0;

    for (u64 mfn = 0; mfn <= most; mfn += mfn < 4096 ? 1 : 29) {
        if ((mfn & 511) == 0 || last == 0 || mfn / 512 != last / 512) {
            last = mfn;
            if (!known(mfn)) {
                mfn |= 511;
                continue;
            }
        }
        if (is_mine(mfn)) {
            continue;
        }
        seen++;
        if (update_va(page, mfn * PAGE | PTE_RW, UVMF_INVLPG) == 0 ||
            update_va(page, mfn * PAGE | PTE_RO, UVMF_INVLPG) == 0) {
            taken++;
            print("frame 0x%lx could be mapped\r\n", mfn);
            page_restore(page);
            if (taken > 10) {
                break;
            }
        }
        if (mfn % 64 == 0) {
            check(mmuext1(MMUEXT_PIN_L1_TABLE, mfn) < 0);
            check(mmuext1(MMUEXT_NEW_BASEPTR, mfn) < 0);
            check(mmu_update1(mfn * PAGE | MMU_MACHPHYS_UPDATE, 5) < 0);
            check(mmu_update1(mfn * PAGE, 0) < 0);
        }
    }
    print("%lu frames of others tried\r\n", seen);
    check(seen > 500);
    check_eq(taken, 0);
}

/* The frames of one's own grant table are one's own, too. */
static void find_grants(void)
{
    struct gnttab_query_size q = { .dom = DOMID_SELF };
    struct gnttab_setup_table s = { .dom = DOMID_SELF, .frame_list = gptr(grants) };

    check_eq(grant_op(GNTTABOP_query_size, &q, 1), 0);
    check(q.nr_frames <= ARRAY(grants));
    s.nr_frames = q.nr_frames;
    check_eq(grant_op(GNTTABOP_setup_table, &s, 1), 0);
    check_eq(s.status, GNTST_okay);
}

static void edges(void)
{
    static const u64 odd[] = { 0xfee00,     0xfec00,      0xfed00,
                               0xe0000,     0xa0,         0xb8,
                               0xf0,        0xfffff,      0x100000000,
                               0xfffffffff, 0xffffffffff, 0xfffffffffffff,
                               ~0UL,        1UL << 63,    0x8000000000000UL };

    for (u32 i = 0; i < ARRAY(odd); i++) {
        struct mmuext_op op = { .cmd = MMUEXT_CLEAR_PAGE, .arg1.mfn = odd[i] };
        struct vcpu_register_vcpu_info info = { .mfn = odd[i] };
        u64 mfn = odd[i];
        struct xen_memory_reservation r = { .extent_start = gptr(&mfn),
                                            .nr_extents = 1,
                                            .domid = DOMID_SELF };

        check_at(update_va(page, (odd[i] * PAGE & PTE_ADDR) | PTE_RW, UVMF_INVLPG) < 0, __FILE__,
                 __LINE__, "frame 0x%lx mapped", odd[i]);
        check(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF) < 0);
        op.cmd = MMUEXT_COPY_PAGE;
        op.arg1.mfn = mfn_of(page);
        op.arg2.src_mfn = odd[i];
        check(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF) < 0);
        for (u32 cmd = MMUEXT_PIN_L1_TABLE; cmd <= MMUEXT_NEW_BASEPTR; cmd++) {
            check(mmuext1(cmd, odd[i]) < 0);
        }
        check(mmuext1(MMUEXT_NEW_USER_BASEPTR, odd[i]) < 0);
        check(vcpu_op(VCPUOP_register_vcpu_info, 0, &info) < 0);
        check(hc2(__HYPERVISOR_set_gdt, U64(&mfn), 10) < 0);
        check(memory_op(XENMEM_decrease_reservation, &r) <= 0);
        check(hc2(__HYPERVISOR_update_descriptor, odd[i] * PAGE, 0) < 0);
    }
    page_restore(page);
}

/* Others' domains by number: memory, tables, ports, in their name. */
static void domains(void)
{
    static const u32 ids[] = { 0, 1, 2, 3, 0x7ff1, 0x7ff2, 0x7ff3, 0x7ff4, 0x7fff, 0xffff };

    for (u32 i = 0; i < ARRAY(ids); i++) {
        u64 mfn = mfn_of(page);
        struct xen_memory_reservation r = { .extent_start = gptr(&mfn),
                                            .nr_extents = 1,
                                            .domid = (domid_t)ids[i] };
        struct mmu_update u = { .ptr = mfn * PAGE, .val = 0 };
        struct mmuext_op op = { .cmd = MMUEXT_PIN_L1_TABLE, .arg1.mfn = mfn };
        struct xen_mem_acquire_resource a = {
            .domid = (domid_t)ids[i], .type = 1, .nr_frames = 1, .frame_list = gptr(&mfn)
        };
        struct evtchn_alloc_unbound un = { .dom = (domid_t)ids[i], .remote_dom = 0 };
        struct gnttab_setup_table s = { .dom = (domid_t)ids[i],
                                        .nr_frames = 1,
                                        .frame_list = gptr(&mfn) };
        struct evtchn_status st = { .dom = (domid_t)ids[i], .port = 1 };
        bool is_self = event_op(EVTCHNOP_status, &st) == 0; /* our own number, by chance */

        if (is_self || (ids[i] & 0x7fff) == 0x7ff0) {
            continue;
        }
        check(memory_op(XENMEM_decrease_reservation, &r) <= 0); /* extents done: none */
        check(memory_op(XENMEM_increase_reservation, &r) <= 0);
        /* the page is one's own: Xen lets everyone name what is nobody's, for entries */
        check((hc4(__HYPERVISOR_mmu_update, U64(&u), 1, 0, ids[i]) < 0) ==
              xen_or_joist(ids[i] != DOMID_IO, true));
        check(hc4(__HYPERVISOR_mmu_update, U64(&u), 1, 0, (u64)(ids[i] + 1) << 16) < 0 ||
              ids[i] == 0);
        check(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, ids[i]) < 0);
        check(memory_op(XENMEM_acquire_resource, &a) < 0);
        check(event_op(EVTCHNOP_alloc_unbound, &un) < 0);
        grant_op(GNTTABOP_setup_table, &s, 1);
        check(s.status != GNTST_okay);
        check(hypercall(__HYPERVISOR_update_va_mapping_otherdomain, U64(page), mfn * PAGE | PTE_RW,
                        0, ids[i], 0) < 0);
    }
}

void test_main(void)
{
    page = page_alloc();
    most = (u64)memory_op(XENMEM_maximum_ram_page, NULL);
    if (is_dom0) {
        test_skip("domain 0 may map what no domain owns");
        return;
    }
    find_grants();
    sweep();
    edges();
    domains();
}
