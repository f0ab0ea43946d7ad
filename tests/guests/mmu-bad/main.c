/* SPDX-License-Identifier: MIT */
/* Page-table tricks that must be refused, one by one, each leaving everything as it was. */
#include "kit/kit.h"

const char kit_name[] = "mmu-bad";

#define ANY        1 /* any error will do */
#define TABLE_BITS (PTE_P | PTE_W | PTE_U | PTE_A)

static u64 *l4, *l3, *l2, *l1, *spare;
static u8 *page;

/* An entry of a table: machine address. */
static u64 entry_of(const u64 *table, u32 i)
{
    return mfn_of(table) * PAGE + i * 8;
}

/* Writing value to the entry must fail with `want` and leave the entry unchanged. */
static void refuse(const char *what, const u64 *table, u32 i, u64 value, long want)
{
    volatile const u64 *entry = &table[i];
    u64 before = *entry;
    long rc = mmu_update1(entry_of(table, i), value);

    check_at(rc == want || (rc < 0 && want == ANY), __FILE__, __LINE__, "%s: %ld, want %ld", what,
             rc, want);
    check_at(*entry == before, __FILE__, __LINE__, "%s: entry became 0x%lx, was 0x%lx", what,
             *entry, before);
    if (rc == 0) {
        mmu_update1(entry_of(table, i), before);
    }
}

static void accept(const char *what, const u64 *table, u32 i, u64 value)
{
    u64 before = table[i];
    long rc = mmu_update1(entry_of(table, i), value);

    check_at(rc == 0, __FILE__, __LINE__, "%s: %ld", what, rc);
    if (rc == 0) {
        mmu_update1(entry_of(table, i), before);
    }
}

/* A little tree of one's own under slot 300: l4 -> l3 -> l2 -> l1 -> page. */
static void build(void)
{
    l4 = (u64 *)si->pt_base;
    l3 = page_alloc();
    l2 = page_alloc();
    l1 = page_alloc();
    spare = page_alloc();
    page = page_alloc();
    l1[0] = mfn_of(page) * PAGE | PTE_RW;
    l2[0] = mfn_of(l1) * PAGE | TABLE_BITS;
    l3[0] = mfn_of(l2) * PAGE | TABLE_BITS;
    page_protect(l1, false);
    page_protect(l2, false);
    page_protect(l3, false);
    page_protect(spare, false);
    check_eq(mmu_update1(entry_of(l4, 300), mfn_of(l3) * PAGE | TABLE_BITS), 0);
}

static void test_writable_tables(void)
{
    refuse("level 1 mapped writable by itself", l1, 1, mfn_of(l1) * PAGE | PTE_RW, -EBUSY);
    refuse("level 2 mapped writable", l1, 1, mfn_of(l2) * PAGE | PTE_RW, -EBUSY);
    refuse("level 3 mapped writable", l1, 1, mfn_of(l3) * PAGE | PTE_RW, -EBUSY);
    refuse("level 4 mapped writable", l1, 1, mfn_of(l4) * PAGE | PTE_RW, -EBUSY);
    accept("level 4 mapped read-only", l1, 1, mfn_of(l4) * PAGE | PTE_RO);
    accept("level 1 mapped read-only by itself", l1, 1, mfn_of(l1) * PAGE | PTE_RO);
    /* from read-only to writable in the same entry */
    check_eq(mmu_update1(entry_of(l1, 2), mfn_of(l4) * PAGE | PTE_RO), 0);
    refuse("read-only entry of a table made writable", l1, 2, mfn_of(l4) * PAGE | PTE_RW, -EBUSY);
    refuse("... with changed available bits", l1, 2, mfn_of(l4) * PAGE | PTE_RW | 0x200, -EBUSY);
    check_eq(mmu_update1(entry_of(l1, 2), 0), 0);
}

