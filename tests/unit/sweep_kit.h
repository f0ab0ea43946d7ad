/* SPDX-License-Identifier: MIT */
/*
 * What the sweeps share: a control domain and a guest, made anew for each run, and the runs of an
 * operation with its k-th allocation failing, with its k-th byte of guest memory faulting, and
 * stopped at check points.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "abi/arch_x86_64.h"
#include "abi/domctl.h"
#include "abi/event.h"
#include "abi/grant.h"
#include "abi/memory.h"
#include "abi/physdev.h"
#include "abi/platform.h"
#include "abi/sysctl.h"
#include "abi/xen.h"
#include "tests/unit/mm_kit.h"

#define CHUNK    8u
#define REF      9u /* the guest's first grant to the control domain, of CHUNK */
#define FREE_PTE 100u

struct sweep_op {
    const char *name;
    int64_t (*run)(void);
    void (*prepare)(void);
    bool in_part; /* a list or a sequence: what was done before the failure stays */
    int64_t want;
};

extern struct kit_guest g0, g1;       /* the control domain, which calls, and a guest */
extern struct frame *tree[3];         /* level 3 and two level 2, not validated */
extern uint32_t port;                 /* of the guest, unbound, for the control domain */
extern struct grant_entry_v1 *grants; /* the guest's */
extern uint64_t list[1024], list2[1024];
extern uint8_t text[8192];
extern union sweep_arg {
    struct xen_domctl dom;
    struct xen_sysctl sys;
    struct xen_platform_op pf;
    struct xen_memory_reservation res;
    struct xen_memory_exchange ex;
    struct xen_mem_acquire_resource acq;
    struct vcpu_guest_context ctx;
    struct gnttab_map_grant_ref map[CHUNK];
    struct gnttab_unmap_grant_ref unmap[CHUNK];
    struct gnttab_copy copy[CHUNK];
    struct gnttab_setup_table setup;
    struct evtchn_alloc_unbound unbound;
    struct evtchn_bind_virq virq;
    struct evtchn_bind_interdomain inter;
    struct evtchn_bind_pirq pirq;
    struct evtchn_reset reset;
    struct physdev_map_pirq mpirq;
    struct mmu_update mmu[CHUNK];
    struct mmuext_op ext[CHUNK];
    struct multicall_entry calls[CHUNK];
    uint8_t bytes[8192];
} u;

/* What is to fail is not to fail any more: the rest of the operation takes back what was done. */
void sweep_calm(void);
/* The allocator says so too: for hooks that may fail like an allocation. */
bool sweep_fails(void);

int64_t call(hcall_fn *fn, uint64_t a0, const void *a1, uint64_t a2);
int64_t event_op(unsigned int cmd, const void *arg);
int64_t domctl(uint32_t cmd, domid_t id);
int64_t sysctl(uint32_t cmd);
/* u is zero again. */
void sweep_clear(void);

/* So many runs must have been refused, or the sweep has not met what it was to meet. */
struct sweep_want {
    uint64_t allocations, faults;
};

/* All sweeps over these operations as cmocka's tests; the program's exit status. */
int sweep_main(const struct sweep_op *ops, size_t count, const struct sweep_want *want, int argc);
