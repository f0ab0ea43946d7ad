/* SPDX-License-Identifier: MIT */
/*
 * MSI and MSI-X: the hypervisor alone writes messages, so that no domain can have a device raise a
 * vector of its choice.
 *
 * Registers: PCI Local Bus 3.0 section 6.8; message format: SDM vol. 3A section 11.11.  Virtual
 * functions have no vendor, no BARs and no memory enable of their own (SR-IOV 1.1 section 3.4.1):
 * there domain 0's word is all there is.
 */
#include "hw/msi.h"

#include <stddef.h>

#include "abi/errno.h"
#include "base/lock.h"
#include "cpu/machine.h"
#include "guest/pte.h"
#include "hw/pci_cfg.h"
#include "irq/irq.h"
#include "mm/frame.h"
#include "port/mmu.h"

#define CAP_MSI  0x05u
#define CAP_MSIX 0x11u

#define MSI_CONTROL        2u
#define MSI_CONTROL_ENABLE 0x0001u
#define MSI_CONTROL_MULTI  0x0070u /* messages enabled, log2 */
#define MSI_CONTROL_64     0x0080u
#define MSI_CONTROL_MASK   0x0100u
#define MSI_ADDRESS        4u

#define MSIX_CONTROL        2u
#define MSIX_CONTROL_ENABLE 0x8000u
#define MSIX_CONTROL_MASK   0x4000u
#define MSIX_CONTROL_SIZE   0x07ffu
#define MSIX_TABLE          4u
#define MSIX_ENTRY_SIZE     16u
#define MSIX_ENTRY_MASKED   1u

#define REG_VENDOR  0x00u
#define REG_COMMAND 0x04u /* and status: all ones where no function is */
#define REG_BAR0    0x10u
#define COMMAND_MEM 0x0002u
#define BAR_IO      0x1u
#define BAR_64      0x4u

#define MSG_ADDRESS    UINT32_C(0xfee00000)
#define MSG_DEST_SHIFT 12
#define MSIX_PAGES_MAX IRQ_MAX /* no more messages than that can be in use */

/* One message.  Set up and torn down under setup_lock, changed meanwhile under irqdesc. */
struct message {
    bool used;
    bool masked;
    struct msi_source src;
    uint8_t cap;              /* offset of the capability */
    uint16_t control;         /* MSI: as read at set-up */
    volatile uint32_t *entry; /* MSI-X: mapped table entry */
    uint32_t address;
    uint32_t data;
};

static struct spinlock setup_lock = SPINLOCK(LOCK_msi); /* which messages are used, and pages */
static struct message messages[IRQ_MAX];

/* Pages of MSI-X tables are mapped once and stay so. */
static struct {
    uint64_t mfn;
    uint8_t *va;
} msix_page[MSIX_PAGES_MAX];

static uint8_t *map_table_page(uint64_t pa)
{
    for (unsigned int i = 0; i < MSIX_PAGES_MAX; i++) {
        if (msix_page[i].va == NULL) {
            msix_page[i].mfn = pa >> PAGE_SHIFT;
            msix_page[i].va = port_map_device(pa & PAGE_MASK, PAGE_SIZE);
        }
        if (msix_page[i].mfn == pa >> PAGE_SHIFT) {
            return msix_page[i].va;
        }
    }
    return NULL;
}

static uint64_t bar_address(const struct msi_source *s, unsigned int bir)
{
    uint8_t reg = (uint8_t)(REG_BAR0 + 4 * bir);
    uint32_t low = pci_cfg_read(s->bus, s->devfn, reg, 4);
    uint64_t addr = low & ~UINT32_C(15);

    if (low & BAR_IO) {
        return 0;
    }
    if ((low & BAR_64) && bir < 5) {
        addr |= (uint64_t)pci_cfg_read(s->bus, s->devfn, (uint8_t)(reg + 4), 4) << 32;
    }
    return addr;
}

static bool is_virtual(const struct msi_source *s)
{
    return pci_cfg_read(s->bus, s->devfn, REG_VENDOR, 2) == 0xffff;
}

