/* SPDX-License-Identifier: MIT */
/* One guest's console. */

#include "consoled/console.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "consoled/channel.h"
#include "consoled/ring.h"

#define GRANT_CONSOLE   0u /* reserved grant reference of the console ring */
#define EVENTS_PER_TURN 256
#define KEEP_READ_MS    1000u  /* a dead guest's terminal, when everything was read */
#define KEEP_UNREAD_MS  60000u /* and when not */

/* A guest's name as part of a file name. */
static char *file_name(const char *name)
{
    char *out = xstrdup(*name ? name : "unnamed");

    for (char *p = out; *p; p++) {
        if (*p == '/' || (unsigned char)*p <= ' ' || *p == 0x7f || (p == out && *p == '.')) {
            *p = '_';
        }
    }
    return out;
}

struct log_limit *console_limit(struct consoled *d, uint16_t domid)
{
    return &d->limits[domid % CONSOLE_LIMITS];
}

struct console *console_find(struct consoled *d, uint16_t domid, uint32_t number)
{
    struct console *c = d->consoles;

    while (c && (c->domid != domid || c->number != number || c->died_ms)) {
        c = c->next;
    }
    return c;
}

/* What poll() is asked for: input while the guest has room, output while there is a backlog. */
static void set_events(struct console *c)
{
    bool can_take = c->ring && !c->is_broken && ring_room(c->ring) > 0;

    c->terminal.events = (short)((can_take ? POLLIN : 0) | (c->backlog.len ? POLLOUT : 0));
}

static void push_backlog(struct console *c)
{
    while (c->backlog.len > 0) {
        ssize_t n = write(c->terminal.fd, buf_data(&c->backlog), c->backlog.len);
        if (n <= 0) { /* with no client either */
            break;
        }
        buf_drop(&c->backlog, (size_t)n);
    }
    if (c->backlog.len > CONSOLE_BACKLOG) {
        buf_drop(&c->backlog, c->backlog.len - CONSOLE_BACKLOG);
    }
}

static void show(struct console *c, const uint8_t *data, size_t len)
{
    logfile_write(&c->log, data, len);
    buf_add(&c->backlog, data, len);
    push_backlog(c);
}

static void broken(struct console *c)
{
    static const char text[] = "\r\n(console ring inconsistent: not read any more)\r\n";

    log_limited(console_limit(c->daemon, c->domid), LOG_LEVEL_WARN,
                "domain %u: its console ring makes no sense: not served any more", c->domid);
    c->is_broken = true;
    show(c, (const uint8_t *)text, sizeof(text) - 1);
}

/* Moves output from the ring to log and terminal, within limit bytes; returns how many. */
static uint32_t drain(struct console *c, uint32_t limit)
{
    uint8_t chunk[sizeof(c->ring->out)];
    uint32_t total = 0;

    while (total < limit && !c->is_broken) {
        uint32_t left = limit - total;
        long n = ring_peek(c->ring, chunk, left < sizeof(chunk) ? left : sizeof(chunk));
        if (n < 0) {
            broken(c);
        }
        if (n <= 0) {
            break;
        }
        show(c, chunk, (size_t)n);
        ring_drop(c->ring, (size_t)n);
        total += (uint32_t)n;
    }
    return total;
}

/* The period's timer runs only while there is something for it to do. */
static void need_period(struct consoled *d)
{
    if (d->period.due_ms == 0) {
        evloop_arm(d->loop, &d->period, CONSOLE_PERIOD_MS);
    }
}

/* Serves the ring once; unmasks its port unless the allowance is used up. */
static void serve(struct console *c)
{
    struct joist *xen = c->daemon->xen;

    if (!c->ring || c->is_broken) {
        return;
    }
    uint32_t n = drain(c, c->allowance);
    c->allowance -= n;
    c->is_waiting = c->allowance == 0;
    if (n > 0) {
        need_period(c->daemon);
        (void)joist_evtchn_notify(xen, (uint32_t)c->port);
    }
    if (!c->is_waiting) {
        (void)joist_evtchn_unmask(xen, (uint32_t)c->port);
    }
    set_events(c);
}

/* The client of a channel has gone. */
static void drop_client(struct console *c)
{
    if (c->path && c->terminal.fd >= 0) {
        close(c->terminal.fd);
        c->terminal.fd = -1;
    }
}

