/* SPDX-License-Identifier: MIT */
/* joistd: start, the store connection, the loop. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/daemon.h"
#include "common/log.h"
#include "joistd/api.h"
#include "joistd/backend.h"
#include "joistd/blkdev.h"
#include "joistd/skeleton.h"
#include "joistd/vfb.h"
#include "joistd/vfb_screen.h"

#include "version.h"

#define STORE_RETRY_MS 100
#define STORE_EVENTS   32 /* worked on in one turn of the loop */

static const char usage[] =
    "usage: joistd [options]\n"
    "Owns the guests: creates, watches, restarts and destroys them for joist(8).\n"
    "  --foreground       stay attached and log to standard error\n"
    "  --verbose          log more; may be repeated\n"
    "  --backend          in a guest that serves disks and interfaces to others: do only that\n"
    "  --check            look whether it could start, say so, and end\n"
    "  --pid-file FILE    instead of /run/joist/joistd.pid\n"
    "  --socket PATH      instead of /run/joist/joistd.sock\n"
    "  --state-dir DIR    instead of /var/lib/joist/domains\n"
    "  --log-dir DIR      instead of /var/log/joist\n"
    "  --landlock WHEN    if-there: without Landlock in the kernel, qemu-nbd is started with a\n"
    "                     warning in the log (the default); require: it is not started\n"
    "  --version, --help\n";

struct options {
    struct daemon daemon;
    const char *socket;
    const char *state_dir;
    const char *log_dir;
    bool is_backend;
};

/* --- the store ------------------------------------------------------------------------------- */

static void store_ready(struct ev_fd *src, short revents);

static void store_attach(struct joistd *d)
{
    d->store_source = (struct ev_fd){
        .fd = store_fd(d->store), .events = POLLIN, .handler = store_ready, .owner = d
    };
    evloop_add(d->loop, &d->store_source);
}

/* Those that wait now and no more: the requests that are made for one may bring the next. */
static void store_events(struct joistd *d)
{
    unsigned int left = store_events_due(d->store);
    struct store_event e;
    bool is_scan_due = false;

    left = left < STORE_EVENTS ? left : STORE_EVENTS;
    for (; left > 0 && store_next_event(d->store, &e); left--) {
        is_scan_due = is_scan_due || strncmp(e.path, "@releaseDomain", 14) == 0;
        if (e.path[0] == '/') {
            screen_event(d, e.path);
        }
        store_event_free(&e);
    }
    if (is_scan_due) {
        guest_scan(d);
    }
}

static void store_retry(struct ev_timer *t)
{
    struct joistd *d = t->owner;
    int rc = 0;

    if (d->store == NULL) {
        d->store = store_open();
        rc = d->store != NULL ? store_watch(d->store, "@releaseDomain", "joistd") : -errno;
        if (rc != 0 && d->store != NULL) {
            store_close(d->store);
            d->store = NULL;
        }
    } else if (store_fd(d->store) < 0) {
        rc = store_reconnect(d->store, 0);
    }
    if (rc != 0) {
        evloop_arm(d->loop, &d->store_timer, STORE_RETRY_MS);
        return;
    }
    log_info("connected to the store");
    skeleton_control_domain(d->store);
    store_attach(d);
    guest_scan(d);
    screen_begin_all(d);
}

static void store_lost(struct joistd *d)
{
    log_warn("the store has gone, connecting again");
    evloop_del(d->loop, &d->store_source);
    evloop_arm(d->loop, &d->store_timer, STORE_RETRY_MS);
}

static void store_ready(struct ev_fd *src, short revents)
{
    struct joistd *d = src->owner;

    (void)revents;
    if (store_fd(d->store) != src->fd || store_pump(d->store) != 0) {
        store_lost(d);
    }
}

/*
 * After each turn.  A request of our own may have found the connection broken, made another, or
 * brought events.  True: there is more for the next turn, which must not wait.
 */
static bool store_look(struct joistd *d)
{
    if (d->store == NULL || d->store_timer.due_ms != 0) {
        return false;
    }
    if (store_fd(d->store) < 0) {
        store_lost(d);
    } else if (store_fd(d->store) != d->store_source.fd) {
        evloop_del(d->loop, &d->store_source);
        store_attach(d);
    }
    store_events(d);
    return d->store_timer.due_ms == 0 && store_events_due(d->store) > 0;
}

/* --- start and end --------------------------------------------------------------------------- */

