/* SPDX-License-Identifier: MIT */
/* A process that clears up behind ours when it is killed before it could. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct guard {
    pid_t pid; /* 0: none */
    int fd;    /* where it is told what there is to do */
};

/*
 * Starts it: when this process and every program that it has started have ended, and guard_end()
 * was not called, `clear(arg)` is called in a process of its own, with no descriptors but standard
 * ones that lead nowhere.  Until then it does nothing.  Negative errno if there is no such process.
 */
int guard_begin(struct guard *g, void (*clear)(void *arg), void *arg);

/* Tells it a path (an empty one: none any more) or a flag; guard_path() and guard_flag() give them
   to clear(). */
void guard_tell_path(struct guard *g, const char *path);
void guard_tell_flag(struct guard *g, bool is_set);
const char *guard_path(void);
bool guard_flag(void);

/* Nothing is left to do; waits for its end.  Harmless when there is none. */
void guard_end(struct guard *g);
