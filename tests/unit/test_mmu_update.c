/* SPDX-License-Identifier: MIT */
/* mmu_update and update_va_mapping: what is taken, what is refused with which error, and that
 * refusals change nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "abi/errno.h"
#include "arch/host/machine.h"
#include "guest/x86_slots.h"
#include "mm/heap.h"
#include "port/copy.h"
#include "port/mmu.h"
#include "tests/unit/mm_kit.h"

#define SLOT 100u /* a free slot of every table of the kit */

static struct kit_guest g, dom0_guest;

static int begin(void **state)
{
    (void)state;
    host_inject_yields(0, 1);
    host_guest_flat(true);
    kit_guest(&g, false, 2);
    return 0;
}

static int end(void **state)
{
    (void)state;
    kit_audit();
    kit_guest_end(&g);
    kit_audit();
    return 0;
}

static int64_t set(const struct frame *table, unsigned int i, pte_t e)
{
    return kit_mmu_update(kit_maddr(table, i), e);
}

/* Refused with that error, and nothing is different from before. */
static void refuse(struct frame *table, unsigned int i, pte_t e, int64_t want)
{
    struct frame *f = frame_of(pte_mfn(e));
    pte_t was = kit_entry(table, i);
    uint64_t word = f != NULL ? frame_word(f) : 0;
    int64_t rc = set(table, i, e);

    if (rc != want) {
        print_error("entry %#lx: %ld, want %ld\n", (unsigned long)e, (long)rc, (long)want);
    }
    assert_int_equal(rc, want);
    assert_int_equal(kit_entry(table, i), was);
    if (f != NULL) {
        assert_int_equal(frame_word(f) & ~FW_TYPE_MASK, word & ~FW_TYPE_MASK);
    }
    kit_audit();
}

static void accept(struct frame *table, unsigned int i, pte_t e, pte_t stored)
{
    assert_int_equal(set(table, i, e), 0);
    assert_int_equal(kit_entry(table, i), stored);
    kit_audit();
}

static void test_level1(void **state)
{
    struct frame *f = kit_frame(&g);

    (void)state;
    accept(g.l1, SLOT, kit_pte(f, K_RW), kit_pte(f, K_RW | PTE_US | PTE_GUEST_KERNEL));
    assert_int_equal(kit_refs(f), 2);
    assert_int_equal(kit_type_refs(f), 1);
    accept(g.l1, SLOT, kit_pte(f, K_RO), kit_pte(f, K_RO | PTE_US | PTE_GUEST_KERNEL));
    assert_int_equal(kit_refs(f), 2);
    assert_int_equal(kit_type_refs(f), 0);
    /* user pages are global, kernel pages never; what is read back may be written back */
    accept(g.l1, SLOT, kit_pte(f, U_RW), kit_pte(f, U_RW | PTE_G));
    accept(g.l1, SLOT, kit_entry(g.l1, SLOT), kit_entry(g.l1, SLOT));
    accept(g.l1, SLOT, kit_pte(f, K_RW | PTE_G), kit_pte(f, K_RW | PTE_US | PTE_GUEST_KERNEL));
    accept(g.l1, SLOT, kit_entry(g.l1, SLOT), kit_entry(g.l1, SLOT));
    accept(g.l1, SLOT, 0, 0);
    assert_int_equal(kit_refs(f), 1);
    /* anything goes if it is not present */
    accept(g.l1, SLOT, 0x123456789abcdef0, 0x123456789abcdef0);
    accept(g.l1, SLOT, 0, 0);
}

