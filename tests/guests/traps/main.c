/* SPDX-License-Identifier: MIT */
/* Exceptions, emulated privileged instructions, user mode, hostile returns. */
#include "kit/kit.h"

const char kit_name[] = "traps";

#define FN(name, ...)                  \
    static void name(u64 arg)          \
    {                                  \
        (void)arg;                     \
        __asm__ volatile(__VA_ARGS__); \
    }

FN(do_div, "xor %%ecx, %%ecx; xor %%edx, %%edx; mov $1, %%eax; div %%ecx" ::: "rax", "rcx", "rdx")
FN(do_int3, "int3" :::)
FN(do_int80, "int $0x80" :::)
FN(do_int21, "int $0x21" :::)
FN(do_ud2, "ud2" :::)
FN(do_forced_ud, "ud2a; .ascii \"xen\"; nop" :::)
FN(do_load, "mov (%0), %%al" ::"r"(arg) : "rax")
FN(do_store, "movb $1, (%0)" ::"r"(arg) : "memory")
FN(do_jump, "call *%0" ::"r"(arg) : "memory")
FN(do_hlt, "hlt" :::)
FN(do_lidt, "lidt (%0)" ::"r"(arg) : "memory")
FN(do_lgdt, "lgdt (%0)" ::"r"(arg) : "memory")
FN(do_ltr, "ltr %w0" ::"r"(arg) :)
FN(do_lldt, "lldt %w0" ::"r"(arg) :)
FN(do_invlpg, "invlpg (%0)" ::"r"(arg) : "memory")
FN(do_swapgs, "swapgs" :::)
FN(do_rdmsr, "rdmsr" ::"c"(arg) : "rax", "rdx")
FN(do_wrmsr0, "wrmsr" ::"c"(arg), "a"(0), "d"(0) :)
FN(do_wrcr0, "mov %0, %%cr0" ::"r"(arg) :)
FN(do_wrcr4, "mov %0, %%cr4" ::"r"(arg) :)
FN(do_wrcr3, "mov %0, %%cr3" ::"r"(arg) : "memory")
FN(do_step, "pushf; orl $0x100, (%%rsp); popf; nop; nop" ::: "memory", "cc")
FN(do_sse, "pxor %%xmm0, %%xmm0" :::)
FN(do_bad_ds, "mov %w0, %%ds" ::"r"(arg) :)
FN(do_in, "in %%dx, %%al" ::"d"(arg) : "rax")
FN(do_x87_div, "sub $8, %%rsp; movw $0x033b, (%%rsp); fninit; fldcw (%%rsp);"
               "fld1; fldz; fdivrp; fwait; add $8, %%rsp" ::
       : "memory")

static u64 rdmsr(u32 msr)
{
    u32 lo, hi;

    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (u64)hi << 32 | lo;
}

static void wrmsr(u32 msr, u64 v)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)));
}

static void test_exceptions(void)
{
    u8 *page = page_alloc();

    check_fault(do_div, 0, 0, 0);
    check_eq(fault.cs, KERNEL_CS);
    check_fault(do_int3, 0, 3, 0);
    check_fault(do_int80, 0, 0x80, 0);
    check_fault(do_int21, 0, 13, xen_or_joist(~0UL, 0x21 << 3 | 2));
    check_fault(do_ud2, 0, 6, 0);
    check_eq(*(u16 *)fault.rip, 0x0b0f);
    check_fault(do_forced_ud, 0, 6, 0);
    check_eq(*(u16 *)fault.rip, 0x0b0f);
    check_fault(do_load, 0x800000000000UL, 13, 0);
    check_fault(do_bad_ds, 0x7f70, 13, 0x7f70);

    check_fault(do_load, 0x10000000, 14, 0);
    check_eq(fault.cr2, 0x10000000);
    check_fault(do_store, 0x10000123, 14, 2);
    check_eq(fault.cr2, 0x10000123);
    page_protect(page, false);
    check_fault(do_store, page + 5, 14, 3);
    check_eq(fault.cr2, U64(page) + 5);
    page_remap(page, mfn_of(page) * PAGE | PTE_RW | PTE_NX);
    *page = 0xc3;
    check_fault(do_jump, page, 14, 0x11);
    check_eq(fault.cr2, U64(page));
    check_eq(fault.rip, U64(page));
    page_restore(page);
    check_eq(kit_try(do_jump, U64(page)), 0);
    /* the hypervisor's own part of the address space */
    check_fault(do_load, 0xffff830000000000UL, 14, ~0UL);
    check_fault(do_store, HYPERVISOR_VIRT_START, 14, ~0UL);
    check_eq(fault.cr2, HYPERVISOR_VIRT_START);
    check_fault(do_step, 0, 1, 0);
}

