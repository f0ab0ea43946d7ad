/* SPDX-License-Identifier: MIT */
/*
 * A domain's end while others use what is its: two vcpus of one domain, each a thread, map, touch,
 * copy and unmap its grants and bind, send over and close its ports, while a third thread kills
 * it. Whatever was mapped when it died can still be touched and unmapped; then nothing of it is
 * left.
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

#define USERS  2u
#define ROUNDS (200u / THREAD_SHARE)
#define REFS   4u
#define REF    8u
#define PORTS  4u
#define SLOTS  4u   /* of each user */
#define PTE    100u /* where they are mapped */

static struct kit_guest control, user;
static struct domain *victim;
static domid_t victim_id;
static uint32_t port[PORTS];
static _Atomic bool is_over;
static _Atomic uint64_t mapped, after_death, sent;
static pthread_barrier_t barrier;

struct mine {
    uint32_t handle[SLOTS];
    bool is_mapped[SLOTS];
    uint32_t port; /* 0: none bound */
    uint32_t x;
    unsigned int cpu;
};

static uint32_t next(struct mine *m)
{
    m->x = m->x * 1664525u + 1013904223u;
    return m->x >> 8;
}

static uint64_t va_of(const struct mine *m, unsigned int slot)
{
    return KIT_VA + (PTE + m->cpu * SLOTS + slot) * PAGE_SIZE;
}

static void unmap(struct mine *m, unsigned int slot)
{
    struct gnttab_unmap_grant_ref u = { .handle = m->handle[slot], .host_addr = va_of(m, slot) };
    uint64_t w = 0;

    /* Not what is copied meanwhile. */
    (void)host_access(user.d->vcpu[m->cpu], va_of(m, slot) + 2048, true, &w);
    (void)kit_call(hc_grant_table_op, GNTTABOP_unmap_grant_ref, (uintptr_t)&u, 1, 0);
    assert_int_equal(u.status, GNTST_okay);
    m->is_mapped[slot] = false;
    after_death += is_over;
}

static void map(struct mine *m, unsigned int slot)
{
    struct gnttab_map_grant_ref g = { .host_addr = va_of(m, slot),
                                      .flags =
                                          GNTMAP_host_map | (next(m) & 1 ? GNTMAP_readonly : 0),
                                      .ref = REF + next(m) % REFS,
                                      .dom = victim_id };

    (void)kit_call(hc_grant_table_op, GNTTABOP_map_grant_ref, (uintptr_t)&g, 1, 0);
    if (g.status == GNTST_okay) {
        m->handle[slot] = g.handle;
        m->is_mapped[slot] = true;
        mapped++;
    }
}

static void copy(struct mine *m)
{
    struct gnttab_copy c = { .source.u.ref = REF + next(m) % REFS,
                             .source.domid = victim_id,
                             .flags = GNTCOPY_source_gref,
                             .dest.u.gmfn = frame_mfn(user.data[m->cpu]).n,
                             .dest.domid = DOMID_SELF,
                             .len = 512 };

    (void)kit_call(hc_grant_table_op, GNTTABOP_copy, (uintptr_t)&c, 1, 0);
}

static void events(struct mine *m)
{
    struct evtchn_bind_interdomain b = { .remote_dom = victim_id,
                                         .remote_port = port[next(m) % PORTS] };
    struct evtchn_send s = { m->port };
    struct evtchn_close c = { m->port };

    if (m->port == 0) {
        if (kit_call(hc_event_channel_op, EVTCHNOP_bind_interdomain, (uintptr_t)&b, 0, 0) == 0) {
            m->port = b.local_port;
        }
    } else if ((next(m) & 3) != 0) {
        sent += kit_call(hc_event_channel_op, EVTCHNOP_send, (uintptr_t)&s, 0, 0) == 0;
    } else {
        (void)kit_call(hc_event_channel_op, EVTCHNOP_close, (uintptr_t)&c, 0, 0);
        m->port = 0;
    }
}