/* XSA-148, 182: no bit of an entry that is already there slips by. */
static void test_every_bit(void **state)
{
    const uint64_t refused1 = PTE_PWT | PTE_PCD | PTE_PAT;
    const uint64_t refused2 = PTE_PWT | PTE_PCD | PTE_PSE | PTE_G;
    struct frame *f = kit_frame(&g);

    (void)state;
    for (unsigned int bit = 0; bit < 64; bit++) {
        uint64_t m = UINT64_C(1) << bit;
        if ((m & PTE_ADDR) != 0) {
            continue;
        }
        assert_int_equal(set(g.l1, SLOT, kit_pte(f, K_RW)), 0);
        if ((m & refused1) != 0) {
            refuse(g.l1, SLOT, kit_pte(f, K_RW ^ m), -EINVAL);
        } else {
            assert_int_equal(set(g.l1, SLOT, kit_pte(f, K_RW ^ m)), 0);
        }
        struct frame *const tables[3] = { g.l2, g.l3, g.l4 };
        struct frame *const child[3] = { g.l1, g.l2, g.l3 };
        for (unsigned int t = 0; t < 3; t++) {
            unsigned int slot = t == 2 ? pt_index(KIT_VA, 4) : 0;
            if ((m & refused2) != 0) {
                refuse(tables[t], slot, kit_pte(child[t], TAB ^ m), -EINVAL);
            } else if (m != PTE_P) {
                assert_int_equal(set(tables[t], slot, kit_pte(child[t], TAB ^ m)), 0);
                assert_true((kit_entry(tables[t], slot) & PTE_US) != 0);
                assert_int_equal(set(tables[t], slot, kit_pte(child[t], TAB)), 0);
            }
        }
        kit_audit();
    }
}

static void test_ownership(void **state)
{
    struct frame *hv = frame_of(port_va_mfn(heap_alloc(0, HEAP_ANY)));
    struct frame *foreign = kit_frame(&dom0_guest);
    uint64_t hole = frame_limit - frame_limit / 8;
    void *p = heap_alloc(0, HEAP_ANY);
    struct frame *free_frame = frame_of(port_va_mfn(p));

    (void)state;
    heap_free(p, 0);
    struct frame *const bad[] = { hv, foreign, free_frame };
    for (unsigned int i = 0; i < 3; i++) {
        refuse(g.l1, SLOT, kit_pte(bad[i], K_RW), -EINVAL);
        refuse(g.l1, SLOT, kit_pte(bad[i], K_RO), -EINVAL);
        refuse(g.l2, SLOT, kit_pte(bad[i], TAB), -EINVAL);
        assert_int_equal(set(bad[i], 0, 0), -EINVAL);
        assert_int_equal(kit_mmu_update(kit_maddr(bad[i], 0) | MMU_MACHPHYS_UPDATE, 1), -EINVAL);
    }
    refuse(g.l1, SLOT, pte_make(MFN(hole), K_RW), -EPERM);
    refuse(g.l1, SLOT, pte_make(MFN(UINT64_C(1) << 39), K_RW), -EPERM);
    refuse(g.l2, SLOT, pte_make(MFN(hole), TAB), -EINVAL);
    refuse(g.l2, SLOT, pte_make(MFN(UINT64_C(1) << 39), TAB), -EINVAL);
    assert_int_equal(kit_mmu_update(hole << PAGE_SHIFT, 0), -EINVAL);
    heap_free(port_frame_va(frame_mfn(hv)), 0);
}

/* I5: no table is writable, however one tries. */
static void test_writable_tables(void **state)
{
    struct frame *const tables[4] = { g.l1, g.l2, g.l3, g.l4 };
    struct frame *f = kit_frame(&g);

    (void)state;
    for (unsigned int i = 0; i < 4; i++) {
        refuse(g.l1, SLOT, kit_pte(tables[i], K_RW), -EBUSY);
        refuse(g.l1, KIT_DATA + i, kit_pte(tables[i], K_RW), -EBUSY);
        refuse(g.l1, KIT_DATA + i, kit_pte(tables[i], K_RW | PTE_AVL), -EBUSY);
    }
    /* what is mapped writable becomes no table */
    assert_int_equal(set(g.l1, SLOT, kit_pte(f, K_RW)), 0);
    refuse(g.l2, SLOT, kit_pte(f, TAB), -EINVAL);
    assert_int_equal(set(g.l1, SLOT, kit_pte(f, K_RO)), 0);
    accept(g.l2, SLOT, kit_pte(f, TAB), kit_pte(f, TAB));
    refuse(g.l1, SLOT, kit_pte(f, K_RW), -EBUSY);
    accept(g.l2, SLOT, 0, 0);
    assert_int_equal(set(g.l1, SLOT, kit_pte(f, K_RW)), 0);
}

