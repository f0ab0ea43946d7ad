/* SPDX-License-Identifier: MIT */
/* vcpu_op: each operation and each refusal; clocks, timers, run states and where a guest reads
 * them. */
#include "core_kit.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/event.h"
#include "abi/vcpu.h"
#include "arch/host/machine.h"
#include "evtchn/evtchn.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "port/mmu.h"
#include "port/time.h"
#include "port/vcpu.h"
#include "sched/sched.h"
#include "sched/systime.h"

#define MS UINT64_C(1000000)

static struct domain *d;
static struct vcpu *v;

static int setup(void **state)
{
    (void)state;
    d = kit_running(1, 2);
    v = d->vcpu[0];
    return 0;
}

static int64_t op(unsigned int cmd, uint64_t vcpu, void *arg)
{
    return kit_call(v, hc_vcpu_op, cmd, (void *)(uintptr_t)vcpu, (uint64_t)(uintptr_t)arg);
}

static void test_up_down(void **state)
{
    struct domain *e = kit_domain(2, 2);
    struct vcpu *ev = e->vcpu[0];

    (void)state;
    for (uint64_t i = 2; i < 8192; i++) {
        assert_int_equal(op(VCPUOP_is_up, i, NULL), -ENOENT);
    }
    assert_int_equal(op(VCPUOP_is_up, 0, NULL), 1);
    assert_int_equal(op(VCPUOP_down, 1, NULL), 0);
    assert_int_equal(op(VCPUOP_down, 1, NULL), 0);
    assert_int_equal(op(VCPUOP_is_up, 1, NULL), 0);
    kit_settle();
    assert_int_equal(d->vcpu[1]->runstate, RUNSTATE_offline);
    assert_int_equal(op(VCPUOP_up, 1, NULL), 0);
    kit_settle();
    assert_int_equal(atomic_load(&d->vcpu[1]->on_cpu), 1);
    assert_int_equal(op(VCPUOP_initialise, 1, (void *)KIT_BAD_VA), -EEXIST);
    assert_int_equal(op(99, 0, NULL), -ENOSYS);
    assert_int_equal(op(VCPUOP_get_physid, 0, NULL), -EINVAL);
    assert_int_equal(op(14, 0, NULL), -ENOSYS);

    assert_int_equal(kit_call(ev, hc_vcpu_op, VCPUOP_up, (void *)1, 0),
                     -EINVAL); /* no context yet */
    assert_int_equal(kit_call(ev, hc_vcpu_op, VCPUOP_initialise, (void *)1, KIT_BAD_VA), -EFAULT);
    assert_int_equal(atomic_load(&e->vcpu[1]->state), VS_DOWN);
}

static void test_register_info(void **state)
{
    struct frame *f = heap_alloc_domain(d, 0, HEAP_ANY, M2P_INVALID);
    struct domain *e = kit_domain(3, 1);
    struct frame *his = heap_alloc_domain(e, 0, HEAP_ANY, M2P_INVALID);
    struct vcpu_register_vcpu_info r = { .mfn = frame_mfn(f).n };
    struct vcpu_info *was = v->info;

    (void)state;
    static const uint32_t bad[] = { 4, 4095, 4097, 4089, UINT32_MAX };
    for (unsigned int i = 0; i < 5; i++) {
        r.offset = bad[i];
        assert_int_equal(op(VCPUOP_register_vcpu_info, 0, &r), -ENXIO);
    }
    static const uint32_t far[] = { 4096 - 56, 4096, UINT32_MAX - 7 };
    for (unsigned int i = 0; i < 3; i++) {
        r.offset = far[i];
        assert_int_equal(op(VCPUOP_register_vcpu_info, 0, &r), -EINVAL);
    }
    r = (struct vcpu_register_vcpu_info){ .mfn = frame_mfn(his).n };
    assert_int_equal(op(VCPUOP_register_vcpu_info, 0, &r), -EINVAL);
    r.mfn = UINT64_MAX;
    assert_int_equal(op(VCPUOP_register_vcpu_info, 0, &r), -EINVAL);
    r.mfn = frame_mfn(f).n;
    assert_int_equal(op(VCPUOP_register_vcpu_info, 1, &r),
                     -EINVAL); /* runs, and is not the caller */
    assert_ptr_equal(v->info, was);

    v->info->arch.cr2 = 0x1234;
    r.offset = 4096 - 64;
    assert_int_equal(op(VCPUOP_register_vcpu_info, 0, &r), 0);
    assert_ptr_equal(v->info, (char *)port_frame_va(frame_mfn(f)) + 4096 - 64);
    assert_int_equal(v->info->arch.cr2, 0x1234);
    assert_int_equal(v->info->evtchn_pending_sel, UINT64_MAX);
    assert_int_equal(v->info->evtchn_upcall_pending, 1);
    assert_int_equal(op(VCPUOP_register_vcpu_info, 0, &r), -EINVAL); /* once */
    assert_int_equal(op(VCPUOP_down, 1, NULL), 0);
    r.offset = 0;
    assert_int_equal(op(VCPUOP_register_vcpu_info, 1, &r), 0);
}

