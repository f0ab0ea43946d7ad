/* SPDX-License-Identifier: MIT */
/* Log lines of a daemon. */

#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *log_name = "joist";
static int log_fd = STDERR_FILENO;
static int log_shown = LOG_LEVEL_WARN;

int log_open(const char *name, const char *path)
{
    log_name = name;
    if (path) {
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (fd < 0) {
            return -errno;
        }
        log_fd = fd;
    }
    return 0;
}

void log_verbose(int steps)
{
    log_shown = LOG_LEVEL_WARN + steps;
}

/* One write per line, so that lines of several processes do not mix. Control characters, which
   may come from a guest, are shown as '?'. */
void log_line(enum log_level level, const char *fmt, ...)
{
    static const char *const words[] = { "error: ", "warning: ", "", "debug: " };
    char line[1024];
    char stamp[32] = "";
    struct tm tm;
    time_t now = time(NULL);
    va_list args;

    if ((int)level > log_shown) {
        return;
    }
    if (log_fd != STDERR_FILENO && gmtime_r(&now, &tm)) {
        (void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ ", &tm);
    }
    int n = snprintf(line, sizeof(line), "%s%s: %s", stamp, log_name, words[level]);
    if (n < 0 || n >= (int)sizeof(line)) {
        return;
    }
    va_start(args, fmt);
    int more = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, args);
    va_end(args);
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
    ssize_t done = write(log_fd, line, len);
    (void)done; /* there is nowhere to say that the log is full */
}
