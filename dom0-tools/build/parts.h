/* SPDX-License-Identifier: MIT */
/* What the files of the builder share: the guest being built and the steps it goes through. */
#pragma once

#include "build/build.h"
#include "build/image.h"
#include "lib/pvplan.h"

struct building {
    struct joist *h;
    const struct config *c;
    struct fail *f;
    struct built *out;
    struct image image;
    struct file_map ramdisk;
    struct pv_plan plan;
    uint64_t pages; /* frames that the guest gets */
    uint64_t *mfns; /* machine frame of each */
    uint64_t shared_info_mfn;
};

/* Reports that a call to the hypervisor failed; `what` says what it was for. */
int build_failed(struct building *b, const char *phase, int rc, const char *what);

/* domain.c: the domain itself, its limits, CPUs and ports. */
int build_create_domain(struct building *b);
int build_set_cpus(struct building *b);
int build_alloc_ports(struct building *b);
void build_destroy_domain(struct building *b);

/* memory.c: frames, and what is written into them. */
int build_check_memory(struct building *b);
int build_populate(struct building *b);
int build_write_memory(struct building *b);
int build_pin(struct building *b);
int build_seed_grants(struct building *b);

/* context.c: the first vCPU's registers. */
int build_set_context(struct building *b);
