/* SPDX-License-Identifier: MIT */
/*
 * joist run: a guest for one command.  Its root disk is made from a directory or archive, its
 * console becomes our standard input and output, its command's exit code ours; then all of it is
 * gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/fail.h"
#include "image/rootfs.h"
#include "image/work.h"
#include "run/result.h"

#define EXIT_RUN_FAILED 125 /* joist could not run the command, as other such programs say it */

#define TTY_WAIT_MS 15000 /* for the console daemon to show the guest's terminal */
#define TTY_STEP_MS 20
#define ASK_MS      200 /* between questions whether the guest has ended */
#define ROOT_LEAST  (UINT64_C(16) << 20)

struct running {
    struct cli *c;
    char name[64];
    int tty;
    bool is_input_over;
    bool has_ended;
    bool has_crashed;
};

/* A verb about our guest; true if it worked. *reply is to be released if not NULL. */
static bool about(struct running *r, const char *verb, json_t **reply)
{
    json_t *got = NULL;
    bool ok = client_ask(r->c, verb, json_pack("{s:s}", "domain", r->name), &got) == 0 &&
              json_is_true(json_object_get(got, "ok"));

    if (reply != NULL) {
        *reply = got;
    } else {
        json_decref(got);
    }
    return ok;
}

static bool open_tty(struct running *r)
{
    json_t *reply = NULL;
    const char *path;
    struct termios raw;
    unsigned int waited;

    for (waited = 0; waited < TTY_WAIT_MS && r->tty < 0 && !work_is_stopped();
         waited += TTY_STEP_MS) {
        if (about(r, "console", &reply)) {
            path = get_text(json_object_get(reply, "result"), "tty");
            r->tty = path[0] != '\0' ? open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC) : -1;
        }
        json_decref(reply);
        if (r->tty < 0) {
            poll(NULL, 0, TTY_STEP_MS);
        }
    }
    if (r->tty >= 0 && tcgetattr(r->tty, &raw) == 0) {
        cfmakeraw(&raw);
        tcsetattr(r->tty, TCSANOW, &raw);
    }
    return r->tty >= 0;
}

/* Asks whether the guest has ended; preserved, so that nothing of its output is lost. */
static void look(struct running *r)
{
    json_t *reply = NULL;
    const char *reason;

    if (about(r, "info", &reply)) {
        reason = get_text(json_object_get(reply, "result"), "shutdown_reason");
        r->has_ended = reason[0] != '\0';
        r->has_crashed = strcmp(reason, "crash") == 0;
    } else if (reply != NULL) { /* somebody else has destroyed it */
        r->has_ended = true;
        r->has_crashed = true;
    }
    json_decref(reply);
}

static void put_out(const char *data, size_t size)
{
    ssize_t n;

    while (size > 0 && !work_is_stopped()) {
        n = write(STDOUT_FILENO, data, size);
        if (n < 0 && errno != EINTR) {
            return; /* nobody reads: the command runs on, as under a shell that ignores it */
        }
        data += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
}

/* What there is on the terminal; false if there was nothing. */
static bool pass_output(struct running *r)
{
    char data[4096];
    ssize_t n = read(r->tty, data, sizeof(data));

    if (n > 0) {
        put_out(data, (size_t)n);
    }
    return n > 0;
}

/* Our input, and its end as the end-of-file character of the guest's terminal. */
static void pass_input(struct running *r)
{
    char data[128];
    ssize_t n = read(STDIN_FILENO, data, sizeof(data));
    ssize_t done;
    ssize_t at = 0;

    if (n <= 0) {
        r->is_input_over = n == 0 || errno != EINTR;
        data[0] = 4;
        n = r->is_input_over ? 1 : 0;
    }
    while (at < n && !work_is_stopped()) {
        done = write(r->tty, data + at, (size_t)(n - at));
        at += done > 0 ? done : 0;
        if (done < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                return;
            }
            pass_output(r);
            poll(NULL, 0, TTY_STEP_MS);
        }
    }
}

static void stream(struct running *r)
{
    struct pollfd p[2] = { { .fd = r->tty, .events = POLLIN }, { .events = POLLIN } };
    int n;

    while (!r->has_ended && !work_is_stopped()) {
        p[1].fd = r->is_input_over ? -1 : STDIN_FILENO;
        n = poll(p, 2, ASK_MS);
        if (n > 0 && p[1].revents != 0) {
            pass_input(r);
        }
        if (n == 0 || (n > 0 && p[0].revents != 0 && !pass_output(r))) {
            look(r);
            if ((p[0].revents & (POLLHUP | POLLERR)) != 0 && !r->has_ended) {
                close(r->tty); /* the console daemon has started again */
                r->tty = -1;
                r->has_ended = !open_tty(r);
                p[0].fd = r->tty;
            }
        }
    }
    /* what it said last is still on its way through the console daemon */
    while (r->tty >= 0 && !work_is_stopped() && poll(p, 1, ASK_MS) > 0 && pass_output(r)) {
    }
}

