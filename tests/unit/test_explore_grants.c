/* SPDX-License-Identifier: MIT */
/*
 * An explorer of what two grants can become: a domain that grants, changes its mind, uses the
 * frames otherwise, or ends; one that maps, replaces, copies, or ends.  The mapper has two vcpus
 * on two cpus: a batch of the first may stop half-way while the second does others; the granter's
 * vcpu has a third cpu.
 *
 * After each step the mapper touches what it has mapped from both cpus, so that the model of
 * their translation caches knows it; then frames, caches, grants and domains are counted afresh.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "abi/errno.h"
#include "abi/grant.h"
#include "abi/memory.h"
#include "arch/host/machine.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "gnttab/gnttab.h"
#include "gnttab/gnttab_priv.h"
#include "mm/audit.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "port/mmu.h"
#include "tests/unit/explore.h"
#include "tests/unit/mm_kit.h"

#define REFS   2u
#define REF    9u
#define SLOTS  3u   /* mappings that the mapper knows of; the last one has no address */
#define PTE    100u /* where slots 0 and 1 are mapped */
#define SPARE  6u   /* the page whose entry goes where a mapping was */
#define BATCH  33u  /* unmappings are flushed 32 at a time, and may stop then */
#define NOBODY UINT32_MAX

enum what {
    MAP,
    MAP_DEVICE,
    MAP_BOTH,
    MAP_ENTRY,
    MAP_TWO, /* stops after the first */
    MAP_TWICE,
    UNMAP,
    UNMAP_WRONG, /* at the address of the other slot */
    UNMAP_ALL,   /* stops before the last */
    REPLACE,
    CLEAR,
    COPY_FROM,
    COPY_TO,
    TRANSFER,
    VERSION,
    MAPPER_ENDS,
    REVOKE,
    GRANT_RW,
    GRANT_RO,
    REFRAME,
    RELEASE,
    PIN,
    UNPIN,
    SWAP,
    GROW,
    GRANTER_STEP, /* its end, to the first check point */
    GRANTER_ENDS,
    RESUME
};

static const struct op {
    enum what what;
    uint8_t a, b; /* grant and slot, or one of them */
    bool read_only;
    const char *name;
} ops[] = {
    { MAP, 0, 0, false, "map 0 at 0" },
    { MAP, 0, 0, true, "map 0 at 0 to read" },
    { MAP, 0, 1, true, "map 0 at 1 to read" },
    { MAP, 1, 1, false, "map 1 at 1" },
    { MAP_DEVICE, 0, 2, false, "map 0 for a device" },
    { MAP_BOTH, 0, 0, true, "map 0 at 0 and for a device" },
    { MAP_ENTRY, 1, 1, false, "map 1 by entry" },
    { MAP_TWO, 0, 0, false, "map both and stop" },
    { MAP_TWICE, 0, 0, false, "map 0 twice and stop" },
    { UNMAP, 0, 0, false, "unmap slot 0" },
    { UNMAP, 0, 1, false, "unmap slot 1" },
    { UNMAP, 0, 2, false, "unmap slot 2" },
    { UNMAP_WRONG, 0, 0, false, "unmap slot 0 at 1" },
    { UNMAP_ALL, 0, 0, false, "unmap both and stop" },
    { REPLACE, 0, 0, false, "replace slot 0" },
    { REPLACE, 0, 1, false, "replace slot 1" },
    { CLEAR, 0, 0, false, "clear the entry of slot 0" },
    { COPY_FROM, 0, 0, false, "copy from 0" },
    { COPY_TO, 0, 0, false, "copy to 0" },
    { TRANSFER, 0, 0, false, "transfer" },
    { VERSION, 0, 0, false, "set version" },
    { MAPPER_ENDS, 0, 0, false, "the mapper ends" },
    { REVOKE, 0, 0, false, "revoke 0" },
    { REVOKE, 1, 0, false, "revoke 1" },
    { GRANT_RW, 0, 0, false, "grant 0" },
    { GRANT_RO, 0, 0, false, "grant 0 to read" },
    { GRANT_RW, 1, 0, false, "grant 1" },
    { REFRAME, 0, 0, false, "grant 0 names the frame of 1" },
    { RELEASE, 0, 0, false, "give back frame 0" },
    { PIN, 0, 0, false, "pin frame 0" },
    { UNPIN, 0, 0, false, "unpin frame 0" },
    { SWAP, 0, 0, false, "swap" },
    { GROW, 0, 0, false, "grow" },
    { GRANTER_STEP, 0, 0, false, "the granter begins to end" },
    { GRANTER_ENDS, 0, 0, false, "the granter ends" },
    { RESUME, 0, 0, false, "what has stopped goes on" },
};

