/* SPDX-License-Identifier: MIT */
/* Numbers of the test guest kit that its assembly and its C share. */
#pragma once

/* A kernel may also lie low, and say no more of itself than it must. */
#ifdef KIT_LOW
#define KIT_BASE 0x0
#else
#define KIT_BASE 0xffffffff80000000
#endif
#define KIT_STACK_SIZE   16384
#define KIT_MAX_CPUS     8
#define KIT_REGS_SIZE    176 /* struct kit_regs */
#define KIT_REGS_ERROR   128
#define KIT_CPU_TRY_RSP  0 /* offsets in struct kit_cpu, which lies at the stack's low end */
#define KIT_CPU_USER_RSP 8

#define KIT_VEC_EVENT     0x100
#define KIT_VEC_FAILSAFE  0x101
#define KIT_VEC_SYSCALL   0x102
#define KIT_VEC_SYSCALL32 0x103
#define KIT_VEC_SYSENTER  0x104
