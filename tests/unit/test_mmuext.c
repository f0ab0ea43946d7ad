/* SPDX-License-Identifier: MIT */
/* mmuext_op, base pointers and domain death: pins, walks that stop half-way, two vcpus that want
 * the same tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "abi/errno.h"
#include "arch/host/machine.h"
#include "guest/x86_slots.h"
#include "mm/heap.h"
#include "port/copy.h"
#include "port/cpu.h"
#include "port/mmu.h"
#include "port/vcpu.h"
#include "tests/unit/mm_kit.h"

static struct kit_guest g;

/* A tree of its own: l4 with two level-3, two level-2 each, two level-1 each, 512 mappings of one
 * page each. */
#define FAN 2u
struct tree {
    struct frame *l4, *l3[FAN], *l2[FAN * FAN], *l1[FAN * FAN * FAN];
    struct frame *page;
};

static struct tree tree;

static uint64_t mfn(const struct frame *f)
{
    return frame_mfn(f).n;
}

static void tree_make(struct tree *t)
{
    t->l4 = kit_frame(&g);
    t->page = kit_frame(&g);
    for (unsigned int i = 0; i < FAN * FAN * FAN; i++) {
        t->l1[i] = kit_frame(&g);
        for (unsigned int k = 0; k < PT_ENTRIES; k++) {
            kit_poke(t->l1[i], k, kit_pte(t->page, K_RW));
        }
    }
    for (unsigned int i = 0; i < FAN * FAN; i++) {
        t->l2[i] = kit_frame(&g);
        for (unsigned int k = 0; k < FAN; k++) {
            kit_poke(t->l2[i], 3 + k * 100, kit_pte(t->l1[i * FAN + k], TAB));
        }
    }
    for (unsigned int i = 0; i < FAN; i++) {
        t->l3[i] = kit_frame(&g);
        for (unsigned int k = 0; k < FAN; k++) {
            kit_poke(t->l3[i], 7 + k * 100, kit_pte(t->l2[i * FAN + k], TAB));
        }
        kit_poke(t->l4, 5 + i * 100, kit_pte(t->l3[i], TAB));
    }
}

#define TREE_MAPPINGS (FAN * FAN * FAN * PT_ENTRIES)

static int begin(void **state)
{
    (void)state;
    host_inject_yields(0, 1);
    kit_guest(&g, false, 2);
    tree_make(&tree);
    return 0;
}

static int end(void **state)
{
    (void)state;
    host_inject_yields(0, 1);
    host_cpu_enter(1);
    host_load(NULL);
    host_cpu_enter(0);
    host_load(NULL);
    kit_audit();
    uint64_t free = heap_free_frames();
    uint64_t owned = g.d->owned_frames;
    kit_guest_end(&g);
    kit_audit();
    assert_true(heap_free_frames() >= free + owned);
    return 0;
}

static void test_pin(void **state)
{
    (void)state;
    for (unsigned int yields = 0; yields < 4; yields++) {
        host_inject_yields(yields, 5);
        assert_int_equal(kit_mmuext(MMUEXT_UNPIN_TABLE, mfn(tree.l4), 0), -EINVAL);
        assert_int_equal(kit_mmuext(MMUEXT_PIN_L4_TABLE, mfn(tree.l4), 0), 0);
        kit_audit();
        assert_int_equal(kit_refs(tree.page), 1 + TREE_MAPPINGS);
        assert_int_equal(kit_mmuext(MMUEXT_PIN_L4_TABLE, mfn(tree.l4), 0), -EINVAL);
        assert_int_equal(kit_mmuext(MMUEXT_PIN_L3_TABLE, mfn(tree.l4), 0), -EINVAL);
        assert_int_equal(kit_mmuext(MMUEXT_UNPIN_TABLE, mfn(tree.l3[0]), 0), -EINVAL);
        /* a part of it pinned by itself stays when the whole goes */
        assert_int_equal(kit_mmuext(MMUEXT_PIN_L2_TABLE, mfn(tree.l2[1]), 0), 0);
        assert_int_equal(frame_release(tree.l2[1], g.d), -EBUSY);
        assert_int_equal(kit_mmuext(MMUEXT_UNPIN_TABLE, mfn(tree.l4), 0), 0);
        kit_audit();
        assert_int_equal(kit_refs(tree.page), 1 + FAN * PT_ENTRIES);
        assert_int_equal(kit_mmuext(MMUEXT_UNPIN_TABLE, mfn(tree.l2[1]), 0), 0);
        assert_int_equal(kit_refs(tree.page), 1);
        kit_audit();
    }
    assert_int_equal(kit_mmuext(MMUEXT_PIN_L1_TABLE, mfn(tree.l1[0]), 0), 0);
    assert_int_equal(kit_mmuext(MMUEXT_PIN_L3_TABLE, mfn(tree.l2[0]), 0), -EINVAL);
    for (uint64_t bad = 0; bad < 3; bad++) {
        static const uint64_t numbers[] = { 0x7fffffff, ~UINT64_C(0), 0 };
        for (uint32_t cmd = MMUEXT_PIN_L1_TABLE; cmd <= MMUEXT_NEW_BASEPTR; cmd++) {
            assert_int_equal(kit_mmuext(cmd, numbers[bad], 0), -EINVAL);
        }
    }
}

