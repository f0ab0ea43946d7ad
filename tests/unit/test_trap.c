/* SPDX-License-Identifier: MIT */
/* Bounce frames word by word, from kernel and from user mode, and the guest kernel's way back. */
#include "tests/unit/core_kit.h"

#include <string.h>

#include "abi/arch_x86_64.h"
#include "abi/callback.h"
#include "abi/errno.h"
#include "abi/version.h"
#include "abi/xen.h"
#include "arch/host/machine.h"
#include "cpu/msr.h"
#include "guest/trap.h"
#include "guest/x86_flags.h"
#include "hcall/hcall.h"
#include "port/copy.h"
#include "port/cpu.h"
#include "port/vcpu.h"

#define HANDLER  UINT64_C(0xffffffff81000100)
#define USER_RIP UINT64_C(0x400123)
#define USER_SP  UINT64_C(0x7ffffffff018)
#define FLAGS    (RFLAGS_FIXED | RFLAGS_IF | UINT64_C(0x8d5)) /* arithmetic flags all on */

static struct domain *d;
static struct vcpu *v;
static struct regs r;
static _Alignas(16) uint64_t stack[64];
#define TOP ((uint64_t)(uintptr_t)&stack[64])

static int begin(void **state)
{
    (void)state;
    d = kit_domain(1, 1);
    v = d->vcpu[0];
    kit_as(v);
    v->arch.kernel_mode = true;
    v->arch.kernel_sp = TOP;
    v->info->evtchn_upcall_mask = 0;
    memset(stack, 0xaa, sizeof stack);
    r = (struct regs){ .rcx = 0xc1,
                       .r11 = 0x111,
                       .rax = 0xa1,
                       .rdi = 0xd1,
                       .rip = USER_RIP,
                       .cs = FLAT_KERNEL_CS,
                       .rflags = FLAGS,
                       .rsp = TOP - 8, /* not aligned */
                       .ss = FLAT_KERNEL_SS };
    return 0;
}

static int end(void **state)
{
    atomic_store(&d->crash_pending, 0);
    kit_as(NULL);
    return kit_teardown(state);
}

static void from_user(void)
{
    v->arch.kernel_mode = false;
    r.cs = FLAT_USER_CS;
    r.ss = FLAT_USER_SS;
    r.rsp = USER_SP;
}

static void handler(unsigned int vector, uint8_t flags)
{
    v->arch.traps[vector].eip = HANDLER;
    v->arch.traps[vector].flags = flags;
}

static bool crashed(void)
{
    return atomic_load(&d->crash_pending) != 0;
}

/* n words end at `top`; below them nothing has changed; the guest continues at HANDLER. */
static void frame_is(uint64_t top, const uint64_t *want, size_t n)
{
    uint64_t sp = top - n * 8;
    const uint64_t *at = (const uint64_t *)(uintptr_t)sp;

    assert_false(crashed());
    for (size_t i = 0; i < n; i++) {
        if (at[i] != want[i]) {
            fail_msg("word %zu is %#lx, not %#lx", i, at[i], want[i]);
        }
    }
    assert_int_equal(at[-1], UINT64_C(0xaaaaaaaaaaaaaaaa));
    assert_int_equal(r.rsp, sp);
    assert_int_equal(r.rip, HANDLER);
    assert_int_equal(r.cs, FLAT_KERNEL_CS);
    assert_int_equal(r.ss, FLAT_KERNEL_SS);
    assert_int_equal(r.vector, REGS_SYSCALL);
    assert_true(v->arch.kernel_mode);
}

static void test_from_kernel(void **state)
{
    const uint64_t want[] = { 0xc1,  0x111,   USER_RIP,      FLAT_KERNEL_CS & ~3u,
                              FLAGS, TOP - 8, FLAT_KERNEL_SS };
    unsigned int loads = host_record.root_loads;

    (void)state;
    handler(3, 0);
    trap_inject(v, &r, 3, 0x55); /* #BP has no error code */
    frame_is(TOP - 16, want, 7);
    assert_int_equal(stack[62], UINT64_C(0xaaaaaaaaaaaaaaaa));
    assert_int_equal(v->info->evtchn_upcall_mask, 0);
    assert_int_equal(host_record.root_loads, loads);
}

