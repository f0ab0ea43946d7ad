/* SPDX-License-Identifier: MIT */
/* Interrupt messages of PCI functions: what port_irq_*() does with an irq above the GSIs. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Send irq as `vector` to the local APIC with this id, from now on. Interrupts off, irqdesc held.
 * No effect if irq has no message. */
void msi_route(unsigned int irq, uint8_t vector, uint32_t apic_id);
/* Let the function send; and keep it from sending. */
void msi_unmask(unsigned int irq);
void msi_mask(unsigned int irq);
