/* SPDX-License-Identifier: MIT */
/* The scheduler on a virtual clock: shares, weights, caps, wake-ups, affinity, pausing, and silence
 * when idle. */
#include "core_kit.h"

#include "abi/sched.h"
#include "abi/vcpu.h"
#include "arch/host/machine.h"
#include "evtchn/evtchn.h"
#include "port/cpu.h"
#include "port/time.h"
#include "sched/sched.h"

#define MS UINT64_C(1000000)

static uint64_t ran(struct vcpu *v)
{
    struct vcpu_runstate_info info;

    vcpu_runstate_get(v, &info);
    uint64_t all = info.time[0] + info.time[1] + info.time[2] + info.time[3];
    assert_true(all <= port_time_now());
    return info.time[RUNSTATE_running];
}

static void assert_share(uint64_t part, uint64_t whole, uint64_t percent)
{
    assert_in_range(part, whole * (percent - 2) / 100, whole * (percent + 2) / 100);
}

/* Only these cpus, 0..n-1. */
static void pin(struct domain *d, unsigned int first, unsigned int n)
{
    struct cpumask m = { 0 };

    for (unsigned int i = first; i < first + n; i++) {
        cpumask_set(&m, i);
    }
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        assert_int_equal(sched_set_affinity(d->vcpu[i], &m, &m), 0);
    }
    kit_settle();
}

static void test_equal_shares(void **state)
{
    struct domain *d[4];

    (void)state;
    for (domid_t i = 0; i < 4; i++) {
        d[i] = kit_running((domid_t)(i + 1), 1);
        pin(d[i], 0, 1);
    }
    kit_advance(2000 * MS);
    sched_audit();
    for (unsigned int i = 0; i < 4; i++) {
        assert_share(ran(d[i]->vcpu[0]), 2000 * MS, 25);
    }
}

static void test_weights(void **state)
{
    struct domain *a = kit_running(1, 1);
    struct domain *b = kit_running(2, 1);

    (void)state;
    pin(a, 0, 1);
    pin(b, 0, 1);
    a->weight = 768;
    sched_params_changed(a);
    uint64_t a0 = ran(a->vcpu[0]);
    uint64_t b0 = ran(b->vcpu[0]);
    kit_advance(4000 * MS);
    assert_share(ran(a->vcpu[0]) - a0, 4000 * MS, 75);
    assert_share(ran(b->vcpu[0]) - b0, 4000 * MS, 25);
}

/* Three spin on two cpus: two thirds each, which takes moving them about. */
static void test_across_cpus(void **state)
{
    struct domain *d[3];

    (void)state;
    for (domid_t i = 0; i < 3; i++) {
        d[i] = kit_running((domid_t)(i + 1), 1);
        pin(d[i], 0, 2);
    }
    uint64_t before[3];
    for (unsigned int i = 0; i < 3; i++) {
        before[i] = ran(d[i]->vcpu[0]);
    }
    kit_advance(6000 * MS);
    sched_audit();
    uint64_t sum = 0;
    for (unsigned int i = 0; i < 3; i++) {
        uint64_t t = ran(d[i]->vcpu[0]) - before[i];
        assert_in_range(t, 6000 * MS * 55 / 100, 6000 * MS * 78 / 100);
        sum += t;
    }
    assert_share(sum, 12000 * MS, 98); /* no cpu stood idle */
}

static void test_cap(void **state)
{
    struct domain *a = kit_running(1, 2);

    (void)state;
    pin(a, 0, 2);
    a->cap = 50; /* half a cpu for both together */
    sched_params_changed(a);
    kit_settle();
    uint64_t before = ran(a->vcpu[0]) + ran(a->vcpu[1]);
    kit_advance(4000 * MS);
    uint64_t t = ran(a->vcpu[0]) + ran(a->vcpu[1]) - before;
    assert_in_range(t, 4000 * MS * 46 / 100, 4000 * MS * 54 / 100);

    /* Lifted while it waits for the next period. */
    a->cap = 0;
    sched_params_changed(a);
    kit_settle();
    before = ran(a->vcpu[0]);
    kit_advance(1000 * MS);
    assert_share(ran(a->vcpu[0]) - before, 1000 * MS, 99);
}

