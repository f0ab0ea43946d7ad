/* SPDX-License-Identifier: MIT */
/* How far a long work is: a bar on a terminal, one line per stage elsewhere. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool is_quiet;
    bool is_bar;      /* standard error is a terminal */
    bool is_shown;    /* the bar is on the screen */
    char stage[48];   /* what is being done */
    int percent;      /* 0 … 100 of the whole; never falls */
    uint64_t begun;   /* ms, monotonic */
    uint64_t painted; /* ms of the last painting */
};

void progress_begin(struct progress *p, bool is_quiet);
/* A new stage, `percent` of the whole being done. */
void progress_stage(struct progress *p, const char *stage, int percent);
void progress_at(struct progress *p, int percent);
/* Takes the bar off the screen, before other output. */
void progress_end(struct progress *p);
