/* SPDX-License-Identifier: MIT */
/*
 * Four cpus, each a thread that schedules, while all of them block, wake, pause, pin and cap the
 * vcpus of three domains.  No vcpu may be loaded twice, none may be lost: in the end each that may
 * run is on a cpu or in a queue.
 */
#include "core_kit.h"

#include <stdlib.h>
/* The core has a sched_yield() of its own. */
#define sched_yield libc_sched_yield
#include <pthread.h>
#undef sched_yield

#include "arch/host/machine.h"
#include "base/timer.h"
#include "port/cpu.h"
#include "port/time.h"
#include "sched/sched.h"

#define CPUS    4u
#define DOMAINS 3u
#define VCPUS   3u
#define ROUNDS  (40000u / THREAD_SHARE)

static struct domain *doms[DOMAINS];
static _Atomic uint32_t loaded[DOMAINS][VCPUS]; /* by how many cpus each is run now */
static _Atomic uint64_t ran_as[DOMAINS][VCPUS];
static _Atomic uint32_t working = CPUS;

static uint32_t next(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 8;
}

static struct vcpu *any(uint32_t *x)
{
    return doms[next(x) % DOMAINS]->vcpu[next(x) % VCPUS];
}

static void cpu_work(void)
{
    port_irq_disable();
    uint32_t work = port_cpu_take_work();
    port_irq_enable();
    if ((work & CW_TIMER) != 0) {
        timer_run();
    }
    if ((work & CW_DEFERRED) != 0) {
        domain_deferred_run();
    }
    if ((work & CW_SCHED) != 0) {
        sched_run();
    }
}

/* What runs here runs nowhere else. */
static void run_guest(uint32_t *x)
{
    struct vcpu *v = port_current();

    if (v->is_idle) {
        return;
    }
    unsigned int d = v->d->id - 1u;
    if (atomic_fetch_add(&loaded[d][v->id], 1) != 0) {
        abort();
    }
    atomic_fetch_add(&ran_as[d][v->id], 1);
    if (next(x) % 4 == 0) {
        sched_block(v);
    } else if (next(x) % 4 == 0) {
        sched_yield(v);
    }
    atomic_fetch_sub(&loaded[d][v->id], 1);
}

static void disturb(uint32_t *x)
{
    struct vcpu *v = any(x);
    struct cpumask m = { 0 };

    switch (next(x) % 10) {
    case 0:
        domain_pause_nosync(v->d);
        domain_unpause(v->d);
        break;
    case 1:
        vcpu_pause_nosync(v);
        vcpu_unpause(v);
        break;
    case 2:
        m.w[0] = 1 + next(x) % 15;
        (void)sched_set_affinity(v, &m, &m);
        break;
    case 3:
        __atomic_store_n(&v->d->cap, next(x) % 4 == 0 ? 80 : 0, __ATOMIC_RELAXED);
        sched_params_changed(v->d);
        break;
    case 4:
        __atomic_store_n(&v->d->weight, (uint16_t)(1 + next(x) % 1000), __ATOMIC_RELAXED);
        break;
    default:
        vcpu_kick(v);
        break;
    }
}

static void *cpu_thread(void *arg)
{
    unsigned int cpu = (unsigned int)(uintptr_t)arg;
    uint32_t x = cpu * 7919 + 5;

    host_cpu_enter(cpu);
    for (unsigned int i = 0; i < ROUNDS; i++) {
        cpu_work();
        run_guest(&x);
        disturb(&x);
        if (cpu == 0) {
            host_advance(next(&x) % 200000);
        }
    }
    atomic_fetch_sub(&working, 1);
    while (atomic_load(&working) != 0) {
        cpu_work(); /* the others may still want something of this cpu */
    }
    return NULL;
}

static void test_all_at_once(void **state)
{
    pthread_t thread[CPUS];

    (void)state;
    for (unsigned int i = 0; i < DOMAINS; i++) {
        doms[i] = kit_running((domid_t)(i + 1), VCPUS);
    }
    for (unsigned int cpu = 0; cpu < CPUS; cpu++) {
        assert_int_equal(pthread_create(&thread[cpu], NULL, cpu_thread, (void *)(uintptr_t)cpu), 0);
    }
    for (unsigned int cpu = 0; cpu < CPUS; cpu++) {
        assert_int_equal(pthread_join(thread[cpu], NULL), 0);
    }
    kit_settle();
    sched_audit();
    for (unsigned int i = 0; i < DOMAINS; i++) {
        doms[i]->cap = 0;
        sched_params_changed(doms[i]);
        assert_int_equal(atomic_load(&doms[i]->pause_count), 0);
        for (unsigned int k = 0; k < VCPUS; k++) {
            struct vcpu *v = doms[i]->vcpu[k];
            vcpu_kick(v);
            assert_int_equal(atomic_load(&v->pause_count), 0);
            assert_int_equal(atomic_load(&v->state), 0);
            assert_true(v->queued || atomic_load(&v->on_cpu) != 0);
            assert_true(atomic_load(&ran_as[i][k]) > ROUNDS / 100);
        }
    }
    kit_settle();
    sched_audit();
}

int main(void)
{
    kit_start(CPUS);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_all_at_once, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
