/* SPDX-License-Identifier: MIT */
/*
 * Two domains of two vcpus, each vcpu a thread: they bind, send and close the same ports, and map,
 * copy and unmap the same grants by the same handles, while timers raise virtual interrupts.  In
 * the end every port has its peer, and every count is right.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "abi/event.h"
#include "abi/grant.h"
#include "arch/host/machine.h"
#include "evtchn/evtchn.h"
#include "gnttab/gnttab.h"
#include "mm/audit.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "port/mmu.h"
#include "tests/unit/mm_kit.h"

#define THREADS 4u
#define ROUNDS  (30000u / THREAD_SHARE)
#define REFS    4u
#define SLOTS   8u

static struct kit_guest g[2];
static struct grant_entry_v1 *table[2];
static _Atomic uint32_t handle[2][SLOTS];
static _Atomic uint64_t good[16];

static uint32_t next(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 8;
}

static int64_t event(unsigned int cmd, void *arg)
{
    int64_t rc = kit_call(hc_event_channel_op, cmd, (uintptr_t)arg, 0, 0);

    good[cmd] += rc == 0;
    return rc;
}

static void ports(uint32_t *x, unsigned int me)
{
    domid_t peer = g[1 - me].d->id;
    uint32_t port = 1 + next(x) % 24;

    switch (next(x) % 8) {
    case 0: {
        struct evtchn_alloc_unbound u = { .dom = DOMID_SELF,
                                          .remote_dom = next(x) & 7 ? peer : DOMID_SELF };
        (void)event(EVTCHNOP_alloc_unbound, &u);
        break;
    }
    case 1: {
        struct evtchn_bind_interdomain b = { .remote_dom = next(x) & 7 ? peer : g[me].d->id,
                                             .remote_port = port };
        (void)event(EVTCHNOP_bind_interdomain, &b);
        break;
    }
    case 2: {
        struct evtchn_close c = { port };
        (void)event(EVTCHNOP_close, &c);
        break;
    }
    case 3: {
        struct evtchn_bind_virq b = { .virq = VIRQ_TIMER, .vcpu = next(x) & 1 };
        (void)event(EVTCHNOP_bind_virq, &b);
        break;
    }
    case 4: {
        struct evtchn_bind_vcpu b = { .port = port, .vcpu = next(x) & 1 };
        (void)event(EVTCHNOP_bind_vcpu, &b);
        break;
    }
    case 5:
        virq_raise(g[next(x) & 1].d->vcpu[next(x) & 1], VIRQ_TIMER);
        break;
    default: {
        struct evtchn_send s = { port };
        (void)event(EVTCHNOP_send, &s);
        break;
    }
    }
}

static void grants(uint32_t *x, unsigned int me)
{
    unsigned int slot = next(x) % SLOTS;
    uint32_t ref = 8 + next(x) % REFS;
    uint64_t dev = (uint64_t)__atomic_load_n(&table[1 - me][ref].frame, __ATOMIC_RELAXED)
                   << PAGE_SHIFT;

    switch (next(x) % 4) {
    case 0: {
        struct gnttab_map_grant_ref m = { .flags = GNTMAP_device_map |
                                                   (next(x) & 1 ? GNTMAP_readonly : 0),
                                          .ref = ref,
                                          .dom = g[1 - me].d->id };
        (void)kit_call(hc_grant_table_op, GNTTABOP_map_grant_ref, (uintptr_t)&m, 1, 0);
        if (m.status == GNTST_okay) {
            good[14]++;
            atomic_store(&handle[me][slot], m.handle);
        }
        break;
    }
    case 1:
    case 2: {
        /* The other vcpu may be at the same handle: one of them wins. */
        struct gnttab_unmap_grant_ref u = { .handle = atomic_load(&handle[me][slot]),
                                            .dev_bus_addr = dev };
        (void)kit_call(hc_grant_table_op, GNTTABOP_unmap_grant_ref, (uintptr_t)&u, 1, 0);
        good[15] += u.status == GNTST_okay;
        break;
    }
    default: {
        struct gnttab_copy c = { .source.u.ref = ref,
                                 .source.domid = g[1 - me].d->id,
                                 .flags = GNTCOPY_source_gref,
                                 .dest.u.gmfn = frame_mfn(g[me].data[KIT_DATA - 1]).n,
                                 .dest.domid = DOMID_SELF,
                                 .dest.offset = (uint16_t)((port_cpu_id() & 1) * 512),
                                 .len = 64 };
        (void)kit_call(hc_grant_table_op, GNTTABOP_copy, (uintptr_t)&c, 1, 0);
        good[13] += c.status == GNTST_okay;
        break;
    }
    }
}

static void *work(void *arg)
{
    unsigned int cpu = (unsigned int)(uintptr_t)arg;
    unsigned int me = cpu / 2;
    uint32_t x = cpu * 7919 + 3;

    host_cpu_enter(cpu);
    for (unsigned int i = 0; i < ROUNDS; i++) {
        ports(&x, me);
        grants(&x, me);
    }
    return NULL;
}

static void count_pins(struct audit *a)
{
    gnttab_audit_refs(g[0].d, a);
    gnttab_audit_refs(g[1].d, a);
}

