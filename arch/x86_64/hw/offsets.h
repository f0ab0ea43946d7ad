/* SPDX-License-Identifier: MIT */
/* Offsets that assembly uses; offsets.c proves each against the structures. */
#pragma once

#define REGS_R15    0
#define REGS_RBX    40
#define REGS_R11    48
#define REGS_RCX    56
#define REGS_RAX    64
#define REGS_RDI    72
#define REGS_RSI    80
#define REGS_RDX    88
#define REGS_R10    96
#define REGS_R8     104
#define REGS_R9     112
#define REGS_ERROR  120
#define REGS_VECTOR 124
#define REGS_RIP    128
#define REGS_CS     136
#define REGS_RFLAGS 144
#define REGS_RSP    152
#define REGS_SS     160
#define REGS_SIZE   168

/* struct cpu_info, which begins with its regs */
#define INFO_CURRENT 168
#define INFO_WORK    176
#define INFO_ENTRY   216
#define INFO_SIZE    232

#define VEC_OF_SYSCALL 0x100

#define HCALL_ROW_SHIFTED 3 /* a row is 3 * 8 bytes */
#define HCALL_ROW_FN      8
#define HCALL_ROW_WHO     17
#define HCALL_ROW_FLAGS   18
#define HCALL_MAX         63
#define HCALL_NORESULT    2
#define ERR_NOSYS         (-38)

/*
 * Of the page PC_DATA.  With guard_entry.S, entries find there the root to load and the stack to go
 * on at: the main one, and after it those of the interrupt stack table, 1 to 4.  The small stacks
 * that the processor itself uses end at PCD_IST and every PCD_IST_SIZE bytes after it; that of
 * ordinary entries at the end of the page.
 */
#define PCD_RSP      0 /* where the SYSCALL stub puts the guest's stack pointer */
#define PCD_RAX      8
#define PCD_FULL     16
#define PCD_CUT      24 /* the root that the guest runs on */
#define PCD_TOP      32 /* five of them */
#define PCD_LEFT     72 /* the stacks of the table have been used since they were last cleared */
#define PCD_TSS      128
#define PCD_IST      0x600
#define PCD_IST_SIZE 0x200
#define PCD_END      0x1000
#define PCD_USED     128 /* bytes before that which entries and exits use */
