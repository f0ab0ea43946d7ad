/* SPDX-License-Identifier: MIT */
/* The scheduler: weighted virtual time with caps, affinity and wake-up boosting; a run queue per
 * cpu. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"

struct vcpu;
struct domain;
struct cpumask;

#define SCHED_WEIGHT_DEFAULT 256u
#define SCHED_WEIGHT_MAX     65535u

void sched_init(void);
/* A domain's share of the cap machinery. */
void sched_domain_init(struct domain *d);
void sched_domain_destroy(struct domain *d);
void sched_cpu_init(unsigned int cpu);
/* A new vcpu gets a home cpu; nothing runs yet. */
void sched_vcpu_init(struct vcpu *v);
void sched_vcpu_destroy(struct vcpu *v);

/* Make runnable if no VS_* bit is left: queue on a good cpu, preempt there if it deserves it. Any
 * context. */
void sched_wake(struct vcpu *v);
/* A VS_* bit was set: take it off the queue, or have its cpu choose again. Does not wait. */
void sched_sleep(struct vcpu *v);
/* Wait until v is not loaded anywhere (its registers are in v->arch). Not for the current vcpu. */
void sched_wait_off_cpu(struct vcpu *v);
/* Current vcpu waits for an event (sched_op block, HLT): returns at once if an upcall is due.
 * Unmasks upcalls. */
void sched_block(struct vcpu *v);
/* Current vcpu gives way (sched_op yield). */
void sched_yield(struct vcpu *v);
/* CW_SCHED work: choose and switch. Does not return on hardware when it switches. Called on the way
 * to a guest, no locks. */
void sched_run(void);
/* Called by the port once prev's state is saved: it may run elsewhere (and is requeued if
 * runnable). */
void sched_switched(struct vcpu *prev);
/* Body of the idle vcpus; never returns. */
_Noreturn void sched_idle(void);
/* Set affinity: 0, -EINVAL if no online cpu is left. */
int sched_set_affinity(struct vcpu *v, const struct cpumask *hard, const struct cpumask *soft);
/* Called when d->weight/cap changed. */
void sched_params_changed(struct domain *d);
/* ns that a cpu has been idle, for getcpuinfo. */
uint64_t sched_idle_time(unsigned int cpu);
/* Checks every run queue; panics on a broken invariant. Tests only: nothing may run. */
void sched_audit(void);
