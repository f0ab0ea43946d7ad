/* SPDX-License-Identifier: MIT */
/* Page tables the legal way: mapping, batches, new tables, pins, base pointers, GDT, LDT,
 * ballooning. */
#include "kit/kit.h"

const char kit_name[] = "mmu-basic";

static void write_byte(u64 va)
{
    *(volatile u8 *)va = 1;
}

static void read_byte(u64 va)
{
    (void)*(volatile u8 *)va;
}

static void test_update_va(void)
{
    u8 *a = page_alloc(), *b = page_alloc(), *va = page_alloc();
    u64 mask = 1;

    a[0] = 0xaa;
    b[0] = 0xbb;
    check_eq(update_va(va, mfn_of(a) * PAGE | PTE_RW, UVMF_INVLPG), 0);
    check_eq(*(volatile u8 *)va, 0xaa);
    check_eq(update_va(va, mfn_of(b) * PAGE | PTE_RW, UVMF_TLB_FLUSH), 0);
    check_eq(*(volatile u8 *)va, 0xbb);
    check_eq(update_va(va, mfn_of(a) * PAGE | PTE_RW, UVMF_INVLPG | UVMF_ALL), 0);
    check_eq(*(volatile u8 *)va, 0xaa);
    check_eq(update_va(va, mfn_of(b) * PAGE | PTE_RW, UVMF_TLB_FLUSH | UVMF_ALL), 0);
    check_eq(*(volatile u8 *)va, 0xbb);
    check_eq(update_va(va, mfn_of(a) * PAGE | PTE_RW, UVMF_INVLPG | U64(&mask)), 0);
    check_eq(*(volatile u8 *)va, 0xaa);
    check_eq(update_va(va, mfn_of(a) * PAGE | PTE_RO, UVMF_INVLPG), 0);
    check_fault(write_byte, va, 14, 3);
    check_eq(update_va(va, 0, UVMF_INVLPG), 0);
    check_fault(read_byte, va, 14, 0);
    check_eq(*pte_ptr(va, 1), 0);
    /* a not-present entry may hold anything */
    check_eq(update_va(va, 0x123456789abcde0UL, UVMF_INVLPG), 0);
    check_eq(*pte_ptr(va, 1), 0x123456789abcde0UL);
    check_fault(read_byte, va, 14, 0);
    /* available bits and the caching bits survive */
    check_eq(update_va(va, mfn_of(a) * PAGE | PTE_RW | 0x600 | PTE_NX, UVMF_INVLPG), 0);
    check_eq(*pte_ptr(va, 1) & (0x600 | PTE_NX | PTE_ADDR), 0x600 | PTE_NX | mfn_of(a) * PAGE);
    page_restore(va);
}

