/* SPDX-License-Identifier: MIT */
/* A cpu's area: stacks between guard pages, windows on the running guest's descriptor tables, TSS.
 */
#include "hw/percpu.h"

#include "base/panic.h"
#include "cpu/msr.h"
#include "domain/vcpu.h"
#include "hw/asm.h"
#include "hw/cpu_info.h"
#include "hw/guard.h"
#include "hw/layout.h"
#include "hw/paging.h"
#include "hw/seg.h"
#include "lib/mem.h"
#include "mm/boot_alloc.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "port/mmu.h"

#define LEAF_RW      (PTE_P | PTE_A | PTE_D | PTE_G | PTE_RW | PTE_NX)
#define LEAF_R       (PTE_P | PTE_A | PTE_G | PTE_NX)
#define WINDOW_PAGES 16u

/* What is shown of a GDT that the guest has not given: no descriptors. */
static const uint8_t no_descriptors[4096] __attribute__((aligned(4096)));
static uint8_t boot_pages[2][4096] __attribute__((aligned(4096)));

static paddr_t new_page(unsigned int cpu, unsigned int which)
{
    if (cpu == 0) {
        return paging_image_pa(boot_pages[which]);
    }
    void *va = heap_alloc(0, HEAP_ANY);
    if (va == NULL) {
        panic("cpu %u: no memory for its area", cpu);
    }
    return mfn_to_paddr(port_va_mfn(va));
}

/* Is this page of a block of stacks there, or a guard? */
static bool block_page_used(unsigned int page)
{
    return page >= BLOCK_MAIN_PAGE ||
           (page >= BLOCK_DF_PAGE && page < BLOCK_DB_PAGE + 2 && page % 3 != 0);
}

void percpu_init(unsigned int cpu)
{
    for (unsigned int i = 0; i < BLOCK_PAGES && cpu != 0; i++) {
        if (block_page_used(i)) {
            paging_percpu_map(cpu, PC_STACK + i * 4096, new_page(cpu, 0), LEAF_RW);
        }
    }
    for (unsigned int i = 0; i < GDT_OURS_PAGE; i++) {
        paging_percpu_map(cpu, PC_GDT + i * 4096, paging_image_pa(no_descriptors), LEAF_R);
    }
    paging_percpu_map(cpu, PC_GDT + GDT_OURS_PAGE * 4096, new_page(cpu, 0), LEAF_RW);
    paging_percpu_map(cpu, PC_DATA, new_page(cpu, 1), LEAF_RW);
    guard_cpu_init(cpu);
    if (cpu == 0) {
        seg_cpu_init(0);
    }
}

/* Have page `page` of a window show pa (0 = nothing). */
static void show(unsigned int cpu, uint32_t window, unsigned int page, uint64_t entry)
{
    uint32_t offset = window + page * 4096;
    uint64_t *e = &paging_percpu_table(cpu)[offset / 4096];

    if (*e != entry) {
        *e = entry;
        invlpg(HV_PERCPU + (uint64_t)cpu * PERCPU_SIZE + offset);
    }
}

static uint64_t shown(const struct frame *f, uint64_t otherwise)
{
    return f != NULL ? mfn_to_paddr(frame_mfn(f)) | LEAF_RW : otherwise;
}

void cpu_load_gdt(struct vcpu *v)
{
    unsigned int cpu = port_cpu_id();
    uint64_t none = paging_image_pa(no_descriptors) | LEAF_R;

    for (unsigned int i = 0; i < X86_GDT_FRAMES; i++) {
        show(cpu, PC_GDT, i, shown(v->arch.gdt_frame[i], none));
    }
}

void cpu_load_ldt(struct vcpu *v)
{
    unsigned int cpu = port_cpu_id();

    for (unsigned int i = 0; i < WINDOW_PAGES; i++) {
        show(cpu, PC_LDT, i, v->arch.ldt_entries != 0 ? shown(v->arch.ldt_frame[i], 0) : 0);
    }
    seg_load_ldt(v->arch.ldt_entries);
}

uint64_t cpu_ldt_window(void)
{
    return HV_PERCPU + (uint64_t)port_cpu_id() * PERCPU_SIZE + PC_LDT;
}
