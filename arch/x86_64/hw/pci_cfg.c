/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration access.  The address and data ports are one resource of the machine: dom0's
 * accesses come here too, with the address that it latched, so that ours and its never mix.
 */
#include "hw/pci_cfg.h"

#include "base/lock.h"
#include "cpu/msr.h"

#define PCI_ADDRESS 0xcf8u
#define PCI_DATA    0xcfcu
#define PCI_ENABLE  0x80000000u
#define CMOS_INDEX  0x70u
#define CMOS_DATA   0x71u

#define REG_STATUS     0x06u
#define REG_CAP_PTR    0x34u
#define STATUS_HAS_CAP 0x10u
#define CAPS_MAX       48 /* as many as fit: ends a circular list */

static struct spinlock lock = SPINLOCK(LOCK_pcicfg);

uint32_t cpu_pci_read(uint32_t cf8, unsigned int offset, unsigned int size)
{
    unsigned long flags = spin_lock_irqsave(&lock);

    cpu_out(PCI_ADDRESS, 4, cf8 & ~3u);
    uint32_t val = cpu_in((uint16_t)(PCI_DATA + offset), size);
    spin_unlock_irqrestore(&lock, flags);
    return val;
}

void cpu_pci_write(uint32_t cf8, unsigned int offset, unsigned int size, uint32_t val)
{
    unsigned long flags = spin_lock_irqsave(&lock);

    cpu_out(PCI_ADDRESS, 4, cf8 & ~3u);
    cpu_out((uint16_t)(PCI_DATA + offset), size, val);
    spin_unlock_irqrestore(&lock, flags);
}

uint8_t cpu_cmos_read(uint8_t index)
{
    unsigned long flags = spin_lock_irqsave(&lock);

    cpu_out(CMOS_INDEX, 1, index);
    uint8_t val = (uint8_t)cpu_in(CMOS_DATA, 1);
    spin_unlock_irqrestore(&lock, flags);
    return val;
}

void cpu_cmos_write(uint8_t index, uint8_t val)
{
    unsigned long flags = spin_lock_irqsave(&lock);

    cpu_out(CMOS_INDEX, 1, index);
    cpu_out(CMOS_DATA, 1, val);
    spin_unlock_irqrestore(&lock, flags);
}

static uint32_t address(uint8_t bus, uint8_t devfn, uint8_t reg)
{
    return PCI_ENABLE | (uint32_t)bus << 16 | (uint32_t)devfn << 8 | (reg & 0xfcu);
}

uint32_t pci_cfg_read(uint8_t bus, uint8_t devfn, uint8_t reg, unsigned int size)
{
    return cpu_pci_read(address(bus, devfn, reg), reg & 3u, size);
}

void pci_cfg_write(uint8_t bus, uint8_t devfn, uint8_t reg, unsigned int size, uint32_t val)
{
    cpu_pci_write(address(bus, devfn, reg), reg & 3u, size, val);
}

uint8_t pci_find_cap(uint8_t bus, uint8_t devfn, uint8_t id)
{
    uint8_t pos;

    if (!(pci_cfg_read(bus, devfn, REG_STATUS, 2) & STATUS_HAS_CAP)) {
        return 0;
    }
    pos = (uint8_t)pci_cfg_read(bus, devfn, REG_CAP_PTR, 1) & 0xfcu;
    for (int n = 0; n < CAPS_MAX && pos >= 0x40; n++) {
        if (pci_cfg_read(bus, devfn, pos, 1) == id) {
            return pos;
        }
        pos = (uint8_t)pci_cfg_read(bus, devfn, (uint8_t)(pos + 1), 1) & 0xfcu;
    }
    return 0;
}
