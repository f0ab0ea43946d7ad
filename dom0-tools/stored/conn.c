/* SPDX-License-Identifier: MIT */
/* Connections: reading of requests, queueing of output, the turn's end. */

#include "stored/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "stored/domain.h"
#include "stored/ops.h"
#include "stored/restore.h"
#include "stored/txn.h"
#include "stored/watch.h"

#define SERVE_BUDGET_DOMAIN  8 /* requests per turn: a busy guest delays nobody by more */
#define SERVE_BUDGET_TRUSTED 32
#define SERVE_WORK_DOMAIN    64 /* the same, in nodes: one request may be about a thousand */
#define OUTPUT_LIMIT_SOCKET  (1u << 20)  /* waiting output before a trusted client must read */
#define UNREAD_MAX           (16u << 20) /* ... before one that gets events only is cut off */
#define EVENTS_MAX           1024        /* waiting events of a domain that does not read */

struct conn *conn_new(struct server *s, const struct conn_ops *ops)
{
    struct conn *c = xalloc(sizeof(*c));

    c->server = s;
    c->ops = ops;
    c->fd = -1;
    c->port = -1;
    c->base = PATH_NO_BASE;
    c->next = s->conns;
    if (s->conns) {
        s->conns->prev = c;
    }
    s->conns = c;
    return c;
}

void conn_reset(struct conn *c)
{
    watch_drop_all(c);
    txn_drop_all(c);
    if (c->is_durable && !c->is_closed) {
        journal_begin(&c->server->journal, REC_RESET);
        journal_u16(&c->server->journal, c->who.domid);
        journal_end(&c->server->journal);
    }
}

void conn_forget_streams(struct conn *c, uint64_t out_pos)
{
    c->out_pos = out_pos;
    c->out_recorded = out_pos;
    buf_clear(&c->out);
    c->mark_count = 0;
    c->reply_count = 0;
    c->in_len = 0;
    c->took_input = true;
    if (c->is_durable && !c->is_closed) {
        journal_begin(&c->server->journal, REC_OUTPUT_MARK);
        journal_u16(&c->server->journal, c->who.domid);
        journal_u64(&c->server->journal, out_pos);
        journal_end(&c->server->journal);
        conn_dirty(c);
    }
}

void conn_close(struct conn *c)
{
    if (c->is_closed) {
        return;
    }
    c->is_closed = true;
    conn_reset(c);
    conn_forget_streams(c, c->out_pos);
    c->ops->close(c);
    conn_dirty(c);
}

static void conn_free(struct conn *c)
{
    struct server *s = c->server;

    if (c->prev) {
        c->prev->next = c->next;
    } else {
        s->conns = c->next;
    }
    if (c->next) {
        c->next->prev = c->prev;
    }
    buf_free(&c->out);
    free(c->marks);
    free(c->replies);
    free(c);
}

void conn_ready(struct conn *c)
{
    struct server *s = c->server;

    if (c->is_in_ready || c->is_closed) {
        return;
    }
    c->is_in_ready = true;
    c->next_ready = NULL;
    if (s->ready) {
        s->ready_last->next_ready = c;
    } else {
        s->ready = c;
    }
    s->ready_last = c;
}

void conn_dirty(struct conn *c)
{
    if (!c->is_dirty) {
        c->is_dirty = true;
        c->next_dirty = c->server->dirty;
        c->server->dirty = c;
    }
}

/* FNV-1a over the payload of an event. */
static uint32_t hash_bytes(const uint8_t *data, size_t len)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < len; i++) {
        h = (h ^ data[i]) * 16777619u;
    }
    return h;
}

static void put_message(struct conn *c, const struct xsd_sockmsg *head, const void *payload)
{
    buf_add(&c->out, head, sizeof(*head));
    buf_add(&c->out, payload, head->len);
    conn_dirty(c);
}

