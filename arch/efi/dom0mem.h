/* SPDX-License-Identifier: MIT */
/* The option dom0_mem=, as far as the loader checks it before it gives up the firmware. */
#pragma once

#include <stdint.h>

#include "lib/kv.h"

enum dom0mem_error {
    DOM0MEM_ERR_NONE = 0,
    DOM0MEM_ERR_SYNTAX = -1, /* not sizes with min: and max: */
    DOM0MEM_ERR_MORE = -2,   /* asks for more than there is */
};

int dom0mem_check(struct slice options, uint64_t usable, uint64_t *wanted);
