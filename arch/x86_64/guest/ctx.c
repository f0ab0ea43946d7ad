/* SPDX-License-Identifier: MIT */
/* struct vcpu_guest_context in and out: the same checks for dom0's start, guests' secondary vcpus
 * and the builder's. */
#include "guest/ctx.h"
#include "port/vcpu.h"

#include "abi/arch_x86_64.h"
#include "abi/errno.h"
#include "abi/xen.h"
#include "cpu/msr.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/debugreg.h"
#include "guest/mm_x86.h"
#include "guest/pt_walk.h"
#include "guest/trap.h"
#include "guest/x86_flags.h"
#include "lib/str.h"

#define LDT_ENTRIES_MAX 8192u
#define FXSAVE_MXCSR    24u
#define MXCSR_VALID     0xffffu
#define XSAVE_BV        512u
#define XSTATE_FP_SSE   3u

uint64_t port_vcpu_context_size(void)
{
    return sizeof(struct vcpu_guest_context);
}

/* Everything that can be refused without touching v. */
static int check(const struct vcpu *v, const struct vcpu_guest_context *c)
{
    if (c->gdt_ents > X86_GDT_FRAMES * 512 || c->ldt_ents > LDT_ENTRIES_MAX ||
        (c->ldt_ents != 0 && ((c->ldt_base & (PAGE_SIZE - 1)) != 0 || !va_guest_ok(c->ldt_base) ||
                              !va_guest_ok(c->ldt_base + c->ldt_ents * 8)))) {
        return -EINVAL;
    }
    if (!va_canonical(c->fs_base) || !va_canonical(c->gs_base_user) ||
        !va_canonical(c->gs_base_kernel)) {
        return -EINVAL;
    }
    if (!va_guest_ok(c->event_callback_eip) || !va_guest_ok(c->failsafe_callback_eip) ||
        !va_guest_ok(c->syscall_callback_eip) || !va_guest_ok(c->user_regs.rip)) {
        return -EINVAL;
    }
    if (!(c->flags & VGCF_in_kernel) && xen_cr3_to_pfn(c->ctrlreg[1]) == 0) {
        return -EINVAL; /* to user mode without user tables */
    }
    for (unsigned int i = 0; i < 256; i++) {
        if (!va_guest_ok(c->trap_ctxt[i].address)) {
            return -EINVAL;
        }
    }
    for (unsigned int i = 0; i < 8; i++) {
        uint64_t val = c->debugreg[i];
        if (i != 4 && i != 5 && debugreg_check(v, i, &val) != 0) {
            return -EINVAL;
        }
    }
    return 0;
}

static void set_registers(struct vcpu *v, const struct vcpu_guest_context *c)
{
    const struct cpu_user_regs *u = &c->user_regs;

    v->arch.regs = (struct regs){
        .r15 = u->r15,
        .r14 = u->r14,
        .r13 = u->r13,
        .r12 = u->r12,
        .rbp = u->rbp,
        .rbx = u->rbx,
        .r11 = u->r11,
        .rcx = u->rcx,
        .rax = u->rax,
        .rdi = u->rdi,
        .rsi = u->rsi,
        .rdx = u->rdx,
        .r10 = u->r10,
        .r8 = u->r8,
        .r9 = u->r9,
        .error = 0,
        .vector = 0,
        .rip = u->rip,
        .cs = u->cs | 3u,
        .rflags = (u->rflags & RFLAGS_GUEST) | RFLAGS_IF | RFLAGS_FIXED,
        .rsp = u->rsp,
        .ss = u->ss | 3u,
    };
    /* The processor's IOPL stays 0: what the guest asks for is kept for emulation. */
    v->arch.iopl = (uint8_t)((u->rflags & RFLAGS_IOPL) >> RFLAGS_IOPL_SHIFT);
    v->arch.kernel_mode = (c->flags & VGCF_in_kernel) != 0;
    v->arch.ds = u->ds;
    v->arch.es = u->es;
    v->arch.fs = u->fs;
    v->arch.gs = u->gs;
    v->arch.fs_base = c->fs_base;
    v->arch.gs_base_user = c->gs_base_user;
    v->arch.gs_base_kernel = c->gs_base_kernel;
    v->arch.kernel_sp = c->kernel_sp;
    v->arch.kernel_ss = (uint16_t)(c->kernel_ss | 3);
    v->arch.cr0_ts = c->ctrlreg[0] & CR0_TS;
    v->arch.cr4 = guest_cr4(v, c->ctrlreg[4]);
    for (unsigned int i = 0; i < 8; i++) {
        uint64_t val = c->debugreg[i];
        if (i != 4 && i != 5 && debugreg_check(v, i, &val) == 0) {
            v->arch.dr[i] = val;
        }
    }
}

