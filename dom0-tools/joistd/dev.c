/* SPDX-License-Identifier: MIT */
/* Giving devices to domains and taking them away; runs in children of the daemon. */
#include "joistd/dev.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/evloop.h"
#include "common/log.h"
#include "joistd/config.h"
#include "joistd/devhost.h"
#include "joistd/dev_remote.h"
#include "joistd/joistd.h"

#define LOCK_FILE   "/run/joist/devices.lock"
#define LOOK_AGAIN  500 /* ms: what is waited for may be something that no node tells */
#define NODES_SHOWN 64  /* of a directory that a guest may have filled */

static const struct dev_host *const hosts[DEV_KINDS] = {
    [DEV_VBD] = &disk_host, [DEV_VIF] = &vif_host, [DEV_CONSOLE] = &channel_host,
    [DEV_VFB] = &vfb_host,  [DEV_VKB] = &vkb_host,
};

/* --- the store ------------------------------------------------------------------------------- */

const char *dev_state_name(int state)
{
    static const char *const names[] = { "missing",   "Initialising", "InitWait", "Initialised",
                                         "Connected", "Closing",      "Closed" };

    return state >= 0 && state <= XB_CLOSED ? names[state] : "an unknown state";
}

static int read_state(struct dev_work *w, const char *path)
{
    char text[16];

    return dev_get(w, path, "", text, sizeof(text)) ? atoi(text) : XB_UNKNOWN;
}

bool dev_get(struct dev_work *w, const char *dir, const char *node, char *out, size_t size)
{
    char path[320];
    char *value;
    int rc;

    snprintf(path, sizeof(path), "%s%s%s", dir, node[0] != '\0' ? "/" : "", node);
    rc = store_read(w->s, 0, path, &value);
    if (rc == -ENOTCONN && store_reconnect(w->s, STORE_TIMEOUT_JOB) == 0) {
        rc = store_read(w->s, 0, path, &value);
    }
    snprintf(out, size, "%s", rc == 0 ? value : "");
    if (rc == 0) {
        free(value);
    }
    return rc == 0;
}

int dev_set(struct dev_work *w, const char *dir, const char *node, const char *format, ...)
{
    char path[320];
    char value[1024];
    struct store_node set = { path, value, NULL };
    va_list ap;

    va_start(ap, format);
    vsnprintf(value, sizeof(value), format, ap);
    va_end(ap);
    snprintf(path, sizeof(path), "%s/%s", dir, node);
    return store_apply(w->s, &set, 1, STORE_TIMEOUT_JOB);
}

bool dev_wait(struct dev_work *w, const char *path, bool (*is_over)(struct dev_work *w, void *arg),
              void *arg, unsigned int timeout_ms)
{
    uint64_t end = evloop_now_ms() + timeout_ms;
    struct store_event e;
    uint64_t now;
    bool is_hit;

    store_watch(w->s, path, "wait");
    for (;;) {
        while (store_next_event(w->s, &e)) {
            store_event_free(&e);
        }
        is_hit = is_over(w, arg);
        now = evloop_now_ms();
        if (is_hit || now >= end) {
            break;
        }
        if (store_fd(w->s) < 0) {
            store_reconnect(w->s, (unsigned int)(end - now));
        } else {
            struct pollfd p = { .fd = store_fd(w->s), .events = POLLIN };

            poll(&p, 1, end - now < LOOK_AGAIN ? (int)(end - now) : LOOK_AGAIN);
            store_pump(w->s);
        }
    }
    store_unwatch(w->s, path, "wait");
    return is_hit;
}

struct state_wait {
    const char *path;
    unsigned int mask;
    int last;
};

static bool is_in_state(struct dev_work *w, void *arg)
{
    struct state_wait *s = arg;

    s->last = read_state(w, s->path);
    return s->last >= 0 && s->last < 32 && ((s->mask >> s->last) & 1) != 0;
}

int dev_wait_state(struct dev_work *w, const char *path, unsigned int mask, unsigned int timeout_ms,
                   int *last)
{
    struct state_wait s = { .path = path, .mask = mask };
    bool is_hit = dev_wait(w, path, is_in_state, &s, timeout_ms);

    *last = s.last;
    return is_hit ? s.last : -ETIMEDOUT;
}

