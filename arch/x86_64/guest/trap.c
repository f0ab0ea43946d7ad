/* SPDX-License-Identifier: MIT */
/*
 * The guest's kernel as its own exception handler: how control comes to it and goes back.
 *
 * Every entry builds a bounce frame on the guest kernel's stack and continues at the registered
 * entry point.  From low to high address (ABI, start of arch-x86/xen-x86_64.h):
 *
 *     rcx r11 [ds es fs gs] [error code] rip cs|mask<<32 rflags rsp ss
 *
 * The data selectors are there for the failsafe callback only.  cs carries the former upcall mask
 * in bits 32-39 and has RPL 0 if the kernel interrupted itself; rflags.IF shows the inverse of the
 * mask.
 */
#include "guest/trap.h"

#include <stddef.h>

#include "base/counter.h"
#include "port/copy.h"
#include "port/cpu.h"
#include "port/irq.h"
#include "base/timer.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "sched/sched.h"
#include "sched/systime.h"
#include "abi/arch_x86_64.h"
#include "abi/sched.h"
#include "abi/xen.h"
#include "cpu/msr.h"
#include "guest/mm_x86.h"
#include "guest/spec.h"
#include "guest/x86_flags.h"

/* What goes into a bounce frame besides the fixed part. */
#define BF_ERROR       1u
#define BF_MASK        2u /* mask event upcalls on entry */
#define BF_ERROR_SHIFT 32 /* the error code in the upper half */

#define VEC_DB 1u
#define VEC_UD 6u
#define VEC_NM 7u
#define VEC_GP 13u
#define VEC_PF 14u

#define PF_PRESENT 1u
#define PF_WRITE   2u
#define PF_USER    4u
#define PF_RSVD    8u

#define LDT_WINDOW_SIZE (16u * PAGE_SIZE)

/* Vectors that push an error code: #DF #TS #NP #SS #GP #PF #AC #CP (SDM vol. 3A table 6-1). */
#define VECTORS_WITH_ERROR ((1u << 8) | (0x1fu << 10) | (1u << 17) | (1u << 21))

/*
 * The flags that the guest's kernel sees: IF stands for "events were not masked", IOPL for what it
 * asked for.
 */
static inline uint64_t frame_flags(const struct vcpu *v, const struct regs *r, uint8_t mask)
{
    uint64_t flags = (r->rflags & ~(RFLAGS_IF | RFLAGS_IOPL)) | (mask ? 0 : RFLAGS_IF);

    if (__builtin_expect(v->d->vm_assist & (1u << VMASST_TYPE_architectural_iopl), 0)) {
        flags |= (uint64_t)v->arch.iopl << RFLAGS_IOPL_SHIFT;
    }
    return flags;
}

static __attribute__((noinline, cold)) void no_stack(struct vcpu *v, const struct regs *r)
{
    domain_crash(v->d, "vcpu %u: no stack for an entry of its kernel (rip %#lx, rsp %#lx)", v->id,
                 (unsigned long)r->rip, (unsigned long)r->rsp);
}

/* The frame is on the stack at sp: continue at eip. */
static inline void enter(struct vcpu *v, struct regs *r, uint64_t eip, uint64_t sp, bool mask)
{
    if (mask) {
        v->info->evtchn_upcall_mask = 1;
    }
    r->vector = REGS_SYSCALL;
    r->rip = eip;
    r->cs = FLAT_KERNEL_CS;
    r->rflags &= ~(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM | RFLAGS_AC);
    r->rsp = sp;
    r->ss = FLAT_KERNEL_SS;
}

/*
 * The hot part: build a frame below `top` and enter.  Nothing is called but on the way to the
 * domain's end, so that it runs in the caller's registers.  False: the domain was crashed.
 */
static bool push_frame(struct vcpu *v, struct regs *r, uint64_t eip, uint64_t top, uint64_t cs,
                       uint64_t what)
{
    uint8_t mask = v->info->evtchn_upcall_mask;
    uint64_t flags = frame_flags(v, r, mask);
    uint64_t sp = (top & ~UINT64_C(15)) - 40; /* rip, cs, rflags, rsp, ss */
    bool ok = guest_window_ok(sp - 24, 64);

    if (__builtin_expect(ok, 1)) {
        guest_window_begin();
        ok = guest_store(sp, r->rip) && guest_store(sp + 8, cs | (uint64_t)mask << 32) &&
             guest_store(sp + 16, flags) && guest_store(sp + 24, r->rsp) &&
             guest_store(sp + 32, r->ss & 0xffff);
        if (what & BF_ERROR) {
            sp -= 8;
            ok = ok && guest_store(sp, what >> BF_ERROR_SHIFT);
        }
        sp -= 16;
        ok = ok && guest_store(sp, r->rcx) && guest_store(sp + 8, r->r11);
        guest_window_end();
    }
    if (__builtin_expect(!ok, 0)) {
        no_stack(v, r);
        return false;
    }
    enter(v, r, eip, sp, (what & BF_MASK) != 0);
    return true;
}