static int run(struct joistd *d, struct options *o)
{
    bool is_more_due = true;
    int rc;

    d->state_dir = o->state_dir;
    d->log_dir = o->log_dir;
    d->ended = json_array();
    d->loop = evloop_new();
    d->store_timer = (struct ev_timer){ .handler = store_retry, .owner = d };
    rc = joist_open(&d->h);
    if (rc == 0) {
        rc = evloop_catch_signals(d->loop);
    }
    if (rc == 0) {
        rc = guest_take_over(d);
    }
    if (rc != 0) {
        log_error("no access to the hypervisor: %s; joistd must run as root in the control domain",
                  joist_strerror(rc));
        return rc;
    }
    store_retry(&d->store_timer);
    rc = api_open(d, o->socket);
    if (rc != 0) {
        log_error("cannot listen on %s: %s", o->socket, strerror(-rc));
        return rc;
    }
    daemon_ready(&o->daemon);
    log_info("serving on %s", o->socket);
    while (rc == 0 && !evloop_stopped(d->loop)) {
        rc = evloop_turn(d->loop, is_more_due ? 0 : -1);
        is_more_due = store_look(d);
    }
    api_close(d, o->socket);
    return rc;
}

static int check(const struct options *o)
{
    struct joist *h;
    struct domain_list list;
    int rc = joist_open(&h);

    rc = rc == 0 ? host_domains(h, &list) : rc;
    if (rc != 0) {
        fprintf(stderr, "joistd: no access to the hypervisor: %s\n", joist_strerror(rc));
        return 1;
    }
    printf("joistd: would serve on %s with guests in %s; the hypervisor has %zu domains\n",
           o->socket, o->state_dir, list.count);
    return 0;
}

static int set_landlock(const char *when)
{
    bool is_needed = strcmp(when, "require") == 0;

    if (!is_needed && strcmp(when, "if-there") != 0) {
        fprintf(stderr, "joistd: --landlock %s: it is \"require\" or \"if-there\"\n", when);
        return -EINVAL;
    }
    nbd_need_landlock(is_needed);
    return 0;
}

static int parse(int argc, char **argv, struct options *o)
{
    enum {
        OPT_SOCKET = DAEMON_OPT_OWN,
        OPT_STATE_DIR,
        OPT_LOG_DIR,
        OPT_VERSION,
        OPT_BACKEND,
        OPT_LANDLOCK
    };
    static const struct option longs[] = {
        DAEMON_LONG_OPTIONS,
        { "socket", required_argument, NULL, OPT_SOCKET },
        { "state-dir", required_argument, NULL, OPT_STATE_DIR },
        { "log-dir", required_argument, NULL, OPT_LOG_DIR },
        { "version", no_argument, NULL, OPT_VERSION },
        { "backend", no_argument, NULL, OPT_BACKEND },
        { "landlock", required_argument, NULL, OPT_LANDLOCK },
        { 0 },
    };
    int c;
    int rc = 0;

    while (rc == 0 && (c = getopt_long(argc, argv, "fvh", longs, NULL)) != -1) {
        switch (c) {
        case OPT_SOCKET:
            o->socket = optarg;
            break;
        case OPT_STATE_DIR:
            o->state_dir = optarg;
            break;
        case OPT_LOG_DIR:
            o->log_dir = optarg;
            break;
        case OPT_BACKEND:
            o->is_backend = true;
            break;
        case OPT_LANDLOCK:
            rc = set_landlock(optarg);
            break;
        case OPT_VERSION:
            puts("joistd " JOIST_VERSION);
            return 1;
        default:
            rc = daemon_option(&o->daemon, c, optarg, usage);
        }
    }
    return rc != 0 ? rc : daemon_no_words(&o->daemon, argc, argv);
}

int main(int argc, char **argv)
{
    struct joistd d = { 0 };
    struct options o = {
        .daemon = { .name = "joistd", .pidfile = "/run/joist/joistd.pid", .verbose = 1 },
        .socket = "/run/joist/joistd.sock",
        .state_dir = "/var/lib/joist/domains",
        .log_dir = "/var/log/joist",
    };
    char log[512];
    static char run_dir[512];
    int rc = parse(argc, argv, &o);

    if (rc != 0) {
        return rc > 0 ? 0 : 2;
    }
    if (o.daemon.is_check) {
        return o.is_backend ? backend_check() : check(&o);
    }
    if (!o.is_backend) {
        make_dirs(o.state_dir, 0700);
    }
    make_dirs(o.log_dir, 0755);
    make_dirs("/run/joist", 0755);
    snprintf(run_dir, sizeof(run_dir), "%s", o.socket);
    if (strrchr(run_dir, '/') != NULL) {
        *strrchr(run_dir, '/') = '\0'; /* beside our own socket */
        vfb_set_dirs(run_dir, o.log_dir);
    }
    snprintf(log, sizeof(log), "%s/joistd.log", o.log_dir);
    if (daemon_start(&o.daemon, log) != 0) {
        return 1;
    }
    rc = o.is_backend ? backend_run(&o.daemon) : run(&d, &o);
    daemon_end(&o.daemon);
    return rc == 0 ? 0 : 1;
}
