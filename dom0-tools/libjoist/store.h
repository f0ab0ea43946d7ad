/* SPDX-License-Identifier: MIT */
/*
 * A client of the store over its unix socket, or over the kernel's xenbus device where that is what
 * XENSTORED_PATH names (the only way in a domain that is not the store's).  Requests are
 * synchronous (one at a time, each with a time limit); watch events that arrive meanwhile wait, at
 * most one for each watch.  When the connection is lost every call returns -ENOTCONN until
 * store_reconnect() succeeds, which sets the watches again, so that each fires once: the caller
 * then looks again at what it watches.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_TIMEOUT_MS 10000 /* longest wait for one reply */

struct store;

struct store_event {
    char *path; /* of the watch: something has changed there or below */
    char *token;
};

/* One node to be written by store_apply(). */
struct store_node {
    const char *path;
    const char *value; /* NULL: remove the node (not an error if it is missing) */
    const char *perms; /* as store_set_perms(); NULL: keep what it inherits */
};

/* Connects; NULL with errno set if the store cannot be reached. */
struct store *store_open(void);
void store_close(struct store *s);

/* Tries to connect until `timeout_ms` have passed; 0 or the negative errno of the last try. */
int store_reconnect(struct store *s, unsigned int timeout_ms);

/* The socket to poll for reading, or -1 while not connected. */
int store_fd(const struct store *s);

/*
 * Requests; `tx` is 0 outside a transaction.  They return 0 or the negative errno that the store
 * answered, -ENOTCONN (connection lost), -ETIMEDOUT, -EPROTO (an answer that is none), -ENOMEM.
 */
int store_read(struct store *s, uint32_t tx, const char *path, char **value);
int store_write(struct store *s, uint32_t tx, const char *path, const char *value);
int store_mkdir(struct store *s, uint32_t tx, const char *path);
int store_rm(struct store *s, uint32_t tx, const char *path);
/* `perms` in the store's letters, separated by commas: "n0,r7" = owner 0, no one else but 7 reads
 */
int store_set_perms(struct store *s, uint32_t tx, const char *path, const char *perms);
/* The children's names, one after another, each with its end mark; free(*names) after use. */
int store_list(struct store *s, uint32_t tx, const char *path, char **names, size_t *count);
int store_begin(struct store *s, uint32_t *tx);
int store_end(struct store *s, uint32_t tx, bool commit);
int store_watch(struct store *s, const char *path, const char *token);
/* The same, but what lies more than `depth` levels below does not count (0: the node alone does).
 */
int store_watch_depth(struct store *s, const char *path, const char *token, unsigned int depth);
int store_unwatch(struct store *s, const char *path, const char *token);
int store_introduce(struct store *s, uint32_t domid, uint64_t gfn, uint32_t port);
int store_release(struct store *s, uint32_t domid);

/*
 * Writes all nodes in one transaction, starting again on a conflict and, after reconnecting, when
 * the store was restarted meanwhile; gives up after `timeout_ms`.
 */
int store_apply(struct store *s, const struct store_node *nodes, size_t count,
                unsigned int timeout_ms);

/* Reads some of what has arrived without waiting; -ENOTCONN when the connection is lost. */
int store_pump(struct store *s);

/*
 * Takes the event that waits longest (its texts are the caller's to free); false if there is none.
 * A request may bring the next one: a loop that makes some while it takes events counts those that
 * are due before it begins, or who writes without end keeps it for ever.
 */
bool store_next_event(struct store *s, struct store_event *e);
unsigned int store_events_due(const struct store *s);
void store_event_free(struct store_event *e);
