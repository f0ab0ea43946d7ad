/* SPDX-License-Identifier: MIT */
/* Attack: a writable way to one of one's own page tables or descriptor pages, by every route. */
#include "kit/kit.h"

const char kit_name[] = "tables";

static u64 *l1, *l2, *l3;
static u64 *data, *gdt;

static u64 entry_of(const u64 *table, u32 i)
{
    return mfn_of(table) * PAGE + i * 8;
}

/* A tree of one's own under slot 300, level 1 with one data page. */
static void build(void)
{
    l1 = page_alloc();
    l2 = page_alloc();
    l3 = page_alloc();
    data = page_alloc();
    gdt = page_alloc();
    l1[0] = mfn_of(data) * PAGE | PTE_RW;
    l2[0] = mfn_of(l1) * PAGE | PTE_RW | PTE_U;
    l3[0] = mfn_of(l2) * PAGE | PTE_RW | PTE_U;
    page_protect(l1, false);
    page_protect(l2, false);
    page_protect(l3, false);
    check_eq(mmu_update1(entry_of((u64 *)si->pt_base, 300), mfn_of(l3) * PAGE | PTE_RW | PTE_U), 0);
}

/* A writable mapping of level 1: no emulation of stores may let that through either. */
static u64 hostile;

static void store(u64 at)
{
    *(volatile u64 *)at = hostile;
}

/* No entry may have changed, and no store may reach it. */
static void still(const char *what)
{
    check_at(l1[0] == (mfn_of(data) * PAGE | PTE_RW | (l1[0] & (PTE_U | PTE_G | 1UL << 52))),
             __FILE__, __LINE__, "%s: level 1 is 0x%lx", what, l1[0]);
    check_at((l2[0] & PTE_ADDR) == mfn_of(l1) * PAGE, __FILE__, __LINE__, "%s: level 2", what);
}

static void by_entries(const void *victim, const char *what)
{
    u64 rw = mfn_of(victim) * PAGE | PTE_RW;
    u64 ro = mfn_of(victim) * PAGE | PTE_RO;

    check_at(mmu_update1(entry_of(l1, 1), rw) < 0, __FILE__, __LINE__, "%s by mmu_update", what);
    check_at(mmu_update1(entry_of(l1, 1) | MMU_PT_UPDATE_PRESERVE_AD, rw) < 0, __FILE__, __LINE__,
             "%s keeping A and D", what);
    check_at(update_va(data, rw, UVMF_INVLPG) < 0, __FILE__, __LINE__, "%s by va", what);
    check_at(mmu_update1(entry_of(l1, 1), ro) == 0, __FILE__, __LINE__, "%s read-only", what);
    for (u32 bit = 0; bit < 12; bit++) {
        long rc = mmu_update1(entry_of(l1, 1), ro ^ 1UL << bit);
        bool writable = (l1[1] & (PTE_P | PTE_W)) == (PTE_P | PTE_W);
        check_at(!writable, __FILE__, __LINE__, "%s, bit %u: %ld and writable", what, bit, rc);
        mmu_update1(entry_of(l1, 1), ro);
    }
    check_eq(mmu_update1(entry_of(l1, 1), 0), 0);
    still(what);
}

static void by_tables(const void *victim, const char *what)
{
    u64 tab = mfn_of(victim) * PAGE | PTE_RW | PTE_U;

    /* A data page that is full of entries of one's choice must not become a table while writable.
     */
    check_at(mmu_update1(entry_of(l2, 1), mfn_of(data) * PAGE | PTE_RW | PTE_U) < 0, __FILE__,
             __LINE__, "writable data as level 1");
    check_at(mmu_update1(entry_of(l2, 2), tab | PTE_PSE) < 0, __FILE__, __LINE__, "%s as 2 MiB",
             what);
    check_at(mmu_update1(entry_of(l3, 2), tab | PTE_PSE) < 0, __FILE__, __LINE__, "%s as 1 GiB",
             what);
    check_eq(l2[1], 0);
    check_eq(l2[2], 0);
    check_eq(l3[2], 0);
    for (u32 cmd = MMUEXT_PIN_L1_TABLE; cmd <= MMUEXT_PIN_L4_TABLE; cmd++) {
        check(mmuext1(cmd, mfn_of(data)) < 0);
    }
    still(what);
}