static void set_entry_points(struct vcpu *v, const struct vcpu_guest_context *c)
{
    for (unsigned int i = 0; i < 256; i++) {
        const struct trap_info *t = &c->trap_ctxt[i];
        v->arch.traps[i] = (struct x86_trap_entry){ .eip = t->address,
                                                    .cs = (uint16_t)(t->cs | 3),
                                                    .flags = t->flags };
    }
    v->arch.event = (struct x86_callback){ .eip = c->event_callback_eip, .mask = true };
    v->arch.failsafe = (struct x86_callback){
        .eip = c->failsafe_callback_eip,
        .mask = (c->flags & VGCF_failsafe_disables_events) != 0,
    };
    v->arch.syscall = (struct x86_callback){
        .eip = c->syscall_callback_eip,
        .mask = (c->flags & VGCF_syscall_disables_events) != 0,
    };
}

/* The FXSAVE image becomes the legacy part of the XSAVE area; without one the state is the initial
 * one. */
static void set_fpu(struct vcpu *v, const struct vcpu_guest_context *c)
{
    uint8_t *area = v->arch.xstate;
    uint64_t bv = 0;

    cpu_xstate_reset(v);
    if (c->flags & VGCF_i387_valid) {
        uint32_t mxcsr;
        memcpy(area, &c->fpu_ctxt, sizeof c->fpu_ctxt);
        memcpy(&mxcsr, area + FXSAVE_MXCSR, sizeof mxcsr);
        mxcsr &= MXCSR_VALID;
        memcpy(area + FXSAVE_MXCSR, &mxcsr, sizeof mxcsr);
        if (cpu_xstate_features() != 0) {
            memcpy(&bv, area + XSAVE_BV, sizeof bv);
            bv |= XSTATE_FP_SSE;
            memcpy(area + XSAVE_BV, &bv, sizeof bv);
        }
    }
}

/*
 * Everything that can be refused is got first: the frames of the GDT, then the page tables, which
 * may take long and be asked for again.  Then nothing can fail.
 */
int64_t port_vcpu_set_context(struct vcpu *v, const void *ctx)
{
    const struct vcpu_guest_context *c = ctx;
    struct desc_gdt gdt;
    int64_t rc = check(v, c);

    if (rc == 0) {
        rc = pt_finish_unlocked(v->d); /* a table half given up may be a page of the GDT now */
    }
    if (rc == 0) {
        rc = desc_gdt_get(v->d, c->gdt_frames, (unsigned int)c->gdt_ents, &gdt);
    }
    if (rc != 0) {
        return rc;
    }
    cpu_drop_space(v);
    rc = mm_set_roots(v, MFN(xen_cr3_to_pfn(c->ctrlreg[3])), MFN(xen_cr3_to_pfn(c->ctrlreg[1])));
    if (rc != 0) {
        desc_gdt_put(v->d, &gdt);
        return rc;
    }

    desc_gdt_use(v, &gdt);
    desc_drop_ldt(v);
    v->arch.ldt_base = c->ldt_base;
    v->arch.ldt_entries = (uint32_t)c->ldt_ents;
    set_registers(v, c);
    set_entry_points(v, c);
    set_fpu(v, c);
    v->d->vm_assist |= (uint32_t)c->vm_assist & VM_ASSIST_VALID;
    return 0;
}

