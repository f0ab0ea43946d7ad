/* SPDX-License-Identifier: MIT */
/*
 * Counters of events that are dear, per cpu: what `joist info --counters` and xenperf show.  The
 * hottest paths (system calls, page faults, small hypercalls) are not counted: the counting would
 * be felt there.
 */
#pragma once

#include <stdint.h>

#include "config.h"
#include "port/cpu.h"

enum counter {
    CNT_TLB_FLUSH,   /* full flushes of this cpu's translation caches on somebody's request */
    CNT_TLB_ASK,     /* requests to other cpus to flush */
    CNT_SWITCH,      /* changes from one vcpu to another */
    CNT_EVENT_SEND,  /* events sent to another domain */
    CNT_GRANT_MAP,   /* grants mapped */
    CNT_GRANT_UNMAP, /* grants unmapped */
    CNT_GRANT_CALL,  /* calls that unmap grants, each entry after a break counted */
    CNT_GRANT_FLUSH, /* batches of unmapped grants that needed a flush */
    CNT_GRANT_COPY,  /* pieces copied by grant */
    CNT_MMU_WRITE,   /* stores to page tables emulated */
    CNT_INSN,        /* privileged instructions emulated */
    CNT_PREEMPT,     /* long operations broken off to be continued */
    CNT_MAX
};

struct counters {
    uint64_t n[CNT_MAX];
} __attribute__((aligned(64)));

extern struct counters counters[CONFIG_MAX_CPUS];

/* Name for people, of CNT_MAX of them. */
extern const char *const counter_names[CNT_MAX];

/* Counts on this cpu.  An interrupt that counts the same meanwhile may lose one count. */
static inline void count(enum counter c, uint64_t n)
{
    counters[port_cpu_id()].n[c] += n;
}

/* The sum over one cpu since the last reset; all cpus go back to zero. */
uint64_t counter_read(unsigned int cpu, enum counter c);
void counters_reset(void);
