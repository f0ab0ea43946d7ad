/* SPDX-License-Identifier: MIT */
/*
 * Spinlocks with a class (rank): ticket locks, fair under contention.
 *
 * With CONFIG_LOCK_CHECK, and on the host, each cpu keeps the ranks it holds and panics with both
 * names on a wrong order or a wrong interrupt state.  lock_order.h is the only place where a class
 * is born.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "port/cpu.h"
#include "port/irq.h"

#define LOCK_CLASS(rank, name, irq, pair) LOCK_##name,
enum lock_class {
#include "base/lock_order.h"
    LOCK_CLASSES
};
#undef LOCK_CLASS

struct spinlock {
    _Atomic uint32_t next; /* ticket handed out */
    _Atomic uint32_t now;  /* ticket served */
    uint32_t class;        /* enum lock_class */
};

#define SPINLOCK(cls)            \
    {                            \
        .class = (uint32_t)(cls) \
    }

/* Checks of order and interrupt state; panic on violation (lock.c). */
void lock_check_take(const struct spinlock *l);
void lock_check_drop(const struct spinlock *l);
/* Panics if this cpu holds any lock (called on the way back to a guest in checking builds). */
void lock_check_none(void);
/* From now on this cpu may wait for locks that are not irq-safe only with interrupts on: whoever
 * holds one may be waiting for this cpu to flush. */
void lock_check_up(void);
void lock_wait(struct spinlock *l, uint32_t ticket);

static inline void spin_init(struct spinlock *l, enum lock_class class)
{
    atomic_init(&l->next, 0);
    atomic_init(&l->now, 0);
    l->class = (uint32_t) class;
}

static inline void spin_lock(struct spinlock *l)
{
    if (port_lock_check()) {
        lock_check_take(l);
    }
    uint32_t ticket = atomic_fetch_add_explicit(&l->next, 1, memory_order_acquire);
    if (atomic_load_explicit(&l->now, memory_order_acquire) != ticket) {
        lock_wait(l, ticket);
    }
}

static inline void spin_unlock(struct spinlock *l)
{
    if (port_lock_check()) {
        lock_check_drop(l);
    }
    uint32_t now = atomic_load_explicit(&l->now, memory_order_relaxed);
    atomic_store_explicit(&l->now, now + 1, memory_order_release);
}

/* Does another cpu wait for the lock that this one holds? */
static inline bool spin_is_wanted(const struct spinlock *l)
{
    return atomic_load_explicit(&l->next, memory_order_relaxed) -
               atomic_load_explicit(&l->now, memory_order_relaxed) >
           1;
}

/* For the irq-safe classes: interrupts off while held; `flags` restores them. */
static inline unsigned long spin_lock_irqsave(struct spinlock *l)
{
    unsigned long flags = port_irq_save();
    spin_lock(l);
    return flags;
}

static inline void spin_unlock_irqrestore(struct spinlock *l, unsigned long flags)
{
    spin_unlock(l);
    port_irq_restore(flags);
}
