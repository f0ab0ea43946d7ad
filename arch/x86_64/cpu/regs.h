/* SPDX-License-Identifier: MIT */
/*
 * The saved registers of an entry into the hypervisor, lowest address first.
 *
 * The six hypercall arguments stand in ABI order, so that a handler's struct hcall_args is a
 * pointer into this.  hw/offsets.c exports the offsets to assembly.
 */
#pragma once

#include <stdint.h>

struct regs {
    uint64_t r15, r14, r13, r12, rbp, rbx;
    uint64_t r11, rcx, rax;
    uint64_t rdi, rsi, rdx, r10, r8, r9; /* struct hcall_args */
    uint32_t error;                      /* error code, 0 if the exception has none */
    uint32_t vector;                   /* exception or interrupt vector; REGS_SYSCALL for SYSCALL */
    uint64_t rip, cs, rflags, rsp, ss; /* as the processor pushes them */
};

#define REGS_SYSCALL 0x100u /* entered by SYSCALL: may be left by SYSRET */
