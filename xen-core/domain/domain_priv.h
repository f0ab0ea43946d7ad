/* SPDX-License-Identifier: MIT */
/* What domain.c and death.c share with each other and with nobody else. */
#pragma once

#include <stdint.h>

struct domain;

#define DEFER_RELEASE 1u /* the last reference is gone: free it */
#define DEFER_CRASH   2u /* domain_crash() was called */
#define DEFER_STOPPED 4u /* shutting down: tell the control domain once no vcpu runs */

/* Queue work on d for this cpu's way out. Any context, any lock. */
void domain_defer(struct domain *d, uint32_t what);
/* Takes d out of the table and waits out the look-ups in progress. locks: takes domlist. */
void domain_unlist(struct domain *d);
void domain_parts_destroy(struct domain *d);
void domain_struct_free(struct domain *d);
/* Gives back the hypervisor's references to the shared page. */
void domain_kill_shared(struct domain *d);
