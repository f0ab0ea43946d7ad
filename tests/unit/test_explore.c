/* SPDX-License-Identifier: MIT */
/*
 * An explorer of what three frames of a guest can become: every sequence of operations up to a
 * depth, in which a state that was met before is not gone on from. Two vcpus: an operation of the
 * first may stop at its first check point and stay so while the second does others, until it is
 * continued.
 *
 * States are reached by doing the sequence again in a fresh guest; after each operation all frames
 * and translation caches are audited, and at the end of each sequence nothing may be left.
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
#include "tests/unit/mm_kit.h"

#define FRAMES     3u
#define SLOT       100u /* level-1 entries that may map the frames */
#define DEPTH_MAX  24u
#define STATES_MAX 20000u

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

struct state {
    uint64_t hash;
    uint32_t parent;
    uint8_t op, depth;
};

static struct op ops[64];
static unsigned int op_count;
static struct state *states;
static uint32_t state_count, edge_count, stopped_count;

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
}

static void world_ends(void)
{
    host_inject_yields(0, 0);
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
    host_load(g.d->vcpu[stops ? 0 : 1]);
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

    host_load(g.d->vcpu[1]);
    g.d->vcpu[1]->arch.root_kernel = g.v->arch.root_kernel;
    bool stored = host_access(g.d->vcpu[1], KIT_VA + (SLOT + f) * PAGE_SIZE, true, &w);
    g.d->vcpu[1]->arch.root_kernel = NULL;
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

/* False: not possible here. */
static bool apply(const struct op *op)
{
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

static uint64_t mix(uint64_t h, uint64_t x)
{
    h ^= x + UINT64_C(0x9e3779b97f4a7c15) + (h << 6) + (h >> 2);
    return h * UINT64_C(0xff51afd7ed558ccd);
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
        h = mix(h, ours ? frame_word(frames[i]) : 0);
        h = mix(h, ours ? entry_id(kit_entry(frames[i], 0)) : 0);
        h = mix(h, entry_id(kit_entry(g.l1, SLOT + i)));
    }
    h = mix(h, pending.is);
    if (pending.is) {
        h = mix(h, pending.fn == hc_mmuext_op ? pending.u.ext.cmd : 77);
        h = mix(h, pending.args.arg[1]);
        uint64_t mfn =
            pending.fn == hc_mmuext_op ? pending.u.ext.arg1.mfn : pending.u.mmu.ptr >> 12;
        for (unsigned int i = 0; i < FRAMES; i++) {
            h = mix(h, mfn == frame_mfn(frames[i]).n);
        }
    }
    return h;
}

/* Does what leads to a state; false if it is no longer possible (never). */
static void replay(uint32_t s)
{
    uint8_t path[DEPTH_MAX];
    unsigned int n = 0;

    for (; s != 0; s = states[s].parent) {
        path[n++] = states[s].op;
    }
    while (n > 0) {
        assert_true(apply(&ops[path[--n]]));
    }
}

static bool known(uint64_t h)
{
    for (uint32_t i = 0; i < state_count; i++) {
        if (states[i].hash == h) {
            return true;
        }
    }
    return false;
}

static void add_op(uint8_t what, uint8_t frame, bool stops)
{
    ops[op_count++] = (struct op){ what, frame, stops };
}

static void explore(unsigned int depth)
{
    world();
    states[0] = (struct state){ .hash = hash() };
    state_count = 1;
    world_ends();
    for (uint32_t s = 0; s < state_count; s++) {
        if (states[s].depth >= depth) {
            continue;
        }
        for (uint8_t i = 0; i < op_count; i++) {
            world();
            replay(s);
            bool done = apply(&ops[i]);
            kit_audit();
            uint64_t h = done ? hash() : 0;
            edge_count += done;
            if (done && !known(h)) {
                assert_true(state_count < STATES_MAX);
                states[state_count++] = (struct state){
                    .hash = h, .parent = s, .op = i, .depth = (uint8_t)(states[s].depth + 1)
                };
            }
            world_ends();
        }
    }
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
    explore(depth);
    print_message("explorer: depth %u: %u states, %u steps, %u stopped half-way\n", depth,
                  state_count, edge_count, stopped_count);
    assert_true(state_count > 100);
    assert_true(stopped_count > 10);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_tables) };

    if (argc > 1) {
        depth = (unsigned int)atoi(argv[1]);
    }
    states = calloc(STATES_MAX, sizeof states[0]);
    kit_machine(1024, 2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
