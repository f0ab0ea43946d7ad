/* SPDX-License-Identifier: MIT */
/*
 * Which guests there are.
 *
 * The two special events and each guest's console directory are watched. After one of the first
 * the list of guests is read again, after one of the others that guest; after a restart of the
 * store, everything.
 */

#include "consoled/guests.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "consoled/second.h"

#define RETRY_MS        100
#define DOMID_MAX       0x7fefu
#define EVENTS_PER_TURN 32u
#define TRIES           10u /* when others change the same nodes */

static void lost(struct guests *g);

static char *read_node(struct guests *g, uint16_t domid, const char *name)
{
    char path[64];
    char *value = NULL;

    (void)snprintf(path, sizeof(path), "/local/domain/%u/%s", domid, name);
    return store_read(g->store, 0, path, &value) == 0 ? value : NULL;
}

/* A decimal number in a node; false when it is missing or is none. */
static bool read_number(struct guests *g, uint16_t domid, const char *name, uint64_t *out)
{
    char *text = read_node(g, domid, name);
    char *end = NULL;
    bool is_number = false;

    if (text && text[0] >= '0' && text[0] <= '9') {
        errno = 0;
        *out = strtoull(text, &end, 10);
        is_number = *end == '\0' && errno == 0;
    }
    free(text);
    return is_number;
}

/* In a transaction: written after the guest's nodes have been taken away it would stay for ever. */
static int put_tty(struct guests *g, const struct console *c)
{
    char path[64];
    char *port = NULL;
    uint32_t tx;
    int rc = store_begin(g->store, &tx);

    if (rc < 0) {
        return rc;
    }
    (void)snprintf(path, sizeof(path), "/local/domain/%u/console/port", c->domid);
    rc = store_read(g->store, tx, path, &port);
    free(port);
    if (rc == 0) {
        (void)snprintf(path, sizeof(path), "/local/domain/%u/console/tty", c->domid);
        rc = store_write(g->store, tx, path, c->pty.path);
    }
    if (rc < 0) {
        (void)store_end(g->store, tx, false);
        return rc;
    }
    return store_end(g->store, tx, true);
}

/* Tells the world where the terminal is, unless it knows, or the guest has gone. */
static void publish(struct guests *g, const struct console *c)
{
    char *known = read_node(g, c->domid, "console/tty");

    if (!known || strcmp(known, c->pty.path) != 0) {
        int rc = -EAGAIN;
        for (unsigned int i = 0; rc == -EAGAIN && i < TRIES; i++) {
            rc = put_tty(g, c);
        }
        if (rc < 0 && rc != -ENOENT) {
            log_limited(console_limit(g->daemon, c->domid), LOG_LEVEL_WARN,
                        "cannot write where the terminal of domain %u is: %s", c->domid,
                        joist_strerror(rc));
        }
    }
    free(known);
}

static void watch_console(struct guests *g, uint16_t domid)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/local/domain/%u/console", domid);
    (void)store_watch_depth(g->store, path, "console", 1);
    (void)snprintf(path, sizeof(path), "/local/domain/%u/device/console", domid);
    (void)store_watch_depth(g->store, path, "console", 2); /* number, and its nodes */
}

/* The toolstack gave the console another ring or port (a restore does). */
static bool has_moved(const struct console *c, const struct console_place *place)
{
    return c->remote != place->port || c->frame != place->frame;
}

static void look_at_first(struct guests *g, uint16_t domid)
{
    struct console *c = console_find(g->daemon, domid, 0);
    struct console_place place = { .domid = domid };
    uint64_t frame;
    uint64_t port;
    char *type = read_node(g, domid, "console/type");
    bool is_ours = !type || strcmp(type, "xenconsoled") == 0;

    free(type);
    if (!c) {
        watch_console(g, domid);
    }
    if (!is_ours || !read_number(g, domid, "console/port", &port) || port == 0 ||
        port > INT32_MAX || !read_number(g, domid, "console/ring-ref", &frame)) {
        return;
    }
    place.frame = frame;
    place.port = (uint32_t)port;
    if (c && has_moved(c, &place)) {
        console_free(c);
        c = NULL;
    }
    if (!c) {
        char *name = read_node(g, domid, "name");
        place.name = name ? name : "";
        c = console_open(g->daemon, &place);
        free(name);
    }
    if (c) {
        publish(g, c);
    }
}

static void look_at(struct guests *g, uint16_t domid)
{
    look_at_first(g, domid);
    second_look(g, domid);
}

static bool is_gone(struct guests *g, uint16_t domid)
{
    struct joist_dominfo info;
    int rc = joist_dominfo(g->daemon->xen, domid, &info);

    return rc == -ESRCH || (rc == 0 && info.is_dying);
}

