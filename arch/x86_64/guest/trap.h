/* SPDX-License-Identifier: MIT */
/* Entries from hw/ into the guest part: system calls, exceptions, the way back. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cpu/regs.h"
#include "hcall/hcall.h"

struct vcpu;

/* SYSCALL from guest-kernel mode is a hypercall; from user mode it is bounced. Called from entry.S,
 * interrupts on. */
void guest_syscall(struct regs *r);
/* The same from user mode: the entry has looked. */
void guest_user_syscall(struct vcpu *v, struct regs *r);
/* SYSCALL in compatibility mode and SYSENTER: bounced. */
void guest_syscall32(struct regs *r);
void guest_sysenter(struct regs *r);
/* An exception (vector 0-31, not ours) or software interrupt taken in ring 3; cr2 for #PF read by
 * the entry. Interrupts on. */
void guest_trap(struct regs *r, uint64_t cr2);
/*
 * Before every return to ring 3, interrupts off, when the cpu has work or the vcpu has an upcall
 * due, a pending NMI or crash: does it all until nothing is left; may switch away and not come
 * back.  Interrupts off on return.
 */
void guest_return(struct regs *r);
/* The same when nothing but an upcall of v is due. */
void guest_upcall(struct vcpu *v, struct regs *r);
/* At the base of the stack right after v was loaded on this cpu, before guest_return(): refreshes
 * its clock and registered areas. Interrupts on. Called by hw/vcpu_hw.c's switch. */
void guest_loaded(struct vcpu *v);
/* A hypercall handler returned something that entry.S does not store by itself (HC_AGAIN, or a row
 * flag HC_NORESULT). */
void hcall_finish_slow(struct regs *r, int64_t rc, uint64_t nr);
/*
 * IRET to the guest raised `vector`: the guest gets that exception if its error code names a
 * selector, else its failsafe callback.
 */
void guest_failsafe(struct regs *r, uint32_t vector, uint32_t error);

/* Enter the guest's handler for an exception of its own: used by emulation. */
void trap_inject(struct vcpu *v, struct regs *r, unsigned int vector, uint32_t error);
void trap_inject_pf(struct vcpu *v, struct regs *r, uint64_t cr2, uint32_t error);

/* v, the current one, may take an NMI from now on: one that waits is looked at on the way out. */
void guest_nmi_look(const struct vcpu *v);

int64_t hc_set_trap_table(struct vcpu *v, struct hcall_args *a);
int64_t hc_stack_switch(struct vcpu *v, struct hcall_args *a);
int64_t hc_set_callbacks(struct vcpu *v, struct hcall_args *a);
int64_t hc_callback_op(struct vcpu *v, struct hcall_args *a);
int64_t hc_nmi_op(struct vcpu *v, struct hcall_args *a);
int64_t hc_fpu_taskswitch(struct vcpu *v, struct hcall_args *a);
int64_t hc_set_debugreg(struct vcpu *v, struct hcall_args *a);
int64_t hc_get_debugreg(struct vcpu *v, struct hcall_args *a);
int64_t hc_set_segment_base(struct vcpu *v, struct hcall_args *a);
int64_t hc_iret(struct vcpu *v, struct hcall_args *a);

/* priv_emul.c: #GP (or #UD forced prefix) in the guest: true if emulated, rip advanced. */
bool priv_emulate(struct vcpu *v, struct regs *r);
bool priv_emulate_ud(struct vcpu *v, struct regs *r);
/* cpuid.c, msr.c */
struct cpuid_leaf;
void guest_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *out);
/* What v has of val in its CR4: the processor's is the hypervisor's, the guest has the bits that
 * concern it. As on Xen, one that its CPUID does not show is dropped without an error. */
uint64_t guest_cr4(struct vcpu *v, uint64_t val);
bool guest_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *val);
bool guest_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val);
int64_t hc_physdev_op(struct vcpu *v, struct hcall_args *a);
int64_t hc_platform_op(struct vcpu *v, struct hcall_args *a);
int64_t hc_mca(struct vcpu *v, struct hcall_args *a);
