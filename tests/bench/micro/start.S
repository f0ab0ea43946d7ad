/* SPDX-License-Identifier: MIT */
/* Entry points of the microguest: as short as can be, since their cost is part of what is measured. */
#define VIRT_BASE 0xffffffff80000000
#define NOTE(type, ...) .align 4; .long 4, 2f - 1f, type; .asciz "Xen"; 1: __VA_ARGS__; 2: .align 4

    .section .note.Xen, "a", @note
    NOTE(6, .asciz "microguest")            /* guest os */
    NOTE(5, .asciz "xen-3.0")               /* xen version */
    NOTE(8, .asciz "generic")               /* loader */
    NOTE(9, .asciz "yes")                   /* pae mode */
    NOTE(3, .quad VIRT_BASE)
    NOTE(4, .quad 0)                        /* paddr offset: p_paddr is pseudo-physical */
    NOTE(1, .quad _start)
    NOTE(2, .quad hypercall_page)
    NOTE(10, .asciz "writable_page_tables")

    .section .text.start, "ax"
    .globl _start, hypercall_page
_start:
    cld
    mov %rsi, %rdi
    lea boot_stack_top(%rip), %rsp
    xor %ebp, %ebp
    call main
    ud2

    .balign 4096
hypercall_page:
    .skip 4096

    .text
#define IRET jmp hypercall_page + 23 * 32   /* HYPERVISOR_iret */

/* Event upcall.  The hypervisor pushed rcx, r11, rip, cs, rflags, rsp, ss. */
    .globl event_entry, failsafe_entry, syscall_entry, pf_entry, gp_entry, ud_entry
event_entry:
    push %rax
    mov shared_info(%rip), %rax
    movb $0, (%rax)             /* vcpu 0: evtchn_upcall_pending */
    movq $0, 8(%rax)            /* evtchn_pending_sel */
    movq $0, 2048(%rax)         /* evtchn_pending[0] */
    incq event_count(%rip)
    pop %rax
    pop %rcx
    pop %r11
    pushq $0
    IRET

failsafe_entry:
    ud2

/* Faults from kernel mode; if fault_resume is set, continue there. */
pf_entry:
    cmpq $0, fault_resume(%rip)
    je 9f
    pop %rcx
    pop %r11
    push %rax
    mov fault_resume(%rip), %rax
    mov %rax, 16(%rsp)          /* rax, error code, rip */
    pop %rax
    add $8, %rsp
    pushq $0
    IRET
9:  mov $14, %edi
    jmp bad_fault
gp_entry:
    mov $13, %edi
bad_fault:
    mov 16(%rsp), %rsi          /* error code */
    mov 24(%rsp), %rdx          /* rip */
    call unexpected
ud_entry:
    mov $6, %edi
    xor %esi, %esi
    mov 16(%rsp), %rdx
    call unexpected

/* System call bounced by the hypervisor onto the kernel stack. */
syscall_entry:
    decq syscall_left(%rip)
    jz 1f
    pop %rcx
    pop %r11
    pushq $0x100                /* VGCF_in_syscall */
    IRET
1:  mov kernel_rsp(%rip), %rsp
    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx
    ret

/* void user_syscalls(void): enter user mode, come back after syscall_left system calls */
    .globl user_syscalls
user_syscalls:
    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15
    mov %rsp, kernel_rsp(%rip)
    pushq $0xe02b
    lea user_stack_top(%rip), %rax
    push %rax
    pushq $0x202
    pushq $0xe033
    lea user_loop(%rip), %rax
    push %rax
    pushq $0
    IRET
user_loop:
    syscall
    jmp user_loop

/* void touch(void *p): load from p, or skip the load if it faults */
    .globl touch
touch:
    lea 1f(%rip), %rax
    mov %rax, fault_resume(%rip)
    mov (%rdi), %al
1:  movq $0, fault_resume(%rip)
    ret

    .bss
    .globl shared_info, event_count, fault_resume, syscall_left, syscall_stack_top
    .balign 8
shared_info: .skip 8
event_count: .skip 8
fault_resume: .skip 8
syscall_left: .skip 8
kernel_rsp: .skip 8
    .balign 4096
    .skip 8192
boot_stack_top:
    .skip 4096
user_stack_top:
    .skip 4096
syscall_stack_top:
    .section .note.GNU-stack, "", @progbits