/* What its owner has released gets no pin: nobody would find it at the domain's end. */
static void test_pin_released(void **state)
{
    struct frame *f = kit_frame(&g);
    uint64_t va = KIT_VA + 100 * PAGE_SIZE;

    (void)state;
    assert_int_equal(kit_update_va(va, kit_pte(f, K_RO), 0), 0);
    assert_int_equal(frame_release(f, g.d), 0);
    assert_int_equal(kit_mmuext(MMUEXT_PIN_L1_TABLE, mfn(f), 0), -EINVAL);
    assert_int_equal(kit_type_refs(f), 0);
    kit_audit();
    assert_int_equal(kit_update_va(va, 0, 0), 0);
    assert_int_equal(kit_refs(f), 0);
}

/* The hypervisor's slots are there while a table can be loaded, and are not left behind in memory.
 */
static void test_slots(void **state)
{
    (void)state;
    for (unsigned int i = PT4_HV_FIRST; i <= PT4_HV_LAST; i++) {
        kit_poke(tree.l4, i, kit_pte(tree.l3[0], TAB));
    }
    assert_int_equal(kit_mmuext(MMUEXT_PIN_L4_TABLE, mfn(tree.l4), 0), 0);
    for (unsigned int i = PT4_HV_FIRST; i <= PT4_HV_LAST; i++) {
        assert_int_equal(kit_entry(tree.l4, i), x86_hv_slots[i - PT4_HV_FIRST]);
    }
    assert_int_equal(kit_refs(tree.l3[0]), 2);
    assert_int_equal(kit_mmuext(MMUEXT_UNPIN_TABLE, mfn(tree.l4), 0), 0);
    for (unsigned int i = PT4_HV_FIRST; i <= PT4_HV_LAST; i++) {
        assert_int_equal(kit_entry(tree.l4, i), 0);
    }
}

static void test_roots(void **state)
{
    struct frame *first = g.v->arch.root_kernel;

    (void)state;
    for (unsigned int yields = 0; yields < 4; yields++) {
        host_inject_yields(yields, 11);
        assert_int_equal(kit_mmuext(MMUEXT_NEW_BASEPTR, mfn(g.data[0]), 0), -EINVAL);
        assert_int_equal(kit_mmuext(MMUEXT_NEW_BASEPTR, 0, 0), -EINVAL);
        assert_ptr_equal(g.v->arch.root_kernel, first);
        unsigned int loads = host_record.root_loads;
        assert_int_equal(kit_mmuext(MMUEXT_NEW_BASEPTR, mfn(tree.l4), 0), 0);
        assert_true(host_record.root_loads > loads);
        assert_ptr_equal(g.v->arch.root_kernel, tree.l4);
        assert_int_equal(kit_mmuext(MMUEXT_NEW_BASEPTR, mfn(tree.l4), 0), 0);
        kit_audit();
        assert_int_equal(kit_mmuext(MMUEXT_NEW_USER_BASEPTR, mfn(tree.l4), 0), 0);
        assert_int_equal(kit_mmuext(MMUEXT_NEW_BASEPTR, mfn(first), 0), 0);
        kit_audit();
        assert_int_equal(kit_type_refs(tree.l4), 1);
        assert_int_equal(kit_mmuext(MMUEXT_NEW_USER_BASEPTR, 0, 0), 0);
        assert_null(g.v->arch.root_user);
        assert_int_equal(kit_type_refs(tree.l4), 0);
        assert_int_equal(kit_refs(tree.page), 1);
        kit_audit();
    }
}

