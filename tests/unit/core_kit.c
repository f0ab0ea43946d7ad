/* SPDX-License-Identifier: MIT */
/* The core on the host machine, for tests: cpus take turns, hypercalls, nothing may be left. */
#include "core_kit.h"

#include <string.h>

#include "abi/event.h"
#include "arch/host/machine.h"
#include "base/timer.h"
#include "irq/irq.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "port/time.h"
#include "sched/sched.h"

static unsigned int cpu_count;
static uint64_t free_at_start;
static jmp_buf end;

void kit_start(unsigned int cpus)
{
    struct host_config c = { .frames = 8192, .cpus = cpus };

    cpu_count = cpus;
    host_init(&c);
    irq_init();
    kit_settle();
    free_at_start = heap_free_frames();
}

int kit_teardown(void **state)
{
    (void)state;
    host_inject_yields(0, 0);
    host_fault_at(0);
    host_cpu_enter(0);
    for (unsigned int cpu = 0; cpu < cpu_count; cpu++) {
        host_cpu_enter(cpu);
        assert_true(port_irq_enabled());
    }
    host_cpu_enter(0);
    kit_settle();
    for (struct domain *d = domain_get_next(0); d != NULL; d = domain_get_next(0)) {
        domain_put(d);
        kit_destroy(d);
    }
    kit_settle();
    domain_audit();
    sched_audit();
    assert_int_equal(heap_free_frames(), free_at_start);
    return 0;
}

void kit_as(struct vcpu *v)
{
    host_this_cpu->current = v != NULL ? v : dom_idle->vcpu[port_cpu_id()];
}

struct domain *kit_domain(domid_t id, unsigned int vcpus)
{
    struct domain_config cfg = {
        .max_vcpus = vcpus,
        .max_evtchn_port = EVTCHN_2L_NR_CHANNELS - 1,
        .max_grant_frames = 4,
        .max_maptrack_frames = 2,
        .is_hw = id == 0,
        .is_ctl = id == 0,
    };
    struct domain *d = NULL;

    assert_int_equal(domain_create(&(domid_t){ id }, &cfg, &d), 0);
    atomic_store(&d->max_frames, 1024);
    for (unsigned int i = 0; i < vcpus; i++) {
        assert_non_null(vcpu_create(d, i));
    }
    if (id == 0) {
        dom0 = d;
    }
    return d;
}

struct domain *kit_running(domid_t id, unsigned int vcpus)
{
    struct domain *d = kit_domain(id, vcpus);

    for (unsigned int i = 0; i < vcpus; i++) {
        vcpu_up(d->vcpu[i]);
    }
    domain_unpause(d);
    kit_settle();
    return d;
}

void kit_destroy(struct domain *d)
{
    if (d == dom0) {
        dom0 = NULL;
    }
    /* Stopped first: in one thread nobody waits for another cpu. */
    domain_pause_nosync(d);
    kit_settle();
    domain_ref(d);
    struct vcpu *was = host_this_cpu->current;
    kit_as(NULL);
    while (domain_kill(d) == HC_AGAIN) {
        kit_settle();
        was = host_this_cpu->current;
        kit_as(NULL);
    }
    host_this_cpu->current = was;
    domain_put(d);
    kit_settle();
}

static bool cpu_step(unsigned int cpu)
{
    unsigned int was = port_cpu_id();

    host_cpu_enter(cpu);
    uint32_t work = port_cpu_take_work();
    if ((work & CW_TIMER) != 0) {
        timer_run();
    }
    if ((work & CW_DEFERRED) != 0) {
        domain_deferred_run();
    }
    if ((work & CW_SCHED) != 0) {
        sched_run();
    }
    host_cpu_enter(was);
    return work != 0;
}

void kit_settle(void)
{
    bool any = true;

    for (unsigned int n = 0; any; n++) {
        assert_true(n < 1000);
        any = false;
        for (unsigned int cpu = 0; cpu < cpu_count; cpu++) {
            any = cpu_step(cpu) || any;
        }
    }
}

void kit_advance(uint64_t ns)
{
    uint64_t finish = port_time_now() + ns;

    while (port_time_now() < finish) {
        uint64_t now = port_time_now();
        uint64_t next = now + 1000000 < finish ? now + 1000000 : finish;
        for (unsigned int cpu = 0; cpu < cpu_count; cpu++) {
            if (host_deadline(cpu) > now && host_deadline(cpu) < next) {
                next = host_deadline(cpu);
            }
        }
        host_advance(next - now);
        kit_settle();
    }
}

int64_t kit_call(struct vcpu *v, hcall_fn *fn, uint64_t a0, const void *a1, uint64_t a2)
{
    struct hcall_args a = { { a0, (uint64_t)(uintptr_t)a1, a2 } };
    struct vcpu *was = host_this_cpu->current;
    int64_t rc;

    kit_as(v);
    do {
        rc = fn(v, &a);
    } while (rc == HC_AGAIN);
    host_this_cpu->current = was;
    return rc;
}

static void halted(int how)
{
    longjmp(end, how);
}

int kit_ends(void (*fn)(void))
{
    volatile int how = 0;

    host_halted = halted;
    how = setjmp(end);
    if (how == 0) {
        fn();
    }
    host_halted = NULL;
    host_record.power = 0;
    return how;
}
