/* SPDX-License-Identifier: MIT */
/* The planner for a PV domain's memory at its start. Rules: the start-of-day comment of the public
 * ABI (xen.h). */

#include "lib/pvplan.h"

#include "lib/mem.h"
#include "abi/arch_x86_64.h"
#include "abi/xen.h"

#define REGION_ALIGN (UINT64_C(4) << 20)
#define PADDING      (UINT64_C(512) << 10)
#define SIZE_LIMIT   (UINT64_C(16) << 40) /* keeps every sum below far from 64 bits */
#define TOP_SLOT     (UINT64_C(1) << 39)
#define TABLE_ROUNDS 8

static uint64_t round_up(uint64_t x, uint64_t align)
{
    return (x + align - 1) & ~(align - 1);
}

static uint64_t frames_of(uint64_t bytes)
{
    return (bytes + PV_PAGE_SIZE - 1) >> PV_PAGE_SHIFT;
}

static unsigned int level_shift(unsigned int level)
{
    return PV_PAGE_SHIFT + 9 * (level - 1);
}

/* True if [va, end) is canonical, on one side of the middle, and clear of the hypervisor's hole. */
static bool range_ok(uint64_t va, uint64_t end)
{
    uint64_t top = va >> 47;

    if (end <= va || (top != 0 && top != 0x1ffff) || (end - 1) >> 47 != top) {
        return false;
    }
    return end <= HYPERVISOR_VIRT_START || va >= HYPERVISOR_VIRT_END;
}

/* Count the tables of levels 1 to 3 that [va, end) takes; returns their sum. `end` - 1 is used, so
 * that `end` may be 2^64. */
static uint64_t count_tables(struct pv_range *r)
{
    uint64_t sum = 0;

    for (unsigned int level = 1; level <= 3; level++) {
        unsigned int shift = level_shift(level + 1);

        r->count[level] = ((r->end - 1) >> shift) - (r->va >> shift) + 1;
        sum += r->count[level];
    }
    return sum;
}

/* Number the tables of a range from `pfn` on, upper levels first; returns the first frame behind
 * them. */
static uint64_t place_tables(struct pv_range *r, uint64_t pfn)
{
    for (unsigned int level = 3; level >= 1; level--) {
        r->first[level] = pfn;
        pfn += r->count[level];
    }
    return pfn;
}

static struct pv_part absent_part(void)
{
    return (struct pv_part){ .va = PV_NONE, .pfn = PV_NONE, .frames = 0 };
}

/* Put a part of `frames` at the cursor `*va` of the region. */
static struct pv_part take(const struct pv_plan *p, uint64_t *va, uint64_t frames)
{
    struct pv_part part = absent_part();

    if (frames > 0) {
        part = (struct pv_part){ .va = *va, .pfn = pvplan_pfn(p, *va), .frames = frames };
        *va += frames << PV_PAGE_SHIFT;
    }
    return part;
}

/*
 * Page tables and stack, the last parts of the region: how many tables it takes depends on where
 * the region ends, which depends on how many tables there are. The count grows with the region, so
 * repeating it settles.
 */
static bool plan_tables(struct pv_plan *p, uint64_t va)
{
    uint64_t tables = 1;

    p->range[0] = (struct pv_range){ .va = p->v_start, .pfn = 0 };
    for (unsigned int round = 0; round < TABLE_ROUNDS; round++) {
        uint64_t cursor = va;
        uint64_t needed;

        p->pt = take(p, &cursor, tables);
        p->stack = take(p, &cursor, 1);
        p->stack_top = cursor;
        p->v_end = round_up(cursor + PADDING, REGION_ALIGN);
        if (!range_ok(p->v_start, p->v_end)) {
            return false;
        }
        p->range[0].end = p->v_end;
        needed = 1 + count_tables(&p->range[0]);
        if (needed == tables) {
            place_tables(&p->range[0], p->pt.pfn + 1);
            return true;
        }
        tables = needed;
    }
    return false;
}

/* The P2M list at an address of its own, behind frame `pfn`, its tables first. */
static bool plan_p2m_apart(struct pv_plan *p, uint64_t va, uint64_t frames, uint64_t pfn)
{
    struct pv_range *r = &p->range[1];
    uint64_t end = va + (frames << PV_PAGE_SHIFT);
    uint64_t tables;

    if ((va & ((UINT64_C(1) << level_shift(2)) - 1)) != 0 || !range_ok(va, end)) {
        return false;
    }
    if (va / TOP_SLOT <= (p->v_end - 1) / TOP_SLOT &&
        (end - 1) / TOP_SLOT >= p->v_start / TOP_SLOT) {
        return false;
    }
    *r = (struct pv_range){ .va = va, .end = end };
    tables = count_tables(r);
    p->p2m_pt = (struct pv_part){ .va = PV_NONE, .pfn = pfn, .frames = tables };
    r->pfn = place_tables(r, pfn);
    p->p2m = (struct pv_part){ .va = va, .pfn = r->pfn, .frames = frames };
    p->first_p2m_pfn = pfn;
    p->nr_p2m_frames = tables + frames;
    return true;
}

static int check_input(const struct pv_plan_input *in)
{
    const struct image_info *image = in->image;

    if (in->ramdisk_size > SIZE_LIMIT || in->pages > SIZE_LIMIT >> PV_PAGE_SHIFT) {
        return PVPLAN_ERR_SIZE;
    }
    if (image->virt_end - image->virt_start > SIZE_LIMIT || image->virt_start < image->virt_base ||
        image->virt_start - image->virt_base > SIZE_LIMIT ||
        !range_ok(image->virt_base, image->virt_end)) {
        return PVPLAN_ERR_ADDRESS;
    }
    return PVPLAN_ERR_NONE;
}

