/* SPDX-License-Identifier: MIT */
/* Entry points of a test guest: start, secondary start, exceptions, callbacks, user mode. */
#include "kit/layout.h"


#define NOTE_BEGIN(type) .balign 4; .long 4, 2f - 1f, type; .asciz "Xen"; 1:
#define NOTE_END 2: .balign 4

    .section .note.Xen, "a", @note
    NOTE_BEGIN(6) .asciz "joist-test"; NOTE_END             /* guest OS */
    NOTE_BEGIN(5) .asciz "xen-3.0"; NOTE_END                /* ABI version */
    NOTE_BEGIN(8) .asciz "generic"; NOTE_END                /* loader */
    NOTE_BEGIN(9) .asciz "yes"; NOTE_END                    /* PAE mode */
#ifndef KIT_LOW                                             /* else a base of 0 and the ELF header's entry */
    NOTE_BEGIN(3) .quad KIT_BASE; NOTE_END                  /* virtual base */
    NOTE_BEGIN(4) .quad 0; NOTE_END                         /* p_paddr is pseudo-physical */
    NOTE_BEGIN(1) .quad _start; NOTE_END
#endif
    NOTE_BEGIN(2) .quad hypercall_page; NOTE_END
    NOTE_BEGIN(10) .asciz "!writable_page_tables|pae_pgdir_above_4gb"; NOTE_END

    .section .text.start, "ax"
    .globl _start, hypercall_page
_start:
    mov %rax, kit_start_regs(%rip)
    mov %rbx, kit_start_regs + 8(%rip)
    mov %rcx, kit_start_regs + 16(%rip)
    mov %rdx, kit_start_regs + 24(%rip)
    mov %rdi, kit_start_regs + 32(%rip)
    mov %rbp, kit_start_regs + 40(%rip)
    mov %r8, kit_start_regs + 48(%rip)
    mov %r9, kit_start_regs + 56(%rip)
    mov %r10, kit_start_regs + 64(%rip)
    mov %r11, kit_start_regs + 72(%rip)
    mov %r12, kit_start_regs + 80(%rip)
    mov %r13, kit_start_regs + 88(%rip)
    mov %r14, kit_start_regs + 96(%rip)
    mov %r15, kit_start_regs + 104(%rip)
    cld
    mov %rsi, %rdi
    lea kit_stacks + KIT_STACK_SIZE(%rip), %rsp
    xor %ebp, %ebp
    call kit_main
    ud2

    .balign 4096
hypercall_page:
    .skip 4096

    .text
    .globl kit_secondary
kit_secondary:
    cld
    xor %ebp, %ebp
    call kit_secondary_main
    ud2

/*
 * The hypervisor pushes rcx, r11, an error code for some vectors, and an iret frame.  The stubs
 * bring every case to the same shape: vector, error code, iret frame.
 */
.macro STUB vector, has_error=0
    .balign 16
    pop %rcx
    pop %r11
    .if \has_error == 0
    pushq $0
    .endif
    pushq $\vector
    jmp common
.endm

    .balign 16
    .globl kit_stubs, kit_stub_int80, kit_stub_event, kit_stub_failsafe, kit_stub_syscall
    .globl kit_stub_syscall32, kit_stub_sysenter
kit_stubs:
    STUB 0
    STUB 1
    STUB 2
    STUB 3
    STUB 4
    STUB 5
    STUB 6
    STUB 7
    STUB 8, 1
    STUB 9
    STUB 10, 1
    STUB 11, 1
    STUB 12, 1
    STUB 13, 1
    STUB 14, 1
    STUB 15
    STUB 16
    STUB 17, 1
    STUB 18
    STUB 19
    STUB 20
    STUB 21, 1
kit_stub_int80:
    STUB 0x80
kit_stub_event:
    STUB KIT_VEC_EVENT
kit_stub_syscall:
    STUB KIT_VEC_SYSCALL
kit_stub_syscall32:
    STUB KIT_VEC_SYSCALL32
kit_stub_sysenter:
    STUB KIT_VEC_SYSENTER
    .balign 16
kit_stub_failsafe:                  /* four selectors lie between r11 and the iret frame */
    pop %rcx
    pop %r11
    pop kit_failsafe_sels(%rip)
    pop kit_failsafe_sels + 8(%rip)
    pop kit_failsafe_sels + 16(%rip)
    pop kit_failsafe_sels + 24(%rip)
    pushq $0
    pushq $KIT_VEC_FAILSAFE
    jmp common

common:
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %rax
    push %r8
    push %r9
    push %r10
    push %r11
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    cld
    mov %rsp, %rdi
    mov %rsp, %rbx
    and $-16, %rsp
    call kit_trap
    mov %rbx, %rsp
    movq $0, KIT_REGS_ERROR(%rsp)   /* the slot below rip: the flags of the iret call */
    jmp return

/* void kit_enter_user(const struct kit_regs *r, u64 flags): comes back through kit_leave_user */
    .globl kit_enter_user, kit_leave_user
kit_enter_user:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %rax
    dec %rax
    and $-KIT_STACK_SIZE, %rax
    mov %rsp, KIT_CPU_USER_RSP(%rax)
    sub $KIT_REGS_SIZE, %rsp
    mov %rsi, %rdx
    mov %rdi, %rsi
    mov %rsp, %rdi
    mov $KIT_REGS_SIZE / 8, %ecx
    cld
    rep movsq
    mov %rdx, KIT_REGS_ERROR(%rsp)
    jmp return

/* void kit_leave_user(u64 saved_rsp) */
kit_leave_user:
    mov %rdi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

return:
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rax
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    add $8, %rsp
    push %rcx
    push %r11
    push %rax
    mov $23, %eax
    syscall
    ud2

/* u64 kit_try(void (*fn)(u64), u64 arg): 0 if fn returned, 1 if it faulted */
    .globl kit_try, kit_try_resume
kit_try:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    sub $8, %rsp
    mov %rsp, %rbx
    and $-KIT_STACK_SIZE, %rbx
    mov %rsp, KIT_CPU_TRY_RSP(%rbx)
    mov %rdi, %rax
    mov %rsi, %rdi
    call *%rax
    movq $0, KIT_CPU_TRY_RSP(%rbx)
    xor %eax, %eax
    jmp 1f
kit_try_resume:
    mov $1, %eax
1:  add $8, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

    .bss
    .globl kit_stacks, kit_failsafe_sels, kit_start_regs
    .balign 8
kit_failsafe_sels:
    .skip 32
kit_start_regs:
    .skip 8 * 14
    .balign KIT_STACK_SIZE
kit_stacks:
    .skip KIT_STACK_SIZE * KIT_MAX_CPUS
    .section .note.GNU-stack, "", @progbits