void conn_reply(struct conn *c, const struct xsd_sockmsg *request, uint32_t type,
                const struct buf *payload)
{
    struct xsd_sockmsg head = { .type = type,
                                .req_id = request->req_id,
                                .tx_id = request->tx_id,
                                .len = (uint32_t)payload->len };

    put_message(c, &head, buf_data(payload));
    if (c->reply_count == c->reply_cap) {
        c->reply_cap = c->reply_cap ? c->reply_cap * 2 : 8;
        c->replies = xrealloc(c->replies, c->reply_cap * sizeof(*c->replies));
    }
    c->replies[c->reply_count++] = c->out_pos + c->out.len;
}

/* True when the output holds an equal event of which the client has seen nothing yet. */
static bool waits_already(const struct conn *c, const struct buf *payload, uint32_t hash)
{
    for (size_t i = 0; i < c->mark_count && c->mark_count <= EVENTS_MAX; i++) {
        const struct event_mark *m = &c->marks[i];
        if (m->hash == hash && m->len == payload->len && m->pos >= c->out_pos &&
            memcmp((uint8_t *)buf_data(&c->out) + (m->pos - c->out_pos) +
                       sizeof(struct xsd_sockmsg),
                   buf_data(payload), payload->len) == 0) {
            return true;
        }
    }
    return false;
}

void conn_event(struct conn *c, const char *path, const char *token)
{
    struct buf payload = { 0 };

    if (c->is_closed || c->is_ignored) {
        return;
    }
    if (!c->who.is_privileged && c->mark_count >= EVENTS_MAX) {
        if (!c->told_dropped) {
            c->told_dropped = true; /* once: a guest can bring it about again and again */
            log_warn("domain %u reads no watch events: further ones are dropped", c->who.domid);
        }
        return;
    }
    if (!c->is_durable && c->out.len > UNREAD_MAX) {
        c->is_stuck = true; /* push() closes it: here watches are being gone through */
        conn_dirty(c);
        return;
    }
    buf_add_str(&payload, path);
    buf_add_str(&payload, token);
    uint32_t hash = hash_bytes(buf_data(&payload), payload.len);
    if (payload.len > XENSTORE_PAYLOAD_MAX || waits_already(c, &payload, hash)) {
        buf_free(&payload);
        return;
    }
    if (c->mark_count == c->mark_cap) {
        c->mark_cap = c->mark_cap ? c->mark_cap * 2 : 8;
        c->marks = xrealloc(c->marks, c->mark_cap * sizeof(*c->marks));
    }
    c->marks[c->mark_count++] = (struct event_mark){ .pos = c->out_pos + c->out.len,
                                                     .len = (uint32_t)payload.len,
                                                     .hash = hash };
    struct xsd_sockmsg head = { .type = XS_WATCH_EVENT, .len = (uint32_t)payload.len };
    put_message(c, &head, buf_data(&payload));
    buf_free(&payload);
}

bool conn_is_full(const struct conn *c)
{
    if (c->who.is_privileged) {
        return c->out.len > OUTPUT_LIMIT_SOCKET;
    }
    return (int64_t)c->reply_count >= domain_quota(c->server, c->who.domid, QUOTA_OUTSTANDING);
}

static void refuse(struct conn *c, uint32_t error)
{
    if (!c->told_refused) {
        c->told_refused = true;
        log_info("%s of domain %u: protocol error %u", c->ops->name, c->who.domid, error);
    }
    conn_reset(c);
    c->is_ignored = true;
    conn_forget_streams(c, c->out_pos);
    c->ops->refuse(c, error);
}

/* Reads on until the message in c->in is whole: 1, or 0 when more must come, or -errno. */
static int read_message(struct conn *c)
{
    for (;;) {
        size_t want = sizeof(struct xsd_sockmsg);
        if (c->in_len >= want) {
            struct xsd_sockmsg head;
            memcpy(&head, c->in, sizeof(head));
            if (head.len > XENSTORE_PAYLOAD_MAX) {
                return -E2BIG;
            }
            want += head.len;
            if (c->in_len == want) {
                return 1;
            }
        }
        long n = c->ops->read(c, c->in + c->in_len, want - c->in_len);
        if (n <= 0) {
            return (int)n;
        }
        c->in_len += (size_t)n;
        c->took_input = true;
        conn_dirty(c);
    }
}

