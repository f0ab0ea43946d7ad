/* SPDX-License-Identifier: MIT */
/* Making a guest: a paused domain with its memory, first tables and first context in place. */
#pragma once

#include <stdint.h>

#include "common/fail.h"
#include "joistd/config.h"
#include "libjoist/joist.h"

struct built {
    uint16_t domid;
    uint32_t store_port;
    uint32_t console_port;
    uint64_t store_mfn;
    uint64_t console_mfn;
};

/*
 * Builds the guest that `c` describes and leaves it paused.  On failure nothing of it is left in
 * the hypervisor.  Blocks for as long as it takes, so a daemon calls it in a child process.
 */
int build_guest(struct joist *h, const struct config *c, struct built *out, struct fail *f);