static json_t *settings(const struct parsed *p, const struct running *r, const struct rootfs *fs)
{
    const char *memory = p->value['m'] != NULL ? p->value['m'] : "256";
    const char *cpus = p->value['c'] != NULL ? p->value['c'] : "1";
    json_t *v =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:[o]}", "name", r->name, "type",
                  "pv", "kernel", fs->kernel, "memory", memory, "vcpus", cpus, "on_poweroff",
                  "preserve", "on_crash", "preserve", "on_reboot", "preserve", "cmdline",
                  "console=hvc0 quiet loglevel=0 panic=-1 root=/dev/xvda rootfstype=ext4 rw "
                  "init=" RUN_INIT,
                  "disk", json_sprintf("format=raw,vdev=xvda,access=rw,target=%s", fs->disk));

    if (fs->ramdisk[0] != '\0') {
        json_object_set_new(v, "ramdisk", json_string(fs->ramdisk));
    }
    return v;
}

/* Starts it paused, so that its terminal is ours before it says anything. */
static int start(struct running *r, const struct parsed *p, const struct rootfs *fs)
{
    json_t *reply;
    json_t *result;
    int rc = client_call(r->c, "create",
                         json_pack("{s:o, s:b}", "config", settings(p, r, fs), "paused", 1), &reply,
                         &result);

    json_decref(reply);
    if (rc != 0) {
        return EXIT_RUN_FAILED;
    }
    if (!open_tty(r) || !about(r, "unpause", NULL)) {
        if (!work_is_stopped()) {
            fprintf(stderr, "joist: run: %s: %s\n", r->name,
                    r->tty < 0 ? "it has no terminal; see whether joist-consoled runs"
                               : "it cannot be started");
        }
        about(r, "destroy", NULL);
        return EXIT_RUN_FAILED;
    }
    return 0;
}

static int run_guest(struct running *r, const struct parsed *p, const struct rootfs *fs)
{
    int rc = start(r, p, fs);

    if (rc != 0) {
        return work_is_stopped() ? EXIT_INTERRUPTED : rc;
    }
    stream(r);
    if (r->tty >= 0) {
        close(r->tty);
    }
    about(r, "destroy", NULL);
    if (work_is_stopped()) {
        return EXIT_INTERRUPTED;
    }
    rc = rootfs_result(fs->disk);
    if (rc < 0) {
        fprintf(stderr, "joist: run: %s: the guest %s before the command had ended\n", r->name,
                r->has_crashed ? "crashed or was destroyed" : "ended");
        rc = EXIT_RUN_FAILED;
    }
    return rc;
}

int cmd_run(struct cli *c, const struct parsed *p)
{
    struct running r = { .c = c, .tty = -1 };
    struct rootfs_spec spec = { .root = p->value['R'],
                                .kernel = p->value['k'],
                                .ramdisk = p->value['r'] };
    char *command[1025] = { 0 };
    struct rootfs fs;
    struct work w;
    struct fail f = { 0 };
    json_t *reply = NULL;
    int rc = size_option(p, 's', ROOT_LEAST, 0, &spec.size);

    if (rc != 0 || spec.root == NULL || p->count > 1024) {
        if (rc == 0) {
            fprintf(stderr, "joist: run: %s\n",
                    spec.root == NULL ? "give --rootfs a directory or a tar archive"
                                      : "the command has too many words");
        }
        return EXIT_USAGE;
    }
    memcpy(command, p->words, (size_t)p->count * sizeof(command[0]));
    spec.command = command;
    if (p->value['n'] != NULL) {
        snprintf(r.name, sizeof(r.name), "%s", p->value['n']);
    } else {
        snprintf(r.name, sizeof(r.name), "run-%d", (int)getpid());
    }
    rc = client_ask(c, "list", NULL, &reply); /* no image is made for a daemon that is not there */
    json_decref(reply);
    if (rc != 0) {
        return EXIT_UNREACHABLE;
    }
    if (work_begin(&w, &f) != 0) {
        say_fail(&f);
        return EXIT_RUN_FAILED;
    }
    signal(SIGPIPE, SIG_IGN);
    c->is_json = false; /* standard output is the command's */
    rc = rootfs_make(&w, &spec, &fs, &f) == 0 ? run_guest(&r, p, &fs) : EXIT_RUN_FAILED;
    if (f.code != 0) {
        say_fail(&f);
    }
    work_end(&w);
    return f.code == -EINTR ? EXIT_INTERRUPTED : rc;
}
