/* SPDX-License-Identifier: MIT */
/* What the processors can do. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct cpu_features {
    char vendor[13];
    uint32_t family, model, stepping;
    uint32_t max_leaf, max_ext_leaf;
    uint8_t phys_bits;
    bool xsave, xsaveopt, smep, smap, fsgsbase, x2apic, tsc_deadline, invariant_tsc, gib_pages,
        rdtscp, nx, hypervisor, pge;
};

extern struct cpu_features cpu_features; /* of the boot cpu; read-only after start */

/* The boot cpu's features; patches the image for SMAP. Before paging. */
void cpu_detect(void);
/* Control registers, EFER, PAT of this cpu. */
void cpu_setup(void);
/* From now on no translation outlives a load of CR3. Boot cpu, before the others start. */
void cpu_no_global(void);
/* CR4 as the hypervisor runs with. */
uint64_t cpu_cr4(void);
