/* SPDX-License-Identifier: MIT */
/* The tree of nodes, copy on write. */

#include "stored/tree.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

static uint64_t last_gen;

static uint64_t next_gen(void)
{
    return ++last_gen;
}

static struct node *node_new(const char *name, size_t name_len)
{
    struct node *n = xalloc(sizeof(*n) + name_len + 1);

    n->refs = 1;
    memcpy(n->name, name, name_len);
    return n;
}

/* Drops a reference. Nodes whose last one this was are freed with an explicit list, chained
   through their children arrays: a tree may be deeper than a stack. */
void node_put(struct node *top)
{
    struct node **todo = NULL;
    size_t count = 0;
    size_t cap = 0;

    if (--top->refs > 0) {
        return;
    }
    todo = xalloc(16 * sizeof(struct node *));
    cap = 16;
    todo[count++] = top;
    while (count > 0) {
        struct node *n = todo[--count];
        for (uint32_t i = 0; i < n->kid_count; i++) {
            if (--n->kids[i]->refs > 0) {
                continue;
            }
            if (count == cap) {
                cap *= 2;
                todo = xrealloc(todo, cap * sizeof(struct node *));
            }
            todo[count++] = n->kids[i];
        }
        free(n->kids);
        free(n->value);
        perms_free(&n->perms);
        free(n);
    }
    free(todo);
}

static struct node *node_copy(const struct node *from)
{
    struct node *n = node_new(from->name, strlen(from->name));

    n->kid_count = from->kid_count;
    n->kid_cap = from->kid_count;
    n->kid_bytes = from->kid_bytes;
    n->kids = xmemdup(from->kids, from->kid_count * sizeof(struct node *));
    for (uint32_t i = 0; i < n->kid_count; i++) {
        n->kids[i]->refs++;
    }
    n->gen = from->gen;
    n->kids_gen = from->kids_gen;
    n->sub_gen = from->sub_gen;
    n->writer = from->writer;
    n->sub_writer = from->sub_writer;
    n->value_len = from->value_len;
    n->value = xmemdup(from->value, from->value_len);
    n->perms = perms_copy(&from->perms);
    return n;
}

size_t node_size(const struct node *n)
{
    return NODE_BASE_SIZE + n->value_len + n->kid_bytes + n->perms.count * sizeof(struct perm);
}

/* What a node costs its owner in memory; children's names count where the children are. */
static int64_t node_cost(const struct node *n)
{
    return (int64_t)(sizeof(*n) + strlen(n->name) + n->value_len +
                     n->perms.count * sizeof(struct perm));
}

static void charge(struct tree *t, const struct node *n, int sign)
{
    acct_add(&t->acct, n->perms.list[0].domid, sign, sign * node_cost(n));
}

