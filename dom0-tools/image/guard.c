/* SPDX-License-Identifier: MIT */
/* The far end of a socket, whose end of file tells that everybody else is gone. */
#include "image/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image/work.h"

/* What it can be told; a path and its end mark follow TELL_PATH. */
enum tell { TELL_PATH = 'p', TELL_FLAG = 'f', TELL_NO_FLAG = 'n', TELL_END = '.' };

static char path[WORK_PATH_MAX];
static bool is_flagged;

const char *guard_path(void)
{
    return path;
}

bool guard_flag(void)
{
    return is_flagged;
}

/* Everything that was told, byte by byte: each message was written in one piece. */
static void hear(int fd)
{
    size_t used = 0;
    bool is_path = false;
    char byte;
    ssize_t n;

    for (;;) {
        n = read(fd, &byte, 1);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return;
        }
        if (is_path) {
            path[used] = byte;
            used += used < sizeof(path) - 1;
            is_path = byte != '\0';
        } else if (byte == TELL_END) {
            _exit(0);
        } else if (byte == TELL_PATH) {
            used = 0;
            is_path = true;
        } else {
            is_flagged = byte == TELL_FLAG;
        }
    }
}

static _Noreturn void be_guard(int fd, void (*clear)(void *arg), void *arg)
{
    int nothing;

    setsid(); /* a Ctrl-C is for the others */
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    /* nobody who waits for the end of our output waits for this process */
    if (fd <= STDERR_FILENO) {
        fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    }
    nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing >= 0) {
        dup2(nothing, STDIN_FILENO);
        dup2(nothing, STDOUT_FILENO);
        dup2(nothing, STDERR_FILENO);
    }
    if (fd > STDERR_FILENO + 1) {
        close_range(STDERR_FILENO + 1, (unsigned int)fd - 1, 0);
    }
    close_range((unsigned int)fd + 1, ~0u, 0);
    hear(fd);
    clear(arg);
    _exit(0);
}

int guard_begin(struct guard *g, void (*clear)(void *arg), void *arg)
{
    int ends[2];
    int rc;

    *g = (struct guard){ 0 };
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return -errno;
    }
    g->pid = fork();
    if (g->pid == 0) {
        close(ends[1]);
        be_guard(ends[0], clear, arg);
    }
    rc = g->pid < 0 ? -errno : 0;
    close(ends[0]);
    if (rc != 0) {
        close(ends[1]);
        g->pid = 0;
        return rc;
    }
    /* programs keep it open: what they use is not removed before they have ended */
    fcntl(ends[1], F_SETFD, 0);
    g->fd = ends[1];
    return 0;
}

static void tell(struct guard *g, const char *text, size_t size)
{
    ssize_t n;

    if (g->pid == 0) {
        return;
    }
    /* It reads until its end: there is always room soon.  Should it have been killed, that is no
       reason for us to end, too. */
    do {
        n = send(g->fd, text, size, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
}

void guard_tell_path(struct guard *g, const char *new_path)
{
    char text[WORK_PATH_MAX + 1] = { TELL_PATH };
    size_t n = strnlen(new_path, WORK_PATH_MAX - 1);

    memcpy(text + 1, new_path, n);
    tell(g, text, n + 2);
}

void guard_tell_flag(struct guard *g, bool is_set)
{
    tell(g, (char[1]){ is_set ? TELL_FLAG : TELL_NO_FLAG }, 1);
}

void guard_end(struct guard *g)
{
    if (g->pid == 0) {
        return;
    }
    tell(g, (char[1]){ TELL_END }, 1);
    close(g->fd);
    while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    *g = (struct guard){ 0 };
}
