/* SPDX-License-Identifier: MIT */
/* Forked children of the daemon and their one-line reports. */
#include "joistd/job.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPORT_MAX 65536

static void run_child(int fd, pid_t parent, json_t *(*work)(void *arg), void *arg)
{
    json_t *report;
    char *text;
    size_t size;
    ssize_t n;

    /* A daemon that is killed starts again only when this child is gone: it holds the pid file. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(1);
    }
    report = work(arg);
    text = report != NULL ? json_dumps(report, JSON_COMPACT) : NULL;
    for (size = text != NULL ? strlen(text) : 0; size > 0; size -= (size_t)n) {
        n = write(fd, text, size);
        if (n <= 0) {
            _exit(1);
        }
        text += n;
    }
    _exit(0);
}

static void finish(struct job *j)
{
    evloop_del(j->loop, &j->source);
    close(j->source.fd);
    waitpid(j->pid, NULL, 0);
    j->pid = 0;
}

static void readable(struct ev_fd *src, short revents)
{
    struct job *j = src->owner;
    json_t *report;
    ssize_t n;

    (void)revents;
    n = read(src->fd, buf_room(&j->report, 4096), 4096);
    if (n > 0 && j->report.len + (size_t)n <= REPORT_MAX) {
        buf_added(&j->report, (size_t)n);
        return;
    }
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return;
    }
    if (n > 0) {
        kill(j->pid, SIGKILL);
    }
    finish(j);
    report = json_loadb(buf_data(&j->report), j->report.len, 0, NULL);
    buf_free(&j->report);
    j->done(j, report);
    json_decref(report);
}

int job_start(struct job *j, struct evloop *loop, json_t *(*work)(void *arg), void *arg,
              void (*done)(struct job *j, json_t *report))
{
    pid_t parent = getpid();
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -errno;
    }
    j->pid = fork();
    if (j->pid < 0) {
        int rc = -errno;

        j->pid = 0;
        close(ends[0]);
        close(ends[1]);
        return rc;
    }
    if (j->pid == 0) {
        close(ends[0]);
        run_child(ends[1], parent, work, arg);
    }
    close(ends[1]);
    j->loop = loop;
    j->done = done;
    j->source = (struct ev_fd){ .fd = ends[0], .events = POLLIN, .handler = readable, .owner = j };
    evloop_add(loop, &j->source);
    return 0;
}

void job_kill(struct job *j)
{
    if (j->pid > 0) {
        kill(j->pid, SIGKILL);
        finish(j);
        buf_free(&j->report);
    }
}