static void by_calls(const void *victim, const char *what)
{
    struct mmuext_op op = { .cmd = MMUEXT_CLEAR_PAGE, .arg1.mfn = mfn_of(victim) };
    struct vcpu_register_vcpu_info info = { .mfn = mfn_of(victim), .offset = 0 };
    struct vcpu_runstate_info state;
    struct xen_memory_reservation r = { .extent_start = { U64(&op.arg1.mfn) },
                                        .nr_extents = 1,
                                        .domid = DOMID_SELF };
    u64 mfn = mfn_of(victim);

    check_at(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF) < 0, __FILE__, __LINE__,
             "%s cleared", what);
    op.cmd = MMUEXT_COPY_PAGE;
    op.arg2.src_mfn = mfn_of(data);
    check_at(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF) < 0, __FILE__, __LINE__,
             "%s copied over", what);
    check_at(vcpu_op(VCPUOP_register_vcpu_info, 0, &info) < 0, __FILE__, __LINE__,
             "%s as vcpu_info", what);
    /* Results of calls go through the tables, which say read-only. */
    check_at(vcpu_op(VCPUOP_get_runstate_info, 0, (void *)victim) == -EFAULT, __FILE__, __LINE__,
             "%s as place of a result", what);
    check_at(hc2(__HYPERVISOR_xen_version, XENVER_compile_info, U64(victim)) == -EFAULT, __FILE__,
             __LINE__, "%s as place of a text", what);
    check_eq(vcpu_op(VCPUOP_get_runstate_info, 0, &state), 0);
    /* A table's frame given back or exchanged while it is a table. */
    r.extent_start.va = U64(&mfn);
    long rc = memory_op(XENMEM_decrease_reservation, &r);
    check_at(rc <= 1, __FILE__, __LINE__, "%s given back: %ld", what, rc);
    check_fault(store, victim, 14, ~0UL);
    still(what);
}

/* Descriptors: what the processor reads may not be written either. */
static void by_gdt(void)
{
    u64 frames[1] = { mfn_of(gdt) };
    u64 desc = 0x00cf9b000000ffffUL;

    check(hc2(__HYPERVISOR_set_gdt, U64(frames), 512) < 0); /* still mapped writable */
    page_protect(gdt, false);
    check_eq(hc2(__HYPERVISOR_set_gdt, U64(frames), 512), 0);
    check(update_va(gdt, mfn_of(gdt) * PAGE | PTE_RW, UVMF_INVLPG) < 0);
    check(mmu_update1(entry_of(l1, 3), mfn_of(gdt) * PAGE | PTE_RW) < 0);
    check_fault(store, gdt, 14, ~0UL);
    check(mmu_update1(entry_of(l2, 3), mfn_of(gdt) * PAGE | PTE_RW | PTE_U) < 0);
    check(hc2(__HYPERVISOR_update_descriptor, mfn_of(l1) * PAGE, desc) < 0);
    frames[0] = mfn_of(l1);
    check(hc2(__HYPERVISOR_set_gdt, U64(frames), 512) < 0);
    still("descriptors");
}

/* Grants of a table, mapped by their own granter. */
static void by_grant(void)
{
    u64 frame = 0;
    struct gnttab_setup_table s = { .dom = DOMID_SELF, .nr_frames = 1, .frame_list = gptr(&frame) };
    struct grant_entry_v1 *table = page_alloc();

    check_eq(grant_op(GNTTABOP_setup_table, &s, 1), 0);
    page_remap(table, frame * PAGE | PTE_RW);
    table[20].domid = 0;
    table[20].frame = (u32)mfn_of(l1);
    table[20].flags = GTF_permit_access;
    for (u32 d = 0; d < 40; d++) {
        struct gnttab_map_grant_ref m = {
            .host_addr = U64(data), .flags = GNTMAP_host_map, .ref = 20, .dom = (domid_t)d
        };
        grant_op(GNTTABOP_map_grant_ref, &m, 1);
        check(m.status != GNTST_okay);
    }
    struct gnttab_copy c = { .source.u.gmfn = mfn_of(data),
                             .source.domid = DOMID_SELF,
                             .dest.u.gmfn = mfn_of(l1),
                             .dest.domid = DOMID_SELF,
                             .len = 64 };
    grant_op(GNTTABOP_copy, &c, 1);
    check(c.status != GNTST_okay);
    still("grants");
}

void test_main(void)
{
    check_eq(hc2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables), 0);
    build();
    hostile = mfn_of(l1) * PAGE | PTE_RW;
    by_entries(l1, "level 1");
    by_entries(l2, "level 2");
    by_entries(l3, "level 3");
    by_entries((void *)si->pt_base, "level 4");
    by_tables(l1, "level 1");
    by_tables((void *)si->pt_base, "level 4");
    by_calls(l1, "level 1");
    by_calls(l2, "level 2");
    by_gdt();
    by_grant();
}