/* A vcpu beyond those of the shared page: it cannot begin before it has a vcpu_info, which begins
 * masked and has nothing of another domain's. */
static void test_no_info(void **state)
{
    struct domain *e = kit_domain(4, XEN_LEGACY_MAX_VCPUS + 1);
    struct frame *f = heap_alloc_domain(e, 0, HEAP_ANY, M2P_INVALID);
    struct vcpu_register_vcpu_info r = { .mfn = frame_mfn(f).n };
    void *const last = (void *)(uintptr_t)XEN_LEGACY_MAX_VCPUS;
    struct vcpu *ev = e->vcpu[0];
    struct vcpu *t = e->vcpu[XEN_LEGACY_MAX_VCPUS];
    struct vcpu_info *none = t->info;

    (void)state;
    assert_true(vcpu_has_info(ev));
    assert_false(vcpu_has_info(t));
    assert_int_equal(kit_call(ev, hc_vcpu_op, VCPUOP_initialise, last, KIT_BAD_VA), -EINVAL);
    /* As if another domain's vcpu had left something there. */
    none->arch.cr2 = 0x1234;
    none->evtchn_upcall_mask = 0;
    assert_int_equal(
        kit_call(ev, hc_vcpu_op, VCPUOP_register_vcpu_info, last, (uint64_t)(uintptr_t)&r), 0);
    assert_true(vcpu_has_info(t));
    assert_int_equal(t->info->arch.cr2, 0);
    assert_int_equal(t->info->evtchn_upcall_mask, 1);
    *none = (struct vcpu_info){ .evtchn_upcall_mask = 1 };
    assert_int_equal(kit_call(ev, hc_vcpu_op, VCPUOP_initialise, last, KIT_BAD_VA), -EFAULT);
}

/* An event for a domain that has no vcpus yet waits for them. */
static void test_event_before_vcpus(void **state)
{
    struct domain_config cfg = { .max_vcpus = 1,
                                 .max_evtchn_port = EVTCHN_2L_NR_CHANNELS - 1,
                                 .max_grant_frames = 4,
                                 .max_maptrack_frames = 2 };
    struct evtchn_bind_interdomain b = { .remote_dom = 5 };
    struct domain *e = NULL;

    (void)state;
    assert_int_equal(domain_create(&(domid_t){ 5 }, &cfg, &e), 0);
    assert_int_equal(evtchn_alloc_unbound(e, d->id, &b.remote_port), 0);
    assert_int_equal(kit_call(v, hc_event_channel_op, EVTCHNOP_bind_interdomain, &b, 0), 0);
    struct evtchn_send s = { .port = b.local_port };
    assert_int_equal(kit_call(v, hc_event_channel_op, EVTCHNOP_send, &s, 0), 0);
    assert_true((e->shared->evtchn_pending[b.remote_port / 64] >> (b.remote_port % 64)) & 1);
}

