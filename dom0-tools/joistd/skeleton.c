/* SPDX-License-Identifier: MIT */
/*
 * Store nodes of a guest.  Facts: the paths that stock Linux reads, and those that Xen's own tools
 * read to list a domain, as a stock toolstack writes them.
 */
#include "joistd/skeleton.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NODES_MAX    (64 + CONFIG_VCPUS_MAX)
#define TEXT_SIZE    (NODES_MAX * 160)
#define CONSOLE_SIZE "1048576" /* bytes the console daemon keeps for a slow reader */

enum who {
    ONLY_US,     /* control domain alone */
    GUEST_READS, /* ours; the guest may read */
    GUEST_OWNS,  /* the guest may write */
};

struct nodes {
    struct store_node node[NODES_MAX];
    size_t count;
    char text[TEXT_SIZE]; /* paths and values, one after another */
    size_t used;
    char perms[3][24];
};

static const char *keep(struct nodes *n, const char *format, va_list ap)
{
    char *at = n->text + n->used;
    int len = vsnprintf(at, sizeof(n->text) - n->used, format, ap);

    if (len < 0 || n->used + (size_t)len + 1 > sizeof(n->text)) {
        return NULL;
    }
    n->used += (size_t)len + 1;
    return at;
}

/* Adds one node; the path is a format.  A full list is a bug that the final check reports. */
static void add(struct nodes *n, enum who who, const char *value, const char *path, ...)
    __attribute__((format(printf, 4, 5)));

static void add(struct nodes *n, enum who who, const char *value, const char *path, ...)
{
    va_list ap;
    const char *p;

    va_start(ap, path);
    p = keep(n, path, ap);
    va_end(ap);
    if (n->count < NODES_MAX) {
        n->node[n->count] = (struct store_node){ p, value, n->perms[who] };
    }
    n->count++;
}