static void test_levels(void **state)
{
    struct frame *const table[5] = { NULL, g.l1, g.l2, g.l3, g.l4 };

    (void)state;
    for (unsigned int level = 2; level <= 4; level++) {
        for (unsigned int child = 1; child <= 4; child++) {
            if (child + 1 != level) {
                refuse(table[level], SLOT, kit_pte(table[child], TAB), -EINVAL);
            } else {
                accept(table[level], SLOT, kit_pte(table[child], TAB), kit_pte(table[child], TAB));
                accept(table[level], SLOT, 0, 0);
            }
        }
    }
    for (unsigned int i = PT4_HV_FIRST; i <= PT4_HV_LAST; i++) {
        refuse(g.l4, i, kit_pte(g.l3, TAB), -EINVAL);
        refuse(g.l4, i, 0, -EINVAL);
    }
}

/* A subtree with a mistake at the bottom is refused whole. */
static void test_bad_subtree(void **state)
{
    struct frame *l3 = kit_frame(&g), *l2 = kit_frame(&g), *l1 = kit_frame(&g);
    struct frame *f = kit_frame(&g);

    (void)state;
    for (unsigned int i = 0; i < PT_ENTRIES; i++) {
        kit_poke(l1, i, kit_pte(f, K_RW));
        kit_poke(l2, i, kit_pte(i & 1 ? l1 : g.l1, TAB));
    }
    kit_poke(l3, 5, kit_pte(g.l2, TAB));
    kit_poke(l3, 7, kit_pte(l2, TAB));
    for (unsigned int yields = 0; yields < 3; yields++) {
        host_inject_yields(yields, 7);
        kit_poke(l1, 511, kit_pte(l2, K_RW));
        refuse(g.l4, SLOT, kit_pte(l3, TAB), -EINVAL);
        assert_int_equal(kit_refs(f), 1);
        kit_poke(l1, 511, 0);
        kit_poke(l2, 511, kit_pte(f, TAB | PTE_PSE));
        refuse(g.l4, SLOT, kit_pte(l3, TAB), -EINVAL);
        kit_poke(l2, 511, kit_pte(l1, TAB));
        assert_int_equal(set(g.l4, SLOT, kit_pte(l3, TAB)), 0);
        assert_int_equal(kit_refs(l1), 1 + 256);
        assert_int_equal(kit_refs(f), 1 + 511);
        kit_audit();
        assert_int_equal(set(g.l4, SLOT, 0), 0);
        kit_audit();
        assert_int_equal(kit_refs(f), 1);
    }
}

static void test_commands(void **state)
{
    uint64_t at = kit_maddr(g.l1, SLOT);
    struct frame *f = kit_frame(&g);

    (void)state;
    for (uint64_t cmd = 4; cmd < 8; cmd++) {
        assert_int_equal(kit_mmu_update(at | cmd, 0), -ENOSYS);
    }
    assert_int_equal(kit_mmu_update(at | MMU_PT_UPDATE_NO_TRANSLATE, kit_pte(f, K_RW)), 0);
    /* accessed and dirty as they are, or as they are given */
    assert_int_equal(kit_mmu_update(at | MMU_PT_UPDATE_PRESERVE_AD, kit_pte(f, PTE_P | PTE_RW)), 0);
    assert_int_equal(kit_entry(g.l1, SLOT) & (PTE_A | PTE_D), PTE_A | PTE_D);
    assert_int_equal(kit_mmu_update(at, kit_pte(f, PTE_P | PTE_RW)), 0);
    assert_int_equal(kit_entry(g.l1, SLOT) & (PTE_A | PTE_D), 0);
    /* the number of a frame, and a store into a page that is no table */
    assert_int_equal(kit_mmu_update(kit_maddr(f, 0) | MMU_MACHPHYS_UPDATE, 77), 0);
    assert_int_equal(port_m2p_get(frame_mfn(f)), 77);
    assert_int_equal(set(f, 9, 0x1122334455667788), 0);
    assert_int_equal(kit_entry(f, 9), 0x1122334455667788);
    assert_int_equal(kit_mmu_update(mfn_to_paddr(frame_mfn(g.l1)) | MMU_MACHPHYS_UPDATE, 5), 0);
    kit_audit();
}

