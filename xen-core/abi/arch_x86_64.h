/* SPDX-License-Identifier: MIT */
/*
 * x86-64 part of the PV interface: register file, vCPU context, selectors, hypervisor hole.
 *
 * Facts: Xen 4.17 public arch-x86/xen.h, arch-x86/xen-x86_64.h, arch-x86/cpuid.h.
 */
#pragma once

#include "abi/types.h"

/* Flat selectors in the part of the GDT that belongs to the hypervisor; all of ring 3. */
#define FLAT_RING3_CS32 0xe023
#define FLAT_RING3_CS64 0xe033
#define FLAT_RING3_DS32 0xe02b
#define FLAT_RING3_DS64 0x0000
#define FLAT_RING3_SS32 0xe02b
#define FLAT_RING3_SS64 0xe02b
#define FLAT_KERNEL_DS  FLAT_RING3_DS64
#define FLAT_KERNEL_CS  FLAT_RING3_CS64
#define FLAT_KERNEL_SS  FLAT_RING3_SS64
#define FLAT_USER_DS    FLAT_RING3_DS64
#define FLAT_USER_CS    FLAT_RING3_CS64
#define FLAT_USER_SS    FLAT_RING3_SS64
#define FLAT_USER_CS32  FLAT_RING3_CS32
#define FLAT_USER_DS32  FLAT_RING3_DS32
#define FLAT_USER_SS32  FLAT_RING3_SS32

/* GDT pages below this one are the guest's. */
#define FIRST_RESERVED_GDT_PAGE  14
#define FIRST_RESERVED_GDT_BYTE  (FIRST_RESERVED_GDT_PAGE * 4096)
#define FIRST_RESERVED_GDT_ENTRY (FIRST_RESERVED_GDT_BYTE / 8)

/* The hole that no guest may map into, and the machine-to-physical table inside it. */
#define HYPERVISOR_VIRT_START 0xffff800000000000UL
#define HYPERVISOR_VIRT_END   0xffff880000000000UL
#define MACH2PHYS_VIRT_START  0xffff800000000000UL
#define MACH2PHYS_VIRT_END    0xffff804000000000UL
#define MACH2PHYS_NR_ENTRIES  ((MACH2PHYS_VIRT_END - MACH2PHYS_VIRT_START) >> 3)

/* vCPUs whose vcpu_info lies in the shared page until it is registered elsewhere. */
#define XEN_LEGACY_MAX_VCPUS 32

/* set_segment_base: which */
#define SEGBASE_FS          0
#define SEGBASE_GS_USER     1
#define SEGBASE_GS_KERNEL   2
#define SEGBASE_GS_USER_SEL 3 /* the value is a selector */

/* What the guest kernel leaves on its stack for the iret call. */
struct iret_context {
    uint64_t rax;
    uint64_t r11;
    uint64_t rcx;
    uint64_t flags; /* VGCF_in_syscall */
    uint64_t rip;
    uint64_t cs;
    uint64_t rflags;
    uint64_t rsp;
    uint64_t ss;
};
_Static_assert(sizeof(struct iret_context) == 72, "iret_context");

struct cpu_user_regs {
    uint64_t r15;
    uint64_t r14;
    uint64_t r13;
    uint64_t r12;
    uint64_t rbp;
    uint64_t rbx;
    uint64_t r11;
    uint64_t r10;
    uint64_t r9;
    uint64_t r8;
    uint64_t rax;
    uint64_t rcx;
    uint64_t rdx;
    uint64_t rsi;
    uint64_t rdi;
    uint32_t error_code;   /* not the guest's to set */
    uint32_t entry_vector; /* not the guest's to set */
    uint64_t rip;
    uint16_t cs;
    uint16_t _pad0[1];
    uint8_t saved_upcall_mask;
    uint8_t _pad1[3];
    uint64_t rflags;
    uint64_t rsp;
    uint16_t ss;
    uint16_t _pad2[3];
    uint16_t es;
    uint16_t _pad3[3];
    uint16_t ds;
    uint16_t _pad4[3];
    uint16_t fs;
    uint16_t _pad5[3];
    uint16_t gs;
    uint16_t _pad6[3];
};
_Static_assert(sizeof(struct cpu_user_regs) == 200, "cpu_user_regs");
_Static_assert(offsetof(struct cpu_user_regs, rip) == 128, "cpu_user_regs.rip");
_Static_assert(offsetof(struct cpu_user_regs, ss) == 160, "cpu_user_regs.ss");

/* One entry of set_trap_table. */
struct trap_info {
    uint8_t vector;
    uint8_t flags; /* 0-1: privilege from which it may be raised; 2: masks events */
    uint16_t cs;
    uint64_t address; /* 0 ends a table */
};
_Static_assert(sizeof(struct trap_info) == 16, "trap_info");

