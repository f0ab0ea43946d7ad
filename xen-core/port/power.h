/* SPDX-License-Identifier: MIT */
/* Port: the end. */
#pragma once

#include <stdbool.h>

_Noreturn void port_power_off(void);
_Noreturn void port_reboot(void);
_Noreturn void port_halt(void);
/* Runs this cpu's stack into nothing, on a person's command: shows that the report of the worst end
 * works. */
_Noreturn void port_double_fault(void);
/* Registers and a symbolised back-trace of this cpu, for panic(); stops the other cpus first. */
void port_panic_report(void);
