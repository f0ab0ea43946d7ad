/* SPDX-License-Identifier: MIT */
/* The last instructions of the loader, and the two machine registers that its C parts need. */

#define MSR_FS_BASE 0xc0000100

    .text

/* void handover_jump(uint64_t cr3, uint64_t stack, uint64_t entry, struct boot_info *bi): rdi rsi rdx rcx */
    .globl handover_jump
    .hidden handover_jump
handover_jump:
    cli
    cld
    mov %rdi, %cr3
    mov %rsi, %rsp
    mov %rcx, %rdi
    xor %ebp, %ebp
    jmp *%rdx

/* uint64_t cpu_ticks(void) */
    .globl cpu_ticks
    .hidden cpu_ticks
cpu_ticks:
    rdtsc
    shl $32, %rdx
    or %rdx, %rax
    ret

/* uint64_t cpu_cr4(void) */
    .globl cpu_cr4
    .hidden cpu_cr4
cpu_cr4:
    mov %cr4, %rax
    ret

/* uint64_t cpu_fs_swap(uint64_t base): set the base of FS, return the old one */
    .globl cpu_fs_swap
    .hidden cpu_fs_swap
cpu_fs_swap:
    mov $MSR_FS_BASE, %ecx
    rdmsr
    shl $32, %rdx
    or %rdx, %rax
    mov %rax, %r8
    mov %rdi, %rax
    mov %rdi, %rdx
    shr $32, %rdx
    wrmsr
    mov %r8, %rax
    ret

    .section .note.GNU-stack, "", @progbits
