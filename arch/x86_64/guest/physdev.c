/* SPDX-License-Identifier: MIT */
/* physdev_op: interrupts, PCI functions and port privileges of a domain that drives hardware. */
#include "guest/trap.h"

#include "abi/errno.h"
#include "abi/physdev.h"
#include "abi/types.h"
#include "cpu/machine.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "irq/irq.h"
#include "irq/pirq.h"
#include "irq/rights.h"
#include "port/copy.h"
#include "port/irq.h"

#define MULTI_MSI_MAX 32

static int64_t op_irq_status_query(struct vcpu *v, void *arg, struct hcall_args *a)
{
    struct physdev_irq_status_query *q = arg;

    (void)a;
    int irq = pirq_to_irq(v->d, (int)q->irq);
    if (irq < 0) {
        return -EINVAL;
    }
    q->flags = pirq_needs_eoi(v->d, (int)q->irq) ? XENIRQSTAT_needs_eoi : 0;
    return 0;
}

static int64_t op_set_iopl(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct physdev_set_iopl *p = arg;

    (void)a;
    if (p->iopl > 3) {
        return -EINVAL;
    }
    v->arch.iopl = (uint8_t)p->iopl;
    return 0;
}

static int64_t op_set_iobitmap(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct physdev_set_iobitmap *p = arg;

    (void)a;
    if (p->nr_ports > 65536) {
        return -EINVAL;
    }
    v->arch.iobmp_va = p->bitmap.va;
    v->arch.iobmp_ports = p->nr_ports;
    return 0;
}

static int64_t op_apic_read(struct vcpu *v, void *arg, struct hcall_args *a)
{
    struct physdev_apic *p = arg;

    (void)v;
    (void)a;
    return cpu_ioapic_read(p->apic_physbase, p->reg, &p->value);
}

/* Routing is the hypervisor's business (setup_gsi, map_pirq); Linux does not write it. */
static int64_t op_apic_write(struct vcpu *v, void *arg, struct hcall_args *a)
{
    (void)v;
    (void)arg;
    (void)a;
    return -EPERM;
}

/* A relic of kernels that chose vectors: the vector is the irq. */
static int64_t op_alloc_irq_vector(struct vcpu *v, void *arg, struct hcall_args *a)
{
    struct physdev_irq *p = arg;

    (void)a;
    if (p->irq >= IRQ_MAX || !rights_check(v->d, RIGHT_IRQ, p->irq, p->irq)) {
        return -EINVAL;
    }
    p->vector = p->irq;
    return 0;
}

static int64_t op_eoi(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct physdev_eoi *p = arg;

    (void)a;
    return p->irq < IRQ_MAX ? pirq_eoi(v->d, (int)p->irq) : -EINVAL;
}

static int64_t map_gsi(struct domain *d, struct physdev_map_pirq *m)
{
    if (m->index < 0 || (uint32_t)m->index >= port_irq_gsi_count()) {
        return -EINVAL;
    }
    if (!rights_check(d, RIGHT_IRQ, (uint32_t)m->index, (uint32_t)m->index)) {
        return -EPERM;
    }
    int rc = pirq_map(d, m->pirq, (unsigned int)m->index);
    if (rc >= 0) {
        m->pirq = rc;
    }
    return rc < 0 ? rc : 0;
}

static int64_t map_msi(struct domain *d, struct physdev_map_pirq *m)
{
    struct msi_source src = {
        .segment = m->type == MAP_PIRQ_TYPE_MSI_SEG ? (uint16_t)((uint32_t)m->bus >> 16) : 0,
        .bus = (uint8_t)m->bus,
        .devfn = (uint8_t)m->devfn,
        .is_msix = m->table_base != 0,
        .entry = (uint16_t)m->entry_nr,
        .table_base = m->table_base,
    };

    if (m->type == MAP_PIRQ_TYPE_MULTI_MSI) {
        if (m->entry_nr <= 0 || m->entry_nr > MULTI_MSI_MAX) {
            return -EDOM;
        }
        /* Several vectors of one function need interrupt remapping. */
        if (m->entry_nr != 1) {
            return -EOPNOTSUPP;
        }
        src.entry = 0;
        src.is_msix = false;
    } else if (m->entry_nr < 0 || m->entry_nr > 2047) {
        return -EINVAL;
    }
    int irq = irq_alloc();
    if (irq < 0) {
        return irq;
    }
    int rc = msi_setup(&src, (unsigned int)irq);
    if (rc != 0) {
        irq_free((unsigned int)irq);
        return rc;
    }
    rc = pirq_map(d, m->pirq, (unsigned int)irq);
    if (rc < 0) {
        msi_teardown((unsigned int)irq);
        irq_free((unsigned int)irq);
        return rc;
    }
    m->pirq = rc;
    return 0;
}

static int64_t op_map_pirq(struct vcpu *v, void *arg, struct hcall_args *a)
{
    struct physdev_map_pirq *m = arg;

    (void)a;
    if (m->domid != DOMID_SELF && m->domid != v->d->id) {
        return -EPERM; /* devices of other domains: a later step (PCI pass-through) */
    }
    switch (m->type) {
    case MAP_PIRQ_TYPE_GSI:
        return map_gsi(v->d, m);
    case MAP_PIRQ_TYPE_MSI:
    case MAP_PIRQ_TYPE_MSI_SEG:
    case MAP_PIRQ_TYPE_MULTI_MSI:
        return map_msi(v->d, m);
    default:
        return -EINVAL;
    }
}

