/* SPDX-License-Identifier: MIT */
/* joist-consoled: the console daemon. A terminal and a log file for each guest. */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/daemon.h"
#include "common/log.h"
#include "consoled/console.h"
#include "consoled/guests.h"

#define RUN_DIR  "/run/joist"
#define LINK_DIR RUN_DIR "/console"
#define LOG_DIR  "/var/log/joist"

#define LOG_BUDGET (2u << 20)

static const char usage[] =
    "usage: joist-consoled [options]\n"
    "The console daemon: a terminal and a log file for each guest's console.\n"
    "  -f, --foreground       stay in the foreground, log to standard error\n"
    "  -v, --verbose          say more (may be repeated)\n"
    "      --check            try what is needed (event channels, terminals), end\n"
    "      --pid-file FILE    default " RUN_DIR "/joist-consoled.pid\n"
    "      --log-dir DIR      console-NAME.log go here, default " LOG_DIR "\n"
    "      --link-dir DIR     links to the terminals by name, default " LINK_DIR "\n"
    "      --log-budget BYTES of one guest's log and its predecessor, default 2097152\n"
    "  -h, --help             this text\n";

enum { OPT_LOG_DIR = DAEMON_OPT_OWN, OPT_LINK_DIR, OPT_LOG_BUDGET };

struct options {
    struct daemon daemon;
    const char *log_dir;
    const char *link_dir;
    uint64_t log_budget;
};

static int parse_budget(const char *text, uint64_t *out)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || value < 4096 || text[0] == '-') {
        (void)fprintf(stderr, "joist-consoled: --log-budget %s: not a number of at least 4096\n",
                      text);
        return -EINVAL;
    }
    *out = value;
    return 0;
}

/* 0: go on; 1: end with success; negative: end with a failure. */
static int parse_options(struct options *o, int argc, char **argv)
{
    static const struct option longs[] = {
        DAEMON_LONG_OPTIONS,
        { "log-dir", required_argument, NULL, OPT_LOG_DIR },
        { "link-dir", required_argument, NULL, OPT_LINK_DIR },
        { "log-budget", required_argument, NULL, OPT_LOG_BUDGET },
        { 0 },
    };
    int opt;
    int rc = 0;

    while (rc == 0 && (opt = getopt_long(argc, argv, "fvh", longs, NULL)) != -1) {
        switch (opt) {
        case OPT_LOG_DIR:
            o->log_dir = optarg;
            break;
        case OPT_LINK_DIR:
            o->link_dir = optarg;
            break;
        case OPT_LOG_BUDGET:
            rc = parse_budget(optarg, &o->log_budget);
            break;
        default:
            rc = daemon_option(&o->daemon, opt, optarg, usage);
        }
    }
    return rc != 0 ? rc : daemon_no_words(&o->daemon, argc, argv);
}

static int make_dir(const char *path)
{
    int rc = make_dirs(path, 0755);

    if (rc < 0) {
        (void)fprintf(stderr, "joist-consoled: cannot create %s: %s\n", path, strerror(-rc));
    }
    return rc;
}

static int check(struct joist *xen)
{
    struct pty pty;
    int rc = joist_evtchn_fd(xen);

    if (rc < 0) {
        (void)fprintf(stderr, "joist-consoled: event channels: %s\n", strerror(-rc));
        return rc;
    }
    rc = pty_open(&pty);
    if (rc < 0) {
        (void)fprintf(stderr, "joist-consoled: terminals: %s\n", strerror(-rc));
        return rc;
    }
    pty_close(&pty);
    (void)puts("joist-consoled: event channels and terminals can be had");
    return 0;
}

static int serve(struct options *o, struct joist *xen)
{
    struct consoled d = {
        .xen = xen, .log_dir = o->log_dir, .link_dir = o->link_dir, .log_budget = o->log_budget
    };
    struct guests guests;
    int rc = joist_open_devices(xen);

    if (rc < 0) {
        log_error("the hypervisor's devices: %s", joist_strerror(rc));
        return rc;
    }
    int fd = joist_evtchn_fd(xen);
    d.loop = evloop_new();
    rc = evloop_catch_signals(d.loop);
    d.evtchn =
        (struct ev_fd){ .fd = fd, .events = POLLIN, .handler = console_on_event, .owner = &d };
    evloop_add(d.loop, &d.evtchn);
    d.period = (struct ev_timer){ .handler = console_on_period, .owner = &d };
    guests_begin(&guests, &d);
    daemon_ready(&o->daemon);
    while (rc == 0 && !evloop_stopped(d.loop)) {
        bool is_more_due = guests_turn(&guests);

        rc = evloop_turn(d.loop, is_more_due ? 0 : -1);
    }
    guests_end(&guests);
    while (d.consoles) {
        console_free(d.consoles);
    }
    evloop_free(d.loop);
    return rc;
}

int main(int argc, char **argv)
{
    struct options o = {
        .daemon = { .name = "joist-consoled", .pidfile = RUN_DIR "/joist-consoled.pid" },
        .log_dir = LOG_DIR,
        .link_dir = LINK_DIR,
        .log_budget = LOG_BUDGET,
    };
    struct joist *xen = NULL;
    int rc = parse_options(&o, argc, argv);

    if (rc != 0) {
        return rc < 0 ? 2 : 0;
    }
    if (!joist_has_hypervisor()) {
        (void)fputs("joist-consoled: no hypervisor here (no /dev/xen/privcmd)\n", stderr);
        return 1;
    }
    rc = joist_open(&xen);
    if (rc == 0 && o.daemon.is_check) {
        rc = check(xen);
        joist_close(xen);
        return rc < 0;
    }
    if (rc == 0) {
        rc = make_dir(o.link_dir);
    }
    if (rc == 0) {
        rc = make_dir(o.log_dir);
    }
    if (rc == 0) {
        rc = daemon_start(&o.daemon, LOG_DIR "/joist-consoled.log");
    }
    if (rc == 0) {
        rc = serve(&o, xen);
        daemon_end(&o.daemon);
    }
    joist_close(xen);
    return rc < 0;
}
