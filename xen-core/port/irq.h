/* SPDX-License-Identifier: MIT */
/*
 * Port: interrupt state of this cpu, and the machine's interrupt lines.
 *
 * inline:  unsigned long port_irq_save(void)       off; returns the former state
 *          void port_irq_restore(unsigned long)
 *          void port_irq_enable(void), port_irq_disable(void)
 *          bool port_irq_enabled(void)
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "port_inline.h"

/*
 * Interrupt lines as irq/irq.c sees them: an `irq` is a small number: GSI below
 * port_irq_gsi_count(), above them, below port_irq_count(), allocated ones (MSI).  All return 0 or
 * negative errno; called with irqdesc held unless said.
 */
unsigned int port_irq_gsi_count(void);
unsigned int port_irq_count(void);                                   /* at most IRQ_MAX */
int port_irq_startup(unsigned int irq, bool level, bool active_low); /* route to a vector, unmask */
void port_irq_shutdown(unsigned int irq);
void port_irq_mask(unsigned int irq);
void port_irq_unmask(unsigned int irq);
void port_irq_ack(
    unsigned int irq); /* at entry: EOI to the local controller where edge, mask+EOI where level */
void port_irq_eoi(unsigned int irq); /* the guest is done: unmask a level line */
int port_irq_set_cpu(unsigned int irq, unsigned int cpu);
