/* SPDX-License-Identifier: MIT */
/* x86 PV page tables: what the rest of the hypervisor asks of pt_check, pt_walk, pt_write, mmuext.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cpu/arch_types.h"
#include "guest/pte.h"
#include "hcall/hcall.h"
#include "mm/frame.h"

struct domain;
struct vcpu;
struct regs;

/* Take a valid, walked type on f (owner d): 0, -EINVAL, HC_AGAIN (pre-empted: call again). locks:
 * mm(d) held. */
int64_t pt_get_valid(struct domain *d, struct frame *f, enum frame_type t);

/*
 * Write one level-1 entry of the loaded address space for a grant mapping or its removal: the only
 * other writer of level-1 entries than mmu_update. Target given by virtual address or by machine
 * address of the entry (GNTMAP_contains_pte).
 *
 * An entry owns its references (one, and one as writable if it has PTE_RW): the caller gives those
 * of the new entry away, and *old returns the former entry, whose references pass to the caller:
 * pt_entry_put().  A guest may overwrite a grant's entry by mmu_update, which drops the entry's
 * references; so a grant must hold references of its own besides. Bits of the new entry are
 * completed (user, kernel mark, global) as for any entry.  0, -EINVAL. No lock held.
 */
int pt_set_l1_by_va(struct vcpu *v, uint64_t va, pte_t new_entry, pte_t *old);
int pt_set_l1_by_ptr(struct vcpu *v, uint64_t pte_maddr, pte_t new_entry, pte_t *old);
/* Same, but only if the entry is present and maps `expect` now: -EINVAL otherwise, nothing changed.
 */
int pt_swap_l1_by_va(struct vcpu *v, uint64_t va, mfn_t expect, pte_t new_entry, pte_t *old);
int pt_swap_l1_by_ptr(struct vcpu *v, uint64_t pte_maddr, mfn_t expect, pte_t new_entry,
                      pte_t *old);
/* Drop the references of a level-1 entry that is gone; if the frame is not d's, after a flush of
 * its cpus. */
void pt_entry_put(struct domain *d, pte_t old);

/* #PF of a guest kernel that may be a store to its own page tables, or to a device that may only be
 * read. True: emulated (or the domain was told). */
bool pt_write_emulate(struct vcpu *v, struct regs *r, uint64_t va);
/* #PF below: the LDT window's page is not yet mapped; map it. True: retry. */
bool pt_map_ldt_page(struct vcpu *v, uint32_t offset);

/* Base pointers. kernel: new_baseptr. Takes and drops references. locks: mm(d) taken inside. 0,
 * -EINVAL, HC_AGAIN. */
int64_t mm_set_root(struct vcpu *v, mfn_t mfn, bool user);
/* Both roots of v, which does not run, or neither; user 0: none. 0, -EINVAL, HC_AGAIN (what is got
 * of the kernel's is kept). locks: takes mm(d). */
int64_t mm_set_roots(struct vcpu *v, mfn_t kernel, mfn_t user);
/* Pin a table (MMUEXT_PIN_*, and dom0's first tables): 0, -EINVAL, -EBUSY, HC_AGAIN. locks: takes
 * mm(d). */
int64_t mm_pin(struct domain *d, mfn_t mfn, enum frame_type t);

int64_t hc_mmu_update(struct vcpu *v, struct hcall_args *a);
int64_t hc_update_va_mapping(struct vcpu *v, struct hcall_args *a);
int64_t hc_update_va_mapping_otherdomain(struct vcpu *v, struct hcall_args *a);
int64_t hc_mmuext_op(struct vcpu *v, struct hcall_args *a);

/* desc.c */
int64_t hc_set_gdt(struct vcpu *v, struct hcall_args *a);
int64_t hc_update_descriptor(struct vcpu *v, struct hcall_args *a);
/* May a guest have this descriptor? Fixes DPL up to 3 where the ABI does; false if not. */
bool desc_check(uint64_t *desc);
int desc_set_gdt(struct vcpu *v, const uint64_t *mfns, unsigned int entries); /* 0, -EINVAL */
/* The same in two halves: the frames of a GDT are got, 0 or -EINVAL; then they become v's, which
 * cannot fail, or are put back. locks: each takes mm(d). */
struct desc_gdt {
    struct frame *frame[X86_GDT_FRAMES];
    unsigned int entries;
};
int desc_gdt_get(struct domain *d, const uint64_t *mfns, unsigned int entries,
                 struct desc_gdt *gdt);
void desc_gdt_use(struct vcpu *v, struct desc_gdt *gdt);
void desc_gdt_put(struct domain *d, struct desc_gdt *gdt);
void desc_drop_gdt(struct vcpu *v);
void desc_drop_ldt(struct vcpu *v);
