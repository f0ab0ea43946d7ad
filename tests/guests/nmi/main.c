/* SPDX-License-Identifier: MIT */
/* NMIs of the machine (the harness injects them) while user code runs on a selector that another
 * vCPU has taken out of the table since: the way back faults, which is the guest's own affair. */
#include "kit/kit.h"

const char kit_name[] = "nmi";

#define SEC      1000000000UL
#define ROUNDS   12
#define INDEX    8
#define SELECTOR (INDEX * 8 + 3)
#define CODE     0x00affb000000ffffUL /* ring 3, 64 bits, accessed */

static u64 *gdt;
static u8 user_stack[PAGE] __attribute__((aligned(4096)));
static volatile u32 quit, outs, wrong, nmis;
volatile u64 nmi_spins;

extern char nmi_spin[];
__asm__(".pushsection .text\n"
        ".globl nmi_spin\n"
        "nmi_spin:\n"
        "incq nmi_spins\n"
        "pause\n"
        "jmp nmi_spin\n"
        ".popsection");

static long describe(u64 desc)
{
    return hc2(__HYPERVISOR_update_descriptor, mfn_of(gdt) * PAGE + INDEX * 8, desc);
}

/* The first vCPU of domain 0 is told of them. */
static bool on_trap(struct kit_regs *r)
{
    if (r->vector != 2) {
        return false;
    }
    nmis++;
    return true;
}

/* In user mode until that ends, again and again. */
static void spinner(void)
{
    u64 mfn = mfn_of(gdt);

    check_eq(mmuext1(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)si->pt_base)), 0);
    check_eq(hc2(__HYPERVISOR_set_gdt, U64(&mfn), 512), 0);
    while (!quit) {
        struct kit_regs r = { .rip = U64(nmi_spin),
                              .cs = SELECTOR,
                              .ss = USER_DS,
                              .rsp = U64(user_stack) + PAGE,
                              .rflags = 0x202 };

        check_eq(describe(CODE), 0);
        kit_user(&r);
        wrong += r.vector != 11 && r.vector != 13 && r.vector != KIT_VEC_FAILSAFE;
        outs++;
    }
}

void test_main(void)
{
    if (cpu_count() < 2) {
        test_skip("wants two vCPUs");
        return;
    }
    kit_trap_hook = on_trap;
    gdt = page_alloc();
    page_protect(gdt, false);
    check_eq(cpu_start(1, spinner), 0);
    check(wait_until(&cpu_of(1)->state, 1, 10 * SEC));
    for (u32 i = 0; i < ROUNDS; i++) {
        u64 before = nmi_spins, end = now() + 10 * SEC;
        u32 was = outs;

        while (nmi_spins - before < 1000 && now() < end) {
        }
        check(nmi_spins - before >= 1000);
        quit = i + 1 == ROUNDS;
        check_eq(describe(0), 0);
        /* Nothing but an interrupt ends it now. */
        check(wait_until(&outs, was + 1, 60 * SEC));
    }
    print("%u NMIs told, %u returns\r\n", nmis, outs);
    check(nmis > 0);
    check_eq(wrong, 0);
    check(wait_until(&cpu_of(1)->state, 2, 10 * SEC));
}
