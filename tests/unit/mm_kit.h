/* SPDX-License-Identifier: MIT */
/* Guests of the host machine with page tables, for tests and fuzzers of the MMU calls. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/mmu.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/mm_x86.h"
#include "guest/pte.h"
#include "mm/frame.h"

/* Flags of entries as kernels write them. */
#define K_RW (PTE_P | PTE_RW | PTE_A | PTE_D)
#define K_RO (PTE_P | PTE_A)
#define U_RW (K_RW | PTE_US)
#define TAB  (PTE_P | PTE_RW | PTE_US | PTE_A)

#define KIT_DATA 8u
#define KIT_VA   UINT64_C(0x400000000000) /* where its level-1 table begins */

/* A domain of one tree: l4 -> l3 -> l2 -> l1, all mapped read-only by l1, and data pages mapped
 * writable. */
struct kit_guest {
    struct domain *d;
    struct vcpu *v;
    struct frame *l4, *l3, *l2, *l1;
    struct frame *data[KIT_DATA];
};

/* The machine: `frames` frames with a hole in the last eighth, and cpus. Once. */
void kit_machine(uint64_t frames, unsigned int cpus);
/* A domain with its tables made, pinned and loaded as root of vcpu 0, which is loaded on this cpu.
 */
void kit_guest(struct kit_guest *g, bool is_dom0, unsigned int vcpus);
void kit_guest_end(struct kit_guest *g);

/* A fresh frame of the domain. */
struct frame *kit_frame(struct kit_guest *g);
pte_t kit_pte(const struct frame *f, uint64_t flags);
uint64_t kit_maddr(const struct frame *f, unsigned int index);
/* The table's entry as it is. */
pte_t kit_entry(const struct frame *f, unsigned int index);
/* Store into a frame that is no table, as the guest would through a mapping. */
void kit_poke(struct frame *f, unsigned int index, uint64_t val);

/* Calls of the loaded vcpu, repeated while they yield. */
int64_t kit_mmu_update(uint64_t ptr, uint64_t val);
int64_t kit_mmuext(uint32_t cmd, uint64_t arg1, uint64_t arg2);
int64_t kit_update_va(uint64_t va, pte_t e, uint64_t flags);
int64_t kit_call(hcall_fn *fn, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3);

/* Audit of frames and translation caches. */
void kit_audit(void);

uint64_t kit_refs(const struct frame *f);
uint64_t kit_type_refs(const struct frame *f);