static int64_t op_unmap_pirq(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct physdev_unmap_pirq *p = arg;

    (void)a;
    if (p->domid != DOMID_SELF && p->domid != v->d->id) {
        return -EPERM;
    }
    int irq;
    int rc = pirq_unmap(v->d, p->pirq, &irq);
    if (rc == 0 && irq >= 0 && (uint32_t)irq >= port_irq_gsi_count()) {
        msi_teardown((unsigned int)irq);
        irq_free((unsigned int)irq);
    }
    return rc;
}

/* A number to map later. -EINVAL (unknown kind), -ENOSPC. */
static int64_t op_get_free_pirq(struct vcpu *v, void *arg, struct hcall_args *a)
{
    struct physdev_get_free_pirq *p = arg;

    (void)a;
    if (p->type != MAP_PIRQ_TYPE_GSI && p->type != MAP_PIRQ_TYPE_MSI) {
        return -EINVAL;
    }
    int rc = pirq_reserve(v->d, p->type == MAP_PIRQ_TYPE_GSI);
    if (rc >= 0) {
        p->pirq = (uint32_t)rc;
    }
    return rc < 0 ? rc : 0;
}

static int64_t op_setup_gsi(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct physdev_setup_gsi *p = arg;

    (void)v;
    (void)a;
    if (p->gsi < 0 || (uint32_t)p->gsi >= port_irq_gsi_count() || p->triggering > 1 ||
        p->polarity > 1) {
        return -EINVAL;
    }
    return irq_set_gsi((unsigned int)p->gsi, p->triggering != 0, p->polarity != 0);
}

/* dom0 tells of its PCI functions and configuration windows; without an IOMMU there is nothing to
 * set up for them. */
static int64_t op_accept(struct vcpu *v, void *arg, struct hcall_args *a)
{
    (void)v;
    (void)arg;
    (void)a;
    return 0;
}

static int64_t op_restore_msi(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct physdev_restore_msi *p = arg;

    (void)v;
    (void)a;
    return msi_restore(0, p->bus, p->devfn);
}

static int64_t op_restore_msi_ext(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct physdev_pci_device *p = arg;

    (void)v;
    (void)a;
    return msi_restore(p->seg, p->bus, p->devfn);
}

/* clang-format off */
static const struct subop_row rows[] = {
    [PHYSDEVOP_irq_status_query] = { "irq_status_query", op_irq_status_query, 8, 8, WHO_HW, 0 },
    [PHYSDEVOP_set_iopl]         = { "set_iopl", op_set_iopl, 4, 0, WHO_ANY, 0 },
    [PHYSDEVOP_set_iobitmap]     = { "set_iobitmap", op_set_iobitmap, 16, 0, WHO_ANY, 0 },
    [PHYSDEVOP_apic_read]        = { "apic_read", op_apic_read, 16, 16, WHO_HW, 0 },
    [PHYSDEVOP_apic_write]       = { "apic_write", op_apic_write, 16, 0, WHO_HW, 0 },
    [PHYSDEVOP_alloc_irq_vector] = { "alloc_irq_vector", op_alloc_irq_vector, 8, 8, WHO_HW, 0 },
    [PHYSDEVOP_free_irq_vector]  = { "free_irq_vector", op_accept, 8, 0, WHO_HW, 0 },
    [PHYSDEVOP_eoi]              = { "eoi", op_eoi, 4, 0, WHO_HW, 0 },
    [PHYSDEVOP_map_pirq]         = { "map_pirq", op_map_pirq, 40, 40, WHO_HW, 0 },
    [PHYSDEVOP_unmap_pirq]       = { "unmap_pirq", op_unmap_pirq, 8, 0, WHO_HW, 0 },
    [PHYSDEVOP_manage_pci_add]   = { "manage_pci_add", op_accept, 2, 0, WHO_HW, 0 },
    [PHYSDEVOP_manage_pci_remove] = { "manage_pci_remove", op_accept, 2, 0, WHO_HW, 0 },
    [PHYSDEVOP_restore_msi]      = { "restore_msi", op_restore_msi, 2, 0, WHO_HW, 0 },
    [PHYSDEVOP_manage_pci_add_ext] = { "manage_pci_add_ext", op_accept, 16, 0, WHO_HW, 0 },
    [PHYSDEVOP_setup_gsi]        = { "setup_gsi", op_setup_gsi, 8, 0, WHO_HW, 0 },
    [PHYSDEVOP_get_free_pirq]    = { "get_free_pirq", op_get_free_pirq, 8, 8, WHO_HW, 0 },
    [PHYSDEVOP_pci_mmcfg_reserved] = { "pci_mmcfg_reserved", op_accept, 16, 0, WHO_HW, 0 },
    [PHYSDEVOP_pci_device_add]   = { "pci_device_add", op_accept, 12, 0, WHO_HW, 0 },
    [PHYSDEVOP_pci_device_remove] = { "pci_device_remove", op_accept, 4, 0, WHO_HW, 0 },
    [PHYSDEVOP_restore_msi_ext]  = { "restore_msi_ext", op_restore_msi_ext, 4, 0, WHO_HW, 0 },
    [PHYSDEVOP_prepare_msix]     = { "prepare_msix", op_accept, 4, 0, WHO_HW, 0 },
    [PHYSDEVOP_release_msix]     = { "release_msix", op_accept, 4, 0, WHO_HW, 0 },
};
/* clang-format on */

int64_t hc_physdev_op(struct vcpu *v, struct hcall_args *a)
{
    return subop_dispatch(v, rows, sizeof rows / sizeof rows[0], a->arg[0], gptr(a->arg[1]), a);
}
