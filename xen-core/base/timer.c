/* SPDX-License-Identifier: MIT */
/*
 * Timers: a pairing heap per cpu, linked through the timers themselves, so that arming allocates
 * nothing and any number fits.
 *
 * A node's children are a list: `child` is the first, `next` the younger sibling; `prev` the elder
 * sibling, or the parent of a first child.
 */
#include "base/timer.h"

#include <stddef.h>

#include "base/lock.h"
#include "port/cpu.h"
#include "port/irq.h"
#include "port/time.h"

struct timer_cpu {
    struct spinlock lock;
    struct timer *first;           /* the earliest [timer] */
    struct timer *_Atomic running; /* whose function runs now */
} __attribute__((aligned(64)));

static struct timer_cpu cpus[CONFIG_MAX_CPUS] = {
    [0 ... CONFIG_MAX_CPUS - 1] = { .lock = SPINLOCK(LOCK_timer) },
};

/* Joins two heaps, either may be NULL; the result's root has no siblings. */
static struct timer *join(struct timer *a, struct timer *b)
{
    if (a == NULL || b == NULL) {
        return a != NULL ? a : b;
    }
    if (b->expires < a->expires) {
        struct timer *t = a;
        a = b;
        b = t;
    }
    b->next = a->child;
    b->prev = a;
    if (a->child != NULL) {
        a->child->prev = b;
    }
    a->child = b;
    a->next = NULL;
    a->prev = NULL;
    return a;
}

/* Joins a list of siblings to one heap: in pairs from the left, then those from the right. */
static struct timer *join_list(struct timer *list)
{
    struct timer *pairs = NULL;
    struct timer *root = NULL;

    while (list != NULL) {
        struct timer *a = list;
        struct timer *b = a->next;
        list = b != NULL ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b != NULL) {
            b->next = b->prev = NULL;
        }
        a = join(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        struct timer *a = pairs;
        pairs = a->next;
        a->next = NULL;
        root = join(root, a);
    }
    return root;
}

static void insert(struct timer_cpu *c, struct timer *t)
{
    t->child = t->next = t->prev = NULL;
    c->first = join(c->first, t);
    __atomic_store_n(&t->queued, 1, __ATOMIC_RELAXED);
}

static void take_out(struct timer_cpu *c, struct timer *t)
{
    struct timer *below = join_list(t->child);

    if (t == c->first) {
        c->first = below;
    } else {
        if (t->prev->child == t) {
            t->prev->child = t->next;
        } else {
            t->prev->next = t->next;
        }
        if (t->next != NULL) {
            t->next->prev = t->prev;
        }
        c->first = join(c->first, below);
    }
    t->child = t->next = t->prev = NULL;
    __atomic_store_n(&t->queued, 0, __ATOMIC_RELAXED);
}

/* The cpu of a timer may change until its lock is held. */
static struct timer_cpu *lock_cpu(struct timer *t)
{
    for (;;) {
        uint32_t cpu = __atomic_load_n(&t->cpu, __ATOMIC_ACQUIRE);
        struct timer_cpu *c = &cpus[cpu];
        spin_lock(&c->lock);
        if (__atomic_load_n(&t->cpu, __ATOMIC_RELAXED) == cpu) {
            return c;
        }
        spin_unlock(&c->lock);
    }
}

/* The earliest timer of cpu is new: its deadline must follow. Interrupts off. */
static void rearm(uint32_t cpu, uint64_t expires)
{
    if (cpu == port_cpu_id()) {
        port_time_set_deadline(expires);
    } else {
        port_cpu_raise(cpu, CW_TIMER);
    }
}

void timer_init(struct timer *t, void (*fn)(void *), void *data, unsigned int cpu)
{
    *t = (struct timer){ .fn = fn, .data = data, .cpu = cpu };
}

void timer_set(struct timer *t, uint64_t expires)
{
    unsigned long flags = port_irq_save();
    struct timer_cpu *c = lock_cpu(t);

    if (t->queued) {
        take_out(c, t);
    }
    t->expires = expires;
    insert(c, t);
    bool is_first = c->first == t;
    uint32_t cpu = t->cpu;
    spin_unlock(&c->lock);
    if (is_first) {
        rearm(cpu, expires);
    }
    port_irq_restore(flags);
}

void timer_stop(struct timer *t)
{
    if (t->fn == NULL) {
        return; /* never initialised */
    }
    for (;;) {
        unsigned long flags = port_irq_save();
        struct timer_cpu *c = lock_cpu(t);

        if (t->queued) {
            take_out(c, t); /* the deadline stays: an early look costs less than programming it */
        }
        uint32_t cpu = t->cpu;
        spin_unlock(&c->lock);
        port_irq_restore(flags);
        if (cpu == port_cpu_id() || atomic_load_explicit(&c->running, memory_order_acquire) != t) {
            return;
        }
        /* Its function may set it again before it ends: then it is to be taken out once more. */
        while (atomic_load_explicit(&c->running, memory_order_acquire) == t) {
            port_cpu_relax();
        }
    }
}

void timer_migrate(struct timer *t, unsigned int cpu)
{
    unsigned long flags = port_irq_save();
    struct timer_cpu *c = lock_cpu(t);
    bool was_queued = t->queued != 0;

    /* While its function runs it stays: who stops it looks there. */
    if (t->cpu == cpu || atomic_load_explicit(&c->running, memory_order_relaxed) == t) {
        spin_unlock(&c->lock);
        port_irq_restore(flags);
        return;
    }
    if (was_queued) {
        take_out(c, t);
    }
    __atomic_store_n(&t->cpu, cpu, __ATOMIC_RELEASE);
    spin_unlock(&c->lock);
    port_irq_restore(flags);
    if (was_queued) {
        timer_set(t, t->expires);
    }
}

void timer_run(void)
{
    struct timer_cpu *c = &cpus[port_cpu_id()];
    unsigned long flags = spin_lock_irqsave(&c->lock);

    while (c->first != NULL && c->first->expires <= port_time_now()) {
        struct timer *t = c->first;
        take_out(c, t);
        atomic_store_explicit(&c->running, t, memory_order_release);
        spin_unlock_irqrestore(&c->lock, flags);
        t->fn(t->data);
        flags = spin_lock_irqsave(&c->lock);
        atomic_store_explicit(&c->running, NULL, memory_order_release);
    }
    port_time_set_deadline(c->first != NULL ? c->first->expires : UINT64_MAX);
    spin_unlock_irqrestore(&c->lock, flags);
}

void timer_cpu_init(unsigned int cpu)
{
    spin_init(&cpus[cpu].lock, LOCK_timer);
    cpus[cpu].first = NULL;
}
