/* SPDX-License-Identifier: MIT */
/* What of the machine beyond RAM a domain may use: device memory, I/O ports, irqs; global deny and
 * read-only sets. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/addr.h"

struct domain;

enum rights_kind {
    RIGHT_MMIO /* frame numbers */,
    RIGHT_PORT /* I/O ports */,
    RIGHT_IRQ,
    RIGHT_COUNT
};

int rights_domain_init(struct domain *d); /* -ENOMEM; is_hw domains start with everything */
void rights_domain_destroy(struct domain *d);
/* Inclusive ranges. 0 or -ENOMEM. */
int rights_allow(struct domain *d, enum rights_kind k, uint64_t first, uint64_t last);
int rights_deny(struct domain *d, enum rights_kind k, uint64_t first, uint64_t last);
bool rights_check(struct domain *d, enum rights_kind k, uint64_t first, uint64_t last);
/* For everybody, at start of day: local APIC, our uart and ports / I/O APICs, HPET. */
int rights_deny_global(enum rights_kind k, uint64_t first, uint64_t last);
int rights_readonly_global(uint64_t first_mfn, uint64_t last_mfn);
/* A page-table entry of d wants to map memory that has no frame. 0, -EPERM; *readonly says that it
 * must not be writable. */
int rights_check_mmio(struct domain *d, mfn_t mfn, bool *readonly);
