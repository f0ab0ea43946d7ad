/* SPDX-License-Identifier: MIT */
/*
 * One guest's console: its ring on one side, terminal and log file on the other.
 *
 * Output goes to the log first and leaves the ring only then, so a killed daemon loses nothing
 * that the log has not. Each guest has an allowance of bytes per period; a guest that floods
 * finds its ring full and waits, and the control domain has its time. LINK_DIR/NAME leads to
 * the terminal. When the guest dies it leads to the log file instead; the terminal stays until
 * the programs that have it open have read the rest.
 *
 * Consoles from number 1 on belong to the guest's own driver: their page is granted, and they end
 * when the driver closes them. A channel among them leads to a unix socket instead of a terminal:
 * one client at a time, nothing is logged, and what nobody takes is kept up to the backlog.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/io.h"
#include "common/buf.h"
#include "common/evloop.h"
#include "common/log.h"
#include "consoled/logfile.h"
#include "consoled/pty.h"
#include "libjoist/joist.h"

#define CONSOLE_PERIOD_MS 100
#define CONSOLE_ALLOWANCE 12288u /* bytes of output per period and guest */
#define CONSOLE_BACKLOG   65536u /* newest output kept for a terminal that nobody reads */

#define CONSOLE_LIMITS 256u /* log limits; domains share one whose ids are that far apart */

struct consoled {
    struct joist *xen;
    struct evloop *loop;
    struct console *consoles;
    struct ev_fd evtchn;
    struct ev_timer period;
    const char *log_dir;
    const char *link_dir;
    uint64_t log_budget;
    struct log_limit limits[CONSOLE_LIMITS];
};

struct console {
    struct consoled *daemon;
    uint16_t domid;
    uint32_t number;                /* 0: the first, which the toolstack made */
    char *name;                     /* as file name */
    uint32_t remote;                /* event channel of the guest */
    uint64_t frame;                 /* of the ring (number 0), or its grant, as the store says */
    struct xencons_interface *ring; /* NULL: the guest is gone */
    bool is_foreign;                /* mapped by frame, not by grant */
    bool is_broken;                 /* its positions made no sense: not served any more */
    bool is_waiting;                /* allowance used up: masked until the next period */
    int port;
    uint32_t allowance;
    uint64_t died_ms; /* 0: alive */
    struct pty pty;
    char *path;            /* of a channel's socket; NULL: a terminal */
    struct ev_fd listener; /* of that socket */
    struct ev_fd terminal; /* or the channel's client; fd -1: none */
    struct logfile log;
    struct buf backlog; /* output that the terminal has not taken */
    struct console *next;
};

struct console_place {
    uint16_t domid;
    uint32_t number;
    const char *name; /* of the guest */
    uint64_t frame;   /* number 0: machine frame of the ring; else its grant */
    uint32_t port;
    const char *path; /* of a channel's socket, or NULL */
};

/* Of lines that the guest can cause. It outlives a console that cannot be opened again and again.
 */
struct log_limit *console_limit(struct consoled *d, uint16_t domid);
/* Connects to a guest's console. NULL with a line in the log when its ring or terminal cannot be
   had. */
struct console *console_open(struct consoled *d, const struct console_place *place);
struct console *console_find(struct consoled *d, uint16_t domid, uint32_t number);
/* The guest is gone: last output, then ring, port and log file are given back. */
void console_died(struct console *c);
void console_free(struct console *c);
/* The daemon's event channel fired. */
void console_on_event(struct ev_fd *src, short revents);
/* A new allowance for all; old terminals go. */
void console_on_period(struct ev_timer *src);
