/* SPDX-License-Identifier: MIT */
/* What a domain's page tables, base pointers, pins and descriptor tables hold, counted afresh for
 * the audit. */
#include "mm/audit.h"

#include "base/panic.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/pt_l1.h"
#include "guest/pt_walk.h"

/* The first n entries of a table. */
static void count_entries(struct audit *a, struct frame *f, unsigned int level, unsigned int n)
{
    const pte_t *p = pt_entries(f);

    for (unsigned int i = 0; i < n; i++) {
        pte_t e = pt_read(&p[i]);
        if ((e & PTE_P) == 0 || pt_slot_is_hv(level, i)) {
            continue;
        }
        struct frame *child = frame_of(pte_mfn(e));
        if (child == NULL) {
            bug_if(level > 1);
            continue;
        }
        if (level > 1) {
            audit_add(a, child, (enum frame_type)(FT_PT1 + level - 2));
        } else {
            audit_add(a, child, (e & PTE_RW) != 0 ? FT_WRITABLE : FT_NONE);
        }
        bug_if((e & PTE_US) == 0);
    }
}

static void count_tables(struct audit *a, struct domain *d)
{
    for (uint64_t n = 0; n < frame_limit; n++) {
        struct frame *f = frame_of(MFN(n));
        if (f == NULL || f->owner != d) {
            continue;
        }
        uint64_t w = frame_word(f);
        enum frame_type t = frame_word_type(w);
        if ((w & FW_VALID) != 0 && t >= FT_PT1 && t <= FT_PT4) {
            count_entries(a, f, t - FT_PT1 + 1u, PT_ENTRIES);
        }
        if ((w & FW_PINNED) != 0) {
            audit_add(a, f, t);
        }
    }
}

/* A pending walk holds every table on its path, and what it has taken, or not yet given back,
 * there. */
static void count_walk(struct audit *a, const struct pt_cursor *c)
{
    if (c->active) {
        for (unsigned int level = c->level; level <= c->top; level++) {
            bug_if((frame_word(c->f[level]) & FW_PARTIAL) == 0);
            audit_add(a, c->f[level], (enum frame_type)(FT_PT1 + level - 1));
            count_entries(a, c->f[level], level, c->next[level]);
        }
    }
    for (unsigned int i = 0; i < PT_HOLDS; i++) {
        const struct pt_hold *h = &c->hold[i];
        if (h->who != NULL && h->error == 0) {
            audit_add(a, h->f, (enum frame_type)h->type);
        }
    }
}

static void count_vcpu(struct audit *a, const struct vcpu *v)
{
    struct frame *const roots[3] = { v->arch.root_kernel, v->arch.root_user, v->arch.root_next };

    for (unsigned int i = 0; i < 3; i++) {
        if (roots[i] != NULL) {
            audit_add(a, roots[i], FT_PT4);
        }
    }
    for (unsigned int i = 0; i < X86_GDT_FRAMES; i++) {
        if (v->arch.gdt_frame[i] != NULL) {
            audit_add(a, v->arch.gdt_frame[i], FT_DESC);
        }
    }
    for (unsigned int i = 0; i < 16; i++) {
        if (v->arch.ldt_frame[i] != NULL) {
            audit_add(a, v->arch.ldt_frame[i], FT_DESC);
        }
    }
}

void port_audit_domain(struct audit *a, struct domain *d)
{
    count_tables(a, d);
    count_walk(a, &d->arch.pt);
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        if (d->vcpu[i] != NULL) {
            count_vcpu(a, d->vcpu[i]);
        }
    }
}