/*
 * Enter the guest's kernel at eip.  A stack that cannot be written is the end of the domain: there
 * is nothing else to tell it with.  False then.
 */
static bool bounce(struct vcpu *v, struct regs *r, uint64_t eip, uint32_t what, uint32_t error)
{
    uint64_t top = r->rsp;
    uint64_t cs = r->cs & 0xfffc;

    if (!v->arch.kernel_mode) {
        cpu_toggle_mode(v);
        top = v->arch.kernel_sp;
        cs = r->cs & 0xffff;
    }
    return push_frame(v, r, eip, top, cs, what | (uint64_t)error << BF_ERROR_SHIFT);
}

/* Enter a callback; mask as registered. */
static inline void bounce_callback(struct vcpu *v, struct regs *r, const struct x86_callback *cb)
{
    (void)bounce(v, r, cb->eip, cb->mask ? BF_MASK : 0, 0);
}

void trap_inject(struct vcpu *v, struct regs *r, unsigned int vector, uint32_t error)
{
    const struct x86_trap_entry *t = &v->arch.traps[vector & 255];
    uint32_t what = t->flags & TI_MASK_EVENTS ? BF_MASK : 0;

    if (t->eip == 0) {
        domain_crash(v->d, "vcpu %u: exception %u (error %#x) at %#lx without a handler, cr2 %#lx",
                     v->id, vector, error, (unsigned long)r->rip, (unsigned long)v->info->arch.cr2);
        return;
    }
    if (vector < 32 && (VECTORS_WITH_ERROR >> vector & 1)) {
        what |= BF_ERROR;
    }
    (void)bounce(v, r, t->eip, what, error);
}

void trap_inject_pf(struct vcpu *v, struct regs *r, uint64_t cr2, uint32_t error)
{
    /* The guest's kernel runs in ring 3: the processor's user bit says nothing about its mode. */
    error &= ~PF_USER;
    if (!v->arch.kernel_mode) {
        error |= PF_USER;
    }
    v->info->arch.cr2 = cr2;
    trap_inject(v, r, VEC_PF, error);
}

static void guest_page_fault(struct vcpu *v, struct regs *r, uint64_t cr2)
{
    if ((r->error & (PF_PRESENT | PF_WRITE | PF_RSVD)) == (PF_PRESENT | PF_WRITE) &&
        v->arch.kernel_mode && (v->d->vm_assist & (1u << VMASST_TYPE_writable_pagetables)) &&
        pt_write_emulate(v, r, cr2)) {
        return;
    }
    if (!va_guest_ok(cr2)) {
        uint64_t off = cr2 - cpu_ldt_window();
        if (off < LDT_WINDOW_SIZE) {
            if (pt_map_ldt_page(v, (uint32_t)off)) {
                return;
            }
            cr2 = v->arch.ldt_base + off;
        }
    }
    trap_inject_pf(v, r, cr2, r->error);
}

/*
 * INT n through a gate that ring 3 may not use arrives as #GP with the gate's number.  QEMU before
 * 8 puts a wrong number into the error code, so the instruction itself is looked at. Returns true
 * if that was it.
 */
static bool software_interrupt(struct vcpu *v, struct regs *r)
{
    uint8_t insn[2];

    if (guest_read(insn, gptr(r->rip), sizeof insn) != 0 || insn[0] != 0xcd) {
        return false;
    }
    const struct x86_trap_entry *t = &v->arch.traps[insn[1]];
    unsigned int cpl = v->arch.kernel_mode ? 1 : 3;
    if (t->eip == 0 || (t->flags & TI_DPL) < cpl) {
        trap_inject(v, r, VEC_GP, (uint32_t)insn[1] << 3 | 2);
        return true;
    }
    r->rip += sizeof insn;
    (void)bounce(v, r, t->eip, t->flags & TI_MASK_EVENTS ? BF_MASK : 0, 0);
    return true;
}

static void guest_gp(struct vcpu *v, struct regs *r)
{
    if ((r->error & 3) == 2 && software_interrupt(v, r)) {
        return;
    }
    if (r->error == 0 && priv_emulate(v, r)) {
        return;
    }
    trap_inject(v, r, VEC_GP, r->error);
}

