/* SPDX-License-Identifier: MIT */
/*
 * I/O APICs, and the vector of every device interrupt (lines and messages alike).
 *
 * An irq gets one vector when it is started, the same on all cpus, so that moving it needs no
 * second vector.  Acknowledging: an edge is acknowledged to the local APIC at once; a level line is
 * masked first and unmasked by port_irq_eoi(), so that a guest that is slow or dead never holds the
 * local APIC's priority.  82093AA data sheet; SDM vol. 3A 10.8.
 */
#include "hw/ioapic.h"

#include <stddef.h>

#include "abi/errno.h"
#include "base/lock.h"
#include "base/log.h"
#include "cpu/machine.h"
#include "cpu/msr.h"
#include "drivers/acpi.h"
#include "hw/lapic.h"
#include "hw/msi.h"
#include "irq/irq.h"
#include "port/irq.h"
#include "port/mmu.h"

#define IOREGSEL 0x00u
#define IOWIN    0x10u
#define REG_VER  0x01u
#define REG_RTE  0x10u

#define RTE_LOW    (UINT32_C(1) << 13)
#define RTE_LEVEL  (UINT32_C(1) << 15)
#define RTE_MASKED (UINT32_C(1) << 16)

/* Messages that are given out: of the 175 vectors, some are left for lines. */
#define MESSAGES_MAX 144u

#define PIC_MASTER 0x21u
#define PIC_SLAVE  0xa1u

struct ioapic {
    volatile uint8_t *regs;
    uint64_t base;
    uint32_t gsi_base;
    uint32_t pins;
};

struct irq_route {
    uint8_t vector; /* 0 = not started */
    bool level;
    uint32_t rte_low; /* shadow of the entry's low half */
    uint32_t apic_id;
};

static struct ioapic ioapics[ACPI_IOAPICS_MAX];
static uint32_t ioapic_count;
static uint32_t gsi_count;
static struct irq_route routes[IRQ_MAX]; /* each under its irqdesc lock */
static _Atomic int16_t vector_irq[256];  /* irq + 1; 0 = free */

static void reg_write(const struct ioapic *io, uint32_t reg, uint32_t val)
{
    *(volatile uint32_t *)(io->regs + IOREGSEL) = reg;
    *(volatile uint32_t *)(io->regs + IOWIN) = val;
}

static uint32_t reg_read(const struct ioapic *io, uint32_t reg)
{
    *(volatile uint32_t *)(io->regs + IOREGSEL) = reg;
    return *(volatile uint32_t *)(io->regs + IOWIN);
}

/* Register select and window are one resource: all I/O APIC access is under this. */
static struct spinlock lock = SPINLOCK(LOCK_ioapic);

static const struct ioapic *of_gsi(uint32_t gsi, uint32_t *pin)
{
    for (uint32_t i = 0; i < ioapic_count; i++) {
        if (gsi >= ioapics[i].gsi_base && gsi - ioapics[i].gsi_base < ioapics[i].pins) {
            *pin = gsi - ioapics[i].gsi_base;
            return &ioapics[i];
        }
    }
    return NULL;
}

static void write_low(uint32_t gsi, uint32_t low)
{
    uint32_t pin;
    const struct ioapic *io = of_gsi(gsi, &pin);

    if (io != NULL) {
        unsigned long flags = spin_lock_irqsave(&lock);
        reg_write(io, REG_RTE + 2 * pin, low);
        spin_unlock_irqrestore(&lock, flags);
    }
}

static void write_entry(uint32_t gsi, uint32_t low, uint32_t apic_id)
{
    uint32_t pin;
    const struct ioapic *io = of_gsi(gsi, &pin);

    if (io != NULL) {
        unsigned long flags = spin_lock_irqsave(&lock);
        /* Masked while the halves disagree. */
        reg_write(io, REG_RTE + 2 * pin, low | RTE_MASKED);
        reg_write(io, REG_RTE + 2 * pin + 1, apic_id << 24);
        reg_write(io, REG_RTE + 2 * pin, low);
        spin_unlock_irqrestore(&lock, flags);
    }
}

void ioapic_init(const struct acpi_info *acpi)
{
    if (acpi->has_pic) {
        cpu_out(PIC_MASTER, 1, 0xff);
        cpu_out(PIC_SLAVE, 1, 0xff);
    }
    for (uint32_t i = 0; i < acpi->ioapic_count; i++) {
        struct ioapic *io = &ioapics[ioapic_count];
        io->base = acpi->ioapic[i].base;
        io->gsi_base = acpi->ioapic[i].gsi_base;
        io->regs = port_map_device(io->base, PAGE_SIZE);
        if (io->regs == NULL) {
            continue;
        }
        io->pins = (reg_read(io, REG_VER) >> 16 & 0xff) + 1;
        for (uint32_t pin = 0; pin < io->pins; pin++) {
            reg_write(io, REG_RTE + 2 * pin, RTE_MASKED);
            reg_write(io, REG_RTE + 2 * pin + 1, 0);
        }
        if (io->gsi_base + io->pins > gsi_count) {
            gsi_count = io->gsi_base + io->pins;
        }
        log_info("I/O APIC %u at %#lx, GSI %u-%u", acpi->ioapic[i].id, (unsigned long)io->base,
                 io->gsi_base, io->gsi_base + io->pins - 1);
        ioapic_count++;
    }
    if (gsi_count > IRQ_MAX) {
        gsi_count = IRQ_MAX;
    }
}

