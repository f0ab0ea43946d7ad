/* SPDX-License-Identifier: MIT */
/* Watches, found by a hash of the watched path: an event looks up each beginning of its path. */

#include "stored/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_BEGIN 2166136261u

/* FNV-1a, a byte at a time. */
static uint32_t hash_on(uint32_t h, char byte)
{
    return (h ^ (uint8_t)byte) * 16777619u;
}

static uint32_t bucket_at(uint32_t h)
{
    return (h ^ (h >> 15)) % WATCH_BUCKETS;
}

static uint32_t bucket_of(const char *path, size_t len)
{
    uint32_t h = HASH_BEGIN;

    for (size_t i = 0; i < len; i++) {
        h = hash_on(h, path[i]);
    }
    return bucket_at(h);
}

static size_t watch_cost(const struct watch *w)
{
    return sizeof(*w) + strlen(w->path) + strlen(w->token) + 2;
}

void watch_record(struct server *s, const struct watch *w)
{
    journal_begin(&s->journal, REC_WATCH);
    journal_u16(&s->journal, w->conn->who.domid);
    journal_str(&s->journal, w->path);
    journal_str(&s->journal, w->token);
    journal_u8(&s->journal, w->is_relative);
    journal_u32(&s->journal, (uint32_t)w->depth);
    journal_end(&s->journal);
}

int watch_add(struct conn *c, const struct watch_request *rq)
{
    struct server *s = c->server;
    uint32_t bucket = bucket_of(rq->path, strlen(rq->path));

    for (const struct watch *w = s->watches[bucket]; w; w = w->next_in_bucket) {
        if (w->conn == c && strcmp(w->path, rq->path) == 0 && strcmp(w->token, rq->token) == 0) {
            return -EEXIST;
        }
    }
    struct watch *w = xalloc(sizeof(*w));
    w->conn = c;
    w->path = xstrdup(rq->path);
    w->token = xstrdup(rq->token);
    w->is_relative = rq->is_relative;
    w->depth = rq->depth;
    w->next_in_bucket = s->watches[bucket];
    s->watches[bucket] = w;
    w->next_of_conn = c->watches;
    c->watches = w;
    c->watch_count++;
    c->watch_bytes += watch_cost(w);
    if (c->is_durable) {
        watch_record(s, w);
    }
    return 0;
}

static void free_watch(struct watch *w)
{
    struct server *s = w->conn->server;
    struct watch **link = &s->watches[bucket_of(w->path, strlen(w->path))];

    while (*link != w) {
        link = &(*link)->next_in_bucket;
    }
    *link = w->next_in_bucket;
    w->conn->watch_count--;
    w->conn->watch_bytes -= watch_cost(w);
    free(w->path);
    free(w->token);
    free(w);
}

int watch_remove(struct conn *c, const char *path, const char *token)
{
    struct server *s = c->server;

    for (struct watch **link = &c->watches; *link; link = &(*link)->next_of_conn) {
        struct watch *w = *link;
        if (strcmp(w->path, path) != 0 || strcmp(w->token, token) != 0) {
            continue;
        }
        if (c->is_durable) {
            journal_begin(&s->journal, REC_WATCH_GONE);
            journal_u16(&s->journal, c->who.domid);
            journal_str(&s->journal, path);
            journal_str(&s->journal, token);
            journal_end(&s->journal);
        }
        *link = w->next_of_conn;
        free_watch(w);
        return 0;
    }
    return -ENOENT;
}

void watch_drop_all(struct conn *c)
{
    while (c->watches) {
        struct watch *w = c->watches;
        c->watches = w->next_of_conn;
        free_watch(w);
    }
}

/* Reports path to the watcher under the name by which it knows it. */
static void tell(const struct watch *w, const char *path)
{
    conn_event(w->conn, w->is_relative ? path + path_domain_prefix(path) : path, w->token);
}