void guest_trap(struct regs *r, uint64_t cr2)
{
    struct vcpu *v = port_current();

    switch (r->vector) {
    case VEC_PF:
        guest_page_fault(v, r, cr2);
        break;
    case VEC_GP:
        guest_gp(v, r);
        break;
    case VEC_UD:
        if (!priv_emulate_ud(v, r)) {
            trap_inject(v, r, VEC_UD, 0);
        }
        break;
    case VEC_NM:
        /* The ABI clears the guest's TS as the fault is delivered, so that its handler may use the
         * FPU. */
        v->arch.cr0_ts = 0;
        cpu_set_ts(false);
        trap_inject(v, r, VEC_NM, 0);
        break;
    case VEC_DB:
        v->arch.dr[6] |= cpu_get_dr(6) & DR6_STATUS;
        cpu_set_dr(6, DR6_DEFAULT);
        trap_inject(v, r, VEC_DB, 0);
        break;
    default:
        trap_inject(v, r, r->vector, r->error);
        break;
    }
}

void guest_syscall(struct regs *r)
{
    struct vcpu *v = port_current();

    if (v->arch.kernel_mode) {
        uint64_t nr = r->rax;
        hcall_finish_slow(r, hcall_dispatch(v, nr, (struct hcall_args *)(void *)&r->rdi), nr);
        return;
    }
    guest_user_syscall(v, r);
}

void guest_user_syscall(struct vcpu *v, struct regs *r)
{
    if (__builtin_expect(v->arch.syscall.eip == 0, 0)) {
        r->rip -= 2;
        trap_inject(v, r, VEC_UD, 0);
        return;
    }
    bounce_callback(v, r, &v->arch.syscall);
}

/* SYSCALL is two bytes long: going back by that much makes the guest issue the call again. */
void hcall_finish_slow(struct regs *r, int64_t rc, uint64_t nr)
{
    if (rc == HC_LEFT || (nr < HCALL_COUNT && (hcall_table[nr].flags & HC_NORESULT) && rc == 0)) {
        return;
    }
    if (rc == HC_AGAIN) {
        count(CNT_PREEMPT, 1);
        r->rax = nr;
        r->rip -= 2;
        return;
    }
    r->rax = (uint64_t)rc;
}

void guest_syscall32(struct regs *r)
{
    struct vcpu *v = port_current();

    if (v->arch.kernel_mode || v->arch.syscall32.eip == 0) {
        r->rip -= 2;
        trap_inject(v, r, VEC_UD, 0);
        return;
    }
    bounce_callback(v, r, &v->arch.syscall32);
}

void guest_sysenter(struct regs *r)
{
    struct vcpu *v = port_current();

    if (v->arch.kernel_mode || v->arch.sysenter.eip == 0) {
        trap_inject(v, r, VEC_GP, 0);
        return;
    }
    bounce_callback(v, r, &v->arch.sysenter);
}

/* Eleven words: the data selectors stand between r11 and rip. */
void guest_failsafe(struct regs *r, uint32_t vector, uint32_t error)
{
    struct vcpu *v = port_current();

    if (error != 0) {
        trap_inject(v, r, vector, error);
        return;
    }
    uint64_t top = v->arch.kernel_mode ? r->rsp : v->arch.kernel_sp;
    uint64_t cs = v->arch.kernel_mode ? r->cs & 0xfffc : r->cs & 0xffff;
    uint8_t mask = v->info->evtchn_upcall_mask;

    if (v->arch.failsafe.eip == 0) {
        domain_crash(v->d,
                     "vcpu %u: cannot return to cs:rip %#lx:%#lx and has no failsafe callback",
                     v->id, (unsigned long)r->cs, (unsigned long)r->rip);
        return;
    }
    if (!v->arch.kernel_mode) {
        cpu_toggle_mode(v);
    }
    const uint64_t frame[11] = {
        r->rcx,
        r->r11,
        cpu_read_sel('d'),
        cpu_read_sel('e'),
        cpu_read_sel('f'),
        cpu_read_sel('g'),
        r->rip,
        cs | (uint64_t)mask << 32,
        frame_flags(v, r, mask),
        r->rsp,
        r->ss & 0xffff,
    };
    uint64_t sp = (top & ~UINT64_C(15)) - sizeof frame;
    if (guest_write(gptr(sp), frame, sizeof frame) != 0) {
        no_stack(v, r);
        return;
    }
    enter(v, r, v->arch.failsafe.eip, sp, v->arch.failsafe.mask);
}

/* The areas are where the guest's kernel has said: its user mode's tables need not show them. */
void guest_loaded(struct vcpu *v)
{
    const bool is_user = !v->arch.kernel_mode && (v->runstate_area.va != 0 || v->time_area.va != 0);

    spec_loaded(v);
    if (is_user) {
        cpu_toggle_mode(v);
    }
    systime_update(v);
    vcpu_areas_update(v);
    if (is_user) {
        cpu_toggle_mode(v);
    }
}