static void on_terminal(struct ev_fd *src, short revents)
{
    struct console *c = src->owner;
    uint8_t chunk[256];

    if ((revents & POLLHUP) && c->died_ms) {
        console_free(c); /* nobody has the terminal open */
        return;
    }
    if (revents & POLLOUT) {
        push_backlog(c);
    }
    size_t room = c->ring && !c->is_broken ? ring_room(c->ring) : 0;
    if ((revents & POLLIN) && room > 0) {
        ssize_t n = read(src->fd, chunk, room < sizeof(chunk) ? room : sizeof(chunk));
        if (n > 0) {
            (void)ring_put(c->ring, chunk, (size_t)n);
            (void)joist_evtchn_notify(c->daemon->xen, (uint32_t)c->port);
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            drop_client(c);
        }
    } else if (revents & (POLLHUP | POLLERR)) {
        drop_client(c); /* and what it sent without the guest having room for it */
    }
    set_events(c);
}

static bool is_hung_up(const struct console *c)
{
    struct pollfd p = { .fd = c->terminal.fd, .events = POLLIN };

    return p.fd >= 0 && poll(&p, 1, 0) > 0 && (p.revents & POLLHUP) != 0;
}

/* One client at a time: another one is told by the end of its connection. */
static void on_client(struct ev_fd *src, short revents)
{
    struct console *c = src->owner;
    int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)revents;
    while (is_hung_up(c)) { /* the same program, perhaps, that comes back */
        on_terminal(&c->terminal, POLLIN | POLLHUP);
    }
    if (fd >= 0 && c->terminal.fd >= 0) {
        close(fd);
    } else if (fd >= 0) {
        c->terminal.fd = fd;
        push_backlog(c);
        set_events(c);
    }
}

void console_on_event(struct ev_fd *src, short revents)
{
    struct consoled *d = src->owner;

    (void)revents;
    for (int i = 0; i < EVENTS_PER_TURN; i++) {
        int port = joist_evtchn_pending(d->xen);
        struct console *c = d->consoles;
        if (port < 0) {
            return;
        }
        while (c && c->port != port) {
            c = c->next;
        }
        if (c) {
            serve(c);
        }
    }
}

void console_on_period(struct ev_timer *src)
{
    struct consoled *d = src->owner;
    uint64_t now = evloop_now_ms();
    struct console *next;

    for (struct console *c = d->consoles; c; c = next) {
        next = c->next;
        c->allowance = CONSOLE_ALLOWANCE;
        if (c->is_waiting) {
            serve(c);
        }
        if (c->died_ms && now - c->died_ms > (c->backlog.len ? KEEP_UNREAD_MS : KEEP_READ_MS)) {
            console_free(c);
        } else if (c->died_ms) {
            need_period(d);
        }
    }
}

static int map_ring(struct console *c)
{
    struct joist *xen = c->daemon->xen;
    struct joist_foreign req = {
        .domid = c->domid, .prot = PROT_READ | PROT_WRITE, .pfns = &c->frame, .pfn_count = 1
    };
    int rc;

    if (c->number && c->frame > UINT32_MAX) {
        return -EINVAL;
    }
    c->ring = joist_grant_map(xen, c->domid, c->number ? (uint32_t)c->frame : GRANT_CONSOLE, &rc);
    if (!c->ring && c->number == 0) {
        c->ring = joist_foreign_map(xen, &req, &rc);
        c->is_foreign = c->ring != NULL;
    }
    if (!c->ring) {
        return rc;
    }
    c->port = joist_evtchn_bind_interdomain(xen, c->domid, c->remote);
    return c->port < 0 ? c->port : 0;
}

static void unmap_ring(struct console *c)
{
    struct joist *xen = c->daemon->xen;

    if (c->port >= 0) {
        (void)joist_evtchn_unbind(xen, (uint32_t)c->port);
    }
    if (c->ring && c->is_foreign) {
        (void)joist_foreign_unmap(xen, c->ring, 1);
    } else if (c->ring) {
        (void)joist_grant_unmap(xen, c->ring);
    }
    c->port = -1;
    c->ring = NULL;
}

