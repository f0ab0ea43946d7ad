/* SPDX-License-Identifier: MIT */
/*
 * The control socket: joistd tells where the guest's pages are, `joist screenshot` takes pictures.
 *
 * One request a line, one answer a line:
 *   vfb FRAME PORT UPDATES   ok vfb WIDTH HEIGHT | error vfb TEXT    UPDATES 0: the guest tells
 * none vkb FRAME PORT ABSOLUTE  ok vkb | error vkb TEXT gone vfb|vkb             ok gone shot shot
 * WIDTH HEIGHT, then 3 bytes (red, green, blue) for each pixel info                     info port=N
 * clients=N width=N height=N quit                     the process ends A screen that breaks later
 * is told to whoever connected it: broken vfb TEXT.
 */
#pragma once

#include "common/buf.h"
#include "common/evloop.h"
#include "fbd/guestfb.h"
#include "fbd/guestkbd.h"
#include "fbd/vnc.h"

#define CONTROL_PEERS    8
#define CONTROL_LINE_MAX 256

struct peer {
    struct control *control; /* NULL: free */
    struct ev_fd source;
    struct buf in;
    struct buf out;
    uint32_t shot_line; /* next line of a picture; shot.height: none is under way */
    struct geometry shot;
};

struct control {
    struct evloop *loop;
    struct joist *xen;
    struct vnc vnc;
    struct guestfb fb;
    struct guestkbd kbd;
    size_t length_max; /* bytes of frame buffer that the guest may have */
    unsigned int port; /* of VNC, for info; 0: none */
    struct ev_fd listener;
    struct ev_fd evtchn;
    struct peer peers[CONTROL_PEERS];
    struct peer *owner; /* who connected the screen */
    bool is_over;
};

/* Takes over a listening socket and the event channels; c->loop, xen, vnc, fb and kbd are set. */
void control_begin(struct control *c, int fd);
void control_end(struct control *c);
/* One request without its line end; the answer is in p->out. */
void control_line(struct control *c, struct peer *p, char *line);
