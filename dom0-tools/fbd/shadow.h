/* SPDX-License-Identifier: MIT */
/*
 * Our copy of a guest's screen, from which the VNC library encodes: the guest cannot change it
 * under an encoder's hands, and comparing with it tells which tiles have really changed.
 */
#pragma once

#include "fbd/guestfb.h"

#define TILE_WIDTH  64u
#define TILE_HEIGHT 16u

struct shadow {
    uint8_t *pixels; /* packed lines; NULL: none */
    size_t size;     /* of the mapping */
    uint32_t width, height, bytes;
};

/* A black screen; 0 or -ENOMEM. */
int shadow_open(struct shadow *s, uint32_t width, uint32_t height, uint32_t bytes);
void shadow_close(struct shadow *s);
/* Gives the memory back while nobody looks; the screen is black then. */
void shadow_forget(struct shadow *s);

/*
 * Copies the tiles of an area that differ from the guest's screen, whose geometry must be that of
 * the shadow, and calls mark() for each run of them. Returns the number of changed tiles.
 */
size_t shadow_update(struct shadow *s, const struct guestfb *fb, const struct area *area,
                     void (*mark)(void *arg, const struct area *changed), void *arg);
