/* SPDX-License-Identifier: MIT */
/* The builder's steps on memory: allocating frames and executing the plan by foreign mappings. */
#include "build/parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "abi/domctl.h"
#include "abi/grant.h"
#include "abi/hcall_nr.h"
#include "abi/memory.h"
#include "abi/mmu.h"
#include "abi/sysctl.h"
#include "abi/xen.h"

#define MAP_FRAMES   4096                /* frames mapped at once: 16 MiB */
#define LARGE_ORDER  9                   /* 2 MiB */
#define LARGE_FRAMES (1u << LARGE_ORDER) /* also a call's: Linux is not preempted in it */

/* What the hypervisor needs for a domain besides its memory: structures, shared and grant frames.
 */
#define OVERHEAD_KIB          1024
#define OVERHEAD_KIB_PER_VCPU 64

/* First tables: everything a guest may do with its own memory; the plan says what is read-only. */
#define PTE_PRESENT  0x001ULL
#define PTE_WRITE    0x002ULL
#define PTE_USER     0x004ULL
#define PTE_ACCESSED 0x020ULL
#define PTE_DIRTY    0x040ULL

int build_check_memory(struct building *b)
{
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_physinfo };
    uint64_t overhead_kib = OVERHEAD_KIB + (uint64_t)b->c->max_vcpus * OVERHEAD_KIB_PER_VCPU;
    uint64_t needed = b->pages + overhead_kib / 4;
    uint64_t available;
    int rc = joist_sysctl(b->h, &op);

    if (rc < 0) {
        return build_failed(b, "memory", rc, "the hypervisor does not say how much is free");
    }
    available = op.u.physinfo.free_pages > op.u.physinfo.outstanding_pages
                    ? op.u.physinfo.free_pages - op.u.physinfo.outstanding_pages
                    : 0;
    if (needed > available) {
        fail_set(b->f, -ENOMEM, "memory", b->c->name,
                 "not enough memory: needed %llu MiB, free %llu MiB",
                 (unsigned long long)((needed + 255) / 256), (unsigned long long)(available / 256));
        return fail_remedy(b->f, "lower memory= or destroy another guest");
    }
    return 0;
}

/* One populate call: `count` extents, whose first frame numbers are in `list`, both in and out. */
static long populate(struct building *b, uint64_t *list, uint64_t count, uint32_t order)
{
    struct xen_memory_reservation r = {
        .extent_start = { (uintptr_t)list },
        .nr_extents = count,
        .extent_order = order,
        .domid = b->out->domid,
    };

    return joist_memory_op(b->h, XENMEM_populate_physmap, &r, sizeof(r));
}

/* Gives the guest frames from *next on in extents of one size, until that fails or all are there.
 */
static int populate_order(struct building *b, uint64_t *list, uint64_t *next, uint32_t order)
{
    uint64_t size = 1ULL << order;
    uint64_t count;
    long done;

    while (b->pages - *next >= size) {
        count = (b->pages - *next) / size;
        count = count < LARGE_FRAMES >> order ? count : LARGE_FRAMES >> order;
        for (uint64_t i = 0; i < count; i++) {
            list[i] = *next + i * size;
        }
        done = populate(b, list, count, order);
        if (done < 0) {
            return (int)done;
        }
        for (uint64_t i = 0; i < (uint64_t)done && i < count; i++) {
            for (uint64_t j = 0; j < size; j++) {
                b->mfns[*next + j] = list[i] + j;
            }
            *next += size;
        }
        if ((uint64_t)done < count) {
            return -ENOMEM;
        }
    }
    return 0;
}

int build_populate(struct building *b)
{
    uint64_t *list = joist_buf_alloc(b->h, LARGE_FRAMES * sizeof(*list));
    uint64_t next = 0;
    int rc = list != NULL ? 0 : -ENOMEM;

    if (rc == 0) {
        /* Large pieces are quick; where memory has become patchy, single frames do as well. */
        populate_order(b, list, &next, LARGE_ORDER);
        rc = populate_order(b, list, &next, 0);
    }
    joist_buf_free(b->h, list);
    if (rc == 0) {
        return 0;
    }
    fail_set(b->f, rc, "memory", b->c->name, "got %llu of %llu MiB: %s",
             (unsigned long long)(next / 256), (unsigned long long)(b->pages / 256),
             joist_strerror(rc));
    return fail_remedy(b->f, "lower memory= or destroy another guest");
}

