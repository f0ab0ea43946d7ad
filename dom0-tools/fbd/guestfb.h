/* SPDX-License-Identifier: MIT */
/* A guest's frame buffer: its shared page, its pixels mapped read-only, its update events. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/fail.h"
#include "fbd/wire.h"
#include "libjoist/joist.h"

#define GUESTFB_SIDE_MAX 4096 /* pixels; a line must fit into one message of the VNC library */

struct geometry {
    uint32_t width;  /* pixels */
    uint32_t height; /* pixels */
    uint32_t stride; /* bytes */
    uint32_t bytes;  /* of a pixel: 2 (5-6-5) or 4 (x-8-8-8) */
    uint32_t offset; /* bytes from the start of the frame buffer to the first pixel */
};

struct area { /* pixels; empty when right <= left */
    uint32_t left, top, right, bottom;
};

struct guestfb {
    struct joist *xen;
    uint16_t domid;
    int port; /* local; -1: not connected */
    struct fb_page *page;
    const uint8_t *pixels; /* length bytes */
    size_t length;
    size_t frame_count;
    uint32_t taken; /* events read so far: the guest's copy is not trusted */
    struct geometry geometry;
};

/* What the events of one turn say. */
struct guestfb_news {
    bool is_resized;
    struct area damage; /* within the geometry that is valid now */
};

/*
 * Maps the shared page at machine frame `frame` and the frame buffer that it describes, at most
 * `length_max` bytes of it, and binds to the guest's event channel. All values are checked before
 * use. -EPROTO for values that make no sense, -E2BIG for a frame buffer that is too large, else
 * the hypervisor's errno (frames that are not the guest's); nothing stays mapped.
 */
int guestfb_open(struct guestfb *fb, uint64_t frame, uint32_t port, size_t length_max,
                 struct fail *f);
void guestfb_close(struct guestfb *fb);

/* Takes all events out of the ring. -EPROTO when ring or events make no sense: close it then. */
int guestfb_take(struct guestfb *fb, struct guestfb_news *news, struct fail *f);

/* The first byte of a line. */
const uint8_t *guestfb_line(const struct guestfb *fb, uint32_t y);

/* Whether a geometry lies within a frame buffer of `length` bytes; fills `out`. -EPROTO. */
int geometry_check(const struct fb_resize *r, size_t length, struct geometry *out, struct fail *f);

void area_add(struct area *a, const struct area *b);
static inline bool area_is_empty(const struct area *a)
{
    return a->right <= a->left || a->bottom <= a->top;
}
