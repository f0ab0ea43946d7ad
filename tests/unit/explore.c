/* SPDX-License-Identifier: MIT */
/* See explore.h. */
#include "tests/unit/explore.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX  32u
#define STATES_MAX (1u << 19)
#define TABLE_SIZE (1u << 20)

struct state {
    uint64_t hash;
    uint32_t parent;
    uint8_t op, depth;
};

static const struct explorer *now;
static struct state *states;
static uint32_t *table; /* open hashing: number of the state + 1 */
static uint32_t count;
static uint8_t path[DEPTH_MAX + 1]; /* of the state at hand, the operation tried last included */
static unsigned int path_length;

uint64_t explore_mix(uint64_t h, uint64_t x)
{
    h ^= x + UINT64_C(0x9e3779b97f4a7c15) + (h << 6) + (h >> 2);
    return h * UINT64_C(0xff51afd7ed558ccd);
}

/* How the failure was reached: without this nobody could do it again. */
static void on_abort(int number)
{
    signal(number, SIG_DFL);
    fprintf(stderr, "explorer: after");
    for (unsigned int i = 0; i < path_length; i++) {
        if (now->name != NULL) {
            fprintf(stderr, "%s %s", i > 0 ? "," : "", now->name(path[i]));
        } else {
            fprintf(stderr, " %u", path[i]);
        }
    }
    fprintf(stderr, "\n");
    raise(number);
}

/* Notes a state; false if it was known. */
static bool add(uint64_t hash, uint32_t parent, uint8_t op, uint8_t depth)
{
    uint32_t i = (uint32_t)hash % TABLE_SIZE;

    for (; table[i] != 0; i = (i + 1) % TABLE_SIZE) {
        if (states[table[i] - 1].hash == hash) {
            return false;
        }
    }
    if (count == STATES_MAX) {
        fprintf(stderr, "explorer: more than %u states\n", STATES_MAX);
        abort();
    }
    states[count] = (struct state){ .hash = hash, .parent = parent, .op = op, .depth = depth };
    table[i] = ++count;
    return true;
}

/* Does again what leads to a state. */
static void replay(uint32_t s)
{
    unsigned int n = states[s].depth;

    path_length = 0;
    for (uint32_t at = s; at != 0; at = states[at].parent) {
        path[--n] = states[at].op;
    }
    while (path_length < states[s].depth) {
        if (!now->apply(path[path_length++])) {
            fprintf(stderr, "explorer: what was possible before is not any more\n");
            abort();
        }
    }
}

struct explored explore(const struct explorer *e, unsigned int depth)
{
    struct explored out = { 0 };

    now = e;
    states = calloc(STATES_MAX, sizeof states[0]);
    table = calloc(TABLE_SIZE, sizeof table[0]);
    if (states == NULL || table == NULL || depth > DEPTH_MAX || e->ops > UINT8_MAX) {
        abort();
    }
    signal(SIGABRT, on_abort);
    (void)setenv("CMOCKA_TEST_ABORT", "1", 1); /* assertions too */
    count = 0;
    e->begin();
    (void)add(e->hash(), 0, 0, 0);
    e->end();
    for (uint32_t s = 0; s < count; s++) {
        if (states[s].depth >= depth) {
            out.deepest++;
            continue;
        }
        for (unsigned int op = 0; op < e->ops; op++) {
            e->begin();
            replay(s);
            path[path_length++] = (uint8_t)op;
            if (e->apply(op)) {
                out.steps++;
                e->audit();
                (void)add(e->hash(), s, (uint8_t)op, (uint8_t)(states[s].depth + 1));
            }
            e->end();
        }
    }
    out.states = count;
    signal(SIGABRT, SIG_DFL);
    (void)unsetenv("CMOCKA_TEST_ABORT");
    free(states);
    free(table);
    return out;
}

unsigned int explore_depth(int argc, char **argv, unsigned int usual)
{
    const char *is_long = getenv("LONG");

    if (argc > 1) {
        return (unsigned int)atoi(argv[1]);
    }
    return is_long != NULL && strcmp(is_long, "1") == 0 ? usual + 1 : usual;
}