static struct kit_guest g[2]; /* who maps, who grants */
static bool alive[2];
static struct frame *frames[REFS];
static struct grant_entry_v1 *table; /* NULL when the granter is gone */
static uint32_t handle[SLOTS];
static uint64_t free_before;
static uint64_t stops, mapped;

/* The first vcpu's batch that has stopped. */
static struct {
    bool is;
    unsigned int what;
    struct hcall_args args;
    union {
        struct gnttab_map_grant_ref map[2];
        struct gnttab_unmap_grant_ref unmap[BATCH];
    } u;
} pending;

/* ---- the world ---- */

static void load_all(bool on)
{
    for (unsigned int cpu = 0; cpu < 3; cpu++) {
        struct vcpu *v = cpu == 2 ? g[1].v : g[0].d->vcpu[cpu];
        host_cpu_enter(cpu);
        host_load(on && alive[cpu / 2] ? v : NULL);
    }
    host_cpu_enter(0);
}

static void world(void)
{
    mfn_t mfn;

    free_before = heap_free_frames();
    kit_guest(&g[0], false, 2);
    kit_guest(&g[1], false, 1);
    for (unsigned int i = 0; i < 2; i++) {
        domain_ref(g[i].d);
        alive[i] = true;
    }
    assert_int_equal(mm_set_root(g[0].d->vcpu[1], frame_mfn(g[0].l4), false), 0);
    assert_int_equal(gnttab_table_frame(g[1].d, 0, &mfn), 0);
    table = port_frame_va(mfn);
    for (unsigned int i = 0; i < REFS; i++) {
        frames[i] = kit_frame(&g[1]);
        table[REF + i].domid = g[0].d->id;
        table[REF + i].frame = (uint32_t)frame_mfn(frames[i]).n;
        table[REF + i].flags = GTF_permit_access;
    }
    memset(handle, 0xff, sizeof handle);
    memset(&pending, 0, sizeof pending);
    load_all(true);
}

static void ends(unsigned int who)
{
    if (alive[who]) {
        alive[who] = false;
        load_all(true);
        host_domain_end(g[who].d);
    }
    if (who == 1) {
        table = NULL;
    } else {
        pending.is = false;
    }
}

static void world_ends(void)
{
    host_inject_yields(0, 0);
    ends(1);
    ends(0);
    load_all(false);
    for (unsigned int i = 0; i < 2; i++) {
        domain_put(g[i].d);
    }
    domain_deferred_run();
    for (unsigned int cpu = 0; cpu < 3; cpu++) {
        host_cpu_enter(cpu);
        (void)port_cpu_take_work();
    }
    host_cpu_enter(0);
    assert_null(domain_get_next(0));
    assert_int_equal(heap_free_frames(), free_before);
}

/* ---- calls ---- */

static int64_t call_on(unsigned int cpu, unsigned int cmd, void *arg, unsigned int n)
{
    host_cpu_enter(cpu);
    int64_t rc = kit_call(hc_grant_table_op, cmd, (uintptr_t)arg, n, 0);
    host_cpu_enter(0);
    return rc;
}

static uint64_t va_of(unsigned int slot)
{
    return slot < 2 ? KIT_VA + (PTE + slot) * PAGE_SIZE : 0;
}

/* The handles of a batch, once it is done. */
static void note(const struct gnttab_map_grant_ref *m, unsigned int slot)
{
    if (m->status == GNTST_okay) {
        handle[slot] = m->handle;
        mapped++;
    }
}

static struct gnttab_map_grant_ref map_arg(uint32_t ref, unsigned int slot, uint32_t flags)
{
    return (struct gnttab_map_grant_ref){
        .host_addr = va_of(slot), .flags = flags, .ref = REF + ref, .dom = g[1].d->id
    };
}

static void map(const struct op *op, uint32_t flags)
{
    struct gnttab_map_grant_ref m =
        map_arg(op->a, op->b, flags | (op->read_only ? GNTMAP_readonly : 0));

    if ((flags & GNTMAP_contains_pte) != 0) {
        m.host_addr = kit_maddr(g[0].l1, PTE + op->b);
    }
    assert_int_equal(call_on(1, GNTTABOP_map_grant_ref, &m, 1), 0);
    note(&m, op->b);
}

