/* SPDX-License-Identifier: MIT */
/*
 * Where the compiler sends indirect branches: a thunk for each register.  As linked it is a plain jump; guard.c puts one
 * of the other two forms in its place where the processor's branch predictions can be trained by a guest.
 *
 * Retpoline: the return is predicted to go where the call came from, a loop without end, and really goes to the register's
 * value (Intel, "Retpoline: A Branch Target Injection Mitigation").
 */
#include "hw/layout.h"

.macro THUNK_NAMES form
    .irp reg, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    \form \reg
    .endr
.endm

.macro PLAIN reg
    .balign THUNK_SIZE, 0xcc
    .globl __x86_indirect_thunk_\reg
    .hidden __x86_indirect_thunk_\reg
__x86_indirect_thunk_\reg:
    jmp *%\reg
    int3
.endm

.macro FENCED reg
    .balign THUNK_SIZE, 0xcc
    lfence
    jmp *%\reg
    int3
.endm

.macro RETPOLINE reg
    .balign THUNK_SIZE, 0xcc
    call 2f
1:  pause
    lfence
    jmp 1b
2:  mov %\reg, (%rsp)
    ret
    int3
.endm

    .text
    .globl thunks, thunks_end
    .hidden thunks, thunks_end
    .balign THUNK_SIZE
thunks:
    THUNK_NAMES PLAIN
    .balign THUNK_SIZE, 0xcc
thunks_end:

    .section .rodata
    .globl thunks_lfence, thunks_retpoline
    .hidden thunks_lfence, thunks_retpoline
    .balign THUNK_SIZE
thunks_lfence:
    THUNK_NAMES FENCED
    .balign THUNK_SIZE, 0xcc
thunks_retpoline:
    THUNK_NAMES RETPOLINE
    .balign THUNK_SIZE, 0xcc

    .section .note.GNU-stack, "", @progbits
