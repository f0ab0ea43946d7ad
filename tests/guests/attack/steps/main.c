/* SPDX-License-Identifier: MIT */
/* Attack: debug exceptions where they hurt: steps and breakpoints over system calls, behind MOV SS,
 * on what the hypervisor reads and writes; NMIs in floods; flags of returns. */
#include "kit/kit.h"

const char kit_name[] = "steps";

#define TF 0x100UL
#define AC 0x40000UL

static volatile u32 debugs, nmis, breaks;
static volatile u64 last_cs, last_flags;
static u8 buf[PAGE] __attribute__((aligned(4096)));
static u64 ss_word = USER_DS;

/* Everything that debugging brings is counted and gone on from, without TF. */
static bool hook(struct kit_regs *r)
{
    last_cs = r->cs;
    last_flags = r->rflags;
    if (r->vector == 1) {
        debugs++;
        if (debugs % 64 == 63) { /* not for ever */
            r->rflags &= ~TF;
        }
        return true;
    }
    if (r->vector == 2) {
        nmis++;
        return true;
    }
    if (r->vector == 3 || r->vector == 0x80) {
        breaks++;
        return true;
    }
    if (r->vector == 6 && *(const u8 *)r->rip == 0xf1) { /* QEMU does not know INT1 */
        r->rip++;
        return true;
    }
    return false;
}

static u16 level(void)
{
    u16 cs;

    __asm__ volatile("mov %%cs, %0" : "=r"(cs));
    return cs & 3;
}

static void no_steps(void)
{
    __asm__ volatile("pushfq; andq %0, (%%rsp); popfq" ::"r"(~(TF | AC | 0x4000UL))
                     : "cc", "memory");
}

/* Each of these is run with TF set, and behind a MOV SS whose operand is watched. */
static void by_syscall(void)
{
    hc2(__HYPERVISOR_xen_version, XENVER_version, 0);
}

static void by_int3(void)
{
    __asm__ volatile("int3" ::: "memory");
}

static void ud(u64 arg)
{
    (void)arg;
    __asm__ volatile("ud2");
}

static void by_fault(void)
{
    kit_try(ud, 0);
}

