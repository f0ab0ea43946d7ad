/* SPDX-License-Identifier: MIT */
/* Guests' physical interrupts: a domain's numbers for lines of the machine, and the event channels
 * they go to. */
#include "irq/pirq.h"

#include "port/irq.h"

#include "abi/errno.h"
#include "base/lock.h"
#include "base/nospec.h"
#include "domain/domain.h"
#include "irq/irq.h"
#include "irq/irq_priv.h"
#include "mm/heap.h"

#define PIRQ_LIMIT  1016u /* what fits beside the lock */
#define TABLE_ORDER 1u
#define NO_IRQ      (-1)
#define RESERVED    (-2) /* given out by get_free_pirq, not mapped yet */

struct pirq {
    int32_t irq;   /* negative: not mapped */
    uint32_t port; /* 0: not bound */
};

struct pirq_table {
    struct spinlock lock;
    struct pirq p[PIRQ_LIMIT];
};
_Static_assert(sizeof(struct pirq_table) <= PAGE_SIZE << TABLE_ORDER, "allocated as two frames");

/* Only domains that drive hardware have a table. fails: -ENOMEM. */
int pirq_domain_init(struct domain *d)
{
    if (!d->is_hw) {
        return 0;
    }
    struct pirq_table *t = heap_alloc(TABLE_ORDER, HEAP_ANY);
    if (t == NULL) {
        return -ENOMEM;
    }
    spin_init(&t->lock, LOCK_pirq);
    for (unsigned int i = 0; i < PIRQ_LIMIT; i++) {
        t->p[i].irq = NO_IRQ;
    }
    d->pirqs = t;
    return 0;
}

void pirq_domain_destroy(struct domain *d)
{
    struct pirq_table *t = d->pirqs;

    if (t == NULL) {
        return;
    }
    for (unsigned int i = 0; i < PIRQ_LIMIT; i++) {
        pirq_unbind(d, (int)i);
    }
    d->pirqs = NULL;
    heap_free(t, TABLE_ORDER);
}

/* The entry, with the table locked; NULL (and nothing locked) if there is no such number. */
static struct pirq *lock_pirq(struct domain *d, int pirq, unsigned long *flags)
{
    if (d->pirqs == NULL || pirq < 0 || (unsigned int)pirq >= PIRQ_LIMIT) {
        return NULL;
    }
    *flags = spin_lock_irqsave(&d->pirqs->lock);
    return &d->pirqs->p[index_nospec((uint64_t)pirq, PIRQ_LIMIT)];
}

static void unlock_pirq(struct domain *d, unsigned long flags)
{
    spin_unlock_irqrestore(&d->pirqs->lock, flags);
}

/* The number under which an irq is mapped, or a good free one. -ENOSPC. locks: pirq held. */
static int find_number(const struct pirq_table *t, unsigned int irq)
{
    int free_one = -ENOSPC;

    for (unsigned int i = 0; i < PIRQ_LIMIT; i++) {
        if (t->p[i].irq == (int32_t)irq) {
            return (int)i;
        }
        /* Lines keep their own numbers; the others are given out from the top. */
        if (t->p[i].irq == NO_IRQ && i >= port_irq_gsi_count()) {
            free_one = (int)i;
        }
    }
    if (irq < port_irq_gsi_count() && irq < PIRQ_LIMIT && t->p[irq].irq == NO_IRQ) {
        return (int)irq;
    }
    return free_one;
}

/* fails: -EINVAL, -EEXIST (the number, or the irq, is mapped otherwise), -ENOSPC. locks: takes
 * pirq. */
int pirq_map(struct domain *d, int pirq, unsigned int irq)
{
    unsigned long flags;

    if (irq >= IRQ_MAX || lock_pirq(d, pirq < 0 ? 0 : pirq, &flags) == NULL) {
        return -EINVAL;
    }
    struct pirq_table *t = d->pirqs;
    int found = find_number(t, irq);
    if (pirq < 0) {
        pirq = found;
    } else if (t->p[pirq].irq != (int32_t)irq &&
               (t->p[pirq].irq >= 0 || (found >= 0 && t->p[found].irq == (int32_t)irq))) {
        pirq = -EEXIST;
    }
    if (pirq >= 0) {
        t->p[pirq].irq = (int32_t)irq;
    }
    unlock_pirq(d, flags);
    return pirq;
}

