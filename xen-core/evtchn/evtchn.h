/* SPDX-License-Identifier: MIT */
/* Event channels, 2-level. Table design and per-port state: evtchn.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"

struct domain;
struct vcpu;

int evtchn_domain_init(struct domain *d, uint32_t max_port); /* -ENOMEM */
int64_t evtchn_domain_relinquish(struct domain *d);          /* closes all ports; 0 or HC_AGAIN */
void evtchn_domain_destroy(struct domain *d);

/* The per-vcpu virtual interrupt (VIRQ_TIMER, DEBUG...) or the global one (DOM_EXC, CONSOLE...: to
 * its binder in d). Any context. */
void virq_raise(struct vcpu *v, uint32_t virq);
void virq_raise_global(struct domain *d, uint32_t virq);
/* A pirq bound to `port` fired. Any context. */
void evtchn_raise(struct domain *d, uint32_t port);
/* True if one of the ports v polls for is pending. */
bool evtchn_poll_pending(struct vcpu *v, const uint32_t *ports, uint32_t n);
/* v is about to poll / no longer polls: makes raisers look at it. */
void evtchn_poll_begin(struct vcpu *v);
void evtchn_poll_end(struct vcpu *v);
/* True if `port` lies within what d may use. */
bool evtchn_port_ok(const struct domain *d, uint32_t port);
/* A vcpu moved its vcpu_info: pending selectors are set so that nothing is lost. */
void evtchn_vcpu_info_moved(struct vcpu *v);
/* The checks of every port's state against its peer; panics on a broken invariant. Nothing may be
 * changing. */
void evtchn_audit(struct domain *d);
/* A line per pending port of d to the log, with the state of each (debug key). */
void evtchn_dump(struct domain *d);
/* Ports in use, for control calls and tests. */
uint32_t evtchn_count(struct domain *d);
/* Frames of the hypervisor's that d's ports take: as many as the highest port ever used needs. */
uint32_t evtchn_table_frames(struct domain *d);
/* On behalf of a domain: alloc_unbound for the builder (dom0 itself); 0 or -errno. */
int evtchn_alloc_unbound(struct domain *d, domid_t remote, uint32_t *port);
