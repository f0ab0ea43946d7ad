/* SPDX-License-Identifier: MIT */
/* Machine primitives that guest/ needs; implemented by hw/prim.c and, recorded, by arch/host. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/addr.h"

struct vcpu;
struct frame;

/* Model-specific registers; the safe form returns false where the cpu has none. */
bool cpu_rdmsr_safe(uint32_t msr, uint64_t *val);
bool cpu_wrmsr_safe(uint32_t msr, uint64_t val);

struct cpuid_leaf {
    uint32_t a, b, c, d;
};
void cpu_cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *out);

/* I/O ports; size 1, 2 or 4 bytes. */
uint32_t cpu_in(uint16_t port, unsigned int size);
void cpu_out(uint16_t port, unsigned int size, uint32_t val);

/* Segment bases of the vcpu loaded on this cpu. addr is canonical and outside the hole: the caller
 * checked. */
void cpu_set_fs_base(uint64_t addr);
void cpu_set_gs_base(uint64_t addr);       /* the active one */
void cpu_set_gs_base_other(uint64_t addr); /* the one that SWAPGS brings */
uint64_t cpu_get_fs_base(void);
uint64_t cpu_get_gs_base(void);
uint64_t cpu_get_gs_base_other(void);
void cpu_swapgs(void);
/* Load a selector into GS and leave the kernel's base alone; false if it faults (then it loads 0).
 */
bool cpu_load_gs_user(uint16_t sel);
/* Load ds, es, fs selectors; false on a fault of any (then that one is 0). */
bool cpu_load_ds(uint16_t sel);
bool cpu_load_es(uint16_t sel);
bool cpu_load_fs(uint16_t sel);
uint16_t cpu_read_sel(char which); /* 'd','e','f','g' */

/* Make the loaded vcpu's CR0.TS equal to ts. */
void cpu_set_ts(bool ts);
/* CR4 as the loaded vcpu is to run with: its arch.cr4, or its clock, has changed. */
void cpu_load_cr4(const struct vcpu *v);
/* Debug registers of the loaded vcpu. */
void cpu_set_dr(unsigned int nr, uint64_t val);
uint64_t cpu_get_dr(unsigned int nr);
bool cpu_set_xcr0(uint64_t val); /* false: fault */

/* Load the page-table root for the current mode of v (root_kernel or root_user): v is loaded on
 * this cpu. */
void cpu_load_root(struct vcpu *v, bool flush_global);
/* v is not loaded: the idle cpu that still has its tables and translations, if any, gives them up.
 */
void cpu_drop_space(struct vcpu *v);
/* Tell this cpu's descriptor windows: GDT (and LDT) of v have changed. v is loaded on this cpu. */
void cpu_load_gdt(struct vcpu *v);
void cpu_load_ldt(struct vcpu *v);
/* Enter/leave guest-kernel mode: swaps gs, loads the root, sets v->arch.kernel_mode. v is loaded
 * here. */
void cpu_toggle_mode(struct vcpu *v);
/* The registers of the vcpu loaded on this cpu (top of stack). */
struct regs *cpu_guest_regs(void);
void cpu_wbinvd(void);     /* writes back and empties the caches of this cpu */
void cpu_wbinvd_all(void); /* of all cpus; interrupts on. Empties their TLBs on the way */
/* Save/restore the FPU state of the loaded vcpu to v->arch.xstate (eager: at vcpu switch; here for
 * get/set context). */
void cpu_xstate_save(struct vcpu *v);
void cpu_xstate_load(struct vcpu *v);
/* Whether loading leaves the x87's pointers as another left them: then they are overwritten first.
 */
void cpu_xstate_pointers(bool stay);
uint32_t cpu_xstate_size(void);     /* bytes of the area for all features we enable */
uint64_t cpu_xstate_features(void); /* XCR0 mask the hypervisor supports; 0 without XSAVE */
uint64_t cpu_dr_mask_unused(void);
/* Start of this cpu's LDT window (16 pages): the processor's LDTR base while a guest has an LDT. */
uint64_t cpu_ldt_window(void);
/* Put v's xstate area (not loaded) into the initial state. */
void cpu_xstate_reset(struct vcpu *v);
/* PCI configuration by configuration mechanism 1: `cf8` as latched by the guest (enable bit set),
 * offset 0-3, size 1, 2, 4. locks: takes pcicfg. */
uint32_t cpu_pci_read(uint32_t cf8, unsigned int offset, unsigned int size);
void cpu_pci_write(uint32_t cf8, unsigned int offset, unsigned int size, uint32_t val);
/* A register of the RTC and its memory: the index and the data port as one. locks: takes pcicfg. */
uint8_t cpu_cmos_read(uint8_t index);
void cpu_cmos_write(uint8_t index, uint8_t val);
