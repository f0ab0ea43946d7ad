/* SPDX-License-Identifier: MIT */
/*
 * Entries from ring 3 and back: exceptions, interrupts, SYSCALL, SYSENTER.
 *
 * Every entry makes a struct regs.  From ring 3 it is the last part of the cpu's block of stacks,
 * so that the stack pointer of the common code leads to struct cpu_info at fixed distances.
 * The hot path, a hypercall that any domain may issue, is all here; see the comment at syscall_entry.
 * On processors that need more at the border to a guest, guard_entry.S stands before the entries and in place of the two exits.
 */
#include "config.h"
#include "hw/layout.h"
#include "hw/offsets.h"

#define X86_CLAC 662: .byte 0x0f, 0x1f, 0x00; .pushsection .smap_patch, "a"; .quad 662b, 0xca010f; .popsection
#define FIXUP(from, to) .pushsection .ex_table, "a"; .quad from, to; .popsection

.macro PUSH_REGS
    push %r9
    push %r8
    push %r10
    push %rdx
    push %rsi
    push %rdi
    push %rax
    push %rcx
    push %r11
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
.endm

/* All but the error code; rsp is at it afterwards. */
.macro POP_REGS
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    pop %r11
    pop %rcx
    pop %rax
    pop %rdi
    pop %rsi
    pop %rdx
    pop %r10
    pop %r8
    pop %r9
.endm

    .text

/* ---- stubs of the 256 vectors, 16 bytes each -------------------------------------------------------------- */

    .globl vector_stubs
    .hidden vector_stubs
    .balign 16
vector_stubs:
    vector = 0
    .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
    push $0
    .endif
    movl $vector, 4(%rsp)
    .if vector >= 32
    jmp irq_common
    .elseif vector == 1
    jmp db_common
    .elseif vector == 2 || vector == 8 || vector == 18
    jmp ist_common
    .else
    jmp exception_common
    .endif
    vector = vector + 1
    .endr

    .balign 16
    .globl exception_common
    .hidden exception_common
exception_common:
    PUSH_REGS
    cld
    X86_CLAC
    testb $3, REGS_CS(%rsp)
    jz exception_kernel
    mov %cr2, %rsi
    .globl guest_exception
    .hidden guest_exception
guest_exception:
    mov %rsp, %rdi
    sti
    call guest_trap

/* Back to ring 3, rsp at its struct regs: work and upcalls first. */
    .globl exit_guest
    .hidden exit_guest
exit_guest:
    cli
    mov INFO_CURRENT(%rsp), %rdi
    cmpl $0, INFO_WORK(%rsp)
    jne exit_work
    mov VCPU_INFO(%rdi), %rdx
    cmpw $1, (%rdx)             /* an upcall is pending (byte 0) and not masked (byte 1) */
    je exit_upcall
restore_guest:
    cmpl $VEC_OF_SYSCALL, REGS_VECTOR(%rsp)
    jne restore_iret
    mov REGS_R15(%rsp), %r15
    mov REGS_R15+8(%rsp), %r14
    mov REGS_R15+16(%rsp), %r13
    mov REGS_R15+24(%rsp), %r12
    mov REGS_R15+32(%rsp), %rbp
    jmp restore_sysret

exit_work:
    mov %rsp, %rdi
    call guest_return
    jmp restore_guest

exit_upcall:
    mov %rsp, %rsi
    call guest_upcall
    jmp restore_guest

/* void x86_enter_guest(struct regs *r): interrupts off; does not return. */
    .globl x86_enter_guest
    .hidden x86_enter_guest
x86_enter_guest:
    mov %rdi, %rsp
    jmp restore_guest

/*
 * SYSRET does not take the address from where it faults with our stack loaded: an address that is not canonical
 * is made so, and the guest faults at that.
 */
    .balign 16
    .globl restore_sysret
    .hidden restore_sysret
restore_sysret:
    mov REGS_RIP(%rsp), %rcx
    mov REGS_RFLAGS(%rsp), %r11
    shl $16, %rcx
    mov REGS_RBX(%rsp), %rbx
    sar $16, %rcx
    mov REGS_RAX(%rsp), %rax
    mov REGS_RDI(%rsp), %rdi
    mov REGS_RSI(%rsp), %rsi
    mov REGS_RDX(%rsp), %rdx
    mov REGS_R10(%rsp), %r10
    mov REGS_R8(%rsp), %r8
    mov REGS_R9(%rsp), %r9
    mov REGS_RSP(%rsp), %rsp
    sysretq

    .globl restore_iret
    .hidden restore_iret
restore_iret:
    POP_REGS
    add $8, %rsp
    .globl iret_guest
    .hidden iret_guest
iret_guest:
    iretq

/* ---- from ring 0 ---------------------------------------------------------------------------------------------- */

/* trap_kernel returns where to go on: the frame, or the guest's if that was IRET's fault. */
exception_kernel:
    mov %rsp, %rdi
    call trap_kernel
    mov %rax, %rsp
    testb $3, REGS_CS(%rsp)
    jnz exit_guest
restore_kernel:
    POP_REGS
    add $8, %rsp
    iretq

    .balign 16
    .globl irq_common
    .hidden irq_common
irq_common:
    PUSH_REGS
    cld
    X86_CLAC
    mov %rsp, %rdi
    call trap_irq
    testb $3, REGS_CS(%rsp)
    jnz exit_guest
    jmp restore_kernel

/* On a small stack, with all registers saved there, after an exception in ring 3: the same on the main stack. */
.macro FROM_GUEST_TO_MAIN
    mov %rsp, %rsi
    mov %rsp, %rdi
    or $BLOCK_MASK, %rdi
    sub $(INFO_SIZE - 1), %rdi
    mov %rdi, %rdx
    mov $(REGS_SIZE / 8), %ecx
    rep movsq
    mov %rdx, %rsp
