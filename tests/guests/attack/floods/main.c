/* SPDX-License-Identifier: MIT */
/* Attack: everything that can be asked for, as fast as it can be asked: events, console, store,
 * yields, timers, faults, flushes. What it does to others is measured by them. */
#include "kit/kit.h"

#include "abi/io.h"

const char kit_name[] = "floods";

#define SEC   1000000000UL
#define PHASE (SEC * 3 / 2)

static volatile struct xenstore_domain_interface *store;
static u64 deadline;
static evtchn_port_t loop_port[2];
static u32 answers, errors;

static void each_event(void)
{
    event_send(loop_port[0]);
    event_send(si->console.domU.evtchn);
    event_send(si->store_evtchn);
}

static void each_yield(void)
{
    sched_op(SCHEDOP_yield, NULL);
}

static void each_line(void)
{
    static const char text[] = "floods: a line of no interest to anyone, over and over again\r\n";

    console_put(text, sizeof(text) - 1);
}

static void each_timer(void)
{
    hc1(__HYPERVISOR_set_timer_op, now() + 1000);
}

static void touch(u64 at)
{
    *(volatile u64 *)at = 1;
}

static void each_fault(void)
{
    kit_try(touch, 0x1000);
}

static void each_flush(void)
{
    mmuext1(MMUEXT_TLB_FLUSH_ALL, 0);
}

static void each_port(void)
{
    long port = bind_ipi(0);

    if (port > 0) {
        event_close((evtchn_port_t)port);
    }
}

static void each_refusal(void)
{
    hc1(__HYPERVISOR_domctl, 0);
    mmuext1(MMUEXT_PIN_L4_TABLE, 0);
    update_va((void *)0x1000, 0xfee00000 | PTE_RW, UVMF_INVLPG);
    __asm__ volatile("int3");
}

static bool is_int3(struct kit_regs *r)
{
    return r->vector == 3;
}

/* Reads what the store has said, as little as needed to make room. */
static void drain(void)
{
    while (store->rsp_cons != store->rsp_prod) {
        store->rsp_cons++;
        answers++;
    }
}

static void store_put(const void *from, u32 n)
{
    const u8 *p = from;

    while (n) {
        u32 prod = store->req_prod;

        drain();
        if (prod - store->req_cons >= sizeof(store->req)) {
            event_send(si->store_evtchn);
            sched_op(SCHEDOP_yield, NULL);
            if (now() > deadline + 20 * SEC) { /* given up on */
                errors++;
                return;
            }
            continue;
        }
        store->req[prod % sizeof(store->req)] = (char)*p++;
        __atomic_thread_fence(__ATOMIC_RELEASE);
        store->req_prod = prod + 1;
        n--;
    }
}

/* Writes, watches and transactions that are never ended. */
static void each_request(void)
{
    static u32 n;
    char body[64] = "data/flood0000";
    static const u32 types[] = { XS_WRITE,     XS_READ, XS_WATCH, XS_TRANSACTION_START,
                                 XS_DIRECTORY, XS_MKDIR };
    struct xsd_sockmsg m = { .type = types[n % ARRAY(types)], .req_id = n, .len = 15 };

    body[10] = (char)('a' + n % 26);
    body[11] = (char)('a' + n / 26 % 26);
    body[12] = (char)('a' + n / 676 % 26);
    if (m.type == XS_WRITE || m.type == XS_WATCH) {
        memcpy(body + 15, "12345678", 9);
        m.len = m.type == XS_WRITE ? 23 : 24;
    } else if (m.type == XS_TRANSACTION_START) {
        body[0] = 0;
        m.len = 1;
    }
    n++;
    store_put(&m, sizeof(m));
    store_put(body, m.len);
    event_send(si->store_evtchn);
}

static void flood(void (*one)(void), const char *what)
{
    u64 end = now() + PHASE, n = 0;

    deadline = end;
    while (now() < end) {
        one();
        n++;
    }
    print("%s: %lu\r\n", what, n);
    check_at(n > 10, __FILE__, __LINE__, "%s: only %lu", what, n);
}

/* The second vCPU sends to the first, and flushes its translations, all the time. */
static void second(void)
{
    for (;;) {
        event_send(loop_port[1]);
        mmuext1(MMUEXT_TLB_FLUSH_ALL, 0);
    }
}

void test_main(void)
{
    if (is_dom0) {
        test_skip("domain 0 has no rings");
        return;
    }
    store = (void *)(KIT_BASE + mfn_to_pfn(si->store_mfn) * PAGE);
    for (u32 i = 0; i < 2; i++) {
        long port = bind_ipi(0);

        check(port > 0);
        loop_port[i] = (evtchn_port_t)port;
        event_unmask_port(loop_port[i]);
    }
    if (cpu_count() > 1) {
        check_eq(cpu_start(1, second), 0);
    }
    kit_trap_hook = is_int3;
    flood(each_event, "events");
    flood(each_yield, "yields");
    flood(each_line, "lines");
    flood(each_timer, "timers");
    flood(each_fault, "faults");
    flood(each_flush, "flushes");
    flood(each_port, "ports");
    flood(each_refusal, "refusals");
    flood(each_request, "store requests");
    drain();
    check(answers > 1000);
    check_eq(errors, 0);
}