static void test_levels(void)
{
    refuse("data page as level 1", l2, 1, mfn_of(page) * PAGE | TABLE_BITS, -EINVAL);
    refuse("data page as level 3", l4, 301, mfn_of(page) * PAGE | TABLE_BITS, -EINVAL);
    refuse("level 1 as level 2", l3, 1, mfn_of(l1) * PAGE | TABLE_BITS, -EINVAL);
    refuse("level 1 as level 3", l4, 301, mfn_of(l1) * PAGE | TABLE_BITS, -EINVAL);
    refuse("level 2 as level 3", l4, 301, mfn_of(l2) * PAGE | TABLE_BITS, -EINVAL);
    refuse("level 3 as level 2", l3, 1, mfn_of(l3) * PAGE | TABLE_BITS, -EINVAL);
    refuse("level 3 as level 1", l2, 1, mfn_of(l3) * PAGE | TABLE_BITS, -EINVAL);
    refuse("level 4 as level 1", l2, 1, mfn_of(l4) * PAGE | TABLE_BITS, -EINVAL);
    accept("the same level 1 twice", l2, 1, mfn_of(l1) * PAGE | TABLE_BITS);
    accept("the same level 2 twice", l3, 1, mfn_of(l2) * PAGE | TABLE_BITS);
    accept("the same level 3 twice", l4, 301, mfn_of(l3) * PAGE | TABLE_BITS);
}

/* Tables that refer to their own level: allowed by Xen as an option, absent from Joist. */
static void test_linear(void)
{
    if (!on_joist) {
        return;
    }
    refuse("linear level 4", l4, 301, mfn_of(l4) * PAGE | PTE_P | PTE_U | PTE_A, -EINVAL);
    refuse("linear level 3", l3, 1, mfn_of(l3) * PAGE | PTE_P | PTE_U | PTE_A, -EINVAL);
    refuse("linear level 2", l2, 1, mfn_of(l2) * PAGE | PTE_P | PTE_U | PTE_A, -EINVAL);
    refuse("writable linear level 4", l4, 301, mfn_of(l4) * PAGE | TABLE_BITS, -EINVAL);
}

static void test_hole(void)
{
    u64 *copy = page_alloc();

    for (u32 i = 256; i < 272; i++) {
        refuse("slot of the hypervisor", l4, i, mfn_of(l3) * PAGE | TABLE_BITS, -EINVAL);
        refuse("slot of the hypervisor cleared", l4, i, 0, -EINVAL);
    }
    check_eq(update_va((void *)HYPERVISOR_VIRT_START, mfn_of(page) * PAGE | PTE_RW, 0), -EINVAL);
    check_eq(update_va((void *)0xffff830000000000UL, mfn_of(page) * PAGE | PTE_RW, 0), -EINVAL);
    check_eq(update_va((void *)0x800000000000UL, mfn_of(page) * PAGE | PTE_RW, 0), -EINVAL);
    /* a top-level table that comes with the hypervisor's slots filled gets them overwritten */
    for (u32 i = 0; i < 512; i++) {
        copy[i] = i >= 256 && i < 272 ? mfn_of(l3) * PAGE | TABLE_BITS : l4[i];
    }
    page_protect(copy, false);
    if (mmuext1(MMUEXT_PIN_L4_TABLE, mfn_of(copy)) == 0) {
        check((copy[256] & PTE_ADDR) != mfn_of(l3) * PAGE);
        check((copy[271] & PTE_ADDR) != mfn_of(l3) * PAGE);
        check_eq(mmuext1(MMUEXT_UNPIN_TABLE, mfn_of(copy)), 0);
    }
    page_restore(copy);
}

static void test_bits(void)
{
    u64 l2bits = mfn_of(l1) * PAGE | TABLE_BITS;

    refuse("large page at level 2", l2, 1, PTE_PSE | mfn_of(page) * PAGE | TABLE_BITS, -EINVAL);
    refuse("large page at level 3", l3, 1, PTE_PSE | mfn_of(page) * PAGE | TABLE_BITS, -EINVAL);
    refuse("bit 7 at level 4", l4, 301, PTE_PSE | mfn_of(l3) * PAGE | TABLE_BITS, -EINVAL);
    refuse("large page on an existing level 2 entry", l2, 0, l2bits | PTE_PSE, -EINVAL);
    refuse("global at level 2", l2, 1, l2bits | PTE_G, -EINVAL);
    refuse("cache bits at level 2", l2, 1, l2bits | PTE_PCD, -EINVAL);
    refuse("frame beyond the physical width", l1, 1, 1UL << 51 | PTE_RW, -EPERM);
    refuse("frame beyond the physical width, level 2", l2, 1, 1UL << 51 | TABLE_BITS, -EINVAL);
    accept("global at level 1", l1, 1, mfn_of(page) * PAGE | PTE_RW | PTE_G);
    accept("available bits", l1, 1, mfn_of(page) * PAGE | PTE_RW | 0x600);
    accept("no execute at level 2", l2, 1, l2bits | PTE_NX);
}