/* A cap that is lifted in the middle of a period, and a lower one set while nobody runs: what was
 * used before does not stop the domain for ever. */
static void test_cap_again(void **state)
{
    struct domain *a = kit_running(1, 1);
    struct vcpu *v = a->vcpu[0];

    (void)state;
    pin(a, 0, 1);
    a->cap = 50;
    sched_params_changed(a);
    kit_settle();
    kit_advance(130 * MS); /* all of a period's budget is used */
    a->cap = 0;
    sched_params_changed(a);
    kit_settle();
    kit_advance(1000 * MS);
    assert_ptr_equal(port_current(), v);
    v->info->evtchn_upcall_pending = 0;
    sched_block(v);
    kit_advance(300 * MS);
    assert_int_equal(atomic_load(&v->state), VS_BLOCKED);
    a->cap = 10;
    sched_params_changed(a);
    vcpu_kick(v);
    kit_settle();
    uint64_t before = ran(v);
    kit_advance(4000 * MS);
    assert_in_range(ran(v) - before, 4000 * MS * 8 / 100, 4000 * MS * 12 / 100);
}

/* Somebody who sleeps most of the time runs the moment he wakes, however many spin. */
static void test_wakeup(void **state)
{
    struct domain *spin[3];
    struct domain *d = kit_running(9, 1);
    struct vcpu *v = d->vcpu[0];

    (void)state;
    pin(d, 0, 1);
    for (domid_t i = 0; i < 3; i++) {
        spin[i] = kit_running((domid_t)(i + 1), 1);
        pin(spin[i], 0, 1);
    }
    v->info->evtchn_upcall_pending = 0;
    kit_advance(200 * MS); /* the boost of their own start is used up */
    while (port_current() != v) {
        kit_advance(1 * MS);
    }
    for (unsigned int i = 0; i < 50; i++) {
        sched_block(v);
        kit_advance(17 * MS + i * 12345);
        assert_int_equal(atomic_load(&v->state), VS_BLOCKED);
        vcpu_kick(v);
        kit_settle();
        assert_ptr_equal(port_current(), v);
        kit_advance(1 * MS);
        assert_ptr_equal(port_current(), v);
    }
    /* Nothing is saved up: who wakes after a long sleep still shares. */
    sched_block(v);
    kit_advance(5000 * MS);
    vcpu_kick(v);
    uint64_t before = ran(v);
    kit_advance(2000 * MS);
    assert_share(ran(v) - before, 2000 * MS, 25);
}

/* One has run alone for long: who comes then gets his share from there on, and no more. */
static void test_lone_runner(void **state)
{
    struct domain *a = kit_running(1, 1);
    struct domain *b = kit_running(2, 1);
    struct vcpu *v = b->vcpu[0];

    (void)state;
    pin(a, 0, 1);
    pin(b, 0, 1);
    while (port_current() != v) {
        kit_advance(1 * MS);
    }
    sched_block(v);
    kit_settle();
    for (unsigned int i = 0; i < 1000; i++) {
        host_advance(1000 * MS); /* nothing is done in between */
    }
    kit_settle();
    vcpu_kick(v);
    kit_settle();
    uint64_t before = ran(v);
    kit_advance(1000 * MS);
    assert_share(ran(v) - before, 1000 * MS, 50);
}

static void test_block_race(void **state)
{
    struct domain *d = kit_running(1, 1);
    struct vcpu *v = d->vcpu[0];

    (void)state;
    pin(d, 0, 1);
    v->info->evtchn_upcall_pending = 1;
    sched_block(v); /* due already */
    assert_int_equal(atomic_load(&v->state), 0);
    assert_int_equal(v->info->evtchn_upcall_mask, 0);
    v->info->evtchn_upcall_pending = 0;
    sched_block(v);
    vcpu_kick(v); /* before it has left the cpu */
    unsigned int was = atomic_load(&v->on_cpu);
    kit_settle();
    assert_int_equal(was, 1);
    assert_ptr_equal(port_current(), v);
    /* Twice woken, queued once. */
    sched_block(v);
    kit_settle();
    assert_true(port_current()->is_idle);
    vcpu_kick(v);
    sched_wake(v);
    sched_wake(v);
    sched_audit();
    kit_settle();
    assert_ptr_equal(port_current(), v);
}

