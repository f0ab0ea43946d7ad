/* SPDX-License-Identifier: MIT */
/*
 * The tree of nodes, copy on write.
 *
 * A tree is a reference to a root. A transaction takes its own reference, so that both trees
 * share all nodes until one of them changes: a change copies the nodes on its way whose count is
 * above one, and only those. Each change draws a number (generation) and leaves it on the node:
 *
 *   gen       the node was made, or its value or access list was changed
 *   kids_gen  a child was added or removed
 *   sub_gen   anything in or below the node was changed
 *
 * Equal numbers at one path in two trees mean that nothing of that kind happened between them,
 * which is how a transaction finds conflicts. Paths are absolute and valid everywhere here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stored/acct.h"
#include "stored/path.h"
#include "stored/perm.h"

struct node {
    uint32_t refs;
    uint32_t kid_count;
    uint32_t kid_cap;
    uint32_t kid_bytes; /* length of a listing of the children: names with their nuls */
    struct node **kids; /* in order of name */
    uint64_t gen;
    uint64_t kids_gen;
    uint64_t sub_gen;
    uint16_t writer;     /* domain whose change set gen or kids_gen last */
    uint16_t sub_writer; /* the same for sub_gen */
    uint32_t value_len;
    uint8_t *value;
    struct perms perms;
    char name[]; /* last component; "" for the root */
};

struct value {
    const void *data;
    size_t len;
};

struct tree {
    struct node *root;
    struct acct acct; /* owners' nodes: totals of the live tree, changes of a transaction's */
    uint16_t writer;  /* stamped on what is changed */
    int64_t copied;   /* bytes of nodes that were copied because another tree has them too */
};

void tree_init(struct tree *t, const struct perms *root_perms);
/* A second tree with the same content, and an empty account. */
void tree_snapshot(struct tree *copy, const struct tree *t);
void tree_free(struct tree *t);
void node_put(struct node *n);

struct node *tree_find(const struct tree *t, const char *path);
/* The node at path, or its nearest ancestor that exists. */
struct node *tree_find_nearest(const struct tree *t, const char *path);

/* The parent must exist and the node must not. */
void tree_create(struct tree *t, const char *path, const struct perms *perms, struct value value);
/* The node must exist. */
void tree_set_value(struct tree *t, const char *path, struct value value);
void tree_set_perms(struct tree *t, const char *path, const struct perms *perms);
/* Removes the node with all below it; it must exist and not be the root. */
void tree_remove(struct tree *t, const char *path);

/* The walk visits a node before those below it, children in order of name. The tree must not
   change meanwhile. */
struct walk {
    struct node **nodes;
    uint32_t *next;
    size_t depth;
    size_t cap;
    char path[PATH_ABS_MAX + 1];
    bool is_started;
};

void walk_begin(struct walk *w, struct node *top, const char *top_path);
/* The next node, its path in w->path; NULL at the end. */
struct node *walk_next(struct walk *w);
/* Leaves out everything below the node returned last. */
void walk_skip(struct walk *w);
void walk_end(struct walk *w);

/* The size of a node as quotas see it; an empty one has NODE_BASE_SIZE and its access list. */
#define NODE_BASE_SIZE 32u
size_t node_size(const struct node *n);