static void test_mmu_update(void)
{
    static struct mmu_update u[64];
    u8 *a = page_alloc(), *va = page_alloc();
    u64 pte = pte_maddr(va, 1);
    u32 done = 0, bad = 0;

    check_eq(mmu_update1(pte, mfn_of(a) * PAGE | PTE_RW), 0);
    check_eq(*pte_ptr(va, 1) & PTE_ADDR, mfn_of(a) * PAGE);
    for (u32 i = 0; i < 64; i++) {
        u[i] = (struct mmu_update){ .ptr = pte, .val = mfn_of(i & 1 ? a : va) * PAGE | PTE_RW };
    }
    check_eq(hc4(__HYPERVISOR_mmu_update, U64(u), 64, U64(&done), DOMID_SELF), 0);
    check_eq(done, 64);
    /* elements before a bad one are done, it and later ones are not */
    u[40].ptr |= 4;
    for (u32 i = 0; i < 64; i++) {
        u[i].val = mfn_of(i & 1 ? va : a) * PAGE | PTE_RW;
    }
    bad = (u32)hc4(__HYPERVISOR_mmu_update, U64(u), 64, U64(&done), DOMID_SELF);
    check((s32)bad < 0);
    check_eq(done, 40);
    check_eq(*pte_ptr(va, 1) & PTE_ADDR, mfn_of(va) * PAGE);
    check_eq(hc4(__HYPERVISOR_mmu_update, U64(u), 1, 0, DOMID_SELF), 0); /* count not wanted */
    check_eq(hc4(__HYPERVISOR_mmu_update, U64(u), 0, U64(&done), DOMID_SELF), 0);
    check_eq(done, 0);
    /* accessed and dirty stay as they are with PRESERVE_AD */
    page_restore(va);
    *(volatile u8 *)va = 1;
    check_eq(mmu_update1(pte | MMU_PT_UPDATE_PRESERVE_AD, mfn_of(va) * PAGE | PTE_P | PTE_W), 0);
    check_eq(*pte_ptr(va, 1) & (PTE_A | PTE_D), PTE_A | PTE_D);
    check_eq(mmu_update1(pte, mfn_of(va) * PAGE | PTE_P | PTE_W), 0);
    check_eq(*pte_ptr(va, 1) & (PTE_A | PTE_D), 0);
    mmuext1(MMUEXT_TLB_FLUSH_LOCAL, 0);
    *(volatile u8 *)va = 1;
    check_eq(*pte_ptr(va, 1) & (PTE_A | PTE_D), PTE_A | PTE_D);
    /* a data page of one's own may be written this way as well */
    check_eq(mmu_update1(mfn_of(a) * PAGE + 64, 0x1122334455667788UL), 0);
    check_eq(*(volatile u64 *)(a + 64), 0x1122334455667788UL);
}

static void test_m2p(void)
{
    u8 *page = page_alloc();
    u64 mfn = mfn_of(page), pfn = mfn_to_pfn(mfn);
    volatile u64 *entry = (u64 *)HYPERVISOR_VIRT_START + mfn;

    check_eq(mmu_update1(mfn * PAGE | MMU_MACHPHYS_UPDATE, 0x7777), 0);
    check_eq(*entry, 0x7777);
    check_eq(mmu_update1(mfn * PAGE | MMU_MACHPHYS_UPDATE, pfn), 0);
    check_eq(*entry, pfn);
}

/* Three new levels under an unused top-level slot. */
static void test_new_tables(void)
{
    u64 *l1 = page_alloc(), *l2 = page_alloc(), *l3 = page_alloc(), *l4 = (u64 *)si->pt_base;
    u8 *page = page_alloc();
    u8 *va = (u8 *)((300UL - 512) << 39 | 3UL << 30 | 5UL << 21 | 7UL << 12);
    u64 slot = mfn_of(l4) * PAGE + 300 * 8;
    u64 bits = PTE_P | PTE_W | PTE_U | PTE_A;

    page[9] = 0x99;
    l1[7] = mfn_of(page) * PAGE | PTE_RW;
    l2[5] = mfn_of(l1) * PAGE | bits;
    l3[3] = mfn_of(l2) * PAGE | bits;
    check(mmu_update1(slot, mfn_of(l3) * PAGE | bits) < 0); /* the tables are still writable */
    page_protect(l1, false);
    page_protect(l2, false);
    page_protect(l3, false);
    check_eq(mmu_update1(slot, mfn_of(l3) * PAGE | bits), 0);
    check_eq(va[9], 0x99);
    va[10] = 0x55;
    check_eq(page[10], 0x55);
    check(update_va(l1, mfn_of(l1) * PAGE | PTE_RW, UVMF_INVLPG) < 0); /* tables now */
    check(update_va(l3, mfn_of(l3) * PAGE | PTE_RW, UVMF_INVLPG) < 0);
    /* changed through the new path: by its address and by the machine address of the entry */
    check_eq(update_va(va, 0, UVMF_INVLPG), 0);
    check_fault(read_byte, va, 14, 0);
    check_eq(mmu_update1(mfn_of(l1) * PAGE + 7 * 8, mfn_of(page) * PAGE | PTE_RW), 0);
    check_eq(va[9], 0x99);
    check_eq(mmu_update1(mfn_of(l2) * PAGE + 5 * 8, 0), 0);
    mmuext1(MMUEXT_TLB_FLUSH_LOCAL, 0);
    check_fault(read_byte, va, 14, 0);
    check_eq(update_va(va, 0, 0), -EINVAL); /* no level-1 table there */
    check_eq(mmu_update1(slot, 0), 0);
    mmuext1(MMUEXT_TLB_FLUSH_LOCAL, 0);
    check_fault(read_byte, va, 14, 0);
    page_restore(l1); /* ordinary pages again */
    page_restore(l2);
    page_restore(l3);
    l1[0] = 1;
}

