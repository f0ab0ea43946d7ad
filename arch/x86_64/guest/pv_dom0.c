/* SPDX-License-Identifier: MIT */
/*
 * Executes the PV plan for domain 0: frames, kernel, ramdisk, P2M, page tables, start_info, first
 * context.
 *
 * Nothing of the domain runs yet, so the tables are written as plain memory and then validated like
 * any guest's.
 */
#include "port/start.h"

#include "abi/arch_x86_64.h"
#include "abi/platform.h"
#include "abi/xen.h"
#include "base/log.h"
#include "base/panic.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/mm_x86.h"
#include "guest/x86_domain.h"
#include "guest/x86_flags.h"
#include "hcall/hcall.h"
#include "lib/elf.h"
#include "lib/pvplan.h"
#include "lib/str.h"
#include "mm/heap.h"
#include "port/mmu.h"
#include "port/vcpu.h"
#include "start/boot_info.h"

/* Chunks of at most 4 MiB keep the extent list short and the choice of the heap free. */
#define CHUNK_ORDER 10u

#define TABLE_FLAGS (PTE_P | PTE_RW | PTE_US | PTE_A)
#define PAGE_FLAGS  (PTE_P | PTE_A | PTE_D)

/* A run of pseudo-physical frames on contiguous machine frames. */
struct extent {
    uint64_t pfn;
    uint64_t mfn;
    uint64_t frames;
};

struct build {
    struct domain *d;
    const struct boot_info *bi;
    struct extent *extents;
    uint64_t extent_count;
    unsigned int extent_order; /* of the list's memory */
    uint64_t frames;
    struct image_info image;
    struct pv_plan plan;
};

/* The plan is computed once, on the boot cpu. */
static struct build build;

static mfn_t build_mfn(const struct build *b, uint64_t pfn)
{
    uint64_t low = 0;
    uint64_t high = b->extent_count;

    while (high - low > 1) {
        uint64_t mid = (low + high) / 2;
        if (b->extents[mid].pfn <= pfn) {
            low = mid;
        } else {
            high = mid;
        }
    }
    const struct extent *e = &b->extents[low];
    bug_if(pfn < e->pfn || pfn - e->pfn >= e->frames);
    return MFN(e->mfn + (pfn - e->pfn));
}

static uint8_t *build_va(const struct build *b, uint64_t pfn)
{
    return port_frame_va(build_mfn(b, pfn));
}

static void allocate(struct build *b)
{
    uint64_t most = b->frames / (1u << CHUNK_ORDER) + CHUNK_ORDER + 64;
    uint64_t pfn = 0;
    unsigned int order = CHUNK_ORDER;

    most += b->frames / 64; /* room for a fragmented heap */
    while ((PAGE_SIZE << b->extent_order) < most * sizeof(struct extent)) {
        b->extent_order++;
    }
    b->extents = heap_alloc(b->extent_order, HEAP_NOSCRUB);
    if (b->extents == NULL) {
        panic("domain 0: no memory to plan with");
    }
    while (pfn < b->frames) {
        while ((UINT64_C(1) << order) > b->frames - pfn) {
            order--;
        }
        struct frame *f = heap_alloc_domain(b->d, order, HEAP_NOSCRUB, pfn);
        if (f == NULL) {
            if (order == 0 || b->extent_count == most) {
                panic("domain 0: memory for %lu of %lu frames only", (unsigned long)pfn,
                      (unsigned long)b->frames);
            }
            order--;
            continue;
        }
        bug_if(b->extent_count == most);
        uint64_t mfn = frame_mfn(f).n;
        uint64_t n = UINT64_C(1) << order;
        b->extents[b->extent_count++] = (struct extent){ .pfn = pfn, .mfn = mfn, .frames = n };
        pfn += n;
    }
}

/* Copies into consecutive pseudo-physical memory; NULL `from` writes zeros. */
static void put(const struct build *b, uint64_t addr, const uint8_t *from, uint64_t size)
{
    while (size > 0) {
        uint64_t off = addr & (PAGE_SIZE - 1);
        uint64_t n = PAGE_SIZE - off < size ? PAGE_SIZE - off : size;
        uint8_t *to = build_va(b, addr >> PAGE_SHIFT) + off;
        if (from != NULL) {
            memcpy(to, from, n);
            from += n;
        } else {
            memset(to, 0, n);
        }
        addr += n;
        size -= n;
    }
}

