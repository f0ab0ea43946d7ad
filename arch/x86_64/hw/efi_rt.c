/* SPDX-License-Identifier: MIT */
/*
 * EFI runtime services.
 *
 * Firmware expects its own regions at their physical addresses, 128 KiB of stack, and may use the
 * FPU (UEFI specification section 2.3.4).  So a call runs on a page-table root that has these
 * regions (writable and executable: the one exception to W^X, reachable from nowhere else) beside
 * the hypervisor's slots, on a stack of its own, with interrupts off (per-cpu data is found from
 * the stack), and the vcpu's FPU state is saved around it.
 */
#include "hw/efi_rt.h"

#include <stddef.h>

#include "base/lock.h"
#include "base/log.h"
#include "cpu/machine.h"
#include "cpu/msr.h"
#include "domain/vcpu.h"
#include "guest/pte.h"
#include "hw/paging.h"
#include "hw/tlb.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "port/irq.h"
#include "port/mmu.h"
#include "start/boot_info.h"

#define STACK_ORDER 5u
#define MAP_FLAGS   (PTE_P | PTE_RW | PTE_A | PTE_D)
#define RT_RESET    104u

static struct spinlock lock = SPINLOCK(LOCK_efi);
static uint64_t root;     /* machine address; 0 = no services */
static uint64_t services; /* EFI_RUNTIME_SERVICES, physical */
static uint8_t *stack;

/* The table below `entry`, made if there is none; NULL without memory. */
static pte_t *descend(pte_t *entry)
{
    if (!(*entry & PTE_P)) {
        void *table = heap_alloc(0, HEAP_ANY);
        if (table == NULL) {
            return NULL;
        }
        *entry = pte_make(port_va_mfn(table), MAP_FLAGS);
    }
    return port_frame_va(pte_mfn(*entry));
}

static bool map_page(pte_t *top, uint64_t pa, uint64_t flags)
{
    pte_t *table = top;

    for (unsigned int level = 4; level > 1; level--) {
        table = descend(&table[pt_index(pa, level)]);
        if (table == NULL) {
            return false;
        }
    }
    table[pt_index(pa, 1)] = (pa & PTE_ADDR) | flags;
    return true;
}

static bool map_range(pte_t *top, const struct boot_range *r)
{
    uint64_t flags = MAP_FLAGS | (r->type == BOOT_MMIO ? PTE_PCD | PTE_PWT : 0);

    for (uint64_t pa = r->start; pa < r->end; pa += PAGE_SIZE) {
        if (!map_page(top, pa, flags)) {
            return false;
        }
    }
    return true;
}

void efi_rt_init(const struct boot_info *bi)
{
    if (bi->efi_runtime == 0) {
        return;
    }
    pte_t *top = heap_alloc(0, HEAP_ANY);
    stack = heap_alloc(STACK_ORDER, HEAP_ANY);
    bool ok = top != NULL && stack != NULL;
    for (uint32_t i = 0; ok && i < bi->range_count; i++) {
        const struct boot_range *r = &bi->ranges[i];
        if (r->type == BOOT_RUNTIME_CODE || r->type == BOOT_RUNTIME_DATA || r->type == BOOT_MMIO) {
            ok = map_range(top, r);
        }
    }
    if (!ok) {
        log_warn("EFI runtime services: no memory to map them");
        return;
    }
    for (unsigned int i = PT4_HV_FIRST; i <= PT4_HV_LAST; i++) {
        top[i] = x86_hv_slots[i - PT4_HV_FIRST];
    }
    services = bi->efi_runtime;
    root = mfn_to_paddr(port_va_mfn(top));
}

/* Firmware's calling convention: rcx, rdx, r8, r9, then the stack above 32 bytes of home space. */
static uint64_t call_on_stack(uint64_t fn, const uint64_t args[5], uint8_t *top)
{
    register uint64_t r8 __asm__("r8") = args[2];
    register uint64_t r9 __asm__("r9") = args[3];
    uint64_t c = args[0];
    uint64_t d = args[1];
    uint64_t ret;

    __asm__ volatile("mov %%rsp, %%rbx\n\t"
                     "mov %[top], %%rsp\n\t"
                     "sub $48, %%rsp\n\t"
                     "mov %[a4], 32(%%rsp)\n\t"
                     "call *%[fn]\n\t"
                     "mov %%rbx, %%rsp"
                     : "=a"(ret), "+c"(c), "+d"(d), "+r"(r8), "+r"(r9)
                     : [top] "S"(top), [a4] "D"(args[4]), [fn] "0"(fn)
                     : "rbx", "r10", "r11", "memory", "cc");
    return ret;
}

static uint64_t run(unsigned int offset, const uint64_t args[5])
{
    uint64_t old;
    uint64_t status;

    /* The specification's floating-point environment (UEFI 2.3.4.2): a guest may have left any. */
    static const uint32_t mxcsr = 0x1f80;

    __asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
    __asm__ volatile("mov %%cr3, %0" : "=r"(old));
    __asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory");
    const uint64_t *table = (const uint64_t *)(uintptr_t)services;
    status = call_on_stack(table[offset / 8], args, stack + (PAGE_SIZE << STACK_ORDER));
    __asm__ volatile("mov %0, %%cr3" : : "r"(old) : "memory");
    return status;
}

bool cpu_efi_call(unsigned int offset, const uint64_t args[5], uint64_t *status)
{
    if (root == 0) {
        return false;
    }
    struct vcpu *v = port_current();
    spin_lock(&lock);
    unsigned long flags = port_irq_save();
    cpu_set_ts(false); /* an idle cpu may have what it ran last left behind */
    if (!v->is_idle) {
        cpu_xstate_save(v);
    } else {
        tlb_leave(port_cpu_id()); /* with the registers of whom it ran last */
    }
    *status = run(offset, args);
    if (!v->is_idle) {
        cpu_xstate_load(v);
        cpu_set_ts(v->arch.cr0_ts != 0);
    }
    port_irq_restore(flags);
    spin_unlock(&lock);
    return true;
}

void efi_rt_reset(unsigned int type)
{
    const uint64_t args[5] = { type };

    if (root != 0) {
        port_irq_disable();
        cpu_set_ts(false);
        (void)run(RT_RESET, args);
    }
}