int dev_backend_id(struct dev_work *w, const struct device *dev, uint16_t *id)
{
    const char *text = dev->backend;
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    bool is_number = isdigit((unsigned char)text[0]) && *end == '\0'; /* "1web" is a name */
    char path[64];
    char name[128];
    char *names = NULL;
    size_t count = 0;
    size_t i;
    const char *at;

    *id = 0;
    if (text[0] == '\0' || strcmp(text, "Domain-0") == 0 || strcmp(text, "0") == 0) {
        return 0;
    }
    if (store_list(w->s, 0, "/local/domain", &names, &count) != 0) {
        count = 0;
    }
    for (i = 0, at = names; i < count; i++, at += strlen(at) + 1) {
        snprintf(path, sizeof(path), "/local/domain/%.16s", at);
        if ((is_number && strtoul(at, NULL, 10) == n) ||
            (dev_get(w, path, "name", name, sizeof(name)) && strcmp(name, text) == 0)) {
            *id = (uint16_t)strtoul(at, NULL, 10);
            break;
        }
    }
    free(names);
    if (i == count || !remote_is_alive(w, *id)) {
        fail_set(w->f, -ESRCH, "device", dev->where, "backend=%s: there is no such domain", text);
        return fail_remedy(w->f, "start the domain with the back end first");
    }
    if (*id == w->domid) {
        fail_set(w->f, -EINVAL, "device", dev->where, "backend=%s: that is the guest itself", text);
        return fail_remedy(w->f, "name another domain, or leave backend= out");
    }
    return 0;
}

const struct dev_host *dev_host_of(const struct dev_class *class)
{
    return hosts[class->kind];
}

/* --- back ends in this kernel ----------------------------------------------------------------- */

static bool has_driver(const struct dev_class *class)
{
    char path[96];

    snprintf(path, sizeof(path), "/sys/bus/xen-backend/drivers/%s", class->name);
    return access(path, F_OK) == 0;
}

int dev_need_driver(struct dev_work *w, const struct device *dev)
{
    const char *module = hosts[dev->class->kind]->module;
    pid_t pid;

    if (has_driver(dev->class)) {
        return 0;
    }
    pid = fork();
    if (pid == 0) {
        execlp("modprobe", "modprobe", "-q", module, (char *)NULL);
        _exit(127);
    }
    if (pid > 0) {
        waitpid(pid, NULL, 0);
    }
    if (has_driver(dev->class)) {
        return 0;
    }
    fail_set(w->f, -ENODEV, "device", dev->where, "this kernel has no back end for a %s",
             dev->class->noun);
    return fail_remedy(w->f, "load its module: modprobe %s", module);
}

bool dev_wait_unbound(struct dev_work *w, const struct dev_class *class, unsigned int id,
                      unsigned int timeout_ms)
{
    char path[96];
    unsigned int waited;

    snprintf(path, sizeof(path), "/sys/bus/xen-backend/devices/%s-%u-%u", class->name, w->domid,
             id);
    for (waited = 0; access(path, F_OK) == 0; waited += 5) {
        if (waited >= timeout_ms) {
            return false;
        }
        poll(NULL, 0, 5);
    }
    return true;
}

/* --- giving ---------------------------------------------------------------------------------- */

static int write_nodes(struct dev_work *w, const struct config *c, unsigned int first,
                       const uint16_t *backend)
{
    struct dev_nodes *n = dev_nodes_new();
    const struct store_node *list = NULL;
    size_t count = 0;
    unsigned int i;
    int rc = -ENOMEM;

    for (i = first; n != NULL && i < c->device_count; i++) {
        struct dev_env env = { w->domid, backend[i], w->uuid, w->name };

        dev_nodes_add(n, &env, c->devices[i]);
    }
    list = n != NULL ? dev_nodes_list(n, &count) : NULL;
    if (list != NULL) {
        rc = store_apply(w->s, list, count, STORE_TIMEOUT_JOB);
    }
    dev_nodes_free(n);
    if (rc != 0) {
        fail_set(w->f, rc, "store", w->name, "the nodes of its devices cannot be written: %s",
                 strerror(-rc));
        fail_remedy(w->f, "see whether joist-stored runs");
    }
    return rc;
}