void watch_greet(struct conn *c, const struct watch_request *rq)
{
    conn_event(c, rq->is_relative ? rq->path + path_domain_prefix(rq->path) : rq->path, rq->token);
}

/* May who see the node at path in this tree, itself or in its parent's listing? */
static bool sees(const struct who *who, const struct tree *t, const char *path)
{
    struct path parent;
    const struct node *n = tree_find(t, path);

    if (n && (perm_rights(who, &n->perms) & PERM_READ)) {
        return true;
    }
    path_parent(&parent, path);
    n = tree_find(t, parent.name);
    return n && (perm_rights(who, &n->perms) & PERM_READ);
}

/* Has the watcher's connection the right to know? Asked once for all watches that it has set. */
static bool may_know(struct conn *c, const struct watch_event *ev)
{
    const struct who *who = &c->who;
    const struct server *s = c->server;

    if (who->is_privileged) {
        return true;
    }
    if (c->asked_event != s->events) {
        c->asked_event = s->events;
        c->may_know = (ev->old_perms && (perm_rights(who, ev->old_perms) & PERM_READ)) ||
                      sees(who, ev->before, ev->path) ||
                      (ev->after && sees(who, ev->after, ev->path));
    }
    return c->may_know;
}

/* Tells the watches in the bucket that are set on path[0..len), a beginning of the event's path. */
static void fire_at(uint32_t bucket, const struct watch_event *ev, size_t len, unsigned int below,
                    struct server *s)
{
    for (const struct watch *w = s->watches[bucket]; w; w = w->next_in_bucket) {
        if (strncmp(w->path, ev->path, len) != 0 || w->path[len] != '\0') {
            continue;
        }
        if (w->depth != WATCH_NO_DEPTH && below > (unsigned int)w->depth) {
            continue;
        }
        if (may_know(w->conn, ev)) {
            tell(w, ev->path);
        }
    }
}

void watch_fire(struct server *s, const struct watch_event *ev)
{
    uint32_t above[PATH_ABS_MAX / 2 + 1]; /* buckets of the beginnings, the shortest first */
    size_t ends[PATH_ABS_MAX / 2 + 1];
    size_t count = 0;
    size_t len = 1;
    uint32_t h = hash_on(HASH_BEGIN, '/');

    s->events++;
    s->work++;
    above[count] = bucket_at(h);
    ends[count++] = 1;
    for (; ev->path[len]; len++) {
        if (ev->path[len] == '/') {
            above[count] = bucket_at(h);
            ends[count++] = len;
        }
        h = hash_on(h, ev->path[len]);
    }
    fire_at(bucket_at(h), ev, len, 0, s);
    if (ev->is_exact || len == 1) {
        return;
    }
    for (unsigned int below = 1; count-- > 0; below++) {
        fire_at(above[count], ev, ends[count], below, s);
    }
}

void watch_fire_special(struct server *s, enum special which, uint16_t domid)
{
    const char *name = which == SPECIAL_INTRODUCE ? PATH_INTRODUCE : PATH_RELEASE;
    char of_domain[sizeof(PATH_INTRODUCE) + 8];

    (void)snprintf(of_domain, sizeof(of_domain), "%s/%u", name, domid);
    for (const struct watch *w = s->watches[bucket_of(name, strlen(name))]; w;
         w = w->next_in_bucket) {
        if (strcmp(w->path, name) == 0 &&
            (perm_rights(&w->conn->who, &s->special[which]) & PERM_READ)) {
            conn_event(w->conn, w->depth > 0 ? of_domain : name, w->token);
        }
    }
    for (const struct watch *w = s->watches[bucket_of(of_domain, strlen(of_domain))]; w;
         w = w->next_in_bucket) {
        if (strcmp(w->path, of_domain) == 0 &&
            (perm_rights(&w->conn->who, &s->special[which]) & PERM_READ)) {
            conn_event(w->conn, of_domain, w->token);
        }
    }
}
