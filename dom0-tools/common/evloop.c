/* SPDX-License-Identifier: MIT */
/* The event loop of a daemon. */

#include "common/evloop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"

struct evloop {
    struct pollfd *polls;
    struct ev_fd **sources; /* NULL where a source was deleted during a turn */
    size_t count;
    size_t cap;
    bool has_holes;
    struct ev_timer *timers; /* in order of their time */
    struct ev_fd signals;
    bool is_stopped;
};

uint64_t evloop_now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct evloop *evloop_new(void)
{
    struct evloop *l = xalloc(sizeof(*l));

    l->signals.fd = -1;
    return l;
}

void evloop_free(struct evloop *l)
{
    if (!l) {
        return;
    }
    if (l->signals.fd >= 0) {
        close(l->signals.fd);
    }
    free(l->polls);
    free(l->sources);
    free(l);
}

void evloop_add(struct evloop *l, struct ev_fd *src)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 16;
        l->polls = xrealloc(l->polls, l->cap * sizeof(*l->polls));
        l->sources = xrealloc(l->sources, l->cap * sizeof(struct ev_fd *));
    }
    src->slot = l->count;
    l->sources[l->count] = src;
    l->polls[l->count] = (struct pollfd){ .fd = src->fd, .events = src->events };
    l->count++;
}

void evloop_del(struct evloop *l, struct ev_fd *src)
{
    if (src->slot < l->count && l->sources[src->slot] == src) {
        l->sources[src->slot] = NULL;
        l->has_holes = true;
    }
}

void evloop_disarm(struct evloop *l, struct ev_timer *t)
{
    struct ev_timer **link = &l->timers;

    while (*link && *link != t) {
        link = &(*link)->next;
    }
    if (*link) {
        *link = t->next;
    }
    t->due_ms = 0;
}

void evloop_arm(struct evloop *l, struct ev_timer *t, uint64_t ms)
{
    struct ev_timer **link = &l->timers;

    evloop_disarm(l, t);
    t->due_ms = evloop_now_ms() + ms;
    while (*link && (*link)->due_ms <= t->due_ms) {
        link = &(*link)->next;
    }
    t->next = *link;
    *link = t;
}

static void squeeze(struct evloop *l)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->count; i++) {
        if (l->sources[i]) {
            l->sources[kept] = l->sources[i];
            l->sources[kept]->slot = kept;
            kept++;
        }
    }
    l->count = kept;
    l->has_holes = false;
}

static int wait_ms(const struct evloop *l, int max_wait_ms)
{
    if (!l->timers) {
        return max_wait_ms;
    }
    uint64_t now = evloop_now_ms();
    uint64_t left = l->timers->due_ms > now ? l->timers->due_ms - now : 0;
    if (left > 60000) {
        left = 60000;
    }
    return max_wait_ms >= 0 && (uint64_t)max_wait_ms < left ? max_wait_ms : (int)left;
}

static void run_timers(struct evloop *l)
{
    uint64_t now = evloop_now_ms();

    while (l->timers && l->timers->due_ms <= now) {
        struct ev_timer *t = l->timers;
        l->timers = t->next;
        t->due_ms = 0;
        t->handler(t);
    }
}

int evloop_turn(struct evloop *l, int max_wait_ms)
{
    if (l->has_holes) {
        squeeze(l);
    }
    for (size_t i = 0; i < l->count; i++) {
        l->polls[i].fd = l->sources[i]->fd;
        l->polls[i].events = l->sources[i]->events;
        l->polls[i].revents = 0;
    }
    size_t count = l->count; /* handlers may add more, which wait for the next turn */
    int n = poll(l->polls, count, wait_ms(l, max_wait_ms));
    if (n < 0) {
        return errno == EINTR ? 0 : -errno;
    }
    for (size_t i = 0; n > 0 && i < count; i++) {
        short revents = l->polls[i].revents;
        if (revents && l->sources[i]) {
            l->sources[i]->handler(l->sources[i], revents);
        }
    }
    run_timers(l);
    return 0;
}

static void on_signal(struct ev_fd *src, short revents)
{
    struct evloop *l = src->owner;
    struct signalfd_siginfo info;

    (void)revents;
    if (read(src->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        l->is_stopped = true;
    }
}

int evloop_catch_signals(struct evloop *l)
{
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
        return -errno;
    }
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        return -errno;
    }
    l->signals = (struct ev_fd){ .fd = fd, .events = POLLIN, .handler = on_signal, .owner = l };
    evloop_add(l, &l->signals);
    return 0;
}

bool evloop_stopped(const struct evloop *l)
{
    return l->is_stopped;
}