static void test_pins(void)
{
    u64 *l1 = page_alloc();
    u8 *page = page_alloc();

    for (u32 i = 0; i < 512; i++) {
        l1[i] = mfn_of(page) * PAGE | PTE_RW;
    }
    page_protect(l1, false);
    check_eq(mmuext1(MMUEXT_UNPIN_TABLE, mfn_of(l1)), -EINVAL);
    check_eq(mmuext1(MMUEXT_PIN_L1_TABLE, mfn_of(l1)), 0);
    check_eq(mmuext1(MMUEXT_PIN_L1_TABLE, mfn_of(l1)), -EINVAL); /* pinned already */
    check_eq(mmuext1(MMUEXT_PIN_L2_TABLE, mfn_of(l1)), -EINVAL);
    check(update_va(l1, mfn_of(l1) * PAGE | PTE_RW, UVMF_INVLPG) < 0);
    check_eq(mmuext1(MMUEXT_UNPIN_TABLE, mfn_of(l1)), 0);
    check_eq(mmuext1(MMUEXT_UNPIN_TABLE, mfn_of(l1)), -EINVAL);
    page_restore(l1);
    l1[3] = 0;
    for (u32 i = 0; i < 20; i++) {
        page_protect(l1, false);
        check_eq(mmuext1(MMUEXT_PIN_L1_TABLE, mfn_of(l1)), 0);
        check_eq(mmuext1(MMUEXT_UNPIN_TABLE, mfn_of(l1)), 0);
        page_restore(l1);
    }
}

static void test_base_pointers(void)
{
    u64 *l4 = l4_clone(), cr3;
    u8 *page = page_alloc();

    check_eq(mmuext1(MMUEXT_PIN_L4_TABLE, mfn_of(l4)), 0);
    check_eq(mmuext1(MMUEXT_NEW_BASEPTR, mfn_of(l4)), 0);
    __asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
    check_eq(cr3 & PTE_ADDR, mfn_of(l4) * PAGE);
    page[0] = 1;
    /* the running one cannot become an ordinary page, pinned or not */
    check_eq(mmuext1(MMUEXT_UNPIN_TABLE, mfn_of(l4)), 0);
    check(update_va(l4, mfn_of(l4) * PAGE | PTE_RW, UVMF_INVLPG) < 0);
    check_eq(mmuext1(MMUEXT_NEW_BASEPTR, mfn_of((void *)si->pt_base)), 0);
    page_restore(l4); /* unreferenced: ordinary again */
    page_protect(l4, false);
    for (u32 i = 256; i < 272; i++) {
        check(l4[i] == 0 || l4[i] != 1);
    }
    check_eq(mmuext1(MMUEXT_NEW_BASEPTR, mfn_of(l4)), 0); /* not pinned: validated on the way */
    check_eq(mmuext1(MMUEXT_NEW_BASEPTR, mfn_of((void *)si->pt_base)), 0);
    check_eq(mmuext1(MMUEXT_NEW_USER_BASEPTR, mfn_of(l4)), 0);
    check_eq(mmuext1(MMUEXT_NEW_USER_BASEPTR, 0), 0);
    page_restore(l4);
}

