/* SPDX-License-Identifier: MIT */
/* Ways to stop: a boot environment that cannot be used, or a broken invariant of ours. */
#pragma once

#include <stdbool.h>

#include "config.h"

/* Stop instead of restarting the machine (option `noreboot`). */
extern bool panic_halts;

/* Prints the text, registers, a back-trace, and reboots or halts by `noreboot`. */
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define BUG() panic("BUG at %s:%d", __FILE__, __LINE__)
#define bug_if(x)                                              \
    do {                                                       \
        if (__builtin_expect(!!(x), 0)) {                      \
            panic("BUG at %s:%d: %s", __FILE__, __LINE__, #x); \
        }                                                      \
    } while (0)
#define debug_assert(x)                                              \
    do {                                                             \
        if (CONFIG_DEBUG && __builtin_expect(!(x), 0)) {             \
            panic("assertion at %s:%d: %s", __FILE__, __LINE__, #x); \
        }                                                            \
    } while (0)
