/* SPDX-License-Identifier: MIT */
/*
 * The VNC side of a screen, on libvncserver, without its own loop: the library is called when one
 * of its sockets has something or the picture has changed, so that a still screen costs nothing.
 */
#pragma once

#include <rfb/rfb.h>

#include "common/evloop.h"
#include "fbd/guestfb.h"
#include "fbd/guestkbd.h"
#include "fbd/shadow.h"

#define VNC_LISTENERS    2 /* TCP and unix */
#define VNC_CLIENTS_MAX  16
#define VNC_FRAME_MS     33    /* between two looks at a screen that keeps changing */
#define VNC_POLL_MS      100   /* between looks at a guest that does not tell what it changes */
#define VNC_REST_MS      1000  /* after the last picture our copy's memory is given back */
#define VNC_GREETING_MS  30000 /* until a viewer has told its password and what it is */
#define VNC_PATIENCE_MS  2000  /* for a viewer in the middle of a message */
#define VNC_PASSWORD_MAX 8     /* bytes that the protocol's password check looks at */

struct vnc {
    struct evloop *loop;
    rfbScreenInfoPtr screen;
    struct shadow shadow;
    struct guestfb *fb; /* NULL: the guest shows nothing */
    struct guestkbd *kbd;
    bool must_poll; /* the guest tells of no changes */
    bool is_news;   /* a change was seen while a viewer was served */
    struct area damage;
    struct ev_timer refresh;
    struct ev_timer rest;
    struct ev_timer greeting;
    uint32_t rest_ms; /* VNC_REST_MS and VNC_GREETING_MS, but for tests */
    uint32_t greeting_ms;
    uint64_t looked_ms;
    unsigned int client_count;
    struct ev_fd listeners[VNC_LISTENERS];
    unsigned int listener_count;
    char password[VNC_PASSWORD_MAX + 1];
    char *passwords[2]; /* as the library wants them */
    char title[128];
};

/* Makes the server with a black screen; an empty password: none is asked for. 0 or -ENOMEM. */
int vnc_open(struct vnc *v, struct evloop *loop, struct guestkbd *kbd, const char *name,
             const char *password);
void vnc_close(struct vnc *v);
/* Takes over a listening socket. */
void vnc_listen(struct vnc *v, int fd);

/* The guest's screen is there, has another size (then again), or is gone (NULL: black). */
void vnc_show(struct vnc *v, struct guestfb *fb, bool must_poll);
/* A part of it was drawn. */
void vnc_damage(struct vnc *v, const struct area *area);
