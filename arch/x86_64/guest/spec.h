/* SPDX-License-Identifier: MIT */
/* Speculation: what this processor needs, what we do about it, and what is left. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* What the decision is made from: CPUID and IA32_ARCH_CAPABILITIES. */
struct spec_cpu {
    bool is_intel;
    bool is_amd; /* and Hygon */
    uint32_t family, model;
    uint32_t leaf7_edx;
    uint32_t ext8_ebx;  /* 0x80000008 */
    uint64_t arch_caps; /* 0 if the register is not there */
};

struct spec_plan {
    bool ibpb;     /* flush branch predictions when a cpu goes to another domain */
    bool meltdown; /* needs page-table isolation */
    bool mds;      /* needs buffers overwritten on the way to a guest */
    bool l1tf;     /* needs care with not-present entries */
};

/* Pure: the plan for a processor under `spec-ctrl=` (text of the option, "" = default). */
void spec_decide(const struct spec_cpu *cpu, const char *option, struct spec_plan *plan);
/* Boot cpu: decide, and say what guests are not protected from. */
void spec_init(void);
/* v has been loaded on this cpu. */
void spec_loaded(const struct vcpu *v);
