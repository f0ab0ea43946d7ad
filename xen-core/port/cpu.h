/* SPDX-License-Identifier: MIT */
/*
 * Port: processors.  The machine provides these in port_inline.h (found by include path: one file
 * per machine under arch/<a>/hw/inline/ and arch/host/inline/) or as functions.
 *
 * inline:  unsigned int port_cpu_id(void)          number of this cpu, 0..CONFIG_MAX_CPUS-1
 *          struct vcpu *port_current(void)         vcpu whose state is loaded here (idle vcpu if
 * none) void port_cpu_relax(void)               pause in a spin loop
 *          bool port_lock_check(void)              constant: locks are checked (base/lock.h)
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

#include "port_inline.h"

/*
 * Work bits of a cpu: looked at on every way back to a guest and in the idle loop.  Setting a bit
 * for another cpu interrupts it.
 */
#define CW_SCHED    1u /* choose again what to run -> sched_run() */
#define CW_TIMER    2u /* deadline passed -> timer_run() */
#define CW_DEFERRED 4u /* domain.c's deferred list: destruction, crash -> domain_deferred_run() */
#define CW_UPCALL   8u /* nothing but "look at the vcpu's pending upcalls again" */

/* Set work bits for `cpu`; sends an interrupt if it is another cpu that may not notice. Any
 * context. */
void port_cpu_raise(unsigned int cpu, uint32_t bits);
/* Take (read and clear) this cpu's work bits; interrupts off. The caller does all of them. */
uint32_t port_cpu_take_work(void);
/* True if this cpu has work waiting: long operations yield (return HC_AGAIN) when it is. */
bool port_cpu_work_pending(void);
/* Number of cpus that run. */
unsigned int port_cpu_count(void);
/* Start the other cpus (they enter sched's idle loop); returns how many run in all. */
unsigned int port_cpu_start_others(void);
/* Idle: wait for an interrupt unless work is pending. Interrupts on before and after. */
void port_cpu_idle_wait(void);