/* Dead guests first, so that a name that is used again finds its old terminal gone. */
static void bury(struct guests *g)
{
    struct console *next;
    char path[64];

    for (struct console *c = g->daemon->consoles; c; c = next) {
        next = c->next;
        if (!c->died_ms && is_gone(g, c->domid)) {
            (void)snprintf(path, sizeof(path), "/local/domain/%u/console", c->domid);
            (void)store_unwatch(g->store, path, "console");
            (void)snprintf(path, sizeof(path), "/local/domain/%u/device/console", c->domid);
            (void)store_unwatch(g->store, path, "console");
            console_died(c);
        }
    }
}

/* All guests that have no console yet; with is_afresh also those that have one. */
static void look_at_all(struct guests *g, bool is_afresh)
{
    char *names = NULL;
    size_t count = 0;

    bury(g);
    if (store_list(g->store, 0, "/local/domain", &names, &count) < 0) {
        return;
    }
    const char *name = names;
    for (size_t i = 0; i < count; i++, name += strlen(name) + 1) {
        char *end;
        unsigned long domid = strtoul(name, &end, 10);
        if (!*name || *end || domid == 0 || domid > DOMID_MAX) {
            continue;
        }
        bool is_known = console_find(g->daemon, (uint16_t)domid, 0) != NULL;
        if ((is_afresh || !is_known) && !is_gone(g, (uint16_t)domid)) {
            look_at(g, (uint16_t)domid);
        }
    }
    free(names);
}

static void stop_listening(struct guests *g)
{
    if (g->is_listening) {
        evloop_del(g->daemon->loop, &g->events);
        g->is_listening = false;
    }
}

/* Something changed in the console directory of the guest that path names. */
static void console_changed(struct guests *g, const char *path)
{
    static const char top[] = "/local/domain/";
    char *end;

    if (strncmp(path, top, sizeof(top) - 1) != 0) {
        return;
    }
    unsigned long domid = strtoul(path + sizeof(top) - 1, &end, 10);
    if (*end == '/' && domid > 0 && domid <= DOMID_MAX && !is_gone(g, (uint16_t)domid)) {
        look_at(g, (uint16_t)domid);
    }
}

static void on_store(struct ev_fd *src, short revents)
{
    struct guests *g = src->owner;

    (void)revents;
    if (store_pump(g->store) < 0) {
        lost(g);
    }
}

/* Those that wait now and no more: the requests that are made for one may bring the next. */
bool guests_turn(struct guests *g)
{
    struct store_event e;

    if (!g->is_listening) {
        return false;
    }
    unsigned int left = store_events_due(g->store);
    left = left < EVENTS_PER_TURN ? left : EVENTS_PER_TURN;
    for (; left > 0 && store_next_event(g->store, &e); left--) {
        if (e.path[0] == '@') {
            look_at_all(g, false);
        } else {
            console_changed(g, e.path);
        }
        store_event_free(&e);
    }
    if (store_fd(g->store) < 0) {
        lost(g);
        return false;
    }
    return store_events_due(g->store) > 0;
}

static void listen_to_store(struct guests *g)
{
    g->events = (struct ev_fd){
        .fd = store_fd(g->store), .events = POLLIN, .handler = on_store, .owner = g
    };
    evloop_add(g->daemon->loop, &g->events);
    g->is_listening = true;
    (void)store_watch(g->store, "@introduceDomain", "domains");
    (void)store_watch(g->store, "@releaseDomain", "domains");
    look_at_all(g, true);
}

static void on_retry(struct ev_timer *src)
{
    struct guests *g = src->owner;

    if (!g->store) {
        g->store = store_open();
    } else if (store_reconnect(g->store, 0) < 0) {
        evloop_arm(g->daemon->loop, src, RETRY_MS);
        return;
    }
    if (!g->store) {
        evloop_arm(g->daemon->loop, src, RETRY_MS);
        return;
    }
    log_info("connected to the store");
    listen_to_store(g);
}

static void lost(struct guests *g)
{
    log_info("the store is gone: waiting for it");
    stop_listening(g);
    evloop_arm(g->daemon->loop, &g->retry, RETRY_MS);
}

void guests_begin(struct guests *g, struct consoled *d)
{
    *g = (struct guests){ .daemon = d };
    g->retry = (struct ev_timer){ .handler = on_retry, .owner = g };
    on_retry(&g->retry);
}

void guests_end(struct guests *g)
{
    stop_listening(g);
    evloop_disarm(g->daemon->loop, &g->retry);
    if (g->store) {
        store_close(g->store);
    }
}
