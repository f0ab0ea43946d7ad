/* SPDX-License-Identifier: MIT */
/* joist-stored: the store daemon. Options and paths; the rest is in server.c. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/daemon.h"
#include "common/log.h"
#include "stored/conn_sock.h"
#include "stored/server.h"

#define RUN_DIR    "/run/joist"
#define STATE_DIR  RUN_DIR "/stored"
#define SOCKET_DIR "/run/xenstored"
#define LOG_DIR    "/var/log/joist"

struct options {
    struct daemon daemon;
    const char *socket;
    const char *journal;
    bool is_local; /* no hypervisor: sockets only */
};

static const char usage[] =
    "usage: joist-stored [options]\n"
    "The store daemon: keeps the tree of nodes that guests, drivers and tools share.\n"
    "  -f, --foreground       stay in the foreground, log to standard error\n"
    "  -v, --verbose          say more (may be repeated)\n"
    "      --check            read the journal, say what it holds, end\n"
    "      --pid-file FILE    default " RUN_DIR "/joist-stored.pid\n"
    "      --socket PATH      default " SOCKET_DIR "/socket\n"
    "      --journal FILE     default " STATE_DIR "/journal; \"none\" keeps none\n"
    "      --local            do not use the hypervisor: serve the socket only\n"
    "  -h, --help             this text\n";

enum { OPT_SOCKET = DAEMON_OPT_OWN, OPT_JOURNAL, OPT_LOCAL };

/* 0: go on; 1: end with success; negative: end with a failure. */
static int parse_options(struct options *o, int argc, char **argv)
{
    static const struct option longs[] = {
        DAEMON_LONG_OPTIONS,
        { "socket", required_argument, NULL, OPT_SOCKET },
        { "journal", required_argument, NULL, OPT_JOURNAL },
        { "local", no_argument, NULL, OPT_LOCAL },
        { 0 },
    };
    int opt;
    int rc = 0;

    while (rc == 0 && (opt = getopt_long(argc, argv, "fvh", longs, NULL)) != -1) {
        switch (opt) {
        case OPT_SOCKET:
            o->socket = optarg;
            break;
        case OPT_JOURNAL:
            o->journal = strcmp(optarg, "none") == 0 ? NULL : optarg;
            break;
        case OPT_LOCAL:
            o->is_local = true;
            break;
        default:
            rc = daemon_option(&o->daemon, opt, optarg, usage);
        }
    }
    return rc != 0 ? rc : daemon_no_words(&o->daemon, argc, argv);
}

static int make_default_dirs(const struct options *o)
{
    static const char *const dirs[] = { STATE_DIR, SOCKET_DIR, LOG_DIR };

    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        int rc = make_dirs(dirs[i], 0755);
        if (rc < 0 && !o->is_local) {
            (void)fprintf(stderr, "joist-stored: cannot create %s: %s\n", dirs[i], strerror(-rc));
            return rc;
        }
    }
    return 0;
}

/* --check: the state in the journal, in one line. */
static int check(const struct options *o)
{
    if (!o->journal || access(o->journal, F_OK) < 0) {
        (void)printf("no journal%s%s: the store would start empty\n", o->journal ? " " : "",
                     o->journal ? o->journal : "");
        return 0;
    }
    struct server *s = xalloc(sizeof(*s));
    server_init(s);
    int rc = server_load(s, o->journal);
    if (rc == 0) {
        int64_t nodes = 0;
        for (size_t i = 0; i < s->live.acct.count; i++) {
            nodes += s->live.acct.list[i].nodes;
        }
        (void)printf("journal %s: %zu bytes, %lld nodes\n", o->journal, s->journal.used,
                     (long long)nodes);
    }
    s->journal.fd = -1; /* the file is another's: nothing is written */
    free(s);
    return rc;
}

static int serve(struct options *o)
{
    struct server *s = xalloc(sizeof(*s));
    int rc;

    server_init(s);
    s->loop = evloop_new();
    rc = evloop_catch_signals(s->loop);
    if (rc == 0) {
        rc = server_load(s, o->journal);
    }
    if (rc == 0 && !o->is_local) {
        rc = joist_open(&s->xen);
        if (rc == 0) {
            rc = server_attach(s);
        }
    }
    if (rc == 0) {
        rc = sock_listen(s, o->socket);
        if (rc < 0) {
            log_error("socket %s: %s", o->socket, strerror(-rc));
        }
    }
    if (rc == 0) {
        (void)server_turn(s, 0);
        daemon_ready(&o->daemon);
    }
    while (rc == 0 && !evloop_stopped(s->loop)) {
        rc = server_turn(s, -1);
    }
    server_free(s);
    joist_close(s->xen);
    evloop_free(s->loop);
    free(s);
    return rc;
}

int main(int argc, char **argv)
{
    struct options o = {
        .daemon = { .name = "joist-stored", .pidfile = RUN_DIR "/joist-stored.pid" },
        .socket = SOCKET_DIR "/socket",
        .journal = STATE_DIR "/journal",
    };
    int rc = parse_options(&o, argc, argv);

    if (rc != 0) {
        return rc < 0 ? 2 : 0;
    }
    if (o.daemon.is_check) {
        return check(&o) < 0;
    }
    if (!o.is_local && !joist_has_hypervisor()) {
        (void)fputs("joist-stored: no hypervisor here (no /dev/xen/privcmd): --local serves the "
                    "socket only\n",
                    stderr);
        return 1;
    }
    rc = make_default_dirs(&o);
    if (rc == 0) {
        rc = daemon_start(&o.daemon, LOG_DIR "/joist-stored.log");
    }
    if (rc == 0) {
        rc = serve(&o);
        daemon_end(&o.daemon);
    }
    return rc < 0;
}