static void test_all_at_once(void **state)
{
    pthread_t thread[THREADS];

    (void)state;
    for (unsigned int me = 0; me < 2; me++) {
        kit_guest(&g[me], me == 0, 2);
    }
    for (unsigned int me = 0; me < 2; me++) {
        mfn_t mfn;
        assert_int_equal(gnttab_table_frame(g[me].d, 0, &mfn), 0);
        table[me] = port_frame_va(mfn);
        for (uint32_t ref = 0; ref < REFS; ref++) {
            table[me][8 + ref] = (struct grant_entry_v1){ GTF_permit_access, g[1 - me].d->id,
                                                          (uint32_t)frame_mfn(g[me].data[ref]).n };
        }
    }
    host_load(NULL);
    for (unsigned int cpu = 0; cpu < THREADS; cpu++) {
        host_cpu_enter(cpu);
        host_load(g[cpu / 2].d->vcpu[cpu & 1]);
    }
    for (unsigned int cpu = 0; cpu < THREADS; cpu++) {
        assert_int_equal(pthread_create(&thread[cpu], NULL, work, (void *)(uintptr_t)cpu), 0);
    }
    for (unsigned int cpu = 0; cpu < THREADS; cpu++) {
        assert_int_equal(pthread_join(thread[cpu], NULL), 0);
    }
    for (unsigned int i = 0; i < 9; i++) {
        assert_true(good[i] > 100 || i == EVTCHNOP_bind_pirq || i == EVTCHNOP_status ||
                    i == EVTCHNOP_bind_ipi || i == EVTCHNOP_bind_virq);
    }
    assert_true(good[13] > 1000 && good[14] > 1000 && good[15] > 1000);
    for (unsigned int me = 0; me < 2; me++) {
        evtchn_audit(g[me].d);
        gnttab_audit(g[me].d);
        assert_in_range(gnttab_mapped(g[me].d), 0, good[14]);
    }
    audit_all(count_pins);

    for (unsigned int cpu = 0; cpu < THREADS; cpu++) {
        host_cpu_enter(cpu);
        host_load(NULL);
    }
    host_cpu_enter(0);
    kit_guest_end(&g[1]);
    kit_guest_end(&g[0]);
    assert_null(domain_get_next(0));
}

/* ---- a port that moves while it is sent to --------------------------- */

#define MOVES (40000u / THREAD_SHARE)

static struct kit_guest one[2];
static uint32_t near_port, far_port; /* one[0] sends over near_port; one[1] is told by far_port */
static pthread_barrier_t start, end;

static void *sender(void *arg)
{
    struct evtchn_send s = { near_port };

    (void)arg;
    host_cpu_enter(0);
    for (unsigned int i = 0; i < MOVES; i++) {
        pthread_barrier_wait(&start);
        (void)event(EVTCHNOP_send, &s);
        pthread_barrier_wait(&end);
    }
    return NULL;
}

/* As Linux does it: masked, moved, unmasked.  Every second time it is not masked. */
static void *mover(void *arg)
{
    struct evtchn_bind_vcpu b = { .port = far_port };
    struct evtchn_unmask u = { far_port };
    struct shared_info *s = one[1].d->shared;
    uint64_t *mask = &s->evtchn_mask[far_port / 64];
    uint64_t bit = UINT64_C(1) << (far_port % 64);
    uint32_t x = 1;

    (void)arg;
    host_cpu_enter(1);
    for (unsigned int i = 0; i < MOVES; i++) {
        b.vcpu = i & 1;
        s->evtchn_pending[far_port / 64] = 0;
        for (unsigned int v = 0; v < 2; v++) {
            s->vcpu_info[v].evtchn_pending_sel = 0;
            s->vcpu_info[v].evtchn_upcall_pending = 0;
        }
        pthread_barrier_wait(&start);
        for (volatile uint32_t wait = next(&x) % 256; wait > 0; wait--) {
        }
        if (i & 2) {
            (void)__atomic_fetch_or(mask, bit, __ATOMIC_SEQ_CST);
        }
        assert_int_equal(event(EVTCHNOP_bind_vcpu, &b), 0);
        if (i & 2) {
            assert_int_equal(event(EVTCHNOP_unmask, &u), 0);
        }
        pthread_barrier_wait(&end);
        assert_true((s->evtchn_pending[far_port / 64] & bit) != 0);
        assert_true((s->vcpu_info[b.vcpu].evtchn_pending_sel >> (far_port / 64) & 1) != 0);
        assert_int_equal(s->vcpu_info[b.vcpu].evtchn_upcall_pending, 1);
    }
    return NULL;
}

/* Wherever the move comes, the vcpu that the port belongs to in the end has been told. */
static void test_move_while_sent(void **state)
{
    pthread_t thread[2];

    (void)state;
    kit_guest(&one[0], true, 2);
    kit_guest(&one[1], false, 2);
    host_cpu_enter(1);
    host_load(one[1].d->vcpu[0]);
    struct evtchn_alloc_unbound u = { .dom = DOMID_SELF, .remote_dom = one[0].d->id };
    assert_int_equal(event(EVTCHNOP_alloc_unbound, &u), 0);
    host_cpu_enter(0);
    host_load(one[0].d->vcpu[0]);
    struct evtchn_bind_interdomain b = { .remote_dom = one[1].d->id, .remote_port = u.port };
    assert_int_equal(event(EVTCHNOP_bind_interdomain, &b), 0);
    near_port = b.local_port;
    far_port = u.port;

    pthread_barrier_init(&start, NULL, 2);
    pthread_barrier_init(&end, NULL, 2);
    assert_int_equal(pthread_create(&thread[0], NULL, sender, NULL), 0);
    assert_int_equal(pthread_create(&thread[1], NULL, mover, NULL), 0);
    for (unsigned int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    }
    for (unsigned int cpu = 0; cpu < 2; cpu++) {
        host_cpu_enter(cpu);
        host_load(NULL);
    }
    host_cpu_enter(0);
    kit_guest_end(&one[1]);
    kit_guest_end(&one[0]);
}

int main(void)
{
    kit_machine(2048, THREADS);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_move_while_sent),
        cmocka_unit_test(test_all_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
