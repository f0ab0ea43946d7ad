/* SPDX-License-Identifier: MIT */
/* The guarded ways: what is patched for which plan, and the roots that guests run on with
 * page-table isolation, kept in step with theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/host/machine.h"
#include "guest/spec.h"
#include "guest/x86_slots.h"
#include "hw/cpu.h"
#include "hw/cpu_info.h"
#include "hw/guard.h"
#include "hw/layout.h"
#include "hw/offsets.h"
#include "hw/paging.h"
#include "hw/seg.h"
#include "start/cmdline.h"
#include "tests/unit/mm_kit.h"

#define SLOT 200u /* a top-level entry that the kit leaves alone */

/* What the linker script and the assembly provide. */
struct site {
    uint64_t at;
    uint32_t length;
    uint32_t feature;
};
static uint8_t code[64];
struct site guard_sites_start[6];
__asm__(".globl guard_sites_end\n.set guard_sites_end, guard_sites_start + 96");
uint8_t guard_text_start[2 * 4096] __attribute__((aligned(4096)));
__asm__(".globl guard_text_end\n.set guard_text_end, guard_text_start + 8192");
uint8_t thunks[64];
__asm__(".globl thunks_end\n.set thunks_end, thunks + 64");
const uint8_t thunks_lfence[64] = { 1, 2, 3 };
const uint8_t thunks_retpoline[64] = { 4, 5, 6 };
uint8_t syscall_call[8], restore_sysret[8], restore_iret[8];
const uint8_t guarded_restore_sysret[8], guarded_restore_iret[8];

static struct kit_guest g;
static uint64_t data_page[512];
static struct cpu_info info;
static uint64_t *top[4]; /* the tables made, by order */
static unsigned int tops, global_off, entries_made;
static uint64_t leaf, mapped[16];
static unsigned int maps;

struct cpu_info *cpu_info(void)
{
    return &info;
}

uint64_t *paging_new_table(void)
{
    assert_true(tops < 4);
    top[tops] = aligned_alloc(4096, 4096);
    memset(top[tops], 0, 4096);
    return top[tops++];
}

uint64_t paging_table_pa(const uint64_t *table)
{
    return (uintptr_t)table;
}

uint64_t *paging_entry_in(uint64_t *t, uint64_t va, unsigned int level)
{
    (void)level;
    t[271] = 0x7771;
    assert_true(maps < 16);
    mapped[maps++] = va;
    return &leaf;
}

uint64_t paging_image_pa(const void *va)
{
    return (uintptr_t)va;
}

uint64_t *paging_percpu_table(unsigned int cpu)
{
    (void)cpu;
    return data_page;
}

uint64_t seg_idt_pa(uint64_t *va)
{
    *va = 0x1d7000;
    return 0x1d7000;
}

void seg_entries(void)
{
    entries_made++;
}

void cpu_no_global(void)
{
    global_off++;
}

static void hook_cpuid(uint32_t leaf_nr, uint32_t subleaf, struct cpuid_leaf *out)
{
    (void)subleaf;
    *out = (struct cpuid_leaf){ 0 };
    if (leaf_nr == 1) {
        out->c = UINT32_C(1) << 31;
    } else if (leaf_nr == UINT32_C(0x40000000)) {
        *out = (struct cpuid_leaf){ .b = 0x54474354, .c = 0x43544743, .d = 0x47435447 };
    }
}

/* Plan and patch as at boot. */
static void start(const char *spec_ctrl, int dom0_isolated, int domu_isolated)
{
    static const uint32_t features[6] = { GUARD_XPTI, GUARD_IBRS, GUARD_IBPB,
                                          GUARD_RSB,  GUARD_VERW, GUARD_DIV };

    memset(code, 0x90, sizeof code);
    for (unsigned int i = 0; i < 6; i++) {
        guard_sites_start[i] = (struct site){ (uintptr_t)&code[i * 10], 3 + i, features[i] };
    }
    memset(thunks, 0, sizeof thunks);
    memset(syscall_call, 0, sizeof syscall_call);
    memset(restore_sysret, 0, sizeof restore_sysret);
    memset(restore_iret, 0, sizeof restore_iret);
    global_off = entries_made = 0;
    x86_root_watched = false;
    strcpy(options.spec_ctrl, spec_ctrl);
    options.xpti_dom0 = dom0_isolated;
    options.xpti = domu_isolated;
    spec_init();
    guard_init();
}

