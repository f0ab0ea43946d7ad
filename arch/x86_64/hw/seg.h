/* SPDX-License-Identifier: MIT */
/* Descriptor tables, task state and SYSCALL entry of each cpu. */
#pragma once

#include <stdint.h>

#include "hw/cpu_info.h"
#include "mm/addr.h"

/* IDT and the stubs of all cpus, before the image becomes read-only; tables of the boot cpu for its
 * first traps. */
void seg_early(void);
/* The gates and stubs anew, and the stacks of the boot cpu's first tables, as guard.h has it by
 * then. */
void seg_entries(void);
/* Machine address of the IDT's page, and where it is mapped. */
paddr_t seg_idt_pa(uint64_t *va);
/* This cpu's tables, in its area. */
void seg_cpu_init(unsigned int cpu);
/* Its block of stacks. */
uint64_t seg_block(unsigned int cpu);
/* Describe an LDT of `entries` in the window and load it; 0 = none. */
void seg_load_ldt(unsigned int entries);
