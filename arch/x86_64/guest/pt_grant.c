/* SPDX-License-Identifier: MIT */
/* Level-1 entries by address, for grants and for reading a guest's tables. */
#include "guest/mm_x86.h"

#include "domain/vcpu.h"
#include "guest/pt_l1.h"

/* Which entry: its table, locked, and its place there. */
static int lock_by_va(struct vcpu *v, uint64_t va, struct frame **table, unsigned int *index)
{
    struct frame *f = va_guest_ok(va) ? pt_l1_find(v->arch.root_kernel, va) : NULL;

    if (f == NULL || !pt_l1_lock(f, v->d)) {
        return -EINVAL;
    }
    *table = f;
    *index = pt_index(va, 1);
    return 0;
}

static int lock_by_ptr(struct vcpu *v, uint64_t maddr, struct frame **table, unsigned int *index)
{
    struct frame *f = (maddr & 7) == 0 ? frame_of(paddr_to_mfn(maddr)) : NULL;

    if (f == NULL || !pt_l1_lock(f, v->d)) {
        return -EINVAL;
    }
    *table = f;
    *index = (unsigned int)(maddr & ~PAGE_MASK) / 8;
    return 0;
}

/* Writes the entry of a locked table and unlocks it. */
static int set_locked(struct domain *d, struct frame *table, unsigned int index, pte_t e,
                      const mfn_t *expect, pte_t *old)
{
    pte_t *p = &pt_entries(table)[index];
    pte_t was = pt_read(p);
    int rc = 0;

    if (expect != NULL && ((was & PTE_P) == 0 || !mfn_eq(pte_mfn(was), *expect))) {
        rc = -EINVAL;
    } else if ((e & PTE_P) != 0) {
        rc = pt_l1_adjust(d, &e);
    }
    if (rc == 0) {
        /* under the lock only the processor writes it: the mark of an access must not be lost */
        *old = __atomic_exchange_n(p, e, __ATOMIC_ACQ_REL);
    }
    pt_l1_unlock(table);
    return rc;
}

int pt_set_l1_by_va(struct vcpu *v, uint64_t va, pte_t new_entry, pte_t *old)
{
    struct frame *f;
    unsigned int i;
    int rc = lock_by_va(v, va, &f, &i);

    return rc == 0 ? set_locked(v->d, f, i, new_entry, NULL, old) : rc;
}

int pt_set_l1_by_ptr(struct vcpu *v, uint64_t pte_maddr, pte_t new_entry, pte_t *old)
{
    struct frame *f;
    unsigned int i;
    int rc = lock_by_ptr(v, pte_maddr, &f, &i);

    return rc == 0 ? set_locked(v->d, f, i, new_entry, NULL, old) : rc;
}

int pt_swap_l1_by_va(struct vcpu *v, uint64_t va, mfn_t expect, pte_t new_entry, pte_t *old)
{
    struct frame *f;
    unsigned int i;
    int rc = lock_by_va(v, va, &f, &i);

    return rc == 0 ? set_locked(v->d, f, i, new_entry, &expect, old) : rc;
}

int pt_swap_l1_by_ptr(struct vcpu *v, uint64_t pte_maddr, mfn_t expect, pte_t new_entry, pte_t *old)
{
    struct frame *f;
    unsigned int i;
    int rc = lock_by_ptr(v, pte_maddr, &f, &i);

    return rc == 0 ? set_locked(v->d, f, i, new_entry, &expect, old) : rc;
}

void pt_entry_put(struct domain *d, pte_t old)
{
    if ((old & PTE_P) != 0) {
        pt_l1_put(d, old);
    }
}
