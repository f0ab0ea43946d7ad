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
#define ROUNDS  30000u
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
    uint64_t dev = (uint64_t)table[1 - me][ref].frame << PAGE_SHIFT;

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

int main(void)
{
    kit_machine(2048, THREADS);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
