/* SPDX-License-Identifier: MIT */
/* Flushing this cpu's translations. */
#pragma once

#include <stdint.h>

/* Everything, global entries too, and load `root` (a machine address) as the table. Moves this
 * cpu's flush time. */
void tlb_flush_load(uint64_t root);
/* Answer other cpus' requests: from their interrupt, and from loops that wait with interrupts off.
 */
void tlb_serve(void);
