/* SPDX-License-Identifier: MIT */
/* See sweep_kit.h. The linker leads allocations through the functions __wrap_... (files.mk). */
#include "tests/unit/sweep_kit.h"

#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "arch/host/machine.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "evtchn/evtchn.h"
#include "gnttab/gnttab.h"
#include "guest/trap.h"
#include "mm/audit.h"
#include "mm/heap.h"
#include "mm/pool.h"
#include "port/mmu.h"

#define RUNS_MAX 20000u

/* ---- the k-th allocation ---- */

static uint64_t fail_at; /* counts down; 0: none */
static bool has_failed;

bool sweep_fails(void)
{
    if (fail_at != 0 && --fail_at == 0) {
        has_failed = true;
        return true;
    }
    return false;
}

void *__real_heap_alloc(unsigned int order, unsigned int flags);
void *__wrap_heap_alloc(unsigned int order, unsigned int flags);
struct frame *__real_heap_alloc_domain(struct domain *d, unsigned int order, unsigned int flags,
                                       uint64_t gpfn);
struct frame *__wrap_heap_alloc_domain(struct domain *d, unsigned int order, unsigned int flags,
                                       uint64_t gpfn);
struct frame *__real_heap_alloc_shared(struct domain *d);
struct frame *__wrap_heap_alloc_shared(struct domain *d);
void *__real_pool_alloc(struct pool *p);
void *__wrap_pool_alloc(struct pool *p);
int __wrap_msi_setup(const struct msi_source *src, unsigned int irq);
int __real_port_irq_startup(unsigned int irq, bool level, bool active_low);
int __wrap_port_irq_startup(unsigned int irq, bool level, bool active_low);

void *__wrap_heap_alloc(unsigned int order, unsigned int flags)
{
    return sweep_fails() ? NULL : __real_heap_alloc(order, flags);
}

struct frame *__wrap_heap_alloc_domain(struct domain *d, unsigned int order, unsigned int flags,
                                       uint64_t gpfn)
{
    return sweep_fails() ? NULL : __real_heap_alloc_domain(d, order, flags, gpfn);
}

struct frame *__wrap_heap_alloc_shared(struct domain *d)
{
    return sweep_fails() ? NULL : __real_heap_alloc_shared(d);
}

void *__wrap_pool_alloc(struct pool *p)
{
    return sweep_fails() ? NULL : __real_pool_alloc(p);
}

int __wrap_msi_setup(const struct msi_source *src, unsigned int irq)
{
    (void)src;
    (void)irq;
    return sweep_fails() ? -ENODEV : 0;
}

int __wrap_port_irq_startup(unsigned int irq, bool level, bool active_low)
{
    return sweep_fails() ? -EBUSY : __real_port_irq_startup(irq, level, active_low);
}

/* ---- the world: dom0, which calls, and a guest ---- */

struct kit_guest g0, g1;
static uint64_t free_before;
struct grant_entry_v1 *grants;
union sweep_arg u;
uint64_t list[1024], list2[1024];
uint8_t text[8192];
struct frame *tree[3];
uint32_t port;

static void count_pins(struct audit *a)
{
    domid_t id = 0;
    struct domain *d;

    while ((d = domain_get_next(id)) != NULL) {
        gnttab_audit_refs(d, a);
        for (uint32_t i = 0; i < d->max_vcpus; i++) {
            const struct vcpu *v = vcpu_get(d, i);
            if (v != NULL && v->info_frame != NULL) {
                audit_add(a, v->info_frame, FT_WRITABLE);
            }
        }
        id = (domid_t)(d->id + 1);
        domain_put(d);
    }
}

static void audit(void)
{
    domid_t id = 0;
    struct domain *d;

    audit_all(count_pins);
    host_tlb_audit();
    domain_audit();
    while ((d = domain_get_next(id)) != NULL) {
        gnttab_audit(d);
        evtchn_audit(d);
        id = (domid_t)(d->id + 1);
        domain_put(d);
    }
}

