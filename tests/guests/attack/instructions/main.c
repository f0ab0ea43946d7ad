/* SPDX-License-Identifier: MIT */
/* Attack: privileged instructions and flags, of the kernel and of user mode. */
#include "kit/kit.h"

const char kit_name[] = "instructions";

static u8 *code;

/* The bytes of one instruction, then a return. */
static const struct {
    u8 len;
    u8 bytes[8];
} insns[] = {
    { 1, { 0xf4 } },                   /* hlt */
    { 1, { 0xfa } },                   /* cli */
    { 1, { 0xfb } },                   /* sti */
    { 2, { 0x0f, 0x07 } },             /* sysret */
    { 2, { 0x0f, 0x35 } },             /* sysexit */
    { 2, { 0x0f, 0x08 } },             /* invd */
    { 2, { 0x0f, 0x09 } },             /* wbinvd */
    { 2, { 0x0f, 0x33 } },             /* rdpmc */
    { 2, { 0x0f, 0xaa } },             /* rsm */
    { 3, { 0x0f, 0x01, 0xc1 } },       /* vmcall */
    { 3, { 0x0f, 0x01, 0xc2 } },       /* vmlaunch */
    { 3, { 0x0f, 0x01, 0xc4 } },       /* vmxoff */
    { 3, { 0x0f, 0x01, 0xc8 } },       /* monitor */
    { 3, { 0x0f, 0x01, 0xc9 } },       /* mwait */
    { 3, { 0x0f, 0x01, 0xca } },       /* clac */
    { 3, { 0x0f, 0x01, 0xcb } },       /* stac */
    { 3, { 0x0f, 0x01, 0xd8 } },       /* vmrun */
    { 3, { 0x0f, 0x01, 0xdc } },       /* stgi */
    { 3, { 0x0f, 0x01, 0xdd } },       /* clgi */
    { 3, { 0x0f, 0x01, 0xf8 } },       /* swapgs */
    { 3, { 0x0f, 0x00, 0xd8 } },       /* ltr ax */
    { 3, { 0x0f, 0x00, 0xd0 } },       /* lldt ax */
    { 3, { 0x0f, 0x01, 0x10 } },       /* lgdt (rax) */
    { 3, { 0x0f, 0x01, 0x18 } },       /* lidt (rax) */
    { 3, { 0x0f, 0x01, 0x38 } },       /* invlpg (rax) */
    { 3, { 0x0f, 0x22, 0xc0 } },       /* mov cr0, rax */
    { 3, { 0x0f, 0x22, 0xd8 } },       /* mov cr3, rax */
    { 3, { 0x0f, 0x22, 0xe0 } },       /* mov cr4, rax */
    { 4, { 0x44, 0x0f, 0x22, 0xc0 } }, /* mov cr8, rax */
    { 3, { 0x0f, 0x23, 0xf8 } },       /* mov dr7, rax */
    { 2, { 0x0f, 0x30 } },             /* wrmsr */
    { 2, { 0x0f, 0x32 } },             /* rdmsr */
    { 3, { 0x0f, 0x01, 0xd1 } },       /* xsetbv */
    { 2, { 0xe4, 0x60 } },             /* in al, 60 */
    { 2, { 0xe6, 0x64 } },             /* out 64, al */
    { 1, { 0xee } },                   /* out dx, al */
    { 1, { 0x6c } },                   /* insb */
    { 1, { 0x6e } },                   /* outsb */
    { 2, { 0xcd, 0x02 } },             /* int 2 */
    { 2, { 0xcd, 0x08 } },             /* int 8 */
    { 2, { 0xcd, 0x0e } },             /* int 14 */
    { 2, { 0xcd, 0xff } },             /* int 255 */
    { 1, { 0xf1 } },                   /* int1 */
    { 1, { 0xcc } },                   /* int3 */
    { 2, { 0x0f, 0x34 } },             /* sysenter */
    { 4, { 0x66, 0x0f, 0x38, 0x82 } }, /* invpcid, cut short */
    { 3, { 0xf3, 0x0f, 0xc7 } },       /* vmxon, cut short */
};

static void run(u64 rax)
{
    __asm__ volatile("call *%1"
                     : "+a"(rax)
                     : "r"(code)
                     : "rcx", "rdx", "rsi", "rdi", "memory", "cc");
}

static u16 level(void)
{
    u16 cs;

    __asm__ volatile("mov %%cs, %0" : "=r"(cs));
    return cs & 3;
}

/* As the kernel, which runs in ring 3: whatever happens, we are still there and still in ring 3. */
static void as_kernel(void)
{
    static const u64 rax[] = { 0, 1, 0x10, ~0UL, 0xffff87ff80000000UL, 0x80050033, 0x1000 };
    u64 faults = 0, done = 0;

    for (u32 i = 0; i < ARRAY(insns); i++) {
        for (u32 k = 0; k < ARRAY(rax); k++) {
            memset(code, 0xc3, 16);
            memcpy(code, insns[i].bytes, insns[i].len);
            u64 was = kit_try(run, rax[k]);

            faults += was != 0;
            done += was == 0;
            check_eq(level(), 3);
        }
    }
    print("%lu faults, %lu emulated\r\n", faults, done);
    check(faults > 200);
    hc1(__HYPERVISOR_fpu_taskswitch, 0);
    hc2(__HYPERVISOR_set_debugreg, 7, 0x400);
}

static u8 user_stack[PAGE] __attribute__((aligned(4096)));

static void as_user(void)
{
    check_eq(mmuext1(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)si->pt_base)), 0);
    for (u32 i = 0; i < ARRAY(insns); i++) {
        struct kit_regs r = { .rip = U64(code),
                              .cs = USER_CS,
                              .ss = USER_DS,
                              .rsp = U64(user_stack) + PAGE / 2,
                              .rflags = 0x202 };

        memset(code, 0x90, 16);
        memcpy(code, insns[i].bytes, insns[i].len);
        code[insns[i].len] = 0x0f; /* syscall, should it come that far */
        code[insns[i].len + 1] = 0x05;
        kit_user(&r);
        check_at(r.vector < 256 || r.vector == KIT_VEC_SYSCALL || r.vector == KIT_VEC_FAILSAFE,
                 __FILE__, __LINE__, "instruction %u: vector 0x%lx", i, r.vector);
        check_at(r.vector != KIT_VEC_SYSCALL || insns[i].bytes[0] == 0xcc ||
                     r.rip == U64(code) + insns[i].len + 2U,
                 __FILE__, __LINE__, "instruction %u did something: rip 0x%lx", i, r.rip);
    }
}

static void msr(u64 which)
{
    __asm__ volatile("wrmsr" ::"c"((u32)which), "a"(0xdeadbeef), "d"(0x1234));
}

/* Every MSR of the two usual ranges: a fault, or nothing that lasts. */
static void msrs(void)
{
    u64 taken = 0;

    for (u32 base = 0; base < 3; base++) {
        static const u32 start[] = { 0, 0xc0000000, 0xc0010000 };
        for (u32 i = 0; i < 0x2000; i++) {
            u32 nr = start[base] + i;

            if (nr >= 0xc0000100 && nr <= 0xc0000103) {
                continue; /* the guest's own bases */
            }
            taken += kit_try(msr, nr) == 0;
        }
    }
    check(taken < xen_or_joist(24576u, 16u)); /* Xen ignores what it does not know */
    print("%lu MSRs take a value\r\n", taken);
}

void test_main(void)
{
    code = page_alloc();
    as_kernel();
    as_user();
    msrs();
}
