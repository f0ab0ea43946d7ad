/* SPDX-License-Identifier: MIT */
/*
 * The audit: counts afresh who holds what, and compares that with every frame's word (invariants
 * I1-I8 of docs/memory.md).
 *
 * For the host build's tests and the debug key; nothing else may run meanwhile.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/frame.h"

struct domain;

/* What one frame should show. */
struct audit_count {
    uint32_t refs;
    uint32_t type_refs;
};

struct audit {
    struct audit_count *count; /* by frame number, frame_limit of them */
};

/* A reference; with t not FT_NONE a type reference too: panics if the frame's type is another. */
void audit_add(struct audit *a, const struct frame *f, enum frame_type t);
/* The machine's part: what d's page tables, roots, pins, descriptor tables and walk hold
 * (guest/pt_audit.c). */
void port_audit_domain(struct audit *a, struct domain *d);
/*
 * All of it. References that only their holder knows (grants, registered areas, tests) are counted
 * by `others`, which may be NULL. Panics with the frame and the difference.
 */
void audit_all(void (*others)(struct audit *a));
