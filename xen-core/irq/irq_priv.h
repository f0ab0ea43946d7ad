/* SPDX-License-Identifier: MIT */
/* What pirq.c asks of irq.c. Callers hold the domain's pirq lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct domain;

/* The irq goes to `port` of d from now on; starts the line. -EINVAL (no such irq), -EBUSY, or the
 * port's error. */
int irq_bind_guest(unsigned int irq, struct domain *d, uint32_t port);
/* Stops the line; when this returns, no event of it will be raised any more. */
void irq_unbind_guest(unsigned int irq, const struct domain *d);
/* The guest has served a level line. */
void irq_guest_eoi(unsigned int irq, const struct domain *d);
bool irq_is_level(unsigned int irq);
void irq_set_cpu(unsigned int irq, unsigned int cpu);
