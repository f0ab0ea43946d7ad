/* SPDX-License-Identifier: MIT */
/* FPU state belongs to its vCPU: kept over hypercalls, traps, blocking, and switches of vCPUs. */
#include "kit/kit.h"

const char kit_name[] = "fpu";

struct pattern {
    u64 xmm[16][2];
    double x87;
    u32 mxcsr;
} __attribute__((aligned(16)));

static volatile u32 rounds[2], wrong[2], stop;

static void fill(struct pattern *p, u64 seed)
{
    for (u32 i = 0; i < 16; i++) {
        p->xmm[i][0] = seed * 0x9e3779b97f4a7c15UL + i;
        p->xmm[i][1] = ~p->xmm[i][0];
    }
    p->x87 = 0;
    ((u64 *)&p->x87)[0] = 0x4000000000000000UL + (seed << 40); /* an ordinary number */
    p->mxcsr = 0x1f80 | (u32)(seed & 3) << 13;
}

static void load(const struct pattern *p)
{
    __asm__ volatile("fninit; fldl %1; ldmxcsr %2;"
                     "movdqa 0(%0), %%xmm0; movdqa 16(%0), %%xmm1; movdqa 32(%0), %%xmm2;"
                     "movdqa 48(%0), %%xmm3; movdqa 112(%0), %%xmm7; movdqa 128(%0), %%xmm8;"
                     "movdqa 240(%0), %%xmm15"
                     :
                     : "r"(p), "m"(p->x87), "m"(p->mxcsr)
                     : "memory");
}

static void store(struct pattern *p)
{
    __asm__ volatile("movdqa %%xmm0, 0(%0); movdqa %%xmm1, 16(%0); movdqa %%xmm2, 32(%0);"
                     "movdqa %%xmm3, 48(%0); movdqa %%xmm7, 112(%0); movdqa %%xmm8, 128(%0);"
                     "movdqa %%xmm15, 240(%0); stmxcsr %2; fstl %1"
                     :
                     : "r"(p), "m"(p->x87), "m"(p->mxcsr)
                     : "memory");
}

/* Loads a pattern, does something, compares; the number of differing parts. */
static u32 kept_over(void (*what)(void), u64 seed)
{
    struct pattern in, out;

    fill(&in, seed);
    out = in;
    for (u32 i = 0; i < 16; i++) {
        if (i < 4 || i == 7 || i == 8 || i == 15) {
            out.xmm[i][0] = out.xmm[i][1] = 0;
        }
    }
    out.mxcsr = 0;
    out.x87 = 0;
    load(&in);
    what();
    store(&out);
    return memcmp(&in, &out, sizeof(in)) != 0;
}

static void do_version(void)
{
    hc2(__HYPERVISOR_xen_version, XENVER_version, 0);
}

static void do_print(void)
{
    static const char text[] = "fpu: a console write\r\n";

    console_put(text, sizeof(text) - 1);
}

static void do_yield(void)
{
    sched_op(SCHEDOP_yield, NULL);
}

static void do_sleep(void)
{
    struct sched_poll p = { .timeout = now() + 3000000 };

    sched_op(SCHEDOP_poll, &p);
}

static void ud(u64 arg)
{
    (void)arg;
    __asm__ volatile("ud2");
}

static void do_fault(void)
{
    kit_try(ud, 0);
}

static void do_spin(void)
{
    spin_ns(20000000); /* longer than a time slice is likely to be */
}

static void do_ts(void)
{
    hc1(__HYPERVISOR_fpu_taskswitch, 1);
    hc1(__HYPERVISOR_fpu_taskswitch, 0);
}

static void compete(u32 id)
{
    while (!stop) {
        wrong[id] += kept_over(id ? do_yield : do_version, rounds[id] * 2 + id + 1);
        wrong[id] += kept_over(do_yield, rounds[id] * 2 + id + 1);
        rounds[id]++;
    }
}

static void secondary(void)
{
    compete(1);
}

void test_main(void)
{
    check_eq(kept_over(do_version, 1), 0);
    check_eq(kept_over(do_print, 2), 0);
    check_eq(kept_over(do_yield, 3), 0);
    check_eq(kept_over(do_sleep, 4), 0);
    check_eq(kept_over(do_fault, 5), 0);
    check_eq(kept_over(do_spin, 6), 0);
    check_eq(kept_over(do_ts, 7), 0);
    if (cpu_count() < 2) {
        return;
    }
    /* two vCPUs on one processor, each with its own values */
    check_eq(cpu_start(1, secondary), 0);
    u64 end = now() + 1000000000;

    while (now() < end) {
        wrong[0] += kept_over(do_yield, rounds[0] + 100);
        wrong[0] += kept_over(do_sleep, rounds[0] + 200);
        rounds[0]++;
    }
    stop = 1;
    check(wait_until(&cpu_of(1)->state, 2, 2000000000));
    print("rounds: %u and %u\r\n", rounds[0], rounds[1]);
    check(rounds[0] > 10);
    check(rounds[1] > 10);
    check_eq(wrong[0], 0);
    check_eq(wrong[1], 0);
}