static void by_cpuid(void)
{
    u32 a = 0, b, c, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    __asm__ volatile("ud2; .ascii \"xen\"; cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
}

static void by_big_call(void)
{
    char text[1024];

    hc2(__HYPERVISOR_xen_version, XENVER_compile_info, U64(text));
}

static void by_icebp(void)
{
    __asm__ volatile(".byte 0xf1" ::: "memory");
}

static void (*const kinds[])(void) = { by_syscall, by_int3,     by_fault,
                                       by_cpuid,   by_big_call, by_icebp };

static void stepping(void)
{
    for (u32 i = 0; i < ARRAY(kinds); i++) {
        for (u32 n = 0; n < 8; n++) {
            u32 before = debugs;

            debugs = 0;
            __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq; nop" ::: "cc", "memory");
            kinds[i]();
            no_steps();
            check_at(debugs > 0, __FILE__, __LINE__, "kind %u: no step", i);
            debugs += before;
            check_eq(level(), 3);
            check_eq(last_cs, KERNEL_CS); /* as a handler sees it */
        }
    }
}

static long set_dr(u32 n, u64 v)
{
    return hc2(__HYPERVISOR_set_debugreg, n, v);
}

/* A watched stack segment: what comes behind the MOV runs before its exception is taken (XSA-260).
 */
static void behind_mov_ss(void)
{
    check_eq(set_dr(0, U64(&ss_word)), 0);
    check_eq(set_dr(7, 0x000f0701), 0); /* read or write, two bytes .. */
    for (u32 n = 0; n < 20; n++) {
        u64 nr = __HYPERVISOR_xen_version, a = 0, b = 0;

        __asm__ volatile("mov %0, %%ss; int3" ::"m"(ss_word) : "memory");
        __asm__ volatile("mov %3, %%ss; syscall"
                         : "+a"(nr), "+D"(a), "+S"(b)
                         : "m"(ss_word)
                         : "memory", "rcx", "r11", "rdx", "r10", "r8", "r9");
        check_eq(nr, 4 << 16 | 17);
        __asm__ volatile("mov %0, %%ss; .byte 0xf1" ::"m"(ss_word) : "memory");
        __asm__ volatile("mov %0, %%ss; int $0x80" ::"m"(ss_word) : "memory");
        check_eq(level(), 3);
    }
    check_eq(set_dr(7, 0x400), 0);
}

/* Breakpoints on what the hypervisor reads and writes for us: it must not be hit in its own level.
 */
static void watched_arguments(void)
{
    static const u32 lengths[] = { 0x00010401, 0x00030401, 0x000d0401, 0x000f0401, 0x00090401 };

    for (u32 i = 0; i < ARRAY(lengths); i++) {
        struct evtchn_status s = { .dom = DOMID_SELF, .port = 1 };
        struct vcpu_runstate_info state;

        check_eq(set_dr(0, U64(buf)), 0);
        check_eq(set_dr(7, lengths[i]), 0);
        for (u32 n = 0; n < 20; n++) {
            check(hc2(__HYPERVISOR_xen_version, XENVER_compile_info, U64(buf)) == 0);
            *(volatile u32 *)buf = 0; /* the first of the words of features */
            check(hc2(__HYPERVISOR_xen_version, XENVER_get_features, U64(buf)) == 0);
        }
        check_eq(set_dr(0, U64(&state)), 0);
        check_eq(vcpu_op(VCPUOP_get_runstate_info, 0, &state), 0);
        check_eq(set_dr(0, U64(&s) & ~7UL), 0);
        event_op(EVTCHNOP_status, &s);
        check_eq(set_dr(0, U64(this_cpu()) + KIT_STACK_SIZE - 8), 0);
        kit_try(ud, 0);
        check_eq(level(), 3);
        check_eq(last_cs, KERNEL_CS); /* as a handler sees it */
    }
    set_dr(0, 0);
    check_eq(set_dr(7, 0x400), 0);
}

/* Control words that must not reach the processor: general detect, I/O breakpoints without CR4.DE,
 * reserved bits. */
static void control_words(void)
{
    for (u32 bit = 0; bit < 64; bit++) {
        if (set_dr(7, 0x400 | 1UL << bit) == 0) {
            u64 got = (u64)hc1(__HYPERVISOR_get_debugreg, 7);

            check_at((got & 1UL << 13) == 0 && got >> 32 == 0, __FILE__, __LINE__,
                     "bit %u: DR7 is 0x%lx", bit, got);
        }
        set_dr(6, 1UL << bit);
        check_eq(hc2(__HYPERVISOR_xen_version, XENVER_version, 0), 4 << 16 | 17);
    }
    check_eq(set_dr(7, 0x400), 0);
    set_dr(6, 0);
    check(set_dr(8, 0) < 0);
    check(set_dr(~0U, 0) < 0);
}

static void nmi_flood(void)
{
    struct sched_poll p = { .timeout = 1 };

    nmis = 0;
    for (u32 i = 0; i < 500; i++) {
        check_eq(vcpu_op(VCPUOP_send_nmi, 0, NULL), 0);
        if (i % 7 == 0) {
            sched_op(SCHEDOP_poll, &p);
        }
        if (i % 11 == 0) {
            kit_try(ud, 0);
        }
    }
    by_syscall();
    print("%u NMIs of 500\r\n", nmis);
    check(nmis > 100 && nmis <= 500);
}

/* Flags that user mode must not have, by POPF and by INT n with each vector. */
static void flags(void)
{
    static const u64 odd[] = { 0x3000, 0x4000, 0x20000, 0x80000, 0x100000, AC, 0x7000 };

    for (u32 i = 0; i < ARRAY(odd); i++) {
        u64 after;

        __asm__ volatile("pushfq; orq %1, (%%rsp); popfq; pushfq; popq %0"
                         : "=r"(after)
                         : "r"(odd[i])
                         : "cc", "memory");
        check_eq(after & 0x3000, 0);
        check_eq(hc2(__HYPERVISOR_xen_version, XENVER_version, 0), 4 << 16 | 17);
        kit_try(ud, 0);
        no_steps();
        check_eq(last_flags & 0x3000, 0);
    }
}

void test_main(void)
{
    kit_trap_hook = hook;
    stepping();
    behind_mov_ss();
    watched_arguments();
    control_words();
    nmi_flood();
    flags();
    print("%u debug exceptions, %u breakpoints\r\n", debugs, breaks);
    check(breaks > 20);
}
