/* SPDX-License-Identifier: MIT */
/* Watches: who wants to know of changes at and below which node. */
#pragma once

#include "stored/conn.h"
#include "stored/server.h"

#define WATCH_NO_DEPTH (-1)

struct watch {
    struct conn *conn;
    char *path; /* absolute */
    char *token;
    bool is_relative; /* was set with a relative name: events are reported so */
    int depth;        /* levels below path that are reported, or WATCH_NO_DEPTH */
    struct watch *next_in_bucket;
    struct watch *next_of_conn;
};

/* What happened to one node. A watcher is told if it may see the node or its parent, in the tree
   before or after. */
struct watch_event {
    const char *path;
    bool is_exact; /* only watches on this very node: it went with one above it */
    const struct tree *before;
    const struct tree *after;      /* may be NULL */
    const struct perms *old_perms; /* list before a change of it, or NULL */
};

struct watch_request {
    const char *path;
    const char *token;
    bool is_relative;
    int depth;
};

/* 0, -EEXIST. Fires nothing. */
int watch_add(struct conn *c, const struct watch_request *rq);
/* 0, -ENOENT. */
int watch_remove(struct conn *c, const char *path, const char *token);
void watch_drop_all(struct conn *c);
/* The event that every new watch gets once. */
void watch_greet(struct conn *c, const struct watch_request *rq);
void watch_fire(struct server *s, const struct watch_event *ev);
/* One of the two special events, about domid. */
void watch_fire_special(struct server *s, enum special which, uint16_t domid);
void watch_record(struct server *s, const struct watch *w);
