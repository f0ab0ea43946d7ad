/* SPDX-License-Identifier: MIT */
/* The end: power off, reset. */
#pragma once

struct acpi_info;

void power_init(const struct acpi_info *acpi);