/* A number that nobody else is given until it is unmapped. fails: -EINVAL, -ENOSPC. locks: takes
 * pirq. */
int pirq_reserve(struct domain *d, bool for_line)
{
    unsigned long flags;

    if (lock_pirq(d, 0, &flags) == NULL) {
        return -EINVAL;
    }
    struct pirq_table *t = d->pirqs;
    int found = -ENOSPC;
    for (unsigned int i = 0; i < PIRQ_LIMIT; i++) {
        if (t->p[i].irq == NO_IRQ && (i < port_irq_gsi_count()) == for_line) {
            found = (int)i;
        }
    }
    if (found >= 0) {
        t->p[found].irq = RESERVED;
    }
    unlock_pirq(d, flags);
    return found;
}

/* Also a number that is only reserved. *irq: what it stood for until now, negative if nothing.
 * fails: -EINVAL, -EBUSY (bound to a port). locks: takes pirq. */
int pirq_unmap(struct domain *d, int pirq, int *irq)
{
    unsigned long flags;
    struct pirq *p = lock_pirq(d, pirq, &flags);
    int rc = 0;

    *irq = -1;
    if (p == NULL) {
        return -EINVAL;
    }
    if (p->irq == NO_IRQ) {
        rc = -EINVAL;
    } else if (p->port != 0) {
        rc = -EBUSY;
    } else {
        *irq = p->irq;
        p->irq = NO_IRQ;
    }
    unlock_pirq(d, flags);
    return rc;
}

int pirq_to_irq(struct domain *d, int pirq)
{
    unsigned long flags;
    const struct pirq *p = lock_pirq(d, pirq, &flags);

    if (p == NULL) {
        return -EINVAL;
    }
    int irq = p->irq < 0 ? -EINVAL : p->irq;
    unlock_pirq(d, flags);
    return irq;
}

/*
 * Lines are not shared between domains, so asking for that changes nothing.
 * fails: -EINVAL (not mapped), -EEXIST (bound), or what irq_bind_guest() says. locks: takes pirq;
 * evtchn(d) may be held.
 */
int pirq_bind(struct domain *d, int pirq, uint32_t port, bool shareable)
{
    unsigned long flags;
    struct pirq *p = lock_pirq(d, pirq, &flags);
    int rc;

    (void)shareable;
    if (p == NULL) {
        return -EINVAL;
    }
    if (p->irq < 0) {
        rc = -EINVAL;
    } else if (p->port != 0) {
        rc = -EEXIST;
    } else {
        rc = irq_bind_guest((unsigned int)p->irq, d, port);
        p->port = rc == 0 ? port : 0;
    }
    unlock_pirq(d, flags);
    return rc;
}

void pirq_unbind(struct domain *d, int pirq)
{
    unsigned long flags;
    struct pirq *p = lock_pirq(d, pirq, &flags);

    if (p == NULL) {
        return;
    }
    if (p->port != 0) {
        irq_unbind_guest((unsigned int)p->irq, d);
        p->port = 0;
    }
    unlock_pirq(d, flags);
}

/* fails: -EINVAL (not mapped). locks: takes pirq. */
int pirq_eoi(struct domain *d, int pirq)
{
    unsigned long flags;
    const struct pirq *p = lock_pirq(d, pirq, &flags);

    if (p == NULL) {
        return -EINVAL;
    }
    int rc = p->irq < 0 ? -EINVAL : 0;
    if (rc == 0 && p->port != 0) {
        irq_guest_eoi((unsigned int)p->irq, d);
    }
    unlock_pirq(d, flags);
    return rc;
}

bool pirq_needs_eoi(struct domain *d, int pirq)
{
    int irq = pirq_to_irq(d, pirq);

    return irq >= 0 && irq_is_level((unsigned int)irq);
}

void pirq_set_cpu(struct domain *d, int pirq, unsigned int cpu)
{
    unsigned long flags;
    const struct pirq *p = lock_pirq(d, pirq, &flags);

    if (p == NULL) {
        return;
    }
    if (p->port != 0) {
        irq_set_cpu((unsigned int)p->irq, cpu);
    }
    unlock_pirq(d, flags);
}
