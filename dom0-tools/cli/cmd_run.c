/* SPDX-License-Identifier: MIT */
/*
 * joist run: a guest for one command.  Its root disk is made from a directory or archive, its
 * console becomes our standard input and output, its command's exit code ours; then all of it is
 * gone.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/run_stream.h"
#include "common/fail.h"
#include "image/progress.h"
#include "image/rootfs.h"
#include "image/work.h"
#include "run/result.h"

#define EXIT_RUN_FAILED 125 /* joist could not run the command, as other such programs say it */

#define TTY_WAIT_MS    15000 /* for the console daemon to show the guest's terminal */
#define TTY_STEP_MS    20
#define DAEMON_WAIT_MS 15000 /* for joistd to answer again */
#define ASK_MS         200   /* between questions whether the guest has ended */
#define ROOT_LEAST     (UINT64_C(16) << 20)

struct running {
    struct cli *c;
    struct work *work;
    char name[64];
    char uuid[40]; /* ours alone, whatever happens to the name */
    struct stream stream;
    bool is_held; /* paused until its output has been read */
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
    int *tty = &r->stream.tty;
    json_t *reply = NULL;
    unsigned int waited;

    for (waited = 0; waited < TTY_WAIT_MS && *tty < 0 && !work_is_stopped();
         waited += TTY_STEP_MS) {
        if (about(r, "console", &reply)) {
            *tty = terminal_open(get_text(json_object_get(reply, "result"), "tty"));
        }
        json_decref(reply);
        if (*tty < 0) {
            poll(NULL, 0, TTY_STEP_MS);
        }
    }
    return *tty >= 0;
}

/* Our guest's end.  joistd may be starting again at this moment: it is given time. */
static void destroy(struct running *r)
{
    json_t *reply = NULL;
    unsigned int waited;
    bool is_answered = false;

    for (waited = 0; waited < DAEMON_WAIT_MS && !is_answered; waited += ASK_MS) {
        is_answered = about(r, "destroy", &reply) || reply != NULL;
        json_decref(reply);
        if (!is_answered) {
            poll(NULL, 0, ASK_MS);
        }
    }
    if (!is_answered) {
        fprintf(stderr,
                "joist: run: %s: the guest is left: joistd does not answer; when it does, "
                "joist destroy %s\n",
                r->name, r->name);
    }
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

/* A guest whose output nobody takes waits for its reader. */
static void hold_back(struct running *r)
{
    size_t waiting = stream_waiting(&r->stream);

    if (!r->is_held && waiting > STREAM_FULL) {
        r->is_held = about(r, "pause", NULL);
    } else if (r->is_held && waiting == 0) {
        r->is_held = !about(r, "unpause", NULL);
    }
}

static void close_tty(struct stream *s)
{
    if (s->tty >= 0) {
        close(s->tty);
    }
    s->tty = -1;
}

static void stream(struct running *r)
{
    struct stream *s = &r->stream;
    bool has_hung_up = false;

    while (!r->has_ended && !work_is_stopped()) {
        if (!stream_turn(s, ASK_MS, &has_hung_up)) {
            look(r);
        }
        if (has_hung_up && !r->has_ended) {
            close_tty(s); /* the console daemon has started again */
            r->has_ended = !open_tty(r);
        }
        hold_back(r);
    }
    s->is_input_over = true;
    s->typed_first = s->typed_used;
    /* what it said last is still on its way through the console daemon */
    while (!work_is_stopped() && (stream_turn(s, ASK_MS, &has_hung_up) || stream_waiting(s) > 0)) {
        if (has_hung_up) {
            close_tty(s); /* else it would be asked again and again while standard output waits */
        }
    }
}

static json_t *settings(const struct parsed *p, const struct running *r, const struct rootfs *fs)
{
    const char *memory = p->value['m'] != NULL ? p->value['m'] : "256";
    const char *cpus = p->value['c'] != NULL ? p->value['c'] : "1";
    json_t *v = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:[o]}", "name", r->name, "uuid",
        r->uuid, "type", "pv", "kernel", fs->kernel, "memory", memory, "vcpus", cpus, "on_poweroff",
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
                    r->stream.tty < 0 ? "it has no terminal; see whether joist-consoled runs"
                                      : "it cannot be started");
        }
        destroy(r);
        return EXIT_RUN_FAILED;
    }
    return 0;
}

