/* SPDX-License-Identifier: MIT */
/*
 * The guarded ways in and out, for processors that need more than entry.S does: page-table isolation, barriers at entries,
 * buffers overwritten at exits.  guard.c decides at boot whether they are used at all, and takes out what is not wanted.
 *
 * Section .text.guard is what a guest's cut-down root maps: entries arrive there, on a small stack in the page PC_DATA, which
 * is mapped too; they load the full root, move the processor's frame to where entry.S wants it, and go on there.  Exits come
 * back the same way: what is left to load lies in that page.  Nothing else of ours is mapped while the guest runs but its
 * descriptor windows and the IDT.
 */
#include "config.h"
#include "hw/layout.h"
#include "hw/offsets.h"

#define X86_CLAC 662: .byte 0x0f, 0x1f, 0x00; .pushsection .smap_patch, "a"; .quad 662b, 0xca010f; .popsection

/* Code that stays only if the feature is wanted; guard.c jumps over it otherwise. At least two bytes. */
#define WANT(feature)  771:; .pushsection .guard_sites, "a"; .quad 771b; .long 772f - 771b, feature; .popsection
#define END_WANT       772:

.macro PUSH_REGS
    .irp reg, r9, r8, r10, rdx, rsi, rdi, rax, rcx, r11, rbx, rbp, r12, r13, r14, r15
    push %\reg
    .endr
.endm

.macro POP_REGS
    .irp reg, r15, r14, r13, r12, rbp, rbx, r11, rcx, rax, rdi, rsi, rdx, r10, r8, r9
    pop %\reg
    .endr
.endm

    .section .text.guard, "ax", @progbits
    .balign 4096

/* What a guest must not find in buffers (VERW) and in the divider; rax and rdx are free. */
.macro SCRUB
    WANT(GUARD_DIV)
    mov $2, %eax
    xor %edx, %edx
    divl guard_divisor(%rip)
    END_WANT
    WANT(GUARD_VERW)
    verw guard_selector(%rip)
    END_WANT
.endm

/* ---- from ring 3 or ring 0: vectors ------------------------------------------------------------------------- */

    .globl guard_stubs
    .hidden guard_stubs
guard_stubs:
    vector = 0
    .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
    push $0
    .endif
    movl $vector, 4(%rsp)
    .if vector >= 32
    jmp guard_irq
    .elseif vector == 1
    jmp guard_db
    .elseif vector == 2
    jmp guard_nmi
    .elseif vector == 8
    jmp guard_df
    .elseif vector == 14
    jmp guard_pf
    .elseif vector == 18
    jmp guard_mc
    .else
    jmp guard_exception
    .endif
    vector = vector + 1
    .endr

/*
 * On a small stack with the processor's frame, error code and vector: load the full root, and push the same at
 * `\below` bytes under the top of the main stack.  No register changes.  Slots from rax: rcx, rax, error and
 * vector, rip, cs, rflags, rsp, ss.
 */
.macro TO_MAIN below=0
    push %rax
    push %rcx
    mov %rsp, %rcx
    and $-4096, %rcx
    WANT(GUARD_XPTI)
    mov PCD_FULL(%rcx), %rax
    mov %rax, %cr3
    END_WANT
    mov %rsp, %rax
    mov PCD_TOP(%rcx), %rsp
    .if \below
    sub $\below, %rsp
    .endif
    push 56(%rax)
    push 48(%rax)
    push 40(%rax)
    push 32(%rax)
    .if \below
    lea iret_guest(%rip), %rcx
    push %rcx
    .else
    push 24(%rax)
    .endif
    push 16(%rax)
    mov (%rax), %rcx
    mov 8(%rax), %rax
.endm

    .balign 16
guard_irq:
    testb $3, 16(%rsp)
    jz irq_common
    TO_MAIN
    jmp guarded_irq

guard_pf:
    testb $3, 16(%rsp)
    jz guard_kernel
    TO_MAIN
    jmp guarded_pf

guard_exception:
    testb $3, 16(%rsp)
    jz guard_kernel
    TO_MAIN
    jmp guarded_exception

/*
 * An exception in ring 0 happens on the full root, but for that of the IRET at the end of this file: then as if it had been
 * entry.S's, and below struct cpu_info, which has the guest's registers.
 */
