/* SPDX-License-Identifier: MIT */
/* joist-fbd: one guest's screen and keyboard, served over VNC. Started by joistd. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "fbd/confine.h"
#include "fbd/control.h"
#include "fbd/listen.h"

#include "version.h"

#define LENGTH_MAX_MIB 64

static const char usage[] =
    "usage: joist-fbd --domid ID --name NAME --control PATH [options]\n"
    "Serves the screen and keyboard of one guest over VNC. joistd starts it.\n"
    "  --domid ID           the guest\n"
    "  --name NAME          the title that viewers show\n"
    "  --control PATH       unix socket that joistd and joist(8) talk to\n"
    "  --vnc ADDRESS        listen for viewers on this numeric address\n"
    "  --port PORT          TCP port, default 5900\n"
    "  --unused             the next free port if that one is taken\n"
    "  --socket PATH        listen for viewers on a unix socket, too\n"
    "  --password           the first line of standard input is asked of viewers\n"
    "  --videoram MIB       the largest frame buffer the guest may have, default 16, at most 64\n"
    "  --log FILE           default: standard error\n"
    "  --verbose            say more (may be repeated)\n"
    "  --version, --help\n"
    "Says \"ok PORT\" on standard output when it serves, else \"error TEXT\" and ends.\n";

struct options {
    unsigned int domid;
    const char *name;
    const char *control;
    struct listen_place vnc; /* address NULL: no TCP */
    const char *socket;
    char password[VNC_PASSWORD_MAX + 1];
    unsigned int videoram;
    const char *log;
};

struct sockets {
    int tcp, viewers, control;
};

static int number(const char *text, unsigned int least, unsigned int most, unsigned int *out)
{
    char *end;

    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (errno || text[0] < '0' || text[0] > '9' || *end || v < least || v > most) {
        (void)fprintf(stderr, "joist-fbd: %s: a number from %u to %u is wanted\n", text, least,
                      most);
        return -EINVAL;
    }
    *out = (unsigned int)v;
    return 0;
}

/* Standard input, up to the line's end; what the protocol does not look at is dropped. */
static int read_password(struct options *o)
{
    char line[128];
    ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

    if (n <= 0) {
        (void)fputs("joist-fbd: no password on standard input\n", stderr);
        return -EINVAL;
    }
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
    (void)snprintf(o->password, sizeof(o->password), "%.*s", VNC_PASSWORD_MAX, line);
    memset(line, 0, sizeof(line));
    return 0;
}

/* One option; 0: go on, 1: end well, negative: end badly. */
static int take_option(struct options *o, int opt)
{
    switch (opt) {
    case 'd':
        return number(optarg, 1, 0x7fef, &o->domid);
    case 'n':
        o->name = optarg;
        return 0;
    case 'c':
        o->control = optarg;
        return 0;
    case 'a':
        o->vnc.address = optarg;
        return 0;
    case 'p':
        return number(optarg, 1, 65535, &o->vnc.port);
    case 'u':
        o->vnc.is_any_port = true;
        return 0;
    case 's':
        o->socket = optarg;
        return 0;
    case 'w':
        return read_password(o);
    case 'r':
        return number(optarg, 1, LENGTH_MAX_MIB, &o->videoram);
    case 'l':
        o->log = optarg;
        return 0;
    case 'V':
        (void)puts("joist-fbd " JOIST_VERSION);
        return 1;
    case 'h':
        (void)fputs(usage, stdout);
        return 1;
    default:
        (void)fputs(usage, stderr);
        return -EINVAL;
    }
}

