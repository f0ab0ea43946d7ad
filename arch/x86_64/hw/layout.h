/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's address space: top-level slots 256-271
 * (0xffff8000_00000000-0xffff8800_00000000).
 *
 *   256      M2P as guests see it: read-only, user
 *   257      M2P, writable, supervisor
 *   258      frame table
 *   260-267  direct map of RAM, no execute
 *   271      device mappings, one 4 MiB area per cpu, the image
 *
 * Shared by C, assembly and the linker script: plain numbers only.
 */
#pragma once

#define HV_M2P_RO  0xffff800000000000
#define HV_M2P_RW  0xffff808000000000
#define HV_FRAMES  0xffff810000000000
#define HV_DIRECT  0xffff820000000000
#define HV_DEVICES 0xffff87fe00000000
#define HV_PERCPU  0xffff87ff40000000
#define HV_IMAGE   0xffff87ff80000000

#define HV_DIRECT_SIZE  0x40000000000 /* 4 TiB */
#define HV_DEVICES_SIZE 0x100000000

/* A cpu's area; addresses from HV_PERCPU + cpu * PERCPU_SIZE.  The first half has what a guest's
 * cut-down root maps, too: its level-1 table is in both. */
#define PERCPU_SIZE 0x400000
#define PC_GDT      0x0     /* 16 pages: 14 of the guest, then ours */
#define PC_LDT      0x10000 /* 16 pages */
#define PC_DATA                                                                            \
    0x20000 /* a page: the SYSCALL stub's data, the TSS, the small stacks of guard_entry.S \
             */
#define PC_STACK 0x200000 /* block of stacks; the boot cpu's lies in the image instead */

/*
 * A block of stacks, aligned to its size, so that any stack pointer leads to struct cpu_info at its
 * end. Pages not named are unmapped: guards.
 */
#define BLOCK_SIZE      0x20000
#define BLOCK_MASK      0x1ffff
#define BLOCK_DF_PAGE   1 /* and the next: double fault */
#define BLOCK_NMI_PAGE  4
#define BLOCK_MC_PAGE   7
#define BLOCK_DB_PAGE   10
#define BLOCK_MAIN_PAGE 24 /* to 31 */
#define BLOCK_PAGES     32
#define BLOCK_TOP \
    (BLOCK_SIZE - 64) /* where entries from ring 3 push: below the rest of struct cpu_info */

#define GDT_OURS_PAGE 14
#define SEL_HV_CS     0xe008
#define SEL_HV_DS     0xe010
#define SEL_USER_CS32 0xe023
#define SEL_USER_DS   0xe02b
#define SEL_USER_CS   0xe033
#define SEL_TSS       0xe038
#define SEL_HV_LDT    0xe048

#define STUB_SIZE  256 /* SYSCALL entry of a cpu */
#define THUNK_SIZE 32  /* of an indirect branch through a register */

/* What may be wanted of guard_entry.S. */
#define GUARD_XPTI 1
#define GUARD_IBRS 2
#define GUARD_IBPB 4
#define GUARD_RSB  8
#define GUARD_VERW 16
#define GUARD_DIV  32

/* Interrupt vectors of ours; below VEC_FIRST_IRQ are the processor's exceptions. */
#define VEC_FIRST_IRQ 0x30
#define VEC_LAST_IRQ  0xdf
#define VEC_TIMER     0xf0
#define VEC_IPI_WORK  0xfb
#define VEC_IPI_TLB   0xfc
#define VEC_ERROR     0xfe
#define VEC_SPURIOUS  0xff
