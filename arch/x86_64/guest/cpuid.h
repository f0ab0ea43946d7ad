/* SPDX-License-Identifier: MIT */
/* What CPUID says to guests: the host's values cut to what PV can give, and a domain's own policy
 * within that. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/arch_x86_64.h"

struct domain;

#define CPUID_LEAVES_MAX 96u

/* Leaves in the order in which control calls list them; subleaf XEN_CPUID_NO_SUBLEAF where a leaf
 * has none. */
struct x86_cpuid_policy {
    uint32_t count;
    struct xen_cpuid_leaf leaf[CPUID_LEAVES_MAX];
};

enum cpuid_system_policy { CPUID_RAW, CPUID_HOST, CPUID_PV_MAX, CPUID_SYSTEM_POLICIES };

/* Read the processor once, at boot. */
void cpuid_init(void);
const struct x86_cpuid_policy *cpuid_system(enum cpuid_system_policy which);
/* d's policy (the PV maximum if it has none of its own). */
const struct x86_cpuid_policy *cpuid_domain(const struct domain *d);

/*
 * domctl set_cpu_policy: replace the leaves given; the result is checked against the PV maximum
 * before anything changes. 0; -EINVAL with *bad_leaf, *bad_subleaf (asks for what is not there, or
 * an unknown leaf); -ENOMEM.
 */
int cpuid_set(struct domain *d, const struct xen_cpuid_leaf *leaves, uint32_t count,
              uint32_t *bad_leaf, uint32_t *bad_subleaf);
void cpuid_destroy(struct domain *d);

/* The feature words that sysctl get_cpu_featureset lists, in the ABI's order; words beyond those
 * known are 0. */
#define CPUID_FEATURE_WORDS 16u
void cpuid_featureset(enum cpuid_system_policy which, uint32_t words[CPUID_FEATURE_WORDS]);