guard_kernel:
    push %rax
    lea guard_iret(%rip), %rax
    cmp %rax, 16(%rsp)
    pop %rax
    jne exception_common
    TO_MAIN REGS_SIZE + 8
    jmp exception_common

/* ---- the stacks of their own --------------------------------------------------------------------------------- */

/* The root that was loaded stays in r12, the page in rbp, the frame in rbx, all of which C keeps. */
.macro GUARD_IST handler, stack
    PUSH_REGS
    cld
    X86_CLAC
    mov %rsp, %rbx
    mov %rsp, %rbp
    and $-4096, %rbp
    movl $1, PCD_LEFT(%rbp)
    mov %cr3, %r12
    cmp PCD_CUT(%rbp), %r12
    jne 1f
    WANT(GUARD_XPTI)
    mov PCD_FULL(%rbp), %rax
    mov %rax, %cr3
    END_WANT
1:  mov PCD_TOP + 8 * \stack(%rbp), %rsp
    lea \handler(%rip), %r13
    jmp guarded_ist
.endm

/* As in entry.S: what comes from ring 3 goes on on the main stack.  At the small one's top are error code and frame. */
.macro GUARD_FROM_GUEST stack
    movl $1, PCD_LEFT - (PCD_IST + (\stack - 1) * PCD_IST_SIZE - 48)(%rsp)
    TO_MAIN
.endm

guard_db:
    testb $3, 16(%rsp)
    jz guard_db_kernel
    GUARD_FROM_GUEST 4
    jmp guarded_exception
guard_db_kernel:
    GUARD_IST trap_debug, 4
guard_nmi:
    testb $3, 16(%rsp)
    jz guard_nmi_kernel
    GUARD_FROM_GUEST 2
    jmp guarded_nmi
guard_nmi_kernel:
    GUARD_IST trap_ist, 2
guard_df:
    GUARD_IST trap_ist, 1
guard_mc:
    GUARD_IST trap_ist, 3

guard_ist_back:
    mov %rbx, %rsp
    cmp PCD_CUT(%rbp), %r12
    jne 1f
    WANT(GUARD_XPTI)
    mov %r12, %cr3
    END_WANT
    SCRUB
1:  POP_REGS
    add $8, %rsp
    iretq

/* ---- SYSENTER -------------------------------------------------------------------------------------------------- */

/* On the small stack's end: nothing is pushed by the processor, and the flags are still the guest's. */
    .globl guard_sysenter
    .hidden guard_sysenter
guard_sysenter:
    mov %rax, PCD_RAX - PCD_END(%rsp)
    WANT(GUARD_XPTI)
    mov PCD_FULL - PCD_END(%rsp), %rax
    mov %rax, %cr3
    END_WANT
    mov PCD_RAX - PCD_END(%rsp), %rax
    mov PCD_TOP - PCD_END(%rsp), %rsp
    jmp guarded_sysenter

/* ---- out --------------------------------------------------------------------------------------------------------- */

/* rax = root; on the small stack: rdx, rax, rsp. */
guard_sysret:
    WANT(GUARD_XPTI)
    mov %rax, %cr3
    END_WANT
    SCRUB
    pop %rdx
    pop %rax
    pop %rsp
    sysretq

/* rax = root; on the small stack: rdx, rax, and what IRET wants. */
guard_iretq:
    WANT(GUARD_XPTI)
    mov %rax, %cr3
    END_WANT
    SCRUB
    pop %rdx
    pop %rax
guard_iret:
    iretq

/* A writable data segment: VERW clears buffers only if it takes its operand from memory. */
guard_selector:
    .word SEL_HV_DS
    .balign 4
guard_divisor:
    .long 1

/* First instructions after SYSCALL, per cpu: written by seg.c. */
    .globl syscall_stubs
    .hidden syscall_stubs
    .balign 64
syscall_stubs:
    .skip CONFIG_MAX_CPUS * STUB_SIZE
    .balign 4096

/* ---- on the full root --------------------------------------------------------------------------------------------- */

    .text

/* What is done at every entry from a guest, on the main stack: before any branch that predictions can lead. */
.macro BARRIERS
    push %rax
    push %rcx
    push %rdx
    WANT(GUARD_IBRS)
    mov $0x48, %ecx
    mov guard_spec_ctrl(%rip), %eax
    xor %edx, %edx
    wrmsr
    END_WANT
    WANT(GUARD_IBPB)
    mov $0x49, %ecx
    mov $1, %eax
    xor %edx, %edx
    wrmsr
    END_WANT
    WANT(GUARD_RSB)
    mov $16, %ecx