int64_t call(hcall_fn *fn, uint64_t a0, const void *a1, uint64_t a2)
{
    return kit_call(fn, a0, (uintptr_t)a1, a2, DOMID_SELF);
}

int64_t event_op(unsigned int cmd, const void *arg)
{
    return call(hc_event_channel_op, cmd, arg, 0);
}

static void world(void)
{
    uint64_t mfn = 0;

    free_before = heap_free_frames();
    kit_guest(&g0, true, 1);
    kit_guest(&g1, false, 2);
    u.setup = (struct gnttab_setup_table){ .dom = DOMID_SELF,
                                           .nr_frames = 1,
                                           .frame_list = { (uintptr_t)&mfn } };
    assert_int_equal(call(hc_grant_table_op, GNTTABOP_setup_table, &u, 1), 0);
    grants = port_frame_va(MFN(mfn));
    for (unsigned int i = 0; i < CHUNK; i++) {
        grants[REF + i].domid = 0;
        grants[REF + i].frame = (uint32_t)frame_mfn(g1.data[i % KIT_DATA]).n;
        grants[REF + i].flags = GTF_permit_access;
    }
    u.unbound = (struct evtchn_alloc_unbound){ .dom = DOMID_SELF, .remote_dom = 0 };
    assert_int_equal(event_op(EVTCHNOP_alloc_unbound, &u), 0);
    port = u.unbound.port;
    host_load(g0.v);
    for (unsigned int i = 0; i < 3; i++) {
        tree[i] = kit_frame(&g0);
    }
    kit_poke(tree[0], 0, kit_pte(tree[1], TAB));
    kit_poke(tree[0], 1, kit_pte(tree[2], TAB));
    for (unsigned int i = 0; i < 64; i++) {
        struct frame *l1 = kit_frame(&g0);
        kit_poke(l1, 3, kit_pte(g0.data[0], K_RW));
        kit_poke(tree[1 + (i & 1)], i, kit_pte(l1, TAB));
    }
    memset(&u, 0, sizeof u);
}

static void world_ends(void)
{
    struct domain *d;

    host_inject_yields(0, 0);
    host_fault_at(0);
    fail_at = 0;
    host_load(NULL);
    /* What dom0 may still have mapped of the others keeps them until it goes too. */
    for (domid_t id = 1; (d = domain_get_next(id)) != NULL;) {
        id = (domid_t)(d->id + 1);
        host_domain_end(d);
        domain_put(d);
        domain_deferred_run();
    }
    kit_guest_end(&g0);
    domain_deferred_run();
    assert_null(domain_get_next(0));
    audit();
    assert_int_equal(heap_free_frames(), free_before);
}

/* What a refused call may not change. */
struct state {
    uint64_t free, owned0, owned1, claimed, ports0, ports1, domains;
};

static struct state state_now(void)
{
    struct state s = { .free = heap_free_frames(),
                       .owned0 = g0.d->owned_frames,
                       .owned1 = g1.d->owned_frames,
                       .claimed = heap_claimed_frames(),
                       .ports0 = evtchn_count(g0.d),
                       .ports1 = evtchn_count(g1.d) };
    domid_t id = 0;
    struct domain *d;

    while ((d = domain_get_next(id)) != NULL) {
        s.domains++;
        id = (domid_t)(d->id + 1);
        domain_put(d);
    }
    return s;
}

void sweep_calm(void)
{
    fail_at = 0;
    host_fault_at(0);
}

void sweep_clear(void)
{
    memset(&u, 0, sizeof u);
}

int64_t domctl(uint32_t cmd, domid_t id)
{
    u.dom.cmd = cmd;
    u.dom.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    u.dom.domain = id;
    return call(hc_domctl, (uintptr_t)&u, NULL, 0);
}

int64_t sysctl(uint32_t cmd)
{
    u.sys.cmd = cmd;
    u.sys.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return call(hc_sysctl, (uintptr_t)&u, NULL, 0);
}