/* Elements before a bad one are done, the number is reported, and faults of the arguments are
 * errors. */
static void test_batches(void **state)
{
    struct mmu_update u[100];
    uint32_t done = 99;
    struct frame *f = kit_frame(&g);

    (void)state;
    for (unsigned int i = 0; i < 100; i++) {
        u[i] = (struct mmu_update){ kit_maddr(g.l1, SLOT + i), kit_pte(f, K_RO) };
    }
    u[60].val = kit_pte(g.l1, K_RW);
    for (unsigned int yields = 0; yields < 3; yields++) {
        host_inject_yields(yields, 3);
        assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)u, 100, (uintptr_t)&done, DOMID_SELF),
                         -EBUSY);
        assert_int_equal(done, 60);
        assert_int_equal(kit_refs(f), 61);
        assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)u, 60, (uintptr_t)&done, DOMID_SELF),
                         0);
        assert_int_equal(done, 60);
        assert_int_equal(kit_call(hc_mmu_update, 0, 0, (uintptr_t)&done, DOMID_SELF), 0);
        assert_int_equal(done, 0);
    }
    kit_audit();
    host_inject_yields(0, 1);
    for (unsigned int i = 0; i < 60; i++) {
        u[i].val = 0;
    }
    host_fault_at(40 * sizeof u[0] + 3); /* in the third piece that is copied */
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)u, 60, 0, DOMID_SELF), -EFAULT);
    assert_int_equal(kit_refs(f), 1 + 60 - 32);
    assert_int_equal(kit_call(hc_mmu_update, HV_VIRT_START, 1, 0, DOMID_SELF), -EFAULT);
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)u, 1, HV_VIRT_START, DOMID_SELF), -EFAULT);
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)u, 1, 0, 4321), -ESRCH);
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)u, 1, 0, DOMID_SELF | 4322u << 16), -ESRCH);
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)u, 1, 0, dom0_guest.d->id), -EPERM);
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)u, 1, 0, DOMID_XEN), -EPERM);
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)u, 1, 0, DOMID_IO), -EPERM);
}

static void test_update_va(void **state)
{
    struct frame *f = kit_frame(&g);
    uint64_t va = KIT_VA + SLOT * PAGE_SIZE;
    uint64_t mask = 3;

    (void)state;
    assert_int_equal(kit_update_va(va, kit_pte(f, K_RW), 0), 0);
    assert_int_equal(kit_entry(g.l1, SLOT), kit_pte(f, K_RW | PTE_US | PTE_GUEST_KERNEL));
    assert_int_equal(kit_update_va(va, kit_pte(f, K_RO), UVMF_INVLPG | (uintptr_t)&mask), 0);
    assert_int_equal(kit_update_va(va, kit_pte(f, K_RO), UVMF_INVLPG | HV_VIRT_START), -EFAULT);
    assert_int_equal(kit_update_va(va, 0, UVMF_TLB_FLUSH | UVMF_ALL), 0);
    assert_int_equal(kit_update_va(va, kit_pte(g.l2, K_RW), 0), -EBUSY);
    assert_int_equal(kit_update_va(HV_VIRT_START, kit_pte(f, K_RW), 0), -EINVAL);
    assert_int_equal(kit_update_va(HV_VIRT_END - 1, kit_pte(f, K_RW), 0), -EINVAL);
    assert_int_equal(kit_update_va(UINT64_C(1) << 47, kit_pte(f, K_RW), 0), -EINVAL);
    assert_int_equal(kit_update_va(~UINT64_C(0), kit_pte(f, K_RW), 0), -EINVAL);
    assert_int_equal(kit_update_va(KIT_VA + (UINT64_C(1) << 21), kit_pte(f, K_RW), 0), -EINVAL);
    assert_int_equal(kit_update_va(KIT_VA + (UINT64_C(1) << 30), kit_pte(f, K_RW), 0), -EINVAL);
    assert_int_equal(kit_update_va(0, kit_pte(f, K_RW), 0), -EINVAL);
    kit_audit();
}

