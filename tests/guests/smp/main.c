/* SPDX-License-Identifier: MIT */
/* Several vCPUs: start, stop, IPIs, events bound to vCPUs, NMIs, TLB shoot-down, timers. */
#include "kit/kit.h"

const char kit_name[] = "smp";

#define SEC 1000000000UL

static volatile u32 hits[KIT_MAX_CPUS], seen_on[KIT_MAX_CPUS], quit, shoot, started;
static volatile u64 *volatile target;
static volatile u64 last_seen[KIT_MAX_CPUS];
static volatile u32 reads[KIT_MAX_CPUS];
static evtchn_port_t ipi[KIT_MAX_CPUS];
static u32 cpus;

static void on_ipi(evtchn_port_t port)
{
    u32 me = this_cpu()->id;

    hits[me]++;
    seen_on[me] = port;
}

static volatile u64 latest, worst_back;
static volatile u32 clocks;

/* Takes part in one common clock: the time read is never before one that another vCPU has read. */
static void clock_step(void)
{
    u64 seen = __atomic_load_n(&latest, __ATOMIC_SEQ_CST);
    u64 t = now();

    if (t < seen && seen - t > worst_back) {
        worst_back = seen - t;
    }
    while (t > seen && !__atomic_compare_exchange_n(&latest, &seen, t, false, __ATOMIC_SEQ_CST,
                                                    __ATOMIC_SEQ_CST)) {
    }
}

static volatile u32 relay, turn, rounds, stuck;

static u64 *volatile moving[2]; /* pages that the target shows in turn; NULL: it stays */
static volatile u64 expected;
static volatile u32 stale_wakes;

/* What this vCPU saw before it slept may be in the processor still, but is not to be seen: another
 * one has moved the mapping and flushed, all or only who is asleep. Then it moves it itself. */
static void move_on(void)
{
    static u64 everyone __attribute__((aligned(8)));
    u64 *to = moving[(rounds + 1) % 2];
    u64 flush[] = { UVMF_TLB_FLUSH | UVMF_ALL, UVMF_INVLPG | UVMF_ALL,
                    UVMF_TLB_FLUSH | U64(&everyone), UVMF_INVLPG | U64(&everyone) };

    everyone = (1UL << cpus) - 1;
    stale_wakes += *target != expected;
    expected = to[0];
    stale_wakes +=
        update_va((const void *)target, mfn_of(to) * PAGE | PTE_RW, flush[rounds % 4]) != 0;
    stale_wakes += *target != expected;
}

/* Sleeps until it is this vCPU's turn, then wakes the next one; no wake-up may be lost. */
static void relay_run(u32 me)
{
    while (relay) {
        events_mask();
        while (turn != me && relay) {
            sched_op(SCHEDOP_block, NULL); /* unmasks */
            events_mask();
        }
        events_unmask();
        if (relay) {
            if (moving[0] != NULL) {
                move_on();
            }
            rounds++;
            turn = (me + 1) % cpus;
            event_send(ipi[turn]);
        }
    }
}

/* Secondaries read the target word over and over and publish what they see. */
static void worker(void)
{
    u32 me = this_cpu()->id;

    __atomic_fetch_add(&started, 1, __ATOMIC_SEQ_CST);
    while (!quit) {
        if (shoot) {
            last_seen[me] = *target;
            reads[me]++;
        }
        if (clocks) {
            clock_step();
        }
        if (relay) {
            relay_run(me);
        }
        __asm__ volatile("pause");
    }
}

