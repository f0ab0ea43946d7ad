/* SPDX-License-Identifier: MIT */
/* What a level-1 entry may map beyond frames of an ordinary domain: device memory and the
 * hypervisor's shared pages. */
#include "guest/pt_l1.h"

#include "cpu/msr.h"
#include "irq/rights.h"

#define LEAF_ADDRESS_SIZES 0x80000008u

/* First frame number that the processor cannot address. */
uint64_t cpu_mfn_limit(void)
{
    static _Atomic uint64_t limit;
    uint64_t n = atomic_load_explicit(&limit, memory_order_relaxed);

    if (n == 0) {
        struct cpuid_leaf leaf;
        cpu_cpuid(LEAF_ADDRESS_SIZES, 0, &leaf);
        unsigned int bits = leaf.a & 0xff;
        bits = bits < 36 || bits > 52 ? 36 : bits;
        n = UINT64_C(1) << (bits - PAGE_SHIFT);
        atomic_store_explicit(&limit, n, memory_order_relaxed);
    }
    return n;
}

/*
 * Memory without a frame takes no reference.  Where the domain may not write (rights.c's read-only
 * set), the entry becomes read-only instead of being refused, as drivers expect that map whole
 * tables.
 */
static int get_device(struct domain *d, struct domain *pg_owner, pte_t *e)
{
    bool readonly = false;

    if (pg_owner != d && pg_owner != dom_io) {
        return -EINVAL;
    }
    if (pte_mfn(*e).n >= cpu_mfn_limit()) {
        return -EPERM;
    }
    int rc = rights_check_mmio(d, pte_mfn(*e), &readonly);
    if (rc == 0 && readonly) {
        *e &= ~PTE_RW;
    }
    return rc;
}

int pt_l1_get_special(struct domain *d, struct domain *pg_owner, pte_t *e)
{
    struct frame *f = frame_of(pte_mfn(*e));

    if (f == NULL) {
        return get_device(d, pg_owner, e);
    }
    if (pg_owner == dom_io) {
        /* A grantable-memory tool may name dom_io for what is its own. */
        pg_owner = d;
    }
    if (frame_owner(f) != pg_owner) {
        return -EINVAL;
    }
    if ((*e & PTE_RW) != 0) {
        return pg_owner == dom_xen ? -EPERM : frame_get_writable(f, pg_owner);
    }
    return frame_get(f, pg_owner);
}

/*
 * The owner may think the frame its own again as soon as the reference is gone, so no cpu of d may
 * still have it in its translation cache.
 */
void pt_l1_put_foreign(struct domain *d, pte_t e, struct frame *f)
{
    port_tlb_flush_before(&d->dirty_cpus, port_tlb_stamp());
    if ((e & PTE_RW) != 0) {
        frame_put_writable(f);
    } else {
        frame_put(f);
    }
}