static void test_affinity(void **state)
{
    struct domain *d = kit_running(1, 1);
    struct vcpu *v = d->vcpu[0];
    struct cpumask none = { 0 };

    (void)state;
    for (unsigned int cpu = 0; cpu < 4; cpu++) {
        pin(d, cpu, 1);
        assert_int_equal(atomic_load(&v->cpu), cpu);
        assert_int_equal(atomic_load(&v->on_cpu), 1);
        host_cpu_enter(cpu);
        assert_ptr_equal(port_current(), v);
        host_cpu_enter(0);
    }
    assert_int_equal(sched_set_affinity(v, &none, &none), -EINVAL);
    cpumask_set(&none, 40); /* not online */
    assert_int_equal(sched_set_affinity(v, &none, &none), -EINVAL);
    /* Moved while asleep, and while waiting. */
    host_cpu_enter(3);
    sched_block(v);
    host_cpu_enter(0);
    kit_settle();
    pin(d, 1, 1);
    vcpu_kick(v);
    kit_settle();
    assert_int_equal(atomic_load(&v->cpu), 1);
    struct domain *o = kit_running(2, 1);
    pin(o, 1, 1);
    kit_advance(3 * MS);
    struct domain *waits = atomic_load(&v->on_cpu) ? o : d;
    pin(waits, 2, 1);
    assert_int_equal(atomic_load(&waits->vcpu[0]->on_cpu), 1);
    assert_int_equal(atomic_load(&waits->vcpu[0]->cpu), 2);
}

/* An idle cpu takes what waits elsewhere. */
static void test_steal(void **state)
{
    struct domain *a = kit_running(1, 1);
    struct domain *b = kit_running(2, 1);

    (void)state;
    pin(a, 0, 1);
    pin(b, 0, 1);
    struct cpumask all = { 0 };
    cpumask_set(&all, 0);
    cpumask_set(&all, 1);
    kit_advance(5 * MS);
    assert_int_equal(sched_set_affinity(a->vcpu[0], &all, &all), 0);
    assert_int_equal(sched_set_affinity(b->vcpu[0], &all, &all), 0);
    kit_advance(30 * MS);
    uint64_t t = ran(a->vcpu[0]) + ran(b->vcpu[0]);
    kit_advance(1000 * MS);
    assert_share(ran(a->vcpu[0]) + ran(b->vcpu[0]) - t, 2000 * MS, 98);
}

static void test_pause(void **state)
{
    struct domain *d = kit_running(1, 2);

    (void)state;
    kit_advance(20 * MS);
    domain_pause_nosync(d);
    vcpu_pause_nosync(d->vcpu[1]);
    kit_settle();
    domain_pause(d); /* a second time: nothing to wait for */
    uint64_t t = ran(d->vcpu[0]) + ran(d->vcpu[1]);
    kit_advance(100 * MS);
    assert_int_equal(ran(d->vcpu[0]) + ran(d->vcpu[1]), t);
    assert_int_equal(d->vcpu[0]->runstate, RUNSTATE_offline);
    domain_unpause(d);
    kit_advance(10 * MS);
    assert_int_equal(ran(d->vcpu[0]) + ran(d->vcpu[1]), t);
    domain_unpause(d);
    kit_advance(10 * MS);
    t = ran(d->vcpu[0]);
    assert_int_equal(atomic_load(&d->vcpu[1]->on_cpu), 0);
    vcpu_unpause(d->vcpu[1]);
    kit_advance(10 * MS);
    assert_int_equal(ran(d->vcpu[0]), t + 10 * MS);
    assert_int_equal(atomic_load(&d->vcpu[1]->on_cpu), 1);
}

static void test_yield(void **state)
{
    struct domain *a = kit_running(1, 1);
    struct domain *b = kit_running(2, 1);

    (void)state;
    pin(a, 0, 1);
    pin(b, 0, 1);
    kit_advance(12 * MS);
    for (unsigned int i = 0; i < 20; i++) {
        struct vcpu *v = port_current();
        host_advance(10000);
        assert_int_equal(kit_call(v, hc_sched_op, SCHEDOP_yield, NULL, 0), 0);
        kit_settle();
        assert_ptr_not_equal(port_current(), v);
    }
    pin(b, 1, 1);
    struct vcpu *v = port_current();
    assert_int_equal(kit_call(v, hc_sched_op, SCHEDOP_yield, NULL, 0), 0);
    kit_settle();
    assert_ptr_equal(port_current(), v); /* nobody to give way to */
}

