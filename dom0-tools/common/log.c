/* SPDX-License-Identifier: MIT */
/* Log lines of a daemon. */

#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *log_name = "joist";
static int log_fd = STDERR_FILENO;
static int log_shown = LOG_LEVEL_WARN;
static char log_path[PATH_MAX]; /* empty: not ours to keep small */
static pid_t log_keeper;        /* children write to the same file, and leave it where it is */

static int open_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

    return fd < 0 ? -errno : fd;
}

int log_open_shared(const char *name, const char *path)
{
    log_name = name;
    if (path) {
        int fd = open_file(path);
        if (fd < 0) {
            return fd;
        }
        if (log_fd != STDERR_FILENO) {
            close(log_fd);
        }
        log_fd = fd;
        log_path[0] = '\0';
    }
    return 0;
}

int log_open(const char *name, const char *path)
{
    int rc = log_open_shared(name, path);

    if (rc == 0 && path) {
        int n = snprintf(log_path, sizeof(log_path), "%s", path);
        if (n >= (int)sizeof(log_path)) {
            log_path[0] = '\0';
        }
        log_keeper = getpid();
    }
    return rc;
}

static void rotate(const char *path)
{
    char old[PATH_MAX + 2];

    (void)snprintf(old, sizeof(old), "%s.1", path);
    (void)rename(path, old);
}

void log_make_room(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > LOG_FILE_MAX) {
        rotate(path);
    }
}

static bool is_full(size_t more)
{
    struct stat st;

    return fstat(log_fd, &st) == 0 && S_ISREG(st.st_mode) &&
           st.st_size + (off_t)more > LOG_FILE_MAX;
}

/* Where no new file can be had the old one's lines go: never the bound. */
static void keep_small(size_t more)
{
    if (!log_path[0] || getpid() != log_keeper || !is_full(more)) {
        return;
    }
    rotate(log_path);
    int fd = open_file(log_path);
    if (fd >= 0) {
        (void)dup3(fd, log_fd, O_CLOEXEC);
        close(fd);
    }
    if (is_full(more)) {
        int rc = ftruncate(log_fd, 0);
        (void)rc; /* there is nowhere to say so */
    }
}

void log_verbose(int steps)
{
    log_shown = LOG_LEVEL_WARN + steps;
}

/* One write per line, so that lines of several processes do not mix. Control characters, which
   may come from a guest, are shown as '?'. */
static void put_line(enum log_level level, const char *fmt, va_list args)
{
    static const char *const words[] = { "error: ", "warning: ", "", "debug: " };
    char line[1024];
    char stamp[32] = "";
    struct tm tm;
    time_t now = time(NULL);

    if (log_fd != STDERR_FILENO && gmtime_r(&now, &tm)) {
        (void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ ", &tm);
    }
    int n = snprintf(line, sizeof(line), "%s%s: %s", stamp, log_name, words[level]);
    if (n < 0 || n >= (int)sizeof(line)) {
        return;
    }
    int more = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, args);
    if (more < 0) {
        return;
    }
    size_t len = strlen(line);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f) {
            line[i] = '?';
        }
    }
    line[len++] = '\n';
    keep_small(len);
    ssize_t done = write(log_fd, line, len);
    (void)done; /* there is nowhere to say that the log is full */
}

void log_line(enum log_level level, const char *fmt, ...)
{
    va_list args;

    if ((int)level <= log_shown) {
        va_start(args, fmt);
        put_line(level, fmt, args);
        va_end(args);
    }
}

bool log_limit_take(struct log_limit *l, uint64_t now_ms)
{
    uint64_t from = l->full_ms > now_ms ? l->full_ms : now_ms;

    if (from - now_ms > (LOG_BURST - 1) * LOG_EVERY_MS) {
        l->left_out++;
        return false;
    }
    l->full_ms = from + LOG_EVERY_MS;
    return true;
}

void log_limited(struct log_limit *l, enum log_level level, const char *fmt, ...)
{
    struct timespec ts;
    va_list args;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    if ((int)level > log_shown ||
        !log_limit_take(l, (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000)) {
        return;
    }
    if (l->left_out > 0) {
        log_line(level, "%u lines like the next one suppressed", l->left_out);
        l->left_out = 0;
    }
    va_start(args, fmt);
    put_line(level, fmt, args);
    va_end(args);
}