/* Waits for the back end of a new device and completes it. */
static int connect_back(struct dev_work *w, const struct device *dev, uint16_t backend)
{
    const struct dev_host *host = hosts[dev->class->kind];
    struct dev_paths at;
    char path[128];
    char why[256];
    int state;
    int rc;

    dev_paths(&at, dev->class, w->domid, backend, dev->id);
    if (backend != 0) {
        return remote_wait_plugged(w, dev, backend, &at);
    }
    if (host->module != NULL) {
        snprintf(path, sizeof(path), "%s/state", at.back);
        rc = dev_wait_state(w, path,
                            1u << XB_INIT_WAIT | 1u << XB_INITIALISED | 1u << XB_CONNECTED |
                                1u << XB_CLOSING | 1u << XB_CLOSED,
                            DEV_BACKEND_WAIT, &state);
        if (rc < 0 || state >= XB_CLOSING) {
            fail_set(w->f, rc < 0 ? rc : -EIO, "device", dev->where,
                     "%s %u: waited %d s for the back end %s in domain %u, which is in state %s",
                     dev->class->noun, dev->id, DEV_BACKEND_WAIT / 1000, at.back, backend,
                     dev_state_name(state));
            return fail_remedy(w->f, "see the kernel's log of that domain");
        }
    }
    rc = host->plug != NULL ? host->plug(w, dev, &at) : 0;
    if (rc != 0) {
        snprintf(path, sizeof(path), "/local/domain/%u/error/backend/%s/%u/%u", backend,
                 dev->class->name, w->domid, dev->id);
        dev_get(w, path, "error", why, sizeof(why));
        dev_make_printable(why); /* the kernel quotes what a front end has written */
        fail_set(w->f, rc, "device", dev->where, "%s %u: the back end refuses it: %s%s%s",
                 dev->class->noun, dev->id, strerror(-rc), why[0] != '\0' ? ": " : "", why);
    }
    return rc;
}

