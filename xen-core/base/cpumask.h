/* SPDX-License-Identifier: MIT */
/* Sets of physical cpus. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"

#define CPUMASK_WORDS ((CONFIG_MAX_CPUS + 63) / 64)

struct cpumask {
    _Atomic uint64_t w[CPUMASK_WORDS];
};

extern struct cpumask cpu_online_mask; /* cpus that run */

static inline bool cpumask_test(const struct cpumask *m, unsigned int cpu)
{
    return (atomic_load_explicit(&m->w[cpu / 64], memory_order_relaxed) >> (cpu % 64)) & 1;
}

static inline void cpumask_set(struct cpumask *m, unsigned int cpu)
{
    atomic_fetch_or(&m->w[cpu / 64], UINT64_C(1) << (cpu % 64));
}

static inline void cpumask_clear(struct cpumask *m, unsigned int cpu)
{
    atomic_fetch_and(&m->w[cpu / 64], ~(UINT64_C(1) << (cpu % 64)));
}

static inline void cpumask_copy(struct cpumask *to, const struct cpumask *from)
{
    for (unsigned int i = 0; i < CPUMASK_WORDS; i++) {
        atomic_store_explicit(&to->w[i], atomic_load_explicit(&from->w[i], memory_order_relaxed),
                              memory_order_relaxed);
    }
}

static inline void cpumask_zero(struct cpumask *m)
{
    for (unsigned int i = 0; i < CPUMASK_WORDS; i++) {
        atomic_store_explicit(&m->w[i], 0, memory_order_relaxed);
    }
}

static inline bool cpumask_empty(const struct cpumask *m)
{
    uint64_t any = 0;
    for (unsigned int i = 0; i < CPUMASK_WORDS; i++) {
        any |= atomic_load_explicit(&m->w[i], memory_order_relaxed);
    }
    return any == 0;
}

/* The first member at or after `cpu`, or CONFIG_MAX_CPUS. */
static inline unsigned int cpumask_next(const struct cpumask *m, unsigned int cpu)
{
    while (cpu < CONFIG_MAX_CPUS) {
        uint64_t w = atomic_load_explicit(&m->w[cpu / 64], memory_order_relaxed) >> (cpu % 64);
        if (w != 0) {
            cpu += (unsigned int)__builtin_ctzll(w);
            break;
        }
        cpu = (cpu / 64 + 1) * 64;
    }
    return cpu < CONFIG_MAX_CPUS ? cpu : CONFIG_MAX_CPUS;
}

#define cpumask_for_each(cpu, m)                                         \
    for (unsigned int cpu = cpumask_next((m), 0); cpu < CONFIG_MAX_CPUS; \
         cpu = cpumask_next((m), cpu + 1))
