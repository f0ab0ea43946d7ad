/* SPDX-License-Identifier: MIT */
/* What every daemon does at its start and end. */

#include "common/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"

int make_dirs(const char *path, unsigned int mode)
{
    char part[PATH_MAX];
    size_t len = strlen(path);

    if (len >= sizeof(part)) {
        return -ENAMETOOLONG;
    }
    for (size_t i = 1; i <= len; i++) {
        if (path[i] == '/' || path[i] == '\0') {
            memcpy(part, path, i);
            part[i] = '\0';
            if (mkdir(part, mode) < 0 && errno != EEXIST) {
                return -errno;
            }
        }
    }
    return 0;
}

int daemon_option(struct daemon *d, int opt, const char *arg, const char *usage)
{
    switch (opt) {
    case 'f':
        d->is_foreground = true;
        return 0;
    case 'v':
        d->verbose++;
        return 0;
    case 'h':
        (void)fputs(usage, stdout);
        return 1;
    case DAEMON_OPT_CHECK:
        d->is_check = true;
        return 0;
    case DAEMON_OPT_PIDFILE:
        d->pidfile = arg;
        return 0;
    default:
        (void)fputs(usage, stderr);
        return -EINVAL;
    }
}

int daemon_no_words(const struct daemon *d, int argc, char **argv)
{
    if (optind == argc) {
        return 0;
    }
    (void)fprintf(stderr, "%s: unexpected argument %s\n", d->name, argv[optind]);
    return -EINVAL;
}

/* The pid file is locked for the daemon's life: a second instance is refused, and a file left by
   a killed one is taken over. */
static int take_pidfile(struct daemon *d)
{
    char text[16];
    int fd = open(d->pidfile, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0) {
        return -errno;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
        close(fd);
        return rc;
    }
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || write(fd, text, (size_t)n) != n) {
        int rc = errno ? -errno : -EIO;
        close(fd);
        return rc;
    }
    d->pid_fd = fd;
    return 0;
}

/* Runs in the first process: ends with 0 once the daemon says so, with 1 if it ended before. */
static void wait_for_ready(int fd)
{
    char byte = 1;
    ssize_t n = read(fd, &byte, 1);

    _exit(n == 1 && byte == 0 ? 0 : 1);
}

static int detach(struct daemon *d)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0) {
        return -errno;
    }
    pid_t pid = fork();
    if (pid < 0) {
        return -errno;
    }
    if (pid > 0) {
        close(ends[1]);
        wait_for_ready(ends[0]);
    }
    close(ends[0]);
    d->ready_fd = ends[1];
    if (setsid() < 0 || chdir("/") < 0) {
        return -errno;
    }
    return 0;
}

int daemon_start(struct daemon *d, const char *logfile)
{
    int rc = 0;

    d->pid_fd = -1;
    d->ready_fd = -1;
    log_verbose(d->verbose);
    (void)log_open(d->name, NULL);
    if (!d->is_foreground) {
        rc = detach(d);
    }
    if (rc == 0 && d->pidfile) {
        rc = take_pidfile(d);
        if (rc == -EBUSY) {
            log_error("another %s runs already (pid file %s is locked)", d->name, d->pidfile);
            return rc;
        }
    }
    if (rc < 0) {
        log_error("cannot start: %s: %s", d->pidfile ? d->pidfile : "fork", strerror(-rc));
        return rc;
    }
    if (!d->is_foreground && logfile) {
        rc = log_open(d->name, logfile);
        if (rc < 0) {
            log_warn("cannot open log %s: %s", logfile, strerror(-rc));
        }
    }
    return 0;
}

/* sd_notify(3) in its simplest form: one datagram to the socket that systemd named. */
static void notify_systemd(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    static const char text[] = "READY=1";

    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(addr.sun_path)) {
        return;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    size_t len = strlen(path);
    memcpy(addr.sun_path, path, len);
    if (path[0] == '@') {
        addr.sun_path[0] = '\0';
    }
    (void)sendto(fd, text, sizeof(text) - 1, MSG_NOSIGNAL, (struct sockaddr *)&addr,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

void daemon_ready(struct daemon *d)
{
    static const char zero = 0;

    if (d->ready_fd >= 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null >= 0) {
            (void)dup2(null, STDIN_FILENO);
            (void)dup2(null, STDOUT_FILENO);
            (void)dup2(null, STDERR_FILENO);
            close(null);
        }
        ssize_t n = write(d->ready_fd, &zero, 1);
        (void)n; /* a parent that was killed need not be told */
        close(d->ready_fd);
        d->ready_fd = -1;
    }
    notify_systemd();
}

void daemon_end(struct daemon *d)
{
    if (d->pid_fd >= 0) {
        (void)unlink(d->pidfile);
        close(d->pid_fd);
        d->pid_fd = -1;
    }
}