static void *use(void *arg)
{
    struct mine m = { .cpu = (unsigned int)(uintptr_t)arg, .x = (unsigned int)(uintptr_t)arg + 5 };

    host_cpu_enter(m.cpu);
    for (unsigned int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        for (unsigned int left = 20; left > 0; left -= is_over) {
            unsigned int slot = next(&m) % SLOTS;
            if (m.is_mapped[slot]) {
                unmap(&m, slot);
            } else {
                map(&m, slot);
            }
            copy(&m);
            events(&m);
        }
        for (unsigned int slot = 0; slot < SLOTS; slot++) {
            if (m.is_mapped[slot]) {
                unmap(&m, slot);
            }
        }
        if (m.port != 0) {
            struct evtchn_close c = { m.port };
            (void)kit_call(hc_event_channel_op, EVTCHNOP_close, (uintptr_t)&c, 0, 0);
            m.port = 0;
        }
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

/* A domain with grants and ports for the users. */
static void make_victim(void)
{
    struct grant_entry_v1 *table;
    mfn_t mfn;

    victim = host_domain(1, 64, false);
    assert_non_null(victim);
    victim_id = victim->id;
    assert_int_equal(gnttab_table_frame(victim, 0, &mfn), 0);
    table = port_frame_va(mfn);
    for (unsigned int i = 0; i < REFS; i++) {
        const struct frame *f = heap_alloc_domain(victim, 0, HEAP_ANY, M2P_INVALID);
        assert_non_null(f);
        table[REF + i].domid = user.d->id;
        table[REF + i].frame = (uint32_t)frame_mfn(f).n;
        table[REF + i].flags = GTF_permit_access;
    }
    for (unsigned int i = 0; i < PORTS; i++) {
        assert_int_equal(evtchn_alloc_unbound(victim, user.d->id, &port[i]), 0);
    }
}

/* When they have mapped so many of it. */
static void kill_victim(uint64_t least)
{
    while (mapped < least) {
        host_relax();
    }
    host_domain_end(victim);
    is_over = true;
}

static void count_pins(struct audit *a)
{
    gnttab_audit_refs(user.d, a);
}

static void test_end_while_used(void **state)
{
    pthread_t thread[USERS];

    (void)state;
    kit_guest(&control, true, 1);
    kit_guest(&user, false, USERS);
    for (unsigned int cpu = 0; cpu < USERS; cpu++) {
        host_cpu_enter(cpu);
        host_load(user.d->vcpu[cpu]);
        assert_int_equal(mm_set_root(user.d->vcpu[cpu], frame_mfn(user.l4), false), 0);
    }
    host_cpu_enter(USERS);
    host_load(control.v);
    assert_int_equal(pthread_barrier_init(&barrier, NULL, USERS + 1), 0);
    host_inject_yields(3, 11);
    for (uintptr_t cpu = 0; cpu < USERS; cpu++) {
        assert_int_equal(pthread_create(&thread[cpu], NULL, use, (void *)cpu), 0);
    }
    uint64_t free_before = 0;
    for (unsigned int round = 0; round < ROUNDS; round++) {
        is_over = false;
        make_victim();
        pthread_barrier_wait(&barrier);
        kill_victim(mapped + 1 + round * 13 % 64);
        pthread_barrier_wait(&barrier);
        domain_deferred_run();
        assert_null(domain_get(victim_id));
        assert_int_equal(gnttab_mapped(user.d), 0);
        assert_int_equal(evtchn_count(user.d), 0);
        audit_all(count_pins);
        /* The first that maps anything leaves the frame of handles. */
        assert_true(round <= 10 || heap_free_frames() == free_before);
        free_before = heap_free_frames();
    }
    for (unsigned int cpu = 0; cpu < USERS; cpu++) {
        assert_int_equal(pthread_join(thread[cpu], NULL), 0);
    }
    host_inject_yields(0, 0);
    print_message("%lu mapped, %lu unmapped after the end, %lu sent\n", mapped, after_death, sent);
    assert_true(mapped >= ROUNDS && after_death > 0 && sent > 0);
    for (unsigned int cpu = 0; cpu <= USERS; cpu++) {
        host_cpu_enter(cpu);
        host_load(NULL);
    }
    host_cpu_enter(0);
    kit_guest_end(&user);
    kit_guest_end(&control);
    domain_deferred_run();
    assert_null(domain_get_next(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_end_while_used) };

    kit_machine(2048, USERS + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
