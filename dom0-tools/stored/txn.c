/* SPDX-License-Identifier: MIT */
/* Transactions. */

#include "stored/txn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stored/domain.h"
#include "stored/live.h"
#include "stored/watch.h"

static struct txn *txn_new(struct conn *c, uint32_t id)
{
    struct txn *t = xalloc(sizeof(*t));

    t->id = id;
    t->conn = c;
    t->last = &t->first;
    tree_snapshot(&t->tree, &c->server->live);
    tree_snapshot(&t->base, &c->server->live);
    t->tree.writer = c->who.domid;
    t->bytes = (int64_t)sizeof(*t) + acct_get(&c->server->live.acct, c->who.domid).bytes;
    t->next = c->txns;
    c->txns = t;
    c->txn_count++;
    return t;
}

static void txn_free(struct txn *t)
{
    struct txn **link = &t->conn->txns;

    while (*link != t) {
        link = &(*link)->next;
    }
    *link = t->next;
    t->conn->txn_count--;
    while (t->first) {
        struct txn_path *p = t->first;
        t->first = p->next;
        free(p->name);
        free(p);
    }
    tree_free(&t->tree);
    tree_free(&t->base);
    free(t);
}

void txn_record(struct conn *c, const struct txn *t)
{
    journal_begin(&c->server->journal, REC_TXN);
    journal_u16(&c->server->journal, c->who.domid);
    journal_u32(&c->server->journal, t->id);
    journal_end(&c->server->journal);
}

static void record_gone(struct conn *c, uint32_t id)
{
    if (c->is_durable) {
        journal_begin(&c->server->journal, REC_TXN_GONE);
        journal_u16(&c->server->journal, c->who.domid);
        journal_u32(&c->server->journal, id);
        journal_end(&c->server->journal);
    }
}

int txn_begin(struct conn *c, uint32_t *id)
{
    if (!c->who.is_privileged &&
        (int64_t)c->txn_count >= domain_quota(c->server, c->who.domid, QUOTA_TRANSACTIONS)) {
        return -ENOSPC;
    }
    do {
        c->last_txn++;
    } while (c->last_txn == 0 || txn_find(c, c->last_txn));
    struct txn *t = txn_new(c, c->last_txn);
    if (c->is_durable) {
        txn_record(c, t);
    }
    *id = t->id;
    return 0;
}

struct txn *txn_find(struct conn *c, uint32_t id)
{
    struct txn *t = c->txns;

    while (t && t->id != id) {
        t = t->next;
    }
    return t;
}

void txn_restore(struct conn *c, uint32_t id)
{
    if (!txn_find(c, id)) {
        txn_new(c, id)->is_doomed = true;
    }
    if (id > c->last_txn) {
        c->last_txn = id;
    }
}

void txn_restore_gone(struct conn *c, uint32_t id)
{
    struct txn *t = txn_find(c, id);

    if (t) {
        txn_free(t);
    }
}

void txn_refresh(struct conn *c)
{
    for (struct txn *t = c->txns; t; t = t->next) {
        tree_free(&t->tree);
        tree_free(&t->base);
        tree_snapshot(&t->tree, &c->server->live);
        tree_snapshot(&t->base, &c->server->live);
    }
}

static uint32_t bucket_of(const char *name)
{
    uint32_t h = 2166136261u;

    for (const char *p = name; *p; p++) {
        h = (h ^ (uint8_t)*p) * 16777619u;
    }
    return (h ^ (h >> 16)) % TXN_BUCKETS;
}

static struct txn_path *find_noted(const struct txn *t, uint32_t bucket, const char *name)
{
    struct txn_path *p = t->buckets[bucket];

    while (p && strcmp(p->name, name) != 0) {
        p = p->next_in_bucket;
    }
    return p;
}

bool txn_noted(const struct txn *t, const char *name)
{
    return find_noted(t, bucket_of(name), name) != NULL;
}

struct txn_path *txn_note(struct txn *t, const char *name, unsigned int looked)
{
    uint32_t place = bucket_of(name);
    struct txn_path **bucket = &t->buckets[place];
    struct txn_path *p = find_noted(t, place, name);

    if (p) {
        p->looked |= looked;
        return p;
    }
    p = xalloc(sizeof(*p));
    p->name = xstrdup(name);
    p->looked = looked;
    p->next_in_bucket = *bucket;
    *bucket = p;
    *t->last = p;
    t->last = &p->next;
    t->path_count++;
    t->bytes += (int64_t)(sizeof(*p) + strlen(name) + 1);
    return p;
}