/*
 * Lay out a domain. Returns 0, or an enum pvplan_error; on PVPLAN_ERR_MEMORY out->pages_needed says
 * how many frames would do.
 */
int pvplan_make(const struct pv_plan_input *in, struct pv_plan *out)
{
    const struct image_info *image = in->image;
    bool p2m_apart = image->init_p2m != IMAGE_NONE;
    uint64_t ramdisk_frames = frames_of(in->ramdisk_size);
    uint64_t p2m_frames = frames_of(in->pages * sizeof(uint64_t));
    uint64_t va;
    uint64_t pfn;
    int rc = check_input(in);

    if (rc != PVPLAN_ERR_NONE) {
        return rc;
    }
    memset(out, 0, sizeof(*out));
    out->pages = in->pages;
    out->entry = image->entry;
    out->hypercall_page = image->hypercall_page;
    out->v_start = image->virt_base & ~(REGION_ALIGN - 1);
    out->p2m_pt = absent_part();
    va = image->virt_start & ~(PV_PAGE_SIZE - 1);
    out->kernel = take(out, &va, frames_of(image->virt_end - va));
    out->ramdisk = take(out, &va, image->mod_start_pfn ? 0 : ramdisk_frames);
    out->p2m = take(out, &va, p2m_apart ? 0 : p2m_frames);
    out->start_info = take(out, &va, 1);
    out->store = take(out, &va, in->control ? 0 : 1);
    out->console = take(out, &va, in->control ? 0 : 1);
    if (!range_ok(out->v_start, va) || !plan_tables(out, va)) {
        return PVPLAN_ERR_ADDRESS;
    }
    pfn = pvplan_pfn(out, out->v_end);
    out->mod_start = in->ramdisk_size > 0 ? out->ramdisk.va : 0;
    if (image->mod_start_pfn && ramdisk_frames > 0) {
        out->ramdisk = (struct pv_part){ .va = PV_NONE, .pfn = pfn, .frames = ramdisk_frames };
        out->mod_start = pfn;
        out->mod_start_flags = SIF_MOD_START_PFN;
        pfn += ramdisk_frames;
    }
    if (p2m_apart) {
        if (!plan_p2m_apart(out, image->init_p2m, p2m_frames, pfn)) {
            return PVPLAN_ERR_P2M;
        }
        pfn += out->nr_p2m_frames;
    }
    out->pages_needed = pfn;
    return pfn > in->pages ? PVPLAN_ERR_MEMORY : PVPLAN_ERR_NONE;
}

/* The words for an enum pvplan_error. */
const char *pvplan_strerror(int rc)
{
    switch (rc) {
    case PVPLAN_ERR_NONE:
        return "no error";
    case PVPLAN_ERR_MEMORY:
        return "not enough memory for kernel, ramdisk and page tables";
    case PVPLAN_ERR_ADDRESS:
        return "kernel and ramdisk do not fit the address space that the kernel asks for";
    case PVPLAN_ERR_P2M:
        return "the kernel's INIT_P2M note names an impossible address";
    case PVPLAN_ERR_SIZE:
        return "memory or ramdisk is larger than 16 TiB";
    default:
        return "unknown error";
    }
}

/* Number of page tables of the plan, the top level included. */
uint64_t pvplan_table_count(const struct pv_plan *plan)
{
    return plan->pt.frames + plan->p2m_pt.frames;
}

/* Describe table `index` (below pvplan_table_count()): the top level is 0, then each range's
 * tables, upper levels first. */
void pvplan_table(const struct pv_plan *plan, uint64_t index, struct pv_table *out)
{
    if (index == 0) {
        *out = (struct pv_table){ .level = 4, .range = 0, .pfn = plan->pt.pfn, .va = 0 };
        return;
    }
    index--;
    for (unsigned int i = 0; i < 2; i++) {
        const struct pv_range *r = &plan->range[i];

        for (unsigned int level = 3; level >= 1; level--) {
            unsigned int shift = level_shift(level + 1);

            if (index < r->count[level]) {
                *out = (struct pv_table){ .level = level,
                                          .range = i,
                                          .pfn = r->first[level] + index,
                                          .va = ((r->va >> shift) + index) << shift };
                return;
            }
            index -= r->count[level];
        }
    }
}

/* What a range puts at address `va` of a table of `level`; PV_NONE if nothing. */
static uint64_t range_entry(const struct pv_range *r, unsigned int level, uint64_t va)
{
    unsigned int shift = level_shift(level);

    if (r->count[3] == 0 || va >> shift < r->va >> shift || va >> shift > (r->end - 1) >> shift) {
        return PV_NONE;
    }
    if (level == 1) {
        return r->pfn + ((va - r->va) >> PV_PAGE_SHIFT);
    }
    return r->first[level - 1] + ((va >> shift) - (r->va >> shift));
}

/*
 * Frame that entry `slot` (0 … 511) of a table points to, PV_NONE for an empty entry. *writable is
 * false for the level-1 entries of page tables and true for all others.
 */
uint64_t pvplan_entry(const struct pv_plan *plan, const struct pv_table *table, unsigned int slot,
                      bool *writable)
{
    uint64_t va = table->va + ((uint64_t)slot << level_shift(table->level));
    uint64_t pfn;

    *writable = true;
    if (table->level == 4) {
        va = slot >= PV_SLOTS / 2 ? va | UINT64_C(0xffff) << 48 : va;
        pfn = range_entry(&plan->range[0], 4, va);
        return pfn != PV_NONE ? pfn : range_entry(&plan->range[1], 4, va);
    }
    pfn = range_entry(&plan->range[table->range], table->level, va);
    if (table->level == 1 && pfn >= plan->pt.pfn && pfn < plan->pt.pfn + plan->pt.frames) {
        *writable = false;
    }
    return pfn;
}