static void test_fpu_traps(void)
{
    check_eq(hc1(__HYPERVISOR_fpu_taskswitch, 1), 0);
    check_fault(do_sse, 0, 7, 0);
    check_eq(kit_try(do_sse, 0), 0); /* delivering #NM has cleared TS */
    check_eq(hc1(__HYPERVISOR_fpu_taskswitch, 1), 0);
    check_eq(hc1(__HYPERVISOR_fpu_taskswitch, 0), 0);
    check_eq(kit_try(do_sse, 0), 0);
    check_fault(do_x87_div, 0, 16, 0);
    __asm__ volatile("fninit");
}

static void test_refused_instructions(void)
{
    static u8 table[16];

    check_fault(do_hlt, 0, 13, 0);
    check_fault(do_lidt, table, 13, 0);
    check_fault(do_lgdt, table, 13, 0);
    check_fault(do_ltr, 0x28, 13, 0);
    check_fault(do_lldt, 0, 13, 0);
    check_fault(do_invlpg, table, 13, 0);
    check_fault(do_swapgs, 0, 13, 0);
    check_fault(do_rdmsr, 0x12345678, 13, 0);
    check_fault(do_wrmsr0, 0x12345678, 13, 0);
    check_fault(do_rdmsr, 0xc0000082, 13, 0); /* LSTAR: the hypervisor's entry is its own */
    check_fault(do_wrmsr0, 0xc0000082, 13, 0);
}

static void test_control_registers(void)
{
    u64 cr0, cr3, cr4, v;

    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    check_eq(cr0 & 0x80000001, 0x80000001);
    check_eq(cr4 & 0x20, 0x20);
    check_eq(cr3 & PTE_ADDR, mfn_of((void *)si->pt_base) * PAGE);
    check_fault(do_wrcr0, cr0 & ~1UL, 13, 0);
    check_fault(do_wrcr0, cr0 & ~0x10000UL, 13, 0);
    check_eq(kit_try(do_wrcr0, cr0 | 8), 0); /* TS */
    __asm__ volatile("mov %%cr0, %0" : "=r"(v));
    check_eq(v & 8, 8);
    check_fault(do_sse, 0, 7, 0);
    check_eq(kit_try(do_wrcr0, cr0 | 8), 0);
    __asm__ volatile("clts");
    check_eq(kit_try(do_sse, 0), 0);
    check_eq(kit_try(do_wrcr4, cr4), 0);
    check_eq(kit_try(do_wrcr3, cr3), 0);
    check_fault(do_wrcr3, 0x7ffffffff000UL, 13, 0);
    check_fault(do_load, 0x10001234, 14, 0);
    __asm__ volatile("mov %%cr2, %0" : "=r"(v));
    check_eq(v, 0x10001234);
    __asm__ volatile("mov %0, %%cr2" : : "r"(0x5678UL));
    check_eq(vcpu_info()->arch.cr2, 0x5678);
    __asm__ volatile("mov %%cr2, %0" : "=r"(v));
    check_eq(v, 0x5678);
    __asm__ volatile("wbinvd" ::: "memory");
}

