/* SPDX-License-Identifier: MIT */
/* Whose tables and whose frames an MMU call is about; what is left over after it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"
#include "base/cpumask.h"

struct domain;
struct vcpu;

/* The two domains of a `foreigndom` argument; those that are not the caller's are referenced. */
struct mmu_target {
    struct domain *tables; /* owner of the page tables */
    struct domain
        *frames; /* owner of the frames that entries name; dom_io and dom_xen are possible */
    bool put_tables;
    bool put_frames;
};

/* 0, -ESRCH, -EPERM. Pair with mmu_target_put(). */
int mmu_target_get(struct vcpu *v, uint64_t foreigndom, struct mmu_target *t);
void mmu_target_put(const struct mmu_target *t);

/* Translation caches of the cpus on which vcpus of `bitmap` (in guest memory, one bit per vcpu) are
 * loaded. 0 or -EFAULT. */
int mmu_vcpus_to_cpus(struct vcpu *v, gptr_t bitmap, struct cpumask *cpus);
