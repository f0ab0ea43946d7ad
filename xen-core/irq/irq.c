/* SPDX-License-Identifier: MIT */
/*
 * Interrupt lines: whose each one is, and what happens when it fires.
 *
 * An edge is acknowledged and forgotten.  A level line that belongs to a guest stays masked from
 * its interrupt until the guest says that it has served it, so a guest that never does can hold up
 * nobody but itself.
 */
#include "irq/irq.h"

#include "port/irq.h"

#include "abi/errno.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/nospec.h"
#include "base/panic.h"
#include "domain/domain.h"
#include "evtchn/evtchn.h"
#include "irq/irq_priv.h"

enum irq_owner { IO_NONE, IO_RESERVED /* allocated, not bound */, IO_OWN, IO_GUEST };

struct irq_desc {
    struct spinlock lock;
    uint8_t owner; /* enum irq_owner [lock], and all that follows */
    bool level;
    bool active_low;
    bool in_service; /* level, masked until the guest's eoi */
    bool warned;
    void (*fn)(void *); /* IO_OWN */
    void *data;
    struct domain *d; /* IO_GUEST; it is alive as long as it is bound */
    uint32_t port;
    uint64_t count;
};

#define ISA_IRQS 16u

static struct irq_desc descs[IRQ_MAX];

static struct irq_desc *desc_of(unsigned int irq)
{
    return irq < IRQ_MAX ? &descs[index_nospec(irq, IRQ_MAX)] : NULL;
}

/*
 * Lines as they are wired unless the firmware's tables say otherwise: ISA edge, high; PCI level,
 * low.  What is not a line (MSI) is told by irq_alloc(). Start of day, before the machine knows how
 * many lines there are.
 */
void irq_init(void)
{
    for (unsigned int irq = 0; irq < IRQ_MAX; irq++) {
        struct irq_desc *i = &descs[irq];
        bool pci = irq >= ISA_IRQS;
        spin_init(&i->lock, LOCK_irqdesc);
        i->level = pci;
        i->active_low = pci;
    }
}

/* fails: -EINVAL, -EBUSY, or the port's error. locks: takes irqdesc. */
int irq_own(unsigned int irq, void (*fn)(void *data), void *data, bool level, bool active_low)
{
    struct irq_desc *i = desc_of(irq);

    if (i == NULL) {
        return -EINVAL;
    }
    unsigned long flags = spin_lock_irqsave(&i->lock);
    int rc = i->owner == IO_NONE ? 0 : -EBUSY;
    if (rc == 0) {
        i->owner = IO_OWN;
        i->fn = fn;
        i->data = data;
        i->level = level;
        i->active_low = active_low;
        rc = port_irq_startup(irq, level, active_low);
        i->owner = rc == 0 ? IO_OWN : IO_NONE;
    }
    spin_unlock_irqrestore(&i->lock, flags);
    return rc;
}

/* fails: -ENOSPC. locks: takes irqdesc. */
int irq_alloc(void)
{
    for (unsigned int irq = port_irq_gsi_count(); irq < port_irq_count(); irq++) {
        struct irq_desc *i = &descs[irq];
        unsigned long flags = spin_lock_irqsave(&i->lock);
        bool got = i->owner == IO_NONE;
        if (got) {
            i->owner = IO_RESERVED;
            i->level = false;
            i->active_low = false;
        }
        spin_unlock_irqrestore(&i->lock, flags);
        if (got) {
            return (int)irq;
        }
    }
    return -ENOSPC;
}

void irq_free(unsigned int irq)
{
    struct irq_desc *i = desc_of(irq);

    bug_if(i == NULL);
    unsigned long flags = spin_lock_irqsave(&i->lock);
    bug_if(i->owner != IO_RESERVED);
    i->owner = IO_NONE;
    spin_unlock_irqrestore(&i->lock, flags);
}

