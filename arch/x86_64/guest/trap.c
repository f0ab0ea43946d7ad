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
#include "guest/x86_flags.h"

/* What goes into a bounce frame besides the fixed part. */
#define BF_ERROR    1u
#define BF_MASK     2u /* mask event upcalls on entry */
#define BF_FAILSAFE 4u

#define VEC_DB  1u
#define VEC_NMI 2u
#define VEC_UD  6u
#define VEC_NM  7u
#define VEC_GP  13u
#define VEC_PF  14u

#define PF_PRESENT 1u
#define PF_WRITE   2u
#define PF_USER    4u
#define PF_RSVD    8u

#define LDT_WINDOW_SIZE (16u * PAGE_SIZE)

/* Vectors that push an error code: #DF #TS #NP #SS #GP #PF #AC #CP (SDM vol. 3A table 6-1). */
#define VECTORS_WITH_ERROR ((1u << 8) | (0x1fu << 10) | (1u << 17) | (1u << 21))

#define FRAME_MAX 12u

/* The two common sizes, without and with an error code, are copied word by word. */
static inline size_t put_frame(gptr_t sp, const uint64_t frame[FRAME_MAX], unsigned int words)
{
    if (words == 7) {
        return guest_write(sp, frame, 7 * sizeof(uint64_t));
    }
    if (words == 8) {
        return guest_write(sp, frame, 8 * sizeof(uint64_t));
    }
    return guest_write(sp, frame, words * sizeof(uint64_t));
}

/*
 * Enter the guest's kernel at eip.  A stack that cannot be written is the end of the domain: there
 * is nothing else to tell it with.
 */
static void bounce(struct vcpu *v, struct regs *r, uint64_t eip, uint32_t what, uint32_t error)
{
    uint64_t frame[FRAME_MAX];
    unsigned int n = 2;
    uint64_t cs = r->cs & 0xffff;
    uint64_t sp;
    uint8_t mask = v->info->evtchn_upcall_mask;

    if (v->arch.kernel_mode) {
        sp = r->rsp & ~UINT64_C(15);
        cs &= ~UINT64_C(3);
    } else {
        sp = v->arch.kernel_sp & ~UINT64_C(15);
        cpu_toggle_mode(v);
    }

    frame[0] = r->rcx;
    frame[1] = r->r11;
    if (what & BF_FAILSAFE) {
        frame[n++] = cpu_read_sel('d');
        frame[n++] = cpu_read_sel('e');
        frame[n++] = cpu_read_sel('f');
        frame[n++] = cpu_read_sel('g');
    }
    if (what & BF_ERROR) {
        frame[n++] = error;
    }
    uint64_t flags = (r->rflags & ~(RFLAGS_IF | RFLAGS_IOPL)) | (mask ? 0 : RFLAGS_IF);
    if (v->d->vm_assist & (1u << VMASST_TYPE_architectural_iopl)) {
        flags |= (uint64_t)v->arch.iopl << RFLAGS_IOPL_SHIFT;
    }
    frame[n++] = r->rip;
    frame[n++] = cs | (uint64_t)mask << 32;
    frame[n++] = flags;
    frame[n++] = r->rsp;
    frame[n++] = r->ss & 0xffff;

    sp -= n * sizeof(uint64_t);
    if (put_frame(gptr(sp), frame, n) != 0) {
        domain_crash(v->d, "vcpu %u: no stack at %#lx for the entry to %#lx (rip %#lx)", v->id,
                     (unsigned long)sp, (unsigned long)eip, (unsigned long)r->rip);
        return;
    }
    if (what & BF_MASK) {
        v->info->evtchn_upcall_mask = 1;
    }
    r->vector = REGS_SYSCALL;
    r->rip = eip;
    r->cs = FLAT_KERNEL_CS;
    r->rflags &= ~(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM | RFLAGS_AC);
    r->rsp = sp;
    r->ss = FLAT_KERNEL_SS;
}

