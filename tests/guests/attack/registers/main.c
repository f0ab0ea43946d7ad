/* SPDX-License-Identifier: MIT */
/* Attack: another guest's registers. `holder` keeps a mark in every register there is; the other,
 * on the same processor, looks for it in its own at the start and after each sleep. */
#include "kit/kit.h"

const char kit_name[] = "registers";

#define SEC     1000000000UL
#define OWN     0x0e11UL /* the upper 16 bits of every word of the one */
#define ALIEN   0x5ec2UL /* ... and of the other */
#define AREA    4096
#define XMM_OFF 160
#define YMM_OFF 576

static u8 area[AREA] __attribute__((aligned(64)));
static u64 gpr[16];
static bool has_xsave, has_ymm;
static u64 looks;

static u64 word(u64 who, u64 n)
{
    return who << 48 | 0x00005a5a5a5a0000UL | n;
}

/* All registers but rsp from gpr[], one system call (rax, rdi, rsi hold it), all back into gpr[].
 */
void attack_call(void);
__asm__(".pushsection .text\n"
        ".globl attack_call\n"
        "attack_call:\n"
        "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "mov gpr+0(%rip), %rax; mov gpr+8(%rip), %rbx; mov gpr+16(%rip), %rcx\n"
        "mov gpr+24(%rip), %rdx; mov gpr+32(%rip), %rsi; mov gpr+40(%rip), %rdi\n"
        "mov gpr+48(%rip), %rbp; mov gpr+64(%rip), %r8; mov gpr+72(%rip), %r9\n"
        "mov gpr+80(%rip), %r10; mov gpr+88(%rip), %r11; mov gpr+96(%rip), %r12\n"
        "mov gpr+104(%rip), %r13; mov gpr+112(%rip), %r14; mov gpr+120(%rip), %r15\n"
        "syscall\n"
        "mov %rax, gpr+0(%rip); mov %rbx, gpr+8(%rip); mov %rcx, gpr+16(%rip)\n"
        "mov %rdx, gpr+24(%rip); mov %rsi, gpr+32(%rip); mov %rdi, gpr+40(%rip)\n"
        "mov %rbp, gpr+48(%rip); mov %r8, gpr+64(%rip); mov %r9, gpr+72(%rip)\n"
        "mov %r10, gpr+80(%rip); mov %r11, gpr+88(%rip); mov %r12, gpr+96(%rip)\n"
        "mov %r13, gpr+104(%rip); mov %r14, gpr+112(%rip); mov %r15, gpr+120(%rip)\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "ret\n"
        ".popsection");

/* The same with every register in a loop of user-visible instructions: interrupted, never asking.
 */
void attack_spin(void);
__asm__(".pushsection .text\n"
        ".globl attack_spin\n"
        "attack_spin:\n"
        "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "mov gpr+0(%rip), %rax; mov gpr+8(%rip), %rbx; mov gpr+24(%rip), %rdx\n"
        "mov gpr+32(%rip), %rsi; mov gpr+40(%rip), %rdi; mov gpr+48(%rip), %rbp\n"
        "mov gpr+64(%rip), %r8; mov gpr+72(%rip), %r9; mov gpr+80(%rip), %r10\n"
        "mov gpr+88(%rip), %r11; mov gpr+96(%rip), %r12; mov gpr+104(%rip), %r13\n"
        "mov gpr+112(%rip), %r14; mov gpr+120(%rip), %r15\n"
        "mov $3000000, %ecx\n"
        "1: dec %ecx\n"
        "jnz 1b\n"
        "mov %rax, gpr+0(%rip); mov %rbx, gpr+8(%rip); movq $0, gpr+16(%rip)\n"
        "mov %rdx, gpr+24(%rip); mov %rsi, gpr+32(%rip); mov %rdi, gpr+40(%rip)\n"
        "mov %rbp, gpr+48(%rip); mov %r8, gpr+64(%rip); mov %r9, gpr+72(%rip)\n"
        "mov %r10, gpr+80(%rip); mov %r11, gpr+88(%rip); mov %r12, gpr+96(%rip)\n"
        "mov %r13, gpr+104(%rip); mov %r14, gpr+112(%rip); mov %r15, gpr+120(%rip)\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "ret\n"
        ".popsection");

/* Xen switches these registers when they are used first, by CR0.TS, which QEMU 7.2's XSAVE and
 * XRSTOR do not look at: an instruction that does goes before. Ours must be right without. */
static void use(void)
{
    if (!on_joist) {
        __asm__ volatile("fnop");
    }
}

static void save(void)
{
    use();
    if (has_xsave) {
        __asm__ volatile("xsave64 %0" : "+m"(area) : "a"(~0U), "d"(~0U));
    } else {
        __asm__ volatile("fxsave64 %0" : "+m"(area));
    }
}

static void restore(void)
{
    use();
    if (has_xsave) {
        __asm__ volatile("xrstor64 %0" ::"m"(area), "a"(~0U), "d"(~0U));
    } else {
        __asm__ volatile("fxrstor64 %0" ::"m"(area));
    }
}

/* Turns on what the processor has beyond SSE. */
static void turn_on(u64 arg)
{
    u32 a = 1, b, c = 0, d;
    u64 cr4;

    (void)arg;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (!(c >> 26 & 1)) {
        return;
    }
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4" ::"r"(cr4 | 1UL << 18));
    __asm__ volatile("xsetbv" ::"c"(0), "a"(c >> 28 & 1 ? 7 : 3), "d"(0));
    has_xsave = true;
    has_ymm = c >> 28 & 1;
}

