/* SPDX-License-Identifier: MIT */
/* Debug registers of a guest. */
#pragma once

#include <stdint.h>

struct vcpu;

/* May v have *val in register nr? Normalises reserved bits. 0, -ENODEV (no such), -EPERM. */
int debugreg_check(const struct vcpu *v, unsigned int nr, uint64_t *val);
/* Set register nr of the loaded vcpu: 0, -ENODEV, -EPERM. */
int debugreg_set(struct vcpu *v, uint64_t nr, uint64_t val);