static void test_msrs(void)
{
    u64 efer = rdmsr(0xc0000080);

    check_eq(efer & 0x500, 0x500);
    wrmsr(0xc0000100, 0x123456789000UL);
    check_eq(rdmsr(0xc0000100), 0x123456789000UL);
    wrmsr(0xc0000100, 0);
    wrmsr(0xc0000101, 0x123456788000UL);
    check_eq(rdmsr(0xc0000101), 0x123456788000UL);
    wrmsr(0xc0000102, 0x123456787000UL);
    check_eq(rdmsr(0xc0000102), 0x123456787000UL);
    check_eq(rdmsr(0xc0000101), 0x123456788000UL);
    wrmsr(0xc0000101, 0);
    wrmsr(0xc0000102, 0);
    /* the same bases through the hypercall */
    check_eq(hc2(__HYPERVISOR_set_segment_base, SEGBASE_FS, 0x55550000), 0);
    check_eq(rdmsr(0xc0000100), 0x55550000);
    check_eq(hc2(__HYPERVISOR_set_segment_base, SEGBASE_FS, 0), 0);
    check_eq(hc2(__HYPERVISOR_set_segment_base, SEGBASE_FS, 0x800000000000UL), -EINVAL);
    check_eq(hc2(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER, 0x66660000), 0);
    check_eq(rdmsr(0xc0000102), 0x66660000);
    check_eq(hc2(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER, 0), 0);
    check_eq(hc2(__HYPERVISOR_set_segment_base, 9, 0), -EINVAL);
}

static volatile u64 watched;
static volatile u64 watch_rip;
static volatile u64 watch_hits;

static bool on_debug(struct kit_regs *r)
{
    if (r->vector == 1) {
        watch_hits++;
        watch_rip = r->rip;
        return true;
    }
    return false;
}

static void test_debug_registers(void)
{
    kit_trap_hook = on_debug;
    check_eq(hc2(__HYPERVISOR_set_debugreg, 0, U64(&watched)), 0);
    check_eq(hc1(__HYPERVISOR_get_debugreg, 0), U64(&watched));
    check_eq(hc2(__HYPERVISOR_set_debugreg, 7, 0x000d0003), 0); /* 4 bytes, data write */
    watched = 1;
    check_eq(watch_hits, 1);
    check(watch_rip > KIT_BASE);
    check_eq(hc1(__HYPERVISOR_get_debugreg, 6) & 1, 1);
    check_eq(hc2(__HYPERVISOR_set_debugreg, 7, 0), 0);
    watched = 2;
    check_eq(watch_hits, 1);
    /* a breakpoint on the hypervisor's addresses, and reserved bits, are refused or dropped */
    check_eq(hc2(__HYPERVISOR_set_debugreg, 1, 0xffff830000000000UL), -EPERM);
    check_eq(hc2(__HYPERVISOR_set_debugreg, 1, 0x800000000000UL), -EPERM);
    check_eq(hc2(__HYPERVISOR_set_debugreg, 9, 0), -ENODEV);
    check_eq(hc2(__HYPERVISOR_set_debugreg, 7, 0x2000), -EPERM); /* general detect */
    check_eq(hc2(__HYPERVISOR_set_debugreg, 0, 0), 0);
    kit_trap_hook = NULL;
}

static volatile u32 nmis;

static bool on_nmi(struct kit_regs *r)
{
    nmis += r->vector == 2;
    return r->vector == 2;
}

static void test_nmi(void)
{
    kit_trap_hook = on_nmi;
    check_eq(vcpu_op(VCPUOP_send_nmi, 0, NULL), 0);
    check_eq(nmis, 1);
    check_eq(vcpu_op(VCPUOP_send_nmi, 0, NULL), 0); /* the iret has re-armed it */
    check_eq(nmis, 2);
    kit_trap_hook = NULL;
}