.endm

/*
 * NMI, double fault, machine check: on stacks of their own, and no work on the way back.  One from ring 3 moves to the main
 * stack, and goes back like any exception: another vcpu may have changed the guest's descriptors, and IRET faults then.
 */
ist_common:
    PUSH_REGS
    cld
    X86_CLAC
    testb $3, REGS_CS(%rsp)
    jz 1f
    FROM_GUEST_TO_MAIN
    mov %rsp, %rdi
    call trap_ist
    jmp exit_guest
1:  mov %rsp, %rdi
    call trap_ist
    jmp restore_kernel

/*
 * Debug exceptions have their own stack, because one may come before the first instruction after SYSCALL, on the guest's.
 * One from ring 3 moves to the main stack.
 */
db_common:
    PUSH_REGS
    cld
    X86_CLAC
    testb $3, REGS_CS(%rsp)
    jz 1f
    FROM_GUEST_TO_MAIN
    xor %esi, %esi
    jmp guest_exception
1:  mov %rsp, %rdi
    call trap_debug
    jmp restore_kernel

/* ---- SYSCALL -------------------------------------------------------------------------------------------------- */

/*
 * From the cpu's stub (seg.c), which has switched stacks and pushed ss, rsp, rflags, cs and rip.
 *
 * A guest kernel's call of a row that any domain may issue goes straight to the handler.  Everything else, and
 * results that are not simply stored, go to C.  Handlers keep the callee-saved registers, and nothing but
 * rip, rflags, rsp, rax and rbx of the frame is taken from memory for sure: so the fast way back
 * leaves rbp and r12-r15 alone.  The registers are complete in memory all the same.
 */
    .globl syscall_entry
    .hidden syscall_entry
    .balign 64
syscall_entry:
    pushq syscall_vector(%rip)
    PUSH_REGS
    sti
    mov INFO_CURRENT(%rsp), %rdi
    cmpb $0, VCPU_KERNEL_MODE(%rdi)
    je syscall_user
    cmp $HCALL_MAX, %rax
    ja syscall_nosys
    and $HCALL_MAX, %eax        /* in bounds for speculation, too */
    lea (%rax, %rax, 2), %rbx
    lea hcall_table(%rip), %rcx
    lea (%rcx, %rbx, 8), %rbx
#if CONFIG_PREEMPT_MEASURE
    jmp syscall_slow            /* where calls are timed */
#endif
    cmpb $0, HCALL_ROW_WHO(%rbx)
    jne syscall_slow
    mov HCALL_ROW_FN(%rbx), %rax
    test %rax, %rax
    jz syscall_nosys
    lea REGS_RDI(%rsp), %rsi
    .globl syscall_call
    .hidden syscall_call
syscall_call:                   /* as long as the call of a thunk, which guard.c may put here */
    .byte 0x2e, 0x2e, 0x2e
    call *%rax
    testb $HCALL_NORESULT, HCALL_ROW_FLAGS(%rbx)
    jnz syscall_finish
    test %rax, %rax
    js syscall_negative
syscall_store:
    mov %rax, REGS_RAX(%rsp)
syscall_exit:
    cli
    mov INFO_CURRENT(%rsp), %rdi
    cmpl $0, INFO_WORK(%rsp)
    jne exit_work
    mov VCPU_INFO(%rdi), %rdx
    cmpw $1, (%rdx)
    je exit_upcall
    cmpl $VEC_OF_SYSCALL, REGS_VECTOR(%rsp)
    je restore_sysret
    jmp restore_iret

syscall_nosys:
    mov $ERR_NOSYS, %rax
    jmp syscall_store

/* HC_AGAIN and HC_LEFT are far below every error. */
syscall_negative:
    cmp $-4096, %rax
    jg syscall_store
syscall_finish:
    mov %rsp, %rdi
    mov %rax, %rsi
    mov REGS_RAX(%rsp), %rdx
    test %rax, %rax
    jz syscall_exit             /* iret: nothing to store */
    call hcall_finish_slow
    jmp exit_guest

syscall_user:
    mov %rsp, %rsi
    call guest_user_syscall
    jmp exit_guest

syscall_slow:
    mov %rsp, %rdi
    call guest_syscall
    jmp exit_guest

/* From 32-bit code: the stub has pushed as much, with the selector for that. */
    .globl syscall32_entry
    .hidden syscall32_entry
syscall32_entry:
    push $0
    PUSH_REGS
    sti
    mov %rsp, %rdi
    call guest_syscall32
    jmp exit_guest

/* SYSENTER saves nothing: the guest's kernel knows where its vDSO goes on. */
    .globl sysenter_entry
    .hidden sysenter_entry
sysenter_entry:
    push $SEL_USER_DS
    push $0
    pushfq
    orl $0x200, (%rsp)
    push $3
    push $0
    push $0
    PUSH_REGS
    push $2
    popfq
    sti
    mov %rsp, %rdi
    call guest_sysenter
    jmp exit_guest

/* void x86_on_base(void (*fn)(struct vcpu *), struct vcpu *v): call fn on the empty stack; does not return. */
    .globl x86_on_base
    .hidden x86_on_base
x86_on_base:
    mov %rdi, %rax
    mov %rsi, %rdi
    or $BLOCK_MASK, %rsp
    sub $(256 - 1), %rsp
    xor %ebp, %ebp
    call __x86_indirect_thunk_rax
    ud2

    .section .rodata
    .balign 8
syscall_vector:
    .long 0, VEC_OF_SYSCALL

    .section .note.GNU-stack, "", @progbits
