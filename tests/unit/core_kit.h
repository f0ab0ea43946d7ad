/* SPDX-License-Identifier: MIT */
/*
 * For tests of domains, scheduling, events and grants on the host machine: cpus that take turns in
 * one thread, hypercalls as any vcpu, and after each test the check that nothing is left.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "domain/domain.h"
#include "domain/vcpu.h"
#include "hcall/hcall.h"
#include "mm/frame.h"

#define KIT_BAD_VA UINT64_C(0xffff800000000000) /* guests have nothing there */

/* Once per program. */
void kit_start(unsigned int cpus);
/* cmocka's teardown: every domain is killed, then nothing may be left: memory, domains, locks. */
int kit_teardown(void **state);

/* From here on the code runs as v, loaded without the scheduler. NULL: the cpu's idle vcpu. */
void kit_as(struct vcpu *v);
/* A domain with so many vcpus, down; dom0 is id 0 and may do everything. */
struct domain *kit_domain(domid_t id, unsigned int vcpus);
/* Unpaused, all vcpus up. */
struct domain *kit_running(domid_t id, unsigned int vcpus);
/* Kill and release. */
void kit_destroy(struct domain *d);
/* Do the work of all cpus until there is none. */
void kit_settle(void);
/* The clock moves on; what falls due is done on time, in steps of at most a millisecond. */
void kit_advance(uint64_t ns);
/* A hypercall as v; HC_AGAIN is followed up, with the arguments it left. */
int64_t kit_call(struct vcpu *v, hcall_fn *fn, uint64_t a0, const void *a1, uint64_t a2);
/* True if fn ends the machine: 'o' off, 'r' reboot, 'p' panic. */
int kit_ends(void (*fn)(void));