static void get_entry_points(const struct vcpu *v, struct vcpu_guest_context *c)
{
    for (unsigned int i = 0; i < 256; i++) {
        const struct x86_trap_entry *t = &v->arch.traps[i];
        c->trap_ctxt[i] = (struct trap_info){
            .vector = (uint8_t)i, .flags = t->flags, .cs = t->cs, .address = t->eip
        };
    }
    c->event_callback_eip = v->arch.event.eip;
    c->failsafe_callback_eip = v->arch.failsafe.eip;
    c->syscall_callback_eip = v->arch.syscall.eip;
}

void port_vcpu_get_context(struct vcpu *v, void *ctx)
{
    struct vcpu_guest_context *c = ctx;
    const struct regs *r = &v->arch.regs;

    memset(c, 0, sizeof *c);
    memcpy(&c->fpu_ctxt, v->arch.xstate, sizeof c->fpu_ctxt);
    c->flags = VGCF_i387_valid | (v->arch.kernel_mode ? VGCF_in_kernel : 0) |
               (v->arch.failsafe.mask ? VGCF_failsafe_disables_events : 0) |
               (v->arch.syscall.mask ? VGCF_syscall_disables_events : 0);
    if (!(atomic_load(&v->state) & VS_DOWN)) {
        c->flags |= VGCF_online;
    }
    c->user_regs = (struct cpu_user_regs){
        .r15 = r->r15,
        .r14 = r->r14,
        .r13 = r->r13,
        .r12 = r->r12,
        .rbp = r->rbp,
        .rbx = r->rbx,
        .r11 = r->r11,
        .rcx = r->rcx,
        .rax = r->rax,
        .rdi = r->rdi,
        .rsi = r->rsi,
        .rdx = r->rdx,
        .r10 = r->r10,
        .r8 = r->r8,
        .r9 = r->r9,
        .rip = r->rip,
        .cs = (uint16_t)(v->arch.kernel_mode ? r->cs & ~UINT64_C(3) : r->cs),
        .saved_upcall_mask = v->info->evtchn_upcall_mask,
        .rflags = (r->rflags & ~RFLAGS_IF) | (v->info->evtchn_upcall_mask ? 0 : RFLAGS_IF) |
                  (uint64_t)v->arch.iopl << RFLAGS_IOPL_SHIFT,
        .rsp = r->rsp,
        .ss = (uint16_t)r->ss,
        .ds = v->arch.ds,
        .es = v->arch.es,
        .fs = v->arch.fs,
        .gs = v->arch.gs,
    };
    get_entry_points(v, c);
    c->ldt_base = v->arch.ldt_base;
    c->ldt_ents = v->arch.ldt_entries;
    c->gdt_ents = v->arch.gdt_entries;
    for (unsigned int i = 0; i * 512 < v->arch.gdt_entries && i < X86_GDT_FRAMES; i++) {
        c->gdt_frames[i] = frame_mfn(v->arch.gdt_frame[i]).n;
    }
    c->kernel_ss = v->arch.kernel_ss;
    c->kernel_sp = v->arch.kernel_sp;
    c->ctrlreg[0] = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG | v->arch.cr0_ts;
    c->ctrlreg[2] = v->info->arch.cr2;
    c->ctrlreg[4] = v->arch.cr4;
    if (v->arch.root_kernel != NULL) {
        c->ctrlreg[3] = xen_pfn_to_cr3(frame_mfn(v->arch.root_kernel).n);
    }
    if (v->arch.root_user != NULL) {
        c->ctrlreg[1] = xen_pfn_to_cr3(frame_mfn(v->arch.root_user).n);
    }
    memcpy(c->debugreg, v->arch.dr, sizeof c->debugreg);
    c->vm_assist = v->d->vm_assist;
    c->fs_base = v->arch.fs_base;
    c->gs_base_kernel = v->arch.gs_base_kernel;
    c->gs_base_user = v->arch.gs_base_user;
}