static void test_runstate(void **state)
{
    struct vcpu_runstate_info info = { 0 };
    struct vcpu_runstate_info area = { .state = 77, .pad = 77 };
    struct vcpu_register_runstate_memory_area r = { .addr.p = (uintptr_t)&area };

    (void)state;
    kit_advance(5 * MS);
    assert_int_equal(op(VCPUOP_get_runstate_info, 0, &info), 0);
    assert_int_equal(info.state, RUNSTATE_running);
    assert_int_equal(info.time[0] + info.time[1] + info.time[2] + info.time[3],
                     port_time_now() - d->created_ns);
    assert_int_equal(op(VCPUOP_get_runstate_info, 0, (void *)KIT_BAD_VA), -EFAULT);

    assert_int_equal(op(VCPUOP_register_runstate_memory_area, 0, &r), 0);
    assert_int_equal(area.state, RUNSTATE_running);
    assert_int_equal(area.pad, 0);
    sched_block(v);
    kit_settle();
    kit_advance(7 * MS);
    vcpu_kick(v);
    kit_settle();
    vcpu_areas_update(v); /* as the machine does on loading it */
    assert_int_equal(area.time[RUNSTATE_blocked], 7 * MS);
    assert_int_equal(area.state_entry_time, port_time_now());
    d->vm_assist = 1u << VMASST_TYPE_runstate_update_flag;
    kit_advance(1 * MS);
    vcpu_areas_update(v);
    assert_int_equal(area.state_entry_time & XEN_RUNSTATE_UPDATE, 0);
    /* It faults half-way: the mark stays, as the guest must not trust what it sees. */
    host_fault_at(8 + 20);
    vcpu_areas_update(v);
    host_fault_at(0);
    assert_true((area.state_entry_time & XEN_RUNSTATE_UPDATE) != 0);
    vcpu_areas_update(v);
    assert_int_equal(area.state_entry_time & XEN_RUNSTATE_UPDATE, 0);

    r.addr.p = KIT_BAD_VA;
    assert_int_equal(op(VCPUOP_register_runstate_memory_area, 0, &r), -EFAULT);
    assert_int_equal(v->runstate_area.va, (uintptr_t)&area);
    r.addr.p = 0;
    assert_int_equal(op(VCPUOP_register_runstate_memory_area, 0, &r), 0);
    assert_int_equal(v->runstate_area.va, 0);
}

/* ns from a time record, as guests compute it. */
static uint64_t ns_of(const struct vcpu_time_info *t, uint64_t ticks)
{
    uint64_t delta = ticks - t->tsc_timestamp;
    delta = t->tsc_shift >= 0 ? delta << t->tsc_shift : delta >> -t->tsc_shift;
    return t->system_time + (uint64_t)(((__uint128_t)delta * t->tsc_to_system_mul) >> 32);
}

static void test_clock(void **state)
{
    struct vcpu_time_info copy = { 0 };
    struct vcpu_register_time_memory_area r = { .addr.p = (uintptr_t)&copy };

    (void)state;
    v->info->time.version = 0xfffffff1; /* the guest plays with it */
    systime_update(v);
    uint32_t first = v->info->time.version;
    assert_int_equal(first & 1, 0);
    host_advance(12345678);
    assert_int_equal(ns_of(&v->info->time, port_ticks()), port_time_now());
    assert_int_equal(op(VCPUOP_register_vcpu_time_memory_area, 0, &r), 0);
    systime_update(v);
    assert_int_equal(v->info->time.version, first + 2);
    assert_memory_equal(&copy, &v->info->time, sizeof(copy));
    r.addr.p = KIT_BAD_VA;
    assert_int_equal(op(VCPUOP_register_vcpu_time_memory_area, 0, &r), -EFAULT);

    uint64_t wall = systime_wall_now();
    assert_int_equal(d->shared->wc_sec, wall - port_time_now() / 1000000000);
    uint32_t version = d->shared->wc_version;
    systime_wallclock_set(UINT64_C(0x123456789), 700000000, 500000000);
    assert_int_equal(d->shared->wc_version, version + 2);
    assert_int_equal(d->shared->wc_sec, 0x23456789);
    assert_int_equal(d->shared->wc_sec_hi, 1);
    assert_int_equal(d->shared->wc_nsec, 200000000);
}

