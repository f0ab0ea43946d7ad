/* SPDX-License-Identifier: MIT */
/* The whole state as journal records, and back. */

#include "stored/restore.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "stored/conn_ring.h"
#include "stored/domain.h"
#include "stored/live.h"
#include "stored/txn.h"
#include "stored/watch.h"

static void record_input(const struct conn *c)
{
    struct journal *j = &c->server->journal;

    journal_begin(j, REC_INPUT);
    journal_u16(j, c->who.domid);
    journal_u32(j, c->ring_in);
    journal_u8(j, c->is_ignored);
    journal_bytes(j, c->in, c->in_len);
    journal_end(j);
}

static void record_output(const struct conn *c, uint64_t from)
{
    struct journal *j = &c->server->journal;
    size_t skip = (size_t)(from - c->out_pos);

    journal_begin(j, REC_OUTPUT);
    journal_u16(j, c->who.domid);
    journal_u64(j, from);
    journal_bytes(j, (uint8_t *)buf_data(&c->out) + skip, c->out.len - skip);
    journal_end(j);
}

void restore_record_streams(struct conn *c)
{
    uint64_t end = c->out_pos + c->out.len;

    if (c->took_input) {
        record_input(c);
    }
    if (end > c->out_recorded) {
        record_output(c, c->out_recorded);
        c->out_recorded = end;
    }
}

static void record_conn(struct server *s, const struct conn *c)
{
    const struct txn *t = c->txns;

    journal_begin(&s->journal, REC_OUTPUT_MARK);
    journal_u16(&s->journal, c->who.domid);
    journal_u64(&s->journal, c->out_pos);
    journal_end(&s->journal);
    record_input(c);
    if (c->out.len > 0) {
        record_output(c, c->out_pos);
    }
    for (const struct watch *w = c->watches; w; w = w->next_of_conn) {
        watch_record(s, w);
    }
    for (; t; t = t->next) {
        journal_begin(&s->journal, REC_TXN);
        journal_u16(&s->journal, c->who.domid);
        journal_u32(&s->journal, t->id);
        journal_end(&s->journal);
    }
}

void restore_record_all(struct server *s)
{
    struct walk w;
    struct node *n;

    walk_begin(&w, s->live.root, "/");
    while ((n = walk_next(&w)) != NULL) {
        live_record_node(s, w.path, n);
    }
    walk_end(&w);
    for (int i = 0; i < SPECIAL_COUNT; i++) {
        live_record_special(s, (enum special)i);
    }
    server_record_quotas(s);
    for (size_t i = 0; i < DOMAIN_BUCKETS; i++) {
        for (const struct domain *d = s->domains[i]; d; d = d->next) {
            domain_record(s, d);
            if (d->conn) {
                record_conn(s, d->conn);
            }
        }
    }
}

/* The connection that a record speaks of, or NULL. */
static struct conn *conn_of(struct server *s, struct record *r)
{
    const struct domain *d = domain_find(s, record_u16(r));

    return d ? d->conn : NULL;
}

static void apply_watch(struct conn *c, struct record *r)
{
    struct watch_request rq;

    rq.path = record_str(r);
    rq.token = record_str(r);
    rq.is_relative = record_u8(r) != 0;
    rq.depth = (int)record_u32(r);
    if (!r->is_bad) {
        (void)watch_add(c, &rq);
    }
}

static void apply_watch_gone(struct conn *c, struct record *r)
{
    const char *path = record_str(r);
    const char *token = record_str(r);

    if (!r->is_bad) {
        (void)watch_remove(c, path, token);
    }
}

static void apply_input(struct conn *c, struct record *r)
{
    size_t len;

    c->ring_in = record_u32(r);
    c->is_ignored = record_u8(r) != 0;
    const uint8_t *data = record_bytes(r, &len);
    if (!r->is_bad && len <= sizeof(c->in)) {
        memcpy(c->in, data, len);
        c->in_len = len;
    }
}

static void apply_output(struct conn *c, struct record *r)
{
    size_t len;
    uint64_t pos = record_u64(r);
    const uint8_t *data = record_bytes(r, &len);

    if (r->is_bad || pos != c->out_pos + c->out.len) {
        log_error("journal: output of domain %u does not join", c->who.domid);
        return;
    }
    buf_add(&c->out, data, len);
    c->out_recorded = c->out_pos + c->out.len;
}

static void apply_mark(struct conn *c, struct record *r)
{
    c->out_pos = record_u64(r);
    c->out_recorded = c->out_pos;
    buf_clear(&c->out);
    c->in_len = 0;
}

static void apply_to_conn(struct server *s, struct record *r)
{
    struct conn *c = conn_of(s, r);

    if (!c) {
        return;
    }
    switch (r->type) {
    case REC_WATCH:
        apply_watch(c, r);
        break;
    case REC_WATCH_GONE:
        apply_watch_gone(c, r);
        break;
    case REC_RESET:
        watch_drop_all(c);
        txn_drop_all(c);
        break;
    case REC_TXN:
        txn_restore(c, record_u32(r));
        break;
    case REC_TXN_GONE:
        txn_restore_gone(c, record_u32(r));
        break;
    case REC_INPUT:
        apply_input(c, r);
        break;
    case REC_OUTPUT:
        apply_output(c, r);
        break;
    case REC_OUTPUT_MARK:
        apply_mark(c, r);
        break;
    default:
        log_error("journal: record of unknown type %u", r->type);
        break;
    }
}

static void apply_domain_gone(struct server *s, struct record *r)
{
    struct domain *d = domain_find(s, record_u16(r));

    /* The tree and the events have their own records. */
    if (d) {
        domain_drop(s, d);
    }
}

static void apply_quotas(struct server *s, struct record *r)
{
    for (int i = 0; i < QUOTA_COUNT; i++) {
        s->quotas.limit[i] = (int64_t)record_u64(r);
    }
}

void restore_replay(struct server *s)
{
    struct record r;
    size_t count = 0;

    while (journal_next(&s->journal, &r)) {
        count++;
        switch (r.type) {
        case REC_NODE:
            live_apply_node(s, &r);
            break;
        case REC_NODE_GONE:
            live_apply_node_gone(s, &r);
            break;
        case REC_SPECIAL:
            live_apply_special(s, &r);
            break;
        case REC_DOMAIN:
            domain_apply(s, &r);
            break;
        case REC_DOMAIN_GONE:
            apply_domain_gone(s, &r);
            break;
        case REC_QUOTAS:
            apply_quotas(s, &r);
            break;
        default:
            apply_to_conn(s, &r);
            break;
        }
        /* Replaying must not add to the journal what it already has. */
        buf_clear(&s->journal.pending);
    }
    /* Transactions begun during the replay look at the tree as it was then. */
    for (struct conn *c = s->conns; c; c = c->next) {
        txn_refresh(c);
    }
    log_info("journal: %zu records", count);
}

int restore_attach(struct server *s)
{
    for (size_t i = 0; i < DOMAIN_BUCKETS; i++) {
        struct domain *next;
        for (struct domain *d = s->domains[i]; d; d = next) {
            struct ring_place place = { .domid = d->domid,
                                        .gfn = d->gfn,
                                        .remote_port = d->remote_port };
            next = d->next;
            if (!d->conn) {
                continue;
            }
            int rc = s->xen ? ring_attach(d->conn, &place, false) : -ENODEV;
            if (rc < 0 && d->domid == 0) {
                return rc;
            }
            if (rc < 0) {
                log_warn("domain %u is gone since: %s", d->domid, joist_strerror(rc));
                domain_release(s, d);
            }
        }
    }
    return 0;
}
