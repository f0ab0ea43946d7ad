/* SPDX-License-Identifier: MIT */
/* A cpu changes from one vcpu to another.  There is one stack per cpu: what runs next starts at its
 * base. */
#include "port/vcpu.h"

#include "base/cpumask.h"
#include "base/panic.h"
#include "cpu/msr.h"
#include "domain/domain.h"
#include "guest/trap.h"
#include "guest/x86_flags.h"
#include "hw/asm.h"
#include "hw/cpu.h"
#include "hw/cpu_info.h"
#include "hw/paging.h"
#include "hw/tlb.h"
#include "hw/x86.h"
#include "mm/frame.h"
#include "port/cpu.h"
#include "port/irq.h"
#include "port/mmu.h"
#include "sched/sched.h"

#define X86_CR4_TSD (UINT64_C(1) << 2)

_Noreturn void x86_on_base(void (*fn)(struct vcpu *), struct vcpu *v);
_Noreturn void x86_enter_guest(struct regs *r);

static void save(struct cpu_info *ci, struct vcpu *v)
{
    struct arch_vcpu *a = &v->arch;
    uint64_t active = cpu_get_gs_base();
    uint64_t other = rdmsr(MSR_KERNEL_GS_BASE);

    a->regs = ci->regs;
    a->ds = cpu_read_sel('d');
    a->es = cpu_read_sel('e');
    a->fs = cpu_read_sel('f');
    a->gs = cpu_read_sel('g');
    a->fs_base = cpu_get_fs_base();
    a->gs_base_kernel = a->kernel_mode ? active : other;
    a->gs_base_user = a->kernel_mode ? other : active;
    cpu_xstate_save(v); /* DR6 was taken over at each #DB (guest_trap), and reset */
}

static void load_debug(struct cpu_info *ci, const struct arch_vcpu *a)
{
    if ((a->dr[7] & DR7_ENABLES) != 0) {
        ci->dr_loaded = 1;
        for (unsigned int i = 0; i < 4; i++) {
            cpu_set_dr(i, a->dr[i]);
        }
        cpu_set_dr(6, DR6_DEFAULT);
        cpu_set_dr(7, a->dr[7]);
    } else if (ci->dr_loaded != 0) {
        cpu_set_dr(7, a->dr[7]);
        ci->dr_loaded = 0;
    }
}

/* Selectors that no longer name a usable segment become null: a guest may have changed its tables
 * meanwhile. */
static void load_segments(const struct arch_vcpu *a)
{
    (void)cpu_load_ds(a->ds);
    (void)cpu_load_es(a->es);
    (void)cpu_load_fs(a->fs);
    (void)cpu_load_gs_user(a->gs);
    cpu_set_fs_base(a->fs_base);
    cpu_set_gs_base(a->kernel_mode ? a->gs_base_kernel : a->gs_base_user);
    cpu_set_gs_base_other(a->kernel_mode ? a->gs_base_user : a->gs_base_kernel);
}

/* The clock traps if it is emulated or the guest's kernel wants that; the instructions for the
 * bases of FS and GS are there if the guest's kernel wants them (XSA-293). */
void cpu_load_cr4(const struct vcpu *v)
{
    uint64_t cr4 = cpu_cr4() | (v->d->arch.vtsc ? X86_CR4_TSD : 0) | (v->arch.cr4 & CR4_TSD);

    if ((v->arch.cr4 & CR4_FSGSBASE) == 0) {
        cr4 &= ~CR4_FSGSBASE;
    }
    if (read_cr4() != cr4) {
        write_cr4(cr4);
    }
}

/* stays: it was the last to run here, and the idle cpu has not touched the floating-point
 * registers. */
static void load(struct cpu_info *ci, struct vcpu *v, bool stays)
{
    struct arch_vcpu *a = &v->arch;

    ci->regs = a->regs;
    cpu_load_cr4(v);
    cpu_load_gdt(v);
    cpu_load_ldt(v);
    load_segments(a);
    load_debug(ci, a);
    if (cpu_features.rdtscp) {
        wrmsr(MSR_TSC_AUX, a->msr_tsc_aux);
    }
    if (!stays) {
        cpu_xstate_load(v);
    }
}

static void run_idle(struct vcpu *v)
{
    (void)v;
    port_irq_enable();
    sched_idle();
}

