/* SPDX-License-Identifier: MIT */
/* Interrupts: one descriptor per irq; an irq is the hypervisor's own, or bound to guests' pirqs. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct domain;

#define IRQ_MAX 1024u

/* The hypervisor's own handler (uart...). 0 or -EBUSY. */
int irq_own(unsigned int irq, void (*fn)(void *data), void *data, bool level, bool active_low);
/* A free irq number above the GSIs for an MSI; -ENOSPC. */
int irq_alloc(void);
void irq_free(unsigned int irq);
/* From the machine's interrupt entry, interrupts off. */
void irq_handle(unsigned int irq);
/* How a line signals, before it is started (PHYSDEVOP_setup_gsi). -EINVAL, -EBUSY if it runs
 * otherwise. */
int irq_set_gsi(unsigned int irq, bool level, bool active_low);
void irq_init(void);