int dev_add_from(struct dev_work *w, const struct config *c, unsigned int first)
{
    uint16_t backend[DEV_MAX] = { 0 };
    int lock = open(LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    unsigned int done = first; /* devices for which the host has given something */
    struct dev_paths at;
    unsigned int i;
    int rc = 0;

    /* from looking whether a disk is in use to saying in the store that it is */
    if (lock < 0 || flock(lock, LOCK_EX) != 0) {
        rc = fail_set(w->f, -errno, "device", LOCK_FILE, "cannot be locked: %s", strerror(errno));
    }
    for (i = first; rc == 0 && i < c->device_count; i++) {
        const struct dev_host *host = hosts[c->devices[i]->class->kind];

        rc = dev_backend_id(w, c->devices[i], &backend[i]);
        if (rc == 0 && host->module != NULL && backend[i] == 0) {
            rc = dev_need_driver(w, c->devices[i]);
        }
    }
    for (; rc == 0 && done < c->device_count; done++) {
        const struct dev_host *host = hosts[c->devices[done]->class->kind];

        w->giving = c;
        w->given = done;
        if (host->prepare != NULL && backend[done] == 0) {
            rc = host->prepare(w, c->devices[done]);
        }
    }
    rc = rc == 0 ? write_nodes(w, c, first, backend) : rc;
    if (rc != 0) {
        for (i = first; i < done; i++) {
            const struct dev_host *host = hosts[c->devices[i]->class->kind];

            dev_paths(&at, c->devices[i]->class, w->domid, backend[i], c->devices[i]->id);
            if (host->unplug != NULL && backend[i] == 0) {
                host->unplug(w, c->devices[i]->id, &at);
            }
        }
        close(lock);
        return rc;
    }
    close(lock);
    for (i = first; rc == 0 && i < c->device_count; i++) {
        rc = connect_back(w, c->devices[i], backend[i]);
    }
    for (i = first; rc != 0 && i < c->device_count; i++) {
        struct fail ignored = { 0 };
        struct dev_work undo = *w;

        undo.f = &ignored;
        dev_remove(&undo, c->devices[i]->class, c->devices[i]->id, true);
    }
    return rc;
}

int dev_add_all(struct dev_work *w, const struct config *c)
{
    return c->device_count > 0 ? dev_add_from(w, c, 0) : 0;
}

int dev_wait_front(struct dev_work *w, const struct device *dev, unsigned int timeout_ms)
{
    struct dev_paths at;
    char path[128];
    int state;

    dev_paths(&at, dev->class, w->domid, 0, dev->id);
    snprintf(path, sizeof(path), "%s/state", at.front);
    return dev_wait_state(w, path, 1u << XB_CONNECTED | 1u << XB_CLOSING | 1u << XB_CLOSED,
                          timeout_ms, &state);
}

/* --- taking away ----------------------------------------------------------------------------- */

/* Where a device's halves are, by the copy that the guest cannot change. */
static uint16_t find_paths(struct dev_work *w, const struct dev_class *class, unsigned int id,
                           struct dev_paths *at)
{
    char text[16];
    uint16_t backend;

    dev_paths(at, class, w->domid, 0, id);
    dev_get(w, at->priv, "backend-id", text, sizeof(text));
    backend = (uint16_t)strtoul(text, NULL, 10);
    dev_paths(at, class, w->domid, backend, id);
    return backend;
}

/* Tells the back end that its device goes; with `cut` the front end's nodes go at once. */
static int say_offline(struct dev_work *w, const struct dev_paths *at, bool cut)
{
    char online[112];
    char state[112];
    struct store_node node[3];
    char text[16];
    size_t count = 0;

    snprintf(online, sizeof(online), "%s/online", at->back);
    snprintf(state, sizeof(state), "%s/state", at->back);
    if (dev_get(w, at->back, "online", text, sizeof(text))) {
        node[count++] = (struct store_node){ online, "0", NULL };
        if (read_state(w, state) != XB_CLOSED) { /* nobody would close it a second time */
            node[count++] = (struct store_node){ state, "5", NULL };
        }
    }
    if (cut) {
        node[count++] = (struct store_node){ at->front, NULL, NULL };
    }
    return count > 0 ? store_apply(w->s, node, count, STORE_TIMEOUT_JOB) : 0;
}

/* The directory above the devices that another domain gave, if it is empty.  Of a domain that has
   ended meanwhile nothing may be left that was written here after its own end. */
static void remove_remote_parent(struct dev_work *w, const struct dev_class *class,
                                 uint16_t backend)
{
    char path[96];
    char text[16];
    struct store_node node = { path, NULL, NULL };
    char *names;
    size_t count;

    snprintf(path, sizeof(path), "/local/domain/%u", backend);
    if (!remote_is_alive(w, backend) && !dev_get(w, path, "domid", text, sizeof(text))) {
        store_apply(w->s, &node, 1, STORE_TIMEOUT_JOB);
        return;
    }
    snprintf(path, sizeof(path), "/local/domain/%u/backend/%s/%u", backend, class->name, w->domid);
    if (store_list(w->s, 0, path, &names, &count) == 0) {
        free(names);
        if (count == 0) {
            store_apply(w->s, &node, 1, STORE_TIMEOUT_JOB);
        }
    }
}

/* Both ends are closed: gives back what the host gave, and removes the nodes, also those in which
   the kernel has noted what went wrong with the back end. */
static int finish_remove(struct dev_work *w, const struct dev_class *class, unsigned int id,
                         const struct dev_paths *at, uint16_t backend)
{
    const struct dev_host *host = hosts[class->kind];
    char error[128];
    const struct store_node gone[] = {
        { at->front, NULL, NULL },
        { at->back, NULL, NULL },
        { at->priv, NULL, NULL },
        { error, NULL, NULL },
    };
    int rc;

    snprintf(error, sizeof(error), "/local/domain/%u/error/backend/%s/%u/%u", backend, class->name,
             w->domid, id);
    if (host->unplug != NULL && backend == 0) {
        host->unplug(w, id, at);
    }
    rc = store_apply(w->s, gone, 4, STORE_TIMEOUT_JOB);
    if (backend != 0) {
        remove_remote_parent(w, class, backend);
    }
    return rc;
}

struct closing {
    const struct dev_class *class;
    unsigned int id;
    bool is_local; /* this kernel has the back end */
    char path[128];
    int back;
};

/* A back end in this kernel is closed, too, when the kernel has let go of it: it writes no state
   any more, and the one that we write may come after its last. */
static bool is_closed(struct dev_work *w, void *arg)
{
    struct closing *c = arg;

    c->back = read_state(w, c->path);
    return c->back == XB_CLOSED || c->back == XB_UNKNOWN ||
           (c->is_local && dev_wait_unbound(w, c->class, c->id, 0));
}

static int wait_closed(struct dev_work *w, const struct dev_class *class, unsigned int id,
                       uint16_t backend, const struct dev_paths *at)
{
    struct closing c = { .class = class,
                         .id = id,
                         .is_local = backend == 0 && hosts[class->kind]->module != NULL };
    char path[128];
    int front;
    const int rc = -ETIMEDOUT;

    snprintf(c.path, sizeof(c.path), "%s/state", at->back);
    if (dev_wait(w, c.path, is_closed, &c, DEV_CLOSE_WAIT)) {
        return 0;
    }
    snprintf(path, sizeof(path), "%s/state", at->front);
    front = read_state(w, path);
    if (front == XB_CLOSED) {
        fail_set(w->f, rc, "detach", w->name, "%s %u: the back end did not close: it is %s",
                 class->noun, id, dev_state_name(c.back));
    } else {
        fail_set(w->f, rc, "detach", w->name,
                 "%s %u: the guest did not close it in %d s: its front end is %s", class->noun, id,
                 DEV_CLOSE_WAIT / 1000, dev_state_name(front));
    }
    return fail_remedy(w->f, "end its use in the guest, or take it away with --force");
}

int dev_remove(struct dev_work *w, const struct dev_class *class, unsigned int id, bool force)
{
    const struct dev_host *host = hosts[class->kind];
    struct dev_paths at;
    uint16_t backend = find_paths(w, class, id, &at);
    char path[128];
    int rc;

    snprintf(path, sizeof(path), "%s/state", at.front);
    /* a front end that never came has nothing to close; a back end that has gone closes nothing */
    force = force || read_state(w, path) <= XB_INITIALISING ||
            (backend != 0 && !remote_is_alive(w, backend));
    rc = say_offline(w, &at, force);
    if (rc != 0) {
        fail_set(w->f, rc, "store", w->name, "%s cannot be written: %s", at.back, strerror(-rc));
        return fail_remedy(w->f, "see whether joist-stored runs");
    }
    if (host->has_states && !force) {
        rc = wait_closed(w, class, id, backend, &at);
        if (rc != 0) {
            return rc;
        }
    }
    if (backend != 0) {
        remote_wait_unplugged(w, class, id, backend, &at, evloop_now_ms() + DEV_CLOSE_WAIT);
    } else if (host->module != NULL && !dev_wait_unbound(w, class, id, DEV_CLOSE_WAIT)) {
        log_warn("%s: the kernel keeps its back end of %s %u", w->name, class->noun, id);
    }
    return finish_remove(w, class, id, &at, backend);
}

struct found {
    const struct dev_class *class;
    unsigned int id;
    uint16_t backend;
    struct dev_paths at;
};

/* The devices that the store knows of the domain; the first console is the skeleton's. */
static size_t find_devices(struct dev_work *w, const struct config *keep, struct found *out)
{
    char dir[96];
    char *names;
    const char *at;
    size_t count = 0;
    size_t n;
    size_t i;
    unsigned int kind;

    for (kind = 0; kind < DEV_KINDS; kind++) {
        const struct dev_class *class = dev_class_at((enum dev_kind)kind);

        if (class == NULL) {
            continue;
        }
        snprintf(dir, sizeof(dir), "%s/%u/device/%s", dev_private_root(), w->domid, class->name);
        if (store_list(w->s, 0, dir, &names, &n) != 0) {
            continue;
        }
        for (i = 0, at = names; i < n && count < DEV_MAX; i++, at += strlen(at) + 1) {
            unsigned int id = (unsigned int)strtoul(at, NULL, 10);

            if ((kind == DEV_CONSOLE && id == 0) ||
                (keep != NULL && dev_by_id(keep, class, id) != NULL)) {
                continue;
            }
            out[count].class = class;
            out[count].id = id;
            out[count].backend = find_paths(w, class, id, &out[count].at);
            count++;
        }
        free(names);
    }
    return count;
}

/* The directories above the devices: empty now. */
static void remove_parents(struct dev_work *w)
{
    static const char *const below[] = { "backend", "error/backend" };
    char path[2 * DEV_KINDS][96];
    struct store_node node[2 * DEV_KINDS];
    size_t count = 0;
    unsigned int i;

    for (i = 0; i < 2 * DEV_KINDS; i++) {
        const struct dev_class *class = dev_class_at((enum dev_kind)(i / 2));

        if (class != NULL && class->kind != DEV_CONSOLE) {
            snprintf(path[count], sizeof(path[0]), "/local/domain/0/%s/%s/%u", below[i % 2],
                     class->name, w->domid);
            node[count] = (struct store_node){ path[count], NULL, NULL };
            count++;
        }
    }
    store_apply(w->s, node, count, STORE_TIMEOUT_JOB);
}

void dev_sweep(struct dev_work *w, const struct config *keep)
{
    unsigned int kind;

    for (kind = 0; kind < DEV_KINDS; kind++) {
        if (hosts[kind] != NULL && hosts[kind]->sweep != NULL) {
            hosts[kind]->sweep(w, keep);
        }
    }
}

void dev_remove_all(struct dev_work *w, const struct config *keep)
{
    struct found *found = calloc(DEV_MAX, sizeof(*found));
    size_t count = found != NULL ? find_devices(w, keep, found) : 0;
    uint64_t end; /* of waiting for other domains, however many devices they gave */
    size_t i;

    for (i = 0; i < count; i++) { /* all are told before the first is waited for */
        say_offline(w, &found[i].at, true);
    }
    end = evloop_now_ms() + DEV_CLOSE_WAIT;
    for (i = 0; i < count; i++) {
        const struct dev_host *host = hosts[found[i].class->kind];

        if (found[i].backend != 0) {
            remote_wait_unplugged(w, found[i].class, found[i].id, found[i].backend, &found[i].at,
                                  end);
        } else if (host->module != NULL &&
                   !dev_wait_unbound(w, found[i].class, found[i].id, DEV_CLOSE_WAIT)) {
            log_warn("%s: the kernel keeps its back end of %s %u", w->name, found[i].class->noun,
                     found[i].id);
        }
        finish_remove(w, found[i].class, found[i].id, &found[i].at, found[i].backend);
    }
    free(found);
    dev_sweep(w, keep);
    if (keep == NULL) {
        remove_parents(w);
    }
}

int dev_resize(struct dev_work *w, const struct device *dev)
{
    const struct dev_host *host = hosts[dev->class->kind];

    if (host->resize == NULL) {
        return fail_set(w->f, -EOPNOTSUPP, "resize", w->name, "a %s has no size", dev->class->noun);
    }
    if (dev->backend[0] != '\0') {
        fail_set(w->f, -EOPNOTSUPP, "resize", w->name, "%s %u comes from the domain %s",
                 dev->class->noun, dev->id, dev->backend);
        return fail_remedy(w->f, "a block device's new size it tells by itself; detach and attach "
                                 "a disk that is a file");
    }
    return host->resize(w, dev);
}

/* --- lists ----------------------------------------------------------------------------------- */

void dev_make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || (unsigned char)*text > '~') {
            *text = '?';
        }
    }
}

