/* SPDX-License-Identifier: MIT */
/* Flushing this cpu's translations. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Everything, global entries too, and load `root` (a machine address) as the table. Moves this
 * cpu's flush time. */
void tlb_flush_load(uint64_t root);
/*
 * This cpu keeps a guest's tables and translations, but does not use them before tlb_idle_end(): a
 * flush is put off until then, without waking it up, unless it is port_tlb_flush_before().
 * tlb_idle_end() tells whether one was put off.
 */
void tlb_idle_begin(void);
bool tlb_idle_end(void);
/* Have an idle cpu (or this one, while it is idle) leave the guest's tables. Nothing, if it is not
 * idle. Interrupts off or on. */
void tlb_leave(unsigned int cpu);
/* Of vcpu_hw.c: this cpu, which is idle, leaves them. Interrupts off. */
void cpu_leave_space(void);
/* Answer other cpus' requests: from their interrupt, and from loops that wait with interrupts off.
 */
void tlb_serve(void);
