/* SPDX-License-Identifier: MIT */
/*
 * The PV planner: each plan's page tables are executed into an array and walked again, address by
 * address. The addresses of the first case are what a stock Xen 4.17 printed for the same kernel
 * and the same amount of memory.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/pvplan.h"
#include "abi/xen.h"

#define MIB(n) ((uint64_t)(n) << 20)

struct slot {
    uint64_t pfn;
    bool writable;
};

struct tables {
    const struct pv_plan *plan;
    struct slot (*slots)[PV_SLOTS]; /* index: number of the table */
    uint64_t *pfns;
    uint64_t count;
};

static struct image_info linux_image(void)
{
    return (struct image_info){
        .entry = 0xffffffff830791c0,
        .virt_base = 0xffffffff80000000,
        .virt_start = 0xffffffff81000000,
        .virt_end = 0xffffffff84a00000,
        .hypercall_page = 0xffffffff81001000,
        .init_p2m = 0x8000000000,
        .mod_start_pfn = true,
    };
}

static struct image_info small_image(void)
{
    return (struct image_info){
        .entry = 0x1000,
        .virt_base = 0,
        .virt_start = 0,
        .virt_end = 0x23456,
        .hypercall_page = IMAGE_NONE,
        .init_p2m = IMAGE_NONE,
    };
}

static struct tables execute(const struct pv_plan *plan)
{
    struct tables t = { .plan = plan, .count = pvplan_table_count(plan) };
    unsigned int tops = 0;

    t.slots = calloc(t.count, sizeof(*t.slots));
    t.pfns = calloc(t.count, sizeof(*t.pfns));
    for (uint64_t i = 0; i < t.count; i++) {
        struct pv_table table;

        pvplan_table(plan, i, &table);
        t.pfns[i] = table.pfn;
        tops += table.level == 4;
        for (unsigned int s = 0; s < PV_SLOTS; s++) {
            t.slots[i][s].pfn = pvplan_entry(plan, &table, s, &t.slots[i][s].writable);
            assert_true(table.level == 1 || t.slots[i][s].writable);
        }
        for (uint64_t j = 0; j < i; j++) {
            assert_int_not_equal(t.pfns[i], t.pfns[j]);
        }
    }
    assert_int_equal(tops, 1);
    assert_int_equal(t.pfns[0], plan->pt.pfn);
    return t;
}

static void drop(struct tables *t)
{
    free(t->slots);
    free(t->pfns);
}

static const struct slot *table_at(const struct tables *t, uint64_t pfn)
{
    for (uint64_t i = 0; i < t->count; i++) {
        if (t->pfns[i] == pfn) {
            return t->slots[i];
        }
    }
    fail_msg("an entry points to frame %lu, which is no table", (unsigned long)pfn);
    return NULL;
}

/* What the processor would find. */
static struct slot walk(const struct tables *t, uint64_t va)
{
    struct slot slot = { .pfn = t->plan->pt.pfn };

    for (unsigned int level = 4; level >= 1; level--) {
        slot = table_at(t, slot.pfn)[(va >> (3 + 9 * level)) & 511];
        if (slot.pfn == PV_NONE) {
            break;
        }
    }
    return slot;
}

static uint64_t mapped_pages(const struct tables *t)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < t->count; i++) {
        struct pv_table table;

        pvplan_table(t->plan, i, &table);
        for (unsigned int s = 0; s < PV_SLOTS && table.level == 1; s++) {
            n += t->slots[i][s].pfn != PV_NONE;
        }
    }
    return n;
}

static void parts_apart(const struct pv_plan *p)
{
    const struct pv_part *parts[] = { &p->kernel,     &p->ramdisk, &p->p2m,
                                      &p->start_info, &p->store,   &p->console,
                                      &p->pt,         &p->p2m_pt,  &p->stack };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        for (size_t j = 0; j < i; j++) {
            if (parts[i]->frames == 0 || parts[j]->frames == 0) {
                continue;
            }
            assert_true(parts[i]->pfn + parts[i]->frames <= parts[j]->pfn ||
                        parts[j]->pfn + parts[j]->frames <= parts[i]->pfn);
            assert_true(parts[i]->pfn + parts[i]->frames <= p->pages_needed);
        }
    }
}

