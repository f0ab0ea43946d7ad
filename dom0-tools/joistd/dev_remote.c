/* SPDX-License-Identifier: MIT */
/* Waiting for the daemon of another domain that has back ends. */
#include "joistd/dev_remote.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/evloop.h"
#include "common/log.h"
#include "libjoist/joist.h"

bool remote_is_alive(struct dev_work *w, uint16_t domid)
{
    struct joist_dominfo info;

    return joist_dominfo(w->h, domid, &info) == 0 && !info.is_dying && !info.is_shutdown;
}

struct wait {
    uint16_t backend;
    const struct dev_paths *at;
    char status[32];
    int state;
    bool is_dead;
};

/* Reads the status; true if its domain has ended meanwhile. */
static bool look(struct dev_work *w, struct wait *t)
{
    dev_get(w, t->at->back, "hotplug-status", t->status, sizeof(t->status));
    dev_make_printable(t->status);
    t->is_dead = !remote_is_alive(w, t->backend);
    return t->is_dead;
}

static bool is_plugged(struct dev_work *w, void *arg)
{
    struct wait *t = arg;
    char state[8];

    dev_get(w, t->at->back, "state", state, sizeof(state));
    t->state = state[0] >= '0' && state[0] <= '9' && state[1] == '\0' ? state[0] - '0' : XB_UNKNOWN;
    return look(w, t) || t->state >= XB_CLOSING || strcmp(t->status, REMOTE_CONNECTED) == 0 ||
           strcmp(t->status, REMOTE_ERROR) == 0 || strcmp(t->status, "busy") == 0;
}

static bool is_unplugged(struct dev_work *w, void *arg)
{
    struct wait *t = arg;

    return look(w, t) || t->status[0] == '\0' || strcmp(t->status, REMOTE_DISCONNECTED) == 0 ||
           strcmp(t->status, REMOTE_ERROR) == 0;
}

static void domain_name(struct dev_work *w, uint16_t domid, char *name, size_t size)
{
    char path[64];

    snprintf(path, sizeof(path), "/local/domain/%u", domid);
    if (!dev_get(w, path, "name", name, size)) {
        snprintf(name, size, "without a name");
    }
    dev_make_printable(name);
}

int remote_wait_plugged(struct dev_work *w, const struct device *dev, uint16_t backend,
                        const struct dev_paths *at)
{
    struct wait t = { .backend = backend, .at = at };
    bool is_over = dev_wait(w, at->back, is_plugged, &t, DEV_BACKEND_WAIT);
    char name[96];
    char why[256];

    if (is_over && !t.is_dead && t.state < XB_CLOSING && strcmp(t.status, REMOTE_CONNECTED) == 0) {
        return 0;
    }
    domain_name(w, backend, name, sizeof(name));
    if (!is_over) {
        fail_set(w->f, -ETIMEDOUT, "device", dev->where,
                 "%s %u: waited %d s for joistd --backend in domain %u (%s), which has not set it "
                 "up: the back end is %s",
                 dev->class->noun, dev->id, DEV_BACKEND_WAIT / 1000, backend, name,
                 dev_state_name(t.state));
        return fail_remedy(w->f, "see whether it runs there, and its log");
    }
    if (t.is_dead) {
        return fail_set(w->f, -ESRCH, "device", dev->where,
                        "%s %u: the domain %u with its back end (%s) has ended meanwhile",
                        dev->class->noun, dev->id, backend, name);
    }
    dev_get(w, at->back, "hotplug-error", why, sizeof(why));
    if (why[0] == '\0') {
        snprintf(why, sizeof(why), "it gives no reason");
    }
    dev_make_printable(why);
    return fail_set(w->f, -EIO, "device", dev->where, "%s %u: domain %u (%s) refuses it: %s",
                    dev->class->noun, dev->id, backend, name, why);
}

void remote_wait_unplugged(struct dev_work *w, const struct dev_class *class, unsigned int id,
                           uint16_t backend, const struct dev_paths *at, uint64_t end_ms)
{
    struct wait t = { .backend = backend, .at = at };
    uint64_t now = evloop_now_ms();
    unsigned int left = now < end_ms ? (unsigned int)(end_ms - now) : 0;
    char name[96];

    if (!dev_wait(w, at->back, is_unplugged, &t, left)) {
        domain_name(w, backend, name, sizeof(name));
        log_warn("%s: joistd --backend in domain %u (%s) has not let go of %s %u", w->name, backend,
                 name, class->noun, id);
    }
}
