/* SPDX-License-Identifier: MIT */
/* In place of arch/x86_64/hw/cpu_info.h: what the sources under test use of it, on the test's cpu.
 */
#pragma once

#include <stdint.h>

struct vcpu;

struct cpu_info {
    struct vcpu *current;
    uint32_t cpu;
    uint64_t entry;
};

struct cpu_info *cpu_info(void);