static int parse(struct options *o, int argc, char **argv)
{
    static const struct option longs[] = {
        { "domid", required_argument, NULL, 'd' },    { "name", required_argument, NULL, 'n' },
        { "control", required_argument, NULL, 'c' },  { "vnc", required_argument, NULL, 'a' },
        { "port", required_argument, NULL, 'p' },     { "unused", no_argument, NULL, 'u' },
        { "socket", required_argument, NULL, 's' },   { "password", no_argument, NULL, 'w' },
        { "videoram", required_argument, NULL, 'r' }, { "log", required_argument, NULL, 'l' },
        { "verbose", no_argument, NULL, 'v' },        { "version", no_argument, NULL, 'V' },
        { "help", no_argument, NULL, 'h' },           { NULL, 0, NULL, 0 },
    };
    int verbose = 1;
    int rc = 0;
    int opt;

    while (rc == 0 && (opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (opt == 'v') {
            verbose++;
        } else {
            rc = take_option(o, opt);
        }
    }
    log_verbose(verbose);
    if (rc == 0 && (optind != argc || o->domid == 0 || !o->name || !o->control)) {
        (void)fputs(usage, stderr);
        return -EINVAL;
    }
    return rc;
}

/* All that needs rights. */
static int acquire(const struct options *o, struct listen_place *vnc, struct joist *xen,
                   struct sockets *s, struct fail *f)
{
    int rc = joist_restrict(xen, (uint16_t)o->domid);

    if (rc < 0) {
        return fail_set(f, rc, "screen", "hypervisor devices", "%s", joist_strerror(rc));
    }
    s->control = listen_unix(o->control, f);
    if (s->control < 0) {
        return s->control;
    }
    s->tcp = vnc->address ? listen_tcp(vnc, f) : -1;
    if (vnc->address && s->tcp < 0) {
        (void)unlink(o->control);
        return s->tcp;
    }
    s->viewers = o->socket ? listen_unix(o->socket, f) : -1;
    if (o->socket && s->viewers < 0) {
        (void)unlink(o->control);
        return s->viewers;
    }
    return 0;
}

/* Says how the start went, and gives the standard descriptors back. */
static void report(int null, const char *word, const char *text)
{
    (void)dprintf(STDOUT_FILENO, "%s %s\n", word, text);
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(null, STDOUT_FILENO);
    close(null);
}

static int serve(struct control *c, const struct sockets *s)
{
    int rc = 0;

    control_begin(c, s->control);
    if (s->tcp >= 0) {
        vnc_listen(&c->vnc, s->tcp);
    }
    if (s->viewers >= 0) {
        vnc_listen(&c->vnc, s->viewers);
    }
    while (rc == 0 && !c->is_over && !evloop_stopped(c->loop)) {
        rc = evloop_turn(c->loop, -1);
    }
    control_end(c);
    return rc;
}

static int run(const struct options *o, struct joist *xen)
{
    static struct control c;
    struct sockets s = { -1, -1, -1 };
    struct listen_place vnc = o->vnc;
    struct fail f = { 0 };
    char text[800];

    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int rc = acquire(o, &vnc, xen, &s, &f);
    if (rc < 0) {
        fail_text(&f, text, sizeof(text));
        report(null, "error", text);
        return rc;
    }
    c.loop = evloop_new();
    c.xen = xen;
    c.length_max = (size_t)o->videoram << 20;
    c.port = s.tcp >= 0 ? vnc.port : 0;
    c.fb = (struct guestfb){ .xen = xen, .domid = (uint16_t)o->domid, .port = -1 };
    c.kbd = (struct guestkbd){ .xen = xen, .domid = (uint16_t)o->domid, .port = -1 };
    rc = evloop_catch_signals(c.loop); /* from here on no descriptor is opened by ourselves */
    tzset();
    rc = rc < 0 ? rc : vnc_open(&c.vnc, c.loop, &c.kbd, o->name, o->password);
    (void)snprintf(text, sizeof(text), "%u", c.port);
    rc = rc == 0 ? confine() : rc;
    report(null, rc == 0 ? "ok" : "error", rc == 0 ? text : strerror(-rc));
    if (rc == 0) {
        log_info("%s (domain %u): port %u, %s", o->name, o->domid, c.port,
                 o->password[0] ? "with a password" : "no password");
        rc = serve(&c, &s);
        vnc_close(&c.vnc);
    }
    evloop_free(c.loop);
    return rc;
}

int main(int argc, char **argv)
{
    struct options o = { .vnc = { .port = 5900 }, .videoram = 16 };
    static char log_name[100];
    struct joist *xen;
    int rc = parse(&o, argc, argv);

    if (rc != 0) {
        return rc < 0 ? 2 : 0;
    }
    (void)snprintf(log_name, sizeof(log_name), "joist-fbd %s", o.name); /* all write to one file */
    rc = log_open_shared(log_name, o.log);
    if (rc < 0) {
        (void)fprintf(stderr, "joist-fbd: %s: %s\n", o.log, strerror(-rc));
    }
    rc = joist_open(&xen);
    if (rc == 0) {
        rc = run(&o, xen);
        joist_close(xen);
    }
    return rc < 0;
}