/* Saying again what is so already is fine. fails: -EINVAL, -EBUSY. locks: takes irqdesc. */
int irq_set_gsi(unsigned int irq, bool level, bool active_low)
{
    struct irq_desc *i = desc_of(irq);
    int rc = 0;

    if (i == NULL || irq >= port_irq_gsi_count()) {
        return -EINVAL;
    }
    unsigned long flags = spin_lock_irqsave(&i->lock);
    if (i->level != level || i->active_low != active_low) {
        if (i->owner == IO_NONE) {
            i->level = level;
            i->active_low = active_low;
        } else {
            rc = -EBUSY;
        }
    }
    spin_unlock_irqrestore(&i->lock, flags);
    return rc;
}

/* Our own handler runs without the lock; a level line is unmasked after it. */
static void handle_own(struct irq_desc *i, unsigned int irq)
{
    i->fn(i->data);
    if (i->level) {
        spin_lock(&i->lock);
        port_irq_eoi(irq);
        spin_unlock(&i->lock);
    }
}

/* context: interrupts off, at the machine's entry. */
void irq_handle(unsigned int irq)
{
    struct irq_desc *i = desc_of(irq);
    struct domain *d = NULL;
    uint32_t port = 0;

    if (i == NULL) {
        return;
    }
    spin_lock(&i->lock);
    i->count++;
    port_irq_ack(irq);
    uint8_t owner = i->owner;
    if (owner == IO_GUEST) {
        i->in_service = i->level;
        d = i->d;
        port = i->port;
        domain_ref(d);
    } else if (owner != IO_OWN && !i->warned) {
        i->warned = true;
        log_warn("irq %u fired but belongs to nobody", irq);
    }
    spin_unlock(&i->lock);

    if (owner == IO_GUEST) {
        evtchn_raise(d, port);
        domain_put(d);
    } else if (owner == IO_OWN) {
        handle_own(i, irq);
    }
}

int irq_bind_guest(unsigned int irq, struct domain *d, uint32_t port)
{
    struct irq_desc *i = desc_of(irq);
    int rc = -EBUSY;

    if (i == NULL) {
        return -EINVAL;
    }
    unsigned long flags = spin_lock_irqsave(&i->lock);
    uint8_t before = i->owner;
    if (before == IO_NONE || before == IO_RESERVED) {
        i->owner = IO_GUEST;
        i->d = d;
        i->port = port;
        i->in_service = false;
        rc = port_irq_startup(irq, i->level, i->active_low);
        i->owner = rc == 0 ? IO_GUEST : before;
    }
    spin_unlock_irqrestore(&i->lock, flags);
    return rc;
}

void irq_unbind_guest(unsigned int irq, const struct domain *d)
{
    struct irq_desc *i = desc_of(irq);

    bug_if(i == NULL);
    unsigned long flags = spin_lock_irqsave(&i->lock);
    if (i->owner == IO_GUEST && i->d == d) {
        port_irq_shutdown(irq);
        i->owner = irq < port_irq_gsi_count() ? IO_NONE : IO_RESERVED;
        i->in_service = false;
        i->d = NULL;
    }
    spin_unlock_irqrestore(&i->lock, flags);
}

void irq_guest_eoi(unsigned int irq, const struct domain *d)
{
    struct irq_desc *i = desc_of(irq);

    bug_if(i == NULL);
    unsigned long flags = spin_lock_irqsave(&i->lock);
    if (i->owner == IO_GUEST && i->d == d && i->in_service) {
        i->in_service = false;
        port_irq_eoi(irq);
    }
    spin_unlock_irqrestore(&i->lock, flags);
}

bool irq_is_level(unsigned int irq)
{
    const struct irq_desc *i = desc_of(irq);

    return i != NULL && i->level;
}

void irq_set_cpu(unsigned int irq, unsigned int cpu)
{
    struct irq_desc *i = desc_of(irq);

    bug_if(i == NULL);
    unsigned long flags = spin_lock_irqsave(&i->lock);
    if (i->owner == IO_GUEST) {
        (void)!port_irq_set_cpu(irq, cpu); /* where it arrives is a matter of speed only */
    }
    spin_unlock_irqrestore(&i->lock, flags);
}
