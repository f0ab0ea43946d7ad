/* SPDX-License-Identifier: MIT */
/* Guest descriptors: what may stand in a GDT or LDT, and reading them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* Is the code segment of this selector a 64-bit one?  Reads the tables of v in place. */
bool desc_is_code64(struct vcpu *v, uint16_t sel);