/* After a flush that was asked for, the guest sees what it has written. */
static void test_flush(void **state)
{
    uint64_t va = KIT_VA + SLOT * PAGE_SIZE, x = 0;
    struct frame *a = kit_frame(&g), *b = kit_frame(&g);
    static const uint64_t flags[] = { UVMF_INVLPG, UVMF_TLB_FLUSH, UVMF_INVLPG | UVMF_ALL,
                                      UVMF_TLB_FLUSH | UVMF_ALL };

    (void)state;
    kit_poke(a, 0, 0xa);
    kit_poke(b, 0, 0xb);
    for (unsigned int i = 0; i < 4; i++) {
        assert_int_equal(kit_update_va(va, kit_pte(a, K_RW), flags[i]), 0);
        assert_true(host_access(g.v, va, false, &x));
        assert_int_equal(x, 0xa);
        assert_int_equal(kit_update_va(va, kit_pte(b, K_RW), 0), 0);
        assert_true(host_access(g.v, va, false, &x));
        assert_int_equal(x, 0xa); /* the model remembers, as a processor may */
        assert_int_equal(kit_update_va(va, kit_pte(b, K_RW), flags[i]), 0);
        assert_true(host_access(g.v, va, false, &x));
        assert_int_equal(x, 0xb);
    }
    /* no flush asked for, but the page becomes a table: the old translation is gone */
    x = 5;
    assert_true(host_access(g.v, va, true, &x));
    assert_int_equal(set(g.l1, SLOT, 0), 0);
    kit_poke(b, 0, 0);
    assert_int_equal(set(g.l2, SLOT, kit_pte(b, TAB)), 0);
    assert_false(host_access(g.v, va, true, &x));
    host_tlb_audit();
}

/* dom0 maps a guest's frame by naming the guest; what a page is there is respected. */
static void test_foreign(void **state)
{
    struct mmu_update u = { kit_maddr(dom0_guest.l1, SLOT), 0 };
    struct frame *f = kit_frame(&g);
    uint64_t x = 0, va = KIT_VA + SLOT * PAGE_SIZE;
    domid_t id = g.d->id;

    (void)state;
    host_load(dom0_guest.v);
    u.val = kit_pte(f, K_RW);
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)&u, 1, 0, DOMID_SELF), -EINVAL);
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)&u, 1, 0, id), 0);
    kit_audit();
    x = 42;
    assert_true(host_access(dom0_guest.v, va, true, &x));
    assert_int_equal(kit_entry(f, 0), 42);
    u.val = kit_pte(g.l1, K_RW);
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)&u, 1, 0, id), -EBUSY);
    u.val = kit_pte(g.l1, K_RO);
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)&u, 1, 0, id), 0);
    assert_false(host_access(dom0_guest.v, va, true, &x)); /* the old mapping has left the cache */
    u.val = kit_pte(dom0_guest.data[0], K_RW);
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)&u, 1, 0, id), -EINVAL);
    /* into the guest's own tables: owner of the tables in the upper half */
    u = (struct mmu_update){ kit_maddr(g.l1, SLOT), kit_pte(f, K_RO) };
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)&u, 1, 0, id), -EINVAL);
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)&u, 1, 0, id | (id + 1u) << 16), 0);
    assert_int_equal(kit_refs(f), 2);
    kit_audit();
    /* death of the guest leaves what dom0 still maps */
    host_load(NULL);
    host_domain_end(g.d);
    host_load(dom0_guest.v);
    assert_int_equal(kit_refs(g.l1), 1);
    kit_audit();
    u = (struct mmu_update){ kit_maddr(dom0_guest.l1, SLOT), 0 };
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)&u, 1, 0, DOMID_SELF), 0);
    assert_int_equal(kit_refs(g.l1), 0);
    assert_int_equal(kit_call(hc_mmu_update, (uintptr_t)&u, 1, 0, id), -ESRCH);
    domain_deferred_run();
    kit_audit();
}

static void test_devices(void **state)
{
    uint64_t hole = frame_limit - frame_limit / 8;

    (void)state;
    host_load(dom0_guest.v);
    assert_int_equal(set(dom0_guest.l1, SLOT, pte_make(MFN(hole), K_RW | PTE_PCD | PTE_PWT)), 0);
    assert_int_equal(set(dom0_guest.l1, SLOT, pte_make(MFN(hole + 1), K_RW)), 0);
    assert_int_equal(set(dom0_guest.l1, SLOT, pte_make(MFN(UINT64_C(1) << 39), K_RW)), -EPERM);
    assert_int_equal(set(dom0_guest.l1, SLOT, 0), 0);
    host_load(g.v);
    kit_audit();
}