int64_t txn_memory(const struct txn *t)
{
    int64_t made = acct_get(&t->tree.acct, t->conn->who.domid).bytes;

    return t->bytes + t->tree.copied + (made > 0 ? made : 0);
}

/* Did others change what was looked at? Then *culprit is who did. */
static bool conflicts(const struct txn *t, const struct txn_path *p, uint16_t *culprit)
{
    const struct tree *live = &t->conn->server->live;
    const struct node *was = tree_find(&t->base, p->name);
    const struct node *is = tree_find(live, p->name);

    if (!was && !is) {
        return false;
    }
    if (!was || !is) {
        *culprit = (is ? is : tree_find_nearest(live, p->name))->writer;
        return true;
    }
    if (((p->looked & TXN_DATA) && was->gen != is->gen) ||
        ((p->looked & TXN_KIDS) && was->kids_gen != is->kids_gen)) {
        *culprit = is->writer;
        return true;
    }
    *culprit = is->sub_writer;
    return (p->looked & TXN_TREE) && was->sub_gen != is->sub_gen;
}

static int by_length(const void *a, const void *b)
{
    size_t la = strlen((*(const struct txn_path *const *)a)->name);
    size_t lb = strlen((*(const struct txn_path *const *)b)->name);

    return (la > lb) - (la < lb);
}

/* Puts the node that the transaction has at path into the live tree. */
static void apply_path(struct server *s, const struct txn *t, const char *path)
{
    const struct node *want = tree_find(&t->tree, path);
    const struct node *have = tree_find(&s->live, path);

    if (!want) {
        return;
    }
    struct value value = { .data = want->value, .len = want->value_len };
    if (!have) {
        live_create(s, path, &want->perms, value);
        return;
    }
    if (have->value_len != want->value_len ||
        memcmp(have->value, want->value, want->value_len) != 0) {
        live_set_value(s, path, value);
        have = tree_find(&s->live, path);
    }
    if (!perms_equal(&have->perms, &want->perms)) {
        live_set_perms(s, path, &want->perms);
    }
}

/* Removals first, then what is written, parents before children. Nothing here can fail: every
   parent was looked at, so it is there. */
static void apply(struct txn *t)
{
    struct server *s = t->conn->server;
    struct txn_path **order = xalloc((t->path_count + 1) * sizeof(struct txn_path *));
    size_t n = 0;

    s->live.writer = t->conn->who.domid;
    for (struct txn_path *p = t->first; p; p = p->next) {
        if (p->is_removed && tree_find(&s->live, p->name)) {
            live_remove(s, p->name);
        }
        if (p->is_written) {
            order[n++] = p;
        }
    }
    qsort(order, n, sizeof(struct txn_path *), by_length);
    for (size_t i = 0; i < n; i++) {
        apply_path(s, t, order[i]->name);
    }
    free(order);
}

static void fire(const struct txn *t)
{
    struct server *s = t->conn->server;

    for (const struct txn_path *p = t->first; p; p = p->next) {
        if (p->fires || p->fires_exact) {
            struct watch_event ev = {
                .path = p->name, .is_exact = !p->fires, .before = &t->base, .after = &s->live
            };
            watch_fire(s, &ev);
        }
    }
}

static int check(const struct txn *t)
{
    const struct server *s = t->conn->server;
    uint16_t domid = t->conn->who.domid;
    uint16_t culprit = 0;

    if (t->is_doomed) {
        return -EAGAIN;
    }
    t->conn->server->work += t->path_count;
    for (const struct txn_path *p = t->first; p && t->base.root != s->live.root; p = p->next) {
        if (conflicts(t, p, &culprit)) {
            domain_take_credit(t->conn->server, culprit, domid);
            return -EAGAIN;
        }
    }
    if (!t->conn->who.is_privileged) {
        int64_t more = acct_get(&t->tree.acct, domid).nodes;
        if (more > 0 &&
            acct_get(&s->live.acct, domid).nodes + more > domain_quota(s, domid, QUOTA_NODES)) {
            return -ENOSPC;
        }
    }
    return 0;
}

int txn_commit(struct txn *t)
{
    int rc = check(t);

    record_gone(t->conn, t->id);
    if (rc == 0) {
        apply(t);
        fire(t);
    }
    txn_free(t);
    return rc;
}

void txn_abort(struct txn *t)
{
    record_gone(t->conn, t->id);
    txn_free(t);
}

void txn_drop_all(struct conn *c)
{
    while (c->txns) {
        txn_free(c->txns);
    }
}