static void test_start(void)
{
    static struct vcpu_guest_context bad;

    for (u32 i = 1; i < cpus; i++) {
        check_eq(vcpu_op(VCPUOP_is_up, i, NULL), 0);
        check_eq(vcpu_op(VCPUOP_up, i, NULL), -EINVAL); /* not initialised */
    }
    bad.flags = VGCF_in_kernel;
    bad.ctrlreg[3] = 0x7fffffffUL << 12;
    check(vcpu_op(VCPUOP_initialise, 1, &bad) < 0);
    check_eq(vcpu_op(VCPUOP_initialise, 1, (void *)8), -EFAULT);
    for (u32 i = 1; i < cpus; i++) {
        check_eq(cpu_start(i, worker), 0);
        check(wait_until(&cpu_of(i)->state, 1, 2 * SEC));
        check_eq(vcpu_op(VCPUOP_is_up, i, NULL), 1);
        check_eq(vcpu_op(VCPUOP_initialise, i, &bad), -EEXIST);
        check_eq(vcpu_op(VCPUOP_up, i, NULL), 0); /* up already */
    }
    check(wait_until(&started, cpus - 1, 2 * SEC));
}

static void test_ipis(void)
{
    for (u32 i = 0; i < cpus; i++) {
        long p = bind_ipi(i);

        check(p > 0);
        ipi[i] = (evtchn_port_t)p;
        event_handler(ipi[i], on_ipi);
        event_unmask_port(ipi[i]);
    }
    for (u32 n = 1; n <= 50; n++) {
        for (u32 i = 0; i < cpus; i++) {
            check_eq(event_send(ipi[i]), 0);
            check(wait_until(&hits[i], n, SEC));
            check_eq(seen_on[i], ipi[i]);
        }
    }
}

/* An inter-domain port (of ours to ourselves) moves between vCPUs. */
static void test_bind_vcpu(void)
{
    struct evtchn_alloc_unbound a = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
    struct evtchn_bind_interdomain b = { .remote_dom = DOMID_SELF };

    check_eq(event_op(EVTCHNOP_alloc_unbound, &a), 0);
    b.remote_port = a.port;
    check_eq(event_op(EVTCHNOP_bind_interdomain, &b), 0);
    event_clear(b.local_port);
    event_handler(b.local_port, on_ipi);
    event_unmask_port(b.local_port);
    for (u32 i = 0; i < cpus; i++) {
        struct evtchn_bind_vcpu bv = { .port = b.local_port, .vcpu = i };
        u32 before = hits[i];

        check_eq(event_op(EVTCHNOP_bind_vcpu, &bv), 0);
        check_eq(event_send(a.port), 0);
        check(wait_until(&hits[i], before + 1, SEC));
        check_eq(seen_on[i], b.local_port);
    }
    event_close(b.local_port);
    event_close(a.port);
}

/* The mapping is changed under the readers: after the call none may see the old page. */
static void test_shootdown(void)
{
    u64 *a = page_alloc(), *b = page_alloc(), *win = page_alloc();
    u32 stale = 0, late = 0;

    a[0] = 1;
    b[0] = 2;
    target = win;
    page_remap(win, mfn_of(a) * PAGE | PTE_RW);
    mmuext1(MMUEXT_TLB_FLUSH_ALL, 0);
    shoot = 1;
    for (u32 n = 0; n < 200; n++) {
        u64 *to = n & 1 ? a : b;
        u64 flush = n % 3 ? UVMF_INVLPG | UVMF_ALL : UVMF_TLB_FLUSH | UVMF_ALL;

        check_eq(update_va(win, mfn_of(to) * PAGE | PTE_RW, flush), 0);
        u32 before[KIT_MAX_CPUS];
        for (u32 i = 1; i < cpus; i++) {
            before[i] = reads[i];
        }
        u64 end = now() + 10 * SEC;

        for (u32 i = 1; i < cpus; i++) {
            /* the first may have been under way when the call returned, the second was not */
            while (reads[i] - before[i] < 2 && now() < end) {
                __asm__ volatile("pause");
            }
            late += reads[i] - before[i] < 2;
            stale += last_seen[i] != to[0];
        }
    }
    shoot = 0;
    spin_ns(1000000);
    page_restore(win);
    check_eq(late, 0);
    check_eq(stale, 0);
}

/* System time is one for all vCPUs, up to the processors' agreement. */
static void test_clocks(void)
{
    u64 end = now() + SEC;

    clocks = 1;
    while (now() < end) {
        clock_step();
    }
    clocks = 0;
    print("clocks differ by %lu ns\r\n", worst_back);
    check(worst_back < 100000 || !on_joist); /* Xen's differ by milliseconds under emulation */
}

