/* SPDX-License-Identifier: MIT */
/*
 * The daemon's part of running screens: follows the guest's front ends in the store, tells
 * joist-fbd where their pages are, moves the back ends' states, and starts joist-fbd again when it
 * has ended.  joist-fbd itself never sees the store.
 */
#pragma once

#include <stdbool.h>

struct guest;
struct joistd;
struct screen;

/* Begins to care for the screen of a running guest; nothing if it has none or it is cared for. */
void screen_begin(struct guest *g);
/* The same for all running guests: the store has come back. */
void screen_begin_all(struct joistd *d);
/* Stops caring; joist-fbd goes on. */
void screen_end(struct guest *g);
/* A watched node has changed. */
void screen_event(struct joistd *d, const char *path);
