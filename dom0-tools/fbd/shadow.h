/* SPDX-License-Identifier: MIT */
/*
 * Our copy of a guest's screen, from which the VNC library encodes: the guest cannot change it
 * under an encoder's hands. It holds only the tiles that somebody needs; a sum of each tile, which
 * stays when the pixels are given back, tells which tiles have really changed.
 */
#pragma once

#include "fbd/guestfb.h"

#define TILE_WIDTH  64u
#define TILE_HEIGHT 16u

struct shadow {
    uint8_t *pixels; /* packed lines, those of tiles that are not held black; NULL: none */
    size_t size;     /* of the mapping */
    uint32_t width, height, bytes;
    uint32_t columns; /* of tiles */
    size_t tile_count;
    uint64_t *sums;    /* of each tile, as it was when it was last told of or held */
    bool *is_held;     /* each tile: its pixels are here, and are those of its sum */
    size_t held_count; /* tiles */
};

typedef void shadow_mark(void *arg, const struct area *changed);

/* A black screen; 0 or -ENOMEM. */
int shadow_open(struct shadow *s, uint32_t width, uint32_t height, uint32_t bytes);
void shadow_close(struct shadow *s);
/* Gives the pixels' memory back; what is known about changes stays. */
void shadow_forget(struct shadow *s);

/*
 * Looks at the tiles of an area of the guest's screen, whose geometry must be that of the shadow.
 * Those that have changed since they were last told of are taken over, and mark() is called for
 * each run of them. Returns the number of changed tiles.
 */
size_t shadow_update(struct shadow *s, const struct guestfb *fb, const struct area *area,
                     shadow_mark *mark, void *arg);
/*
 * Takes over the tiles of an area that are not held, before they are encoded. One that has changed
 * meanwhile is told of as in shadow_update(): who was sent the old one needs the new one, too.
 */
size_t shadow_fill(struct shadow *s, const struct guestfb *fb, const struct area *area,
                   shadow_mark *mark, void *arg);