static u32 last_rounds, calls, idle;

static void on_watch(evtchn_port_t port)
{
    (void)port;
    idle = rounds == last_rounds ? idle + 1 : 0; /* a busy host may stop us all for a while */
    calls++;
    if (idle == 10 || (idle == 0 && calls >= 5)) {
        stuck = idle != 0;
        relay = 0;
    }
    last_rounds = rounds;
}

/* Each vCPU is woken by the one before it, thousands of times. */
static void run_relay(void)
{
    struct vcpu_set_periodic_timer p = { .period_ns = SEC };
    long port = bind_virq(VIRQ_TIMER, 0);

    rounds = last_rounds = calls = idle = 0;
    event_handler((evtchn_port_t)port, on_watch);
    event_unmask_port((evtchn_port_t)port);
    vcpu_op(VCPUOP_set_periodic_timer, 0, &p);
    relay = 1;
    relay_run(0);
    for (u32 i = 1; i < cpus; i++) {
        event_send(ipi[i]);
    }
    vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
    event_close((evtchn_port_t)port);
    print("%u wake-ups in a row\r\n", rounds);
    check_eq(stuck, 0);
    check(rounds > 200);
}

static void test_relay(void)
{
    u64 *a = page_alloc(), *b = page_alloc(), *win = page_alloc();

    run_relay();
    /* the same, while the memory that all of them read moves under those who sleep */
    a[0] = 1;
    b[0] = 2;
    target = win;
    page_remap(win, mfn_of(a) * PAGE | PTE_RW);
    mmuext1(MMUEXT_TLB_FLUSH_ALL, 0);
    expected = 1;
    moving[1] = b;
    moving[0] = a;
    run_relay();
    moving[0] = NULL;
    spin_ns(1000000);
    page_restore(win);
    check_eq(stale_wakes, 0);
}

static volatile u32 nmis[KIT_MAX_CPUS];

static bool on_nmi(struct kit_regs *r)
{
    if (r->vector == 2) {
        __atomic_fetch_add(&nmis[this_cpu()->id], 1, __ATOMIC_SEQ_CST);
        return true;
    }
    return false;
}

static void test_nmi(void)
{
    kit_trap_hook = on_nmi;
    for (u32 i = 1; i < cpus; i++) {
        check_eq(vcpu_op(VCPUOP_send_nmi, i, NULL), 0);
        check(wait_until(&nmis[i], 1, SEC));
    }
    kit_trap_hook = NULL;
}

static void test_remote_timer(void)
{
    struct vcpu_set_singleshot_timer t = { .timeout_abs_ns = now() + 1000000 };

    check_eq(vcpu_op(VCPUOP_set_singleshot_timer, 1, &t), -EINVAL); /* only one's own */
    for (u32 i = 0; i < cpus; i++) {
        long p = bind_virq(VIRQ_TIMER, i);

        check(p > 0);
        check_eq(event_close((evtchn_port_t)p), 0);
    }
}

static void test_stop(void)
{
    struct vcpu_runstate_info rs = { 0 };

    quit = 1;
    for (u32 i = 1; i < cpus; i++) {
        check(wait_until(&cpu_of(i)->state, 2, 2 * SEC));
        u64 end = now() + SEC;

        while (vcpu_op(VCPUOP_is_up, i, NULL) == 1 && now() < end) {
            __asm__ volatile("pause");
        }
        check_eq(vcpu_op(VCPUOP_is_up, i, NULL), 0);
        check_eq(vcpu_op(VCPUOP_get_runstate_info, i, &rs), 0);
        check_eq(rs.state, RUNSTATE_offline);
    }
}

void test_main(void)
{
    cpus = cpu_count();
    if (cpus < 2) {
        test_skip("one vCPU only");
        return;
    }
    test_start();
    test_ipis();
    test_bind_vcpu();
    test_shootdown();
    test_clocks();
    test_relay();
    test_nmi();
    test_remote_timer();
    test_stop();
}
