/* SPDX-License-Identifier: MIT */
/* Descriptor tables: what a descriptor may be, pages that become tables, and that nobody writes
 * them behind our back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "abi/arch_x86_64.h"
#include "abi/errno.h"
#include "arch/host/machine.h"
#include "guest/desc.h"
#include "mm/heap.h"
#include "port/copy.h"
#include "tests/unit/mm_kit.h"

#define DATA3 UINT64_C(0x00cff3000000ffff)
#define CODE3 UINT64_C(0x00affb000000ffff) /* 64-bit */
#define DATA0 UINT64_C(0x00cf93000000ffff)
#define DPL   (UINT64_C(3) << 45)
#define SLOT  100u

static struct kit_guest g;

static int begin(void **state)
{
    (void)state;
    kit_guest(&g, false, 1);
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

/* Every type and level: ring 3 or nothing. */
static void test_check(void **state)
{
    (void)state;
    for (unsigned int type = 0; type < 32; type++) {
        for (unsigned int dpl = 0; dpl < 4; dpl++) {
            uint64_t want =
                UINT64_C(0x00cf80000000ffff) | (uint64_t)type << 40 | (uint64_t)dpl << 45;
            uint64_t x = want;
            bool is_segment = type >= 16;
            assert_int_equal(desc_check(&x), is_segment || type == 0);
            assert_int_equal(x, is_segment ? want | DPL : want);
            x = want & ~(UINT64_C(1) << 47); /* not present: harmless */
            want = x;
            assert_true(desc_check(&x));
            assert_int_equal(x, want);
        }
    }
}

static int64_t set_gdt(const uint64_t *mfns, uint64_t entries)
{
    return kit_call(hc_set_gdt, (uintptr_t)mfns, entries, 0, 0);
}

static int64_t update(struct frame *f, unsigned int i, uint64_t desc)
{
    return kit_call(hc_update_descriptor, kit_maddr(f, i), desc, 0, 0);
}

static void test_gdt(void **state)
{
    struct frame *f = kit_frame(&g), *bad = kit_frame(&g);
    uint64_t mfns[15] = { frame_mfn(f).n };

    (void)state;
    kit_poke(f, 3, DATA0);
    kit_poke(f, 511, CODE3);
    kit_poke(bad, 200, UINT64_C(0x0000ec00e008ffff)); /* a call gate */
    assert_int_equal(kit_update_va(KIT_VA + SLOT * PAGE_SIZE, kit_pte(f, K_RW), 0), 0);
    assert_int_equal(set_gdt(mfns, 512), -EINVAL); /* writable */
    assert_int_equal(kit_update_va(KIT_VA + SLOT * PAGE_SIZE, kit_pte(f, K_RO), 0), 0);
    unsigned int loads = host_record.gdt_loads;
    assert_int_equal(set_gdt(mfns, 512), 0);
    assert_int_equal(host_record.gdt_loads, loads + 1);
    assert_int_equal(kit_entry(f, 3), DATA0 | DPL);
    kit_audit();
    assert_int_equal(kit_update_va(KIT_VA + SLOT * PAGE_SIZE, kit_pte(f, K_RW), 0), -EBUSY);
    assert_int_equal(kit_mmu_update(kit_maddr(f, 3), DATA0), -EINVAL); /* no plain store either */
    assert_int_equal(kit_mmuext(MMUEXT_CLEAR_PAGE, frame_mfn(f).n, 0), -EINVAL);
    assert_int_equal(kit_mmuext(MMUEXT_PIN_L1_TABLE, frame_mfn(f).n, 0), -EINVAL);
    assert_int_equal(kit_entry(f, 3), DATA0 | DPL);
    /* refused as a whole, the old one stays */
    mfns[1] = frame_mfn(bad).n;
    assert_int_equal(set_gdt(mfns, 513), -EINVAL);
    mfns[1] = frame_limit;
    assert_int_equal(set_gdt(mfns, 513), -EINVAL);
    mfns[1] = frame_mfn(g.l1).n;
    assert_int_equal(set_gdt(mfns, 513), -EINVAL);
    assert_int_equal(g.v->arch.gdt_entries, 512);
    assert_int_equal(set_gdt(mfns, FIRST_RESERVED_GDT_ENTRY + 1), -EINVAL);
    assert_int_equal(set_gdt(mfns, ~UINT64_C(0)), -EINVAL);
    assert_int_equal(kit_call(hc_set_gdt, HV_VIRT_START, 512, 0, 0), -EFAULT);
    kit_audit();
    /* the same page for all of it */
    for (unsigned int i = 0; i < 14; i++) {
        mfns[i] = frame_mfn(f).n;
    }
    assert_int_equal(set_gdt(mfns, FIRST_RESERVED_GDT_ENTRY), 0);
    assert_int_equal(kit_type_refs(f), 14);
    assert_true(desc_is_code64(g.v, 511 << 3 | 3));
    assert_false(desc_is_code64(g.v, 3 << 3 | 3));
    assert_true(desc_is_code64(g.v, FLAT_RING3_CS64));
    assert_false(desc_is_code64(g.v, FLAT_RING3_CS32));
    kit_audit();
    assert_int_equal(set_gdt(NULL, 0), 0);
    assert_int_equal(kit_type_refs(f), 0);
    assert_false(desc_is_code64(g.v, 511 << 3 | 3));
    assert_int_equal(kit_update_va(KIT_VA + SLOT * PAGE_SIZE, kit_pte(f, K_RW), 0), 0);
}

static void test_update(void **state)
{
    struct frame *f = kit_frame(&g);
    uint64_t mfns[1] = { frame_mfn(f).n };

    (void)state;
    assert_int_equal(update(f, 5, DATA0), 0); /* an ordinary page: checked all the same */
    assert_int_equal(kit_entry(f, 5), DATA0 | DPL);
    assert_int_equal(set_gdt(mfns, 100), 0);
    assert_int_equal(update(f, 6, DATA3), 0);
    assert_int_equal(kit_entry(f, 6), DATA3);
    assert_int_equal(update(f, 7, UINT64_C(0x0000ec00e008ffff)), -EINVAL);
    assert_int_equal(kit_entry(f, 7), 0);
    assert_int_equal(kit_call(hc_update_descriptor, kit_maddr(f, 6) + 1, 0, 0, 0), -EINVAL);
    assert_int_equal(update(g.l1, 0, 0), -EINVAL);
    assert_int_equal(kit_call(hc_update_descriptor, frame_limit << PAGE_SHIFT, 0, 0, 0), -EINVAL);
    kit_audit();
}

static int64_t set_ldt(uint64_t va, uint64_t entries)
{
    return kit_mmuext(MMUEXT_SET_LDT, va, entries);
}

/* Pages of an LDT are taken when the processor first looks into them. */
static void test_ldt(void **state)
{
    struct frame *f = kit_frame(&g);
    uint64_t va = KIT_VA + SLOT * PAGE_SIZE;

    (void)state;
    kit_poke(f, 1, CODE3);
    assert_int_equal(set_ldt(va + 8, 8), -EINVAL);
    assert_int_equal(set_ldt(va, 8193), -EINVAL);
    assert_int_equal(set_ldt(HV_VIRT_START, 8), -EINVAL);
    assert_int_equal(set_ldt((UINT64_C(1) << 47) - PAGE_SIZE, 8192), -EINVAL);
    assert_int_equal(set_ldt(va, 600), 0);
    assert_false(pt_map_ldt_page(g.v, 0)); /* nothing mapped there */
    assert_int_equal(kit_update_va(va, kit_pte(f, K_RW), 0), 0);
    assert_false(pt_map_ldt_page(g.v, 0)); /* writable */
    assert_int_equal(kit_update_va(va, kit_pte(f, K_RO), 0), 0);
    assert_true(pt_map_ldt_page(g.v, 8));
    assert_true(desc_is_code64(g.v, 1 << 3 | 7));
    kit_audit();
    assert_false(pt_map_ldt_page(g.v, 8)); /* it is there already: the fault has another reason */
    assert_false(pt_map_ldt_page(g.v, 2 * PAGE_SIZE)); /* beyond the limit */
    assert_false(pt_map_ldt_page(g.v, 16 * PAGE_SIZE));
    assert_int_equal(kit_update_va(va, kit_pte(f, K_RW), 0), -EBUSY);
    assert_int_equal(set_ldt(0, 0), 0);
    assert_false(pt_map_ldt_page(g.v, 0));
    assert_int_equal(kit_update_va(va, kit_pte(f, K_RW), 0), 0);
}

static int setup(void **state)
{
    (void)state;
    kit_machine(1024, 1);
    return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = { T(test_check), T(test_gdt), T(test_update), T(test_ldt) };

    return cmocka_run_group_tests(tests, setup, NULL);
}