/* Everything that must hold of any plan. */
static void check_plan(const struct pv_plan *p)
{
    struct tables t = execute(p);
    uint64_t region = (p->v_end - p->v_start) / 4096;

    assert_int_equal(p->v_start % MIB(4), 0);
    assert_int_equal(p->v_end % MIB(4), 0);
    assert_true(p->v_end - p->stack_top >= 512 << 10);
    assert_true(p->v_end - p->stack_top < MIB(4) + (512 << 10));
    assert_int_equal(p->stack_top, p->stack.va + 4096);
    parts_apart(p);
    for (uint64_t i = 0; i < region;
         i += i < 2000 || (i >= p->pt.pfn && i < p->pt.pfn + 3000) ? 1 : 997) {
        struct slot s = walk(&t, p->v_start + i * 4096);

        assert_int_equal(s.pfn, i);
        assert_int_equal(s.writable, !(i >= p->pt.pfn && i < p->pt.pfn + p->pt.frames));
    }
    assert_int_equal(walk(&t, p->v_end).pfn, PV_NONE);
    assert_int_equal(walk(&t, p->v_end - 4096).pfn, region - 1);
    if (p->p2m_pt.frames > 0) {
        assert_int_equal(walk(&t, p->p2m.va).pfn, p->p2m.pfn);
        assert_int_equal(walk(&t, p->p2m.va + (p->p2m.frames - 1) * 4096).pfn,
                         p->p2m.pfn + p->p2m.frames - 1);
        assert_int_equal(walk(&t, p->p2m.va + p->p2m.frames * 4096).pfn, PV_NONE);
        assert_int_equal(p->first_p2m_pfn, p->p2m_pt.pfn);
        assert_int_equal(p->nr_p2m_frames, p->p2m_pt.frames + p->p2m.frames);
        assert_int_equal(mapped_pages(&t), region + p->p2m.frames);
    } else {
        assert_int_equal(mapped_pages(&t), region);
    }
    assert_int_equal(p->p2m.frames, (p->pages + 511) / 512);
    drop(&t);
}

static void test_linux_dom0(void **state)
{
    struct image_info image = linux_image();
    struct pv_plan_input in = {
        .image = &image, .ramdisk_size = 0x3c754744 - 0x3aeab000, .pages = 239753, .control = true
    };
    struct pv_plan p;

    (void)state;
    assert_int_equal(pvplan_make(&in, &p), 0);
    assert_int_equal(p.v_start, 0xffffffff80000000);
    assert_int_equal(p.v_end, 0xffffffff84c00000);
    assert_int_equal(p.kernel.va, 0xffffffff81000000);
    assert_int_equal(p.kernel.pfn, 0x1000);
    assert_int_equal(p.start_info.va, 0xffffffff84a00000);
    assert_int_equal(p.pt.va, 0xffffffff84a01000);
    assert_int_equal(p.stack.va, 0xffffffff84a2a000);
    assert_int_equal(p.stack_top, 0xffffffff84a2b000);
    assert_int_equal(p.p2m.va, 0x8000000000);
    assert_int_equal(p.pt.frames, 41);
    assert_int_equal(p.entry, 0xffffffff830791c0);
    assert_int_equal(p.store.frames + p.console.frames, 0);
    assert_int_equal(p.ramdisk.va, PV_NONE);
    assert_int_equal(p.ramdisk.pfn, 0x4c00);
    assert_int_equal(p.mod_start, 0x4c00);
    assert_int_equal(p.mod_start_flags, SIF_MOD_START_PFN);
    check_plan(&p);
}

static void test_guest(void **state)
{
    struct image_info image = linux_image();
    struct pv_plan_input in = { .image = &image, .ramdisk_size = 5000, .pages = 32768 };
    struct pv_plan p;

    (void)state;
    assert_int_equal(pvplan_make(&in, &p), 0);
    assert_int_equal(p.store.va, p.start_info.va + 4096);
    assert_int_equal(p.console.va, p.start_info.va + 8192);
    assert_int_equal(p.pt.va, p.start_info.va + 12288);
    assert_int_equal(p.ramdisk.frames, 2);
    check_plan(&p);
    in.ramdisk_size = 0;
    assert_int_equal(pvplan_make(&in, &p), 0);
    assert_int_equal(p.mod_start, 0);
    assert_int_equal(p.mod_start_flags, 0);
    assert_int_equal(p.ramdisk.frames, 0);
    check_plan(&p);
}

static void test_small(void **state)
{
    struct image_info image = small_image();
    struct pv_plan_input in = { .image = &image, .ramdisk_size = 4097, .pages = 4096 };
    struct pv_plan p;

    (void)state;
    assert_int_equal(pvplan_make(&in, &p), 0);
    assert_int_equal(p.kernel.frames, 0x24);
    assert_int_equal(p.ramdisk.va, 0x24000);
    assert_int_equal(p.mod_start, 0x24000);
    assert_int_equal(p.mod_start_flags, 0);
    assert_int_equal(p.p2m.va, 0x26000);
    assert_int_equal(p.p2m.frames, 8);
    assert_int_equal(p.start_info.va, 0x2e000);
    assert_int_equal(p.v_end, MIB(4));
    assert_int_equal(p.pt.frames, 1 + 1 + 1 + 2);
    check_plan(&p);
}