/* ---- user mode ---- */
extern char user_syscall[], user_div[], user_load[], user_store[], user_priv[], user_int3[];
extern char user_ud[], user_cpuid[];
__asm__(
    ".pushsection .text\n"
    "user_syscall: mov $0x11, %rax; mov $0x22, %rbx; mov $0x33, %rsi; mov $0x44, %r15; syscall\n"
    "user_div: xor %ecx, %ecx; div %ecx\n"
    "user_load: mov (%rdi), %al; syscall\n"
    "user_store: mov %al, (%rdi); syscall\n"
    "user_priv: hlt\n"
    "user_int3: int3\n"
    "user_ud: ud2\n"
    "user_cpuid: mov $0x40000000, %eax; ud2a; .ascii \"xen\"; cpuid; syscall\n"
    ".popsection");

static u8 user_stack[PAGE] __attribute__((aligned(4096)));

static struct kit_regs user_regs(const void *rip)
{
    return (struct kit_regs){ .rip = U64(rip),
                              .cs = USER_CS,
                              .ss = USER_DS,
                              .rsp = U64(user_stack) + PAGE,
                              .rflags = 0x202 };
}

static void check_user(const char *what, const void *rip, u64 vector, u64 error)
{
    struct kit_regs r = user_regs(rip);

    r.rdi = 0x20000000;
    kit_user(&r);
    check_at(r.vector == vector && r.error == error && r.cs == USER_CS, __FILE__, __LINE__,
             "%s: vector 0x%lx error 0x%lx cs 0x%lx", what, r.vector, r.error, r.cs);
    check_eq(r.rflags & 0x200, 0x200);
}

static void test_user_mode(void)
{
    struct kit_regs r = user_regs(user_syscall);

    check_eq(mmuext1(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)si->pt_base)), 0);
    r.rdx = 0x55;
    kit_user(&r);
    check_eq(r.vector, KIT_VEC_SYSCALL);
    check_eq(r.rax, 0x11);
    check_eq(r.rbx, 0x22);
    check_eq(r.rsi, 0x33);
    check_eq(r.rdx, 0x55);
    check_eq(r.r15, 0x44);
    check_eq(r.rip, U64(user_div)); /* the instruction after */
    check_eq(r.rcx, U64(user_div));
    check_eq(r.r11 & 0x202, 0x202);
    check_eq(r.rsp, U64(user_stack) + PAGE);
    check_eq(r.cs, USER_CS);
    check_eq(r.ss, USER_DS);
    check_user("divide", user_div, 0, 0);
    check_user("load", user_load, 14, 4);
    check_eq(fault.cr2, 0x20000000);
    check_user("store", user_store, 14, 6);
    check_user("hlt", user_priv, 13, 0);
    check_user("int3", user_int3, 3, 0);
    check_user("ud2", user_ud, 6, 0);
    r = user_regs(user_cpuid);
    kit_user(&r);
    check_eq(r.vector, KIT_VEC_SYSCALL);
    check_eq(r.rbx, 0x566e6558);
    check_eq(fault.vector, KIT_VEC_SYSCALL);
}

/* Frames that the processor refuses: the hypervisor must hand the failure back to the guest. */
static void test_bad_returns(void)
{
    struct kit_regs r = user_regs(user_syscall);

    r.rip = 0x800000000000UL;
    kit_user(&r);
    check(r.vector == 13 || r.vector == 14 || r.vector == KIT_VEC_FAILSAFE);
    r = user_regs(user_syscall);
    r.ss = 0x7f73;
    kit_user(&r);
    check_eq(r.vector, 13);
    check_eq(r.error, 0x7f70);
    r = user_regs(user_syscall);
    r.cs = 0x7f73;
    kit_user(&r);
    check_eq(r.vector, 13);
    check_eq(r.error, 0x7f70);
    r = user_regs(user_syscall);
    r.rsp = 0x800000000000UL;
    kit_user(&r); /* a bad stack pointer alone harms nothing until it is used */
    check_eq(r.vector, KIT_VEC_SYSCALL);
    r = user_regs(user_syscall);
    r.rflags = 0xffffffffffffffffUL & ~0x10100UL; /* every flag but RF and TF */
    kit_user(&r);
    check(r.vector == KIT_VEC_SYSCALL || r.vector == 13 || r.vector == KIT_VEC_FAILSAFE);
    check_eq(r.rflags & 0x3000, 0); /* never a real I/O privilege */
}

