/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables.  A page that the processor reads descriptors from is FT_DESC: checked, and
 * written by nobody but update_descriptor.  Taken under mm(d), like page tables.
 *
 * What a guest may have: anything not present; code and data segments, of ring 3 (the level is
 * raised to it in the guest's page); the empty system type 0.  Gates, LDTs and task states are
 * refused.  SDM vol. 3A section 3.4.5.
 */
#include "guest/desc.h"

#include "port/copy.h"
#include "port/cpu.h"
#include "abi/arch_x86_64.h"
#include "cpu/msr.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/mm_x86.h"
#include "guest/pt_l1.h"

#define DESC_P    (UINT64_C(1) << 47)
#define DESC_DPL  (UINT64_C(3) << 45)
#define DESC_S    (UINT64_C(1) << 44) /* code or data */
#define DESC_TYPE (UINT64_C(15) << 40)
#define DESC_L    (UINT64_C(1) << 53)
#define SEL_LDT   4u
#define PER_PAGE  512u
#define LDT_PAGES 16u

bool desc_check(uint64_t *desc)
{
    uint64_t x = *desc;

    if ((x & DESC_P) == 0) {
        return true;
    }
    if ((x & DESC_S) == 0) {
        return (x & DESC_TYPE) == 0;
    }
    *desc = x | DESC_DPL;
    return true;
}

/* Checks a page that nobody can write now, and raises privilege levels in it. */
static bool check_page(struct frame *f)
{
    uint64_t *p = pt_entries(f);

    for (unsigned int i = 0; i < PER_PAGE; i++) {
        uint64_t x = pt_read(&p[i]);
        uint64_t was = x;
        if (!desc_check(&x)) {
            return false;
        }
        if (x != was) {
            pt_write(&p[i], x);
        }
    }
    return true;
}

/* A reference and a type reference as descriptor page. 0 or -EINVAL. locks: mm(d) held. */
static int desc_get(struct domain *d, struct frame *f)
{
    uint64_t w;
    uint64_t next;

    if (frame_get(f, d) != 0) {
        return -EINVAL;
    }
    w = frame_word(f);
    do {
        bool is_desc = frame_word_type(w) == FT_DESC && (w & FW_VALID) != 0;
        if (!is_desc && (w & (FW_TREFS_MASK | FW_PARTIAL)) != 0) {
            frame_put(f);
            return -EINVAL;
        }
        next = (w & ~FW_TYPE_MASK) | FW_TYPE(FT_DESC);
        if (frame_word_type(w) != FT_NONE && frame_word_type(w) != FT_DESC) {
            next |= FW_SETTLING;
        }
    } while (!frame_cas(f, &w, next + FW_TREF));
    if ((next & FW_SETTLING) != 0) {
        frame_settle(f, frame_word_type(w));
    }
    if ((w & FW_VALID) == 0) {
        if (!check_page(f)) {
            frame_put_type(f);
            frame_put(f);
            return -EINVAL;
        }
        atomic_fetch_or_explicit(&f->word, FW_VALID, memory_order_release);
    }
    return 0;
}

static void desc_put(struct frame *f)
{
    frame_put_type(f);
    frame_put(f);
}

static void put_all(struct frame **frames, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        if (frames[i] != NULL) {
            desc_put(frames[i]);
            frames[i] = NULL;
        }
    }
}

int desc_gdt_get(struct domain *d, const uint64_t *mfns, unsigned int entries, struct desc_gdt *gdt)
{
    unsigned int n = (entries + PER_PAGE - 1) / PER_PAGE;
    int rc = 0;

    *gdt = (struct desc_gdt){ .entries = entries };
    if (entries > FIRST_RESERVED_GDT_ENTRY) {
        return -EINVAL;
    }
    spin_lock(&d->mm_lock);
    for (unsigned int i = 0; i < n && rc == 0; i++) {
        struct frame *f = frame_of(MFN(mfns[i]));
        rc = f == NULL ? -EINVAL : desc_get(d, f);
        gdt->frame[i] = rc == 0 ? f : NULL;
    }
    if (rc != 0) {
        put_all(gdt->frame, X86_GDT_FRAMES);
    }
    spin_unlock(&d->mm_lock);
    return rc;
}

void desc_gdt_put(struct domain *d, struct desc_gdt *gdt)
{
    spin_lock(&d->mm_lock);
    put_all(gdt->frame, X86_GDT_FRAMES);
    spin_unlock(&d->mm_lock);
}

void desc_gdt_use(struct vcpu *v, struct desc_gdt *gdt)
{
    struct domain *d = v->d;

    spin_lock(&d->mm_lock);
    for (unsigned int i = 0; i < X86_GDT_FRAMES; i++) {
        struct frame *old = v->arch.gdt_frame[i];
        v->arch.gdt_frame[i] = gdt->frame[i];
        gdt->frame[i] = old;
    }
    v->arch.gdt_entries = gdt->entries;
    if (v == port_current()) {
        cpu_load_gdt(v);
    }
    put_all(gdt->frame, X86_GDT_FRAMES);
    spin_unlock(&d->mm_lock);
}

