/* SPDX-License-Identifier: MIT */
/* Port: putting granted frames into the current vcpu's address space, and taking them out. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/addr.h"

struct vcpu;

/* What a cleared entry was. */
struct port_grant_was {
    bool writable; /* the guest may have changed it since it was made */
    bool used; /* a translation cache may hold it: false only if no access ever went through it */
};

/*
 * Where a mapping goes: host_addr as the ABI has it (a virtual address, or the machine address of
 * an entry with GNTMAP_contains_pte), and the GNTMAP_* flags.  The caller holds the references for
 * the new mapping. 0, -EINVAL (no such place; nothing changed).  No lock held.
 */
int port_grant_map(struct vcpu *v, uint64_t host_addr, uint32_t flags, mfn_t mfn);
/*
 * Clear it if it still maps mfn: 0, -EINVAL (nothing changed).  *was tells which references the
 * entry held; they pass to the caller, who drops them after a flush if the entry was used.
 */
int port_grant_unmap(struct vcpu *v, uint64_t host_addr, uint32_t flags, mfn_t mfn,
                     struct port_grant_was *was);
/* The same, but the entry of the virtual address new_addr moves there, and leaves nothing behind.
 */
int port_grant_replace(struct vcpu *v, uint64_t host_addr, uint64_t new_addr, mfn_t mfn,
                       struct port_grant_was *was);