static void run_guest(struct vcpu *v)
{
    struct regs *r = &cpu_info()->regs;

    port_irq_enable();
    guest_loaded(v);
    port_irq_disable();
    guest_return(r);
    x86_enter_guest(r);
}

/*
 * Address spaces.  An idle cpu keeps that of the vcpu which ran last, for most often the same one
 * runs next: then nothing is loaded and nothing lost.  Whatever takes a root from a vcpu, or loads
 * the vcpu elsewhere, first has the idle cpu leave (cpu_drop_space()); a flush is put off until the
 * cpu runs the vcpu again, as it uses no guest's translation before; that before a frame changes
 * its type or owner is not, and makes it leave (tlb.c).
 *
 * A domain's mask gets this cpu before its tables are loaded and loses it after they have gone:
 * whoever asks a domain's cpus to flush reaches all that may hold its translations.
 */

/* The former owner of this cpu's address space has no more to do with it, and may be freed. */
static void release_space(const struct cpu_info *ci, struct vcpu *v, const struct vcpu *next)
{
    if (next == NULL || v->d != next->d) {
        cpumask_clear(&v->d->dirty_cpus, ci->cpu);
    }
    atomic_store_explicit(&v->arch.space_cpu, 0, memory_order_release);
}

void cpu_leave_space(void)
{
    struct cpu_info *ci = cpu_info();
    struct vcpu *v = ci->space;

    tlb_flush_load(paging_root());
    (void)tlb_idle_end();
    ci->space = NULL;
    release_space(ci, v, NULL);
}

void cpu_drop_space(struct vcpu *v)
{
    uint32_t at = atomic_load_explicit(&v->arch.space_cpu, memory_order_acquire);

    if (at != 0) {
        tlb_leave(at - 1);
    }
}

/* True: it was this cpu's all the time. */
static bool take_space(struct cpu_info *ci, struct vcpu *next)
{
    uint32_t at = atomic_load_explicit(&next->arch.space_cpu, memory_order_acquire);

    if (at != 0 && at != ci->cpu + 1) {
        tlb_leave(at - 1); /* may serve another cpu meanwhile, and leave ours */
    }
    struct vcpu *old = ci->space;
    if (old == next) {
        if (tlb_idle_end()) {
            port_tlb_flush_local();
        }
        return true;
    }
    cpumask_set(&next->d->dirty_cpus, ci->cpu);
    atomic_store_explicit(&next->arch.space_cpu, ci->cpu + 1, memory_order_relaxed);
    (void)tlb_idle_end(); /* what follows flushes everything, or there is nothing */
    cpu_load_root(next, old != NULL);
    ci->space = next;
    if (old != NULL) {
        release_space(ci, old, next);
    }
    return false;
}

void port_vcpu_switch(struct vcpu *prev, struct vcpu *next)
{
    struct cpu_info *ci = cpu_info();
    bool stays = false;

    if (prev != next) {
        if (!prev->is_idle) {
            save(ci, prev);
        }
        if (!next->is_idle) {
            stays = take_space(ci, next);
        } else {
            bug_if(ci->space != prev);
            tlb_idle_begin();
        }
        ci->current = next;
        sched_switched(prev);
        if (!next->is_idle) {
            load(ci, next, stays);
        }
    }
    x86_on_base(next->is_idle ? run_idle : run_guest, next);
}

/* Machine address of the frame: the same arithmetic as frame_mfn(), in two instructions less. */
static inline uint64_t root_pa(const struct vcpu *v)
{
    const struct frame *f = v->arch.kernel_mode ? v->arch.root_kernel : v->arch.root_user;

    return ((uint64_t)f - HV_FRAMES) * (PAGE_SIZE / sizeof(struct frame));
}

void cpu_load_root(struct vcpu *v, bool flush_global)
{
    uint64_t root = root_pa(v);

    if (flush_global) {
        tlb_flush_load(root);
    } else {
        write_cr3(root);
    }
}

void cpu_toggle_mode(struct vcpu *v)
{
    __asm__ volatile("swapgs" ::: "memory");
    v->arch.kernel_mode = !v->arch.kernel_mode;
    write_cr3(root_pa(v));
}

struct regs *cpu_guest_regs(void)
{
    return &cpu_info()->regs;
}
