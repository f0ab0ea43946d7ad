/* SPDX-License-Identifier: MIT */
/* Guests with page tables on the host machine. */
#include "tests/unit/mm_kit.h"

#include <stdio.h>
#include <stdlib.h>

#include "arch/host/machine.h"
#include "irq/irq.h"
#include "mm/audit.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "port/mmu.h"

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "kit: %s\n", what);
        abort();
    }
}

void kit_machine(uint64_t frames, unsigned int cpus)
{
    struct host_config c = { .frames = frames,
                             .hole_first = frames - frames / 8,
                             .hole_end = frames - frames / 16,
                             .cpus = cpus };

    host_init(&c);
    irq_init();
}

struct frame *kit_frame(struct kit_guest *g)
{
    struct frame *f = heap_alloc_domain(g->d, 0, HEAP_ANY, M2P_INVALID);

    must(f != NULL, "no frame");
    return f;
}

pte_t kit_pte(const struct frame *f, uint64_t flags)
{
    return pte_make(frame_mfn(f), flags);
}

uint64_t kit_maddr(const struct frame *f, unsigned int index)
{
    return mfn_to_paddr(frame_mfn(f)) + index * 8;
}

static uint64_t *words(const struct frame *f)
{
    return port_frame_va(frame_mfn(f));
}

pte_t kit_entry(const struct frame *f, unsigned int index)
{
    return words(f)[index];
}

void kit_poke(struct frame *f, unsigned int index, uint64_t val)
{
    words(f)[index] = val;
}

void kit_guest(struct kit_guest *g, bool is_dom0, unsigned int vcpus)
{
    g->d = host_domain(vcpus, 4096, is_dom0);
    must(g->d != NULL, "no domain");
    g->v = g->d->vcpu[0];
    g->l4 = kit_frame(g);
    g->l3 = kit_frame(g);
    g->l2 = kit_frame(g);
    g->l1 = kit_frame(g);
    kit_poke(g->l4, pt_index(KIT_VA, 4), kit_pte(g->l3, TAB));
    kit_poke(g->l3, 0, kit_pte(g->l2, TAB));
    kit_poke(g->l2, 0, kit_pte(g->l1, TAB));
    for (unsigned int i = 0; i < KIT_DATA; i++) {
        g->data[i] = kit_frame(g);
        kit_poke(g->l1, i, kit_pte(g->data[i], K_RW));
    }
    kit_poke(g->l1, KIT_DATA, kit_pte(g->l1, K_RO));
    kit_poke(g->l1, KIT_DATA + 1, kit_pte(g->l2, K_RO));
    kit_poke(g->l1, KIT_DATA + 2, kit_pte(g->l3, K_RO));
    kit_poke(g->l1, KIT_DATA + 3, kit_pte(g->l4, K_RO));
    host_load(g->v);
    must(kit_mmuext(MMUEXT_PIN_L4_TABLE, frame_mfn(g->l4).n, 0) == 0, "pin");
    must(kit_mmuext(MMUEXT_NEW_BASEPTR, frame_mfn(g->l4).n, 0) == 0, "baseptr");
}

void kit_guest_end(struct kit_guest *g)
{
    host_load(NULL);
    host_domain_end(g->d);
    g->d = NULL;
}

int64_t kit_call(hcall_fn *fn, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    struct hcall_args a = { { a0, a1, a2, a3, 0, 0 } };
    int64_t rc;

    do {
        rc = fn(port_current(), &a);
    } while (rc == HC_AGAIN);
    return rc;
}

int64_t kit_mmu_update(uint64_t ptr, uint64_t val)
{
    struct mmu_update u = { ptr, val };

    return kit_call(hc_mmu_update, (uintptr_t)&u, 1, 0, DOMID_SELF);
}

int64_t kit_mmuext(uint32_t cmd, uint64_t arg1, uint64_t arg2)
{
    struct mmuext_op op = { .cmd = cmd, .arg1.mfn = arg1, .arg2.src_mfn = arg2 };

    return kit_call(hc_mmuext_op, (uintptr_t)&op, 1, 0, DOMID_SELF);
}

int64_t kit_update_va(uint64_t va, pte_t e, uint64_t flags)
{
    return kit_call(hc_update_va_mapping, va, e, flags, 0);
}

void kit_audit(void)
{
    audit_all(NULL);
    host_tlb_audit();
}

uint64_t kit_refs(const struct frame *f)
{
    return frame_word(f) & FW_REFS_MASK;
}

uint64_t kit_type_refs(const struct frame *f)
{
    return (frame_word(f) & FW_TREFS_MASK) >> FW_TREF_SHIFT;
}
