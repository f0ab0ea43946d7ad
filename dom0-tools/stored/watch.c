/* SPDX-License-Identifier: MIT */
/* Watches, found by a hash of the watched path: an event looks up each beginning of its path. */

#include "stored/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t bucket_of(const char *path, size_t len)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < len; i++) {
        h = (h ^ (uint8_t)path[i]) * 16777619u;
    }
    return (h ^ (h >> 15)) % WATCH_BUCKETS;
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

static bool may_know(const struct watch *w, const struct watch_event *ev)
{
    const struct who *who = &w->conn->who;

    if (who->is_privileged) {
        return true;
    }
    return (ev->old_perms && (perm_rights(who, ev->old_perms) & PERM_READ)) ||
           sees(who, ev->before, ev->path) || (ev->after && sees(who, ev->after, ev->path));
}

/* Tells the watches that are set on path[0..len), a beginning of the event's path. */
static void fire_at(struct server *s, const struct watch_event *ev, size_t len, unsigned int below)
{
    for (const struct watch *w = s->watches[bucket_of(ev->path, len)]; w; w = w->next_in_bucket) {
        if (strncmp(w->path, ev->path, len) != 0 || w->path[len] != '\0') {
            continue;
        }
        if (w->depth != WATCH_NO_DEPTH && below > (unsigned int)w->depth) {
            continue;
        }
        if (may_know(w, ev)) {
            tell(w, ev->path);
        }
    }
}

void watch_fire(struct server *s, const struct watch_event *ev)
{
    size_t len = strlen(ev->path);
    unsigned int below = 0;

    fire_at(s, ev, len, 0);
    if (ev->is_exact || len == 1) {
        return;
    }
    for (size_t i = len - 1; i > 0; i--) {
        if (ev->path[i] == '/') {
            fire_at(s, ev, i, ++below);
        }
    }
    fire_at(s, ev, 1, below + 1);
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