/* One that runs alone is not disturbed, nor is a cpu with nothing to do. */
static void test_tickless(void **state)
{
    struct domain *d = kit_running(1, 1);

    (void)state;
    pin(d, 0, 1);
    kit_advance(50 * MS);
    for (unsigned int cpu = 0; cpu < 4; cpu++) {
        assert_int_equal(host_deadline(cpu), UINT64_MAX);
    }
    uint64_t idle = sched_idle_time(1);
    uint64_t busy = sched_idle_time(0);
    kit_advance(100 * MS);
    assert_int_equal(sched_idle_time(1) - idle, 100 * MS);
    assert_int_equal(sched_idle_time(0), busy);
    assert_int_equal(sched_idle_time(CONFIG_MAX_CPUS), 0);
}

static void test_ops(void **state)
{
    struct domain *d0 = kit_domain(0, 1);
    struct domain *d1 = kit_running(1, 2);
    struct vcpu *v = d1->vcpu[0];
    struct sched_shutdown s = { .reason = SHUTDOWN_MAX + 1 };
    struct sched_remote_shutdown r = { .domain_id = 1, .reason = SHUTDOWN_MAX + 1 };
    struct sched_pin_override p = { .pcpu = 0 };
    struct cpumask before = { { 3 } };

    (void)state;
    d0->vcpu[0]->hard = before;
    assert_int_equal(kit_call(v, hc_sched_op, 99, NULL, 0), -ENOSYS);
    assert_int_equal(kit_call(v, hc_sched_op, SCHEDOP_shutdown, &s, 0), -EINVAL);
    assert_int_equal(kit_call(v, hc_sched_op, SCHEDOP_shutdown_code, &s, 0), -EINVAL);
    assert_int_equal(kit_call(v, hc_sched_op, SCHEDOP_shutdown, (void *)KIT_BAD_VA, 0), -EFAULT);
    assert_int_equal(kit_call(v, hc_sched_op, SCHEDOP_remote_shutdown, &r, 0), -EPERM);
    assert_int_equal(kit_call(v, hc_sched_op, SCHEDOP_pin_override, &p, 0), -EPERM);
    assert_int_equal(kit_call(d0->vcpu[0], hc_sched_op, SCHEDOP_pin_override, &p, 0), 0);
    assert_int_equal(d0->vcpu[0]->hard.w[0], 1);
    p.pcpu = 1;
    assert_int_equal(kit_call(d0->vcpu[0], hc_sched_op, SCHEDOP_pin_override, &p, 0), -EBUSY);
    p.pcpu = -1;
    assert_int_equal(kit_call(d0->vcpu[0], hc_sched_op, SCHEDOP_pin_override, &p, 0), 0);
    assert_memory_equal(&d0->vcpu[0]->hard, &before, sizeof(before));
    assert_int_equal(kit_call(d0->vcpu[0], hc_sched_op, SCHEDOP_pin_override, &p, 0), -EINVAL);
    p.pcpu = CONFIG_MAX_CPUS - 1; /* not there */
    assert_int_equal(kit_call(d0->vcpu[0], hc_sched_op, SCHEDOP_pin_override, &p, 0), -EINVAL);
    assert_memory_equal(&d0->vcpu[0]->hard, &before, sizeof(before));
    p.pcpu = CONFIG_MAX_CPUS;
    assert_int_equal(kit_call(d0->vcpu[0], hc_sched_op, SCHEDOP_pin_override, &p, 0), -EINVAL);
    assert_int_equal(kit_call(d0->vcpu[0], hc_sched_op, SCHEDOP_remote_shutdown, &r, 0), -EINVAL);
    r.domain_id = 77;
    assert_int_equal(kit_call(d0->vcpu[0], hc_sched_op, SCHEDOP_remote_shutdown, &r, 0), -ESRCH);
    r = (struct sched_remote_shutdown){ .domain_id = 1, .reason = SHUTDOWN_reboot };
    assert_int_equal(kit_call(d0->vcpu[0], hc_sched_op, SCHEDOP_remote_shutdown, &r, 0), 0);
    kit_settle();
    assert_int_equal(atomic_load(&d1->is_shut_down), 1);
    assert_int_equal(d1->shutdown_code, SHUTDOWN_reboot);
    assert_int_equal(atomic_load(&v->on_cpu), 0);
    domain_resume(d1);
    kit_settle();
    assert_int_equal(atomic_load(&v->on_cpu), 1);
    assert_int_equal(atomic_load(&d1->is_shut_down), 0);
}

