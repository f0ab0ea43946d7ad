/* SPDX-License-Identifier: MIT */
/* What a cpu knows about itself: the last bytes of its block of stacks, found from the stack
 * pointer. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "cpu/regs.h"
#include "hw/layout.h"

struct vcpu;

struct cpu_info {
    struct regs regs;      /* of the guest: entries from ring 3 push them here */
    struct vcpu *current;  /* whose state is loaded */
    _Atomic uint32_t work; /* CW_* */
    uint32_t cpu;          /* our number */
    uint32_t apic_id;
    uint32_t ts;        /* CR0.TS is set */
    uint64_t xcr0;      /* what the register holds */
    uint32_t dr_loaded; /* debug registers hold a vcpu's breakpoints */
    uint32_t pad;
    struct vcpu
        *space; /* whose table is loaded: current, or of an idle cpu the last one; NULL: none's */
    uint64_t entry; /* address of the cpu's page PC_DATA */
    uint64_t pad2;
};

static inline struct cpu_info *cpu_info(void)
{
    uintptr_t sp;

    __asm__("mov %%rsp, %0" : "=r"(sp));
    return (struct cpu_info *)((sp | BLOCK_MASK) + 1 - sizeof(struct cpu_info));
}
