/* SPDX-License-Identifier: MIT */
/* A guest's keyboard and pointer: events put into the page that its front end shares with us. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/fail.h"
#include "fbd/wire.h"
#include "libjoist/joist.h"

#define KEY_CODES 768 /* Linux has no more */

struct guestkbd {
    struct joist *xen;
    uint16_t domid;
    int port;              /* local; -1: not connected */
    struct kbd_page *page; /* NULL: not connected */
    bool is_absolute;      /* the guest asked for positions on the screen */
    uint32_t put;          /* events given so far: the guest's copy is not trusted */
    uint8_t buttons;       /* of the pointer, as VNC counts them */
    int32_t x, y;
    uint8_t down[KEY_CODES / 8]; /* keys that are held */
};

/* As guestfb_open(). */
int guestkbd_open(struct guestkbd *k, uint64_t frame, uint32_t port, struct fail *f);
void guestkbd_close(struct guestkbd *k);

/* An X keysym goes down or up; unknown ones and those of an unconnected guest are dropped. */
void guestkbd_key(struct guestkbd *k, uint32_t keysym, bool is_down);
/* The pointer is at x, y (pixels) with these buttons (bit 0 left, 1 middle, 2 right, 3 and 4 the
   wheel). */
void guestkbd_pointer(struct guestkbd *k, int32_t x, int32_t y, uint8_t buttons);
/* Lets go of all that is held: the person has left. */
void guestkbd_release(struct guestkbd *k);

/* The Linux key code of an X keysym on a US keyboard, 0 for none. */
uint32_t keymap_code(uint32_t keysym);