static void test_small_ops(void)
{
    u8 *a = page_alloc(), *b = page_alloc();
    struct mmuext_op op = { .cmd = MMUEXT_INVLPG_LOCAL, .arg1.linear_addr = U64(a) };
    u64 mask = 1;
    u32 sum = 0;

    check_eq(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF), 0);
    op.cmd = MMUEXT_INVLPG_ALL;
    check_eq(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF), 0);
    op.cmd = MMUEXT_INVLPG_MULTI;
    op.arg2.vcpumask = gptr(&mask);
    check_eq(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF), 0);
    op.cmd = MMUEXT_TLB_FLUSH_MULTI;
    check_eq(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF), 0);
    check_eq(mmuext1(MMUEXT_TLB_FLUSH_LOCAL, 0), 0);
    check_eq(mmuext1(MMUEXT_TLB_FLUSH_ALL, 0), 0);
    memset(a, 0x77, PAGE);
    memset(b, 0x11, PAGE);
    op = (struct mmuext_op){ .cmd = MMUEXT_COPY_PAGE,
                             .arg1.mfn = mfn_of(b),
                             .arg2.src_mfn = mfn_of(a) };
    check_eq(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF), 0);
    check_eq(memcmp(a, b, PAGE), 0);
    check_eq(mmuext1(MMUEXT_CLEAR_PAGE, mfn_of(b)), 0);
    for (u32 i = 0; i < PAGE; i++) {
        sum += b[i];
    }
    check_eq(sum, 0);
    check(mmuext1(MMUEXT_CLEAR_PAGE, mfn_of((void *)si->pt_base)) < 0);
    op.arg1.mfn = mfn_of((void *)si->pt_base);
    op.cmd = MMUEXT_COPY_PAGE;
    check(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF) < 0);
}

#define DESC_DATA 0x00cff3000000ffffUL /* flat, ring 3, writable */
#define DESC_CODE 0x00affb000000ffffUL /* flat, ring 3, 64-bit */
#define DESC_GATE 0x0000ec00e008ffffUL /* a call gate to a selector of the hypervisor */

static void load_ds(u64 sel)
{
    __asm__ volatile("mov %w0, %%ds; mov %w1, %%ds" ::"r"(sel), "r"(0));
}

static void test_gdt(void)
{
    u64 *gdt = page_alloc();
    xen_pfn_t frame = mfn_of(gdt);

    gdt[3] = DESC_DATA;
    check(hc2(__HYPERVISOR_set_gdt, U64(&frame), 512) < 0); /* still writable */
    page_protect(gdt, false);
    check_eq(hc2(__HYPERVISOR_set_gdt, U64(&frame), 512), 0);
    check_eq(kit_try(load_ds, 3 << 3 | 3), 0);
    check_fault(load_ds, 4 << 3 | 3, 13, 4 << 3);
    check_eq(kit_try(load_ds, USER_DS), 0); /* the hypervisor's own stay */
    check(update_va(gdt, frame * PAGE | PTE_RW, UVMF_INVLPG) < 0);
    check_eq(hc2(__HYPERVISOR_update_descriptor, frame * PAGE + 4 * 8, DESC_DATA), 0);
    check_eq(kit_try(load_ds, 4 << 3 | 3), 0);
    /* a call gate is refused, or disarmed */
    if (hc2(__HYPERVISOR_update_descriptor, frame * PAGE + 5 * 8, DESC_GATE) == 0) {
        check_eq(gdt[5] >> 47 & 1, 0);
    }
    check_eq(hc2(__HYPERVISOR_update_descriptor, frame * PAGE + 5, DESC_DATA), -EINVAL);
    check_eq(hc2(__HYPERVISOR_update_descriptor, 0x7fffffff000UL, DESC_DATA), -EINVAL);
    /* a ring-0 descriptor is demoted or refused, never taken as it is */
    if (hc2(__HYPERVISOR_update_descriptor, frame * PAGE + 6 * 8, 0x00cf93000000ffffUL) == 0) {
        check_eq(gdt[6] >> 45 & 3, 3);
    }
    check_eq(hc2(__HYPERVISOR_set_gdt, U64(&frame), 7169), -EINVAL);
    check_eq(hc2(__HYPERVISOR_set_gdt, 8, 512), -EFAULT);
    check_eq(hc2(__HYPERVISOR_set_gdt, 0, 0), 0);
    page_restore(gdt);
    check_fault(load_ds, 3 << 3 | 3, 13, 3 << 3);
}

