/* SPDX-License-Identifier: MIT */
/* Port: vcpus and domains on this machine.  struct arch_vcpu/arch_domain come from
 * cpu/arch_types.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct domain;
struct vcpu;

/*
 * Run `next` on this cpu: save prev's state (if it is not `next`), tell the scheduler through
 * sched_switched(prev) when prev may run elsewhere, load next's, and go there.  Does not return on
 * hardware (the stack is reset); on the host it returns after the switch.  Interrupts off.
 */
void port_vcpu_switch(struct vcpu *prev, struct vcpu *next);
/* Machine part of create/destroy; -ENOMEM. Destroy accepts a half-made one. */
int port_vcpu_init(struct vcpu *v);
void port_vcpu_destroy(struct vcpu *v);
int port_domain_init(struct domain *d);
void port_domain_destroy(struct domain *d);
/*
 * Domain death, bounded steps: give up page tables, base pointers, descriptor pages of a domain
 * whose vcpus will never run again. Returns 0 when done, HC_AGAIN to be called again.
 */
int64_t port_domain_relinquish(struct domain *d);
/* The same for one vcpu, which does not run: its base pointers and descriptor pages. */
int64_t port_vcpu_relinquish(struct vcpu *v);
/* Set a vcpu's registers from a struct vcpu_guest_context at `ctx` (already copied in), v not
 * running: 0, -EINVAL, HC_AGAIN (a page table is being walked: call again with the same context).
 */
int64_t port_vcpu_set_context(struct vcpu *v, const void *ctx);
void port_vcpu_get_context(struct vcpu *v, void *ctx);
/* Send a non-maskable interrupt to v's kernel. Any context. */
void port_vcpu_nmi(struct vcpu *v);
/* VCPUOP_initialise reads it from guest memory. */
uint64_t port_vcpu_context_size(void);
