/* SPDX-License-Identifier: MIT */
/*
 * The guarded ways: what is patched at boot, and the roots that guests run on with page-table
 * isolation.
 *
 * Each cpu has two such roots, for a guest's kernel and for its user mode, so that a system call
 * copies nothing.  A root is a copy of the guest's own top-level entries, and has of ours the M2P,
 * which guests read, and the few pages that guard_entry.S needs.  It is brought up to date on the
 * way out, whenever the guest's root is another one or any domain's top-level table has changed
 * since (x86_root_changes).  A change while the guest runs is seen
 *  - if an entry goes away or loses rights, when the cpu is interrupted to flush, before what the
 * entry led to is used for anything else: the change is counted before the clock of flushes is
 * read;
 *  - if one comes, at the latest when the guest faults for want of it (guard_stale()).
 *
 * With isolation no translation of ours may outlive a guest's stay: global pages are switched off,
 * and every load of CR3 drops everything.  PCIDs are not used.
 */
#include "hw/guard.h"

#include <stdatomic.h>

#include "base/panic.h"
#include "config.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/pte.h"
#include "guest/spec.h"
#include "guest/x86_slots.h"
#include "hw/asm.h"
#include "hw/cpu.h"
#include "hw/cpu_info.h"
#include "hw/layout.h"
#include "hw/offsets.h"
#include "hw/paging.h"
#include "hw/seg.h"
#include "lib/mem.h"
#include "mm/frame.h"
#include "port/cpu.h"
#include "port/mmu.h"

#define RO_AFTER_INIT __attribute__((section(".data.ro_after_init")))

/* A root for guests, and what it is a copy of. */
struct cut_root {
    uint64_t *table;
    uint64_t pa;
    uint64_t of;   /* machine address of the guest's root; 0 = of none */
    uint64_t seen; /* x86_root_changes before it was copied */
};

struct guard_site {
    uint64_t at;
    uint32_t length;
    uint32_t feature;
};

extern const struct guard_site guard_sites_start[], guard_sites_end[];
extern uint8_t guard_text_start[], guard_text_end[];
extern uint8_t thunks[], thunks_end[], syscall_call[], restore_sysret[], restore_iret[];
extern const uint8_t thunks_lfence[], thunks_retpoline[], guarded_restore_sysret[],
    guarded_restore_iret[];

uint32_t guard_spec_ctrl RO_AFTER_INIT; /* for MSR_SPEC_CTRL at entries */
static uint32_t features RO_AFTER_INIT;
static bool isolate_dom0 RO_AFTER_INIT;
static bool isolate_domu RO_AFTER_INIT;
static struct cut_root roots[CONFIG_MAX_CPUS][2]; /* by kernel_mode */

bool guard_on(void)
{
    return features != 0;
}

bool guard_has(uint32_t feature)
{
    return (features & feature) != 0;
}

/* A near call or jump (`code`) to `to`, five bytes. */
static void put_branch(uint8_t *at, uint8_t code, const uint8_t *to)
{
    int32_t distance = (int32_t)(to - (at + 5));

    at[0] = code;
    memcpy(at + 1, &distance, sizeof distance);
}

/* rax is the first register of the thunks. */
static void patch_thunks(enum spec_thunk kind)
{
    size_t size = (size_t)(thunks_end - thunks);

    if (kind == THUNK_PLAIN) {
        return;
    }
    memcpy(thunks, kind == THUNK_LFENCE ? thunks_lfence : thunks_retpoline, size);
    put_branch(syscall_call, 0xe8, thunks);
}

/* What is not wanted is jumped over. */
static void patch_sites(void)
{
    for (const struct guard_site *s = guard_sites_start; s < guard_sites_end; s++) {
        if (!guard_has(s->feature)) {
            uint8_t *at = (uint8_t *)s->at;

            bug_if(s->length < 2 || s->length > 129);
            memset(at, 0xcc, s->length);
            at[0] = 0xeb;
            at[1] = (uint8_t)(s->length - 2);
        }
    }
}

void guard_init(void)
{
    const struct spec_plan *p = spec_plan();

    isolate_dom0 = p->xpti_dom0;
    isolate_domu = p->xpti_domu;
    guard_spec_ctrl = p->spec_ctrl != 0 ? (uint32_t)p->spec_ctrl : 1;
    features = (p->xpti_dom0 || p->xpti_domu ? GUARD_XPTI : 0u) |
               (p->ibrs_entry ? GUARD_IBRS : 0u) | (p->ibpb_entry ? GUARD_IBPB : 0u) |
               (p->rsb_entry ? GUARD_RSB : 0u) | (p->verw_exit ? GUARD_VERW : 0u) |
               (p->div_exit ? GUARD_DIV : 0u);
    patch_thunks(p->thunk);
    if (!guard_on()) {
        return;
    }
    patch_sites();
    put_branch(restore_sysret, 0xe9, guarded_restore_sysret);
    put_branch(restore_iret, 0xe9, guarded_restore_iret);
    if (guard_has(GUARD_XPTI)) {
        cpu_no_global();
        x86_root_watched = true;
    }
    seg_entries();
}