/* Words of every register set, of `who`. */
static void fill(u64 who)
{
    u64 *w = (u64 *)area;

    memset(area, 0, AREA);
    *(u16 *)area = 0x37f;
    w[1] = who << 32 | 1; /* where the last x87 instruction and its operand were */
    w[2] = who << 32 | 2;
    ((u32 *)area)[6] = 0x1f80 | (who == ALIEN ? 0x6000 : 0);
    for (u32 i = 0; i < 8; i++) {
        w[4 + 2 * i] = word(who, 0x100 + i);
        w[5 + 2 * i] = 0x3fff;
    }
    for (u32 i = 0; i < 32; i++) {
        w[XMM_OFF / 8 + i] = word(who, 0x200 + i);
        w[YMM_OFF / 8 + i] = has_ymm ? word(who, 0x300 + i) : 0;
    }
    if (has_xsave) {
        w[64] = has_ymm ? 7 : 3;
    }
    for (u32 i = 0; i < 16; i++) {
        gpr[i] = word(who, 0x400 + i);
    }
}

/* No register may hold the other's mark. */
static void look(const u64 *w, u32 n, u64 who, const char *what)
{
    for (u32 i = 0; i < n; i++) {
        check_at(w[i] >> 48 != who && w[i] >> 32 != who, __FILE__, __LINE__, "%s: word %u is 0x%lx",
                 what, i, w[i]);
    }
    looks++;
}

static u64 read_dr(u32 n)
{
    return (u64)hc1(__HYPERVISOR_get_debugreg, n);
}

static void base(u32 which, u64 at)
{
    check_eq(hc2(__HYPERVISOR_set_segment_base, which, at), 0);
}

static u64 rd_base(u32 msr)
{
    u32 lo, hi;

    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (u64)hi << 32 | lo;
}

/* One round: all registers loaded, then a call of a kind or a long loop. `seed` picks which. */
static void one_round(u64 who, u32 seed)
{
    struct sched_poll p = { .timeout = now() + 500000 };

    fill(who);
    restore();
    if (seed % 3 == 2) {
        gpr[2] = 0;
        attack_spin();
        save();
        return;
    }
    gpr[0] = __HYPERVISOR_sched_op;
    gpr[5] = seed % 3 ? SCHEDOP_poll : SCHEDOP_yield;
    gpr[4] = U64(&p);
    attack_call();
    save();
}

static void hold(void)
{
    u64 end = now() + 6 * SEC;
    u32 n = 0;

    for (u32 i = 0; i < 4; i++) {
        check_eq(hc2(__HYPERVISOR_set_debugreg, i, 0x5ec25a5a000UL + i), 0);
    }
    check_eq(hc2(__HYPERVISOR_set_debugreg, 7, 0x4ff), 0);
    base(SEGBASE_FS, word(0, 0x501));
    base(SEGBASE_GS_USER, word(0, 0x502));
    base(SEGBASE_GS_KERNEL, word(0, 0x503));
    while (now() < end) {
        one_round(ALIEN, n++);
        look(gpr, 16, OWN, "general");
    }
    print("%u rounds held\r\n", n);
    check(n > 20);
}

static void at_start(void)
{
    u64 zero = 0;

    look(kit_start_regs, 14, ALIEN, "at the start");
    for (u32 i = 0; i < 14; i++) {
        zero |= kit_start_regs[i];
    }
    check(zero == 0 || !on_joist);
    save();
    look((u64 *)area, AREA / 8, ALIEN, "FPU at the start");
    zero = 0;
    for (u32 i = 0; i < 32; i++) {
        zero |= ((u64 *)area)[XMM_OFF / 8 + i];
    }
    check_eq(zero, 0);
    check_eq(((u32 *)area)[6], 0x1f80);
    for (u32 i = 0; i < 4; i++) {
        check_eq(read_dr(i), 0);
    }
    check_eq(read_dr(7), 0x400);
}

static void watch(void)
{
    u64 end = now() + 8 * SEC, want[72];
    u32 n = 0;

    while (now() < end) {
        fill(OWN);
        memcpy(want, area + XMM_OFF, 256);
        memcpy(want + 32, area + YMM_OFF, 256);
        u32 mxcsr = ((u32 *)area)[6];

        one_round(OWN, n++);
        look((u64 *)area, AREA / 8, ALIEN, "FPU");
        look(gpr, 16, ALIEN, "general");
        check_eq(memcmp(want, area + XMM_OFF, 256), 0);
        check(!has_ymm || memcmp(want + 32, area + YMM_OFF, 256) == 0);
        check_eq(((u32 *)area)[6], mxcsr);
        for (u32 i = 8; i < 16; i++) {
            check(i == 11 || gpr[i] == word(OWN, 0x400 + i));
        }
        for (u32 i = 0; i < 4; i++) {
            check_eq(read_dr(i), 0);
        }
        check_eq(rd_base(0xc0000100), 0);
        check_eq(rd_base(0xc0000101), 0);
        check_eq(rd_base(0xc0000102), 0);
    }
    print("%u rounds, %lu sets of registers looked at\r\n", n, looks);
    check(n > 20);
}

void test_main(void)
{
    if (!kit_option("holder")) {
        at_start();
    }
    kit_try(turn_on, 0);
    print("%s%s\r\n", has_xsave ? "XSAVE" : "FXSAVE", has_ymm ? ", AVX" : "");
    if (kit_option("holder")) {
        hold();
    } else {
        watch();
    }
}