/* Where the BAR with the table lies; 0: nowhere. */
static uint64_t table_bar(const struct msi_source *s, unsigned int bir)
{
    if (is_virtual(s)) {
        return s->table_base & ~UINT64_C(15);
    }
    return pci_cfg_read(s->bus, s->devfn, REG_COMMAND, 2) & COMMAND_MEM ? bar_address(s, bir) : 0;
}

static int setup_msix(struct message *m)
{
    const struct msi_source *s = &m->src;
    uint32_t control = pci_cfg_read(s->bus, s->devfn, (uint8_t)(m->cap + MSIX_CONTROL), 2);
    uint32_t table = pci_cfg_read(s->bus, s->devfn, (uint8_t)(m->cap + MSIX_TABLE), 4);

    if (s->entry > (control & MSIX_CONTROL_SIZE) || (table & 7) > 5) {
        return -EINVAL;
    }
    uint64_t bar = table_bar(s, table & 7);
    if (bar == 0 || bar >> PAGE_SHIFT >= cpu_mfn_limit()) {
        return -ENXIO; /* before anything is added to it */
    }
    uint64_t pa = bar + (table & ~7u) + (uint64_t)s->entry * MSIX_ENTRY_SIZE;
    /* What a BAR says is domain 0's word, too: RAM is no table, nor what cannot be addressed. */
    if (pa >> PAGE_SHIFT >= cpu_mfn_limit() || frame_of(MFN(pa >> PAGE_SHIFT)) != NULL) {
        return -ENXIO;
    }
    uint8_t *page = map_table_page(pa);
    if (page == NULL) {
        return -ENOMEM;
    }
    m->entry = (volatile uint32_t *)(void *)(page + (pa & (PAGE_SIZE - 1)));
    m->entry[3] |= MSIX_ENTRY_MASKED;
    /* Entries that nobody uses are masked from reset; the function as a whole may speak. */
    control = (control & ~MSIX_CONTROL_MASK) | MSIX_CONTROL_ENABLE;
    pci_cfg_write(s->bus, s->devfn, (uint8_t)(m->cap + MSIX_CONTROL), 2, control);
    return 0;
}

static int setup_msi(struct message *m)
{
    const struct msi_source *s = &m->src;

    if (s->entry != 0) {
        return -EINVAL;
    }
    uint32_t control = pci_cfg_read(s->bus, s->devfn, (uint8_t)(m->cap + MSI_CONTROL), 2);
    m->control = (uint16_t)(control & ~(MSI_CONTROL_ENABLE | MSI_CONTROL_MULTI));
    pci_cfg_write(s->bus, s->devfn, (uint8_t)(m->cap + MSI_CONTROL), 2, m->control);
    return 0;
}

static bool same_function(const struct msi_source *a, const struct msi_source *b)
{
    return a->segment == b->segment && a->bus == b->bus && a->devfn == b->devfn;
}

static int setup(const struct msi_source *src, unsigned int irq)
{
    if (irq >= IRQ_MAX || src->segment != 0) {
        return -EINVAL;
    }
    if (pci_cfg_read(src->bus, src->devfn, REG_COMMAND, 4) == UINT32_MAX) {
        return -ENODEV;
    }
    for (unsigned int i = 0; i < IRQ_MAX; i++) {
        const struct message *o = &messages[i];
        if (o->used && same_function(&o->src, src) && o->src.is_msix == src->is_msix &&
            o->src.entry == src->entry) {
            return -EBUSY;
        }
    }
    struct message *m = &messages[irq];
    *m = (struct message){ .src = *src, .masked = true };
    m->cap = pci_find_cap(src->bus, src->devfn, src->is_msix ? CAP_MSIX : CAP_MSI);
    if (m->cap == 0) {
        return -ENODEV;
    }
    int rc = src->is_msix ? setup_msix(m) : setup_msi(m);
    m->used = rc == 0;
    return rc;
}

int msi_setup(const struct msi_source *src, unsigned int irq)
{
    spin_lock(&setup_lock);
    int rc = setup(src, irq);
    spin_unlock(&setup_lock);
    return rc;
}