/* vcpu_guest_context.flags */
#define VGCF_i387_valid               (1 << 0)
#define VGCF_in_kernel                (1 << 2)
#define VGCF_failsafe_disables_events (1 << 3)
#define VGCF_syscall_disables_events  (1 << 4)
#define VGCF_online                   (1 << 5)
#define VGCF_in_syscall               (1 << 8) /* iret_context.flags: return by SYSRET rules */

struct vcpu_guest_context {
    struct {
        char x[512];
    } fpu_ctxt; /* FXSAVE image */
    uint64_t flags;
    struct cpu_user_regs user_regs;
    struct trap_info trap_ctxt[256];
    uint64_t ldt_base; /* linear */
    uint64_t ldt_ents;
    uint64_t gdt_frames[16]; /* machine frames */
    uint64_t gdt_ents;
    uint64_t kernel_ss;
    uint64_t kernel_sp;
    uint64_t ctrlreg[8]; /* 1: root of user tables; 3: of kernel tables; xen_pfn_to_cr3 form */
    uint64_t debugreg[8];
    uint64_t event_callback_eip;
    uint64_t failsafe_callback_eip;
    uint64_t syscall_callback_eip;
    uint64_t vm_assist;
    uint64_t fs_base;
    uint64_t gs_base_kernel;
    uint64_t gs_base_user;
};
_Static_assert(sizeof(struct vcpu_guest_context) == 5168, "vcpu_guest_context");
_Static_assert(offsetof(struct vcpu_guest_context, ctrlreg) == 4984, "vcpu_guest_context.ctrlreg");

struct arch_vcpu_info {
    uint64_t cr2; /* of the last page fault that was delivered */
    uint64_t pad;
};
_Static_assert(sizeof(struct arch_vcpu_info) == 16, "arch_vcpu_info");

struct arch_shared_info {
    uint64_t max_pfn;                     /* all from here to the end are the guest's words to */
    xen_pfn_t pfn_to_mfn_frame_list_list; /* the tools: where its P2M lies */
    uint64_t nmi_reason;                  /* bits of abi/nmi.h */
    uint64_t p2m_cr3;
    uint64_t p2m_vaddr;
    uint64_t p2m_generation;
};
_Static_assert(sizeof(struct arch_shared_info) == 48, "arch_shared_info");

/* xen_arch_domainconfig.misc_flags */
#define XEN_X86_MSR_RELAXED    (1U << 0)
#define XEN_X86_MISC_FLAGS_MAX XEN_X86_MSR_RELAXED

struct xen_arch_domainconfig {
    uint32_t emulation_flags; /* 0 for PV, but for the PIT that tools ask for on a dom0 */
    uint32_t misc_flags;
};
_Static_assert(sizeof(struct xen_arch_domainconfig) == 8, "xen_arch_domainconfig");

#define XEN_X86_EMU_PIT      (1U << 8)
#define XEN_X86_EMU_USE_PIRQ (1U << 9)
#define XEN_X86_EMU_ALL      0x7ffU

/* CPU policy records. */
#define XEN_CPUID_NO_SUBLEAF 0xffffffffU

struct xen_cpuid_leaf {
    uint32_t leaf;
    uint32_t subleaf;
    uint32_t a;
    uint32_t b;
    uint32_t c;
    uint32_t d;
};
_Static_assert(sizeof(struct xen_cpuid_leaf) == 24, "xen_cpuid_leaf");

struct xen_msr_entry {
    uint32_t idx;
    uint32_t flags; /* must be 0 */
    uint64_t val;
};
_Static_assert(sizeof(struct xen_msr_entry) == 16, "xen_msr_entry");

/* Hypervisor CPUID leaves, relative to XEN_CPUID_FIRST_LEAF. */
#define XEN_CPUID_FIRST_LEAF                      0x40000000U
#define XEN_CPUID_SIGNATURE_EBX                   0x566e6558U /* "XenV" */
#define XEN_CPUID_SIGNATURE_ECX                   0x65584d4dU /* "MMXe" */
#define XEN_CPUID_SIGNATURE_EDX                   0x4d4d566eU /* "nVMM" */
#define XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD (1U << 0)
#define XEN_CPUID_MACHINE_ADDRESS_WIDTH_MASK      (0xffU << 0)
#define XEN_CPUID_MAX_NUM_LEAVES                  5

/* A control register of the guest <-> the frame of its root table. */
#define xen_pfn_to_cr3(pfn) ((uint64_t)(pfn) << 12)
#define xen_cr3_to_pfn(cr3) ((uint64_t)(cr3) >> 12)