/* One step of a call of a vcpu on its own cpu. */
static int64_t once(unsigned int vcpu, struct hcall_args *a)
{
    host_cpu_enter(vcpu);
    int64_t rc = hc_mmuext_op(g.d->vcpu[vcpu], a);
    host_cpu_enter(0);
    return rc;
}

static struct hcall_args args_of(struct mmuext_op *op)
{
    return (struct hcall_args){ { (uintptr_t)op, 1, 0, DOMID_SELF, 0, 0 } };
}

static void load_second(void)
{
    host_cpu_enter(1);
    host_load(g.d->vcpu[1]);
    assert_int_equal(mm_set_root(g.d->vcpu[1], frame_mfn(g.l4), false), 0);
    host_cpu_enter(0);
}

/* Two vcpus validate the same tree, stopping at every chance: one does the work, both get their
 * result. */
static void test_same_tree(void **state)
{
    struct mmuext_op pin = { .cmd = MMUEXT_PIN_L4_TABLE, .arg1.mfn = mfn(tree.l4) };
    struct mmuext_op use = { .cmd = MMUEXT_NEW_USER_BASEPTR, .arg1.mfn = mfn(tree.l4) };
    struct hcall_args a = args_of(&pin), b = args_of(&use);
    int64_t ra = HC_AGAIN, rb = HC_AGAIN;
    unsigned int steps = 0;

    (void)state;
    load_second();
    host_inject_yields(1, 1);
    while ((ra == HC_AGAIN || rb == HC_AGAIN) && steps++ < 1000) {
        ra = ra == HC_AGAIN ? once(0, &a) : ra;
        kit_audit();
        rb = rb == HC_AGAIN ? once(1, &b) : rb;
        kit_audit();
    }
    assert_int_equal(ra, 0);
    assert_int_equal(rb, 0);
    assert_true(steps > 3 && steps < 50);
    host_inject_yields(0, 1);
    assert_int_equal(kit_mmuext(MMUEXT_UNPIN_TABLE, mfn(tree.l4), 0), 0);
    kit_audit();
}

/* One makes what the other unmakes, for ever: both get on. */
static void test_opposed(void **state)
{
    struct mmuext_op pin = { .cmd = MMUEXT_PIN_L4_TABLE, .arg1.mfn = mfn(tree.l4) };
    struct mmuext_op other = { .cmd = MMUEXT_PIN_L3_TABLE, .arg1.mfn = mfn(tree.l3[1]) };
    unsigned int done[2] = { 0, 0 };
    struct hcall_args a[2] = { args_of(&pin), args_of(&other) };

    (void)state;
    load_second();
    host_inject_yields(1, 1);
    for (unsigned int i = 0; i < 4000 && (done[0] < 20 || done[1] < 20); i++) {
        unsigned int who = i & 1;
        struct mmuext_op *op = who == 0 ? &pin : &other;
        int64_t rc = once(who, &a[who]);
        if (i % 16 == 0) {
            kit_audit();
        }
        if (rc == HC_AGAIN) {
            continue;
        }
        assert_int_equal(rc, 0);
        done[who]++;
        op->cmd = op->cmd != MMUEXT_UNPIN_TABLE ? MMUEXT_UNPIN_TABLE
                  : who == 0                    ? MMUEXT_PIN_L4_TABLE
                                                : MMUEXT_PIN_L3_TABLE;
        a[who] = args_of(op);
    }
    assert_true(done[0] >= 20 && done[1] >= 20);
    host_inject_yields(0, 1);
}

