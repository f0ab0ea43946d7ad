/* SPDX-License-Identifier: MIT */
/* Granted frames in the page tables of the current vcpu. */
#include "port/grant_map.h"

#include "abi/errno.h"
#include "abi/grant.h"
#include "domain/domain.h"
#include "guest/mm_x86.h"

#define GUEST_AVAIL_SHIFT 16 /* GNTMAP_guest_avail_mask: software bits of the entry */
#define PTE_AVL_SHIFT     9

/*
 * The entry that the flags ask for; the writer of entries adds the marks of kernel and user pages.
 * It starts as not accessed: the processor marks it before a translation cache may hold it (Intel
 * SDM volume 3, 4.10.2.3), so that one which is still unmarked when it is cleared needs no flush.
 */
static pte_t entry_of(uint32_t flags, mfn_t mfn)
{
    pte_t e = pte_make(mfn, PTE_P | PTE_D);

    if ((flags & GNTMAP_readonly) == 0) {
        e |= PTE_RW;
    }
    if ((flags & GNTMAP_application_map) != 0) {
        e |= PTE_US;
    }
    return e | ((uint64_t)(flags >> GUEST_AVAIL_SHIFT) << PTE_AVL_SHIFT & PTE_AVL);
}

/* What was mapped there before is dropped, as by any other write of the entry. */
int port_grant_map(struct vcpu *v, uint64_t host_addr, uint32_t flags, mfn_t mfn)
{
    pte_t e = entry_of(flags, mfn);
    pte_t old = 0;
    int rc = (flags & GNTMAP_contains_pte) != 0 ? pt_set_l1_by_ptr(v, host_addr, e, &old)
                                                : pt_set_l1_by_va(v, host_addr, e, &old);

    if (rc == 0) {
        pt_entry_put(v->d, old);
    }
    return rc;
}

static struct port_grant_was was_of(pte_t old)
{
    return (struct port_grant_was){ .writable = (old & PTE_RW) != 0, .used = (old & PTE_A) != 0 };
}

int port_grant_unmap(struct vcpu *v, uint64_t host_addr, uint32_t flags, mfn_t mfn,
                     struct port_grant_was *was)
{
    pte_t old = 0;
    int rc = (flags & GNTMAP_contains_pte) != 0 ? pt_swap_l1_by_ptr(v, host_addr, mfn, 0, &old)
                                                : pt_swap_l1_by_va(v, host_addr, mfn, 0, &old);

    *was = was_of(old);
    return rc;
}

/* fails: -EINVAL (nothing mapped at new_addr, or not mfn at host_addr). */
int port_grant_replace(struct vcpu *v, uint64_t host_addr, uint64_t new_addr, mfn_t mfn,
                       struct port_grant_was *was)
{
    pte_t moved = 0;
    pte_t old = 0;
    pte_t none = 0;

    if (pt_set_l1_by_va(v, new_addr, 0, &moved) != 0) {
        return -EINVAL;
    }
    int rc = (moved & PTE_P) != 0 ? pt_swap_l1_by_va(v, host_addr, mfn, moved, &old) : -EINVAL;
    *was = was_of(old);
    if (rc == 0) {
        was->used = true; /* the entry that moved leaves its old address */
        return 0;
    }
    /* Back to where it was; if the guest has meanwhile taken the place away, the entry is gone. */
    if (pt_set_l1_by_va(v, new_addr, moved, &none) != 0) {
        none = moved;
    }
    pt_entry_put(v->d, none);
    return -EINVAL;
}