static void test_from_user(void **state)
{
    const uint64_t want[] = { 0xc1, 0x111, USER_RIP, FLAT_USER_CS, FLAGS, USER_SP, FLAT_USER_SS };
    unsigned int loads = host_record.root_loads;

    (void)state;
    from_user();
    handler(3, TI_MASK_EVENTS);
    trap_inject(v, &r, 3, 0);
    frame_is(TOP, want, 7);
    assert_int_equal(v->info->evtchn_upcall_mask, 1);
    assert_int_equal(host_record.root_loads, loads + 1);
}

/* Masked before: in bits 32-39 of cs, and rflags.IF is off. The upper words of selectors go. */
static void test_mask_and_error(void **state)
{
    const uint64_t want[] = { 0xc1,
                              0x111,
                              0xdead0004u,
                              USER_RIP,
                              FLAT_USER_CS | UINT64_C(1) << 32,
                              FLAGS & ~RFLAGS_IF,
                              USER_SP,
                              FLAT_USER_SS };

    (void)state;
    from_user();
    r.cs |= UINT64_C(0xffff) << 32;
    r.ss |= UINT64_C(0xffff) << 32;
    v->info->evtchn_upcall_mask = 1;
    handler(13, 0);
    trap_inject(v, &r, 13, 0xdead0004u);
    frame_is(TOP, want, 8);
    assert_int_equal(v->info->evtchn_upcall_mask, 1);
}

/* Which vectors push an error code: by the manual's table, not by the code's. */
static void test_vectors_with_error(void **state)
{
    (void)state;
    for (unsigned int n = 0; n < 256; n++) {
        bool has = n == 8 || (n >= 10 && n <= 14) || n == 17 || n == 21;
        handler(n, 0);
        r.rip = USER_RIP;
        r.rsp = TOP;
        trap_inject(v, &r, n, 0x77);
        assert_int_equal(r.rsp, TOP - (has ? 64 : 56));
        assert_int_equal(stack[(r.rsp - (TOP - sizeof stack)) / 8 + 2], has ? 0x77 : USER_RIP);
    }
}

/* Flags that must not reach the handler do reach the frame; IOPL only for who asked to see it. */
static void test_flags(void **state)
{
    uint64_t bad = RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_AC;

    (void)state;
    handler(3, 0);
    r.rsp = TOP;
    r.rflags = FLAGS | bad | RFLAGS_IOPL;
    v->arch.iopl = 1;
    trap_inject(v, &r, 3, 0);
    assert_int_equal(stack[61], FLAGS | bad);
    assert_int_equal(r.rflags & bad, 0);
    assert_int_equal(r.rflags & FLAGS, FLAGS);
    r.rsp = TOP;
    r.rflags = FLAGS;
    d->vm_assist |= 1u << VMASST_TYPE_architectural_iopl;
    trap_inject(v, &r, 3, 0);
    assert_int_equal(stack[61], FLAGS | UINT64_C(1) << 12);
}

static void test_page_fault(void **state)
{
    (void)state;
    handler(14, 0);
    r.rsp = TOP;
    trap_inject_pf(v, &r, 0x1234, 7); /* the kernel runs in ring 3: not a user's fault */
    assert_int_equal(v->info->arch.cr2, 0x1234);
    assert_int_equal(stack[58], 3);
    from_user();
    trap_inject_pf(v, &r, 0x5678, 2);
    assert_int_equal(v->info->arch.cr2, 0x5678);
    assert_int_equal(stack[58], 6);
}

static void test_no_handler(void **state)
{
    struct regs before = r;

    (void)state;
    v->arch.traps[6].eip = 0;
    trap_inject(v, &r, 6, 0);
    assert_true(crashed());
    assert_memory_equal(&before, &r, sizeof r);
}

/* A stack in the hypervisor's part, one not canonical, one at the upper edge, and one that faults
 * at any of its bytes. */
static void test_bad_stack(void **state)
{
    static const uint64_t bad[] = { KIT_BAD_VA + 4096, UINT64_C(0x0000800000001000),
                                    UINT64_C(0xffff87fffffff000), UINT64_C(0xffff880000000000) };

    (void)state;
    handler(13, TI_MASK_EVENTS);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        from_user();
        v->arch.kernel_sp = bad[i];
        r.rip = USER_RIP;
        trap_inject(v, &r, 13, 0);
        assert_true(crashed());
        assert_int_equal(r.rip, USER_RIP);
        assert_int_equal(v->info->evtchn_upcall_mask, 0);
        atomic_store(&d->crash_pending, 0);
    }
    v->arch.kernel_sp = TOP;
    for (unsigned int n = 1; n <= 64; n++) {
        from_user();
        host_fault_at(n);
        trap_inject(v, &r, 13, 0);
        assert_true(crashed());
        assert_int_equal(r.rip, USER_RIP);
        atomic_store(&d->crash_pending, 0);
    }
    host_fault_at(65);
    from_user();
    trap_inject(v, &r, 13, 0);
    assert_false(crashed());
}

