/* SPDX-License-Identifier: MIT */
/*
 * The pages that a screen's and a keyboard's front end share with us.
 *
 * Facts: Xen 4.17 public io/fbif.h and io/kbdif.h; tests/unit/test_fbd.c compares the layout with
 * Debian's copies of them. The guest writes these pages at any time: every field is read once.
 */
#pragma once

#include <stdint.h>

#define WIRE_PAGE_SIZE  4096u
#define WIRE_EVENT_SIZE 40u /* of every event, both ways, both devices */

/* Screen: events from the guest. */
#define FB_EVENT_UPDATE 2u
#define FB_EVENT_RESIZE 3u
#define FB_OUT_OFFSET   2048u
#define FB_OUT_LENGTH   (2048u / WIRE_EVENT_SIZE)
#define FB_DIRS         256u /* page directories */
#define FB_DIR_ENTRIES  (WIRE_PAGE_SIZE / 8)

struct fb_page {
    uint32_t in_cons, in_prod;
    uint32_t out_cons, out_prod;
    int32_t width;         /* pixels */
    int32_t height;        /* pixels */
    uint32_t line_length;  /* bytes from one line to the next */
    uint32_t mem_length;   /* bytes of the frame buffer */
    uint8_t depth;         /* bits of a pixel */
    uint64_t dir[FB_DIRS]; /* frames of the page directories */
};

struct fb_update {
    uint8_t type;
    int32_t x, y, width, height;
};

struct fb_resize {
    uint8_t type;
    int32_t width, height;
    int32_t stride; /* bytes */
    int32_t depth;  /* bits */
    int32_t offset; /* bytes */
};

union fb_event {
    uint8_t type;
    struct fb_update update;
    struct fb_resize resize;
    uint8_t bytes[WIRE_EVENT_SIZE];
};

/* Keyboard and pointer: events to the guest. */
#define KBD_EVENT_MOTION 1u /* relative */
#define KBD_EVENT_KEY    3u
#define KBD_EVENT_POS    4u /* absolute */
#define KBD_IN_OFFSET    1024u
#define KBD_IN_LENGTH    (2048u / WIRE_EVENT_SIZE)

struct kbd_page {
    uint32_t in_cons, in_prod;
    uint32_t out_cons, out_prod;
};

struct kbd_motion {
    uint8_t type;
    int32_t rel_x, rel_y, rel_z;
};

struct kbd_key {
    uint8_t type;
    uint8_t pressed;
    uint32_t keycode; /* KEY_* and BTN_* of Linux */
};

struct kbd_pos {
    uint8_t type;
    int32_t abs_x, abs_y; /* pixels of the screen */
    int32_t rel_z;        /* wheel; positive is down */
};

union kbd_event {
    uint8_t type;
    struct kbd_motion motion;
    struct kbd_key key;
    struct kbd_pos pos;
    uint8_t bytes[WIRE_EVENT_SIZE];
};
