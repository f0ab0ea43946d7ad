/* SPDX-License-Identifier: MIT */
/* The audit of all frames. */
#include "mm/audit.h"

#include "port/mmu.h"
#include "base/panic.h"
#include "domain/domain.h"
#include "mm/heap.h"

static const char *const type_name[FT_COUNT] = {
    "none", "writable", "table 1", "table 2", "table 3", "table 4", "descriptors",
};

void audit_add(struct audit *a, const struct frame *f, enum frame_type t)
{
    uint64_t n = frame_mfn(f).n;

    a->count[n].refs++;
    if (t != FT_NONE) {
        enum frame_type is = frame_word_type(frame_word(f));
        a->count[n].type_refs++;
        if (is != t) {
            panic("audit: frame %#lx is used as %s, but typed %s", (unsigned long)n, type_name[t],
                  type_name[is]);
        }
    }
}

/* The owner's own reference (I2), and the hypervisor's use of what it shares. */
static void count_owned(struct audit *a, const struct frame *f)
{
    uint64_t w = frame_word(f);

    if (f->owner == NULL || (w & FW_RELEASED) != 0 || (w & FW_REFS_MASK) == 0) {
        return;
    }
    audit_add(a, f, (f->aux & FA_UNCOUNTED) != 0 ? FT_WRITABLE : FT_NONE);
}

static void check_frame(const struct audit *a, uint64_t n)
{
    const struct frame *f = &frame_table[n];
    const struct audit_count *c = &a->count[n];
    uint64_t w = frame_word(f);
    uint64_t refs = w & FW_REFS_MASK;
    uint64_t type_refs = (w & FW_TREFS_MASK) >> FW_TREF_SHIFT;

    if (f->owner == NULL) {
        /* No RAM, free, or the hypervisor's own: never mapped, and no reference but its own. */
        bool is_free = (w & ~(FW_RAM | FW_VALID)) == 0;
        if ((!is_free && w != FW_HYPERVISOR) || c->refs != 0) {
            panic("audit: frame %#lx without owner is in use (%#lx, %u counted)", (unsigned long)n,
                  (unsigned long)w, c->refs);
        }
        return;
    }
    if (refs != c->refs || type_refs != c->type_refs || refs < type_refs) {
        panic("audit: frame %#lx (%s) of domain %u has %lu references, %lu typed; counted %u, %u",
              (unsigned long)n, type_name[frame_word_type(w)], f->owner->id, (unsigned long)refs,
              (unsigned long)type_refs, c->refs, c->type_refs);
    }
    if ((w & (FW_LOCK | FW_SETTLING)) != 0 || ((w & FW_VALID) != 0 && type_refs == 0) ||
        ((w & FW_VALID) != 0 && (w & FW_PARTIAL) != 0) ||
        ((w & FW_PINNED) != 0 && (w & FW_VALID) == 0)) {
        panic("audit: frame %#lx is in no allowed state: %#lx", (unsigned long)n, (unsigned long)w);
    }
}

void audit_all(void (*others)(struct audit *a))
{
    unsigned int order = 0;
    struct domain *d;
    domid_t id = 0;

    while ((PAGE_SIZE << order) < frame_limit * sizeof(struct audit_count)) {
        order++;
    }
    struct audit a = { .count = heap_alloc(order, HEAP_ANY) };
    if (a.count == NULL) {
        panic("audit: no memory");
    }
    for (uint64_t n = 0; n < frame_limit; n++) {
        if (frame_of(MFN(n)) != NULL) {
            count_owned(&a, &frame_table[n]);
        }
    }
    while ((d = domain_get_next(id)) != NULL) {
        port_audit_domain(&a, d);
        id = (domid_t)(d->id + 1);
        domain_put(d);
    }
    if (others != NULL) {
        others(&a);
    }
    for (uint64_t n = 0; n < frame_limit; n++) {
        if (frame_of(MFN(n)) != NULL) {
            check_frame(&a, n);
        }
    }
    heap_free(a.count, order);
}
