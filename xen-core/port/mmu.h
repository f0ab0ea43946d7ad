/* SPDX-License-Identifier: MIT */
/*
 * Port: memory as the hypervisor sees it, and translation caches.
 *
 * inline:  void *port_frame_va(mfn_t)              the frame in the direct map (RAM only, always
 * valid) mfn_t port_va_mfn(const void *)         the inverse, for direct-map addresses
 */
#pragma once

#include <stdint.h>

#include "base/cpumask.h"
#include "mm/addr.h"

#include "port_inline.h"

/* Map device memory, uncached; never unmapped. NULL if the window is full. Start of day and init
 * only. */
void *port_map_device(paddr_t pa, uint64_t size);

/* Firmware's memory (tables, names) that is not RAM of ours: readable address, NULL if it is not
 * mapped. */
const void *port_phys_va(paddr_t pa);

/* Machine-to-physical table entry of a frame of RAM: what M2P shows to guests. */
void port_m2p_set(mfn_t mfn, uint64_t pfn);
uint64_t port_m2p_get(mfn_t mfn);
#define M2P_INVALID (~UINT64_C(0))

/*
 * The TLB clock.  port_tlb_stamp() is read when a use has ended and before anybody can begin
 * another kind of use; port_tlb_flush_before(mask, stamp) makes sure that every cpu of the mask has
 * flushed everything since then, interrupting only those that have not.
 */
uint32_t port_tlb_stamp(void);
void port_tlb_flush_before(const struct cpumask *mask, uint32_t stamp);
/* Flush everything on the cpus of the mask (this one included if set) and wait. Interrupts on. */
void port_tlb_flush(const struct cpumask *mask);
void port_tlb_flush_local(void);
/* One page (any guest address, checked canonical by the caller) on these cpus. */
void port_tlb_flush_page(const struct cpumask *mask, uint64_t va);
void port_tlb_flush_page_local(uint64_t va);
