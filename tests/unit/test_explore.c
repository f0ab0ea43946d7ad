/* SPDX-License-Identifier: MIT */
/*
 * An explorer of what three frames of a guest can become. Two vcpus on two cpus: an operation of
 * the first may stop at its first check point and stay so while the second does others, until it
 * is continued; the second's stores go through its cpu's translation cache.
 *
 * After each operation all frames and translation caches are audited, and at the end of each
 * sequence nothing may be left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "abi/memory.h"
#include "abi/mmu.h"
#include "arch/host/machine.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "mm/audit.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "tests/unit/explore.h"
#include "tests/unit/mm_kit.h"

#define FRAMES 3u
#define SLOT   100u /* level-1 entries that may map the frames */

enum what {
    PIN1,
    PIN2,
    UNPIN,
    MAP_RW,
    MAP_RO,
    UNMAP,
    CLEAR,   /* entry 0 of the frame, through a mapping or by mmu_update */
    ENTER,   /* entry 0 of the frame leads to the next frame */
    RELEASE, /* given back to the hypervisor */
    WHATS
};

struct op {
    uint8_t what, frame;
    bool stops; /* at its first check point, if it has one */
};

static struct op ops[64];
static unsigned int op_count;
static uint32_t stopped_count;

static struct kit_guest g;
static struct frame *frames[FRAMES];
static uint64_t free_before;

/* The first vcpu's call that has stopped. */
static struct {
    bool is;
    hcall_fn *fn;
    struct hcall_args args;
    union {
        struct mmuext_op ext;
        struct mmu_update mmu;
    } u;
} pending;

static void world(void)
{
    free_before = heap_free_frames();
    kit_guest(&g, false, 2);
    for (unsigned int i = 0; i < FRAMES; i++) {
        frames[i] = kit_frame(&g);
    }
    memset(&pending, 0, sizeof pending);
    assert_int_equal(mm_set_root(g.d->vcpu[1], frame_mfn(g.l4), false), 0);
    host_cpu_enter(1);
    host_load(g.d->vcpu[1]);
    host_cpu_enter(0);
}

static void world_ends(void)
{
    host_inject_yields(0, 0);
    host_cpu_enter(1);
    host_load(NULL);
    (void)port_cpu_take_work();
    host_cpu_enter(0);
    kit_guest_end(&g);
    audit_all(NULL);
    assert_int_equal(heap_free_frames(), free_before);
}

static bool is_ours(unsigned int f)
{
    return frames[f]->owner == g.d && (frame_word(frames[f]) & FW_REFS_MASK) != 0;
}

/* As the first vcpu, and stop; or as the second, and do not. */
static void call(hcall_fn *fn, struct hcall_args a, bool stops)
{
    host_cpu_enter(stops ? 0 : 1);
    host_inject_yields(1, 3);
    int64_t rc;
    unsigned int rounds = 0;
    do {
        rc = fn(port_current(), &a);
        if (++rounds > 10000) {
            fail_msg("a call never ends");
        }
        if (rc == HC_AGAIN && stops) {
            pending.is = true;
            pending.fn = fn;
            pending.args = a;
            stopped_count++;
            break;
        }
    } while (rc == HC_AGAIN);
    host_inject_yields(0, 0);
    host_cpu_enter(0);
}

static void ext(uint32_t cmd, unsigned int f, bool stops)
{
    static struct mmuext_op other;
    struct mmuext_op *op = stops ? &pending.u.ext : &other;

    *op = (struct mmuext_op){ .cmd = cmd, .arg1.mfn = frame_mfn(frames[f]).n };
    call(hc_mmuext_op, (struct hcall_args){ { (uintptr_t)op, 1, 0, DOMID_SELF } }, stops);
}

static void update(uint64_t ptr, uint64_t val, bool stops)
{
    static struct mmu_update other;
    struct mmu_update *u = stops ? &pending.u.mmu : &other;

    *u = (struct mmu_update){ ptr, val };
    call(hc_mmu_update, (struct hcall_args){ { (uintptr_t)u, 1, 0, DOMID_SELF } }, stops);
}

/* Entry 0 of a frame: a store where it is mapped writable, else a request. */
static void entry(unsigned int f, uint64_t val, bool stops)
{
    uint64_t w = val;

    host_cpu_enter(1);
    bool stored = host_access(g.d->vcpu[1], KIT_VA + (SLOT + f) * PAGE_SIZE, true, &w);
    host_cpu_enter(0);
    if (!stored) {
        update(kit_maddr(frames[f], 0), val, stops);
    }
}

static void release(unsigned int f)
{
    uint64_t mfn = frame_mfn(frames[f]).n;
    struct xen_memory_reservation r = { .extent_start = { (uintptr_t)&mfn },
                                        .nr_extents = 1,
                                        .domid = DOMID_SELF };

    call(hc_memory_op, (struct hcall_args){ { XENMEM_decrease_reservation, (uintptr_t)&r } },
         false);
}

static void go_on(void)
{
    struct hcall_args a = pending.args;

    pending.is = false;
    call(pending.fn, a, true); /* it may stop again */
}