/* One after the other, until it stops or is done. */
static void go_on(void)
{
    host_inject_yields(1, 3);
    int64_t rc = hc_grant_table_op(g[0].v, &pending.args);
    host_inject_yields(0, 0);
    pending.is = rc == HC_AGAIN;
    stops += pending.is;
    assert_true(rc == 0 || rc == HC_AGAIN);
    for (unsigned int i = 0; i < 2 && !pending.is; i++) {
        if (pending.what == GNTTABOP_map_grant_ref) {
            note(&pending.u.map[i], i);
        }
    }
}

static void begin_batch(const struct op *op)
{
    memset(&pending.u, 0, sizeof pending.u);
    if (op->what == UNMAP_ALL) {
        for (unsigned int i = 0; i < BATCH; i++) {
            unsigned int slot = i == 0 ? 0 : 1;
            pending.u.unmap[i] = (struct gnttab_unmap_grant_ref){
                .handle = i > 0 && i + 1 < BATCH ? NOBODY : handle[slot], .host_addr = va_of(slot)
            };
        }
        pending.what = GNTTABOP_unmap_grant_ref;
    } else {
        pending.u.map[0] = map_arg(0, 0, GNTMAP_host_map);
        pending.u.map[1] = map_arg(op->what == MAP_TWICE ? 0 : 1, 1,
                                   GNTMAP_host_map | (op->what == MAP_TWICE ? GNTMAP_readonly : 0));
        pending.u.map[0].status = pending.u.map[1].status = 1; /* not yet */
        pending.what = GNTTABOP_map_grant_ref;
    }
    pending.args = (struct hcall_args){ { pending.what, (uintptr_t)&pending.u,
                                          op->what == UNMAP_ALL ? BATCH : 2 } };
    go_on();
}

static void unmap(unsigned int slot, unsigned int at)
{
    struct gnttab_unmap_grant_ref u = { .handle = handle[slot], .host_addr = va_of(at) };

    if (slot == 2) {
        u.dev_bus_addr = mfn_to_paddr(frame_mfn(frames[0]));
    }
    assert_int_equal(call_on(1, GNTTABOP_unmap_grant_ref, &u, 1), 0);
}

static void replace(unsigned int slot)
{
    struct gnttab_unmap_and_replace r = { .host_addr = va_of(slot),
                                          .new_addr = KIT_VA + SPARE * PAGE_SIZE,
                                          .handle = handle[slot] };

    assert_int_equal(call_on(1, GNTTABOP_unmap_and_replace, &r, 1), 0);
}

static void copy(bool to)
{
    struct gnttab_copy c = { .len = 8, .flags = to ? GNTCOPY_dest_gref : GNTCOPY_source_gref };
    struct gnttab_copy_ptr grant = { .u.ref = REF, .domid = g[1].d->id };
    struct gnttab_copy_ptr own = { .u.gmfn = frame_mfn(g[0].data[0]).n, .domid = DOMID_SELF };

    c.source = to ? own : grant;
    c.dest = to ? grant : own;
    assert_int_equal(call_on(1, GNTTABOP_copy, &c, 1), 0);
}

static void set_version(void)
{
    struct gnttab_set_version v = { .version = 2 };

    assert_int_equal(call_on(1, GNTTABOP_set_version, &v, 1), -ENOSYS);
    v.version = 1;
    assert_int_equal(call_on(1, GNTTABOP_set_version, &v, 1), 0);
}

/* ---- the granter ---- */

static void grant(unsigned int ref, uint16_t flags)
{
    table[REF + ref].frame = (uint32_t)frame_mfn(frames[ref]).n;
    table[REF + ref].flags = flags;
}

static void release(void)
{
    uint64_t mfn = frame_mfn(frames[0]).n;
    struct xen_memory_reservation r = { .extent_start = { (uintptr_t)&mfn },
                                        .nr_extents = 1,
                                        .domid = DOMID_SELF };

    (void)kit_call(hc_memory_op, XENMEM_decrease_reservation, (uintptr_t)&r, 0, 0);
}

static bool is_frame_owned(void)
{
    return frames[0]->owner == g[1].d && (frame_word(frames[0]) & FW_REFS_MASK) != 0;
}

