/* SPDX-License-Identifier: MIT */
/* The guarded ways between hypervisor and guest (guard_entry.S), where the plan of guest/spec.h
 * asks for them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Boot cpu, after spec_init() and before the image is protected: patches the thunks, and the
 * entries and exits if the plan wants any of it.  Then every cpu's tables are made for them. */
void guard_init(void);
/* Are they in use; and a feature of them (GUARD_*)? */
bool guard_on(void);
bool guard_has(uint32_t feature);
/* The roots that guests run on on `cpu`, if page-table isolation is on. Panics without memory. */
void guard_cpu_init(unsigned int cpu);

/* Called from guard_entry.S, interrupts off: the root that the current vcpu is to run on, in step
 * with its own. */
uint64_t guard_leave(void);
/* A page fault of the guest at va came from a root that was behind its own: try again. */
bool guard_stale(uint64_t va);
