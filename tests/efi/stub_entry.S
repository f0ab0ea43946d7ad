/* SPDX-License-Identifier: MIT */
/* A payload in place of the hypervisor, for testing the loader: prints boot_info on COM1 and powers the machine off. */
    .text
    .globl _start
_start:
    lea stack_top(%rip), %rsp
    call stub_main
1:  cli
    hlt
    jmp 1b

    .bss
    .balign 16
    .skip 65536
stack_top:
    .section .note.GNU-stack, "", @progbits
