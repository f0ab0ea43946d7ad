/* SPDX-License-Identifier: MIT */
/*
 * Translation caches: a clock of full flushes, and requests to other cpus.
 *
 * The clock is advanced at the start of every full flush, and the cpu notes its reading once the
 * flush is done.  A reference dropped at reading s may live on in the caches of every cpu whose
 * noted reading is not above s.  Stamps are the low 32 bits; a stamp is taken for the latest
 * reading that has these bits, so that an old one costs a flush at most.
 *
 * A request is a count that the asker raises and the other cpu answers by copying it after its
 * flush: no lock, and a cpu that waits for an answer answers meanwhile, so that two may ask each
 * other with interrupts off.
 */
#include "hw/tlb.h"

#include <stdatomic.h>

#include "base/counter.h"
#include "base/cpumask.h"
#include "hw/asm.h"
#include "cpu/msr.h"
#include "hw/cpu.h"
#include "hw/cpu_info.h"
#include "hw/smp.h"
#include "hw/x86.h"
#include "port/cpu.h"
#include "port/irq.h"
#include "port/mmu.h"

#define IDLE_NOT   0u
#define IDLE_KEEPS 1u /* it is idle and has a guest's translations */
#define IDLE_STALE 2u /* and has to flush before it uses them */

/* Each cpu's on a cache line of its own. */
struct tlb_cpu {
    _Atomic uint64_t flushed; /* reading of the clock of its last full flush */
    _Atomic uint64_t asked;
    _Atomic uint64_t answered;
    _Atomic uint32_t idle; /* IDLE_* */
    _Atomic bool caches;   /* the next answer writes back the caches too */
} __attribute__((aligned(64)));

static struct tlb_cpu cpus[CONFIG_MAX_CPUS];
static _Atomic uint64_t flush_clock = 1;

void tlb_flush_load(uint64_t root)
{
    unsigned long flags = port_irq_save();
    uint64_t now = atomic_fetch_add(&flush_clock, 1) + 1;

    /* Turning global pages off and on, or on and off (guard.c), drops everything. */
    uint64_t cr4 = read_cr4();
    write_cr4(cr4 ^ X86_CR4_PGE);
    write_cr3(root);
    write_cr4(cr4);
    atomic_store_explicit(&cpus[port_cpu_id()].flushed, now, memory_order_release);
    port_irq_restore(flags);
}

/* Each of the two changes drops everything, global or not: the root need not be loaded again. */
void port_tlb_flush_local(void)
{
    unsigned long flags = port_irq_save();
    uint64_t now = atomic_fetch_add(&flush_clock, 1) + 1;
    uint64_t cr4 = read_cr4();

    write_cr4(cr4 ^ X86_CR4_PGE);
    write_cr4(cr4);
    atomic_store_explicit(&cpus[port_cpu_id()].flushed, now, memory_order_release);
    port_irq_restore(flags);
}

void tlb_serve(void)
{
    /* Not interrupted: an answer stored late would take back a newer one. */
    unsigned long flags = port_irq_save();
    struct tlb_cpu *c = &cpus[port_cpu_id()];
    uint64_t asked = atomic_load(&c->asked);

    if (atomic_load_explicit(&c->answered, memory_order_relaxed) != asked) {
        if (atomic_exchange(&c->caches, false)) {
            cpu_wbinvd();
        }
        if (atomic_load(&c->idle) != IDLE_NOT) {
            cpu_leave_space();
        } else {
            port_tlb_flush_local();
        }
        count(CNT_TLB_FLUSH, 1);
        atomic_store(&c->answered, asked);
    }
    port_irq_restore(flags);
}

uint32_t port_tlb_stamp(void)
{
    return (uint32_t)atomic_load(&flush_clock);
}

/* A cpu of the mask that is not this one and has not flushed since `stamp`, from `cpu` on. */
static unsigned int next_stale(const struct cpumask *mask, unsigned int cpu, uint64_t stamp)
{
    cpu = cpumask_next(mask, cpu);
    while (cpu < CONFIG_MAX_CPUS &&
           (cpu == port_cpu_id() || atomic_load(&cpus[cpu].flushed) > stamp)) {
        cpu = cpumask_next(mask, cpu + 1);
    }
    return cpu;
}