static void test_failsafe(void **state)
{
    const uint64_t want[] = { 0xc1,
                              0x111,
                              0x10,
                              0x20,
                              0x30,
                              0x40,
                              USER_RIP,
                              0x33 | UINT64_C(1) << 32,
                              FLAGS & ~RFLAGS_IF,
                              USER_SP,
                              0x2b };

    (void)state;
    cpu_load_ds(0x10);
    cpu_load_es(0x20);
    cpu_load_fs(0x30);
    cpu_load_gs_user(0x40);
    from_user();
    r.cs = 0x33;
    r.ss = 0x2b;
    v->info->evtchn_upcall_mask = 1;
    v->arch.failsafe = (struct x86_callback){ .eip = HANDLER };
    guest_failsafe(&r, 13, 0);
    frame_is(TOP, want, 11);
    /* An error code names a selector: the exception itself. */
    from_user();
    handler(11, 0);
    guest_failsafe(&r, 11, 0x58);
    assert_int_equal(r.rsp, TOP - 64);
    assert_int_equal(stack[58], 0x58);
    /* Masks if it was registered so; without one there is no way. */
    v->info->evtchn_upcall_mask = 0;
    v->arch.failsafe.mask = true;
    guest_failsafe(&r, 13, 0);
    assert_int_equal(v->info->evtchn_upcall_mask, 1);
    assert_false(crashed());
    v->arch.failsafe.eip = 0;
    guest_failsafe(&r, 13, 0);
    assert_true(crashed());
}

/* rax r11 rcx flags rip cs rflags rsp ss */
static void iret(uint64_t how, uint64_t cs, uint64_t flags)
{
    const uint64_t frame[] = { 0xa2, 0x112, 0xc2, how, 0x400777, cs, flags, 0x7000, 0xabc00010 };

    memcpy(stack, frame, sizeof frame);
    r.rsp = (uintptr_t)stack;
    assert_int_equal(hc_iret(v, (struct hcall_args *)(void *)&r.rdi), 0);
}

static void test_iret_kernel(void **state)
{
    (void)state;
    v->arch.nmi_blocked = true;
    iret(0, UINT64_C(0x1230000e030), ~UINT64_C(0));
    assert_false(crashed());
    assert_true(v->arch.kernel_mode);
    assert_false(v->arch.nmi_blocked);
    assert_int_equal(r.rax, 0xa2);
    assert_int_equal(r.r11, 0x112);
    assert_int_equal(r.rcx, 0xc2);
    assert_int_equal(r.rip, 0x400777);
    assert_int_equal(r.cs, 0xe033);
    assert_int_equal(r.ss, 0x13);
    assert_int_equal(r.rsp, 0x7000);
    assert_int_equal(r.vector, 0);
    assert_int_equal(r.rflags, UINT64_C(0x254dd5) | RFLAGS_IF | RFLAGS_FIXED);
    assert_int_equal(v->info->evtchn_upcall_mask, 0);
    iret(0, 0xe030, 0);
    assert_int_equal(r.rflags, RFLAGS_IF | RFLAGS_FIXED);
    assert_int_equal(v->info->evtchn_upcall_mask, 1);
}

static void test_iret_syscall(void **state)
{
    static const uint16_t cs32[] = { FLAT_USER_CS32, USER_CS32_LINUX };

    (void)state;
    iret(VGCF_in_syscall, 0x10, RFLAGS_IF);
    assert_int_equal(r.vector, REGS_SYSCALL);
    assert_int_equal(r.rcx, 0x400777);
    assert_int_equal(r.r11, RFLAGS_IF | RFLAGS_FIXED);
    assert_int_equal(r.cs, FLAT_USER_CS);
    assert_int_equal(r.ss, FLAT_USER_SS);
    for (size_t i = 0; i < 2; i++) {
        iret(VGCF_in_syscall, cs32[i] & ~3u, RFLAGS_IF);
        assert_int_equal(r.vector, 0);
        assert_int_equal(r.cs, cs32[i]);
        assert_int_equal(r.ss, FLAT_USER_SS);
    }
}