/* ---- the runs ---- */

static const struct sweep_op *ops;
static size_t op_count;
static struct sweep_want want;

enum how { PLAIN, ALLOCATION, FAULT, YIELD };

static uint64_t runs, refusals;

/* One run; returns true if what it was to meet was met. */
static bool run(const struct sweep_op *op, enum how how, uint64_t k)
{
    bool met = false;

    if (host_verbose) {
        print_message("%s, way %d, %lu\n", op->name, how, k);
    }
    world();
    if (op->prepare != NULL) {
        op->prepare();
    }
    struct state before = state_now();
    has_failed = false;
    fail_at = how == ALLOCATION ? k : 0;
    host_fault_at(how == FAULT ? k : 0);
    host_inject_yields(how == YIELD ? (uint32_t)k : 0, 7);
    int64_t rc = op->run();
    host_inject_yields(0, 0);
    host_fault_at(0);
    fail_at = 0;
    domain_deferred_run();
    audit();
    if (how == PLAIN || how == YIELD) {
        if (rc != op->want) {
            fail_msg("%s (%d, %lu): %ld, not %ld", op->name, how, k, rc, op->want);
        }
    } else if (how == ALLOCATION) {
        met = has_failed;
        if (!met && rc != op->want) {
            fail_msg("%s: %ld without a failure", op->name, rc);
        }
    } else {
        met = rc != op->want;
        if (rc < 0 && rc != -EFAULT && rc != -ENOMEM && rc > -1000 && op->want == 0 &&
            !op->in_part) {
            fail_msg("%s: byte %lu faults: %ld", op->name, k, rc);
        }
    }
    if (how == ALLOCATION && rc < 0 && !op->in_part) {
        struct state after = state_now();
        if (memcmp(&before, &after, sizeof before) != 0) {
            fail_msg("%s: allocation %lu failed with %ld and something has changed", op->name, k,
                     rc);
        }
    }
    refusals += rc < 0;
    runs++;
    world_ends();
    return met;
}

static void test_plain(void **state)
{
    (void)state;
    for (size_t i = 0; i < op_count; i++) {
        (void)run(&ops[i], PLAIN, 0);
    }
}

static void test_yields(void **state)
{
    (void)state;
    for (size_t i = 0; i < op_count; i++) {
        for (uint32_t one_in = 1; one_in <= 5; one_in++) {
            (void)run(&ops[i], YIELD, one_in);
        }
    }
    print_message("sweep: %lu runs stopped at check points\n", runs);
}

static void test_allocations(void **state)
{
    (void)state;
    runs = refusals = 0;
    for (size_t i = 0; i < op_count; i++) {
        for (uint64_t k = 1; run(&ops[i], ALLOCATION, k); k++) {
            assert_true(k < RUNS_MAX);
        }
    }
    assert_true(refusals >= want.allocations);
    print_message("sweep: %lu runs with a failed allocation, %lu refused\n", runs, refusals);
}

/* The first bytes each, of long structures and lists then every 13th. */
static void test_faults(void **state)
{
    (void)state;
    runs = refusals = 0;
    for (size_t i = 0; i < op_count; i++) {
        for (uint64_t k = 1; run(&ops[i], FAULT, k); k += k < 300 ? 1 : 13) {
            assert_true(k < RUNS_MAX * 10);
        }
    }
    assert_true(refusals >= want.faults);
    print_message("sweep: %lu runs with a fault, %lu refused\n", runs, refusals);
}

int sweep_main(const struct sweep_op *of, size_t count, const struct sweep_want *least, int argc)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_yields),
        cmocka_unit_test(test_allocations),
        cmocka_unit_test(test_faults),
    };

    ops = of;
    op_count = count;
    want = *least;
    host_verbose = argc > 1; /* with any argument: the log, which says why */
    kit_machine(8192, 2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
