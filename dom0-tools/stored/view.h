/* SPDX-License-Identifier: MIT */
/*
 * The tree as one request sees it: the live one, or that of its transaction.
 *
 * Looking checks rights and notes what was looked at; changing goes to the transaction, or to
 * the live tree with its journal and its watches.
 */
#pragma once

#include "stored/ops.h"

struct look {
    const char *path;
    unsigned int need;   /* PERM_* */
    unsigned int looked; /* TXN_*: what the request learns from the node */
};

/* 0 with the node; -ENOENT; -EACCES; -ENOSPC: too many nodes in the transaction. Who may not
   see the nearest ancestor learns -EACCES, not -ENOENT. */
int view_get(struct request *rq, const struct look *look, struct node **out);
/* Makes the node and its missing ancestors, with their parent's access list. The node must not
   exist, nor may it have been refused. 0, -EACCES, -ENOSPC. */
int view_create(struct request *rq, const char *path, struct value value);
int view_set_value(struct request *rq, const char *path, struct value value);
int view_set_perms(struct request *rq, const char *path, const struct perms *perms);
int view_remove(struct request *rq, const char *path);
/* Removes a live node and tells the watches of it and of all below. */
void view_remove_live(struct server *s, const char *path);
