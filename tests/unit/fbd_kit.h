/* SPDX-License-Identifier: MIT */
/*
 * A pretended guest for the tests of joist-fbd: its memory is a file, so that frames can be mapped
 * in any order as the hypervisor maps them, and frames that are not the guest's are refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fbd/wire.h"
#include "libjoist/joist.h"

#define KIT_FRAMES   1200u   /* pages of the guest */
#define KIT_FIRST    0x4000u /* its first machine frame */
#define KIT_FB_FRAME (KIT_FIRST + 8)

struct fbd_guest {
    int memory;          /* memfd */
    uint8_t *bytes;      /* all of it, as the guest sees it */
    unsigned int mapped; /* pages mapped by us now */
    unsigned int bound;  /* ports bound now */
    bool is_pending[4];
    unsigned int kicks;
    int evtchn[2]; /* a pipe: readable while a port is pending */
    uint16_t restricted_to;
};

extern struct fbd_guest fbd_guest;

void fbd_guest_begin(void);
void fbd_guest_end(void);
/* Frame N of the guest, as the guest sees it. */
void *fbd_page(uint32_t frame);
/* Writes a correct shared page at KIT_FIRST for a screen whose pages begin at KIT_FB_FRAME, in
   reverse order. */
struct fb_page *fbd_make_screen(int32_t width, int32_t height, uint8_t depth);
/* A pixel of that screen, as the guest sees it (32 bits). */
uint32_t *fbd_pixel(const struct fb_page *page, uint32_t x, uint32_t y);
/* The guest puts an event and raises its port. */
void fbd_put(struct fb_page *page, const union fb_event *e);
void fbd_raise(uint32_t port);
