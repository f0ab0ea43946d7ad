/* SPDX-License-Identifier: MIT */
/*
 * The event loop of a daemon: descriptors, timers, signals; one thread, poll(2).
 *
 * A source is embedded in its owner and filled by it. A handler may add and delete any source,
 * its own included; a deleted source is not called again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evloop;

struct ev_fd {
    int fd;
    short events; /* POLLIN, POLLOUT; may be changed at any time */
    void (*handler)(struct ev_fd *src, short revents);
    void *owner;
    size_t slot; /* of the loop */
};

struct ev_timer {
    uint64_t due_ms; /* of the loop; on the monotonic clock; 0 = not armed */
    void (*handler)(struct ev_timer *src);
    void *owner;
    struct ev_timer *next; /* of the loop */
};

struct evloop *evloop_new(void);
void evloop_free(struct evloop *l);
void evloop_add(struct evloop *l, struct ev_fd *src);
void evloop_del(struct evloop *l, struct ev_fd *src);
/* Calls the handler once, ms from now; arming again moves it. */
void evloop_arm(struct evloop *l, struct ev_timer *t, uint64_t ms);
void evloop_disarm(struct evloop *l, struct ev_timer *t);
/* One turn: waits at most max_wait_ms (-1: for ever) and calls what is due. 0 or -errno. */
int evloop_turn(struct evloop *l, int max_wait_ms);
/* SIGTERM and SIGINT make evloop_stopped() true and end a wait; SIGPIPE is ignored. */
int evloop_catch_signals(struct evloop *l);
bool evloop_stopped(const struct evloop *l);
uint64_t evloop_now_ms(void);
