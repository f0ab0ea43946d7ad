/* SPDX-License-Identifier: MIT */
/* I/O APICs and the vectors of device interrupts; port/irq.h is implemented here. */
#pragma once

#include <stdint.h>

struct acpi_info;

void ioapic_init(const struct acpi_info *acpi);
/* The irq that `vector` stands for on this machine, or -1. */
int ioapic_vector_irq(uint8_t vector);
