/* SPDX-License-Identifier: MIT */
/* Exceptions and interrupts that are the hypervisor's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cpu/regs.h"

/* Called from entry.S. */
struct regs *trap_kernel(struct regs *r);
void trap_irq(struct regs *r);
void trap_ist(struct regs *r);
void trap_debug(struct regs *r);

/* Whether a cpu is dying, and the others stop at the NMI that it sends. */
void trap_stop_others(void);