int ioapic_vector_irq(uint8_t vector)
{
    return atomic_load_explicit(&vector_irq[vector], memory_order_acquire) - 1;
}

int cpu_ioapic_read(uint64_t base, uint32_t reg, uint32_t *val)
{
    for (uint32_t i = 0; i < ioapic_count; i++) {
        if (ioapics[i].base == base) {
            unsigned long flags = spin_lock_irqsave(&lock);
            *val = reg_read(&ioapics[i], reg & 0xff);
            spin_unlock_irqrestore(&lock, flags);
            return 0;
        }
    }
    return -EINVAL;
}

unsigned int port_irq_gsi_count(void)
{
    return gsi_count;
}

/* More messages than vectors would be given out and then be silent: who asks is told. */
unsigned int port_irq_count(void)
{
    return gsi_count < IRQ_MAX - MESSAGES_MAX ? gsi_count + MESSAGES_MAX : IRQ_MAX;
}

/* Priorities are the vector's upper half: spread them. 0x80 is the guests' system call and never a
 * device's. */
static uint8_t vector_alloc(unsigned int irq)
{
    for (uint32_t step = 0; step < 8; step++) {
        for (uint32_t v = VEC_FIRST_IRQ + step; v <= VEC_LAST_IRQ; v += 8) {
            int16_t none = 0;
            if (v != 0x80 &&
                atomic_compare_exchange_strong(&vector_irq[v], &none, (int16_t)(irq + 1))) {
                return (uint8_t)v;
            }
        }
    }
    return 0;
}

int port_irq_startup(unsigned int irq, bool level, bool active_low)
{
    if (irq >= IRQ_MAX) {
        return -EINVAL;
    }
    struct irq_route *r = &routes[irq];
    if (r->vector == 0) {
        r->vector = vector_alloc(irq);
        if (r->vector == 0) {
            return -ENOSPC;
        }
        uint32_t acpi_id;
        if (!cpu_ids(0, &r->apic_id, &acpi_id)) {
            r->apic_id = 0;
        }
    }
    if (irq >= gsi_count) {
        r->level = false;
        msi_route(irq, r->vector, r->apic_id);
        msi_unmask(irq);
        return 0;
    }
    r->level = level;
    r->rte_low = r->vector | (level ? RTE_LEVEL : 0) | (active_low ? RTE_LOW : 0);
    write_entry(irq, r->rte_low, r->apic_id);
    return 0;
}

void port_irq_shutdown(unsigned int irq)
{
    struct irq_route *r = &routes[irq];

    port_irq_mask(irq);
    if (r->vector != 0) {
        atomic_store(&vector_irq[r->vector], 0);
        r->vector = 0;
    }
}

void port_irq_mask(unsigned int irq)
{
    if (irq >= gsi_count) {
        msi_mask(irq);
    } else {
        routes[irq].rte_low |= RTE_MASKED;
        write_low(irq, routes[irq].rte_low);
    }
}

void port_irq_unmask(unsigned int irq)
{
    if (irq >= gsi_count) {
        msi_unmask(irq);
    } else if (routes[irq].vector != 0) {
        routes[irq].rte_low &= ~RTE_MASKED;
        write_low(irq, routes[irq].rte_low);
    }
}

void port_irq_ack(unsigned int irq)
{
    if (irq < gsi_count && routes[irq].level) {
        port_irq_mask(irq);
    }
    lapic_eoi();
}

void port_irq_eoi(unsigned int irq)
{
    if (irq < gsi_count && routes[irq].level) {
        port_irq_unmask(irq);
    }
}

int port_irq_set_cpu(unsigned int irq, unsigned int cpu)
{
    struct irq_route *r = &routes[irq];
    uint32_t apic_id;
    uint32_t acpi_id;

    if (!cpu_ids(cpu, &apic_id, &acpi_id) || apic_id > 255) {
        return -EINVAL;
    }
    r->apic_id = apic_id;
    if (r->vector == 0) {
        return 0;
    }
    if (irq >= gsi_count) {
        msi_route(irq, r->vector, apic_id);
    } else {
        write_entry(irq, r->rte_low, apic_id);
    }
    return 0;
}
