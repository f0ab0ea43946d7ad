/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's page tables, built on the loader's and then loaded.  layout.h has the addresses.
 *
 * Nothing is writable and executable.  The frames of text and read-only data are read-only in the
 * direct map, too.  Tables come from the boot allocator; until they are loaded they are reached at
 * their machine address, which the loader has mapped below 4 GiB, afterwards through the direct
 * map.
 */
#include "hw/paging.h"

#include "abi/arch_x86_64.h"
#include "base/log.h"
#include "base/panic.h"
#include "cpu/machine.h"
#include "cpu/msr.h"
#include "hw/asm.h"
#include "hw/cpu.h"
#include "hw/layout.h"
#include "hw/seg.h"
#include "hw/tlb.h"
#include "hw/percpu.h"
#include "lib/mem.h"
#include "mm/boot_alloc.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "port/mmu.h"
#include "port/start.h"
#include "start/boot_info.h"

#define RO_AFTER_INIT __attribute__((section(".data.ro_after_init")))

#define LEAF_RX  (PTE_P | PTE_A | PTE_G)
#define LEAF_R   (PTE_P | PTE_A | PTE_G | PTE_NX)
#define LEAF_RW  (PTE_P | PTE_A | PTE_D | PTE_G | PTE_RW | PTE_NX)
#define LEAF_DEV (LEAF_RW | PTE_PCD | PTE_PWT)
#define TABLE    (PTE_P | PTE_A | PTE_RW)

#define SIZE_2M (UINT64_C(1) << 21)
#define SIZE_1G (UINT64_C(1) << 30)

/* The first part of the device window is mapped by frames, the rest by 2 MiB pages. */
#define DEV_SMALL_TABLES 8u
#define DEV_SMALL_SIZE   (DEV_SMALL_TABLES * SIZE_2M)

extern uint8_t image_start[], image_text_end[], image_rodata_end[], image_ro_after_init_end[],
    image_end[];
extern uint8_t boot_block[];

const uint64_t *x86_hv_slots RO_AFTER_INIT;
static uint64_t *root;
static uint64_t reach; /* added to a machine address to reach a table */
static const struct boot_info *info;
static uint64_t small_next; /* bytes taken of either part */
static uint64_t large_next = DEV_SMALL_SIZE;
static bool heap_ready; /* the boot allocator has ended */
static uint64_t *percpu_table[CONFIG_MAX_CPUS];

static uint64_t *reach_pa(paddr_t pa)
{
    return (uint64_t *)(pa + reach);
}

void paging_use_heap(void)
{
    heap_ready = true;
}

uint64_t *paging_new_table(void)
{
    if (heap_ready) {
        uint64_t *table = heap_alloc(0, HEAP_ANY);

        if (table == NULL) {
            panic("no memory for the hypervisor's page tables");
        }
        return table;
    }
    uint64_t *t = reach_pa(boot_alloc(1, 1));

    memset(t, 0, PAGE_SIZE);
    return t;
}

static paddr_t table_pa(const uint64_t *t)
{
    return (uint64_t)t - reach;
}

paddr_t paging_table_pa(const uint64_t *table)
{
    return table_pa(table);
}

uint64_t paging_root(void)
{
    return table_pa(root);
}

/* The entry of `level` for va below `t`, making tables above it; `flags` are added to their
 * entries. */
static uint64_t *entry_below(uint64_t *t, uint64_t va, unsigned int level, uint64_t flags)
{
    for (unsigned int l = 4; l > level; l--) {
        uint64_t *e = &t[pt_index(va, l)];

        if ((*e & PTE_P) == 0) {
            *e = table_pa(paging_new_table()) | TABLE | flags;
        }
        bug_if((*e & PTE_PSE) != 0);
        t = reach_pa(*e & PTE_ADDR);
    }
    return &t[pt_index(va, level)];
}

static uint64_t *entry_for(uint64_t va, unsigned int level, uint64_t flags)
{
    return entry_below(root, va, level, flags);
}

uint64_t *paging_entry_in(uint64_t *top, uint64_t va, unsigned int level)
{
    return entry_below(top, va, level, 0);
}

static void map_page(uint64_t va, paddr_t pa, uint64_t flags)
{
    *entry_for(va, 1, 0) = pa | flags;
}

static bool in_image(const void *va)
{
    return (const uint8_t *)va >= image_start && (const uint8_t *)va < image_end;
}

paddr_t paging_image_pa(const void *va)
{
    bug_if(!in_image(va));
    return info->image_phys + (uint64_t)((const uint8_t *)va - image_start);
}

static uint64_t image_flags(const uint8_t *at)
{
    if (at < image_text_end) {
        return LEAF_RX;
    }
    return at < image_ro_after_init_end ? LEAF_R : LEAF_RW;
}

/* Is this page of a block of stacks there, or a guard? */
static bool block_page_used(unsigned int page)
{
    return page >= BLOCK_MAIN_PAGE ||
           (page >= BLOCK_DF_PAGE && page < BLOCK_DB_PAGE + 2 && page % 3 != 0);
}