/* The pages that guard_entry.S and the processor need while a guest runs. */
static void map_entry_pages(uint64_t *top, unsigned int cpu)
{
    uint64_t idt;
    paddr_t idt_pa = seg_idt_pa(&idt);

    for (uint8_t *at = guard_text_start; at < guard_text_end; at += PAGE_SIZE) {
        *paging_entry_in(top, (uint64_t)at, 1) = paging_image_pa(at) | PTE_P | PTE_A;
    }
    *paging_entry_in(top, idt, 1) = idt_pa | PTE_P | PTE_A | PTE_NX;
    *paging_entry_in(top, HV_PERCPU + (uint64_t)cpu * PERCPU_SIZE, 2) =
        paging_table_pa(paging_percpu_table(cpu)) | PTE_P | PTE_A | PTE_RW;
}

void guard_cpu_init(unsigned int cpu)
{
    if (!guard_has(GUARD_XPTI)) {
        return;
    }
    for (unsigned int mode = 0; mode < 2; mode++) {
        struct cut_root *c = &roots[cpu][mode];

        c->table = paging_new_table();
        c->pa = paging_table_pa(c->table);
        c->table[PT4_HV_FIRST] = x86_hv_slots[0];
        if (mode == 0) {
            map_entry_pages(c->table, cpu);
        } else {
            c->table[PT4_HV_LAST] = roots[cpu][0].table[PT4_HV_LAST];
        }
    }
}

static const uint64_t *root_of(const struct vcpu *v, uint64_t *pa)
{
    const struct frame *f = v->arch.kernel_mode ? v->arch.root_kernel : v->arch.root_user;
    mfn_t mfn = frame_mfn(f);

    *pa = mfn_to_paddr(mfn);
    return port_frame_va(mfn);
}

static bool isolated(const struct vcpu *v)
{
    return v->d->is_hw ? isolate_dom0 : isolate_domu;
}

static void copy_entries(struct cut_root *c, const uint64_t *from, unsigned int first,
                         unsigned int end)
{
    for (unsigned int i = first; i < end; i++) {
        c->table[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    }
}

/* What changes after the count is read is counted again. */
static void bring_up_to_date(struct cut_root *c, const uint64_t *from, uint64_t pa)
{
    uint64_t now = atomic_load(&x86_root_changes);

    if (c->of == pa && c->seen == now) {
        return;
    }
    copy_entries(c, from, 0, PT4_HV_FIRST);
    copy_entries(c, from, PT4_HV_LAST + 1, PT_ENTRIES);
    c->of = pa;
    c->seen = now;
}

/*
 * The page is mapped while the guest runs: what others' entries and exits left there goes.  An NMI
 * may use its stack at any time: the mark goes first, so that what comes then is cleared the next
 * time, before there can be another guest.
 */
static void clear_stacks(uint64_t page)
{
    volatile uint32_t *left = (volatile uint32_t *)(page + PCD_LEFT);

    memset((void *)(page + PCD_RSP), 0, PCD_FULL - PCD_RSP);
    memset((void *)(page + PCD_END - PCD_USED), 0, PCD_USED);
    if (*left != 0) {
        *left = 0;
        memset((void *)(page + PCD_IST - PCD_IST_SIZE), 0, 4 * PCD_IST_SIZE);
    }
}

uint64_t guard_leave(void)
{
    struct cpu_info *ci = cpu_info();
    const struct vcpu *v = ci->current;
    uint64_t pa;
    const uint64_t *from = root_of(v, &pa);
    uint64_t cut = pa;

    if (guard_has(GUARD_XPTI) && isolated(v)) {
        struct cut_root *c = &roots[ci->cpu][v->arch.kernel_mode ? 1 : 0];

        bring_up_to_date(c, from, pa);
        cut = c->pa;
    }
    *(volatile uint64_t *)(ci->entry + PCD_FULL) = pa;
    *(volatile uint64_t *)(ci->entry + PCD_CUT) = cut;
    clear_stacks(ci->entry);
    return cut;
}

bool guard_stale(uint64_t va)
{
    const struct cpu_info *ci = cpu_info();
    const struct vcpu *v = ci->current;
    unsigned int at = pt_index(va, 4);
    uint64_t pa;

    if (!guard_has(GUARD_XPTI) || !isolated(v) || (at >= PT4_HV_FIRST && at <= PT4_HV_LAST)) {
        return false;
    }
    struct cut_root *c = &roots[ci->cpu][v->arch.kernel_mode ? 1 : 0];
    const uint64_t *from = root_of(v, &pa);
    /* The processor marks the copy alone as used. */
    if (((c->table[at] ^ __atomic_load_n(&from[at], __ATOMIC_RELAXED)) & ~PTE_A) == 0) {
        return false;
    }
    c->of = 0;
    return true;
}
