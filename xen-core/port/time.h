/* SPDX-License-Identifier: MIT */
/*
 * Port: clocks.
 *
 * inline:  uint64_t port_ticks(void)               this cpu's counter (TSC), unscaled
 */
#pragma once

#include <stdint.h>

#include "port_inline.h"

/* ns since boot, monotonic, the same on all cpus within the calibration error. Any context. */
uint64_t port_time_now(void);
/* ns for a raw counter value on this cpu. */
uint64_t port_ticks_to_ns(uint64_t ticks);
/* What guests need to convert by themselves: ns = ((ticks - t0) << shift) * mul >> 32, and the pair
 * (t0, ns0). */
struct port_time_scale {
    uint32_t mul;
    int8_t shift;
    uint64_t ticks0;
    uint64_t ns0;
};
void port_time_scale(struct port_time_scale *s); /* of this cpu, now */
uint64_t port_ticks_khz(void);
/* Interrupt this cpu with CW_TIMER at or soon after `ns`; ~0 = none. Interrupts off. */
void port_time_set_deadline(uint64_t ns);
/* Wall clock: seconds and ns since 1970 (UTC) at port_time_now() == 0, read from the RTC at boot.
 */
void port_time_wall_base(uint64_t *sec, uint32_t *nsec);