/* The cpu's work; true if the caller must look again. Interrupts off before and after. */
static bool do_work(struct vcpu *v)
{
    uint32_t work = port_cpu_take_work();

    if (atomic_load_explicit(&v->d->crash_pending, memory_order_relaxed)) {
        port_irq_enable();
        domain_shutdown(v->d, SHUTDOWN_crash);
        port_irq_disable();
        work |= CW_SCHED;
    }
    if (work == 0) {
        return false;
    }
    if (work & (CW_TIMER | CW_DEFERRED)) {
        port_irq_enable();
        if (work & CW_TIMER) {
            timer_run();
        }
        if (work & CW_DEFERRED) {
            domain_deferred_run();
        }
        port_irq_disable();
    }
    if (work & CW_SCHED) {
        sched_run();
    }
    return true;
}

void guest_return(struct regs *r)
{
    for (;;) {
        struct vcpu *v = port_current();

        if (do_work(v)) {
            continue;
        }
        if (v->arch.nmi_pending && !v->arch.nmi_blocked && v->arch.traps[VEC_NMI].eip != 0) {
            v->arch.nmi_pending = false;
            v->arch.nmi_blocked = true;
            if (bounce(v, r, v->arch.traps[VEC_NMI].eip,
                       v->arch.traps[VEC_NMI].flags & TI_MASK_EVENTS ? BF_MASK : 0, 0)) {
                return;
            }
        } else if (vcpu_upcall_due(v) && v->arch.event.eip != 0) {
            if (bounce(v, r, v->arch.event.eip, BF_MASK, 0)) {
                return;
            }
        } else {
            return;
        }
    }
}

void guest_nmi_look(const struct vcpu *v)
{
    if (v->arch.nmi_pending) {
        port_cpu_raise(port_cpu_id(), CW_UPCALL);
    }
}

void guest_upcall(struct vcpu *v, struct regs *r)
{
    if (v->arch.event.eip == 0 || !bounce(v, r, v->arch.event.eip, BF_MASK, 0)) {
        guest_return(r);
    }
}

/* The end of an NMI's handler. One may have come meanwhile. */
static __attribute__((noinline, cold)) int64_t iret_from_nmi(struct vcpu *v, struct hcall_args *a)
{
    v->arch.nmi_blocked = false;
    guest_nmi_look(v);
    return hc_iret(v, a);
}

/*
 * The guest kernel's way back to what it interrupted.  The frame on its stack is struct
 * iret_context; nothing of it can harm us: segments and flags are forced to ring 3, and what the
 * processor refuses becomes the failsafe callback.
 */
int64_t hc_iret(struct vcpu *v, struct hcall_args *a)
{
    struct regs *r = (struct regs *)(void *)((char *)a - offsetof(struct regs, rdi));
    uint64_t sp = r->rsp;
    uint64_t how;
    uint64_t cs;
    uint64_t flags;
    bool ok = guest_window_ok(sp, sizeof(struct iret_context));

    if (__builtin_expect(v->arch.nmi_blocked, 0)) {
        return iret_from_nmi(v, a);
    }
    /* Straight into the registers: if one of the loads faults, the domain ends. */
    if (__builtin_expect(ok, 1)) {
        guest_window_begin();
        ok = guest_load(&r->rax, sp) && guest_load(&r->r11, sp + 8) &&
             guest_load(&r->rcx, sp + 16) && guest_load(&how, sp + 24) &&
             guest_load(&r->rip, sp + 32) && guest_load(&cs, sp + 40) &&
             guest_load(&flags, sp + 48) && guest_load(&r->rsp, sp + 56) &&
             guest_load(&r->ss, sp + 64);
        guest_window_end();
    }
    if (__builtin_expect(!ok, 0)) {
        no_stack(v, r);
        return 0;
    }
    r->ss = (r->ss & 0xffff) | 3;
    r->cs = (cs & 0xffff) | 3;
    r->rflags = (flags & RFLAGS_GUEST) | RFLAGS_IF | RFLAGS_FIXED;
    r->vector = 0;
    if (how & VGCF_in_syscall) {
        r->rcx = r->rip;
        r->r11 = r->rflags;
        r->ss = FLAT_USER_SS;
        if (r->cs != FLAT_USER_CS32 && r->cs != USER_CS32_LINUX) {
            r->vector = REGS_SYSCALL;
            r->cs = FLAT_USER_CS;
        }
    }
    v->info->evtchn_upcall_mask = !(flags & RFLAGS_IF);
    if (__builtin_expect(v->d->vm_assist & (1u << VMASST_TYPE_architectural_iopl), 0)) {
        v->arch.iopl = (uint8_t)((flags & RFLAGS_IOPL) >> RFLAGS_IOPL_SHIFT);
    }
    if ((cs & 3) == 3) {
        if (__builtin_expect(v->arch.root_user == NULL, 0)) {
            domain_crash(v->d, "vcpu %u: iret to user mode without user page tables", v->id);
            return 0;
        }
        cpu_toggle_mode(v);
    }
    return 0;
}
_Static_assert(offsetof(struct iret_context, ss) == 64, "hc_iret() knows the layout");
