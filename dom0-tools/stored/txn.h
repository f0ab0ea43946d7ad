/* SPDX-License-Identifier: MIT */
/*
 * Transactions: a private view of the tree, applied as a whole or not at all.
 *
 * A transaction works on its own copy-on-write tree and notes each path that it looks at or
 * changes. At its end the paths are compared with the tree as it was at the beginning: only a
 * change by others of something that was looked at is a conflict. Otherwise what the transaction
 * wrote is put into the live tree, path by path, and the watches fire.
 */
#pragma once

#include "stored/conn.h"
#include "stored/server.h"

#define TXN_DATA 1u /* existence, value, access list */
#define TXN_KIDS 2u /* the set of children */
#define TXN_TREE 4u /* everything below */

struct txn_path {
    char *name;
    unsigned int looked; /* TXN_* */
    bool is_written;
    bool is_removed;  /* was removed at least once, with all below */
    bool fires;       /* its watches fire at the commit */
    bool fires_exact; /* those on this very node */
    struct txn_path *next_in_bucket;
    struct txn_path *next; /* in order of the first touch */
};

#define TXN_BUCKETS 64u

struct txn {
    uint32_t id;
    struct conn *conn;
    bool is_doomed; /* begun before the daemon was restarted: ends with EAGAIN */
    struct tree tree;
    struct tree base; /* the live tree at the beginning */
    struct txn_path *buckets[TXN_BUCKETS];
    struct txn_path *first;
    struct txn_path **last;
    size_t path_count;
    int64_t bytes; /* of the notes, and of the domain's nodes, which the base may hold back */
    struct txn *next;
};

/* 0 or -ENOSPC (quota). */
int txn_begin(struct conn *c, uint32_t *id);
struct txn *txn_find(struct conn *c, uint32_t id);
bool txn_noted(const struct txn *t, const char *name);
/* Bytes that it takes, at most. */
int64_t txn_memory(const struct txn *t);
/* The note of path, made if there is none. */
struct txn_path *txn_note(struct txn *t, const char *name, unsigned int looked);
/* Ends the transaction, which is freed in every case. 0; -EAGAIN: conflict; -ENOSPC: quota. */
int txn_commit(struct txn *t);
void txn_abort(struct txn *t);
void txn_drop_all(struct conn *c);
/* Replay: a transaction of before the restart. */
void txn_restore(struct conn *c, uint32_t id);
void txn_restore_gone(struct conn *c, uint32_t id);
/* Gives restored transactions the tree of now to look at. */
void txn_refresh(struct conn *c);
void txn_record(struct conn *c, const struct txn *t);
