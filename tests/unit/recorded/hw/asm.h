/* SPDX-License-Identifier: MIT */
/* Stands for arch/x86_64/hw/asm.h in tests of files that use privileged instructions: every one is
 * a call of the test's. */
#pragma once

#include <stdint.h>

uint64_t rdmsr(uint32_t msr);
void wrmsr(uint32_t msr, uint64_t val);
uint64_t read_cr0(void);
uint64_t read_cr2(void);
void write_cr0(uint64_t val);
void write_cr4(uint64_t val);
void cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4]);
