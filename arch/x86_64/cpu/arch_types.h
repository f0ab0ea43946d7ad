/* SPDX-License-Identifier: MIT */
/* x86_64's part of struct vcpu and struct domain. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "cpu/regs.h"
#include "mm/addr.h"

struct frame;
struct x86_cpuid_policy;

/* An entry point of the guest's kernel. */
struct x86_callback {
    uint64_t eip; /* 0 = none */
    bool mask;    /* mask event upcalls on entry */
};

struct x86_trap_entry {
    uint64_t eip; /* 0 = none: the domain crashes */
    uint16_t cs;
    uint8_t flags; /* TI_*: privilege (low 2 bits), bit 2: mask event upcalls */
};

#define X86_GDT_FRAMES 14 /* FIRST_RESERVED_GDT_PAGE */

struct arch_vcpu {
    struct regs regs; /* while not loaded; while loaded they lie at the top of the cpu's stack */
    bool kernel_mode; /* in guest-kernel (else guest-user) mode */
    bool in_syscall;

    /* Page tables: references and type references are held. */
    struct frame *root_kernel; /* NULL only before the first context is set */
    struct frame *root_user;   /* may be NULL: new_user_baseptr(0) */
    struct frame *root_next;   /* of a context that is not complete yet; see mm_set_roots() */

    _Atomic uint32_t
        space_cpu; /* 1 + the cpu whose table is one of these, loaded or idle; 0: none */

    /* Guest-kernel stack for entries from user mode (stack_switch). */
    uint64_t kernel_sp;
    uint16_t kernel_ss;

    /* Entry points. */
    struct x86_trap_entry *traps; /* 256, never NULL for a guest vcpu */
    struct x86_callback event, failsafe, syscall, syscall32, sysenter;
    bool nmi_pending; /* the handler is that of vector 2 */
    bool nmi_blocked;
    uint8_t iopl;      /* guest kernel's notion (0, 1 or 3) */
    uint8_t *iobmp;    /* reserved: guest I/O bitmap is read from guest memory */
    uint64_t iobmp_va; /* PHYSDEVOP_set_iobitmap */
    uint32_t iobmp_ports;

    /* Segments: bases of fs, gs (user, kernel) and selectors; saved while not loaded. */
    uint64_t fs_base, gs_base_user, gs_base_kernel;
    uint16_t ds, es, fs, gs;

    /* Descriptor tables; references and FT_DESC references are held on the frames. */
    struct frame *gdt_frame[X86_GDT_FRAMES];
    uint32_t gdt_entries;
    uint32_t ldt_entries;
    uint64_t ldt_base; /* guest virtual address; pages are mapped on demand */
    struct frame *ldt_frame[16];

    /* Control and debug registers as the guest sees them. */
    uint64_t cr0_ts; /* X86_CR0_TS or 0: fpu_taskswitch */
    uint64_t cr2;    /* mirrored in vcpu_info.arch.cr2 */
    uint64_t cr4;
    uint64_t dr[8]; /* 0-3, 6, 7 */
    uint64_t xcr0;
    uint64_t xcr0_accum;
    void *xstate; /* XSAVE area, 64-byte aligned, always allocated */
    uint64_t msr_tsc_aux;
    uint64_t msr_misc_features;
    bool has_pkru;
};

/* A table that a vcpu's interrupted request wanted, made ready (or found bad) by another vcpu's
 * call [mm]. */
struct pt_hold {
    const struct vcpu *who; /* NULL = unused; compared only */
    struct frame *f;
    uint32_t type; /* enum frame_type wanted */
    int32_t
        error; /* 0: a reference and a type reference are held; else what the request will get */
};
/* For as many vcpus as run at once: with fewer, each gives up the next one's in its turn, and none
 * comes to its end. (A domain fits a frame.) */
#define PT_HOLDS (CONFIG_MAX_CPUS < 64 ? CONFIG_MAX_CPUS : 64)

/* A walk over page tables of levels 2-4, and how far it has got: guest/pt_walk.c [mm]. */
struct pt_cursor {
    bool active;
    bool drop;     /* gives up what entries hold (else: takes it) */
    bool failed;   /* `drop` undoes a refused validation, whose error is `error` */
    uint8_t top;   /* level of the table where the walk began */
    uint8_t level; /* level of the table it is in */
    int32_t error;
    const struct vcpu *who; /* whose request began it; compared only */
    struct frame *f[5];     /* tables on the path, by level */
    uint32_t next[5];       /* validation: next entry; drop: entries below this are left */
    struct pt_hold hold[PT_HOLDS];
    uint32_t hold_next; /* which to give up when all are in use */
    uint32_t holds;     /* in use */
};

struct arch_domain {
    struct x86_cpuid_policy *policy; /* guest/cpuid.c */
    uint32_t tsc_mode;               /* XEN_DOMCTL_settscinfo */
    bool vtsc;                       /* rdtsc traps and is emulated */
    uint32_t tsc_khz;
    uint32_t tsc_incarnation;
    void *e820; /* XENMEM_set_memory_map: struct e820 entries */
    uint32_t e820_count;
    uint32_t pci_cf8;    /* dom0's latched configuration address */
    uint8_t cmos_index;  /* the same of the RTC */
    struct pt_cursor pt; /* the one walk over page tables that may be under way [mm] */
};