static uint64_t ask(unsigned int cpu)
{
    uint64_t ticket = atomic_fetch_add(&cpus[cpu].asked, 1) + 1;

    count(CNT_TLB_ASK, 1);
    smp_send(cpu, VEC_IPI_TLB);
    return ticket;
}

static void wait_answer(unsigned int cpu, uint64_t ticket)
{
    while (atomic_load(&cpus[cpu].answered) < ticket) {
        tlb_serve();
        port_cpu_relax();
    }
}

/* An idle cpu uses no guest's translation: where no page table may become something else, it is
 * enough that it flushes before it does again. */
static bool put_off(unsigned int cpu)
{
    uint32_t idle = IDLE_KEEPS;

    return atomic_compare_exchange_strong(&cpus[cpu].idle, &idle, IDLE_STALE) || idle == IDLE_STALE;
}

void tlb_idle_begin(void)
{
    atomic_store(&cpus[port_cpu_id()].idle, IDLE_KEEPS);
}

bool tlb_idle_end(void)
{
    return atomic_exchange(&cpus[port_cpu_id()].idle, IDLE_NOT) == IDLE_STALE;
}

void tlb_leave(unsigned int cpu)
{
    if (cpu != port_cpu_id()) {
        wait_answer(cpu, ask(cpu));
        return;
    }
    unsigned long flags = port_irq_save();
    if (atomic_load(&cpus[cpu].idle) != IDLE_NOT) {
        cpu_leave_space();
    }
    port_irq_restore(flags);
}

/* now: idle cpus too, at once. */
static void flush_since(const struct cpumask *mask, uint64_t stamp, bool now)
{
    uint64_t ticket[CONFIG_MAX_CPUS];
    struct cpumask sent;
    unsigned int self = port_cpu_id();

    cpumask_zero(&sent);
    for (unsigned int cpu = next_stale(mask, 0, stamp); cpu < CONFIG_MAX_CPUS;
         cpu = next_stale(mask, cpu + 1, stamp)) {
        if (now || !put_off(cpu)) {
            ticket[cpu] = ask(cpu);
            cpumask_set(&sent, cpu);
        }
    }
    if (cpumask_test(mask, self) && atomic_load(&cpus[self].flushed) <= stamp) {
        port_tlb_flush_local();
        count(CNT_TLB_FLUSH, 1);
    }
    cpumask_for_each(cpu, &sent)
    {
        wait_answer(cpu, ticket[cpu]);
    }
}

void port_tlb_flush_before(const struct cpumask *mask, uint32_t stamp)
{
    uint64_t now = atomic_load(&flush_clock);

    /*
     * This is asked before a frame gets another type or owner.  An idle cpu uses no guest's
     * translation, but may walk its tables ahead of need, and sets accessed bits on the way: where
     * a page table was, somebody else's data would be changed.  So idle cpus flush at once.
     */
    flush_since(mask, now - (uint32_t)((uint32_t)now - stamp), true);
}

void port_tlb_flush(const struct cpumask *mask)
{
    flush_since(mask, UINT64_MAX, false);
}

void port_tlb_flush_page_local(uint64_t va)
{
    invlpg(va);
}

void port_tlb_flush_page(const struct cpumask *mask, uint64_t va)
{
    unsigned int self = port_cpu_id();
    struct cpumask others;

    cpumask_copy(&others, mask);
    cpumask_clear(&others, self);
    if (cpumask_test(mask, self)) {
        invlpg(va);
    }
    if (!cpumask_empty(&others)) {
        flush_since(&others, UINT64_MAX, false);
    }
}

void cpu_wbinvd_all(void)
{
    /* A mark set before the request is seen by whoever answers it. */
    cpumask_for_each(cpu, &cpu_online_mask)
    {
        if (cpu != port_cpu_id()) {
            atomic_store(&cpus[cpu].caches, true);
        }
    }
    cpu_wbinvd();
    flush_since(&cpu_online_mask, UINT64_MAX, true);
}