static int64_t distance(const uint8_t *at)
{
    int32_t d;

    memcpy(&d, at + 1, 4);
    return (int64_t)(uintptr_t)at + 5 + d;
}

static void test_nothing_wanted(void **state)
{
    (void)state;
    start("", 0, 0);
    assert_false(guard_on());
    assert_int_equal(entries_made + global_off, 0);
    assert_int_equal(thunks[0] + syscall_call[0] + restore_sysret[0] + restore_iret[0], 0);
    assert_int_equal(code[0], 0x90);
    assert_false(x86_root_watched);
    guard_cpu_init(0);
    assert_int_equal(tops, 0);
}

static void test_thunks(void **state)
{
    (void)state;
    start("bti-thunk=lfence", 0, 0);
    assert_false(guard_on());
    assert_memory_equal(thunks, thunks_lfence, sizeof thunks);
    assert_int_equal(syscall_call[0], 0xe8);
    assert_true(distance(syscall_call) == (int64_t)(uintptr_t)thunks);
    start("bti-thunk=retpoline", 0, 0);
    assert_memory_equal(thunks, thunks_retpoline, sizeof thunks);
}

/* What is not wanted is jumped over, as a whole; the rest stays. */
static void test_sites(void **state)
{
    (void)state;
    start("verw", 0, 0);
    assert_true(guard_on() && guard_has(GUARD_VERW) && !guard_has(GUARD_XPTI));
    assert_int_equal(entries_made, 1);
    assert_int_equal(global_off, 0);
    for (unsigned int i = 0; i < 4; i++) {
        assert_int_equal(code[i * 10], 0xeb);
        assert_int_equal(code[i * 10 + 1], 1 + i);
        assert_int_equal(code[i * 10 + 2 + i], 0xcc);
        assert_int_equal(code[i * 10 + 3 + i], 0x90);
    }
    assert_int_equal(code[40], 0x90);
    assert_int_equal(code[50], 0xeb);
    assert_int_equal(restore_sysret[0], 0xe9);
    assert_true(distance(restore_sysret) == (int64_t)(uintptr_t)guarded_restore_sysret);
    assert_true(distance(restore_iret) == (int64_t)(uintptr_t)guarded_restore_iret);
}

static uint64_t root_pa(void)
{
    return frame_mfn(g.l4).n << PAGE_SHIFT;
}

static bool same_as_guest(const uint64_t *table)
{
    for (unsigned int i = 0; i < PT_ENTRIES; i++) {
        if ((i < PT4_HV_FIRST || i > PT4_HV_LAST) && table[i] != kit_entry(g.l4, i)) {
            return false;
        }
    }
    return true;
}