881:
    .rept 2
    call 883f
882:
    pause
    lfence
    jmp 882b
883:
    .endr
    dec %ecx
    jnz 881b
    add $(32 * 8), %rsp
    END_WANT
    lfence
    pop %rdx
    pop %rcx
    pop %rax
.endm

guarded_irq:
    BARRIERS
    jmp irq_common

guarded_exception:
    BARRIERS
    jmp exception_common

guarded_nmi:
    BARRIERS
    PUSH_REGS
    cld
    X86_CLAC
    mov %rsp, %rdi
    call trap_ist
    jmp exit_guest

/* A cut-down root that is behind the guest's own faults where that would not. */
guarded_pf:
    BARRIERS
    PUSH_REGS
    cld
    X86_CLAC
    mov %cr2, %rdi
    mov %rdi, %rbx
    call guard_stale
    test %al, %al
    jnz exit_guest
    mov %rbx, %rsi
    jmp guest_exception

guarded_ist:
    BARRIERS
    mov %rbx, %rdi
    call __x86_indirect_thunk_r13
    jmp guard_ist_back

    .globl guarded_syscall, guarded_syscall32
    .hidden guarded_syscall, guarded_syscall32
guarded_syscall:
    BARRIERS
    jmp syscall_entry
guarded_syscall32:
    BARRIERS
    jmp syscall32_entry

guarded_sysenter:
    pushfq
    BARRIERS
    popfq
    jmp sysenter_entry

/* In place of restore_sysret: struct regs at rsp; r12-r15 and rbp are the guest's already. */
    .globl guarded_restore_sysret
    .hidden guarded_restore_sysret
guarded_restore_sysret:
    call guard_leave
    mov INFO_ENTRY(%rsp), %rdx
    mov REGS_RDX(%rsp), %rcx
    mov %rcx, PCD_END - 24(%rdx)
    mov REGS_RAX(%rsp), %rcx
    mov %rcx, PCD_END - 16(%rdx)
    mov REGS_RSP(%rsp), %rcx
    mov %rcx, PCD_END - 8(%rdx)
    mov REGS_RIP(%rsp), %rcx
    mov REGS_RFLAGS(%rsp), %r11
    shl $16, %rcx
    mov REGS_RBX(%rsp), %rbx
    sar $16, %rcx
    mov REGS_RDI(%rsp), %rdi
    mov REGS_RSI(%rsp), %rsi
    mov REGS_R10(%rsp), %r10
    mov REGS_R8(%rsp), %r8
    mov REGS_R9(%rsp), %r9
    lea PCD_END - 24(%rdx), %rsp
    jmp guard_sysret

/* In place of restore_iret. */
    .globl guarded_restore_iret
    .hidden guarded_restore_iret
guarded_restore_iret:
    call guard_leave
    mov INFO_ENTRY(%rsp), %rdx
    .irp word, 0, 8, 16, 24, 32
    mov REGS_RIP + \word(%rsp), %rcx
    mov %rcx, PCD_END - 40 + \word(%rdx)
    .endr
    mov REGS_RAX(%rsp), %rcx
    mov %rcx, PCD_END - 48(%rdx)
    mov REGS_RDX(%rsp), %rcx
    mov %rcx, PCD_END - 56(%rdx)
    mov REGS_R15(%rsp), %r15
    mov REGS_R15 + 8(%rsp), %r14
    mov REGS_R15 + 16(%rsp), %r13
    mov REGS_R15 + 24(%rsp), %r12
    mov REGS_R15 + 32(%rsp), %rbp
    mov REGS_RBX(%rsp), %rbx
    mov REGS_R11(%rsp), %r11
    mov REGS_RCX(%rsp), %rcx
    mov REGS_RDI(%rsp), %rdi
    mov REGS_RSI(%rsp), %rsi
    mov REGS_R10(%rsp), %r10
    mov REGS_R8(%rsp), %r8
    mov REGS_R9(%rsp), %r9
    lea PCD_END - 56(%rdx), %rsp
    jmp guard_iretq

    .section .note.GNU-stack, "", @progbits
