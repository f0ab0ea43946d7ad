/* SPDX-License-Identifier: MIT */
/* I/O ports for drivers. */
#include "port/io.h"

#include "cpu/msr.h"

uint8_t port_in8(uint16_t port)
{
    return (uint8_t)cpu_in(port, 1);
}

void port_out8(uint16_t port, uint8_t val)
{
    cpu_out(port, 1, val);
}
