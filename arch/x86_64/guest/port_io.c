/* SPDX-License-Identifier: MIT */
/*
 * I/O ports of a guest.  PCI's address port and the RTC's index are latched per domain: the live
 * registers are the hypervisor's to change.  So nobody has a right to PCI's ports; the control
 * domain, which a machine without MCFG leaves no other way to its devices, reaches what is behind
 * them.
 */
#include "guest/port_io.h"

#include "cpu/msr.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "irq/rights.h"
#include "port/copy.h"

#define PCI_ADDRESS 0xcf8u
#define PCI_DATA    0xcfcu
#define PCI_ENABLE  0x80000000u
#define CMOS_INDEX  0x70u
#define CMOS_DATA   0x71u

bool port_io_iopl_ok(const struct vcpu *v)
{
    unsigned int kernel = (v->d->vm_assist & (1u << VMASST_TYPE_architectural_iopl)) != 0 ? 0 : 1;

    return v->arch.iopl >= (v->arch.kernel_mode ? kernel : 3);
}

/* The guest's kernel has said where: its user mode's tables need not show it. */
static bool bitmap_read(struct vcpu *v, uint8_t *bits, uint16_t port, size_t n)
{
    const bool is_user = !v->arch.kernel_mode;

    if (is_user) {
        cpu_toggle_mode(v);
    }
    const bool ok = guest_read(bits, gptr(v->arch.iobmp_va + port / 8), n) == 0;
    if (is_user) {
        cpu_toggle_mode(v);
    }
    return ok;
}

bool port_io_allowed(struct vcpu *v, uint16_t port, unsigned int size)
{
    uint8_t bits[2] = { 0xff, 0xff };

    if (port_io_iopl_ok(v)) {
        return true;
    }
    if (v->arch.iobmp_va == 0 || (uint32_t)port + size > v->arch.iobmp_ports) {
        return false;
    }
    size_t n = (port & 7u) + size > 8 ? 2 : 1;
    if (!bitmap_read(v, bits, port, n)) {
        return false;
    }
    uint32_t map = (uint32_t)bits[0] | (uint32_t)bits[1] << 8;
    return (map >> (port & 7) & ((1u << size) - 1)) == 0;
}

static uint32_t all_ones(unsigned int size)
{
    return size == 4 ? UINT32_MAX : (1u << (8 * size)) - 1;
}

static bool is_pci_address(const struct domain *d, uint16_t port, unsigned int size)
{
    return d->is_ctl && port == PCI_ADDRESS && size == 4;
}

static bool is_pci_data(const struct domain *d, uint16_t port, unsigned int size)
{
    return d->is_ctl && port >= PCI_DATA && port + size <= PCI_DATA + 4;
}

uint32_t port_io_read(struct vcpu *v, uint16_t port, unsigned int size)
{
    struct domain *d = v->d;

    if (is_pci_address(d, port, size)) {
        return d->arch.pci_cf8;
    }
    if (is_pci_data(d, port, size)) {
        return (d->arch.pci_cf8 & PCI_ENABLE) ? cpu_pci_read(d->arch.pci_cf8, port - PCI_DATA, size)
                                              : all_ones(size);
    }
    if (!rights_check(d, RIGHT_PORT, port, (uint64_t)port + size - 1)) {
        return all_ones(size);
    }
    if (port == CMOS_DATA && size == 1) {
        return cpu_cmos_read(d->arch.cmos_index);
    }
    return cpu_in(port, size);
}

void port_io_write(struct vcpu *v, uint16_t port, unsigned int size, uint32_t val)
{
    struct domain *d = v->d;

    if (is_pci_address(d, port, size)) {
        d->arch.pci_cf8 = val;
        return;
    }
    if (is_pci_data(d, port, size)) {
        if (d->arch.pci_cf8 & PCI_ENABLE) {
            cpu_pci_write(d->arch.pci_cf8, port - PCI_DATA, size, val);
        }
        return;
    }
    if (!rights_check(d, RIGHT_PORT, port, (uint64_t)port + size - 1)) {
        return;
    }
    if (port == CMOS_INDEX && size == 1) {
        d->arch.cmos_index = (uint8_t)val;
        return;
    }
    if (port == CMOS_DATA && size == 1) {
        cpu_cmos_write(d->arch.cmos_index, (uint8_t)val);
        return;
    }
    cpu_out(port, size, val);
}
