/* SPDX-License-Identifier: MIT */
/* State that the files of the host machine share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "port_inline.h"

extern struct host_cpu host_cpus[HOST_MAX_CPUS];
extern unsigned int host_cpu_count;
extern uint64_t host_frames;
extern bool host_flat;

/* This cpu's model of its cache forgets all (or, for a change of root, what is not global). */
void host_tlb_clear(unsigned int cpu);
void host_tlb_init(void);