static void serve(struct conn *c)
{
    int budget = c->who.is_privileged ? SERVE_BUDGET_TRUSTED : SERVE_BUDGET_DOMAIN;
    const uint64_t before = c->server->work;

    while (budget-- > 0 && !c->is_closed && !c->is_ignored && !conn_is_full(c)) {
        if (!domain_has_credit(c->server, c->who.domid)) {
            return; /* the credit timer makes it ready again */
        }
        int rc = read_message(c);
        if (rc == 0) {
            return;
        }
        if (rc == -EPIPE) {
            conn_close(c);
            return;
        }
        if (rc < 0) {
            refuse(c, rc == -E2BIG ? XENSTORE_ERROR_PROTO : XENSTORE_ERROR_RINGIDX);
            return;
        }
        struct xsd_sockmsg head;
        memcpy(&head, c->in, sizeof(head));
        c->in_len = 0;
        ops_handle(c, &head, c->in + sizeof(head));
        if (!c->who.is_privileged && c->server->work - before >= SERVE_WORK_DOMAIN) {
            break;
        }
    }
    if (!c->is_closed && !c->is_ignored && !conn_is_full(c) && c->ops->can_read(c)) {
        conn_ready(c);
    }
}

void conns_serve(struct server *s)
{
    struct conn *c = s->ready;

    /* Those that become ready meanwhile wait for the next turn. */
    s->ready = NULL;
    s->ready_last = NULL;
    while (c) {
        struct conn *next = c->next_ready;
        c->is_in_ready = false;
        conn_dirty(c); /* the client may have made room for output, or is to be freed */
        if (!c->is_closed) {
            serve(c);
        }
        c = next;
    }
}

/* Forgets marks of events that the client has begun to see, and replies that it has. */
static void forget_seen(struct conn *c)
{
    size_t gone = 0;

    while (gone < c->mark_count && c->marks[gone].pos < c->out_pos) {
        gone++;
    }
    if (gone) {
        c->mark_count -= gone;
        memmove(c->marks, c->marks + gone, c->mark_count * sizeof(*c->marks));
    }
    gone = 0;
    while (gone < c->reply_count && c->replies[gone] <= c->out_pos) {
        gone++;
    }
    if (gone) {
        c->reply_count -= gone;
        memmove(c->replies, c->replies + gone, c->reply_count * sizeof(*c->replies));
    }
}

static void push(struct conn *c)
{
    bool was_full = conn_is_full(c);

    if (c->is_stuck) {
        log_warn("a client of the control domain reads nothing: %zu bytes wait; it is cut off",
                 c->out.len);
        conn_close(c);
        return;
    }
    while (c->out.len > 0) {
        long n = c->ops->write(c, buf_data(&c->out), c->out.len);
        if (n == 0) {
            break;
        }
        if (n == -EPIPE) {
            conn_close(c);
            return;
        }
        if (n < 0) {
            refuse(c, XENSTORE_ERROR_RINGIDX);
            break;
        }
        buf_drop(&c->out, (size_t)n);
        c->out_pos += (uint64_t)n;
    }
    if (c->out.len == 0) {
        buf_clear(&c->out);
    }
    forget_seen(c);
    if (was_full && !conn_is_full(c)) {
        conn_ready(c);
    }
}

void conns_settle(struct server *s)
{
    for (struct conn *c = s->dirty; c; c = c->next_dirty) {
        if (c->is_durable && !c->is_closed) {
            restore_record_streams(c);
        }
    }
    if (journal_is_long(&s->journal)) {
        buf_clear(&s->journal.pending);
        restore_record_all(s);
        (void)journal_commit_anew(&s->journal);
    } else {
        (void)journal_commit(&s->journal);
    }
    /* Pushing may close connections, which puts them on the list again: they are taken off one
       by one. */
    while (s->dirty) {
        struct conn *c = s->dirty;
        s->dirty = c->next_dirty;
        c->is_dirty = false;
        if (!c->is_closed && !c->is_ignored) {
            push(c);
        }
        if (!c->is_closed) {
            c->ops->settle(c);
            c->took_input = false;
            continue;
        }
        if (!c->is_dirty && !c->is_in_ready) {
            conn_free(c);
        }
    }
}