static void test_iret_bad(void **state)
{
    (void)state;
    iret(0, 0xe033, RFLAGS_IF); /* to user mode, which has no tables */
    assert_true(crashed());
    assert_true(v->arch.kernel_mode);
    atomic_store(&d->crash_pending, 0);
    for (unsigned int n = 1; n <= 72; n++) {
        host_fault_at(n);
        iret(0, 0xe030, 0);
        assert_true(crashed());
        atomic_store(&d->crash_pending, 0);
    }
    host_fault_at(0);
    r.rsp = KIT_BAD_VA;
    (void)hc_iret(v, (struct hcall_args *)(void *)&r.rdi);
    assert_true(crashed());
}

/* With tables for user mode the way back goes there, and to nothing but ring 3. */
static void test_iret_user(void **state)
{
    static struct frame user_root; /* never followed: only that there is one counts */
    unsigned int loads = host_record.root_loads;

    (void)state;
    v->arch.root_user = &user_root;
    iret(0, 0x33, RFLAGS_IF);
    assert_false(crashed());
    assert_false(v->arch.kernel_mode);
    assert_int_equal(host_record.root_loads, loads + 1);
    assert_int_equal(r.cs, 0x33);
    assert_int_equal(r.ss & 3, 3);
    assert_int_equal(r.vector, 0);
    assert_int_equal(v->arch.iopl, 0);
    v->arch.kernel_mode = true;
    d->vm_assist |= 1u << VMASST_TYPE_architectural_iopl;
    iret(VGCF_in_syscall, 0x33, ~UINT64_C(0));
    assert_int_equal(v->arch.iopl, 3);
    assert_false(v->arch.kernel_mode);
    assert_int_equal(r.vector, REGS_SYSCALL);
    assert_false(r.rflags & (RFLAGS_IOPL | RFLAGS_VM)); /* XSA-202 */
    assert_true(r.rflags & RFLAGS_IF);
    v->arch.root_user = NULL;
}

/* An exception from ring 3, as the entry hands it over. */
static void trap(unsigned int vector, uint32_t error, uint64_t cr2)
{
    r.vector = vector;
    r.error = error;
    guest_trap(&r, cr2);
}

static void test_dispatch(void **state)
{
    static const uint8_t int80[] = { 0xcd, 0x80 };

    (void)state;
    for (unsigned int i = 0; i < 256; i++) {
        handler(i, 0);
        v->arch.traps[i].eip = HANDLER + i;
    }
    from_user();
    trap(0, 0, 0);
    assert_int_equal(r.rip, HANDLER);
    from_user();
    r.rip = USER_RIP;
    trap(14, 2, 0x123456);
    assert_int_equal(r.rip, HANDLER + 14);
    assert_int_equal(v->info->arch.cr2, 0x123456);
    assert_int_equal(stack[58], 6); /* the mode is the guest's, not ring 3 of its kernel */
    /* #NM: the guest's handler finds TS clear. */
    v->arch.cr0_ts = 8;
    cpu_set_ts(true);
    from_user();
    trap(7, 0, 0);
    assert_int_equal(r.rip, HANDLER + 7);
    assert_int_equal(v->arch.cr0_ts, 0);
    assert_false(host_record.ts);
    /* #DB: its cause is added up for the guest, and taken from the processor. */
    cpu_set_dr(6, 0xffff4ff1);
    from_user();
    trap(1, 0, 0);
    assert_int_equal(r.rip, HANDLER + 1);
    assert_int_equal(v->arch.dr[6] & 0xf, 1);
    assert_int_equal(v->arch.dr[6] & 0x4000, 0x4000);
    assert_int_equal(cpu_get_dr(6), DR6_DEFAULT);
    /* #UD that is no forced CPUID, and one that is. */
    from_user();
    r.rip = (uintptr_t) "\x0f\x0b\x90\x90\x90\x90\x90";
    trap(6, 0, 0);
    assert_int_equal(r.rip, HANDLER + 6);
    from_user();
    r.rip = (uintptr_t) "\x0f\x0bxen\x0f\xa2";
    r.rax = 0x40000000;
    uint64_t rip = r.rip;
    trap(6, 0, 0);
    assert_int_equal(r.rip, rip + 7);
    /* INT n: with the level asked for, else #GP with the gate in the error code (XSA-259). */
    from_user();
    r.rip = (uintptr_t)int80;
    trap(13, 0x80 << 3 | 2, 0);
    assert_int_equal(r.rip, HANDLER + 13);
    assert_int_equal(stack[58], 0x402);
    v->arch.traps[0x80].flags = 3;
    from_user();
    r.rip = (uintptr_t)int80;
    trap(13, 0x80 << 3 | 2, 0);
    assert_int_equal(r.rip, HANDLER + 0x80);
    assert_int_equal(stack[59], (uintptr_t)int80 + 2);
    /* #GP of something else keeps its error code. */
    from_user();
    r.rip = (uintptr_t) "\x90\x90\x90\x90";
    trap(13, 0x18, 0);
    assert_int_equal(r.rip, HANDLER + 13);
    assert_int_equal(stack[58], 0x18);
    assert_false(crashed());
}

