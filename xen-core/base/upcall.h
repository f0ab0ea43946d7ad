/* SPDX-License-Identifier: MIT */
/*
 * The few calls that base makes to upper layers, by name; there are no others.
 *
 * virq_raise_global() is evtchn's; the rest is domain/domain.c's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct domain;

extern struct domain *dom0;

void virq_raise_global(struct domain *d, uint32_t virq);
/* May d cause another log line at `now`? Takes a token of its bucket of `burst`, refilled one every
 * ns_per_token. */
bool upcall_log_allowed(struct domain *d, uint64_t now, uint32_t burst, uint64_t ns_per_token);
uint32_t upcall_domain_id(const struct domain *d);
