/* SPDX-License-Identifier: MIT */
/*
 * The explorer: every sequence of operations up to a depth, in which a state that was met before
 * is not gone on from.  A state is reached by doing its sequence again in a fresh world.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct explorer {
    unsigned int ops;
    void (*begin)(void); /* a fresh world */
    void (*end)(void);   /* takes it down; nothing may be left of it */
    /* Does one operation, and what the guests then do without being asked (their processors'
     * caches are part of the state); false: not possible in this state, and nothing was done. */
    bool (*apply)(unsigned int op);
    void (*audit)(void);                  /* after each operation */
    uint64_t (*hash)(void);               /* of everything that later operations depend on */
    const char *(*name)(unsigned int op); /* for the sequence told on a failure; may be NULL */
};

struct explored {
    uint32_t states, steps;
    uint32_t deepest; /* states at the last depth: 0 tells that all there is was seen */
};

/* Aborts if there are more states than it has room for. */
struct explored explore(const struct explorer *e, unsigned int depth);

/* The depth that a program's only argument says; else `usual`, and one more if LONG=1 is in the
 * environment, as make test-long has it. */
unsigned int explore_depth(int argc, char **argv, unsigned int usual);

/* For hash(). */
uint64_t explore_mix(uint64_t h, uint64_t x);