static uint8_t *map_mfns(struct building *b, const uint64_t *mfns, uint64_t count)
{
    struct joist_foreign req = {
        .domid = b->out->domid,
        .prot = PROT_READ | PROT_WRITE,
        .pfns = mfns,
        .pfn_count = count,
    };
    int rc;
    uint8_t *at = joist_foreign_map(b->h, &req, &rc);

    if (at == NULL) {
        build_failed(b, "memory", rc, "the guest's memory cannot be mapped");
    }
    return at;
}

/*
 * Writes `size` bytes at byte `offset` of the guest's memory, of which the first `data_size` come
 * from `data` and the rest are zero; whole range within the guest's frames.
 */
static int put(struct building *b, uint64_t offset, const void *data, uint64_t data_size,
               uint64_t size)
{
    const uint8_t *from = data;
    uint64_t done = 0;

    while (done < size) {
        uint64_t pfn = (offset + done) / PV_PAGE_SIZE;
        uint64_t in_page = (offset + done) % PV_PAGE_SIZE;
        uint64_t room = MAP_FRAMES * PV_PAGE_SIZE - in_page;
        uint64_t n = size - done < room ? size - done : room;
        uint64_t frames = (in_page + n + PV_PAGE_SIZE - 1) / PV_PAGE_SIZE;
        uint64_t copy = done < data_size ? data_size - done : 0;
        uint8_t *at = map_mfns(b, b->mfns + pfn, frames);

        if (at == NULL) {
            return b->f->code;
        }
        copy = copy < n ? copy : n;
        if (copy > 0) {
            memcpy(at + in_page, from + done, copy);
        }
        memset(at + in_page + copy, 0, n - copy);
        joist_foreign_unmap(b->h, at, frames);
        done += n;
    }
    return 0;
}

static int put_part(struct building *b, const struct pv_part *part, const void *data, uint64_t size)
{
    if (part->frames == 0) {
        return 0;
    }
    return put(b, part->pfn * PV_PAGE_SIZE, data, size, part->frames * PV_PAGE_SIZE);
}

static int put_kernel(struct building *b)
{
    const struct image_info *info = &b->image.info;
    uint32_t i;
    int rc = put_part(b, &b->plan.kernel, NULL, 0);

    for (i = 0; rc == 0 && i < info->segment_count; i++) {
        const struct image_segment *s = &info->segments[i];

        rc = put(b, s->va - b->plan.v_start, b->image.elf + s->file_offset, s->file_size,
                 s->mem_size);
    }
    return rc;
}

static void fill_table(struct building *b, const struct pv_table *t, uint64_t *entries)
{
    uint64_t flags = PTE_PRESENT | PTE_USER | PTE_ACCESSED | PTE_DIRTY;
    bool writable;
    uint64_t pfn;
    unsigned int slot;

    for (slot = 0; slot < PV_SLOTS; slot++) {
        writable = false;
        pfn = pvplan_entry(&b->plan, t, slot, &writable);
        entries[slot] =
            pfn == PV_NONE ? 0 : b->mfns[pfn] << PV_PAGE_SHIFT | flags | (writable ? PTE_WRITE : 0);
    }
}

static int put_tables(struct building *b)
{
    uint64_t entries[PV_SLOTS];
    struct pv_table t;
    uint64_t i;
    int rc = 0;

    for (i = 0; rc == 0 && i < pvplan_table_count(&b->plan); i++) {
        pvplan_table(&b->plan, i, &t);
        fill_table(b, &t, entries);
        rc = put(b, t.pfn * PV_PAGE_SIZE, entries, sizeof(entries), sizeof(entries));
    }
    return rc;
}

static int put_start_info(struct building *b)
{
    const struct pv_plan *plan = &b->plan;
    struct start_info si = {
        .magic = "xen-3.0-x86_64",
        .nr_pages = b->pages,
        .shared_info = b->shared_info_mfn << PV_PAGE_SHIFT,
        .flags = plan->mod_start_flags,
        .store_mfn = b->out->store_mfn,
        .store_evtchn = b->out->store_port,
        .console.domU = { b->out->console_mfn, b->out->console_port },
        .pt_base = plan->pt.va,
        .nr_pt_frames = plan->pt.frames,
        .mfn_list = plan->p2m.va,
        .mod_start = plan->mod_start,
        .mod_len = b->ramdisk.size,
        .first_p2m_pfn = plan->first_p2m_pfn,
        .nr_p2m_frames = plan->nr_p2m_frames,
    };

    memcpy(si.cmd_line, b->c->cmdline, strlen(b->c->cmdline) + 1);
    return put_part(b, &plan->start_info, &si, sizeof(si));
}

