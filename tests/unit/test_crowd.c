/* SPDX-License-Identifier: MIT */
/*
 * More vcpus than one pin trees of one domain at once, in strict turns, and every walk pauses where
 * it can.  Each finishes what another has begun and keeps it for that one; all must get on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/host/machine.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "tests/unit/mm_kit.h"

#define CALLERS 8u
#define TURNS   20000u

static struct kit_guest g;

/* A tree with so many level-1 tables. */
static struct frame *tree(unsigned int tables)
{
    struct frame *l4 = kit_frame(&g), *l3 = kit_frame(&g), *l2 = kit_frame(&g);

    kit_poke(l4, 1, kit_pte(l3, TAB));
    kit_poke(l3, 1, kit_pte(l2, TAB));
    for (unsigned int i = 0; i < tables; i++) {
        struct frame *l1 = kit_frame(&g);
        kit_poke(l1, 0, kit_pte(g.data[0], K_RO));
        kit_poke(l2, i, kit_pte(l1, TAB));
    }
    return l4;
}

/* All of one size, which keeps them in step, or of different ones. */
static void crowd(unsigned int tables, unsigned int more)
{
    struct mmuext_op op[CALLERS];
    struct hcall_args a[CALLERS];
    unsigned int pins[CALLERS] = { 0 };

    kit_guest(&g, false, CALLERS);
    for (unsigned int i = 0; i < CALLERS; i++) {
        op[i] = (struct mmuext_op){ .cmd = MMUEXT_PIN_L4_TABLE,
                                    .arg1.mfn = frame_mfn(tree(tables + i * more % 11)).n };
        a[i] = (struct hcall_args){ { (uintptr_t)&op[i], 1, 0, DOMID_SELF } };
        host_cpu_enter(i);
        host_load(g.d->vcpu[i]);
        assert_int_equal(mm_set_root(g.d->vcpu[i], frame_mfn(g.l4), false), 0);
    }
    host_inject_yields(1, 1);
    for (unsigned int turn = 0; turn < TURNS; turn++) {
        unsigned int i = turn % CALLERS;
        host_cpu_enter(i);
        int64_t rc = hc_mmuext_op(g.d->vcpu[i], &a[i]);
        if (rc == HC_AGAIN) {
            continue;
        }
        assert_int_equal(rc, 0);
        pins[i] += op[i].cmd == MMUEXT_PIN_L4_TABLE;
        op[i].cmd = op[i].cmd == MMUEXT_PIN_L4_TABLE ? MMUEXT_UNPIN_TABLE : MMUEXT_PIN_L4_TABLE;
        a[i] = (struct hcall_args){ { (uintptr_t)&op[i], 1, 0, DOMID_SELF } };
    }
    host_inject_yields(0, 0);
    for (unsigned int i = 0; i < CALLERS; i++) {
        print_message("%u ", pins[i]);
        assert_true(pins[i] > TURNS / CALLERS / 100);
    }
    print_message("pins\n");
    kit_audit();
    for (unsigned int i = 0; i < CALLERS; i++) {
        host_cpu_enter(i);
        host_load(NULL);
    }
    host_cpu_enter(0);
    kit_guest_end(&g);
    kit_audit();
}

static void test_same(void **state)
{
    (void)state;
    crowd(5, 0);
}

static void test_mixed(void **state)
{
    (void)state;
    crowd(3, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_same), cmocka_unit_test(test_mixed) };

    kit_machine(8192, CALLERS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
