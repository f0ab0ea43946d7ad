/* SPDX-License-Identifier: MIT */
/* The local APIC of this cpu: xAPIC (mapped) or x2APIC (MSRs).  SDM vol. 3A chapter 10. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hw/layout.h" /* vectors */

/* Boot cpu: choose the mode (x2APIC if there, not switched off, or already on), map registers. */
void lapic_init_bsp(uint64_t base, bool want_x2apic);
/* Each cpu: enable, mask all local lines, accept every priority. */
void lapic_init_cpu(void);
uint32_t lapic_id(void);
bool lapic_is_x2apic(void);
void lapic_eoi(void);
/* A fixed interrupt to one cpu; waits until the last one was accepted by the bus. Interrupts off.
 */
void lapic_send(uint32_t apic_id, uint8_t vector);
/* An NMI may come in the middle of what it interrupts: what its handler sends stands between these,
 * the first of which returns what the second puts back. */
uint32_t lapic_nmi_begin(void);
void lapic_nmi_end(uint32_t destination);
void lapic_send_nmi(uint32_t apic_id);
void lapic_send_init(uint32_t apic_id);
void lapic_send_startup(uint32_t apic_id, uint8_t page); /* starts at page << 12 */
/* The timer of this cpu: one shot after `ticks` of the divided bus clock (0 = stop), or at a TSC
 * value in deadline mode. */
void lapic_timer_oneshot(uint32_t ticks);
void lapic_timer_deadline(uint64_t tsc);
bool lapic_has_deadline(void);
uint32_t lapic_timer_count(void);
void lapic_timer_setup(bool deadline); /* vector, mode, divider 1 */
/* Error status (clears it). */
uint32_t lapic_error(void);
