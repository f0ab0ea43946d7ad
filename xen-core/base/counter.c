/* SPDX-License-Identifier: MIT */
/* Counters: names, reading, and going back to zero. */
#include "base/counter.h"

struct counters counters[CONFIG_MAX_CPUS];

/* What a reset has found: the cpus go on counting, and only they write their counters. */
static struct counters zero[CONFIG_MAX_CPUS];

const char *const counter_names[CNT_MAX] = {
    [CNT_TLB_FLUSH] = "tlb_flushes",        [CNT_TLB_ASK] = "tlb_requests",
    [CNT_SWITCH] = "vcpu_switches",         [CNT_EVENT_SEND] = "events_sent",
    [CNT_GRANT_MAP] = "grant_maps",         [CNT_GRANT_UNMAP] = "grant_unmaps",
    [CNT_GRANT_CALL] = "grant_unmap_calls", [CNT_GRANT_FLUSH] = "grant_unmap_flushes",
    [CNT_GRANT_COPY] = "grant_copies",      [CNT_MMU_WRITE] = "page_table_writes_emulated",
    [CNT_INSN] = "instructions_emulated",   [CNT_PREEMPT] = "preemptions",
};

static uint64_t now(unsigned int cpu, enum counter c)
{
    return __atomic_load_n(&counters[cpu].n[c], __ATOMIC_RELAXED);
}

uint64_t counter_read(unsigned int cpu, enum counter c)
{
    return now(cpu, c) - __atomic_load_n(&zero[cpu].n[c], __ATOMIC_RELAXED);
}

void counters_reset(void)
{
    for (unsigned int cpu = 0; cpu < CONFIG_MAX_CPUS; cpu++) {
        for (enum counter c = 0; c < CNT_MAX; c++) {
            __atomic_store_n(&zero[cpu].n[c], now(cpu, c), __ATOMIC_RELAXED);
        }
    }
}
