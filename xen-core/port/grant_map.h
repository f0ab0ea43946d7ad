/* SPDX-License-Identifier: MIT */
/* Port: putting granted frames into the current vcpu's address space, and taking them out. */
#pragma once

#include <stdint.h>

#include "mm/addr.h"

struct vcpu;

/*
 * Where a mapping goes: host_addr as the ABI has it (a virtual address, or the machine address of
 * an entry with GNTMAP_contains_pte), and the GNTMAP_* flags.  The caller holds the references for
 * the new mapping. 0, -EINVAL (no such place; nothing changed).  No lock held.
 */
int port_grant_map(struct vcpu *v, uint64_t host_addr, uint32_t flags, mfn_t mfn);
/* Clear it if it still maps mfn as `flags` say: 0, -EINVAL. The caller flushes, then drops the
 * references. */
int port_grant_unmap(struct vcpu *v, uint64_t host_addr, uint32_t flags, mfn_t mfn);
/* The same, but the entry of new_addr moves there, and that entry is cleared. */
int port_grant_replace(struct vcpu *v, uint64_t host_addr, uint64_t new_addr, uint32_t flags,
                       mfn_t mfn);
