/* SPDX-License-Identifier: MIT */
/*
 * Physical devices: interrupts, PCI, port privileges of a domain with hardware.
 *
 * Facts: Xen 4.17 public physdev.h.
 */
#pragma once

#include "abi/types.h"

#define PHYSDEVOP_IRQ_UNMASK_NOTIFY  4
#define PHYSDEVOP_irq_status_query   5
#define PHYSDEVOP_set_iopl           6
#define PHYSDEVOP_set_iobitmap       7
#define PHYSDEVOP_apic_read          8
#define PHYSDEVOP_apic_write         9
#define PHYSDEVOP_alloc_irq_vector   10
#define PHYSDEVOP_free_irq_vector    11
#define PHYSDEVOP_eoi                12
#define PHYSDEVOP_map_pirq           13
#define PHYSDEVOP_unmap_pirq         14
#define PHYSDEVOP_manage_pci_add     15
#define PHYSDEVOP_manage_pci_remove  16
#define PHYSDEVOP_pirq_eoi_gmfn_v1   17
#define PHYSDEVOP_restore_msi        19
#define PHYSDEVOP_manage_pci_add_ext 20
#define PHYSDEVOP_setup_gsi          21
#define PHYSDEVOP_get_free_pirq      23
#define PHYSDEVOP_pci_mmcfg_reserved 24
#define PHYSDEVOP_pci_device_add     25
#define PHYSDEVOP_pci_device_remove  26 /* physdev_pci_device, as the next, 30 and 31 */
#define PHYSDEVOP_restore_msi_ext    27
#define PHYSDEVOP_pirq_eoi_gmfn_v2   28
#define PHYSDEVOP_dbgp_op            29
#define PHYSDEVOP_prepare_msix       30
#define PHYSDEVOP_release_msix       31

struct physdev_eoi {
    uint32_t irq;
};
_Static_assert(sizeof(struct physdev_eoi) == 4, "physdev_eoi");

struct physdev_pirq_eoi_gmfn {
    xen_pfn_t gmfn; /* one bit per interrupt that needs an eoi call */
};
_Static_assert(sizeof(struct physdev_pirq_eoi_gmfn) == 8, "physdev_pirq_eoi_gmfn");

#define XENIRQSTAT_needs_eoi (1U << 0)
#define XENIRQSTAT_shared    (1U << 1)

struct physdev_irq_status_query {
    uint32_t irq;
    uint32_t flags; /* out */
};
_Static_assert(sizeof(struct physdev_irq_status_query) == 8, "physdev_irq_status_query");

struct physdev_set_iopl {
    uint32_t iopl;
};
_Static_assert(sizeof(struct physdev_set_iopl) == 4, "physdev_set_iopl");

struct physdev_set_iobitmap {
    gptr_t bitmap;
    uint32_t nr_ports;
};
_Static_assert(sizeof(struct physdev_set_iobitmap) == 16, "physdev_set_iobitmap");

struct physdev_apic {
    uint64_t apic_physbase;
    uint32_t reg;
    uint32_t value; /* read: out */
};
_Static_assert(sizeof(struct physdev_apic) == 16, "physdev_apic");

struct physdev_irq {
    uint32_t irq;
    uint32_t vector; /* out */
};
_Static_assert(sizeof(struct physdev_irq) == 8, "physdev_irq");

#define MAP_PIRQ_TYPE_MSI       0x0
#define MAP_PIRQ_TYPE_GSI       0x1
#define MAP_PIRQ_TYPE_UNKNOWN   0x2
#define MAP_PIRQ_TYPE_MSI_SEG   0x3 /* segment in bits 31:16 of bus */
#define MAP_PIRQ_TYPE_MULTI_MSI 0x4

struct physdev_map_pirq {
    domid_t domid;
    int32_t type;
    int32_t index; /* GSI; for MSI, -1 or a vector */
    int32_t pirq;  /* in: wish, negative for any; out */
    int32_t bus;
    int32_t devfn;
    int32_t entry_nr;    /* MSI-X: entry; multi-MSI: count, out: granted */
    uint64_t table_base; /* MSI-X: start of the BAR that holds the table; 0: plain MSI */
};
_Static_assert(sizeof(struct physdev_map_pirq) == 40, "physdev_map_pirq");