static json_t *nodes_of(struct dev_work *w, const char *dir)
{
    json_t *out = json_object();
    char value[1024];
    char *names;
    const char *at;
    size_t count;
    size_t i;

    if (store_list(w->s, 0, dir, &names, &count) != 0) {
        return out;
    }
    for (i = 0, at = names; i < count && i < NODES_SHOWN; i++, at += strlen(at) + 1) {
        if (dev_get(w, dir, at, value, sizeof(value))) {
            dev_make_printable(value);
            json_object_set_new(out, at, json_string(value));
        }
    }
    free(names);
    return out;
}

json_t *dev_list(struct store *s, const struct dev_class *class, uint16_t domid)
{
    struct dev_work w = { .s = s, .domid = domid };
    json_t *out = json_array();
    char path[128];
    char *names;
    const char *at;
    size_t count;
    size_t i;

    snprintf(path, sizeof(path), "/libxl/%u/device/%s", domid, class->name);
    if (store_list(s, 0, path, &names, &count) != 0) {
        return out;
    }
    for (i = 0, at = names; i < count; i++, at += strlen(at) + 1) {
        unsigned int id = (unsigned int)strtoul(at, NULL, 10);

        if (class->kind == DEV_CONSOLE && id == 0) {
            continue; /* the first console is no channel */
        }
        struct dev_paths p;
        uint16_t backend = find_paths(&w, class, id, &p);
        json_t *nodes = nodes_of(&w, p.back);
        json_t *front = nodes_of(&w, p.front);
        char tty[64];
        const char *back_state = json_string_value(json_object_get(nodes, "state"));
        const char *front_state = json_string_value(json_object_get(front, "state"));

        if (class->kind == DEV_CONSOLE && dev_get(&w, p.priv, "tty", tty, sizeof(tty))) {
            json_object_set_new(nodes, "tty", json_string(tty));
        }
        json_array_append_new(
            out, json_pack("{s:i, s:i, s:i, s:i, s:s, s:o, s:o}", "id", (int)id, "backend_id",
                           (int)backend, "state", back_state != NULL ? atoi(back_state) : 0,
                           "front_state", front_state != NULL ? atoi(front_state) : 0, "backend",
                           p.back, "nodes", nodes, "front_nodes", front));
    }
    free(names);
    return out;
}
