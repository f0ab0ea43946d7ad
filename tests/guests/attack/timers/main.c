/* SPDX-License-Identifier: MIT */
/* Attack: timers of the past, of never, and a great many; the machine's own clock must go on. */
#include "kit/kit.h"

const char kit_name[] = "timers";

static const u64 when[] = {
    0,        1,   2, 1UL << 31, 1UL << 32, 1UL << 62, (1UL << 63) - 1, 1UL << 63, (1UL << 63) + 1,
    ~0UL - 1, ~0UL
};

static u64 upcalls_in(u64 ns)
{
    u64 before = kit_upcalls;

    spin_ns(ns);
    return kit_upcalls - before;
}

static void singleshot(void)
{
    for (u32 i = 0; i < ARRAY(when); i++) {
        struct vcpu_set_singleshot_timer s = { .timeout_abs_ns = when[i] };

        hc1(__HYPERVISOR_set_timer_op, when[i]);
        vcpu_op(VCPUOP_set_singleshot_timer, 0, &s);
        s.flags = 1;
        vcpu_op(VCPUOP_set_singleshot_timer, 0, &s);
        /* one that is past fires once, not for ever (XSA-20) */
        check_at(upcalls_in(20000000) < 20, __FILE__, __LINE__, "a storm from 0x%lx", when[i]);
    }
    hc1(__HYPERVISOR_set_timer_op, 0);
    check_eq(vcpu_op(VCPUOP_stop_singleshot_timer, 0, NULL), 0);
}

static void periodic(void)
{
    for (u32 i = 0; i < ARRAY(when); i++) {
        struct vcpu_set_periodic_timer p = { .period_ns = when[i] };
        long rc = vcpu_op(VCPUOP_set_periodic_timer, 0, &p);

        check(rc == 0 || rc == -EINVAL);
        check(when[i] > 2 || rc == -EINVAL);
        check_at(upcalls_in(20000000) < 40, __FILE__, __LINE__, "a storm from a period of 0x%lx",
                 when[i]);
        vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
    }
}

/* As fast as they can be set. */
static void flood(void)
{
    u64 end = now() + 300000000;
    u64 n = 0;

    while (now() < end) {
        hc1(__HYPERVISOR_set_timer_op, now() + 1000);
        n++;
    }
    hc1(__HYPERVISOR_set_timer_op, 0);
    print("%lu timers\r\n", n);
    check(n > 100);
}

static void polls(void)
{
    evtchn_port_t port = 1;

    for (u32 i = 0; i < ARRAY(when); i++) {
        struct sched_poll p = { .ports = gptr(&port), .nr_ports = 0, .timeout = when[i] };

        if (when[i] == 0 || when[i] > 1UL << 33) {
            continue; /* for ever */
        }
        p.timeout = when[i] < now() ? when[i] : now() + 1000000;
        u64 before = now();
        sched_op(SCHEDOP_poll, &p);
        check(now() - before < 2000000000);
    }
}

void test_main(void)
{
    long port = bind_virq(VIRQ_TIMER, 0);

    check(port > 0);
    event_unmask_port((evtchn_port_t)port);
    events_unmask();
    u64 before = now();
    singleshot();
    periodic();
    flood();
    polls();
    u64 after = now();
    check(after > before && after - before < 120000000000UL);
}