struct physdev_unmap_pirq {
    domid_t domid;
    int32_t pirq;
};
_Static_assert(sizeof(struct physdev_unmap_pirq) == 8, "physdev_unmap_pirq");

struct physdev_manage_pci {
    uint8_t bus;
    uint8_t devfn;
};
_Static_assert(sizeof(struct physdev_manage_pci) == 2, "physdev_manage_pci");

struct physdev_restore_msi {
    uint8_t bus;
    uint8_t devfn;
};
_Static_assert(sizeof(struct physdev_restore_msi) == 2, "physdev_restore_msi");

struct physdev_manage_pci_ext {
    uint8_t bus;
    uint8_t devfn;
    uint32_t is_extfn;
    uint32_t is_virtfn;
    struct {
        uint8_t bus;
        uint8_t devfn;
    } physfn;
};
_Static_assert(sizeof(struct physdev_manage_pci_ext) == 16, "physdev_manage_pci_ext");

struct physdev_setup_gsi {
    int32_t gsi;
    uint8_t triggering; /* 0 edge, 1 level */
    uint8_t polarity;   /* 0 high, 1 low */
};
_Static_assert(sizeof(struct physdev_setup_gsi) == 8, "physdev_setup_gsi");

struct physdev_get_free_pirq {
    int32_t type;
    uint32_t pirq; /* out */
};
_Static_assert(sizeof(struct physdev_get_free_pirq) == 8, "physdev_get_free_pirq");

#define XEN_PCI_MMCFG_RESERVED 0x1

struct physdev_pci_mmcfg_reserved {
    uint64_t address;
    uint16_t segment;
    uint8_t start_bus;
    uint8_t end_bus;
    uint32_t flags;
};
_Static_assert(sizeof(struct physdev_pci_mmcfg_reserved) == 16, "physdev_pci_mmcfg_reserved");

#define XEN_PCI_DEV_EXTFN  0x1
#define XEN_PCI_DEV_VIRTFN 0x2
#define XEN_PCI_DEV_PXM    0x4 /* the first word of optarr is the proximity domain */

struct physdev_pci_device_add {
    uint16_t seg;
    uint8_t bus;
    uint8_t devfn;
    uint32_t flags;
    struct {
        uint8_t bus;
        uint8_t devfn;
    } physfn;
    uint32_t optarr[];
};
_Static_assert(sizeof(struct physdev_pci_device_add) == 12, "physdev_pci_device_add");

struct physdev_pci_device {
    uint16_t seg;
    uint8_t bus;
    uint8_t devfn;
};
_Static_assert(sizeof(struct physdev_pci_device) == 4, "physdev_pci_device");

#define PHYSDEVOP_DBGP_RESET_PREPARE 1
#define PHYSDEVOP_DBGP_RESET_DONE    2
#define PHYSDEVOP_DBGP_BUS_UNKNOWN   0
#define PHYSDEVOP_DBGP_BUS_PCI       1

struct physdev_dbgp_op {
    uint8_t op;
    uint8_t bus;
    union {
        struct physdev_pci_device pci;
    } u;
};
_Static_assert(sizeof(struct physdev_dbgp_op) == 6, "physdev_dbgp_op");

/* The old call, which carries its number in the structure. */
struct physdev_op {
    uint32_t cmd;
    union {
        struct physdev_irq_status_query irq_status_query;
        struct physdev_set_iopl set_iopl;
        struct physdev_set_iobitmap set_iobitmap;
        struct physdev_apic apic_op;
        struct physdev_irq irq_op;
    } u;
};
_Static_assert(sizeof(struct physdev_op) == 24, "physdev_op");

struct xen_reserved_device_memory_map {
    uint32_t flags;
    uint32_t nr_entries;
    gptr_t buffer;
    union {
        struct physdev_pci_device pci;
    } dev;
};
_Static_assert(sizeof(struct xen_reserved_device_memory_map) == 24, "rdm_map");