/* The end of every hypercall and trap: work, then an NMI, then events, and nothing twice. */
static void test_return(void **state)
{
    (void)state;
    v->arch.event = (struct x86_callback){ .eip = HANDLER, .mask = true };
    handler(2, TI_MASK_EVENTS);
    guest_return(&r);
    assert_int_equal(r.rip, USER_RIP); /* nothing due */
    v->info->evtchn_upcall_pending = 1;
    v->info->evtchn_upcall_mask = 1;
    guest_return(&r);
    assert_int_equal(r.rip, USER_RIP);
    v->info->evtchn_upcall_mask = 0;
    guest_return(&r);
    assert_int_equal(r.rip, HANDLER);
    assert_int_equal(v->info->evtchn_upcall_mask, 1);
    uint64_t sp = r.rsp;
    guest_return(&r);
    assert_int_equal(r.rsp, sp); /* once (XSA-339) */
    /* NMI: not while one is being handled. */
    r.rip = USER_RIP;
    v->arch.traps[2].eip = HANDLER + 2;
    port_vcpu_nmi(v);
    guest_return(&r);
    assert_int_equal(r.rip, HANDLER + 2);
    assert_true(v->arch.nmi_blocked);
    sp = r.rsp;
    port_vcpu_nmi(v);
    guest_return(&r);
    assert_int_equal(r.rsp, sp);
    /* The handler's end is looked at by itself: no other work is needed. */
    v->info->evtchn_upcall_pending = 0;
    (void)port_cpu_take_work();
    iret(0, 0xe030, RFLAGS_IF);
    r.rsp = TOP;
    assert_int_equal(port_cpu_take_work() & CW_UPCALL, CW_UPCALL);
    guest_return(&r);
    assert_int_equal(r.rip, HANDLER + 2);
    assert_false(v->arch.nmi_pending);
    iret(0, 0xe030, RFLAGS_IF);
    r.rsp = TOP;
    assert_int_equal(port_cpu_take_work(), 0);
    /* One that waits for a handler. */
    v->arch.traps[2].eip = 0;
    port_vcpu_nmi(v);
    guest_return(&r);
    assert_true(v->arch.nmi_pending);
    struct callback_register nmi = { .type = CALLBACKTYPE_nmi, .address = HANDLER + 2 };
    struct hcall_args a = { { CALLBACKOP_register, (uintptr_t)&nmi } };
    assert_int_equal(hc_callback_op(v, &a), 0);
    assert_int_equal(port_cpu_take_work() & CW_UPCALL, CW_UPCALL);
    guest_return(&r);
    assert_int_equal(r.rip, HANDLER + 2);
    assert_false(v->arch.nmi_pending);
    assert_false(crashed());
    v->info->evtchn_upcall_pending = 0;
}

/* The areas of a vcpu that is loaded in user mode: by the tables of its kernel, if it has any. */
static void test_loaded(void **state)
{
    static struct vcpu_runstate_info area;
    unsigned int loads = host_record.root_loads;

    (void)state;
    v->arch.root_user = v->arch.root_kernel;
    v->arch.kernel_mode = false;
    guest_loaded(v);
    assert_int_equal(host_record.root_loads, loads);
    v->runstate_area = gptr((uintptr_t)&area);
    guest_loaded(v);
    assert_int_equal(host_record.root_loads, loads + 2);
    assert_false(v->arch.kernel_mode);
    v->arch.kernel_mode = true;
    guest_loaded(v);
    assert_int_equal(host_record.root_loads, loads + 2);
    v->runstate_area = gptr(0);
    v->arch.root_user = NULL;
}

/* A call's end: its result, another try, or neither; a number that is no call; one that is refused
 * before anything is read. */