static void test_roots(void **state)
{
    uint64_t va = (uint64_t)SLOT << 39;
    struct frame *l3 = kit_frame(&g);

    (void)state;
    start("", 0, 1);
    assert_int_equal(global_off, 1);
    assert_true(x86_root_watched);
    guard_cpu_init(0);
    assert_int_equal(tops, 2);
    assert_int_equal(maps, 4); /* two pages of entries, the IDT, the cpu's windows */
    assert_int_equal(mapped[0], (uintptr_t)guard_text_start);
    assert_int_equal(mapped[1], (uintptr_t)guard_text_start + 4096);
    info.current = g.v;
    info.entry = (uintptr_t)data_page;
    memset(data_page, 0x5a, sizeof data_page);

    assert_true(guard_leave() == (uintptr_t)top[1]); /* kernel mode */
    assert_int_equal(data_page[PCD_FULL / 8], root_pa());
    assert_int_equal(data_page[PCD_CUT / 8], (uintptr_t)top[1]);
    assert_int_equal(data_page[PCD_RSP / 8] | data_page[PCD_RAX / 8] | data_page[511], 0);
    assert_int_equal(data_page[496], 0);
    assert_int_equal(data_page[495], 0x5a5a5a5a5a5a5a5a);
    /* the stacks of the table, as they have been used; nothing else */
    assert_int_equal((uint32_t)data_page[PCD_LEFT / 8], 0);
    for (unsigned int i = (PCD_LEFT + 8) / 8; i < 496; i++) {
        bool is_stack = i >= (PCD_IST - PCD_IST_SIZE) / 8 && i < (PCD_IST + 3 * PCD_IST_SIZE) / 8;

        assert_int_equal(data_page[i], is_stack ? 0 : 0x5a5a5a5a5a5a5a5a);
    }
    data_page[PCD_IST / 8 - 1] = 1;
    (void)guard_leave();
    assert_int_equal(data_page[PCD_IST / 8 - 1], 1); /* not cleared when there is nothing to */
    assert_true(same_as_guest(top[1]));
    assert_int_equal(top[1][PT4_HV_FIRST], x86_hv_slots[0]);
    for (unsigned int i = PT4_HV_FIRST + 1; i < PT4_HV_LAST; i++) {
        assert_int_equal(top[0][i], 0);
        assert_int_equal(top[1][i], 0);
    }
    assert_int_equal(top[0][PT4_HV_LAST], 0x7771);
    assert_int_equal(top[1][PT4_HV_LAST], 0x7771);

    /* an entry comes, by another cpu: a fault tells, the way out brings it */
    assert_false(guard_stale(va));
    assert_int_equal(kit_mmu_update(kit_maddr(g.l4, SLOT), kit_pte(l3, TAB)), 0);
    assert_int_equal(top[1][SLOT], 0);
    assert_true(guard_stale(va));
    assert_true(guard_leave() == (uintptr_t)top[1]);
    assert_true(same_as_guest(top[1]));
    assert_false(guard_stale(va));
    /* the processor marks the copy as used */
    top[1][SLOT] ^= PTE_A;
    assert_false(guard_stale(va));
    assert_false(guard_stale((uint64_t)PT4_HV_FIRST << 39 | UINT64_C(0xffff000000000000)));
    /* it goes: gone after the next way out */
    assert_int_equal(kit_mmu_update(kit_maddr(g.l4, SLOT), 0), 0);
    (void)guard_leave();
    assert_int_equal(top[1][SLOT], 0);
    /* nothing has changed: not copied again */
    top[1][SLOT] = 0x123;
    (void)guard_leave();
    assert_int_equal(top[1][SLOT], 0x123);
    /* but for a fault that finds a difference */
    assert_true(guard_stale(va));
    (void)guard_leave();
    assert_int_equal(top[1][SLOT], 0);
}

/* User mode has a copy of its own. */
static void test_modes(void **state)
{
    (void)state;
    g.v->arch.root_user = g.l4;
    g.v->arch.kernel_mode = false;
    assert_true(guard_leave() == (uintptr_t)top[0]);
    assert_true(same_as_guest(top[0]));
    assert_int_equal(data_page[PCD_CUT / 8], (uintptr_t)top[0]);
    g.v->arch.kernel_mode = true;
    g.v->arch.root_user = NULL;
    assert_true(guard_leave() == (uintptr_t)top[1]);
}

/* The other kind of domain stays on its own root. */
static void test_exempt(void **state)
{
    (void)state;
    start("", 1, 0);
    assert_true(guard_leave() == root_pa());
    assert_int_equal(data_page[PCD_CUT / 8], root_pa());
    assert_false(guard_stale(UINT64_C(0x1000)));
    start("verw", 0, 0);
    assert_true(guard_leave() == root_pa());
    start("", 0, 1);
    g.d->is_hw = true;
    assert_true(guard_leave() == root_pa());
    g.d->is_hw = false;
    assert_true(guard_leave() == (uintptr_t)top[1]);
}

/* A frame that was memory meanwhile is another root, though at the same place. */
static void test_pinned_again(void **state)
{
    uint64_t seen = x86_root_changes;

    (void)state;
    struct frame *l4 = kit_frame(&g);
    assert_int_equal(kit_mmuext(MMUEXT_PIN_L4_TABLE, frame_mfn(l4).n, 0), 0);
    assert_true(x86_root_changes > seen);
    assert_int_equal(kit_mmuext(MMUEXT_UNPIN_TABLE, frame_mfn(l4).n, 0), 0);
}

static int machine(void **state)
{
    (void)state;
    kit_machine(2048, 2);
    host_hooks.cpuid = hook_cpuid;
    kit_guest(&g, false, 2);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_wanted), cmocka_unit_test(test_thunks),
        cmocka_unit_test(test_sites),          cmocka_unit_test(test_roots),
        cmocka_unit_test(test_modes),          cmocka_unit_test(test_exempt),
        cmocka_unit_test(test_pinned_again),
    };

    return cmocka_run_group_tests(tests, machine, NULL);
}
