/* SPDX-License-Identifier: MIT */
/* Guests' physical interrupts: pirq -> irq -> event channel. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct domain;
struct vcpu;

int pirq_domain_init(struct domain *d);     /* -ENOMEM; only hardware domains get a table */
void pirq_domain_destroy(struct domain *d); /* unbinds all */
/* Map pirq (or -1: any free one) of d to irq. Returns pirq or -errno. */
int pirq_map(struct domain *d, int pirq, unsigned int irq);
/* A free number for later use, of a line's or of a message's kind. -EINVAL, -ENOSPC. */
int pirq_reserve(struct domain *d, bool for_line);
int pirq_unmap(struct domain *d, int pirq, int *irq);
int pirq_to_irq(struct domain *d, int pirq); /* -EINVAL */
/* evtchn bind_pirq/close: start the line and send it to `port`. flags BIND_PIRQ__*. */
int pirq_bind(struct domain *d, int pirq, uint32_t port, bool shareable);
void pirq_unbind(struct domain *d, int pirq);
/* PHYSDEVOP_eoi / evtchn unmask of a pirq port. 0 or -EINVAL. */
int pirq_eoi(struct domain *d, int pirq);
bool pirq_needs_eoi(struct domain *d, int pirq);
/* Deliver future interrupts near `cpu` (its vcpu moved). */
void pirq_set_cpu(struct domain *d, int pirq, unsigned int cpu);