static void load_image(const struct build *b, const uint8_t *elf)
{
    const struct image_info *im = &b->image;
    const struct pv_plan *p = &b->plan;

    put(b, p->kernel.pfn << PAGE_SHIFT, NULL, p->kernel.frames << PAGE_SHIFT);
    for (uint32_t i = 0; i < im->segment_count; i++) {
        const struct image_segment *s = &im->segments[i];
        put(b, s->va - p->v_start, elf + s->file_offset, s->file_size);
    }
    if (p->hypercall_page != PV_NONE) {
        x86_hypercall_page_fill(build_va(b, pvplan_pfn(p, p->hypercall_page)));
    }
    if (b->bi->ramdisk.size != 0) {
        put(b, p->ramdisk.pfn << PAGE_SHIFT, port_frame_va(paddr_to_mfn(b->bi->ramdisk.start)),
            b->bi->ramdisk.size);
    }
}

static void write_p2m(const struct build *b)
{
    const struct pv_plan *p = &b->plan;

    for (uint64_t f = 0; f < p->p2m.frames; f++) {
        uint64_t *list = (uint64_t *)(void *)build_va(b, p->p2m.pfn + f);
        for (uint64_t i = 0; i < PT_ENTRIES; i++) {
            uint64_t pfn = f * PT_ENTRIES + i;
            list[i] = pfn < b->frames ? build_mfn(b, pfn).n : M2P_INVALID;
        }
    }
}

static void write_tables(const struct build *b)
{
    const struct pv_plan *p = &b->plan;
    uint64_t tables = pvplan_table_count(p);

    for (uint64_t i = 0; i < tables; i++) {
        struct pv_table t;
        pvplan_table(p, i, &t);
        pte_t *entry = (pte_t *)(void *)build_va(b, t.pfn);
        for (unsigned int slot = 0; slot < PT_ENTRIES; slot++) {
            bool writable = false;
            uint64_t pfn = pvplan_entry(p, &t, slot, &writable);
            uint64_t flags = t.level > 1 ? TABLE_FLAGS : PAGE_FLAGS | (writable ? PTE_RW : 0);
            entry[slot] = pfn == PV_NONE ? 0 : pte_make(build_mfn(b, pfn), flags);
        }
    }
}

/* The screen as dom0 is told of it: the firmware's linear framebuffer. Returns bytes written. */
static uint32_t write_console_info(const struct boot_fb *fb, struct dom0_vga_console_info *c)
{
    memset(c, 0, sizeof *c);
    if (fb->base == 0) {
        return 0;
    }
    c->video_type = XEN_VGATYPE_EFI_LFB;
    c->u.vesa_lfb.width = (uint16_t)fb->width;
    c->u.vesa_lfb.height = (uint16_t)fb->height;
    c->u.vesa_lfb.bytes_per_line = (uint16_t)fb->pitch;
    c->u.vesa_lfb.bits_per_pixel = fb->bpp;
    c->u.vesa_lfb.lfb_base = (uint32_t)fb->base;
    c->u.vesa_lfb.ext_lfb_base = (uint32_t)(fb->base >> 32);
    c->u.vesa_lfb.lfb_size = (uint32_t)((fb->size + 0xffff) >> 16);
    c->u.vesa_lfb.red_pos = fb->red_pos;
    c->u.vesa_lfb.red_size = fb->red_size;
    c->u.vesa_lfb.green_pos = fb->green_pos;
    c->u.vesa_lfb.green_size = fb->green_size;
    c->u.vesa_lfb.blue_pos = fb->blue_pos;
    c->u.vesa_lfb.blue_size = fb->blue_size;
    c->u.vesa_lfb.rsvd_pos = fb->rsvd_pos;
    c->u.vesa_lfb.rsvd_size = fb->rsvd_size;
    return sizeof *c;
}

