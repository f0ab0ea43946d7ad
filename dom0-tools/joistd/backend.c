/* SPDX-License-Identifier: MIT */
/*
 * Back ends in a domain other than the control domain.  The control domain has written the nodes of
 * a device (dev_remote.h says how both sides meet); here its entry is read by the same parsers and
 * set up by the same halves of the classes as there.  The store is reached through the kernel's
 * xenbus device: no store daemon, no hypervisor calls, no configuration.
 *
 * Nothing is kept in memory.  A note under this domain's data/joist says what has been begun; each
 * look compares the back ends' directory with the notes and starts what is missing, each in a
 * child, so that a daemon killed at any moment is followed by one that goes on.
 */
#include "joistd/backend.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/evloop.h"
#include "common/log.h"
#include "joistd/blkdev.h"
#include "joistd/config.h"
#include "joistd/dev.h"
#include "joistd/dev_remote.h"
#include "joistd/job.h"
#include "joistd/joistd.h"
#include "joistd/report.h"
#include "joistd/vif.h"

#define NOTES        "data/joist"
#define LOOK_MS      20   /* events that come together are one look */
#define RETRY_MS     1000 /* after work that could not be finished */
#define UNBIND_MS    1000 /* for the kernel to let go, before others get their turn */
#define OPEN_WAIT    1000 /* for the kernel to open what it has been told of */
#define STORE_WAIT   10000
#define WORKS_MAX    16 /* children at a time */
#define LOCK_FILE    "/run/joist/devices.lock"
#define DOMAIN_FIRST 1
#define DOMAIN_LAST  0x7fef

struct backend {
    struct evloop *loop;
    struct store *s;
    struct ev_fd source;
    struct ev_timer look;
    struct work *works;
    unsigned int work_count;
    uint16_t own_id;
    int code; /* why it must end; 0: it need not */
};

/* One device in work. */
struct work {
    struct work *next;
    struct backend *b;
    const struct dev_class *class;
    uint16_t front;
    unsigned int id;
    bool is_removal;
    struct job job;
};

static const enum dev_kind kinds[] = { DEV_VBD, DEV_VIF };

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* --- in a child: one device ------------------------------------------------------------------- */

struct task {
    struct dev_work w;
    struct dev_paths at;
    char tag[24];  /* takes the place of the guest's UUID in marks on this machine */
    char name[96]; /* of the guest */
    struct fail f;
};

static int task_open(struct task *t, const struct work *work)
{
    *t = (struct task){ .w = { .domid = work->front } };
    t->w.s = store_open_wait(STORE_WAIT);
    if (t->w.s == NULL) {
        return fail_set(&t->f, -errno, "store", "store", "cannot be reached: %s", strerror(errno));
    }
    snprintf(t->tag, sizeof(t->tag), "backend-%u", work->front);
    dev_paths(&t->at, work->class, work->front, work->b->own_id, work->id);
    if (!dev_get(&t->w, t->at.back, "domain", t->name, sizeof(t->name))) {
        snprintf(t->name, sizeof(t->name), "domain %u", work->front);
    }
    dev_make_printable(t->name);
    t->w.uuid = t->tag;
    t->w.name = t->name;
    t->w.f = &t->f;
    return 0;
}

/* Gives back what the device has of this machine, and forgets that it had anything. */
static void let_go(struct task *t, const struct work *work)
{
    struct store_node gone = { t->at.priv, NULL, NULL };

    dev_host_of(work->class)->unplug(&t->w, work->id, &t->at);
    store_apply(t->w.s, &gone, 1, STORE_WAIT);
}

