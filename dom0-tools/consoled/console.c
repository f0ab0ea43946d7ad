/* SPDX-License-Identifier: MIT */
/* One guest's console. */

#include "consoled/console.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "consoled/ring.h"

#define GRANT_CONSOLE   0u /* reserved grant reference of the console ring */
#define EVENTS_PER_TURN 256
#define DEAD_MAX        32 /* terminals of dead guests kept at most */

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

struct console *console_find(struct consoled *d, uint16_t domid)
{
    struct console *c = d->consoles;

    while (c && (c->domid != domid || c->died_ms)) {
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
        ssize_t n = write(c->pty.master, buf_data(&c->backlog), c->backlog.len);
        if (n <= 0) {
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

    log_warn("domain %u: its console ring makes no sense: not served any more", c->domid);
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
        (void)joist_evtchn_notify(xen, (uint32_t)c->port);
    }
    if (!c->is_waiting) {
        (void)joist_evtchn_unmask(xen, (uint32_t)c->port);
    }
    set_events(c);
}

static void on_terminal(struct ev_fd *src, short revents)
{
    struct console *c = src->owner;
    uint8_t chunk[256];

    if (revents & POLLOUT) {
        push_backlog(c);
    }
    size_t room = c->ring && !c->is_broken ? ring_room(c->ring) : 0;
    if ((revents & POLLIN) && room > 0) {
        ssize_t n = read(src->fd, chunk, room < sizeof(chunk) ? room : sizeof(chunk));
        if (n > 0) {
            (void)ring_put(c->ring, chunk, (size_t)n);
            (void)joist_evtchn_notify(c->daemon->xen, (uint32_t)c->port);
        }
    }
    set_events(c);
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
        if (c->died_ms && now - c->died_ms > CONSOLE_KEEP_SECONDS * 1000ull) {
            console_free(c);
        }
    }
    evloop_arm(d->loop, src, CONSOLE_PERIOD_MS);
}

static int map_ring(struct console *c)
{
    struct joist *xen = c->daemon->xen;
    struct joist_foreign req = {
        .domid = c->domid, .prot = PROT_READ | PROT_WRITE, .pfns = &c->frame, .pfn_count = 1
    };
    int rc;

    c->ring = joist_grant_map(xen, c->domid, GRANT_CONSOLE, &rc);
    if (!c->ring) {
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

/* Terminals of dead guests: the one of this name goes, and the oldest when there are many. */
static void drop_dead(struct consoled *d, const char *name)
{
    struct console *next;
    struct console *oldest = NULL;
    int count = 0;

    for (struct console *c = d->consoles; c; c = next) {
        next = c->next;
        if (!c->died_ms) {
            continue;
        }
        if (strcmp(c->name, name) == 0) {
            console_free(c);
            continue;
        }
        count++;
        if (!oldest || c->died_ms < oldest->died_ms) {
            oldest = c;
        }
    }
    if (count >= DEAD_MAX) {
        console_free(oldest);
    }
}

struct console *console_open(struct consoled *d, const struct console_place *place)
{
    struct console *c = xalloc(sizeof(*c));
    int rc;

    c->daemon = d;
    c->domid = place->domid;
    c->name = file_name(place->name);
    c->remote = place->port;
    c->frame = place->frame;
    c->port = -1;
    c->allowance = CONSOLE_ALLOWANCE;
    c->pty = (struct pty){ .master = -1, .slave = -1 };
    c->log.fd = -1;
    drop_dead(d, c->name);
    rc = map_ring(c);
    if (rc == 0) {
        rc = pty_open(&c->pty);
    }
    if (rc < 0) {
        log_warn("console of domain %u: %s", c->domid, joist_strerror(rc));
        unmap_ring(c);
        free(c->name);
        free(c);
        return NULL;
    }
    rc = logfile_open(&c->log, d->log_dir, c->name, d->log_budget);
    if (rc < 0) {
        log_warn("console log of %s: %s: nothing is logged", c->name, joist_strerror(rc));
    }
    rc = pty_link(&c->pty, d->link_dir, c->name);
    if (rc < 0) {
        log_warn("console link of %s: %s", c->name, joist_strerror(rc));
    }
    c->next = d->consoles;
    d->consoles = c;
    c->terminal = (struct ev_fd){ .fd = c->pty.master, .handler = on_terminal, .owner = c };
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
    unmap_ring(c);
    c->is_waiting = false;
    c->died_ms = evloop_now_ms();
    show(c, (const uint8_t *)text, sizeof(text) - 1);
    set_events(c);
}

void console_free(struct console *c)
{
    struct console **link = &c->daemon->consoles;
    bool is_last = true;

    while (*link != c) {
        link = &(*link)->next;
    }
    *link = c->next;
    for (const struct console *o = c->daemon->consoles; o; o = o->next) {
        is_last &= strcmp(o->name, c->name) != 0;
    }
    if (is_last) {
        pty_unlink(c->daemon->link_dir, c->name);
    }
    unmap_ring(c);
    evloop_del(c->daemon->loop, &c->terminal);
    pty_close(&c->pty);
    logfile_close(&c->log);
    buf_free(&c->backlog);
    free(c->name);
    free(c);
}
