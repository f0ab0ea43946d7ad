/* SPDX-License-Identifier: MIT */
/* All vCPUs change page tables, pins, events and base pointers at random, then all is put back. */
#include "kit/kit.h"

const char kit_name[] = "stress";

#define SEC   1000000000UL
#define PAGES 6

struct own {
    u64 *l1;         /* pinned and unpinned by its vCPU */
    u8 *page[PAGES]; /* their mappings are exchanged */
    u64 *l4;
    u64 seed;
    u32 ops, errors;
    bool pinned;
};

static struct own own[KIT_MAX_CPUS];
static u64 *common_l1; /* pinned for good: everyone writes entries of it */
static volatile u32 stop;

static u64 rnd(struct own *o)
{
    o->seed ^= o->seed << 13;
    o->seed ^= o->seed >> 7;
    o->seed ^= o->seed << 17;
    return o->seed;
}

/* An update that must work. */
static void must(struct own *o, long rc)
{
    o->errors += rc != 0;
}

static void pin_or_unpin(struct own *o)
{
    if (o->pinned) {
        must(o, mmuext1(MMUEXT_UNPIN_TABLE, mfn_of(o->l1)));
        must(o, update_va(o->l1, mfn_of(o->l1) * PAGE | PTE_RW, UVMF_INVLPG | UVMF_ALL));
        o->l1[rnd(o) % 512] = mfn_of(o->page[0]) * PAGE | PTE_RW;
    } else {
        must(o, update_va(o->l1, mfn_of(o->l1) * PAGE | PTE_RO, UVMF_INVLPG | UVMF_ALL));
        must(o, mmuext1(MMUEXT_PIN_L1_TABLE, mfn_of(o->l1)));
    }
    o->pinned = !o->pinned;
}

static void step(struct own *o)
{
    u32 i = (u32)rnd(o) % PAGES, k = (u32)rnd(o) % PAGES, slot = (u32)rnd(o) % 512;
    u64 to = mfn_of(o->page[k]) * PAGE | (rnd(o) & 1 ? PTE_RW : PTE_RO);
    u64 common = mfn_of(common_l1) * PAGE + slot * 8;
    struct mmu_update u = { .ptr = common, .val = rnd(o) & 1 ? to : 0 };
    long port;

    switch (rnd(o) % 9) {
    case 0:
        must(o, update_va(o->page[i], to, UVMF_INVLPG));
        break;
    case 1: /* other vCPUs write the same entries */
        must(o, hc4(__HYPERVISOR_mmu_update, U64(&u), 1, 0, DOMID_SELF));
        break;
    case 2:
        *(volatile u64 *)&common_l1[slot] = u.val; /* emulated */
        break;
    case 3:
        pin_or_unpin(o);
        break;
    case 4:
        must(o, mmuext1(MMUEXT_NEW_BASEPTR, mfn_of(rnd(o) & 1 ? o->l4 : (u64 *)si->pt_base)));
        break;
    case 5:
        port = bind_ipi((u32)rnd(o) % cpu_count());
        if (port > 0) {
            event_send((evtchn_port_t)port);
            must(o, event_close((evtchn_port_t)port));
        } else {
            o->errors++;
        }
        break;
    case 6: /* refused: a page table made writable */
        u.val = mfn_of(common_l1) * PAGE | PTE_RW;
        o->errors += hc4(__HYPERVISOR_mmu_update, U64(&u), 1, 0, DOMID_SELF) == 0;
        break;
    case 7:
        must(o, sched_op(SCHEDOP_yield, NULL));
        break;
    default:
        must(o, mmuext1(rnd(o) & 1 ? MMUEXT_TLB_FLUSH_ALL : MMUEXT_TLB_FLUSH_LOCAL, 0));
        break;
    }
    o->ops++;
}

static void work(void)
{
    struct own *o = &own[this_cpu()->id];

    while (!stop) {
        step(o);
    }
    must(o, mmuext1(MMUEXT_NEW_BASEPTR, mfn_of((void *)si->pt_base)));
    if (o->pinned) {
        pin_or_unpin(o);
    }
}

static void prepare(struct own *o, u32 id)
{
    o->seed = 0x9e3779b97f4a7c15UL * (id + 1);
    o->l1 = page_alloc();
    o->l4 = l4_clone();
    check_eq(mmuext1(MMUEXT_PIN_L4_TABLE, mfn_of(o->l4)), 0);
    for (u32 i = 0; i < PAGES; i++) {
        o->page[i] = page_alloc();
    }
}

/* On a busy machine some vcpus run late. */
static bool all_have_worked(u32 cpus)
{
    for (u32 i = 0; i < cpus; i++) {
        if (*(volatile u32 *)&own[i].ops <= 100) {
            return false;
        }
    }
    return true;
}

void test_main(void)
{
    u32 cpus = cpu_count(), ops = 0;

    if (!is_dom0) {
        hc2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables);
    }
    common_l1 = page_alloc();
    page_protect(common_l1, false);
    check_eq(mmuext1(MMUEXT_PIN_L1_TABLE, mfn_of(common_l1)), 0);
    for (u32 i = 0; i < cpus; i++) {
        prepare(&own[i], i);
    }
    for (u32 i = 1; i < cpus; i++) {
        check_eq(cpu_start(i, work), 0);
    }
    u64 begin = now();

    while (now() < begin + 5 * SEC || (!all_have_worked(cpus) && now() < begin + 60 * SEC)) {
        step(&own[0]);
    }
    stop = 1;
    work();
    for (u32 i = 0; i < cpus; i++) {
        check(i == 0 || wait_until(&cpu_of(i)->state, 2, 5 * SEC));
        check_eq(own[i].errors, 0);
        check(own[i].ops > 100);
        ops += own[i].ops;
    }
    print("%u operations on %u vCPUs\r\n", ops, cpus);
    /* everything can be taken apart: no reference was lost or doubled */
    for (u32 i = 0; i < cpus; i++) {
        check_eq(mmuext1(MMUEXT_UNPIN_TABLE, mfn_of(own[i].l4)), 0);
        page_restore(own[i].l4);
        page_restore(own[i].l1);
        for (u32 k = 0; k < PAGES; k++) {
            page_restore(own[i].page[k]);
        }
    }
    check_eq(mmuext1(MMUEXT_UNPIN_TABLE, mfn_of(common_l1)), 0);
    page_restore(common_l1);
    for (u32 i = 0; i < cpus; i++) {
        for (u32 k = 0; k < PAGES; k++) { /* no writable reference is left: it can become a table */
            memset(own[i].page[k], 0, PAGE);
            page_protect(own[i].page[k], false);
            check_eq(mmuext1(MMUEXT_PIN_L1_TABLE, mfn_of(own[i].page[k])), 0);
            check_eq(mmuext1(MMUEXT_UNPIN_TABLE, mfn_of(own[i].page[k])), 0);
            page_restore(own[i].page[k]);
        }
    }
}