/* A request that never comes back leaves nothing that a later one, or death, does not clear. */
static void test_forgotten(void **state)
{
    struct mmuext_op pin = { .cmd = MMUEXT_PIN_L4_TABLE, .arg1.mfn = mfn(tree.l4) };
    struct hcall_args a = args_of(&pin);

    (void)state;
    load_second();
    host_inject_yields(1, 1);
    assert_int_equal(once(0, &a), HC_AGAIN);
    kit_audit();
    /* the other one finishes it for him; he does not come back for it but asks for something else
     */
    struct mmuext_op own = { .cmd = MMUEXT_PIN_L1_TABLE, .arg1.mfn = mfn(g.l1) };
    struct hcall_args b = args_of(&own);
    int64_t rc;
    do {
        rc = once(1, &b);
        kit_audit();
    } while (rc == HC_AGAIN);
    assert_int_equal(rc, 0);
    assert_true((frame_word(tree.l4) & FW_VALID) != 0);
    own.cmd = MMUEXT_UNPIN_TABLE;
    assert_int_equal(kit_call(hc_mmuext_op, (uintptr_t)&own, 1, 0, DOMID_SELF), 0);
    own = (struct mmuext_op){ .cmd = MMUEXT_PIN_L2_TABLE, .arg1.mfn = mfn(g.l2) };
    assert_int_equal(kit_call(hc_mmuext_op, (uintptr_t)&own, 1, 0, DOMID_SELF), 0);
    kit_audit();
    assert_int_equal(kit_type_refs(tree.l4), 0);
    assert_int_equal(kit_refs(tree.page), 1);
    /* and one is under way when the domain dies */
    a = args_of(&pin);
    assert_int_equal(once(0, &a), HC_AGAIN);
}

/*
 * A table that only a forgotten request keeps valid: writing an entry of it gives up that request's
 * hold first, and then it is no table any more.
 */
static void test_table_of_forgotten(void **state)
{
    struct mmuext_op pin = { .cmd = MMUEXT_PIN_L3_TABLE, .arg1.mfn = mfn(tree.l3[0]) };
    struct mmuext_op flush = { .cmd = MMUEXT_NEW_USER_BASEPTR, .arg1.mfn = 0 };
    struct hcall_args a = args_of(&pin), b = args_of(&flush);
    int64_t rc;

    (void)state;
    load_second();
    host_inject_yields(1, 1);
    assert_int_equal(once(0, &a), HC_AGAIN);
    do {
        rc = once(1, &b);
    } while (rc == HC_AGAIN);
    assert_int_equal(rc, 0);
    assert_int_equal(kit_type_refs(tree.l3[0]), 1);
    kit_audit();
    /* vcpu 0 forgets its pin; nothing makes the next call yield */
    host_inject_yields(0, 1);
    (void)port_cpu_take_work();
    assert_int_equal(kit_mmu_update(kit_maddr(tree.l3[0], 7), kit_pte(tree.l2[2], TAB)), -EINVAL);
    kit_audit();
    assert_int_equal(kit_type_refs(tree.l3[0]), 0);
    assert_int_equal(kit_type_refs(tree.l2[0]), 0);
    assert_int_equal(kit_type_refs(tree.l2[2]), 0);
    assert_int_equal(kit_refs(tree.page), 1);
}

/* A failure that another vcpu has found is the answer to him who asked. */
static void test_failure_found_by_other(void **state)
{
    struct mmuext_op pin = { .cmd = MMUEXT_PIN_L4_TABLE, .arg1.mfn = mfn(tree.l4) };
    struct mmuext_op flush = { .cmd = MMUEXT_NEW_USER_BASEPTR, .arg1.mfn = 0 };
    struct hcall_args a = args_of(&pin), b = args_of(&flush);
    int64_t rc;

    (void)state;
    kit_poke(tree.l2[3], 511, kit_pte(tree.page, TAB | PTE_PSE));
    load_second();
    host_inject_yields(1, 1);
    assert_int_equal(once(0, &a), HC_AGAIN);
    do {
        rc = once(1, &b);
        kit_audit();
    } while (rc == HC_AGAIN);
    assert_int_equal(rc, 0);
    assert_int_equal(kit_refs(tree.page), 1);
    assert_int_equal(once(0, &a), -EINVAL);
    kit_audit();
}

/* DOMID_IO may name what is the domain's own: then it is the domain's walk that is in the way. */
static void test_own_by_dom_io(void **state)
{
    struct mmuext_op pin = { .cmd = MMUEXT_PIN_L4_TABLE, .arg1.mfn = mfn(tree.l4) };
    struct mmu_update u = { kit_maddr(g.l1, 100), kit_pte(tree.l4, K_RW) };
    struct hcall_args a = args_of(&pin);
    struct hcall_args b = { { (uintptr_t)&u, 1, 0, DOMID_IO, 0, 0 } };
    unsigned int steps = 0;
    int64_t rc;

    (void)state;
    g.d->is_ctl = true;
    load_second();
    host_inject_yields(1, 1);
    assert_int_equal(once(0, &a), HC_AGAIN);
    assert_true((frame_word(tree.l4) & FW_PARTIAL) != 0);
    host_cpu_enter(1);
    do {
        rc = hc_mmu_update(g.d->vcpu[1], &b);
    } while (rc == HC_AGAIN && steps++ < 1000);
    host_cpu_enter(0);
    assert_int_equal(rc, -EBUSY); /* it is a page table now */
    assert_true((frame_word(tree.l4) & FW_VALID) != 0);
    host_inject_yields(0, 1);
    assert_int_equal(once(0, &a), 0);
    assert_int_equal(kit_mmuext(MMUEXT_UNPIN_TABLE, mfn(tree.l4), 0), 0);
    g.d->is_ctl = false;
    kit_audit();
}

