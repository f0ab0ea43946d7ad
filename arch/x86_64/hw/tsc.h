/* SPDX-License-Identifier: MIT */
/* Time from the TSC, calibrated against the PM timer, HPET or PIT; deadlines by the local APIC
 * timer. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct acpi_info;

/* Boot cpu: calibrate, read the wall clock. */
void tsc_init(const struct acpi_info *acpi);
/* Every cpu: its timer. */
void tsc_init_cpu(void);
/* Once timers work: find the end of an RTC second, which sets the wall clock's fraction. */
void tsc_watch_rtc(void);
bool tsc_is_invariant(void);
