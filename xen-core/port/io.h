/* SPDX-License-Identifier: MIT */
/* Port: device registers behind I/O ports, on machines that have such. */
#pragma once

#include <stdint.h>

uint8_t port_in8(uint16_t port);
void port_out8(uint16_t port, uint8_t val);