/* Write address, data and mask state to the function. */
static void write_message(const struct message *m)
{
    const struct msi_source *s = &m->src;

    if (s->is_msix) {
        m->entry[3] |= MSIX_ENTRY_MASKED;
        m->entry[0] = m->address;
        m->entry[1] = 0;
        m->entry[2] = m->data;
        if (!m->masked) {
            m->entry[3] &= ~MSIX_ENTRY_MASKED;
        }
        return;
    }
    bool wide = (m->control & MSI_CONTROL_64) != 0;
    uint8_t at = (uint8_t)(m->cap + MSI_ADDRESS);
    pci_cfg_write(s->bus, s->devfn, at, 4, m->address);
    if (wide) {
        pci_cfg_write(s->bus, s->devfn, (uint8_t)(at + 4), 4, 0);
    }
    pci_cfg_write(s->bus, s->devfn, (uint8_t)(at + (wide ? 8 : 4)), 2, m->data);
    if (m->control & MSI_CONTROL_MASK) {
        pci_cfg_write(s->bus, s->devfn, (uint8_t)(at + (wide ? 12 : 8)), 4, m->masked ? 1 : 0);
    }
    /* Without a mask bit a message once enabled stays so: masking is left to the edge's
     * acknowledgement. */
    if (!m->masked) {
        pci_cfg_write(s->bus, s->devfn, (uint8_t)(m->cap + MSI_CONTROL), 2,
                      m->control | MSI_CONTROL_ENABLE);
    }
}

void msi_route(unsigned int irq, uint8_t vector, uint32_t apic_id)
{
    struct message *m = &messages[irq];

    if (irq < IRQ_MAX && m->used) {
        m->address = MSG_ADDRESS | (apic_id & 0xff) << MSG_DEST_SHIFT;
        m->data = vector;
        write_message(m);
    }
}

static void set_mask(unsigned int irq, bool masked)
{
    struct message *m = &messages[irq];

    if (irq >= IRQ_MAX || !m->used || m->masked == masked) {
        return;
    }
    m->masked = masked;
    if (m->src.is_msix) {
        m->entry[3] = (m->entry[3] & ~MSIX_ENTRY_MASKED) | (masked ? MSIX_ENTRY_MASKED : 0);
    } else {
        write_message(m);
    }
}

void msi_unmask(unsigned int irq)
{
    set_mask(irq, false);
}

void msi_mask(unsigned int irq)
{
    set_mask(irq, true);
}

static void teardown(unsigned int irq)
{
    if (irq >= IRQ_MAX || !messages[irq].used) {
        return;
    }
    struct message *m = &messages[irq];
    const struct msi_source *s = &m->src;

    if (s->is_msix) {
        m->entry[3] |= MSIX_ENTRY_MASKED;
    } else {
        pci_cfg_write(s->bus, s->devfn, (uint8_t)(m->cap + MSI_CONTROL), 2, m->control);
    }
    m->used = false;
}

void msi_teardown(unsigned int irq)
{
    spin_lock(&setup_lock);
    teardown(irq);
    spin_unlock(&setup_lock);
}

static int restore(uint16_t segment, uint8_t bus, uint8_t devfn)
{
    const struct msi_source wanted = { .segment = segment, .bus = bus, .devfn = devfn };
    int rc = -ENODEV;

    for (unsigned int i = 0; i < IRQ_MAX; i++) {
        struct message *m = &messages[i];
        if (!m->used || !same_function(&m->src, &wanted)) {
            continue;
        }
        if (m->src.is_msix) {
            uint8_t at = (uint8_t)(m->cap + MSIX_CONTROL);
            uint32_t control = pci_cfg_read(bus, devfn, at, 2);
            control = (control & ~MSIX_CONTROL_MASK) | MSIX_CONTROL_ENABLE;
            pci_cfg_write(bus, devfn, at, 2, control);
        }
        write_message(m);
        rc = 0;
    }
    return rc;
}

int msi_restore(uint16_t segment, uint8_t bus, uint8_t devfn)
{
    spin_lock(&setup_lock);
    int rc = restore(segment, bus, devfn);
    spin_unlock(&setup_lock);
    return rc;
}