static const char *text(struct nodes *n, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static const char *text(struct nodes *n, const char *format, ...)
{
    va_list ap;
    const char *t;

    va_start(ap, format);
    t = keep(n, format, ap);
    va_end(ap);
    return t;
}

static void add_vm(struct nodes *n, const struct config *c)
{
    struct timespec now;
    const char *vm = text(n, "/vm/%s", c->uuid_text);

    clock_gettime(CLOCK_REALTIME, &now);
    add(n, GUEST_READS, "", "%s", vm);
    add(n, GUEST_READS, c->uuid_text, "%s/uuid", vm);
    add(n, GUEST_READS, c->name, "%s/name", vm);
    add(n, GUEST_READS, "", "%s/image", vm);
    add(n, GUEST_READS, "linux", "%s/image/ostype", vm);
    add(n, GUEST_READS, c->kernel, "%s/image/kernel", vm);
    add(n, GUEST_READS, c->ramdisk, "%s/image/ramdisk", vm);
    add(n, GUEST_READS, c->cmdline, "%s/image/cmdline", vm);
    add(n, GUEST_READS, text(n, "%lld.%02ld", (long long)now.tv_sec, now.tv_nsec / 10000000),
        "%s/start_time", vm);
}

static void add_domain(struct nodes *n, const struct config *c, uint16_t domid)
{
    const char *dom = text(n, "/local/domain/%u", domid);
    unsigned int i;

    add(n, GUEST_READS, "", "%s", dom);
    add(n, GUEST_READS, text(n, "/vm/%s", c->uuid_text), "%s/vm", dom);
    add(n, GUEST_READS, c->name, "%s/name", dom);
    add(n, GUEST_READS, text(n, "%u", domid), "%s/domid", dom);
    add(n, GUEST_READS, "", "%s/cpu", dom);
    for (i = 0; i < c->max_vcpus; i++) {
        add(n, GUEST_READS, "", "%s/cpu/%u", dom, i);
        add(n, GUEST_READS, i < c->vcpus ? "online" : "offline", "%s/cpu/%u/availability", dom, i);
    }
    add(n, GUEST_READS, "", "%s/memory", dom);
    add(n, GUEST_READS, text(n, "%llu", (unsigned long long)c->maxmem_kib), "%s/memory/static-max",
        dom);
    add(n, GUEST_READS, text(n, "%llu", (unsigned long long)c->memory_kib), "%s/memory/target",
        dom);
    add(n, GUEST_READS, "0", "%s/memory/videoram", dom);
    add(n, GUEST_READS, "", "%s/device", dom);
    add(n, GUEST_READS, "", "%s/device/suspend", dom);
    add(n, GUEST_OWNS, "", "%s/device/suspend/event-channel", dom);
    add(n, GUEST_READS, "", "%s/control", dom);
    add(n, GUEST_OWNS, "", "%s/control/shutdown", dom);
    add(n, GUEST_OWNS, "1", "%s/control/feature-poweroff", dom);
    add(n, GUEST_OWNS, "1", "%s/control/feature-reboot", dom);
    add(n, GUEST_OWNS, "1", "%s/control/feature-suspend", dom);
    add(n, GUEST_OWNS, "", "%s/control/sysrq", dom);
    add(n, GUEST_READS, "1", "%s/control/platform-feature-multiprocessor-suspend", dom);
    add(n, GUEST_READS, "1", "%s/control/platform-feature-xs_reset_watches", dom);
    add(n, GUEST_OWNS, "", "%s/data", dom);
    add(n, GUEST_OWNS, "", "%s/drivers", dom);
    add(n, GUEST_OWNS, "", "%s/feature", dom);
    add(n, GUEST_OWNS, "", "%s/attr", dom);
    add(n, GUEST_OWNS, "", "%s/error", dom);
}

static void add_rings(struct nodes *n, const struct built *b)
{
    const char *dom = text(n, "/local/domain/%u", b->domid);

    add(n, GUEST_READS, "", "%s/store", dom);
    add(n, GUEST_READS, text(n, "%u", b->store_port), "%s/store/port", dom);
    add(n, GUEST_READS, text(n, "%llu", (unsigned long long)b->store_mfn), "%s/store/ring-ref",
        dom);
    add(n, GUEST_READS, "", "%s/console", dom);
    add(n, GUEST_READS, text(n, "/local/domain/0/backend/console/%u/0", b->domid),
        "%s/console/backend", dom);
    add(n, GUEST_READS, "0", "%s/console/backend-id", dom);
    add(n, GUEST_READS, CONSOLE_SIZE, "%s/console/limit", dom);
    add(n, GUEST_READS, "xenconsoled", "%s/console/type", dom);
    add(n, GUEST_READS, "pty", "%s/console/output", dom);
    add(n, GUEST_READS, "", "%s/console/tty", dom);
    add(n, GUEST_READS, text(n, "%u", b->console_port), "%s/console/port", dom);
    add(n, GUEST_READS, text(n, "%llu", (unsigned long long)b->console_mfn), "%s/console/ring-ref",
        dom);
}

/* The console's back end, in the guest's sight and again where only we can write. */
static void add_console_device(struct nodes *n, uint16_t domid)
{
    const char *be = text(n, "/local/domain/0/backend/console/%u", domid);
    const char *lib = text(n, "/libxl/%u", domid);
    const char *fe = text(n, "/local/domain/%u/console", domid);
    const char *be0 = text(n, "%s/0", be);
    const char *dev = text(n, "%s/device/console/0", lib);
    const char *id = text(n, "%u", domid);

    add(n, ONLY_US, "", "%s", be);
    add(n, GUEST_READS, "", "%s", be0);
    add(n, GUEST_READS, fe, "%s/frontend", be0);
    add(n, GUEST_READS, id, "%s/frontend-id", be0);
    add(n, GUEST_READS, "1", "%s/online", be0);
    add(n, GUEST_READS, "1", "%s/state", be0);
    add(n, GUEST_READS, "vt100", "%s/protocol", be0);
    add(n, ONLY_US, "", "%s", lib);
    add(n, ONLY_US, "pv", "%s/type", lib);
    add(n, ONLY_US, "", "%s", dev);
    add(n, ONLY_US, fe, "%s/frontend", dev);
    add(n, ONLY_US, be0, "%s/backend", dev);
    add(n, ONLY_US, id, "%s/frontend-id", dev);
    add(n, ONLY_US, "1", "%s/online", dev);
    add(n, ONLY_US, "1", "%s/state", dev);
    add(n, ONLY_US, "vt100", "%s/protocol", dev);
}

int skeleton_write(struct store *s, const struct config *c, const struct built *b,
                   unsigned int timeout_ms)
{
    struct nodes *n = calloc(1, sizeof(*n));
    int rc;

    if (n == NULL) {
        return -ENOMEM;
    }
    snprintf(n->perms[ONLY_US], sizeof(n->perms[0]), "n0");
    snprintf(n->perms[GUEST_READS], sizeof(n->perms[0]), "n0,r%u", b->domid);
    snprintf(n->perms[GUEST_OWNS], sizeof(n->perms[0]), "n%u", b->domid);
    add_vm(n, c);
    add_domain(n, c, b->domid);
    add_rings(n, b);
    add_console_device(n, b->domid);
    if (n->count > NODES_MAX) {
        rc = -E2BIG;
    } else {
        /* nothing of an earlier domain with this id may be left */
        const struct store_node fresh[] = {
            { text(n, "/local/domain/%u", b->domid), NULL, NULL },
            { text(n, "/libxl/%u", b->domid), NULL, NULL },
            { text(n, "/vm/%s", c->uuid_text), NULL, NULL },
            { text(n, "/local/domain/0/backend/console/%u", b->domid), NULL, NULL },
        };

        rc = store_apply(s, fresh, sizeof(fresh) / sizeof(fresh[0]), timeout_ms);
        rc = rc == 0 ? store_apply(s, n->node, n->count, timeout_ms) : rc;
    }
    free(n);
    return rc;
}

int skeleton_remove(struct store *s, uint16_t domid, const char *uuid, unsigned int timeout_ms)
{
    char path[4][96];
    struct store_node node[4];
    size_t count = uuid[0] != '\0' ? 4 : 3;
    size_t i;

    snprintf(path[0], sizeof(path[0]), "/local/domain/%u", domid);
    snprintf(path[1], sizeof(path[1]), "/libxl/%u", domid);
    snprintf(path[2], sizeof(path[2]), "/local/domain/0/backend/console/%u", domid);
    snprintf(path[3], sizeof(path[3]), "/vm/%s", uuid);
    for (i = 0; i < count; i++) {
        node[i] = (struct store_node){ path[i], NULL, NULL };
    }
    return store_apply(s, node, count, timeout_ms);
}

int skeleton_rename(struct store *s, uint16_t domid, const char *uuid, const char *name,
                    unsigned int timeout_ms)
{
    char path[2][96];
    struct store_node node[2] = { { path[0], name, NULL }, { path[1], name, NULL } };

    snprintf(path[0], sizeof(path[0]), "/local/domain/%u/name", domid);
    snprintf(path[1], sizeof(path[1]), "/vm/%s/name", uuid);
    return store_apply(s, node, uuid[0] != '\0' ? 2 : 1, timeout_ms);
}

int skeleton_control_domain(struct store *s)
{
    static const struct store_node nodes[] = {
        { "/local/domain/0/name", "Domain-0", NULL },
        { "/local/domain/0/domid", "0", NULL },
        { "/local/domain/0/control/feature-poweroff", "1", NULL },
        { "/local/domain/0/control/feature-reboot", "1", NULL },
    };
    static const char *const above[] = { "/vm", "/libxl", "/local/domain/0/backend/console" };
    char *name;
    size_t i;
    int rc = store_read(s, 0, "/local/domain/0/domid", &name);

    free(name);
    if (rc == -ENOENT) {
        rc = store_apply(s, nodes, sizeof(nodes) / sizeof(nodes[0]), 1000);
    }
    for (i = 0; rc == 0 && i < sizeof(above) / sizeof(above[0]); i++) {
        rc = store_mkdir(s, 0, above[i]);
    }
    return rc;
}
