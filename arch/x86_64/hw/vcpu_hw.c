/* SPDX-License-Identifier: MIT */
/* A cpu changes from one vcpu to another.  There is one stack per cpu: what runs next starts at its
 * base. */
#include "port/vcpu.h"

#include "base/cpumask.h"
#include "cpu/msr.h"
#include "domain/domain.h"
#include "guest/trap.h"
#include "hw/asm.h"
#include "hw/cpu.h"
#include "hw/cpu_info.h"
#include "hw/paging.h"
#include "hw/tlb.h"
#include "hw/x86.h"
#include "mm/frame.h"
#include "port/cpu.h"
#include "port/irq.h"
#include "sched/sched.h"

#define X86_CR4_TSD (UINT64_C(1) << 2)
#define DR7_ENABLES UINT64_C(0xff)

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
    if (ci->dr_loaded != 0) {
        a->dr[6] = cpu_get_dr(6);
    }
    cpu_xstate_save(v);
}

static void load_debug(struct cpu_info *ci, const struct arch_vcpu *a)
{
    if ((a->dr[7] & DR7_ENABLES) != 0) {
        ci->dr_loaded = 1;
        for (unsigned int i = 0; i < 4; i++) {
            cpu_set_dr(i, a->dr[i]);
        }
        cpu_set_dr(6, a->dr[6]);
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

static void load(struct cpu_info *ci, struct vcpu *v)
{
    struct arch_vcpu *a = &v->arch;
    uint64_t cr4 = cpu_cr4() | (v->d->arch.vtsc ? X86_CR4_TSD : 0);

    ci->regs = a->regs;
    if (read_cr4() != cr4) {
        write_cr4(cr4);
    }
    cpu_load_gdt(v);
    cpu_load_ldt(v);
    load_segments(a);
    load_debug(ci, a);
    if (cpu_features.rdtscp) {
        wrmsr(MSR_TSC_AUX, a->msr_tsc_aux);
    }
    cpu_xstate_load(v);
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
 * The next domain's mask gets this cpu before its tables are loaded, the former loses it
 * afterwards: whoever asks a domain's cpus to flush reaches all that may hold its translations.
 */
void port_vcpu_switch(struct vcpu *prev, struct vcpu *next)
{
    struct cpu_info *ci = cpu_info();

    if (prev != next) {
        if (!prev->is_idle) {
            save(ci, prev);
        }
        if (!next->is_idle) {
            cpumask_set(&next->d->dirty_cpus, ci->cpu);
        }
        ci->current = next;
        if (next->is_idle) {
            tlb_flush_load(paging_root());
        } else {
            /* An idle cpu has flushed everything and held no guest's translations since. */
            cpu_load_root(next, !prev->is_idle);
        }
        if (!prev->is_idle && prev->d != next->d) {
            cpumask_clear(&prev->d->dirty_cpus, ci->cpu);
        }
        sched_switched(prev);
        if (!next->is_idle) {
            load(ci, next);
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
