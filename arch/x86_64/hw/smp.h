/* SPDX-License-Identifier: MIT */
/* The processors: their numbers, starting them, interrupting them. */
#pragma once

#include <stdint.h>

struct acpi_info;
struct boot_info;

/* Boot cpu, once its local APIC works and the idle vcpus exist. */
void smp_init(const struct acpi_info *acpi, const struct boot_info *bi);
/* An interrupt of ours to an online cpu. Any context. */
void smp_send(unsigned int cpu, uint8_t vector);
/* A non-maskable one to all other online cpus. */
void smp_nmi_others(void);