int desc_set_gdt(struct vcpu *v, const uint64_t *mfns, unsigned int entries)
{
    struct desc_gdt gdt;
    int rc = desc_gdt_get(v->d, mfns, entries, &gdt);

    if (rc == 0) {
        desc_gdt_use(v, &gdt);
    }
    return rc;
}

void desc_drop_gdt(struct vcpu *v)
{
    (void)desc_set_gdt(v, NULL, 0);
}

void desc_drop_ldt(struct vcpu *v)
{
    struct frame *old[LDT_PAGES];
    bool any = false;

    for (unsigned int i = 0; i < LDT_PAGES; i++) {
        old[i] = v->arch.ldt_frame[i];
        v->arch.ldt_frame[i] = NULL;
        any |= old[i] != NULL;
    }
    v->arch.ldt_entries = 0;
    if (any) {
        if (v == port_current()) {
            cpu_load_ldt(v);
        }
        spin_lock(&v->d->mm_lock);
        put_all(old, LDT_PAGES);
        spin_unlock(&v->d->mm_lock);
    }
}

bool pt_map_ldt_page(struct vcpu *v, uint32_t offset)
{
    struct domain *d = v->d;
    uint32_t page = offset >> PAGE_SHIFT;
    int rc;

    if (page >= LDT_PAGES || page * PER_PAGE >= v->arch.ldt_entries ||
        v->arch.ldt_frame[page] != NULL) {
        return false;
    }
    struct frame *table = pt_l1_find(v->arch.root_kernel, v->arch.ldt_base + offset);
    if (table == NULL || !pt_l1_lock(table, d)) {
        return false;
    }
    pte_t e = pt_read(&pt_entries(table)[pt_index(v->arch.ldt_base + offset, 1)]);
    pt_l1_unlock(table);
    struct frame *f = (e & PTE_P) != 0 ? frame_of(pte_mfn(e)) : NULL;
    if (f == NULL) {
        return false;
    }
    spin_lock(&d->mm_lock);
    rc = desc_get(d, f);
    spin_unlock(&d->mm_lock);
    if (rc != 0) {
        return false;
    }
    v->arch.ldt_frame[page] = f;
    cpu_load_ldt(v);
    return true;
}

/* arg: array of frame numbers, number of entries. */
int64_t hc_set_gdt(struct vcpu *v, struct hcall_args *a)
{
    uint64_t mfns[X86_GDT_FRAMES];
    uint64_t entries = (uint32_t)a->arg[1];
    uint64_t n = (entries + PER_PAGE - 1) / PER_PAGE;

    if (entries > FIRST_RESERVED_GDT_ENTRY) {
        return -EINVAL;
    }
    if (n != 0 && guest_read(mfns, gptr(a->arg[0]), n * sizeof mfns[0]) != 0) {
        return -EFAULT;
    }
    return desc_set_gdt(v, mfns, (unsigned int)entries);
}

/* arg: machine address of the descriptor, its new value. */
int64_t hc_update_descriptor(struct vcpu *v, struct hcall_args *a)
{
    struct domain *d = v->d;
    uint64_t desc = a->arg[1];
    struct frame *f = frame_of(paddr_to_mfn(a->arg[0]));
    int64_t rc = 0;

    if ((a->arg[0] & 7) != 0 || f == NULL || !desc_check(&desc) || frame_get(f, d) != 0) {
        return -EINVAL;
    }
    spin_lock(&d->mm_lock);
    uint64_t w = frame_word(f);
    bool is_desc = frame_word_type(w) == FT_DESC && (w & FW_VALID) != 0;
    if (is_desc || frame_get_type(f, FT_WRITABLE) == 0) {
        /* The lock keeps a descriptor page what it is. */
        pt_write(&pt_entries(f)[(a->arg[0] & ~PAGE_MASK) / 8], desc);
        if (!is_desc) {
            frame_put_type(f);
        }
    } else {
        rc = -EINVAL;
    }
    spin_unlock(&d->mm_lock);
    frame_put(f);
    return rc;
}

/*
 * Selectors of the hypervisor's part of the GDT are known; others are looked up where the processor
 * does.  The page cannot change under the reader's feet: v is the current vcpu, and only it changes
 * its tables' frames.
 */
bool desc_is_code64(struct vcpu *v, uint16_t sel)
{
    unsigned int index = sel >> 3;
    struct frame *f = NULL;

    if ((sel & SEL_LDT) == 0 && index >= FIRST_RESERVED_GDT_ENTRY) {
        return (sel | 3) == FLAT_RING3_CS64;
    }
    if ((sel & SEL_LDT) != 0) {
        f = index < v->arch.ldt_entries ? v->arch.ldt_frame[index / PER_PAGE] : NULL;
    } else if (index < v->arch.gdt_entries) {
        f = v->arch.gdt_frame[index / PER_PAGE];
    }
    return f != NULL && (pt_read(&pt_entries(f)[index % PER_PAGE]) & DESC_L) != 0;
}