static int setup(void **state)
{
    (void)state;
    kit_machine(2048, 2);
    kit_guest(&dom0_guest, true, 1);
    return 0;
}

static int end_killed(void **state)
{
    (void)state;
    host_load(NULL);
    kit_audit();
    return 0;
}

/* Where an entry that is not present reads the cache, it may not name memory, by whatever way it
 * comes; and a table that has such an entry does not become one.  Inverted as kernels have it, and
 * with nothing in the address, it may. */
static void test_absent(void **state)
{
    pte_t names = kit_pte(g.data[0], 0) | PTE_RW;
    pte_t inverted = ~names & PTE_ADDR;
    struct frame *l1 = kit_frame(&g);
    struct frame *l2 = kit_frame(&g);

    (void)state;
    assert_int_equal(set(g.l1, SLOT, names), 0);
    assert_int_equal(set(g.l1, SLOT, 0), 0);
    x86_l1tf_mask = (UINT64_C(1) << 44) - PAGE_SIZE;
    x86_l1tf_span = frame_limit * PAGE_SIZE - 1;
    refuse(g.l1, SLOT, names, -EINVAL);
    refuse(g.l1, SLOT, names | UINT64_C(1) << 45, -EINVAL);
    refuse(g.l1, SLOT, (frame_limit - 1) * PAGE_SIZE, -EINVAL);
    refuse(g.l2, SLOT, names, -EINVAL);
    refuse(g.l3, SLOT, names, -EINVAL);
    refuse(g.l4, SLOT, names, -EINVAL);
    assert_int_equal(kit_update_va(KIT_VA + SLOT * PAGE_SIZE, names, 0), -EINVAL);
    assert_int_equal(set(g.l1, SLOT, frame_limit * PAGE_SIZE), 0);
    assert_int_equal(set(g.l1, SLOT, inverted), 0);
    assert_int_equal(set(g.l1, SLOT, PTE_RW | PTE_A), 0);
    assert_int_equal(set(g.l1, SLOT, 0), 0);
    assert_int_equal(set(g.l2, SLOT, inverted), 0);
    assert_int_equal(set(g.l2, SLOT, 0), 0);

    kit_poke(l1, 5, names);
    assert_int_equal(kit_mmuext(MMUEXT_PIN_L1_TABLE, frame_mfn(l1).n, 0), -EINVAL);
    kit_poke(l1, 5, inverted);
    assert_int_equal(kit_mmuext(MMUEXT_PIN_L1_TABLE, frame_mfn(l1).n, 0), 0);
    kit_poke(l2, 5, names);
    assert_int_equal(kit_mmuext(MMUEXT_PIN_L2_TABLE, frame_mfn(l2).n, 0), -EINVAL);
    kit_poke(l2, 5, kit_pte(l1, TAB));
    assert_int_equal(kit_mmuext(MMUEXT_PIN_L2_TABLE, frame_mfn(l2).n, 0), 0);
    assert_int_equal(kit_mmuext(MMUEXT_UNPIN_TABLE, frame_mfn(l2).n, 0), 0);
    assert_int_equal(kit_mmuext(MMUEXT_UNPIN_TABLE, frame_mfn(l1).n, 0), 0);
    g.d->is_hw = true;
    assert_int_equal(set(g.l1, SLOT, names), 0);
    assert_int_equal(set(g.l1, SLOT, 0), 0);
    g.d->is_hw = false;
    x86_l1tf_mask = x86_l1tf_span = 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_level1),
        T(test_every_bit),
        T(test_ownership),
        T(test_writable_tables),
        T(test_levels),
        T(test_bad_subtree),
        T(test_commands),
        T(test_batches),
        T(test_update_va),
        T(test_flush),
        T(test_absent),
        T(test_devices),
        cmocka_unit_test_setup_teardown(test_foreign, begin, end_killed),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