static void map_image(void)
{
    for (const uint8_t *at = image_start; at < image_end; at += PAGE_SIZE) {
        if (at >= boot_block && at < boot_block + BLOCK_SIZE &&
            !block_page_used((unsigned int)((uint64_t)(at - boot_block) / PAGE_SIZE))) {
            continue;
        }
        map_page((uint64_t)at, paging_image_pa(at), image_flags(at));
    }
}

static bool in_direct_map(uint32_t type)
{
    switch (type) {
    case BOOT_USABLE:
    case BOOT_LOADER:
    case BOOT_MODULE:
    case BOOT_IMAGE:
    case BOOT_ACPI:
    case BOOT_ACPI_NVS:
    case BOOT_RUNTIME_CODE:
    case BOOT_RUNTIME_DATA:
        return true;
    default:
        return false;
    }
}

static bool is_ram(uint32_t type)
{
    return type == BOOT_USABLE || type == BOOT_LOADER || type == BOOT_MODULE || type == BOOT_IMAGE;
}

static void map_direct(paddr_t at, paddr_t end, uint64_t flags)
{
    while (at < end) {
        uint64_t va = HV_DIRECT + at;

        if (cpu_features.gib_pages && at % SIZE_1G == 0 && end - at >= SIZE_1G) {
            *entry_for(va, 3, 0) = at | flags | PTE_PSE;
            at += SIZE_1G;
        } else if (at % SIZE_2M == 0 && end - at >= SIZE_2M) {
            *entry_for(va, 2, 0) = at | flags | PTE_PSE;
            at += SIZE_2M;
        } else {
            map_page(va, at, flags);
            at += PAGE_SIZE;
        }
    }
}

static void map_all_ram(void)
{
    for (uint32_t i = 0; i < info->range_count; i++) {
        const struct boot_range *r = &info->ranges[i];

        if (!in_direct_map(r->type)) {
            continue;
        }
        if (r->end > HV_DIRECT_SIZE) {
            panic("memory at %#lx: this hypervisor handles addresses below 4 TiB",
                  (unsigned long)r->start);
        }
        if (r->type == BOOT_IMAGE) {
            paddr_t fixed = paging_image_pa(image_rodata_end);

            map_direct(r->start, fixed, LEAF_R);
            map_direct(fixed, r->end, LEAF_RW);
        } else {
            map_direct(r->start, r->end, r->type == BOOT_RUNTIME_CODE ? LEAF_R : LEAF_RW);
        }
    }
}

static uint64_t ram_end(void)
{
    uint64_t end = 0;

    for (uint32_t i = 0; i < info->range_count; i++) {
        if (is_ram(info->ranges[i].type)) {
            end = info->ranges[i].end;
        }
    }
    return end;
}

static bool any_ram(paddr_t from, paddr_t to)
{
    for (uint32_t i = 0; i < info->range_count; i++) {
        const struct boot_range *r = &info->ranges[i];

        if (is_ram(r->type) && r->start < to && r->end > from) {
            return true;
        }
    }
    return false;
}

/* A level-1 table all of whose entries map one frame filled with `byte`. */
static uint64_t *shared_table(int byte, uint64_t flags)
{
    uint64_t *page = paging_new_table();
    uint64_t *t = paging_new_table();

    memset(page, byte, PAGE_SIZE);
    for (unsigned int i = 0; i < PT_ENTRIES; i++) {
        t[i] = table_pa(page) | flags;
    }
    return t;
}

/* One 2 MiB piece of memory filled with `byte`. */
static paddr_t piece(int byte)
{
    paddr_t pa = boot_alloc(PT_ENTRIES, PT_ENTRIES);

    memset(reach_pa(pa), byte, SIZE_2M);
    return pa;
}

/* Tables with an element per frame, in pieces of 2 MiB: backed where there is RAM, elsewhere the
 * shared piece. */
static void map_frame_table(void)
{
    uint64_t span = SIZE_2M / sizeof(struct frame) * PAGE_SIZE;
    uint64_t *hole = shared_table(0, LEAF_R);

    frame_table = (struct frame *)HV_FRAMES;
    frame_limit = ram_end() >> PAGE_SHIFT;
    for (paddr_t at = 0; at < ram_end(); at += span) {
        uint64_t va = HV_FRAMES + (at >> PAGE_SHIFT) * sizeof(struct frame);
        uint64_t *e = entry_for(va, 2, 0);

        *e = any_ram(at, at + span) ? piece(0) | LEAF_RW | PTE_PSE : table_pa(hole) | TABLE;
    }
}

static void map_m2p(void)
{
    uint64_t span = SIZE_2M / sizeof(uint64_t) * PAGE_SIZE;
    uint64_t *hole = shared_table(0xff, LEAF_R | PTE_US);

    for (paddr_t at = 0; at < ram_end(); at += span) {
        uint64_t off = (at >> PAGE_SHIFT) * sizeof(uint64_t);
        uint64_t *ro = entry_for(HV_M2P_RO + off, 2, PTE_US);
        uint64_t *rw = entry_for(HV_M2P_RW + off, 2, 0);

        if (any_ram(at, at + span)) {
            paddr_t pa = piece(0xff);
            *ro = pa | LEAF_R | PTE_US | PTE_PSE;
            *rw = pa | LEAF_RW | PTE_PSE;
        } else {
            *ro = table_pa(hole) | TABLE | PTE_US;
        }
    }
}