/* Enter a callback; mask as registered. */
static void bounce_callback(struct vcpu *v, struct regs *r, const struct x86_callback *cb)
{
    bounce(v, r, cb->eip, cb->mask ? BF_MASK : 0, 0);
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
    bounce(v, r, t->eip, what, error);
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
    bounce(v, r, t->eip, t->flags & TI_MASK_EVENTS ? BF_MASK : 0, 0);
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
    if (v->arch.syscall.eip == 0) {
        r->rip -= 2;
        trap_inject(v, r, VEC_UD, 0);
        return;
    }
    bounce_callback(v, r, &v->arch.syscall);
}

/* SYSCALL is two bytes long: going back by that much makes the guest issue the call again. */
void hcall_finish_slow(struct regs *r, int64_t rc, uint64_t nr)
{
    if (nr < HCALL_COUNT && (hcall_table[nr].flags & HC_NORESULT) && rc == 0) {
        return;
    }
    if (rc == HC_AGAIN) {
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

void guest_failsafe(struct regs *r)
{
    struct vcpu *v = port_current();

    if (v->arch.failsafe.eip == 0) {
        domain_crash(v->d,
                     "vcpu %u: cannot return to cs:rip %#lx:%#lx and has no failsafe callback",
                     v->id, (unsigned long)r->cs, (unsigned long)r->rip);
        return;
    }
    bounce(v, r, v->arch.failsafe.eip, BF_FAILSAFE | (v->arch.failsafe.mask ? BF_MASK : 0), 0);
}

void guest_loaded(struct vcpu *v)
{
    systime_update(v);
    vcpu_areas_update(v);
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
        if (v->arch.nmi_pending && !v->arch.nmi_blocked && v->arch.nmi.eip != 0) {
            v->arch.nmi_pending = false;
            v->arch.nmi_blocked = true;
            bounce(v, r, v->arch.nmi.eip, BF_MASK, 0);
        } else if (vcpu_upcall_due(v) && v->arch.event.eip != 0) {
            bounce(v, r, v->arch.event.eip, BF_MASK, 0);
        } else {
            return;
        }
        if (!atomic_load_explicit(&v->d->crash_pending, memory_order_relaxed)) {
            return;
        }
    }
}

/*
 * The guest kernel's way back to what it interrupted.  The frame on its stack is struct
 * iret_context; nothing of it can harm us: segments and flags are forced to ring 3, and what the
 * processor refuses becomes the failsafe callback.
 */
int64_t hc_iret(struct vcpu *v, struct hcall_args *a)
{
    struct regs *r = cpu_guest_regs();
    struct iret_context c;

    (void)a;
    if (guest_read(&c, gptr(r->rsp), sizeof c) != 0) {
        domain_crash(v->d, "vcpu %u: no iret frame at %#lx", v->id, (unsigned long)r->rsp);
        return 0;
    }
    if ((c.cs & 3) == 3) {
        if (v->arch.root_user == NULL) {
            domain_crash(v->d, "vcpu %u: iret to user mode without user page tables", v->id);
            return 0;
        }
        cpu_toggle_mode(v);
    }

    uint64_t flags = (c.rflags & RFLAGS_GUEST) | RFLAGS_IF | RFLAGS_FIXED;
    uint64_t cs = (c.cs & 0xffff) | 3;
    r->rip = c.rip;
    r->rflags = flags;
    r->rsp = c.rsp;
    r->rax = c.rax;
    if (!(c.flags & VGCF_in_syscall)) {
        r->vector = 0;
        r->rcx = c.rcx;
        r->r11 = c.r11;
        r->cs = cs;
        r->ss = (c.ss & 0xffff) | 3;
    } else {
        r->rcx = c.rip;
        r->r11 = flags;
        r->ss = FLAT_USER_SS;
        if (cs == FLAT_USER_CS32 || cs == USER_CS32_LINUX) {
            r->vector = 0;
            r->cs = cs;
        } else {
            r->vector = REGS_SYSCALL;
            r->cs = FLAT_USER_CS;
        }
    }
    v->arch.nmi_blocked = false;
    v->info->evtchn_upcall_mask = !(c.rflags & RFLAGS_IF);
    return 0;
}
