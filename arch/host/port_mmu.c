/* SPDX-License-Identifier: MIT */
/*
 * Host port: the machine-to-physical table, and what the processor would translate: a reader of
 * page tables and, per cpu, a model of its translation cache that remembers every answer until a
 * flush.
 */
#include "port/mmu.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/panic.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/pt_l1.h"
#include "arch/host/host_int.h"
#include "arch/host/machine.h"

#define SLOTS 1024u

/* A remembered translation; addresses that fall into the same slot push each other out, as in
 * hardware. */
struct slot {
    bool valid;
    bool writable;
    uint64_t page;
    mfn_t mfn;
    const struct domain *owner; /* of the frame when it was filled in */
};

static struct {
    pthread_mutex_t lock;
    uint32_t flushed; /* reading of the clock */
    struct slot slot[SLOTS];
} tlb[HOST_MAX_CPUS];

static _Atomic uint32_t tlb_clock = 1;
static uint64_t *m2p;
uint64_t host_flush_count;

void host_tlb_init(void)
{
    m2p = malloc(host_frames * sizeof *m2p);
    bug_if(m2p == NULL);
    for (unsigned int i = 0; i < HOST_MAX_CPUS; i++) {
        (void)pthread_mutex_init(&tlb[i].lock, NULL);
    }
}

void port_m2p_set(mfn_t mfn, uint64_t pfn)
{
    bug_if(mfn.n >= host_frames);
    if (host_hooks.m2p != NULL) {
        host_hooks.m2p(mfn);
    }
    __atomic_store_n(&m2p[mfn.n], pfn, __ATOMIC_RELAXED);
}

uint64_t port_m2p_get(mfn_t mfn)
{
    return mfn.n < host_frames ? __atomic_load_n(&m2p[mfn.n], __ATOMIC_RELAXED) : M2P_INVALID;
}

void *port_map_device(paddr_t pa, uint64_t size)
{
    (void)pa;
    return calloc(1, size);
}

const void *port_phys_va(paddr_t pa)
{
    (void)pa;
    return NULL;
}

void host_tlb_clear(unsigned int cpu)
{
    (void)pthread_mutex_lock(&tlb[cpu].lock);
    uint32_t now = atomic_fetch_add(&tlb_clock, 1) + 1;
    for (unsigned int i = 0; i < SLOTS; i++) {
        tlb[cpu].slot[i].valid = false;
    }
    __atomic_store_n(&tlb[cpu].flushed, now, __ATOMIC_RELEASE);
    (void)pthread_mutex_unlock(&tlb[cpu].lock);
    __atomic_fetch_add(&host_flush_count, 1, __ATOMIC_RELAXED);
}

uint32_t port_tlb_stamp(void)
{
    uint32_t now = atomic_load(&tlb_clock);

    if (host_hooks.stamp != NULL) {
        host_hooks.stamp();
    }
    return now;
}

void port_tlb_flush_before(const struct cpumask *mask, uint32_t stamp)
{
    cpumask_for_each(cpu, mask)
    {
        if (cpu < HOST_MAX_CPUS && __atomic_load_n(&tlb[cpu].flushed, __ATOMIC_ACQUIRE) <= stamp) {
            host_tlb_clear(cpu);
        }
    }
}

void port_tlb_flush(const struct cpumask *mask)
{
    cpumask_for_each(cpu, mask)
    {
        if (cpu < HOST_MAX_CPUS) {
            host_tlb_clear(cpu);
        }
    }
}

void port_tlb_flush_local(void)
{
    host_tlb_clear(port_cpu_id());
}

static void forget(unsigned int cpu, uint64_t va)
{
    struct slot *s = &tlb[cpu].slot[(va >> PAGE_SHIFT) % SLOTS];

    (void)pthread_mutex_lock(&tlb[cpu].lock);
    if (s->page == va >> PAGE_SHIFT) {
        s->valid = false;
    }
    (void)pthread_mutex_unlock(&tlb[cpu].lock);
}

void port_tlb_flush_page(const struct cpumask *mask, uint64_t va)
{
    cpumask_for_each(cpu, mask)
    {
        if (cpu < HOST_MAX_CPUS) {
            forget(cpu, va);
        }
    }
}

void port_tlb_flush_page_local(uint64_t va)
{
    forget(port_cpu_id(), va);
}

/* Reads an entry and marks a present one as accessed, if it is still what was read; else it is read
 * again, as the processor does. */