static int take_lock(struct task *t)
{
    int lock = open(LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (lock < 0 || flock(lock, LOCK_EX) != 0) {
        fail_set(&t->f, -errno, "device", LOCK_FILE, "cannot be locked: %s", strerror(errno));
    }
    return lock;
}

static size_t count_notes(struct store *s, unsigned int front)
{
    char dir[96];
    char *names;
    size_t all = 0;
    size_t count;
    size_t i;

    for (i = 0; i < KINDS; i++) {
        snprintf(dir, sizeof(dir), NOTES "/%u/device/%s", front, dev_class_at(kinds[i])->name);
        if (store_list(s, 0, dir, &names, &count) == 0) {
            free(names);
            all += count;
        }
    }
    return all;
}

/* The directory of a domain without notes goes; the lock is held, so that none is being made. */
static void forget_front(struct store *s, unsigned int front)
{
    char dir[96];
    const struct store_node gone = { dir, NULL, NULL };

    if (count_notes(s, front) == 0) {
        snprintf(dir, sizeof(dir), NOTES "/%u", front);
        store_apply(s, &gone, 1, STORE_WAIT);
    }
}

/* let_go() outside of the lock; the last note of a front end's domain takes its directory along. */
static void end_note(struct task *t, const struct work *work)
{
    int lock = take_lock(t);

    let_go(t, work);
    if (lock >= 0) {
        forget_front(t->w.s, work->front);
        close(lock);
    }
}

/* Reads the entry that the control domain has read before, with what it has added to it. */
static int read_entry(struct task *t, const struct work *work, struct config *c,
                      struct device **dev)
{
    char text[DEV_TEXT_MAX + 1];
    char mac[24];
    struct dev_parse p = {
        .text = text, .cwd = "/", .file = t->at.back, .warnings = json_array(), .f = &t->f
    };
    int rc;

    if (!dev_get(&t->w, t->at.back, "entry", text, sizeof(text))) {
        rc = fail_set(&t->f, -ENOENT, "device", t->at.back, "the node entry is missing");
    } else {
        rc = dev_read_one(c, work->class, &p, dev);
    }
    json_decref(p.warnings);
    if (rc != 0) {
        return rc;
    }
    (*dev)->id = work->id;
    (*dev)->backend[0] = '\0'; /* here it is a device of this machine */
    if (work->class->kind == DEV_VIF) {
        struct vif *v = (*dev)->own;

        dev_get(&t->w, t->at.back, "mac", mac, sizeof(mac));
        if (vif_mac_parse(v->mac, mac) != 0) {
            return fail_set(&t->f, -EINVAL, "device", t->at.back, "its node mac is no address");
        }
        v->has_mac = true;
    }
    return 0;
}

/* The note of a device: what is needed when the control domain has removed its nodes. */
static int write_note(struct task *t, const struct work *work, const struct device *dev)
{
    struct dev_nodes *n = dev_nodes_new();
    struct dev_env env = { work->front, work->b->own_id, t->tag, t->name };
    const struct store_node *list = NULL;
    size_t count = 0;
    int rc = -ENOMEM;

    if (n != NULL) {
        dev_nodes_note(n, &env, dev);
        list = dev_nodes_list(n, &count);
    }
    if (list != NULL) {
        rc = store_apply(t->w.s, list, count, STORE_WAIT);
    }
    dev_nodes_free(n);
    return rc == 0
               ? 0
               : fail_set(&t->f, rc, "store", t->at.priv, "cannot be written: %s", strerror(-rc));
}

/* A disk that the back end has opened stays as it is: a daemon was killed before it could say so.
   The back end that has been told of its block device opens that one and never another. */
static bool is_set_up(struct task *t, const struct work *work)
{
    char path[128];
    char told[32];
    unsigned int waited = 0;

    if (work->class->kind != DEV_VBD) {
        return false;
    }
    snprintf(path, sizeof(path), "/sys/bus/xen-backend/devices/vbd-%u-%u/physical_device",
             work->front, work->id);
    if (dev_get(&t->w, t->at.back, "physical-device", told, sizeof(told))) {
        for (; access(path, F_OK) != 0 && waited < OPEN_WAIT; waited += 10) {
            poll(NULL, 0, 10);
        }
    }
    return access(path, F_OK) == 0;
}

/* Everything up to the note happens under the lock: what is asked about sharing stays true. */
static int prepare(struct task *t, const struct work *work, const struct device *dev)
{
    const struct dev_host *host = dev_host_of(work->class);
    int lock = take_lock(t);
    int rc = t->f.code;

    if (rc == 0) {
        let_go(t, work); /* what an earlier daemon may have begun */
        rc = dev_set(&t->w, t->at.priv, "begun", "1");
        rc = rc == 0 ? 0 : fail_set(&t->f, rc, "store", t->at.priv, "%s", strerror(-rc));
    }
    rc = rc == 0 ? dev_need_driver(&t->w, dev) : rc;
    rc = rc == 0 ? host->prepare(&t->w, (struct device *)dev) : rc;
    rc = rc == 0 ? write_note(t, work, dev) : rc;
    if (lock >= 0) {
        close(lock);
    }
    return rc;
}

static int plug(struct task *t, const struct work *work, const struct device *dev)
{
    char path[128];
    int state;
    int rc;

    snprintf(path, sizeof(path), "%s/state", t->at.back);
    rc = dev_wait_state(&t->w, path,
                        1u << XB_INIT_WAIT | 1u << XB_INITIALISED | 1u << XB_CONNECTED |
                            1u << XB_CLOSING | 1u << XB_CLOSED,
                        DEV_BACKEND_WAIT, &state);
    if (rc < 0 || state >= XB_CLOSING) {
        return fail_set(&t->f, rc < 0 ? rc : -EIO, "device", t->at.back,
                        "waited for this kernel's back end, which is in state %s",
                        dev_state_name(state));
    }
    rc = dev_host_of(work->class)->plug(&t->w, dev, &t->at);
    if (rc != 0 && t->f.code == 0) {
        fail_set(&t->f, rc, "device", t->at.back, "this kernel's back end refuses it: %s",
                 strerror(-rc));
    }
    return rc;
}

/* Says that the device is not to be had, and why. */
static void refuse(struct task *t, const struct work *work)
{
    char line[512];

    fail_text(&t->f, line, sizeof(line));
    log_error("%s: %s %u: %s", t->name, work->class->noun, work->id, line);
    dev_set(&t->w, t->at.back, "hotplug-error", "%s", line);
    dev_set(&t->w, t->at.back, "hotplug-status", REMOTE_ERROR);
}

static int set_up(struct task *t, const struct work *work)
{
    struct config *c = calloc(1, sizeof(*c));
    struct device *dev = NULL;
    int rc = c != NULL ? read_entry(t, work, c, &dev) : -ENOMEM;

    if (rc == 0 && is_set_up(t, work)) {
        return dev_set(&t->w, t->at.back, "hotplug-status", REMOTE_CONNECTED);
    }
    rc = rc == 0 ? prepare(t, work, dev) : rc;
    rc = rc == 0 ? plug(t, work, dev) : rc;
    if (rc == 0) {
        log_info("%s: %s %u set up", t->name, work->class->noun, work->id);
        return 0;
    }
    end_note(t, work); /* who is told finds nothing left */
    refuse(t, work);
    return 0; /* said: the control domain takes it away */
}

/* The control domain takes the device away; the kernel lets go in its own time, the guest's too. */
static int take_away(struct task *t, const struct work *work)
{
    char text[8];

    if (!dev_wait_unbound(&t->w, work->class, work->id, UNBIND_MS)) {
        return -ETIMEDOUT;
    }
    end_note(t, work);
    if (dev_get(&t->w, t->at.back, "online", text, sizeof(text))) {
        dev_set(&t->w, t->at.back, "hotplug-status", REMOTE_DISCONNECTED);
    }
    log_info("%s: %s %u let go", t->name, work->class->noun, work->id);
    return 0;
}

static json_t *work_child(void *arg)
{
    const struct work *work = arg;
    static struct task t; /* as long as the child */
    int rc = task_open(&t, work);

    if (rc == 0) {
        rc = work->is_removal ? take_away(&t, work) : set_up(&t, work);
    }
    return json_pack("{s:i}", "code", rc);
}

/* --- in the daemon: what is to be done -------------------------------------------------------- */

static void work_done(struct job *j, json_t *report)
{
    struct work *work = (struct work *)((char *)j - offsetof(struct work, job));
    struct backend *b = work->b;
    struct work **at = &b->works;
    bool is_done = json_integer_value(json_object_get(report, "code")) == 0 && report != NULL;

    while (*at != work) {
        at = &(*at)->next;
    }
    *at = work->next;
    b->work_count--;
    free(work);
    evloop_arm(b->loop, &b->look, is_done ? LOOK_MS : RETRY_MS);
}

static void begin(struct backend *b, const struct dev_class *class, uint16_t front, unsigned int id,
                  bool is_removal)
{
    struct work *work;
    int rc;

    for (work = b->works; work != NULL; work = work->next) {
        if (work->class == class && work->front == front && work->id == id) {
            return; /* its end leads to another look */
        }
    }
    if (b->work_count >= WORKS_MAX) {
        return; /* as above */
    }
    work = xalloc(sizeof(*work));
    *work = (struct work){
        .b = b, .class = class, .front = front, .id = id, .is_removal = is_removal, .next = b->works
    };
    rc = job_start(&work->job, b->loop, work_child, work, work_done);
    if (rc != 0) {
        log_error("no child process: %s", strerror(-rc));
        free(work);
        evloop_arm(b->loop, &b->look, RETRY_MS);
        return;
    }
    b->works = work;
    b->work_count++;
}

/* Calls act() for each name below the directory that is a number up to `last`. */
static void each_number(struct backend *b, const char *dir, unsigned long last,
                        void (*act)(struct backend *b, const struct dev_class *class,
                                    unsigned int number, unsigned int above),
                        const struct dev_class *class, unsigned int above)
{
    char *names;
    const char *at;
    size_t count;
    size_t i;

    if (store_list(b->s, 0, dir, &names, &count) != 0) {
        return;
    }
    for (i = 0, at = names; i < count; i++, at += strlen(at) + 1) {
        char *end;
        unsigned long n = strtoul(at, &end, 10);

        if (isdigit((unsigned char)at[0]) && *end == '\0' && n <= last) {
            act(b, class, (unsigned int)n, above);
        }
    }
    free(names);
}

static void look_at_device(struct backend *b, const struct dev_class *class, unsigned int id,
                           unsigned int front)
{
    struct dev_work w = { .s = b->s, .domid = (uint16_t)front };
    struct dev_paths at;
    char online[8];
    char status[32];

    dev_paths(&at, class, (uint16_t)front, b->own_id, id);
    dev_get(&w, at.back, "hotplug-status", status, sizeof(status));
    if (!dev_get(&w, at.back, "online", online, sizeof(online))) {
        return; /* being written, or on its way out */
    }
    if (strcmp(online, "0") == 0) {
        if (strcmp(status, REMOTE_DISCONNECTED) != 0 && strcmp(status, REMOTE_ERROR) != 0) {
            begin(b, class, (uint16_t)front, id, true);
        }
    } else if (strcmp(status, REMOTE_CONNECTED) != 0 && strcmp(status, REMOTE_ERROR) != 0) {
        begin(b, class, (uint16_t)front, id, false);
    }
}

static void look_at_front(struct backend *b, const struct dev_class *class, unsigned int front,
                          unsigned int above)
{
    char dir[64];

    (void)above;
    if (front >= DOMAIN_FIRST) {
        snprintf(dir, sizeof(dir), "backend/%s/%u", class->name, front);
        each_number(b, dir, UINT32_MAX - 1, look_at_device, class, front);
    }
}

static void look_at_note(struct backend *b, const struct dev_class *class, unsigned int id,
                         unsigned int front)
{
    struct dev_work w = { .s = b->s, .domid = (uint16_t)front };
    struct dev_paths at;
    char online[8];

    dev_paths(&at, class, (uint16_t)front, b->own_id, id);
    if (!dev_get(&w, at.back, "online", online, sizeof(online))) {
        begin(b, class, (uint16_t)front, id, true);
    }
}

static void look_at_notes(struct backend *b, const struct dev_class *class, unsigned int front,
                          unsigned int above)
{
    char dir[64];
    size_t i;
    int lock;

    (void)class;
    (void)above;
    if (front >= DOMAIN_FIRST && count_notes(b->s, front) == 0) {
        /* a daemon was killed between the last note's end and this; who has the lock looks again */
        lock = open(LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0) {
            forget_front(b->s, front);
        }
        close(lock);
        return;
    }
    for (i = 0; front >= DOMAIN_FIRST && i < KINDS; i++) {
        class = dev_class_at(kinds[i]);
        snprintf(dir, sizeof(dir), NOTES "/%u/device/%s", front, class->name);
        each_number(b, dir, UINT32_MAX - 1, look_at_note, class, front);
    }
}

static void look(struct ev_timer *timer)
{
    struct backend *b = timer->owner;
    char dir[32];
    size_t i;

    for (i = 0; i < KINDS; i++) {
        const struct dev_class *class = dev_class_at(kinds[i]);

        snprintf(dir, sizeof(dir), "backend/%s", class->name);
        each_number(b, dir, DOMAIN_LAST, look_at_front, class, 0);
    }
    each_number(b, NOTES, DOMAIN_LAST, look_at_notes, NULL, 0);
}

/* --- the store -------------------------------------------------------------------------------- */

/* Whatever has changed leads to one look, in a while.  A look's own requests may bring events. */
static void take_events(struct backend *b)
{
    struct store_event e;
    bool is_due = false;

    while (store_next_event(b->s, &e)) { /* one for each watch: no request is made here */
        store_event_free(&e);
        is_due = true;
    }
    if (is_due && (b->look.due_ms == 0 || b->look.due_ms > evloop_now_ms() + LOOK_MS)) {
        evloop_arm(b->loop, &b->look, LOOK_MS);
    }
}

/* What is broken is found by the request that meets it, here or in follow_store(). */
static void store_ready(struct ev_fd *src, short revents)
{
    struct backend *b = src->owner;

    (void)revents;
    store_pump(b->s);
}

/* After each turn: a request of a look may have found the connection broken, and made another. */
static void follow_store(struct backend *b)
{
    if (store_fd(b->s) < 0) {
        b->code = store_reconnect(b->s, STORE_WAIT);
        if (b->code != 0) {
            log_error("the store is lost: %s", strerror(-b->code));
            return; /* the supervisor's next one tries again */
        }
    }
    if (store_fd(b->s) != b->source.fd) {
        evloop_del(b->loop, &b->source);
        b->source.fd = store_fd(b->s);
        evloop_add(b->loop, &b->source);
    }
}

/* Where the store is reached from a domain that has no daemon of it. */
static void choose_store(void)
{
    static const char *const devices[] = { "/dev/xen/xenbus", "/proc/xen/xenbus" };
    size_t i;

    for (i = 0; getenv("XENSTORED_PATH") == NULL && i < 2; i++) {
        if (access(devices[i], R_OK | W_OK) == 0) {
            setenv("XENSTORED_PATH", devices[i], 1);
        }
    }
}

static int open_store(struct backend *b)
{
    char *text = NULL;
    long id;
    int rc;

    choose_store();
    dev_set_private_root(NOTES);
    b->s = store_open();
    rc = b->s != NULL ? store_read(b->s, 0, "domid", &text) : -errno;
    id = rc == 0 ? strtol(text, NULL, 10) : 0;
    free(text);
    if (rc == 0 && (id < DOMAIN_FIRST || id > DOMAIN_LAST)) {
        rc = -EINVAL; /* the control domain has a joistd of its own */
    }
    b->own_id = (uint16_t)id;
    return rc;
}

static const char *store_trouble(int rc)
{
    return rc == -EINVAL ? "this is the control domain: start joistd without --backend"
                         : strerror(-rc);
}

int backend_check(void)
{
    struct backend b = { 0 };
    int rc = open_store(&b);

    if (rc != 0) {
        fprintf(stderr, "joistd: no access to the store: %s\n", store_trouble(rc));
    } else {
        printf("joistd: would serve the back ends of domain %u\n", b.own_id);
    }
    store_close(b.s);
    return rc == 0 ? 0 : 1;
}

int backend_run(struct daemon *daemon)
{
    static const char *const load[] = {
        "modprobe", "-q", "-a", "xen-blkback", "xen-netback", NULL
    };
    struct backend b = { .loop = evloop_new() };
    char said[64];
    int rc = open_store(&b);

    if (rc == 0) {
        rc = store_watch(b.s, "backend", "joistd");
    }
    if (rc == 0) {
        rc = evloop_catch_signals(b.loop);
    }
    if (rc != 0) {
        log_error("no access to the store: %s", store_trouble(rc));
        return rc;
    }
    run_program(load, said, sizeof(said)); /* the first device need not wait for it */
    b.source = (struct ev_fd){
        .fd = store_fd(b.s), .events = POLLIN, .handler = store_ready, .owner = &b
    };
    evloop_add(b.loop, &b.source);
    b.look = (struct ev_timer){ .handler = look, .owner = &b };
    evloop_arm(b.loop, &b.look, 0);
    daemon_ready(daemon);
    log_info("serving the back ends of domain %u", b.own_id);
    while (rc == 0 && !evloop_stopped(b.loop)) {
        rc = evloop_turn(b.loop, -1);
        follow_store(&b);
        rc = rc == 0 ? b.code : rc;
        take_events(&b);
    }
    store_close(b.s);
    return rc;
}