static void make_device_window(void)
{
    for (uint64_t off = 0; off < HV_DEVICES_SIZE; off += SIZE_1G) {
        (void)entry_for(HV_DEVICES + off, 2, 0);
    }
    for (unsigned int i = 0; i < DEV_SMALL_TABLES; i++) {
        (void)entry_for(HV_DEVICES + i * SIZE_2M, 1, 0);
    }
}

void *port_map_device(paddr_t pa, uint64_t size)
{
    bool large = size >= SIZE_2M;
    uint64_t unit = large ? SIZE_2M : PAGE_SIZE;
    paddr_t first = pa & ~(unit - 1);
    uint64_t len = (pa + size - first + unit - 1) & ~(unit - 1);
    uint64_t *next = large ? &large_next : &small_next;
    uint64_t limit = large ? HV_DEVICES_SIZE : DEV_SMALL_SIZE;

    if (size == 0 || len > limit - *next) {
        return NULL;
    }
    uint64_t va = HV_DEVICES + *next;
    for (uint64_t off = 0; off < len; off += unit) {
        uint64_t *e = entry_for(va + off, large ? 2 : 1, 0);

        *e = (first + off) | LEAF_DEV | (large ? PTE_PSE : 0);
    }
    *next += len;
    return (void *)(va + (pa - first));
}

/* In the direct map, with its end in the same range; NULL if not. */
static const void *direct(paddr_t pa, uint64_t size)
{
    for (uint32_t i = 0; i < info->range_count; i++) {
        const struct boot_range *r = &info->ranges[i];

        if (in_direct_map(r->type) && pa >= r->start && pa < r->end && size <= r->end - pa) {
            return (const void *)(HV_DIRECT + pa);
        }
    }
    return NULL;
}

const void *paging_map_firmware(paddr_t pa, uint64_t size)
{
    const void *va = direct(pa, size);

    return va != NULL ? va : port_map_device(pa, size);
}

const void *port_phys_va(paddr_t pa)
{
    return direct(pa, 1);
}

uint64_t *paging_percpu_table(unsigned int cpu)
{
    if (percpu_table[cpu] == NULL) {
        uint64_t *e = entry_for(HV_PERCPU + (uint64_t)cpu * PERCPU_SIZE, 1, 0);

        percpu_table[cpu] = (uint64_t *)((uint64_t)e & PAGE_MASK);
    }
    return percpu_table[cpu];
}

void paging_percpu_map(unsigned int cpu, uint32_t offset, paddr_t pa, uint64_t flags)
{
    map_page(HV_PERCPU + (uint64_t)cpu * PERCPU_SIZE + offset, pa, flags);
}

bool cpu_m2p_extent(uint64_t n, mfn_t *mfn)
{
    uint64_t off = n * SIZE_2M;

    if (n >= MACH2PHYS_NR_ENTRIES * sizeof(uint64_t) / SIZE_2M ||
        off / sizeof(uint64_t) >= ram_end() >> PAGE_SHIFT) {
        return false;
    }
    uint64_t e = *entry_for(HV_M2P_RO + off, 2, PTE_US);
    *mfn = (e & PTE_PSE) != 0 ? paddr_to_mfn(e & PTE_ADDR) : INVALID_MFN;
    return true;
}

void paging_share_m2p(void)
{
    mfn_t mfn;

    for (uint64_t n = 0; cpu_m2p_extent(n, &mfn); n++) {
        if (!mfn_eq(mfn, INVALID_MFN)) {
            frame_share(mfn, MFN(mfn.n + PT_ENTRIES));
        }
    }
}

void port_m2p_set(mfn_t mfn, uint64_t pfn)
{
    ((uint64_t *)HV_M2P_RW)[mfn.n] = pfn;
}

uint64_t port_m2p_get(mfn_t mfn)
{
    return ((const uint64_t *)HV_M2P_RO)[mfn.n];
}

void port_mmu_init(const struct boot_info *bi)
{
    info = bi;
    root = paging_new_table();
    map_image();
    map_all_ram();
    make_device_window();
    /* Every cpu's area lies below one level-3 entry: cpus that come later need no new top-level
     * entry. */
    (void)entry_for(HV_PERCPU, 2, 0);
    (void)entry_for(HV_M2P_RW, 2, 0);
    uint64_t pa = table_pa(root);

    x86_hv_slots = (const uint64_t *)(HV_DIRECT + pa) + PT4_HV_FIRST;
    tlb_flush_load(pa);
    reach = HV_DIRECT;
    root = reach_pa(pa);
    boot_alloc_mapped();
    map_frame_table();
    map_m2p();
    percpu_init(0);
}