/* A guest's name as part of a file name, with the number of all consoles but the first. */
static char *console_name(const struct console_place *place)
{
    char *base = file_name(place->name);
    char *name = base;

    if (place->number && asprintf(&name, "%s-%u", base, place->number) < 0) {
        abort();
    }
    if (name != base) {
        free(base);
    }
    return name;
}

/* The side that people and programs see. */
static int open_outside(struct console *c)
{
    c->listener.fd = -1;
    c->terminal = (struct ev_fd){ .fd = -1, .handler = on_terminal, .owner = c };
    if (c->path) {
        int fd = channel_listen(c->path);
        c->listener =
            (struct ev_fd){ .fd = fd, .events = POLLIN, .handler = on_client, .owner = c };
        return fd < 0 ? fd : 0;
    }
    int rc = pty_open(&c->pty);
    c->terminal.fd = c->pty.master;
    return rc;
}

/* What a terminal has besides: a log, and a link by name. */
static void open_records(struct console *c)
{
    struct consoled *d = c->daemon;
    struct log_limit *limit = console_limit(d, c->domid);
    int rc = logfile_open(&c->log, d->log_dir, c->name, d->log_budget);

    if (rc < 0) {
        log_limited(limit, LOG_LEVEL_WARN, "console log of %s: %s: nothing is logged", c->name,
                    joist_strerror(rc));
    }
    rc = console_link(c->pty.path, d->link_dir, c->name);
    if (rc < 0) {
        log_limited(limit, LOG_LEVEL_WARN, "console link of %s: %s", c->name, joist_strerror(rc));
    }
}

struct console *console_open(struct consoled *d, const struct console_place *place)
{
    struct console *c = xalloc(sizeof(*c));
    int rc;

    c->daemon = d;
    c->domid = place->domid;
    c->number = place->number;
    c->name = console_name(place);
    c->path = place->path ? xstrdup(place->path) : NULL;
    c->remote = place->port;
    c->frame = place->frame;
    c->port = -1;
    c->allowance = CONSOLE_ALLOWANCE;
    c->pty = (struct pty){ .master = -1, .slave = -1 };
    c->log.fd = -1;
    rc = map_ring(c);
    if (rc == 0) {
        rc = open_outside(c);
    }
    if (rc < 0) {
        log_limited(console_limit(d, c->domid), LOG_LEVEL_WARN, "console %u of domain %u%s%s: %s",
                    c->number, c->domid, c->path ? ", " : "", c->path ? c->path : "",
                    joist_strerror(rc));
        unmap_ring(c);
        free(c->path);
        free(c->name);
        free(c);
        return NULL;
    }
    if (!c->path) {
        open_records(c);
    } else {
        evloop_add(d->loop, &c->listener);
    }
    c->next = d->consoles;
    d->consoles = c;
    set_events(c);
    evloop_add(d->loop, &c->terminal);
    serve(c);
    return c;
}

void console_died(struct console *c)
{
    static const char text[] = "\r\n(the guest is gone)\r\n";

    if (c->ring && !c->is_broken) {
        (void)drain(c, sizeof(c->ring->out));
    }
    if (c->path) {
        console_free(c);
        return;
    }
    unmap_ring(c);
    c->is_waiting = false;
    c->died_ms = evloop_now_ms();
    show(c, (const uint8_t *)text, sizeof(text) - 1);
    if (c->log.fd >= 0) {
        (void)console_relink(c->pty.path, c->log.path, c->daemon->link_dir, c->name);
    }
    logfile_close(&c->log);
    /* From now on poll() says when the last console program has left. */
    close(c->pty.slave);
    c->pty.slave = -1;
    set_events(c);
    need_period(c->daemon);
}

void console_free(struct console *c)
{
    struct console **link = &c->daemon->consoles;

    while (*link != c) {
        link = &(*link)->next;
    }
    *link = c->next;
    unmap_ring(c);
    evloop_del(c->daemon->loop, &c->terminal);
    drop_client(c);
    if (c->path) {
        evloop_del(c->daemon->loop, &c->listener);
        close(c->listener.fd);
        (void)unlink(c->path);
    }
    pty_close(&c->pty);
    logfile_close(&c->log);
    buf_free(&c->backlog);
    free(c->path);
    free(c->name);
    free(c);
}
