/* SPDX-License-Identifier: MIT */
/* Which guests there are, as the store tells, and where their consoles lie. */
#pragma once

#include "common/evloop.h"
#include "consoled/console.h"
#include "libjoist/store.h"

struct guests {
    struct consoled *daemon;
    struct store *store; /* NULL until it could be reached for the first time */
    struct ev_fd events;
    struct ev_timer retry;
    bool is_listening; /* events is in the loop */
};

/* Connects to the store (now, or as soon as it can be reached) and opens all consoles. */
void guests_begin(struct guests *g, struct consoled *d);
/* After each turn of the loop: works on what the store has told. True: there is more for the next
   turn, which must not wait. */
bool guests_turn(struct guests *g);
void guests_end(struct guests *g);
