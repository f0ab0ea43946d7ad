/* SPDX-License-Identifier: MIT */
/* The tree as one request sees it. */

#include "stored/view.h"

#include <errno.h>
#include <string.h>

#include "stored/domain.h"
#include "stored/live.h"
#include "stored/watch.h"

/* May the request's transaction, if it has one, note that many paths more? */
static bool has_room(const struct request *rq, int64_t more)
{
    const struct server *s = rq->server;
    const struct who *who = &rq->conn->who;

    if (!rq->txn || who->is_privileged || more == 0) {
        return true;
    }
    return (int64_t)rq->txn->path_count + more <= domain_quota(s, who->domid, QUOTA_TXN_NODES) &&
           domain_memory(s, who->domid) < domain_quota(s, who->domid, QUOTA_MEMORY);
}

/* Notes path in the request's transaction, if it has one: NULL with *rc 0 if not. What there is no
   room for is not noted: *rc is -ENOSPC. */
static struct txn_path *note(struct request *rq, const char *path, unsigned int looked, int *rc)
{
    *rc = 0;
    if (!rq->txn) {
        return NULL;
    }
    if (!txn_noted(rq->txn, path) && !has_room(rq, 1)) {
        *rc = -ENOSPC;
        return NULL;
    }
    return txn_note(rq->txn, path, looked);
}

int view_get(struct request *rq, const struct look *look, struct node **out)
{
    const struct who *who = &rq->conn->who;
    struct node *n = tree_find(rq->tree, look->path);
    int rc;

    (void)note(rq, look->path, TXN_DATA | look->looked, &rc);
    if (rc < 0) {
        return rc;
    }
    if (!n) {
        const struct node *near = tree_find_nearest(rq->tree, look->path);
        return perm_rights(who, &near->perms) & look->need ? -ENOENT : -EACCES;
    }
    if ((perm_rights(who, &n->perms) & look->need) != look->need) {
        return -EACCES;
    }
    *out = n;
    return 0;
}

/* Would the caller's domain, with more nodes, own too many? */
static bool is_over_nodes(const struct request *rq, int64_t more)
{
    const struct server *s = rq->server;
    uint16_t domid = rq->conn->who.domid;
    int64_t nodes = acct_get(&s->live.acct, domid).nodes;

    if (rq->txn) {
        nodes += acct_get(&rq->txn->tree.acct, domid).nodes;
    }
    return nodes + more > domain_quota(s, domid, QUOTA_NODES);
}

static int64_t size_limit(const struct request *rq)
{
    return domain_quota(rq->server, rq->conn->who.domid, QUOTA_NODE_SIZE);
}

static void tell(struct request *rq, const char *path, const struct perms *old_perms)
{
    struct watch_event ev = { .path = path, .before = &rq->server->live, .old_perms = old_perms };

    watch_fire(rq->server, &ev);
}

/* One node of view_create(): its parent exists, and the transaction has room for its note. */
static void create_one(struct request *rq, const char *path, const struct perms *perms,
                       struct value value)
{
    if (rq->txn) {
        txn_note(rq->txn, path, TXN_DATA)->is_written = true;
        tree_create(rq->tree, path, perms, value);
    } else {
        live_create(rq->server, path, perms, value);
    }
}

/* The number of nodes to make so that path exists below the one at top (an ancestor). */
static int64_t missing_count(const char *path, const struct path *top)
{
    return (int64_t)path_depth(path) - (int64_t)path_depth(top->name);
}

/* The nearest ancestor of path that exists. */
static struct node *nearest(struct request *rq, const char *path, struct path *at)
{
    struct node *n;

    path_parent(at, path);
    while ((n = tree_find(rq->tree, at->name)) == NULL) {
        struct path up;
        path_parent(&up, at->name);
        *at = up;
    }
    return n;
}

/* A child's name counts in its parent: would one of the parents of the new nodes, of which the
   first exists, become too big? rest is the part of the path below the first. */
static bool is_over_size(const struct request *rq, const struct node *parent, const char *rest)
{
    int64_t size = (int64_t)node_size(parent);
    int64_t fresh = (int64_t)(NODE_BASE_SIZE + parent->perms.count * sizeof(struct perm));

    while (*rest) {
        size_t len = strcspn(rest, "/");
        if (size + (int64_t)len + 1 > size_limit(rq)) {
            return true;
        }
        rest += len + (rest[len] == '/');
        size = fresh;
    }
    return false;
}

/* What is to be made: count nodes on the way to path, below the existing parent at top. */
struct creation {
    const char *path;
    const struct node *parent;
    const struct path *top;
    int64_t count;
    struct value value;
};

static int check_create(struct request *rq, const struct creation *new)
{
    const struct who *who = &rq->conn->who;
    size_t list = new->parent->perms.count * sizeof(struct perm);
    size_t top_len = strlen(new->top->name);

    if (!(perm_rights(who, &new->parent->perms) & PERM_WRITE)) {
        return -EACCES;
    }
    if (who->is_privileged) {
        return 0;
    }
    if (!has_room(rq, new->count) || is_over_nodes(rq, new->count) ||
        (int64_t)(NODE_BASE_SIZE + new->value.len + list) > size_limit(rq) ||
        is_over_size(rq, new->parent, new->path + (top_len == 1 ? 1 : top_len + 1))) {
        return -ENOSPC;
    }
    return 0;
}

