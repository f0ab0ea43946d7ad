/* SPDX-License-Identifier: MIT */
/*
 * Consoles from number 1 on. What they are is read from /libxl, which the guest cannot write; where
 * their ring is, from the front end's directory, which is the guest's own. Where their terminal is
 * stands in both: joist opens as root what it finds, so it looks under /libxl; the other is for
 * stock tools.
 *
 * Facts: Linux's console front end writes ring-ref (a grant) and port, then state Initialised, and
 * waits for the back end's Connected.
 */

#include "consoled/second.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

#define NUMBER_MAX 255u
#define TRIES      10 /* when others change the same nodes */

enum {
    STATE_INITIALISING = 1,
    STATE_INIT_WAIT,
    STATE_INITIALISED,
    STATE_CONNECTED,
    STATE_CLOSED = 6
};

struct look {
    struct guests *g;
    uint16_t domid;
    uint32_t number;
};

struct node_path {
    char text[128];
};

static struct node_path path_of(const struct look *l, const char *format, const char *node)
{
    struct node_path path;
    int n = snprintf(path.text, sizeof(path.text), format, l->domid, l->number);

    (void)snprintf(path.text + n, sizeof(path.text) - (size_t)n, "/%s", node);
    return path;
}

static char *get(const struct look *l, const char *format, const char *node)
{
    char *value = NULL;

    return store_read(l->g->store, 0, path_of(l, format, node).text, &value) == 0 ? value : NULL;
}

static const char front[] = "/local/domain/%u/device/console/%u";
static const char back[] = "/local/domain/0/backend/console/%u/%u";
static const char ours[] = "/libxl/%u/device/console/%u";

/* A decimal number in a node; -1 when it is missing or is none. */
static long long number_of(const struct look *l, const char *format, const char *node)
{
    char *text = get(l, format, node);
    char *end = NULL;
    long long n = -1;

    if (text && text[0] >= '0' && text[0] <= '9') {
        errno = 0;
        n = strtoll(text, &end, 10);
        n = *end == '\0' && errno == 0 ? n : -1;
    }
    free(text);
    return n;
}

static void put(const struct look *l, const char *format, const char *node, const char *value)
{
    (void)store_write(l->g->store, 0, path_of(l, format, node).text, value);
}

/* In a transaction: written after the device has been taken away it would stay for ever. */
static int put_own_tty(const struct look *l, const char *tty)
{
    struct store *s = l->g->store;
    char *type = NULL;
    uint32_t tx;
    int rc = store_begin(s, &tx);

    if (rc < 0) {
        return rc;
    }
    rc = store_read(s, tx, path_of(l, ours, "connection").text, &type);
    free(type);
    if (rc == 0) {
        rc = store_write(s, tx, path_of(l, ours, "tty").text, tty);
    }
    if (rc < 0) {
        (void)store_end(s, tx, false);
        return rc;
    }
    return store_end(s, tx, true);
}

static bool is_told(const struct look *l, const char *format, const char *tty)
{
    char *known = get(l, format, "tty");
    bool is_same = tty ? known && strcmp(known, tty) == 0 : !known;

    free(known);
    return is_same;
}

/* Tells where the terminal is; NULL: there is none any more. */
static void publish(const struct look *l, const char *tty)
{
    int rc = -EAGAIN;

    if (!tty) {
        if (!is_told(l, ours, NULL)) {
            (void)store_rm(l->g->store, 0, path_of(l, ours, "tty").text);
        }
        return;
    }
    for (int i = 0; rc == -EAGAIN && i < TRIES; i++) {
        rc = is_told(l, ours, tty) ? 0 : put_own_tty(l, tty);
    }
    if (rc < 0 && rc != -ENOENT) {
        log_warn("cannot write %s: %s", path_of(l, ours, "tty").text, joist_strerror(rc));
    }
    if (rc == 0 && !is_told(l, front, tty)) {
        put(l, front, "tty", tty);
    }
}

/* The back end's state, unless it is that already or its nodes have gone. */
static void put_state(const struct look *l, int state)
{
    char text[8];
    long long now = number_of(l, back, "state");

    if (now >= 0 && now != state) {
        (void)snprintf(text, sizeof(text), "%d", state);
        put(l, back, "state", text);
    }
}

static void connect_one(const struct look *l)
{
    struct console_place place = { .domid = l->domid, .number = l->number };
    struct console *c = console_find(l->g->daemon, l->domid, l->number);
    long long ref = number_of(l, front, "ring-ref");
    long long port = number_of(l, front, "port");
    char guest[64];
    char *name = NULL;

    if (ref < 0 || ref > UINT32_MAX || port <= 0 || port > INT32_MAX) {
        return;
    }
    if (c && (c->frame != (uint64_t)ref || c->remote != (uint32_t)port)) {
        console_free(c);
        c = NULL;
    }
    if (!c) {
        char *connection = get(l, ours, "connection");
        char *path = get(l, ours, "path");
        bool is_socket = connection && strcmp(connection, "socket") == 0;

        (void)snprintf(guest, sizeof(guest), "/local/domain/%u/name", l->domid);
        (void)store_read(l->g->store, 0, guest, &name);
        place.name = name ? name : "";
        place.frame = (uint64_t)ref;
        place.port = (uint32_t)port;
        place.path = is_socket ? path : NULL;
        c = !is_socket || path ? console_open(l->g->daemon, &place) : NULL;
        free(name);
        free(path);
        free(connection);
    }
    publish(l, c && !c->path ? c->pty.path : NULL);
    put_state(l, c ? STATE_CONNECTED : STATE_CLOSED);
}

static void look_at_one(const struct look *l)
{
    long long state = number_of(l, front, "state");
    struct console *c = console_find(l->g->daemon, l->domid, l->number);

    if (state == STATE_INITIALISED || state == STATE_CONNECTED) {
        connect_one(l);
        return;
    }
    if (c) {
        console_free(c);
    }
    publish(l, NULL); /* also what a daemon that was killed has left */
    if (state == STATE_INITIALISING) {
        put_state(l, STATE_INIT_WAIT);
    } else if (state > 0) {
        put_state(l, STATE_CLOSED);
    }
}

/* Those that are open and whose device has been taken away. */
static void close_removed(struct guests *g, uint16_t domid)
{
    struct console *next;

    for (struct console *c = g->daemon->consoles; c; c = next) {
        const struct look l = { g, domid, c->number };
        char *type;

        next = c->next;
        if (c->domid != domid || c->number == 0 || c->died_ms) {
            continue;
        }
        type = get(&l, ours, "connection");
        if (!type) {
            console_free(c);
        }
        free(type);
    }
}

void second_look(struct guests *g, uint16_t domid)
{
    char path[64];
    char *names = NULL;
    size_t count = 0;

    (void)snprintf(path, sizeof(path), "/libxl/%u/device/console", domid);
    if (store_list(g->store, 0, path, &names, &count) < 0) {
        return;
    }
    const char *name = names;
    for (size_t i = 0; i < count; i++, name += strlen(name) + 1) {
        char *end;
        unsigned long number = strtoul(name, &end, 10);

        if (*name && !*end && number > 0 && number <= NUMBER_MAX) {
            const struct look l = { g, domid, (uint32_t)number };

            look_at_one(&l);
        }
    }
    free(names);
    close_removed(g, domid);
}