static void swap(void)
{
    struct gnttab_swap_grant_ref s = { .ref_a = REF, .ref_b = REF + 1 };

    (void)kit_call(hc_grant_table_op, GNTTABOP_swap_grant_ref, (uintptr_t)&s, 1, 0);
    assert_true(s.status == GNTST_okay || s.status == GNTST_eagain);
}

static void end_step(void)
{
    host_cpu_enter(2);
    host_load(NULL);
    host_cpu_enter(0);
    alive[1] = false;
    table = NULL;
    host_inject_yields(1, 3);
    (void)domain_kill(g[1].d);
    host_inject_yields(0, 0);
    alive[1] = g[1].d->life != DL_DEAD;
}

static bool apply_granter(const struct op *op)
{
    bool pt = op->what == RELEASE || op->what == PIN || op->what == UNPIN;

    if (op->what == GRANTER_ENDS && alive[1]) {
        ends(1);
        return true;
    }
    if (!alive[1] || table == NULL || (pt && !is_frame_owned())) {
        return false;
    }
    host_cpu_enter(2);
    switch (op->what) {
    case REVOKE:
        table[REF + op->a].flags = 0; /* whether or not it is in use */
        break;
    case GRANT_RW:
    case GRANT_RO:
        grant(op->a, op->what == GRANT_RO ? GTF_permit_access | GTF_readonly : GTF_permit_access);
        break;
    case REFRAME:
        table[REF].frame = (uint32_t)frame_mfn(frames[1]).n;
        break;
    case RELEASE:
        release();
        break;
    case PIN:
    case UNPIN:
        (void)kit_mmuext(op->what == PIN ? MMUEXT_PIN_L1_TABLE : MMUEXT_UNPIN_TABLE,
                         frame_mfn(frames[0]).n, 0);
        break;
    case SWAP:
        swap();
        break;
    case GROW:
        (void)!gnttab_grow(g[1].d, 2);
        break;
    default:
        end_step();
        break;
    }
    host_cpu_enter(0);
    return true;
}

static bool do_op(unsigned int n)
{
    const struct op *op = &ops[n];

    if (op->what >= REVOKE && op->what < RESUME) {
        return apply_granter(op);
    }
    bool is_batch = op->what == MAP_TWO || op->what == MAP_TWICE || op->what == UNMAP_ALL;
    if (!alive[0] || (is_batch && pending.is) || (op->what == RESUME && !pending.is)) {
        return false;
    }
    switch (op->what) {
    case MAP:
        map(op, GNTMAP_host_map);
        break;
    case MAP_DEVICE:
        map(op, GNTMAP_device_map);
        break;
    case MAP_BOTH:
        map(op, GNTMAP_host_map | GNTMAP_device_map);
        break;
    case MAP_ENTRY:
        map(op, GNTMAP_host_map | GNTMAP_contains_pte);
        break;
    case UNMAP:
    case UNMAP_WRONG:
        unmap(op->b, op->what == UNMAP ? op->b : 1 - op->b);
        break;
    case REPLACE:
        replace(op->b);
        break;
    case CLEAR:
        host_cpu_enter(1);
        (void)kit_mmu_update(kit_maddr(g[0].l1, PTE + op->b), 0);
        host_cpu_enter(0);
        break;
    case COPY_FROM:
    case COPY_TO:
        copy(op->what == COPY_TO);
        break;
    case TRANSFER:
        assert_int_equal(call_on(1, GNTTABOP_transfer, handle, 1), -ENOSYS);
        break;
    case VERSION:
        set_version();
        break;
    case MAPPER_ENDS:
        ends(0);
        break;
    case RESUME:
        go_on();
        break;
    default:
        begin_batch(op);
        break;
    }
    return true;
}

/* ---- what is looked at ---- */

static void count_pins(struct audit *a)
{
    gnttab_audit_refs(g[0].d, a);
    gnttab_audit_refs(g[1].d, a);
}

/* From both cpus, what is mapped: their caches know it from now on. */
static void touch(void)
{
    for (unsigned int cpu = 0; cpu < 2 && alive[0]; cpu++) {
        for (unsigned int slot = 0; slot < 2; slot++) {
            uint64_t w = 0;
            host_cpu_enter(cpu);
            (void)host_access(g[0].d->vcpu[cpu], va_of(slot), false, &w);
            (void)host_access(g[0].d->vcpu[cpu], va_of(slot) + 2048, true, &w);
        }
    }
    host_cpu_enter(0);
}