int view_create(struct request *rq, const char *path, struct value value)
{
    const struct who *who = &rq->conn->who;
    const struct value empty = { .data = "", .len = 0 };
    struct path at;
    struct node *parent = nearest(rq, path, &at);
    int64_t count = missing_count(path, &at);
    size_t len = strlen(at.name);
    int rc;

    (void)note(rq, at.name, TXN_DATA, &rc);
    if (rc == 0) {
        struct creation new = {
            .path = path, .parent = parent, .top = &at, .count = count, .value = value
        };
        rc = check_create(rq, &new);
    }
    if (rc < 0) {
        return rc;
    }
    struct perms perms = perms_copy(&parent->perms);
    if (!who->is_privileged) {
        perms.list[0].domid = who->domid;
    }
    if (len == 1) {
        len = 0;
    }
    /* commit: one component after the other; count was checked against the quotas */
    rq->server->work += (uint64_t)count;
    while (count-- > 0) {
        const char *end = strchr(path + len + 1, '/');
        len = end ? (size_t)(end - path) : strlen(path);
        memcpy(at.name, path, len);
        at.name[len] = '\0';
        create_one(rq, at.name, &perms, count == 0 ? value : empty);
    }
    perms_free(&perms);
    if (rq->txn) {
        txn_note(rq->txn, path, 0)->fires = true;
    } else {
        tell(rq, path, NULL);
    }
    return 0;
}

int view_set_value(struct request *rq, const char *path, struct value value)
{
    const struct node *n = tree_find(rq->tree, path);
    size_t size = node_size(n) - n->value_len + value.len;
    int rc;

    if (!rq->conn->who.is_privileged && (int64_t)size > size_limit(rq)) {
        return -ENOSPC;
    }
    struct txn_path *p = note(rq, path, TXN_DATA, &rc);
    if (rc < 0) {
        return rc;
    }
    if (p) {
        p->is_written = true;
        p->fires = true;
        tree_set_value(rq->tree, path, value);
    } else {
        live_set_value(rq->server, path, value);
        tell(rq, path, NULL);
    }
    return 0;
}

int view_set_perms(struct request *rq, const char *path, const struct perms *perms)
{
    const struct who *who = &rq->conn->who;
    const struct node *n = tree_find(rq->tree, path);
    size_t size = node_size(n) + perms->count * sizeof(struct perm);
    int rc;

    if (!who->is_privileged && (int64_t)size > size_limit(rq)) {
        return -ENOSPC;
    }
    struct txn_path *p = note(rq, path, TXN_DATA, &rc);
    if (rc < 0) {
        return rc;
    }
    if (p) {
        p->is_written = true;
        p->fires = true;
        tree_set_perms(rq->tree, path, perms);
    } else {
        struct perms old = perms_copy(&n->perms);
        live_set_perms(rq->server, path, perms);
        tell(rq, path, &old);
        perms_free(&old);
    }
    return 0;
}

/* Tells watches of everything below path that it goes; path itself is told in the usual way. */
static void tell_removal(struct server *s, const char *path)
{
    struct watch_event ev = { .path = path, .before = &s->live };
    struct walk w;

    watch_fire(s, &ev);
    walk_begin(&w, tree_find(&s->live, path), path);
    (void)walk_next(&w);
    while (walk_next(&w)) {
        struct watch_event below = { .path = w.path, .is_exact = true, .before = &s->live };
        watch_fire(s, &below);
    }
    walk_end(&w);
}

void view_remove_live(struct server *s, const char *path)
{
    tell_removal(s, path);
    live_remove(s, path);
}

/* Paths at and below the node that the request's transaction has not noted. */
static int64_t not_noted(const struct request *rq, const char *path)
{
    struct walk w;
    int64_t count = 0;

    walk_begin(&w, tree_find(rq->tree, path), path);
    while (walk_next(&w)) {
        count += !txn_noted(rq->txn, w.path);
    }
    walk_end(&w);
    return count;
}

int view_remove(struct request *rq, const char *path)
{
    struct walk w;

    if (!rq->txn) {
        view_remove_live(rq->server, path);
        return 0;
    }
    if (!has_room(rq, not_noted(rq, path))) {
        return -ENOSPC;
    }
    struct txn_path *p = txn_note(rq->txn, path, TXN_DATA | TXN_TREE);
    p->is_written = true;
    p->is_removed = true;
    p->fires = true;
    walk_begin(&w, tree_find(rq->tree, path), path);
    (void)walk_next(&w);
    while (walk_next(&w)) {
        txn_note(rq->txn, w.path, 0)->fires_exact = true;
        rq->server->work++;
    }
    walk_end(&w);
    tree_remove(rq->tree, path);
    return 0;
}
