/* SPDX-License-Identifier: MIT */
/* Descriptor tables, task state and SYSCALL entry of each cpu. */
#pragma once

#include <stdint.h>

#include "hw/cpu_info.h"

/* IDT and the stubs of all cpus, before the image becomes read-only; tables of the boot cpu for its
 * first traps. */
void seg_early(void);
/* This cpu's tables, in its area. */
void seg_cpu_init(unsigned int cpu);
/* Its block of stacks. */
uint64_t seg_block(unsigned int cpu);
/* Describe an LDT of `entries` in the window and load it; 0 = none. */
void seg_load_ldt(unsigned int entries);
