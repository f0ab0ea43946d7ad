/* SPDX-License-Identifier: MIT */
/* Host port: interrupt lines, as records of what was done to them. */
#include "port/irq.h"

#include "arch/host/machine.h"
#include "irq/irq.h"

#define GSIS 24u

unsigned int port_irq_gsi_count(void)
{
    return GSIS;
}

unsigned int host_irq_count = IRQ_MAX;

unsigned int port_irq_count(void)
{
    return host_irq_count;
}

int port_irq_startup(unsigned int irq, bool level, bool active_low)
{
    (void)level;
    (void)active_low;
    host_record.irq_started[irq % 1024]++;
    host_record.irq_masked[irq % 1024] = 0;
    return 0;
}

void port_irq_shutdown(unsigned int irq)
{
    host_record.irq_started[irq % 1024] = 0;
}

void port_irq_mask(unsigned int irq)
{
    host_record.irq_masked[irq % 1024] = 1;
}

void port_irq_unmask(unsigned int irq)
{
    host_record.irq_masked[irq % 1024] = 0;
}

void port_irq_ack(unsigned int irq)
{
    (void)irq;
    host_record.irq_acks++;
}

void port_irq_eoi(unsigned int irq)
{
    (void)irq;
    host_record.irq_eois++;
}

int port_irq_set_cpu(unsigned int irq, unsigned int cpu)
{
    (void)irq;
    (void)cpu;
    return 0;
}