static pte_t read_marked(pte_t *p)
{
    pte_t e = pt_read(p);

    while (
        (e & (PTE_P | PTE_A)) == PTE_P &&
        !__atomic_compare_exchange_n(p, &e, e | PTE_A, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
    }
    return e;
}

/* What the tables say now, as the processor reads them: no counts, no types. */
static bool walk(struct frame *root, uint64_t va, bool write, struct slot *out)
{
    mfn_t mfn = frame_mfn(root);
    bool writable = true;

    for (unsigned int level = 4; level >= 1; level--) {
        pte_t *p = (pte_t *)port_frame_va(mfn) + pt_index(va, level);
        pte_t e = read_marked(p);
        writable = writable && (e & PTE_RW) != 0;
        if ((e & (PTE_P | PTE_US)) != (PTE_P | PTE_US) || pte_mfn(e).n >= host_frames) {
            return false;
        }
        bug_if((e & PTE_PSE) != 0 && level > 1);
        if (level == 1 && write && writable) {
            __atomic_fetch_or(p, PTE_D, __ATOMIC_RELAXED);
        }
        mfn = pte_mfn(e);
    }
    *out =
        (struct slot){ .valid = true, .writable = writable, .page = va >> PAGE_SHIFT, .mfn = mfn };
    return !write || writable;
}

static void audit_slot(const struct slot *s)
{
    struct frame *f = frame_of(s->mfn);

    if (f == NULL) {
        return;
    }
    uint64_t w = frame_word(f);
    enum frame_type t = frame_word_type(w);
    bool is_used_as_table = t >= FT_PT1 && (w & FW_TREFS_MASK) != 0 && (w & FW_SETTLING) == 0;
    bug_if(s->writable && is_used_as_table);
    if ((w & FW_REFS_MASK) != 0 && frame_owner(f) != s->owner) {
        /* Freed between the two looks; nobody can be given it before this slot is flushed. */
        uint64_t now = frame_word(f);
        if ((now & FW_REFS_MASK) != 0) {
            panic("cpu %u reads frame %#lx, %#lx, %#lx then, as %d's, which is %d's", port_cpu_id(),
                  s->mfn.n, now, w, s->owner == NULL ? -1 : (int)s->owner->id,
                  frame_owner(f) == NULL ? -1 : (int)frame_owner(f)->id);
        }
    }
}

bool host_access(struct vcpu *v, uint64_t va, bool write, uint64_t *val)
{
    unsigned int cpu = port_cpu_id();
    struct slot *s = &tlb[cpu].slot[(va >> PAGE_SHIFT) % SLOTS];
    struct frame *root = v->arch.kernel_mode ? v->arch.root_kernel : v->arch.root_user;
    bool ok = false;

    if (root == NULL || !va_guest_ok(va) || (va & 7) != 0) {
        return false;
    }
    /* Held over the access: a flush waits until it is done, as an interrupt would. */
    (void)pthread_mutex_lock(&tlb[cpu].lock);
    bool hit = s->valid && s->page == va >> PAGE_SHIFT && (!write || s->writable);
    if (!hit) {
        struct slot fresh;
        ok = walk(root, va, write, &fresh);
        if (ok) {
            struct frame *f = frame_of(fresh.mfn);
            fresh.owner = f != NULL ? frame_owner(f) : NULL;
            *s = fresh;
        }
    }
    if ((hit || ok) && frame_of(s->mfn) == NULL) {
        ok = true; /* a device: reads as zero */
        *val = 0;
    } else if (hit || ok) {
        audit_slot(s);
        uint64_t *p = (uint64_t *)port_frame_va(s->mfn) + (va & ~PAGE_MASK) / 8;
        ok = true;
        if (write) {
            __atomic_store_n(p, *val, __ATOMIC_RELAXED);
        } else {
            *val = __atomic_load_n(p, __ATOMIC_RELAXED);
        }
    }
    (void)pthread_mutex_unlock(&tlb[cpu].lock);
    return ok;
}

uint64_t host_tlb_entry(unsigned int cpu, uint64_t va)
{
    const struct slot *s = &tlb[cpu].slot[(va >> PAGE_SHIFT) % SLOTS];

    if (!s->valid || s->page != va >> PAGE_SHIFT) {
        return ~UINT64_C(0);
    }
    return s->mfn.n | (uint64_t)s->writable << 63;
}

void host_tlb_audit(void)
{
    for (unsigned int cpu = 0; cpu < host_cpu_count; cpu++) {
        (void)pthread_mutex_lock(&tlb[cpu].lock);
        for (unsigned int i = 0; i < SLOTS; i++) {
            if (tlb[cpu].slot[i].valid) {
                audit_slot(&tlb[cpu].slot[i]);
            }
        }
        (void)pthread_mutex_unlock(&tlb[cpu].lock);
    }
}
