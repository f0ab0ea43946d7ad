/* SPDX-License-Identifier: MIT */
/* Grant tables, version 1. */
#pragma once

#include <stdint.h>

#include "abi/types.h"
#include "mm/addr.h"

struct domain;
struct vcpu;
struct frame;
struct audit;

int gnttab_domain_init(struct domain *d, uint32_t max_frames, uint32_t max_maptrack); /* -ENOMEM */
int64_t gnttab_domain_relinquish(struct domain *d); /* drops what d has mapped; 0 or HC_AGAIN */
void gnttab_domain_destroy(struct domain *d);
/* Frame idx of d's table for XENMEM_acquire_resource / setup; grows it if allowed. 0, -EINVAL,
 * -ENOMEM. */
int gnttab_table_frame(struct domain *d, uint32_t idx, mfn_t *mfn);
uint32_t gnttab_table_frames(struct domain *d);
/* How many frames it may grow to. */
uint32_t gnttab_max_frames(struct domain *d);
/* Checks of pins against the shared flags and of the handles; panics on a broken invariant. Nothing
 * may be changing. */
void gnttab_audit(struct domain *d);
/* Entries of d's table that are in use by somebody, and grants that d has mapped: for tests and
 * control calls. */
uint32_t gnttab_pinned(struct domain *d);
uint32_t gnttab_mapped(struct domain *d);
/* Frames of the hypervisor's that d's table of mapped grants takes: as many as the most grants that
 * were ever mapped at once need. */
uint32_t gnttab_handle_frames(struct domain *d);
/* Adds to the audit of frames what the pins on d's grants hold. */
void gnttab_audit_refs(struct domain *d, struct audit *a);