static void test_pages(void **state)
{
    (void)state;
    kit_poke(g.data[0], 7, 99);
    assert_int_equal(kit_mmuext(MMUEXT_COPY_PAGE, mfn(g.data[1]), mfn(g.data[0])), 0);
    assert_int_equal(kit_entry(g.data[1], 7), 99);
    assert_int_equal(kit_mmuext(MMUEXT_CLEAR_PAGE, mfn(g.data[0]), 0), 0);
    assert_int_equal(kit_entry(g.data[0], 7), 0);
    assert_int_equal(kit_mmuext(MMUEXT_CLEAR_PAGE, mfn(g.l1), 0), -EINVAL);
    assert_int_equal(kit_mmuext(MMUEXT_COPY_PAGE, mfn(g.l4), mfn(g.data[0])), -EINVAL);
    assert_int_equal(kit_mmuext(MMUEXT_COPY_PAGE, mfn(g.data[0]), mfn(g.l4)), 0);
    assert_int_equal(kit_mmuext(MMUEXT_COPY_PAGE, mfn(g.data[0]), frame_limit), -EINVAL);
    assert_int_equal(kit_mmuext(MMUEXT_CLEAR_PAGE, frame_limit, 0), -EINVAL);
}

static void test_small(void **state)
{
    uint64_t mask = 1;
    struct mmuext_op op = { .cmd = MMUEXT_INVLPG_MULTI, .arg1.linear_addr = KIT_VA };

    (void)state;
    assert_int_equal(kit_mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0), 0);
    assert_int_equal(kit_mmuext(MMUEXT_TLB_FLUSH_ALL, 0, 0), 0);
    assert_int_equal(kit_mmuext(MMUEXT_INVLPG_LOCAL, KIT_VA, 0), 0);
    assert_int_equal(kit_mmuext(MMUEXT_INVLPG_LOCAL, UINT64_C(1) << 47, 0), 0); /* XSA-279 */
    assert_int_equal(kit_mmuext(MMUEXT_INVLPG_ALL, HV_VIRT_START, 0), 0);
    op.arg2.vcpumask = gptr((uintptr_t)&mask);
    assert_int_equal(kit_call(hc_mmuext_op, (uintptr_t)&op, 1, 0, DOMID_SELF), 0);
    op.arg2.vcpumask = gptr(HV_VIRT_START);
    assert_int_equal(kit_call(hc_mmuext_op, (uintptr_t)&op, 1, 0, DOMID_SELF), -EFAULT);
    assert_int_equal(kit_mmuext(MMUEXT_FLUSH_CACHE, 0, 0), -EACCES);
    assert_int_equal(kit_mmuext(MMUEXT_FLUSH_CACHE_GLOBAL, 0, 0), -EACCES);
    unsigned int n = host_record.wbinvds;
    g.d->is_hw = true;
    assert_int_equal(kit_mmuext(MMUEXT_FLUSH_CACHE, 0, 0), 0);
    assert_int_equal(host_record.wbinvds, n + 1);
    assert_int_equal(kit_mmuext(MMUEXT_FLUSH_CACHE_GLOBAL, 0, 0), 0);
    assert_int_equal(host_record.wbinvds, n + 1 + port_cpu_count());
    g.d->is_hw = false;
    assert_int_equal(kit_mmuext(MMUEXT_MARK_SUPER, 0, 0), -EOPNOTSUPP);
    assert_int_equal(kit_mmuext(MMUEXT_UNMARK_SUPER, 0, 0), -EOPNOTSUPP);
    assert_int_equal(kit_mmuext(14, 0, 0), -ENOSYS);
    assert_int_equal(kit_mmuext(99, 0, 0), -ENOSYS);
    assert_int_equal(kit_call(hc_mmuext_op, (uintptr_t)&op, 1, 0, 4321), -ESRCH);
    assert_int_equal(kit_call(hc_mmuext_op, (uintptr_t)&op, 1, 0, DOMID_XEN), -EPERM);
    assert_int_equal(kit_call(hc_mmuext_op, HV_VIRT_START, 1, 0, DOMID_SELF), -EFAULT);

    /* What others may read they may not clear, nor make a table of, not even the control domain. */
    static const uint32_t forbidden[] = { MMUEXT_CLEAR_PAGE,   MMUEXT_COPY_PAGE,
                                          MMUEXT_PIN_L1_TABLE, MMUEXT_PIN_L4_TABLE,
                                          MMUEXT_UNPIN_TABLE,  MMUEXT_NEW_BASEPTR };
    struct frame *shown = heap_reserve(0, HEAP_ANY);
    assert_non_null(shown);
    frame_share(frame_mfn(shown), MFN(frame_mfn(shown).n + 1));
    g.d->is_ctl = true;
    op.arg1.mfn = mfn(shown);
    op.arg2.src_mfn = mfn(shown);
    for (unsigned int i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        op.cmd = forbidden[i];
        assert_int_equal(kit_call(hc_mmuext_op, (uintptr_t)&op, 1, 0, DOMID_XEN), -EPERM);
        assert_int_equal(frame_word(shown), FW_RAM | FW_REF);
    }
    g.d->is_ctl = false;
    shown->owner = NULL;
    atomic_store(&shown->word, FW_HYPERVISOR);
    heap_unreserve(shown, 0);
}

