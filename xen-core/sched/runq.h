/* SPDX-License-Identifier: MIT */
/* Run queues: one per cpu, a list sorted by virtual time. Used by sched.c alone. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/timer.h"
#include "domain/vcpu.h"

#define RUNQ_FIRST_FLOOR UINT64_C(1000000000) /* so that differences stay positive */

struct runq {
    struct spinlock lock;
    struct vcpu *head; /* smallest key first; never the one that runs */
    struct vcpu *tail;
    uint32_t count; /* length of the list; read without the lock as a hint */
    uint32_t cpu;
    struct vcpu *curr;  /* runs here, or is being loaded */
    struct vcpu *idle;  /* NULL until the cpu is started */
    uint64_t floor;     /* virtual time that newcomers start from; never goes back */
    uint64_t slice_end; /* of curr */
    struct timer slice; /* fires then; set only while others wait or a cap runs out */
    /* What other cpus may know of curr without the lock: its virtual time, since when it has been
     * running, its weight. */
    _Atomic uint64_t curr_vtime;
    _Atomic uint64_t curr_since;
    _Atomic uint32_t curr_weight; /* 0: idle */
} __attribute__((aligned(64)));

/* The order of the queue. */
static inline uint64_t runq_key(const struct vcpu *v)
{
    return v->vtime - v->boost;
}

void runq_init(struct runq *q, unsigned int cpu);
/* Sorted by key, behind equals. locks: q->lock held, here and below. */
void runq_insert(struct runq *q, struct vcpu *v);
void runq_remove(struct runq *q, struct vcpu *v);
/* Moves the floor up to the smallest virtual time that is still waiting or running. */
void runq_raise_floor(struct runq *q);
/* Panics on a broken list. */
void runq_check(const struct runq *q);