/* Events are masked on every vCPU until its kernel has set up a way to take them. */
static int put_shared_info(struct building *b)
{
    struct shared_info *si = (struct shared_info *)map_mfns(b, &b->shared_info_mfn, 1);
    unsigned int i;

    if (si == NULL) {
        return b->f->code;
    }
    memset(si, 0, sizeof(*si));
    for (i = 0; i < XEN_LEGACY_MAX_VCPUS; i++) {
        si->vcpu_info[i].evtchn_upcall_mask = 1;
    }
    joist_foreign_unmap(b->h, si, 1);
    return 0;
}

/* A single RAM range up to maxmem: what the guest may grow to by its balloon. */
static int set_memory_map(struct building *b)
{
    struct e820entry *entry = joist_buf_alloc(b->h, sizeof(*entry));
    struct xen_foreign_memory_map map = {
        .domid = b->out->domid,
        .map = { .nr_entries = 1, .buffer = { (uintptr_t)entry } },
    };
    long rc = -ENOMEM;

    if (entry != NULL) {
        *entry = (struct e820entry){ .size = b->c->maxmem_kib * 1024, .type = E820_RAM };
        rc = joist_memory_op(b->h, XENMEM_set_memory_map, &map, sizeof(map));
        joist_buf_free(b->h, entry);
    }
    return rc < 0 ? build_failed(b, "memory", (int)rc, "the memory map cannot be set") : 0;
}

static int fill_hypercall_page(struct building *b)
{
    struct xen_domctl op = { .cmd = XEN_DOMCTL_hypercall_init, .domain = b->out->domid };
    int rc;

    if (b->plan.hypercall_page == PV_NONE) {
        return 0;
    }
    op.u.hypercall_init.gmfn = b->mfns[pvplan_pfn(&b->plan, b->plan.hypercall_page)];
    rc = joist_domctl(b->h, &op);
    return rc < 0 ? build_failed(b, "kernel", rc, "the hypercall page cannot be filled") : 0;
}

int build_write_memory(struct building *b)
{
    const struct pv_plan *plan = &b->plan;
    int rc;

    b->out->store_mfn = b->mfns[plan->store.pfn];
    b->out->console_mfn = b->mfns[plan->console.pfn];
    rc = put_kernel(b);
    rc = rc == 0 ? put_part(b, &plan->ramdisk, b->ramdisk.data, b->ramdisk.size) : rc;
    rc = rc == 0 ? put_part(b, &plan->p2m, b->mfns, b->pages * sizeof(*b->mfns)) : rc;
    rc = rc == 0 ? put_part(b, &plan->store, NULL, 0) : rc;
    rc = rc == 0 ? put_part(b, &plan->console, NULL, 0) : rc;
    rc = rc == 0 ? put_part(b, &plan->stack, NULL, 0) : rc;
    rc = rc == 0 ? put_start_info(b) : rc;
    rc = rc == 0 ? put_shared_info(b) : rc;
    rc = rc == 0 ? put_tables(b) : rc;
    rc = rc == 0 ? fill_hypercall_page(b) : rc;
    rc = rc == 0 ? set_memory_map(b) : rc;
    return rc;
}

int build_pin(struct building *b)
{
    struct mmuext_op *op = joist_buf_alloc(b->h, sizeof(*op));
    struct joist_args args = { { (uintptr_t)op, 1, 0, b->out->domid } };
    long rc = -ENOMEM;

    if (op != NULL) {
        *op = (struct mmuext_op){ .cmd = MMUEXT_PIN_L4_TABLE, .arg1.mfn = b->mfns[b->plan.pt.pfn] };
        rc = joist_hypercall(b->h, __HYPERVISOR_mmuext_op, &args);
        joist_buf_free(b->h, op);
    }
    return rc < 0 ? build_failed(b, "create", (int)rc, "the first page tables are refused") : 0;
}

/* The two reserved references let console and store daemon map their rings by grant. */
int build_seed_grants(struct building *b)
{
    struct joist_resource res = {
        .domid = b->out->domid,
        .type = XENMEM_resource_grant_table,
        .id = XENMEM_resource_grant_table_id_shared,
        .frame_count = 1,
    };
    struct grant_entry_v1 *table;
    int rc = joist_resource_map(b->h, &res);

    if (rc < 0) {
        return build_failed(b, "create", rc, "the guest's grant table cannot be mapped");
    }
    table = res.addr;
    table[GNTTAB_RESERVED_CONSOLE] =
        (struct grant_entry_v1){ GTF_permit_access, 0, (uint32_t)b->out->console_mfn };
    table[GNTTAB_RESERVED_XENSTORE] =
        (struct grant_entry_v1){ GTF_permit_access, 0, (uint32_t)b->out->store_mfn };
    joist_resource_unmap(b->h, &res);
    return 0;
}
