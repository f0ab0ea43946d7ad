/* SPDX-License-Identifier: MIT */
/*
 * The ring transport.
 *
 * Both positions that are ours live here and in the journal: ring_in (what we took) and out_pos
 * (what we put). What the domain writes into the page is never trusted: its two positions are
 * read once for each use and must lie within one ring of ours.
 */

#include "stored/conn_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/log.h"
#include "stored/domain.h"

#define GRANT_STORE     1u /* reserved grant reference of the store ring */
#define EVENTS_PER_TURN 256
#define LOOK_MS         50

static uint32_t load(const uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store(uint32_t *p, uint32_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static void full_barrier(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static bool can_read(struct conn *c)
{
    return c->ring && !c->is_reconnecting && load(&c->ring->req_prod) != c->ring_in;
}

static long ring_read(struct conn *c, void *data, size_t len)
{
    if (!can_read(c)) {
        return 0;
    }
    uint32_t waiting = load(&c->ring->req_prod) - c->ring_in;
    if (waiting > XENSTORE_RING_SIZE) {
        return -EPROTO;
    }
    uint32_t at = MASK_XENSTORE_IDX(c->ring_in);
    size_t n = waiting < len ? waiting : len;
    if (n > XENSTORE_RING_SIZE - at) {
        n = XENSTORE_RING_SIZE - at;
    }
    memcpy(data, c->ring->req + at, n);
    c->ring_in += (uint32_t)n;
    return (long)n;
}

static long ring_write(struct conn *c, const void *data, size_t len)
{
    if (!c->ring || c->is_reconnecting) {
        return 0;
    }
    uint32_t prod = (uint32_t)c->out_pos;
    uint32_t used = prod - load(&c->ring->rsp_cons);
    if (used > XENSTORE_RING_SIZE) {
        return -EPROTO;
    }
    uint32_t at = MASK_XENSTORE_IDX(prod);
    size_t n = XENSTORE_RING_SIZE - used < len ? XENSTORE_RING_SIZE - used : len;
    if (n > XENSTORE_RING_SIZE - at) {
        n = XENSTORE_RING_SIZE - at;
    }
    memcpy(c->ring->rsp + at, data, n);
    store(&c->ring->rsp_prod, prod + (uint32_t)n);
    full_barrier(); /* before the next look for room: a client that sees a full ring tells us */
    c->must_notify |= n > 0;
    return (long)n;
}

static void settle(struct conn *c)
{
    struct xenstore_domain_interface *ring = c->ring;

    if (!ring) {
        return;
    }
    if (c->is_reconnecting) {
        c->is_reconnecting = false;
        store(&ring->req_cons, 0);
        store(&ring->req_prod, 0);
        store(&ring->rsp_cons, 0);
        store(&ring->rsp_prod, 0);
        store(&ring->error, XENSTORE_ERROR_NONE);
        store(&ring->connection, XENSTORE_CONNECTED);
        c->must_notify = true;
    } else if (load(&ring->req_cons) != c->ring_in) {
        /*
         * A client that sees us behind with what it sent before sends no event for more (Linux does
         * so): what came in until it can see that we are not is for us to look for.
         */
        store(&ring->req_cons, c->ring_in);
        full_barrier();
        if (!c->is_ignored && can_read(c)) {
            conn_ready(c);
        }
        c->must_notify = true;
    }
    if (c->must_notify && c->port >= 0) {
        c->must_notify = false;
        c->server->has_moved = true;
        if (c->server->loop && c->server->look.due_ms == 0) {
            evloop_arm(c->server->loop, &c->server->look, LOOK_MS);
        }
        (void)joist_evtchn_notify(c->server->xen, (uint32_t)c->port);
    }
}

static void refuse(struct conn *c, uint32_t error)
{
    if (c->ring) {
        c->ring_in = load(&c->ring->req_cons);
        store(&c->ring->error, error);
        c->must_notify = true;
    }
}

static void unbind(struct conn *c)
{
    if (c->port >= 0) {
        c->server->by_port[c->port] = NULL;
        (void)joist_evtchn_unbind(c->server->xen, (uint32_t)c->port);
        c->port = -1;
    }
}

static void ring_close(struct conn *c)
{
    struct domain *d = domain_find(c->server, c->who.domid);

    unbind(c);
    if (c->ring && c->who.domid == 0) {
        joist_xsd_unmap(c->ring);
    } else if (c->ring && c->is_foreign) {
        (void)joist_foreign_unmap(c->server->xen, c->ring, 1);
    } else if (c->ring) {
        (void)joist_grant_unmap(c->server->xen, c->ring);
    }
    c->ring = NULL;
    if (d && d->conn == c) {
        d->conn = NULL;
    }
}

static const struct conn_ops ring_ops = {
    .name = "ring",
    .read = ring_read,
    .write = ring_write,
    .can_read = can_read,
    .settle = settle,
    .refuse = refuse,
    .close = ring_close,
};

struct conn *ring_conn_new(struct server *s, uint16_t domid)
{
    struct conn *c = conn_new(s, &ring_ops);

    c->who = (struct who){ .domid = domid, .target = domid, .is_privileged = domid == 0 };
    c->base = domid;
    c->is_durable = true;
    return c;
}

static int bind_port(struct conn *c, uint32_t remote_port)
{
    struct server *s = c->server;
    int port = joist_evtchn_bind_interdomain(s->xen, c->who.domid, remote_port);

    if (port < 0) {
        return port;
    }
    if ((size_t)port >= s->by_port_count) {
        size_t count = (size_t)port + 64;
        s->by_port = xrealloc(s->by_port, count * sizeof(struct conn *));
        memset(s->by_port + s->by_port_count, 0,
               (count - s->by_port_count) * sizeof(struct conn *));
        s->by_port_count = count;
    }
    s->by_port[port] = c;
    c->port = port;
    return 0;
}

int ring_rebind(struct conn *c, uint32_t remote_port)
{
    unbind(c);
    return bind_port(c, remote_port);
}

static int map_page(struct conn *c, const struct ring_place *place)
{
    struct server *s = c->server;
    struct joist_foreign req = {
        .domid = place->domid, .prot = PROT_READ | PROT_WRITE, .pfns = &place->gfn, .pfn_count = 1
    };
    uint32_t own_port;
    int rc;

    if (place->domid == 0) {
        c->ring = joist_xsd_map(&own_port, &rc);
        return rc;
    }
    c->ring = joist_grant_map(s->xen, place->domid, GRANT_STORE, &rc);
    if (!c->ring) {
        c->ring = joist_foreign_map(s->xen, &req, &rc);
        c->is_foreign = c->ring != NULL;
    }
    return rc;
}

static void begin_reconnect(struct conn *c)
{
    c->is_ignored = false;
    c->is_reconnecting = true;
    conn_reset(c);
    c->ring_in = 0;
    conn_forget_streams(c, 0);
}

/* Puts the positions of the journal in force: what was taken is taken, and of the output only
   what is not in the ring yet is still to be written. */
static void resume(struct conn *c)
{
    uint32_t pushed = load(&c->ring->rsp_prod) - (uint32_t)c->out_pos;

    store(&c->ring->req_cons, c->ring_in);
    if (pushed > c->out.len) {
        log_warn("ring of domain %u is not where it was: its output starts afresh", c->who.domid);
        conn_forget_streams(c, load(&c->ring->rsp_prod));
    } else {
        buf_drop(&c->out, pushed);
        c->out_pos += pushed;
    }
}

int ring_attach(struct conn *c, const struct ring_place *place, bool is_new)
{
    int rc = map_page(c, place);

    if (rc == 0) {
        rc = bind_port(c, place->remote_port);
    }
    if (rc < 0) {
        return rc;
    }
    store(&c->ring->server_features,
          XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR);
    if (load(&c->ring->connection) == XENSTORE_RECONNECT) {
        begin_reconnect(c);
    } else if (is_new) {
        c->ring_in = load(&c->ring->req_cons);
        c->out_pos = load(&c->ring->rsp_prod);
        c->out_recorded = c->out_pos;
        c->took_input = true;
    } else {
        resume(c);
    }
    c->must_notify = true;
    conn_dirty(c);
    conn_ready(c);
    return 0;
}

static void kicked(struct conn *c)
{
    if (load(&c->ring->connection) == XENSTORE_RECONNECT && !c->is_reconnecting) {
        begin_reconnect(c);
    }
    conn_dirty(c);
    conn_ready(c);
}

void rings_look(struct ev_timer *src)
{
    struct server *s = src->owner;

    for (struct conn *c = s->conns; c; c = c->next) {
        if (c->ring && !c->is_closed && (can_read(c) || c->out.len > 0)) {
            conn_dirty(c);
            conn_ready(c);
        }
    }
    if (s->has_moved) {
        s->has_moved = false;
        evloop_arm(s->loop, src, LOOK_MS);
    }
}

void ring_on_event(struct ev_fd *src, short revents)
{
    struct server *s = src->owner;

    (void)revents;
    for (int i = 0; i < EVENTS_PER_TURN; i++) {
        int port = joist_evtchn_pending(s->xen);
        if (port < 0) {
            return;
        }
        (void)joist_evtchn_unmask(s->xen, (uint32_t)port);
        if (port == s->virq_port) {
            domains_check(s);
        } else if ((size_t)port < s->by_port_count && s->by_port[port]) {
            kicked(s->by_port[port]);
        }
    }
}
