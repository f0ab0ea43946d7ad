/* SPDX-License-Identifier: MIT */
/* Port: the end. */
#pragma once

#include <stdbool.h>

_Noreturn void port_power_off(void);
_Noreturn void port_reboot(void);
_Noreturn void port_halt(void);
/* Registers and a symbolised back-trace of this cpu, for panic(); stops the other cpus first. */
void port_panic_report(void);
