/* SPDX-License-Identifier: MIT */
/* The machine's devices as guest/ needs them: MSI, I/O APIC registers, firmware calls, sleep,
 * processor numbers.  Implemented by hw/. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/addr.h"

/* An interrupt message of a PCI function. */
struct msi_source {
    uint16_t segment;
    uint8_t bus;
    uint8_t devfn;
    bool is_msix;
    uint16_t entry;      /* MSI-X table entry */
    uint64_t table_base; /* BAR with the MSI-X table, as dom0 says; used for virtual functions */
};

/* Program the function to raise irq (from irq_alloc()), masked until port_irq_startup(). -ENODEV,
 * -EINVAL, -EBUSY. locks: takes pcicfg. */
int msi_setup(const struct msi_source *src, unsigned int irq);
/* Disable it again; nothing happens if irq has no message. */
void msi_teardown(unsigned int irq);
/* Write all messages of a function again (after a reset or a sleep). -ENODEV if it has none. */
int msi_restore(uint16_t segment, uint8_t bus, uint8_t devfn);

/* Register of the I/O APIC at `base`: -EINVAL if there is none. */
int cpu_ioapic_read(uint64_t base, uint32_t reg, uint32_t *val);

/* Firmware runtime service at byte `offset` of its table (UEFI specification 2.x section 8), up to
 * 5 arguments; pointers are direct-map addresses. Returns the EFI status. locks: takes efi. False
 * (no call made) if there are no runtime services. */
bool cpu_efi_call(unsigned int offset, const uint64_t args[5], uint64_t *status);

/* Write PM1a/PM1b control (state 5: does not return if the machine obeys). -ENODEV without those
 * registers. */
int cpu_acpi_sleep(unsigned int state, uint16_t val_a, uint16_t val_b);

/* Of an online cpu; false otherwise. */
bool cpu_ids(unsigned int cpu, uint32_t *apic_id, uint32_t *acpi_id);

/* Where the n-th 2 MiB of the machine-to-physical table lie; INVALID_MFN where it is a hole. False
 * beyond its end. */
bool cpu_m2p_extent(uint64_t n, mfn_t *mfn);