/* XSA-45, 410: death of a domain with pinned trees, roots and mappings of its own tables, in
 * bounded steps. */
static void test_death(void **state)
{
    unsigned int steps = 0;

    (void)state;
    assert_int_equal(kit_mmuext(MMUEXT_PIN_L4_TABLE, mfn(tree.l4), 0), 0);
    assert_int_equal(kit_mmuext(MMUEXT_PIN_L2_TABLE, mfn(tree.l2[0]), 0), 0);
    assert_int_equal(kit_mmuext(MMUEXT_NEW_USER_BASEPTR, mfn(tree.l4), 0), 0);
    host_load(NULL);
    host_inject_yields(1, 1);
    atomic_store(&g.d->life, DL_DYING);
    while (port_domain_relinquish(g.d) == HC_AGAIN) {
        steps++;
        kit_audit();
        assert_true(steps < 1000);
    }
    assert_true(steps > 20);
    assert_int_equal(g.d->page_head, 0);
    assert_int_equal(g.d->owned_frames, 0);
    host_inject_yields(0, 1);
}

static int setup(void **state)
{
    (void)state;
    kit_machine(2048, 2);
    return 0;
}

/* A domain that dies gives up held walks only once: none may begin for it. */
static void test_none_for_the_dying(void **state)
{
    const uint32_t life = atomic_load(&g.d->life);

    (void)state;
    host_inject_yields(1, 5); /* each walk would stop on its way */
    atomic_store(&g.d->life, DL_DYING);
    assert_int_equal(mm_pin(g.d, frame_mfn(tree.l4), FT_PT4), -EINVAL);
    assert_false(g.d->arch.pt.active);
    assert_int_equal(kit_mmu_update(kit_maddr(g.l4, 5), kit_pte(tree.l3[0], TAB)), -EINVAL);
    atomic_store(&g.d->life, life);
    host_inject_yields(0, 1);
    assert_int_equal(kit_entry(g.l4, 5), 0);
    assert_int_equal(kit_refs(tree.page), 1);
    assert_int_equal(kit_refs(tree.l3[0]), 1);
    kit_audit();
    assert_int_equal(kit_mmu_update(kit_maddr(g.l4, 5), kit_pte(tree.l3[0], TAB)), 0);
    assert_int_equal(kit_refs(tree.page), 1 + TREE_MAPPINGS / FAN);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_pin),
        T(test_pin_released),
        T(test_slots),
        T(test_roots),
        T(test_same_tree),
        T(test_opposed),
        T(test_table_of_forgotten),
        T(test_forgotten),
        T(test_failure_found_by_other),
        T(test_own_by_dom_io),
        T(test_pages),
        T(test_small),
        T(test_none_for_the_dying),
        T(test_death),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
