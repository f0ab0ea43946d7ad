/* SPDX-License-Identifier: MIT */
/* Waiting for a lock, and the checks of order and interrupt state in checking builds. */
#include "base/lock.h"

#include <stddef.h>

#include "base/panic.h"

#define HELD_MAX 16u

struct class_row {
    const char *name;
    uint8_t rank;
    bool irq_safe;
    bool pair;
};

#define LOCK_CLASS(r, n, irq, p) [LOCK_##n] = { #n, (r), (irq), (p) },
static const struct class_row classes[LOCK_CLASSES] = {
#include "base/lock_order.h"
};
#undef LOCK_CLASS

/* What a cpu holds, in the order taken; only that cpu touches it. */
static struct {
    const struct spinlock *lock[HELD_MAX];
    uint32_t count;
    bool is_up; /* it has interrupts: no others wait for it with them off */
} held[CONFIG_MAX_CPUS];

void lock_wait(struct spinlock *l, uint32_t ticket)
{
    while (atomic_load_explicit(&l->now, memory_order_acquire) != ticket) {
        port_cpu_relax();
    }
}

static void check_order(const struct spinlock *l, const struct spinlock *top)
{
    const struct class_row *mine = &classes[l->class];
    const struct class_row *last = &classes[top->class];

    if (mine->rank > last->rank) {
        return;
    }
    if (mine->rank == last->rank && mine->pair && l != top) {
        return;
    }
    panic("lock %s (%u) taken while %s (%u) is held", mine->name, mine->rank, last->name,
          last->rank);
}

void lock_check_take(const struct spinlock *l)
{
    unsigned int cpu = port_cpu_id();
    const struct class_row *c = &classes[l->class];

    if (c->irq_safe && port_irq_enabled()) {
        panic("lock %s taken with interrupts on", c->name);
    }
    if (!c->irq_safe && held[cpu].is_up && !port_irq_enabled()) {
        panic("lock %s taken with interrupts off", c->name);
    }
    if (held[cpu].count > 0) {
        check_order(l, held[cpu].lock[held[cpu].count - 1]);
    }
    if (held[cpu].count == HELD_MAX) {
        panic("more than %u locks held, last %s", HELD_MAX, c->name);
    }
    held[cpu].lock[held[cpu].count++] = l;
}

void lock_check_up(void)
{
    held[port_cpu_id()].is_up = true;
}

void lock_check_drop(const struct spinlock *l)
{
    unsigned int cpu = port_cpu_id();
    uint32_t n = held[cpu].count;

    for (uint32_t i = n; i-- > 0;) {
        if (held[cpu].lock[i] == l) {
            for (; i + 1 < n; i++) {
                held[cpu].lock[i] = held[cpu].lock[i + 1];
            }
            held[cpu].count = n - 1;
            return;
        }
    }
    panic("lock %s dropped but not held", classes[l->class].name);
}

void lock_check_none(void)
{
    unsigned int cpu = port_cpu_id();

    if (held[cpu].count != 0) {
        panic("lock %s still held on the way to a guest",
              classes[held[cpu].lock[held[cpu].count - 1]->class].name);
    }
}