static void test_pin_refusals(void)
{
    u64 *bad = page_alloc();

    check_eq(mmuext1(MMUEXT_PIN_L1_TABLE, mfn_of(page)), -EINVAL); /* mapped writable */
    check_eq(mmuext1(MMUEXT_PIN_L4_TABLE, mfn_of(page)), -EINVAL);
    check_eq(mmuext1(MMUEXT_PIN_L1_TABLE, 0x7fffffff), -EINVAL);
    check_eq(mmuext1(MMUEXT_PIN_L1_TABLE, ~0UL), -EINVAL);
    check_eq(mmuext1(MMUEXT_UNPIN_TABLE, 0x7fffffff), -EINVAL);
    check_eq(mmuext1(MMUEXT_PIN_L2_TABLE, mfn_of(l1)), -EINVAL);
    check_eq(mmuext1(MMUEXT_NEW_BASEPTR, mfn_of(page)), -EINVAL);
    check_eq(mmuext1(MMUEXT_NEW_BASEPTR, mfn_of(l3)), -EINVAL);
    check_eq(mmuext1(MMUEXT_NEW_BASEPTR, 0x7fffffff), -EINVAL);
    check_eq(mmuext1(MMUEXT_NEW_BASEPTR, ~0UL), -EINVAL);
    check_eq(mmuext1(MMUEXT_NEW_USER_BASEPTR, mfn_of(page)), -EINVAL);
    /* a table with one bad entry among 511 good ones: nothing of it may stay referenced */
    for (u32 i = 0; i < 512; i++) {
        bad[i] = mfn_of(page) * PAGE | PTE_RW;
    }
    bad[511] = mfn_of(bad) * PAGE | PTE_RW;
    page_protect(bad, false);
    check(mmuext1(MMUEXT_PIN_L1_TABLE, mfn_of(bad)) < 0);
    page_restore(bad);
    bad[511] = 1UL << 51 | PTE_RW;
    page_protect(bad, false);
    check(mmuext1(MMUEXT_PIN_L1_TABLE, mfn_of(bad)) < 0);
    page_restore(bad);
    memset(bad, 0, PAGE);
    bad[5] = mfn_of(l1) * PAGE | TABLE_BITS;
    bad[9] = mfn_of(page) * PAGE | TABLE_BITS;
    page_protect(bad, false);
    check(mmuext1(MMUEXT_PIN_L2_TABLE, mfn_of(bad)) < 0);
    page_restore(bad);
    /* a level 4 whose entry is fine as a level 2 only */
    memset(bad, 0, PAGE);
    bad[0] = mfn_of(l1) * PAGE | TABLE_BITS;
    page_protect(bad, false);
    check(mmuext1(MMUEXT_PIN_L4_TABLE, mfn_of(bad)) < 0);
    check(mmuext1(MMUEXT_NEW_BASEPTR, mfn_of(bad)) < 0);
    check_eq(mmuext1(MMUEXT_PIN_L2_TABLE, mfn_of(bad)), 0);
    check_eq(mmuext1(MMUEXT_UNPIN_TABLE, mfn_of(bad)), 0);
    page_restore(bad);
}