static void write_start_info(const struct build *b)
{
    const struct pv_plan *p = &b->plan;
    uint8_t *page = build_va(b, p->start_info.pfn);
    struct start_info *si = (struct start_info *)(void *)page;

    memset(page, 0, PAGE_SIZE);
    (void)str_copy(si->magic, sizeof si->magic, "xen-3.0-x86_64");
    si->nr_pages = b->frames;
    si->shared_info = mfn_to_paddr(frame_mfn(b->d->shared_frame));
    si->flags = SIF_PRIVILEGED | SIF_INITDOMAIN | p->mod_start_flags;
    si->pt_base = p->pt.va;
    si->nr_pt_frames = p->pt.frames;
    si->mfn_list = p->p2m.va;
    si->mod_start = p->mod_start;
    si->mod_len = b->bi->ramdisk.size;
    si->first_p2m_pfn = p->first_p2m_pfn;
    si->nr_p2m_frames = p->nr_p2m_frames;
    (void)str_copy((char *)si->cmd_line, sizeof si->cmd_line, b->bi->kernel_cmdline);

    void *info = page + sizeof *si;
    uint32_t n = write_console_info(&b->bi->fb, info);
    si->console.dom0.info_off = n != 0 ? (uint32_t)sizeof *si : 0;
    si->console.dom0.info_size = n;
}
_Static_assert(sizeof(struct start_info) + sizeof(struct dom0_vga_console_info) <= PAGE_SIZE,
               "start_info and the console information share a page");

static void first_context(const struct build *b, struct vcpu *v0)
{
    const struct pv_plan *p = &b->plan;
    unsigned int order = 1;
    struct vcpu_guest_context *c = heap_alloc(order, HEAP_ANY);
    int64_t rc;

    if (c == NULL) {
        panic("domain 0: no memory for its first context");
    }
    c->flags = VGCF_in_kernel | VGCF_online;
    c->user_regs.rip = p->entry;
    c->user_regs.rsp = p->stack_top;
    c->user_regs.rsi = p->start_info.va;
    c->user_regs.rflags = RFLAGS_IF;
    c->user_regs.cs = FLAT_KERNEL_CS;
    c->user_regs.ss = FLAT_KERNEL_SS;
    c->user_regs.ds = FLAT_KERNEL_DS;
    c->user_regs.es = FLAT_KERNEL_DS;
    c->kernel_ss = FLAT_KERNEL_SS;
    c->kernel_sp = p->stack_top;
    c->ctrlreg[3] = xen_pfn_to_cr3(build_mfn(b, p->pt.pfn).n);
    for (unsigned int i = 0; i < 256; i++) {
        c->trap_ctxt[i].vector = (uint8_t)i;
        c->trap_ctxt[i].cs = FLAT_KERNEL_CS;
    }
    do {
        rc = port_vcpu_set_context(v0, c);
    } while (rc == HC_AGAIN);
    if (rc != 0) {
        panic("domain 0: its first page tables or registers are refused: error %ld", (long)rc);
    }
    heap_free(c, order);
}

void port_dom0_load(struct domain *d, struct vcpu *v0, const struct boot_info *bi, uint64_t frames)
{
    struct build *b = &build;
    const uint8_t *elf = port_frame_va(paddr_to_mfn(bi->kernel.start));
    int rc = elf_parse(elf, bi->kernel.size, &b->image);

    if (rc != 0) {
        panic("domain 0's kernel: %s; a cloud kernel or one without CONFIG_XEN_DOM0 cannot be "
              "the control domain",
              elf_strerror(rc));
    }
    b->d = d;
    b->bi = bi;
    b->frames = frames;
    struct pv_plan_input in = {
        .image = &b->image, .ramdisk_size = bi->ramdisk.size, .pages = frames, .control = true
    };
    rc = pvplan_make(&in, &b->plan);
    if (rc != 0) {
        panic("domain 0: %s (%lu MiB given, %lu MiB needed); raise dom0_mem=", pvplan_strerror(rc),
              (unsigned long)(frames >> 8), (unsigned long)((b->plan.pages_needed >> 8) + 1));
    }
    log_info("domain 0: kernel %s %s at %#lx-%#lx, entry %#lx", b->image.guest_os,
             b->image.guest_version, (unsigned long)b->plan.v_start, (unsigned long)b->plan.v_end,
             (unsigned long)b->plan.entry);
    allocate(b);
    load_image(b, elf);
    write_p2m(b);
    write_tables(b);
    write_start_info(b);
    int64_t prc;
    do {
        prc = mm_pin(d, build_mfn(b, b->plan.pt.pfn), FT_PT4);
    } while (prc == HC_AGAIN);
    if (prc != 0) {
        panic("domain 0: its first page tables are refused: error %ld", (long)prc);
    }
    first_context(b, v0);
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        d->vcpu[i]->info->evtchn_upcall_mask = 1;
    }
    heap_free(b->extents, b->extent_order);
}
