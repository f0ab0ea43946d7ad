/* SPDX-License-Identifier: MIT */
/* Where the loader enters: interrupts off, RDI = struct boot_info, on tables that map us at our link address. */
#include "hw/layout.h"
#include "hw/offsets.h"

    .section .text.head, "ax", @progbits
    .globl _start
    .hidden _start
_start:
    cli
    cld
    lea boot_block + BLOCK_SIZE - 256(%rip), %rsp
    xor %ebp, %ebp
    call start
    ud2

/*
 * Start of the other cpus.  The code between ap_trampoline and its end is copied to a frame below 1 MiB, whose
 * number is the start-up message's vector; the next frames hold a top-level table and two below that map
 * it at its own address, and us.
 */
#define TRAMPOLINE_ROOT 0x1000

    .section .rodata
    .globl ap_trampoline, ap_trampoline_end
    .hidden ap_trampoline, ap_trampoline_end
    .balign 16
    .code16
ap_trampoline:
    cli
    cld
    xor %ebx, %ebx
    mov %cs, %bx
    mov %bx, %ds
    shl $4, %ebx
    lea (ap_gdt - ap_trampoline)(%ebx), %eax
    mov %eax, (ap_gdt_pointer - ap_trampoline + 2)
    lea (ap_32 - ap_trampoline)(%ebx), %eax
    mov %eax, (ap_jump - ap_trampoline)
    movw $8, (ap_jump - ap_trampoline + 4)
    lgdtl (ap_gdt_pointer - ap_trampoline)
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl *(ap_jump - ap_trampoline)

    .code32
ap_32:
    mov $16, %ax
    mov %ax, %ds
    mov %ax, %ss
    mov %cr4, %eax
    or $0x20, %eax              /* PAE */
    mov %eax, %cr4
    lea TRAMPOLINE_ROOT(%ebx), %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx       /* EFER: LME, NXE as the boot cpu has it */
    rdmsr
    or $0x100, %eax
    or (ap_efer - ap_trampoline)(%ebx), %eax
    wrmsr
    mov %cr0, %eax
    or $0x80010000, %eax        /* PG, WP */
    mov %eax, %cr0
    lea (ap_64 - ap_trampoline)(%ebx), %eax
    mov %eax, (ap_jump - ap_trampoline)(%ebx)
    movw $24, (ap_jump - ap_trampoline + 4)(%ebx)
    ljmpl *(ap_jump - ap_trampoline)(%ebx)

    .code64
ap_64:
    mov %ebx, %ebx
    mov (ap_stack - ap_trampoline)(%rbx), %rsp
    mov (ap_entry - ap_trampoline)(%rbx), %rax
    xor %ebp, %ebp
    jmp *%rax

    .balign 8
ap_gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
ap_gdt_pointer:
    .word 31
    .long 0
    .balign 8
ap_jump:
    .long 0
    .word 8
    .balign 8
    .globl ap_stack, ap_entry, ap_efer
    .hidden ap_stack, ap_entry, ap_efer
ap_stack:
    .quad 0
ap_entry:
    .quad 0
ap_efer:
    .long 0
ap_trampoline_end:

    .section .text
    .globl ap_start
    .hidden ap_start
ap_start:
    call ap_main
    ud2

/* The boot cpu's block of stacks. */
    .section .bss.block, "aw", @nobits
    .globl boot_block
    .hidden boot_block
    .balign BLOCK_SIZE
boot_block:
    .skip BLOCK_SIZE

    .section .note.GNU-stack, "", @progbits