/* Every size at which one more table, or 4 MiB more, is needed. */
static void test_sizes(void **state)
{
    (void)state;
    for (uint64_t kib = 0; kib < 9000; kib += 4) {
        struct image_info image = small_image();
        struct pv_plan_input in = { .image = &image, .ramdisk_size = kib << 10, .pages = 8192 };
        struct pv_plan p;

        assert_int_equal(pvplan_make(&in, &p), 0);
        assert_int_equal(p.pt.frames, 3 + (p.v_end >> 21));
        assert_true(p.v_end - p.stack_top >= 512 << 10);
        assert_true(p.v_end - p.stack_top < MIB(4) + (512 << 10));
        if (kib % 256 == 0) {
            check_plan(&p);
        }
    }
}

/* Regions over borders of the upper levels. */
static void test_borders(void **state)
{
    static const uint64_t bases[] = { MIB(1024) - MIB(8), (UINT64_C(1) << 39) - MIB(8),
                                      0xffffff7fffc00000, 0xffff880000000000 };

    (void)state;
    for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        struct image_info image = small_image();
        struct pv_plan_input in = { .image = &image, .ramdisk_size = MIB(20), .pages = 16384 };
        struct pv_plan p;

        image.virt_base = bases[i];
        image.virt_start = bases[i] + 0x3000;
        image.virt_end = bases[i] + 0x23456;
        assert_int_equal(pvplan_make(&in, &p), 0);
        assert_int_equal(p.kernel.pfn, 3);
        check_plan(&p);
    }
}

static void test_large_p2m(void **state)
{
    struct image_info image = linux_image();
    struct pv_plan_input in = {
        .image = &image, .ramdisk_size = MIB(100), .pages = MIB(1024) / 4, .control = true
    };
    struct pv_plan p;

    (void)state;
    assert_int_equal(pvplan_make(&in, &p), 0); /* 1 TiB */
    assert_int_equal(p.p2m.frames, MIB(1024) / 4 / 512);
    assert_int_equal(p.p2m_pt.frames, 1 + 2 + 1024);
    check_plan(&p);
}

static void test_refusals(void **state)
{
    struct image_info image = linux_image();
    struct pv_plan_input in = { .image = &image, .pages = 19458 };
    struct pv_plan p;
    uint64_t needed;

    (void)state;
    assert_int_equal(pvplan_make(&in, &p), PVPLAN_ERR_MEMORY);
    needed = p.pages_needed;
    in.pages = needed;
    assert_int_equal(pvplan_make(&in, &p), 0);
    assert_int_equal(p.pages_needed, needed);
    in.pages = needed - 1;
    assert_int_equal(pvplan_make(&in, &p), PVPLAN_ERR_MEMORY);
    in.pages = 100000;
    in.ramdisk_size = UINT64_MAX;
    assert_int_equal(pvplan_make(&in, &p), PVPLAN_ERR_SIZE);
    in.ramdisk_size = 0;
    in.pages = UINT64_MAX / 4;
    assert_int_equal(pvplan_make(&in, &p), PVPLAN_ERR_SIZE);
    in.pages = 100000;
    image.init_p2m = 0xffffffff90000000; /* in the kernel's top-level slot */
    assert_int_equal(pvplan_make(&in, &p), PVPLAN_ERR_P2M);
    image.init_p2m = 0xffff800000000000; /* in the hypervisor's hole */
    assert_int_equal(pvplan_make(&in, &p), PVPLAN_ERR_P2M);
    image.init_p2m = 0x800000000000; /* not canonical */
    assert_int_equal(pvplan_make(&in, &p), PVPLAN_ERR_P2M);
    image.init_p2m = 0x8000001000; /* unaligned */
    assert_int_equal(pvplan_make(&in, &p), PVPLAN_ERR_P2M);
    image = linux_image();
    image.mod_start_pfn = false;
    in.ramdisk_size = MIB(2048); /* does not fit above the kernel */
    in.pages = 2000000;
    assert_int_equal(pvplan_make(&in, &p), PVPLAN_ERR_ADDRESS);
    image = small_image();
    image.virt_base = image.virt_start = 0xffff7ffffff00000; /* below the hole, not canonical */
    image.virt_end = image.virt_base + 0x1000;
    assert_int_equal(pvplan_make(&in, &p), PVPLAN_ERR_ADDRESS);
    image.virt_base = image.virt_start =
        0x7fffffc00000; /* region would run out of the lower half */
    image.virt_end = image.virt_base + 0x1000;
    assert_int_equal(pvplan_make(&in, &p), PVPLAN_ERR_ADDRESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linux_dom0), cmocka_unit_test(test_guest),
        cmocka_unit_test(test_small),      cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_borders),    cmocka_unit_test(test_large_p2m),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