static bool do_op(unsigned int n)
{
    const struct op *op = &ops[n];
    unsigned int f = op->frame;

    if (op->what == WHATS) {
        if (pending.is) {
            go_on();
        } else {
            return false;
        }
        return true;
    }
    if (!is_ours(f) || (op->stops && pending.is)) {
        return false;
    }
    switch (op->what) {
    case PIN1:
    case PIN2:
        ext(op->what == PIN1 ? MMUEXT_PIN_L1_TABLE : MMUEXT_PIN_L2_TABLE, f, op->stops);
        break;
    case UNPIN:
        ext(MMUEXT_UNPIN_TABLE, f, op->stops);
        break;
    case MAP_RW:
    case MAP_RO:
        update(kit_maddr(g.l1, SLOT + f), kit_pte(frames[f], op->what == MAP_RW ? K_RW : K_RO),
               false);
        break;
    case UNMAP:
        update(kit_maddr(g.l1, SLOT + f), 0, false);
        break;
    case CLEAR:
        entry(f, 0, op->stops);
        break;
    case ENTER:
        entry(f, kit_pte(frames[(f + 1) % FRAMES], TAB), op->stops);
        break;
    default:
        release(f);
        break;
    }
    return true;
}

/* Which frame an entry names, and its flags, without numbers that differ from world to world. */
static uint64_t entry_id(uint64_t e)
{
    uint64_t who = 99;

    for (unsigned int i = 0; i < FRAMES; i++) {
        who = pte_mfn(e).n == frame_mfn(frames[i]).n ? i : who;
    }
    return e == 0 ? 0 : who << 12 | (e & (PTE_P | PTE_RW | PTE_US)) | 1u << 20;
}

static uint64_t hash(void)
{
    uint64_t h = 1;

    for (unsigned int i = 0; i < FRAMES; i++) {
        bool ours = is_ours(i);
        h = explore_mix(h, ours ? frame_word(frames[i]) : 0);
        h = explore_mix(h, ours ? entry_id(kit_entry(frames[i], 0)) : 0);
        h = explore_mix(h, entry_id(kit_entry(g.l1, SLOT + i)));
    }
    for (unsigned int f = 0; f < FRAMES; f++) { /* what is stale makes a state of its own */
        uint64_t t = host_tlb_entry(1, KIT_VA + (SLOT + f) * PAGE_SIZE);
        h = explore_mix(h, t == ~UINT64_C(0) ? 0 : entry_id(t << PAGE_SHIFT | 1) << 1 | t >> 63);
    }
    h = explore_mix(h, pending.is);
    if (pending.is) {
        h = explore_mix(h, pending.fn == hc_mmuext_op ? pending.u.ext.cmd : 77);
        h = explore_mix(h, pending.args.arg[1]);
        uint64_t mfn =
            pending.fn == hc_mmuext_op ? pending.u.ext.arg1.mfn : pending.u.mmu.ptr >> 12;
        for (unsigned int i = 0; i < FRAMES; i++) {
            h = explore_mix(h, mfn == frame_mfn(frames[i]).n);
        }
    }
    return h;
}

/* The second cpu has in its cache what is mapped. */
static bool apply(unsigned int n)
{
    if (!do_op(n)) {
        return false;
    }
    host_cpu_enter(1);
    for (unsigned int f = 0; f < FRAMES; f++) {
        uint64_t w;
        (void)host_access(g.d->vcpu[1], KIT_VA + (SLOT + f) * PAGE_SIZE, false, &w);
    }
    host_cpu_enter(0);
    return true;
}

static void add_op(uint8_t what, uint8_t frame, bool stops)
{
    ops[op_count++] = (struct op){ what, frame, stops };
}

/* Two frames that lead to each other, with stops: as deep as it takes to find nothing new is too
 * long for each build; the depth can be given as an argument. */
static unsigned int depth = 4;

static void test_tables(void **state)
{
    (void)state;
    for (uint8_t f = 0; f < FRAMES; f++) {
        for (uint8_t what = PIN1; what <= RELEASE; what++) {
            if (f == 2 && (what == PIN2 || what == ENTER || what == RELEASE)) {
                continue; /* the third frame: data, or a level 1 */
            }
            add_op(what, f, false);
        }
    }
    add_op(PIN2, 0, true);
    add_op(PIN1, 1, true);
    add_op(UNPIN, 0, true);
    add_op(ENTER, 0, true);
    add_op(CLEAR, 0, true);
    add_op(WHATS, 0, true); /* what has stopped goes on */
    struct explorer e = { .ops = op_count,
                          .begin = world,
                          .end = world_ends,
                          .apply = apply,
                          .audit = kit_audit,
                          .hash = hash };
    struct explored r = explore(&e, depth);
    print_message("explorer of frames: depth %u: %u states, %u steps, %u stopped half-way\n", depth,
                  r.states, r.steps, stopped_count);
    assert_true(r.states > 100);
    assert_true(stopped_count > 10);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_tables) };

    depth = explore_depth(argc, argv, depth);
    kit_machine(1024, 2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