static bool apply(unsigned int n)
{
    bool done = do_op(n);

    if (done) {
        touch();
    }
    return done;
}

static void audit(void)
{
    audit_all(count_pins);
    host_tlb_audit();
    domain_audit();
    for (unsigned int i = 0; i < 2; i++) {
        if (g[i].d->life != DL_DEAD) {
            gnttab_audit(g[i].d);
        }
    }
}

static uint64_t frame_id(uint64_t mfn)
{
    for (unsigned int i = 0; i < REFS; i++) {
        if (mfn == frame_mfn(frames[i]).n) {
            return i + 1;
        }
    }
    return mfn == frame_mfn(g[0].data[SPARE]).n ? 8 : 9;
}

static uint64_t entry_id(unsigned int index)
{
    pte_t e = kit_entry(g[0].l1, index);

    return e == 0 ? 0 : frame_id(pte_mfn(e).n) << 12 | (e & (PTE_P | PTE_RW | PTE_US));
}

static uint64_t hash_grants(uint64_t h)
{
    const struct gnttab *t = g[1].d->gnttab;

    for (unsigned int i = 0; i < REFS; i++) {
        const struct active *act = &t->active[0][REF + i];
        bool used = act->read + act->write != 0;
        h = explore_mix(h, act->read);
        h = explore_mix(h, act->write);
        h = explore_mix(h, used ? frame_id(act->mfn) : 0);
        h = explore_mix(h, table != NULL ? frame_id(table[REF + i].frame) : 0);
        h = explore_mix(h, table != NULL ? table[REF + i].flags : 0);
    }
    for (unsigned int i = 0; i < REFS; i++) {
        bool ours = frames[i]->owner == g[1].d && (frame_word(frames[i]) & FW_REFS_MASK) != 0;
        h = explore_mix(h, ours ? frame_word(frames[i]) : 0);
    }
    h = explore_mix(h, t->frames);
    return explore_mix(h, g[1].d->kill_phase);
}

static uint64_t hash(void)
{
    const struct gnttab *t = g[0].d->gnttab;
    uint64_t h = explore_mix(1, alive[0] + 2u * alive[1]);

    h = hash_grants(h);
    for (unsigned int i = 0; i < 2 && alive[0]; i++) {
        h = explore_mix(h, entry_id(PTE + i));
    }
    h = explore_mix(h, alive[0] ? entry_id(SPARE) : 0);
    for (unsigned int i = 0; i < 4 && alive[0]; i++) { /* what is stale makes a state of its own */
        uint64_t at = host_tlb_entry(i / 2, va_of(i % 2));
        h = explore_mix(h, at == ~UINT64_C(0) ? 0 : frame_id(at << 1 >> 1) << 1 | at >> 63);
    }
    for (unsigned int i = 0; i < SLOTS && alive[0]; i++) {
        const struct maptrack *m = handle[i] != NOBODY ? &t->handles[0][handle[i]] : NULL;
        bool used = m != NULL && m->granter != NULL;
        h = explore_mix(h, used ? m->ref : 0);
        h = explore_mix(h, used ? m->flags : 0);
        for (unsigned int k = 0; k < i; k++) {
            h = explore_mix(h, handle[i] == handle[k]);
        }
    }
    h = explore_mix(h, pending.is);
    if (pending.is) {
        h = explore_mix(h, pending.what);
        h = explore_mix(h, pending.args.arg[2]);
        bool map = pending.what == GNTTABOP_map_grant_ref;
        h = explore_mix(h, map ? pending.u.map[1].ref : pending.u.unmap[BATCH - 1].handle);
    }
    return h;
}

static const char *name(unsigned int op)
{
    return ops[op].name;
}

static unsigned int depth = 3;

static void test_grants(void **state)
{
    static const struct explorer e = { .ops = sizeof ops / sizeof ops[0],
                                       .begin = world,
                                       .end = world_ends,
                                       .apply = apply,
                                       .audit = audit,
                                       .hash = hash,
                                       .name = name };

    (void)state;
    struct explored r = explore(&e, depth);
    print_message("explorer of grants: depth %u: %u states, %u steps, %lu stopped half-way\n",
                  depth, r.states, r.steps, stops);
    assert_true(r.states > 500);
    assert_true(stops > 100);
    assert_true(mapped > 1000);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_grants) };

    depth = explore_depth(argc, argv, depth);
    kit_machine(1024, 3);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
