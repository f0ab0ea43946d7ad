/* SPDX-License-Identifier: MIT */
/* One-shot timers on the hypervisor's clock (ns since boot); a heap per cpu. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Embedded in its owner.  fn runs in the timer work of `cpu`, interrupts on, no lock held. */
struct timer {
    uint64_t expires; /* ns [timer] */
    void (*fn)(void *);
    void *data;
    uint32_t cpu;        /* whose heap it is in */
    uint32_t queued;     /* in the heap [timer] */
    struct timer *child; /* pairing heap: first child, siblings [timer] */
    struct timer *next;
    struct timer *prev; /* elder sibling, or the parent of a first child [timer] */
};

void timer_init(struct timer *t, void (*fn)(void *), void *data, unsigned int cpu);
/* (Re)arm; an expiry in the past fires as soon as possible. Any context. locks: takes timer. */
void timer_set(struct timer *t, uint64_t expires);
/* Disarm; does not wait for a running fn unless on another cpu (then it does). */
void timer_stop(struct timer *t);
/* Move to another cpu, armed or not. */
void timer_migrate(struct timer *t, unsigned int cpu);
static inline bool timer_is_set(const struct timer *t)
{
    return __atomic_load_n(&t->queued, __ATOMIC_RELAXED) != 0;
}
/* Runs what is due on this cpu and sets the next deadline (from cpu work CW_TIMER). */
void timer_run(void);
void timer_cpu_init(unsigned int cpu);
