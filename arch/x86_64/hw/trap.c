/* SPDX-License-Identifier: MIT */
/* What the processor reports while the hypervisor runs, and all interrupts: one switch each. */
#include "hw/trap.h"

#include <stdatomic.h>

#include "base/log.h"
#include "base/panic.h"
#include "cpu/msr.h"
#include "domain/domain.h"
#include "guest/mm_x86.h"
#include "guest/trap.h"
#include "hw/asm.h"
#include "hw/backtrace.h"
#include "hw/cpu_info.h"
#include "hw/ioapic.h"
#include "hw/lapic.h"
#include "hw/smp.h"
#include "hw/tlb.h"
#include "hw/x86.h"
#include "irq/irq.h"
#include "lib/mem.h"
#include "port/cpu.h"
#include "port/power.h"

#define VEC_DB  1u
#define VEC_NMI 2u
#define VEC_DF  8u
#define VEC_GP  13u
#define VEC_PF  14u
#define VEC_MC  18u

#define RFLAGS_TF UINT64_C(0x100)
#define LDT_SIZE  (16u * PAGE_SIZE)

struct fixup {
    uint64_t from;
    uint64_t to;
};
extern const struct fixup ex_table_start[];
extern const struct fixup ex_table_end[];
extern const uint8_t iret_guest[];

static _Atomic uint32_t stopping; /* a cpu is in panic() */

static const char *const names[] = { "divide error",
                                     "debug",
                                     "NMI",
                                     "breakpoint",
                                     "overflow",
                                     "bound",
                                     "invalid opcode",
                                     "no FPU",
                                     "double fault",
                                     "",
                                     "invalid TSS",
                                     "segment not present",
                                     "stack fault",
                                     "general protection",
                                     "page fault",
                                     "",
                                     "FPU error",
                                     "alignment",
                                     "machine check",
                                     "SIMD error" };

static const char *name_of(unsigned int vector)
{
    return vector < sizeof names / sizeof names[0] ? names[vector] : "exception";
}

static void __attribute__((noreturn)) fatal(struct regs *r)
{
    backtrace_from(r);
    panic("%s (vector %u, error %#x) in the hypervisor at %#lx, address %#lx", name_of(r->vector),
          r->vector, r->error, (unsigned long)r->rip, (unsigned long)read_cr2());
}

static const struct fixup *fixup_of(uint64_t rip)
{
    for (const struct fixup *x = ex_table_start; x < ex_table_end; x++) {
        if (x->from == rip) {
            return x;
        }
    }
    return NULL;
}

/*
 * A selector load or IRET through the guest's LDT: its pages are mapped when first used.  Whoever
 * holds the locks that this takes may be waiting for us to flush, so interrupts are on meanwhile,
 * whatever they were.
 */
static bool ldt_fault(const struct regs *r)
{
    uint64_t off = read_cr2() - cpu_ldt_window();
    struct vcpu *v = port_current();

    if (r->vector != VEC_PF || off >= LDT_SIZE || v == NULL || v->is_idle) {
        return false;
    }
    port_irq_enable();
    bool is_mapped = pt_map_ldt_page(v, (uint32_t)off);
    port_irq_disable();
    return is_mapped;
}

/*
 * IRET to the guest has faulted.  The registers are the guest's already and lie in r, saved on top
 * of the frame's lower part; what IRET popped is untouched.  Put the frame together again.
 */
static struct regs *iret_frame(const struct regs *r)
{
    struct regs *guest = cpu_guest_regs();

    memmove(guest, r, offsetof(struct regs, error));
    guest->error = 0;
    guest->vector = VEC_GP;
    return guest;
}

static struct regs *iret_fault(const struct regs *r)
{
    uint32_t vector = r->vector;
    uint32_t error = r->error;
    struct regs *guest = iret_frame(r);

    guest_failsafe(guest, vector, error);
    return guest;
}

/* An exception in ring 0: one that was expected goes on at its fix-up, anything else is the end.
 * Returns the frame to go on with. */
struct regs *trap_kernel(struct regs *r)
{
    const struct fixup *x = fixup_of(r->rip);

    bool is_exit = r->rip == (uint64_t)iret_guest;

    if ((x != NULL || is_exit) && ldt_fault(r)) {
        /* The exit is gone through anew: there may be work since, and the last part of the guarded
         * one runs on other stack and tables. */
        return is_exit ? iret_frame(r) : r;
    }
    if (is_exit) {
        return iret_fault(r);
    }
    if (x == NULL) {
        fatal(r);
    }
    r->rip = x->to;
    return r;
}

static void device_irq(unsigned int vector)
{
    int irq = ioapic_vector_irq((uint8_t)vector);

    if (irq < 0) {
        log_warn("cpu %u: interrupt %#x belongs to nobody", port_cpu_id(), vector);
        lapic_eoi();
    } else {
        irq_handle((unsigned int)irq);
    }
}

void trap_irq(struct regs *r)
{
    switch (r->vector) {
    case VEC_TIMER:
        lapic_eoi();
        port_cpu_raise(port_cpu_id(), CW_TIMER);
        break;
    case VEC_IPI_WORK:
        lapic_eoi();
        break;
    case VEC_IPI_TLB:
        lapic_eoi();
        tlb_serve();
        break;
    case VEC_SPURIOUS:
        break;
    case VEC_ERROR:
        (void)lapic_error();
        lapic_eoi();
        break;
    default:
        device_irq(r->vector);
        break;
    }
}

/* A debug exception in ring 0: a guest's breakpoint or single step that waited until after an
 * entry. */
void trap_debug(struct regs *r)
{
    __asm__ volatile("mov %0, %%db6" ::"r"(UINT64_C(0xffff0ff0)));
    r->rflags &= ~RFLAGS_TF;
}

/* NMI, double fault, machine check. */
void trap_ist(struct regs *r)
{
    if (r->vector != VEC_NMI) {
        fatal(r);
    }
    if (atomic_load(&stopping) != 0) {
        for (;;) {
            __asm__ volatile("cli; hlt");
        }
    }
    /* Not from the log: its lock may be held by what was interrupted. */
    if (dom0 != NULL && dom0->vcpu[0] != NULL) {
        uint32_t destination = lapic_nmi_begin();

        dom0->vcpu[0]->arch.nmi_pending = true;
        port_cpu_raise(atomic_load(&dom0->vcpu[0]->cpu), CW_UPCALL);
        lapic_nmi_end(destination);
    }
}

void trap_stop_others(void)
{
    if (atomic_exchange(&stopping, 1) == 0) {
        smp_nmi_others();
    }
}