/* A code told beforehand is the reason; the watchdog is one by itself. */
static void test_watchdog(void **state)
{
    struct domain *d = kit_running(1, 1);
    struct vcpu *v = d->vcpu[0];
    struct sched_watchdog w = { .id = 0, .timeout = 2 };

    (void)state;
    assert_int_equal(kit_call(v, hc_sched_op, SCHEDOP_watchdog, &w, 0), 1);
    assert_int_equal(kit_call(v, hc_sched_op, SCHEDOP_watchdog, &w, 0), 2);
    assert_int_equal(kit_call(v, hc_sched_op, SCHEDOP_watchdog, &w, 0), -ENOSPC);
    w.id = 3;
    assert_int_equal(kit_call(v, hc_sched_op, SCHEDOP_watchdog, &w, 0), -EINVAL);
    w = (struct sched_watchdog){ .id = 0, .timeout = 0 };
    assert_int_equal(kit_call(v, hc_sched_op, SCHEDOP_watchdog, &w, 0), -EINVAL);
    w.id = 2;
    assert_int_equal(kit_call(v, hc_sched_op, SCHEDOP_watchdog, &w, 0), 0);
    assert_int_equal(kit_call(v, hc_sched_op, SCHEDOP_watchdog, &w, 0), -EINVAL);
    kit_advance(1900 * MS);
    w = (struct sched_watchdog){ .id = 1, .timeout = 1 };
    assert_int_equal(kit_call(v, hc_sched_op, SCHEDOP_watchdog, &w, 0), 0); /* fed */
    kit_advance(900 * MS);
    assert_int_equal(atomic_load(&d->is_shut_down), 0);
    kit_advance(200 * MS);
    assert_int_equal(atomic_load(&d->is_shut_down), 1);
    assert_int_equal(d->shutdown_code, SHUTDOWN_watchdog);
}

/* The walk over a set of cpus, from every place, against looking at each bit. */
static void test_cpumask(void **state)
{
    uint32_t x = 1;

    (void)state;
    for (unsigned int n = 0; n < 2000; n++) {
        struct cpumask m = { 0 };
        for (unsigned int i = 0; i < n % 9; i++) {
            x = x * 1664525u + 1013904223u;
            cpumask_set(&m, (x >> 8) % CONFIG_MAX_CPUS);
        }
        for (unsigned int from = 0; from <= CONFIG_MAX_CPUS; from++) {
            unsigned int want = from;
            while (want < CONFIG_MAX_CPUS && !cpumask_test(&m, want)) {
                want++;
            }
            assert_int_equal(cpumask_next(&m, from), want);
        }
    }
}

int main(void)
{
    kit_start(4);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_equal_shares, kit_teardown),
        cmocka_unit_test_teardown(test_weights, kit_teardown),
        cmocka_unit_test_teardown(test_across_cpus, kit_teardown),
        cmocka_unit_test_teardown(test_cap, kit_teardown),
        cmocka_unit_test_teardown(test_cap_again, kit_teardown),
        cmocka_unit_test_teardown(test_wakeup, kit_teardown),
        cmocka_unit_test_teardown(test_lone_runner, kit_teardown),
        cmocka_unit_test_teardown(test_block_race, kit_teardown),
        cmocka_unit_test_teardown(test_affinity, kit_teardown),
        cmocka_unit_test_teardown(test_steal, kit_teardown),
        cmocka_unit_test_teardown(test_pause, kit_teardown),
        cmocka_unit_test_teardown(test_yield, kit_teardown),
        cmocka_unit_test_teardown(test_tickless, kit_teardown),
        cmocka_unit_test_teardown(test_cpumask, kit_teardown),
        cmocka_unit_test_teardown(test_ops, kit_teardown),
        cmocka_unit_test_teardown(test_watchdog, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