static void test_calls(void **state)
{
    (void)state;
    r.rax = __HYPERVISOR_xen_version;
    r.rdi = XENVER_version;
    guest_syscall(&r);
    assert_int_equal(r.rax, 4 << 16 | 17);
    assert_int_equal(r.rip, USER_RIP);
    r.rax = HCALL_COUNT;
    guest_syscall(&r);
    assert_int_equal(r.rax, -ENOSYS);
    r.rax = UINT64_MAX;
    guest_syscall(&r);
    assert_int_equal(r.rax, -ENOSYS);
    r.rax = __HYPERVISOR_domctl;
    r.rdi = KIT_BAD_VA;
    guest_syscall(&r);
    assert_int_equal(r.rax, -EPERM);

    hcall_finish_slow(&r, HC_AGAIN, __HYPERVISOR_mmu_update);
    assert_int_equal(r.rax, __HYPERVISOR_mmu_update);
    assert_int_equal(r.rip, USER_RIP - 2);
    r.rax = 0x77;
    hcall_finish_slow(&r, 0, __HYPERVISOR_iret);
    assert_int_equal(r.rax, 0x77);
    hcall_finish_slow(&r, HC_LEFT, __HYPERVISOR_multicall);
    assert_int_equal(r.rax, 0x77);
    hcall_finish_slow(&r, -EFAULT, __HYPERVISOR_iret);
    assert_int_equal(r.rax, -EFAULT);
    assert_false(crashed());
}

/* What waits for the cpu is done on the way out. */
static void test_work(void **state)
{
    (void)state;
    port_cpu_raise(port_cpu_id(), CW_TIMER | CW_DEFERRED);
    port_irq_disable(); /* as on every way out */
    guest_return(&r);
    assert_false(port_irq_enabled());
    port_irq_enable();
    assert_int_equal(port_cpu_take_work(), 0);
    assert_int_equal(r.rip, USER_RIP);
    /* An upcall without a handler is none. */
    v->info->evtchn_upcall_pending = 1;
    guest_upcall(v, &r);
    assert_int_equal(r.rip, USER_RIP);
    v->arch.event = (struct x86_callback){ .eip = HANDLER, .mask = true };
    guest_upcall(v, &r);
    assert_int_equal(r.rip, HANDLER);
    v->info->evtchn_upcall_pending = 0;
}

/* A page fault below the LDT's window is told as one at the guest's address. */
static void test_ldt_fault(void **state)
{
    (void)state;
    handler(14, 0);
    v->arch.ldt_base = 0x5000;
    trap(14, 0, cpu_ldt_window() + 0x123);
    assert_int_equal(r.rip, HANDLER);
    assert_int_equal(v->info->arch.cr2, 0x5123);
    v->arch.ldt_base = 0;
}

/* User mode's ways in: bounced if registered, else an exception at the instruction. */
static void test_user_entries(void **state)
{
    (void)state;
    handler(6, 0);
    from_user();
    guest_syscall(&r);
    assert_int_equal(stack[59], USER_RIP - 2);
    from_user();
    r.rip = USER_RIP;
    v->arch.syscall = (struct x86_callback){ .eip = HANDLER + 1, .mask = true };
    guest_syscall(&r);
    assert_int_equal(stack[59], USER_RIP);
    assert_int_equal(r.rip, HANDLER + 1);
    assert_int_equal(v->info->evtchn_upcall_mask, 1);
    v->arch.syscall32 = (struct x86_callback){ .eip = HANDLER + 2 };
    from_user();
    guest_syscall32(&r);
    assert_int_equal(r.rip, HANDLER + 2);
    r.rip = USER_RIP;
    guest_syscall32(&r); /* from the kernel: it is not for it */
    assert_int_equal(r.rip, HANDLER);
    handler(13, 0);
    from_user();
    guest_sysenter(&r);
    assert_int_equal(r.rip, HANDLER);
    v->arch.sysenter = (struct x86_callback){ .eip = HANDLER + 3 };
    from_user();
    guest_sysenter(&r);
    assert_int_equal(r.rip, HANDLER + 3);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_calls),
        T(test_work),
        T(test_ldt_fault),
        T(test_from_kernel),
        T(test_from_user),
        T(test_mask_and_error),
        T(test_vectors_with_error),
        T(test_flags),
        T(test_page_fault),
        T(test_no_handler),
        T(test_bad_stack),
        T(test_failsafe),
        T(test_iret_kernel),
        T(test_iret_syscall),
        T(test_iret_bad),
        T(test_user_entries),
        T(test_iret_user),
        T(test_dispatch),
        T(test_return),
        T(test_loaded),
    };

    kit_start(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
