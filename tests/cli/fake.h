/* SPDX-License-Identifier: MIT */
/*
 * A pretended hypervisor in a file that several processes map: enough of the control ABI for the
 * toolstack to build, list, change and destroy guests on a host without one.  It checks what it is
 * asked for, counts what it has given out, and can be told to fail the n-th call.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/domctl.h"

#define FAKE_MAGIC   0x4a4f495354464b45ULL
#define FAKE_FRAMES  65536u /* 256 MiB */
#define FAKE_CONTROL 16384u /* of which the control domain has 64 MiB */
#define FAKE_DOMAINS 32u
#define FAKE_PORTS   32u
#define FAKE_VCPUS   128u
#define FAKE_CPUS    4u
#define FAKE_OFFSET  (1u << 20) /* of frame 0 in the file */

struct fake_domain {
    uint8_t is_used;
    uint8_t is_paused;
    uint8_t is_shutdown;
    uint8_t reason;
    uint8_t is_built; /* a context was set, on a pinned root */
    uint8_t handle[16];
    uint32_t max_vcpus;
    uint64_t max_pages;
    uint64_t tot_pages;
    uint64_t shared_mfn; /* of the hypervisor's: not counted as the domain's */
    uint64_t grant_mfn;
    uint64_t root_mfn;           /* pinned, 0: none */
    uint16_t remote[FAKE_PORTS]; /* who may bind, + 1; 0: free */
    uint8_t affinity[FAKE_VCPUS];
    uint16_t weight;
    uint16_t cap;
    uint64_t map_bytes; /* of the memory map that was set */
    uint64_t entry;
    uint64_t start_info; /* rsi */
};

struct fake {
    uint64_t magic;
    uint32_t generation; /* counts changes of domains' states, for VIRQ_DOM_EXC */
    uint32_t next_domid;
    uint32_t fail_in; /* the n-th call from now fails; 0: none */
    uint32_t log_cleared;
    uint32_t is_held; /* memory is given out only afterwards: a guest takes long to build */
    struct fake_domain domain[FAKE_DOMAINS];
    uint16_t owner[FAKE_FRAMES]; /* domid + 1; 0: free; 0xffff: the hypervisor's */
};

/* Maps the file named by JOIST_FAKE, once per process; NULL when there is none. */
struct fake *fake_get(void);
void fake_lock(void);
void fake_unlock(void);
void *fake_frame(uint64_t mfn);
uint64_t fake_free_frames(const struct fake *f);