/* The place of the child called name[0..len), or where it would be. */
static uint32_t kid_place(const struct node *n, const char *name, size_t len, bool *is_there)
{
    uint32_t low = 0;
    uint32_t high = n->kid_count;

    *is_there = false;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const char *kid = n->kids[mid]->name;
        int cmp = strncmp(kid, name, len);
        if (cmp == 0 && kid[len] != '\0') {
            cmp = 1;
        }
        if (cmp == 0) {
            *is_there = true;
            return mid;
        }
        if (cmp < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

/* The next component of *path, which moves behind it; its length, 0 at the end. */
static size_t next_part(const char **path, const char **part)
{
    while (**path == '/') {
        (*path)++;
    }
    *part = *path;
    while (**path && **path != '/') {
        (*path)++;
    }
    return (size_t)(*path - *part);
}

static struct node *find(const struct tree *t, const char *path, bool is_nearest)
{
    struct node *n = t->root;
    const char *part;
    size_t len;

    while ((len = next_part(&path, &part)) > 0) {
        bool is_there;
        uint32_t i = kid_place(n, part, len, &is_there);
        if (!is_there) {
            return is_nearest ? n : NULL;
        }
        n = n->kids[i];
    }
    return n;
}

struct node *tree_find(const struct tree *t, const char *path)
{
    return find(t, path, false);
}

struct node *tree_find_nearest(const struct tree *t, const char *path)
{
    return find(t, path, true);
}

/* The node in *slot, made this tree's own, stamped as changed below. */
static struct node *own(struct tree *t, struct node **slot, uint64_t gen)
{
    struct node *n = *slot;

    if (n->refs > 1) {
        n = node_copy(n);
        (*slot)->refs--;
        *slot = n;
        t->copied += node_cost(n) + (int64_t)(n->kid_count * sizeof(struct node *));
    }
    n->sub_gen = gen;
    n->sub_writer = t->writer;
    return n;
}

/* Makes the way to the node at path[0..len) this tree's own; it exists. */
static struct node *own_path(struct tree *t, const char *path, size_t len, uint64_t gen)
{
    struct node *n = own(t, &t->root, gen);
    const char *end = path + len;
    const char *part;
    size_t part_len;

    while (path < end && (part_len = next_part(&path, &part)) > 0) {
        bool is_there;
        uint32_t i = kid_place(n, part, part_len, &is_there);
        n = own(t, &n->kids[i], gen);
    }
    return n;
}

void tree_init(struct tree *t, const struct perms *root_perms)
{
    *t = (struct tree){ 0 };
    t->root = node_new("", 0);
    t->root->perms = perms_copy(root_perms);
    t->root->gen = next_gen();
    t->root->kids_gen = t->root->gen;
    t->root->sub_gen = t->root->gen;
    charge(t, t->root, 1);
}

void tree_snapshot(struct tree *copy, const struct tree *t)
{
    *copy = (struct tree){ .root = t->root, .writer = t->writer };
    t->root->refs++;
}

void tree_free(struct tree *t)
{
    if (t->root) {
        node_put(t->root);
    }
    acct_free(&t->acct);
    *t = (struct tree){ 0 };
}

static size_t parent_len(const char *path)
{
    return (size_t)(strrchr(path, '/') - path);
}

void tree_create(struct tree *t, const char *path, const struct perms *perms, struct value value)
{
    uint64_t gen = next_gen();
    size_t up = parent_len(path);
    struct node *parent = own_path(t, path, up, gen);
    const char *name = path + up + 1;
    size_t len = strlen(name);
    bool is_there;
    uint32_t i = kid_place(parent, name, len, &is_there);
    struct node *n = node_new(name, len);

    n->perms = perms_copy(perms);
    n->value = xmemdup(value.data, value.len);
    n->value_len = (uint32_t)value.len;
    n->gen = gen;
    n->kids_gen = gen;
    n->sub_gen = gen;
    n->writer = t->writer;
    n->sub_writer = t->writer;
    if (parent->kid_count == parent->kid_cap) {
        parent->kid_cap = parent->kid_cap ? parent->kid_cap * 2 : 4;
        parent->kids = xrealloc(parent->kids, parent->kid_cap * sizeof(struct node *));
    }
    memmove(&parent->kids[i + 1], &parent->kids[i],
            (parent->kid_count - i) * sizeof(struct node *));
    parent->kids[i] = n;
    parent->kid_count++;
    parent->kid_bytes += (uint32_t)len + 1;
    parent->kids_gen = gen;
    parent->writer = t->writer;
    charge(t, n, 1);
}

void tree_set_value(struct tree *t, const char *path, struct value value)
{
    uint64_t gen = next_gen();
    struct node *n = own_path(t, path, strlen(path), gen);

    charge(t, n, -1);
    free(n->value);
    n->value = xmemdup(value.data, value.len);
    n->value_len = (uint32_t)value.len;
    n->gen = gen;
    n->writer = t->writer;
    charge(t, n, 1);
}

void tree_set_perms(struct tree *t, const char *path, const struct perms *perms)
{
    uint64_t gen = next_gen();
    struct node *n = own_path(t, path, strlen(path), gen);
    struct perms fresh = perms_copy(perms);

    charge(t, n, -1);
    perms_free(&n->perms);
    n->perms = fresh;
    n->gen = gen;
    n->writer = t->writer;
    charge(t, n, 1);
}

void tree_remove(struct tree *t, const char *path)
{
    uint64_t gen = next_gen();
    size_t up = parent_len(path);
    struct node *parent = own_path(t, path, up, gen);
    const char *name = path + up + 1;
    bool is_there;
    uint32_t i = kid_place(parent, name, strlen(name), &is_there);
    struct node *gone = parent->kids[i];
    struct walk w;
    struct node *n;

    walk_begin(&w, gone, path);
    while ((n = walk_next(&w)) != NULL) {
        charge(t, n, -1);
    }
    walk_end(&w);
    parent->kid_count--;
    memmove(&parent->kids[i], &parent->kids[i + 1],
            (parent->kid_count - i) * sizeof(struct node *));
    parent->kid_bytes -= (uint32_t)strlen(name) + 1;
    parent->kids_gen = gen;
    parent->writer = t->writer;
    node_put(gone);
}

void walk_begin(struct walk *w, struct node *top, const char *top_path)
{
    *w = (struct walk){ .cap = 16 };
    w->nodes = xalloc(w->cap * sizeof(struct node *));
    w->next = xalloc(w->cap * sizeof(*w->next));
    w->nodes[0] = top;
    w->depth = 1;
    memcpy(w->path, top_path, strlen(top_path) + 1);
}

static void path_up(char *path)
{
    char *slash = strrchr(path, '/');

    slash[slash == path ? 1 : 0] = '\0';
}

struct node *walk_next(struct walk *w)
{
    if (!w->is_started) {
        w->is_started = true;
        return w->nodes[0];
    }
    while (w->depth > 0) {
        struct node *n = w->nodes[w->depth - 1];
        if (w->next[w->depth - 1] >= n->kid_count) {
            w->depth--;
            if (w->depth > 0) {
                path_up(w->path);
            }
            continue;
        }
        struct node *kid = n->kids[w->next[w->depth - 1]++];
        if (w->depth == w->cap) {
            w->cap *= 2;
            w->nodes = xrealloc(w->nodes, w->cap * sizeof(struct node *));
            w->next = xrealloc(w->next, w->cap * sizeof(*w->next));
        }
        w->nodes[w->depth] = kid;
        w->next[w->depth] = 0;
        w->depth++;
        size_t len = strlen(w->path);
        if (len > 1) {
            w->path[len++] = '/';
        }
        memcpy(w->path + len, kid->name, strlen(kid->name) + 1);
        return kid;
    }
    return NULL;
}

void walk_skip(struct walk *w)
{
    w->next[w->depth - 1] = UINT32_MAX;
}

void walk_end(struct walk *w)
{
    free(w->nodes);
    free(w->next);
}