/* Every RAM frame that is not the guest's own is refused, writable or not, as page or as table. */
static void test_foreign_frames(void)
{
    static struct e820entry map[64];
    struct xen_memory_map mm = { .nr_entries = 64, .buffer = gptr(map) };
    u32 tried = 0, taken = 0;

    if (memory_op(XENMEM_machine_memory_map, &mm)) {
        check(!is_dom0);
        return;
    }
    for (u32 e = 0; e < mm.nr_entries; e++) {
        u64 first = map[e].addr / PAGE, end = (map[e].addr + map[e].size) / PAGE;

        if (map[e].type != E820_RAM || first < 0x1000) {
            first = 0x1000;
        }
        for (u64 mfn = first; map[e].type == E820_RAM && mfn < end; mfn += 61) {
            u64 pfn = mfn_to_pfn(mfn);

            if (pfn < si->nr_pages && ((u64 *)si->mfn_list)[pfn] == mfn) {
                continue;
            }
            tried++;
            taken += mmu_update1(entry_of(l1, 1), mfn * PAGE | PTE_RW) == 0;
            taken += mmu_update1(entry_of(l1, 1), mfn * PAGE | PTE_RO) == 0;
            taken += mmu_update1(entry_of(l2, 1), mfn * PAGE | TABLE_BITS) == 0;
            taken += mmuext1(MMUEXT_PIN_L1_TABLE, mfn) == 0;
            taken += mmuext1(MMUEXT_CLEAR_PAGE, mfn) == 0;
            taken += mmu_update1(mfn * PAGE, 0) == 0;
            taken += mmu_update1(mfn * PAGE | MMU_MACHPHYS_UPDATE, 1) == 0;
        }
    }
    check(tried > 100);
    check_eq(taken, 0);
}

/* The frames of the machine-to-physical table can be had, read-only, and only by their true owner.
 */
static void test_m2p_frames(void)
{
    xen_pfn_t frames[4] = { 0 };
    struct xen_machphys_mfn_list list = { .max_extents = 4, .extent_start = gptr(frames) };
    struct mmu_update u;
    u32 done;

    check_eq(memory_op(XENMEM_machphys_mfn_list, &list), 0);
    check(list.nr_extents >= 1);
    refuse("M2P frame writable", l1, 1, frames[0] * PAGE | PTE_RW, ANY);
    refuse("M2P frame as a table", l2, 1, frames[0] * PAGE | TABLE_BITS, -EINVAL);
    if (is_dom0) {
        u = (struct mmu_update){ .ptr = entry_of(l1, 1), .val = frames[0] * PAGE | PTE_RW };
        check(hc4(__HYPERVISOR_mmu_update, U64(&u), 1, U64(&done), DOMID_XEN) < 0);
        u.val = frames[0] * PAGE | PTE_RO;
        check_eq(hc4(__HYPERVISOR_mmu_update, U64(&u), 1, U64(&done), DOMID_XEN), 0);
        check_eq(mmu_update1(entry_of(l1, 1), 0), 0);
    }
}

static void test_calls(void)
{
    struct mmu_update u = { .ptr = entry_of(l1, 1), .val = mfn_of(page) * PAGE | PTE_RW };
    struct mmuext_op op = { .cmd = 99 };
    u32 done;

    check_eq(mmu_update1(entry_of(l1, 1) | 7, 0), -ENOSYS);
    check_eq(mmu_update1(0x7fffffff000UL, 0), -EINVAL);
    check_eq(mmu_update1(0x7fffffff000UL | MMU_MACHPHYS_UPDATE, 0), -EINVAL);
    check_eq(hc4(__HYPERVISOR_mmu_update, U64(&u), 1, U64(&done), 4321), -ESRCH);
    check_eq(hc4(__HYPERVISOR_mmu_update, 8, 1, U64(&done), DOMID_SELF), -EFAULT);
    check_eq(hc4(__HYPERVISOR_mmu_update, 0xffff830000000000UL, 1, 0, DOMID_SELF), -EFAULT);
    check_eq(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, U64(&done), DOMID_SELF), -ENOSYS);
    check_eq(done, 0);
    check_eq(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, U64(&done), 4321), -ESRCH);
    check_eq(hc4(__HYPERVISOR_mmuext_op, 8, 1, 0, DOMID_SELF), -EFAULT);
    check_eq(update_va((void *)0x10000000, mfn_of(page) * PAGE | PTE_RW, 0), -EINVAL);
    check_eq(hc4(__HYPERVISOR_update_va_mapping_otherdomain, U64(page),
                 mfn_of(page) * PAGE | PTE_RW, 0, 4321),
             -ESRCH);
}

void test_main(void)
{
    build();
    test_writable_tables();
    test_levels();
    test_linear();
    test_hole();
    test_bits();
    test_pin_refusals();
    test_foreign_frames();
    test_m2p_frames();
    test_calls();
    /* the tree still works, and can be taken down */
    check_eq(mmu_update1(entry_of(l4, 300), 0), 0);
    page_restore(l1);
    page_restore(l2);
    page_restore(l3);
    page_restore(spare);
}
