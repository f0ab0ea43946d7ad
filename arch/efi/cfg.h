/* SPDX-License-Identifier: MIT */
/* Rules of Xen's EFI configuration file and of the EFI command line: pure functions on text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/kv.h"

/* The EFI command line, taken apart. */
struct cfg_args {
    struct slice config;  /* -cfg=, len 0 = none */
    struct slice section; /* len 0 = none */
    struct slice options; /* what follows a lone `--`: more hypervisor options */
    struct slice unknown; /* an option that is not known, len 0 = none */
};

/* Something wrong in a configuration file, worth one line. */
struct cfg_problem {
    unsigned int line;
    bool bad_line;     /* not a section, not key=value */
    struct slice text; /* the key or the line */
};

void cfg_args_parse(struct slice text, struct cfg_args *out);
bool cfg_name_first(const char *own, char *name, size_t size);
bool cfg_name_next(char *name, size_t size);
bool cfg_get(struct slice file, struct slice section, const char *key, struct slice *out);
bool cfg_has_section(struct slice file, struct slice section);
bool cfg_problem_next(struct slice *rest, unsigned int *line, struct cfg_problem *out);