static void test_ldt(void)
{
    u64 *ldt = page_alloc();
    struct mmuext_op op = { .cmd = MMUEXT_SET_LDT,
                            .arg1.linear_addr = U64(ldt),
                            .arg2.nr_ents = 8 };

    ldt[1] = DESC_DATA;
    page_protect(ldt, false);
    check_eq(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF), 0);
    check_eq(kit_try(load_ds, 1 << 3 | 7), 0);
    check_fault(load_ds, 2 << 3 | 7, 13, 2 << 3 | 4);
    check_fault(load_ds, 9 << 3 | 7, 13, 9 << 3 | 4); /* beyond the limit */
    check(update_va(ldt, mfn_of(ldt) * PAGE | PTE_RW, UVMF_INVLPG) <
          0); /* loaded: a descriptor page */
    op.arg1.linear_addr = U64(ldt) + 8;
    check_eq(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF), -EINVAL);
    op.arg1.linear_addr = U64(ldt);
    op.arg2.nr_ents = 8193;
    check_eq(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF), -EINVAL);
    op.arg1.linear_addr = 0;
    op.arg2.nr_ents = 0;
    check_eq(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF), 0);
    check_fault(load_ds, 1 << 3 | 7, 13, 1 << 3 | 4);
    page_restore(ldt);
}

static void test_balloon(void)
{
    u8 *page = page_alloc();
    xen_pfn_t frame = mfn_of(page), pfn = mfn_to_pfn(frame);
    struct xen_memory_reservation r = { .extent_start = gptr(&frame),
                                        .nr_extents = 1,
                                        .domid = DOMID_SELF };
    domid_t self = DOMID_SELF;
    long before = memory_op(XENMEM_current_reservation, &self);

    check_eq(before, si->nr_pages);
    page_remap(page, 0);
    check_eq(memory_op(XENMEM_decrease_reservation, &r), 1);
    check_eq(memory_op(XENMEM_current_reservation, &self), before - 1);
    check(update_va(page, mfn_of(page) * PAGE | PTE_RW, UVMF_INVLPG) < 0); /* not ours any more */
    check_eq(memory_op(XENMEM_decrease_reservation, &r), 0);
    frame = pfn;
    check_eq(memory_op(XENMEM_populate_physmap, &r), 1);
    check(frame != pfn || frame == mfn_of(page));
    check_eq(mfn_to_pfn(frame), pfn);
    mfn_set(page, frame);
    page_restore(page);
    page[17] = 3;
    check_eq(memory_op(XENMEM_current_reservation, &self), before);
}

/* A frame is swapped for another, as the kernel does for its DMA areas. */
static void test_exchange(void)
{
    u8 *page = page_alloc();
    xen_pfn_t in = mfn_of(page), out = mfn_to_pfn(in);
    u64 pfn = out;
    struct xen_memory_exchange x = {
        .in = { .extent_start = gptr(&in), .nr_extents = 1, .domid = DOMID_SELF },
        .out = { .extent_start = gptr(&out),
                 .nr_extents = 1,
                 .mem_flags = XENMEMF_address_bits(32),
                 .domid = DOMID_SELF }
    };

    page_remap(page, 0);
    check_eq(memory_op(XENMEM_exchange, &x), 0);
    check_eq(x.nr_exchanged, 1);
    check(out < 1UL << 20);
    check_eq(mfn_to_pfn(out), pfn);
    mfn_set(page, out);
    page_restore(page);
    page[5] = 1;
    x.nr_exchanged = 0;
    x.out.nr_extents = 2;
    check_eq(memory_op(XENMEM_exchange, &x), -EINVAL);
}

void test_main(void)
{
    test_update_va();
    test_mmu_update();
    test_m2p();
    test_new_tables();
    test_pins();
    test_base_pointers();
    test_small_ops();
    test_gdt();
    test_ldt();
    test_balloon();
    test_exchange();
}