static void test_timers(void **state)
{
    struct evtchn_bind_virq b = { .virq = VIRQ_TIMER };
    struct vcpu_set_singleshot_timer s = { 0 };
    struct vcpu_set_periodic_timer p = { 0 };
    uint64_t *pending = &d->shared->evtchn_pending[0];

    (void)state;
    assert_int_equal(kit_call(v, hc_event_channel_op, EVTCHNOP_bind_virq, &b, 0), 0);
    s.timeout_abs_ns = port_time_now() + 3 * MS;
    assert_int_equal(op(VCPUOP_set_singleshot_timer, 1, &s), -EINVAL); /* another's */
    assert_int_equal(op(VCPUOP_set_singleshot_timer, 0, (void *)KIT_BAD_VA), -EFAULT);
    assert_int_equal(op(VCPUOP_set_singleshot_timer, 0, &s), 0);
    kit_advance(3 * MS - 1);
    assert_int_equal(*pending, 0);
    kit_advance(1);
    assert_int_equal(*pending, 1u << b.port);
    *pending = 0;
    assert_int_equal(op(VCPUOP_set_singleshot_timer, 0, &s), 0); /* past: at once */
    kit_advance(1);
    assert_int_equal(*pending, 1u << b.port);
    *pending = 0;
    s.flags = VCPU_SSHOTTMR_future;
    assert_int_equal(op(VCPUOP_set_singleshot_timer, 0, &s), -ETIME);
    s.flags = 0;
    static const uint64_t odd[] = { 0, UINT64_C(1) << 63, UINT64_MAX };
    for (unsigned int i = 0; i < 3; i++) {
        s.timeout_abs_ns = odd[i];
        assert_int_equal(op(VCPUOP_set_singleshot_timer, 0, &s), 0);
        kit_advance(MS);
        assert_int_equal(*pending, i == 0 ? 1u << b.port : 0);
        *pending = 0;
    }
    assert_int_equal(op(VCPUOP_stop_singleshot_timer, 1, NULL), -EINVAL);
    assert_int_equal(op(VCPUOP_stop_singleshot_timer, 0, NULL), 0);
    assert_false(timer_is_set(&v->singleshot));

    static const uint64_t wrong[] = { 0, 1, 999999, UINT64_C(1) << 62, UINT64_MAX };
    for (unsigned int i = 0; i < 5; i++) {
        p.period_ns = wrong[i];
        assert_int_equal(op(VCPUOP_set_periodic_timer, 0, &p), -EINVAL);
    }
    p.period_ns = 10 * MS;
    assert_int_equal(op(VCPUOP_set_periodic_timer, 0, &p), 0);
    unsigned int n = 0;
    for (unsigned int i = 0; i < 100; i++) {
        kit_advance(MS);
        n += *pending != 0;
        *pending = 0;
    }
    assert_int_equal(n, 10);
    /* Long away: one, not one for each missed. */
    host_advance(1000 * MS);
    kit_settle();
    assert_int_equal(*pending, 1u << b.port);
    *pending = 0;
    kit_advance(9 * MS);
    assert_int_equal(*pending, 0);
    assert_int_equal(op(VCPUOP_stop_periodic_timer, 0, NULL), 0);
    kit_advance(100 * MS);
    assert_int_equal(*pending, 0);
    assert_int_equal(op(VCPUOP_stop_periodic_timer, 0, NULL), 0);

    /* That of a vcpu which is down costs nobody anything until it is up. */
    assert_int_equal(op(VCPUOP_down, 1, NULL), 0);
    kit_settle();
    assert_int_equal(op(VCPUOP_set_periodic_timer, 1, &p), 0);
    kit_advance(25 * MS);
    assert_false(timer_is_set(&d->vcpu[1]->periodic));
    assert_int_equal(op(VCPUOP_up, 1, NULL), 0);
    kit_settle();
    systime_update(d->vcpu[1]); /* as at every load */
    assert_true(timer_is_set(&d->vcpu[1]->periodic));
}

/* The page of a dead domain may be another's: its clock is not written any more. */
static void test_clock_of_the_dead(void **state)
{
    struct domain *e = kit_domain(6, 1);
    struct shared_info *page = e->shared;

    (void)state;
    domain_ref(e);
    while (domain_kill(e) == HC_AGAIN) {
    }
    page->wc_version = 77;
    e->time_offset = -3600;
    systime_wallclock_update(e);
    assert_int_equal(page->wc_version, 77);
    domain_put(e);
}

/* A blocked vcpu is woken by its timer wherever it last ran, and the timer moves with it. */
static void test_timer_wakes(void **state)
{
    struct evtchn_bind_virq b = { .virq = VIRQ_TIMER };
    struct vcpu_set_singleshot_timer s = { .timeout_abs_ns = port_time_now() + 5 * MS };

    (void)state;
    assert_int_equal(kit_call(v, hc_event_channel_op, EVTCHNOP_bind_virq, &b, 0), 0);
    assert_int_equal(op(VCPUOP_set_singleshot_timer, 0, &s), 0);
    sched_block(v);
    kit_settle();
    struct cpumask one = { 0 };
    cpumask_set(&one, 1);
    assert_int_equal(sched_set_affinity(v, &one, &one), 0);
    kit_advance(4 * MS);
    assert_int_equal(v->runstate, RUNSTATE_blocked);
    kit_advance(2 * MS);
    assert_int_equal(v->runstate, RUNSTATE_running);
    assert_int_equal(atomic_load(&v->cpu), 1);
    host_cpu_enter(1);
    systime_update(v);
    host_cpu_enter(0);
    assert_int_equal(v->singleshot.cpu, 1);
}

int main(void)
{
    kit_start(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_up_down, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_register_info, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_no_info, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_event_before_vcpus, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_runstate, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_clock, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_timers, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_clock_of_the_dead, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_timer_wakes, setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