/* For a guest that is being built when we are killed to appear and to end. */
#define CLEAR_MS 60000

/*
 * In another process, when this one has been killed: destroys our guest, not another one of its
 * name.  It may be in the making, so that not to find it means nothing before the time is over.
 */
static void destroy_behind(void *arg)
{
    struct running *r = arg;
    json_t *reply = NULL;
    bool was_there = false;
    bool is_there;
    unsigned int waited;

    r->c->fd = -1; /* the connection was the other process's */
    r->c->is_quiet = true;
    for (waited = 0; waited < CLEAR_MS; waited += ASK_MS) {
        is_there = about(r, "info", &reply) &&
                   strcmp(get_text(json_object_get(reply, "result"), "uuid"), r->uuid) == 0;
        if (was_there && !is_there && reply != NULL) {
            json_decref(reply);
            return;
        }
        json_decref(reply);
        reply = NULL;
        if (is_there) {
            about(r, "destroy", NULL);
            was_there = true;
        }
        poll(NULL, 0, ASK_MS);
    }
}

/* A version 4 UUID of its own; false if the kernel gives no random bytes. */
static bool make_uuid(char text[40])
{
    uint8_t u[16];

    if (getrandom(u, sizeof(u), 0) != (ssize_t)sizeof(u)) {
        return false;
    }
    snprintf(text, 40, "%02x%02x%02x%02x-%02x%02x-4%x%02x-%x%x%02x-%02x%02x%02x%02x%02x%02x", u[0],
             u[1], u[2], u[3], u[4], u[5], u[6] & 15, u[7], 8 + (u[8] & 3), u[8] >> 4, u[9], u[10],
             u[11], u[12], u[13], u[14], u[15]);
    return true;
}

static int run_guest(struct running *r, const struct parsed *p, const struct rootfs *fs)
{
    int rc;

    work_begin_outside(r->work);
    rc = start(r, p, fs);
    if (rc == 0) {
        r->c->is_quiet = true; /* the guest runs on while joistd starts again */
        stream(r);
        destroy(r);
    }
    work_end_outside(r->work);
    if (rc != 0) {
        return work_is_stopped() ? EXIT_INTERRUPTED : rc;
    }
    if (r->stream.output_error != 0) {
        fprintf(stderr, "joist: run: standard output: %s; the rest of the output is lost\n",
                strerror(r->stream.output_error));
        return EXIT_RUN_FAILED;
    }
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
    struct work w;
    struct running r = { .c = c, .work = &w };
    struct rootfs_spec spec = { .root = p->value['R'],
                                .kernel = p->value['k'],
                                .ramdisk = p->value['r'] };
    char *command[1025] = { 0 };
    struct progress bar;
    struct rootfs fs;
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
    work_set_outside(destroy_behind, &r);
    if (!make_uuid(r.uuid)) {
        fail_set(&f, -EIO, "run", r.name, "the kernel gives no random bytes");
    }
    if (f.code != 0 || work_begin(&w, &f) != 0) {
        say_fail(&f);
        return EXIT_RUN_FAILED;
    }
    signal(SIGPIPE, SIG_IGN);
    c->is_json = false; /* standard output is the command's */
    progress_begin(&bar, false);
    bar.is_quiet = !bar.is_bar; /* its lines would lie between the command's words */
    spec.progress = &bar;
    rc = stream_begin(&r.stream);
    rc = rc == 0 ? rootfs_make(&w, &spec, &fs, &f) : fail_set(&f, rc, "run", r.name, "no memory");
    progress_end(&bar);
    rc = rc == 0 ? run_guest(&r, p, &fs) : EXIT_RUN_FAILED;
    stream_end(&r.stream);
    if (f.code != 0) {
        say_fail(&f);
    }
    work_end(&w);
    return f.code == -EINTR ? EXIT_INTERRUPTED : rc;
}
