/* SPDX-License-Identifier: MIT */
/*
 * The store nodes of devices, collected for one transaction.  Facts: the directories and common
 * nodes are those that the XenBus drivers of stock Linux read; the copy under /libxl is where Xen's
 * own tools keep what a guest cannot change.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "joistd/dev.h"

struct dev_nodes {
    struct store_node *node;
    size_t count;
    size_t room;
    bool is_short; /* memory ran out */
    bool is_note;  /* only the private copy, and of it what is read again */
    struct dev_paths at;
};

struct dev_nodes *dev_nodes_new(void)
{
    return calloc(1, sizeof(struct dev_nodes));
}

void dev_nodes_free(struct dev_nodes *n)
{
    size_t i;

    for (i = 0; n != NULL && i < n->count; i++) {
        free((char *)n->node[i].path);
        free((char *)n->node[i].value);
        free((char *)n->node[i].perms);
    }
    if (n != NULL) {
        free(n->node);
    }
    free(n);
}

const struct store_node *dev_nodes_list(const struct dev_nodes *n, size_t *count)
{
    *count = n->count;
    return n->is_short ? NULL : n->node;
}

static const char *private_root = "/libxl";

const char *dev_private_root(void)
{
    return private_root;
}

void dev_set_private_root(const char *dir)
{
    private_root = dir;
}

/* Whether a note has that node: what unplug() and the check of sharing look at, no more, since its
   nodes are counted against a domain's quota. */
static bool is_noted(const struct dev_nodes *n, const char *dir, const char *node)
{
    static const char *const noted[] = { "identity", "node",   "guest", "mode",
                                         "dev",      "script", "ip",    "vifname" };
    size_t i;

    for (i = 0; dir == n->at.priv && i < sizeof(noted) / sizeof(noted[0]); i++) {
        if (strcmp(node, noted[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Takes over `value`. */
static void put(struct dev_nodes *n, const char *dir, const char *node, char *value,
                const char *perms)
{
    struct store_node *grown = n->node;
    struct store_node new = { .value = value };
    char path[256];

    if (n->is_note && !is_noted(n, dir, node)) {
        free(value);
        return;
    }
    snprintf(path, sizeof(path), "%s%s%s", dir, node[0] != '\0' ? "/" : "", node);
    new.path = strdup(path);
    new.perms = perms != NULL ? strdup(perms) : NULL;
    if (n->count == n->room) {
        grown = realloc(n->node, (n->room + 64) * sizeof(*grown));
        if (grown != NULL) {
            n->node = grown;
            n->room += 64;
        }
    }
    if (grown == NULL || new.path == NULL || value == NULL || (perms != NULL) != !!new.perms) {
        free((char *)new.path);
        free((char *)new.perms);
        free(value);
        n->is_short = true;
        return;
    }
    n->node[n->count++] = new;
}

/* The directory goes with all that is in it. */
static void put_removal(struct dev_nodes *n, const char *dir)
{
    size_t at = n->count;

    put(n, dir, "", strdup(""), NULL);
    if (n->count > at) {
        free((char *)n->node[at].value);
        n->node[at].value = NULL;
    }
}

static char *text(const char *format, va_list ap)
{
    char *out;

    return vasprintf(&out, format, ap) >= 0 ? out : NULL;
}

void dev_front(struct dev_nodes *n, const char *node, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    put(n, n->at.front, node, text(format, ap), NULL);
    va_end(ap);
}

void dev_front_fixed(struct dev_nodes *n, const struct dev_env *env, const char *node,
                     const char *value)
{
    char perms[32];

    snprintf(perms, sizeof(perms), "n0,r%u", env->domid);
    put(n, n->at.front, node, strdup(value), perms);
}

void dev_private(struct dev_nodes *n, const char *node, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    put(n, n->at.priv, node, text(format, ap), NULL);
    va_end(ap);
}

void dev_back(struct dev_nodes *n, const char *node, const char *format, ...)
{
    va_list ap;
    char *value;

    va_start(ap, format);
    value = text(format, ap);
    va_end(ap);
    put(n, n->at.priv, node, value != NULL ? strdup(value) : NULL, NULL);
    put(n, n->at.back, node, value, NULL);
}

void dev_paths(struct dev_paths *at, const struct dev_class *class, uint16_t domid,
               uint16_t backend_id, unsigned int id)
{
    snprintf(at->front, sizeof(at->front), "/local/domain/%u/device/%s/%u", domid, class->name, id);
    snprintf(at->back, sizeof(at->back), "/local/domain/%u/backend/%s/%u/%u", backend_id,
             class->name, domid, id);
    snprintf(at->priv, sizeof(at->priv), "%s/%u/device/%s/%u", private_root, domid, class->name,
             id);
}

void dev_nodes_add(struct dev_nodes *n, const struct dev_env *env, const struct device *dev)
{
    char perms[32];

    dev_paths(&n->at, dev->class, env->domid, env->backend_id, dev->id);
    /* what has been left by a device of that number goes first, then the directories: the nodes
       in them inherit owner and rights */
    put_removal(n, n->at.priv);
    put_removal(n, n->at.front);
    put_removal(n, n->at.back);
    put(n, n->at.priv, "", strdup(""), "n0");
    snprintf(perms, sizeof(perms), "n%u,r%u", env->domid, env->backend_id);
    put(n, n->at.front, "", strdup(""), perms);
    snprintf(perms, sizeof(perms), "n%u,r%u", env->backend_id, env->domid);
    put(n, n->at.back, "", strdup(""), perms);
    dev_private(n, "frontend", "%s", n->at.front);
    dev_private(n, "backend", "%s", n->at.back);
    dev_private(n, "backend-id", "%u", env->backend_id);
    dev_private(n, "entry", "%s", dev->text);
    dev_front(n, "backend", "%s", n->at.back);
    dev_front(n, "backend-id", "%u", env->backend_id);
    put(n, n->at.back, "frontend", strdup(n->at.front), NULL);
    dev_back(n, "frontend-id", "%u", env->domid);
    dev_back(n, "online", "1");
    if (env->backend_id != 0) { /* the daemon there reads the entry as we have read it */
        put(n, n->at.back, "entry", strdup(dev->text), NULL);
        put(n, n->at.back, "domain", strdup(env->name), NULL);
    }
    dev->class->nodes(n, env, dev);
    dev_front(n, "state", "%d", XB_INITIALISING);
    dev_back(n, "state", "%d", XB_INITIALISING);
}

void dev_nodes_note(struct dev_nodes *n, const struct dev_env *env, const struct device *dev)
{
    n->is_note = true;
    dev_paths(&n->at, dev->class, env->domid, env->backend_id, dev->id);
    dev->class->nodes(n, env, dev);
}