static void test_ports(void)
{
    struct physdev_set_iopl iopl = { .iopl = 1 };

    if (!is_dom0) {
        check_fault(do_in, 0x70, 13, 0);
        return;
    }
    check_fault(do_in, 0x71, 13, 0);
    check_eq(physdev_op(PHYSDEVOP_set_iopl, &iopl), 0);
    check_eq(kit_try(do_in, 0x71), 0);
    /* a port of the hypervisor's own: reads all ones or is refused, and never reaches it */
    u64 faulted = kit_try(do_in, 0x20);

    check(faulted == 0 || fault.vector == 13);
    iopl.iopl = 4;
    check_eq(physdev_op(PHYSDEVOP_set_iopl, &iopl), -EINVAL);
    iopl.iopl = 0;
    check_eq(physdev_op(PHYSDEVOP_set_iopl, &iopl), 0);
    check_fault(do_in, 0x71, 13, 0);
}

extern char user_in[];
__asm__(".pushsection .text; user_in: in (%dx), %al; syscall; .popsection");

/* A page at VA which only the kernel's tables show, as Linux keeps it; the user's tables. */
#define APART ((u8 *)0x8000000000UL)
static u8 *page_apart(u64 **user_l4)
{
    u64 *table[3], below = mfn_of(page_alloc()) * PAGE | PTE_RW;

    *user_l4 = l4_clone();
    for (u32 i = 0; i < 3; i++) {
        table[i] = page_alloc();
        table[i][0] = below;
        page_protect(table[i], false);
        below = mfn_of(table[i]) * PAGE | PTE_RW | PTE_U;
    }
    check_eq(mmu_update1(mfn_of((void *)si->pt_base) * PAGE + 8, below), 0);
    return APART;
}

/* User mode's right to a port is looked up where the kernel has it. */
static void test_user_ports(void)
{
    u64 *l4;
    u8 *bits = page_apart(&l4);
    struct physdev_set_iobitmap map = { .bitmap = gptr(bits), .nr_ports = 0x400 };
    struct kit_regs r = user_regs(user_in);

    check_eq(mmuext1(MMUEXT_NEW_USER_BASEPTR, mfn_of(l4)), 0);
    check_eq(physdev_op(PHYSDEVOP_set_iobitmap, &map), 0);
    memset(bits, 0xff, PAGE);
    bits[0x80 / 8] = 0xfe;
    r.rdx = 0x80;
    kit_user(&r);
    check_eq(r.vector, KIT_VEC_SYSCALL);
    r = user_regs(user_in);
    r.rdx = 0x81;
    kit_user(&r);
    check_eq(r.vector, 13);
    check_eq(r.rip, U64(user_in));
    map.nr_ports = 0;
    check_eq(physdev_op(PHYSDEVOP_set_iobitmap, &map), 0);
    r = user_regs(user_in);
    r.rdx = 0x80;
    kit_user(&r);
    check_eq(r.vector, 13);
    check_eq(mmuext1(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)si->pt_base)), 0);
}

void test_main(void)
{
    test_exceptions();
    test_fpu_traps();
    test_refused_instructions();
    test_control_registers();
    test_msrs();
    test_debug_registers();
    test_nmi();
    test_ports();
    test_user_mode();
    test_user_ports();
    test_bad_returns();
}
