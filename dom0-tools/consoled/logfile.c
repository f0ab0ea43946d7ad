/* SPDX-License-Identifier: MIT */
/* The log file of one guest's console. */

#include "consoled/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"

static int reopen(struct logfile *l)
{
    l->fd = open(l->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (l->fd < 0) {
        return -errno;
    }
    off_t size = lseek(l->fd, 0, SEEK_END);
    l->size = size > 0 ? (uint64_t)size : 0;
    return 0;
}

int logfile_open(struct logfile *l, const char *dir, const char *name, uint64_t budget)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/console-%s.log", dir, name);

    *l = (struct logfile){ .fd = -1, .budget = budget };
    if (n < 0 || n >= (int)sizeof(path) - 2) {
        return -ENAMETOOLONG;
    }
    l->path = xstrdup(path);
    return reopen(l);
}

static void rotate(struct logfile *l)
{
    static struct log_limit limit; /* any guest fills its file as often as it likes */
    char old[PATH_MAX];

    (void)snprintf(old, sizeof(old), "%s.1", l->path);
    close(l->fd);
    l->fd = -1;
    if (rename(l->path, old) < 0) {
        log_limited(&limit, LOG_LEVEL_WARN, "cannot rotate %s: %s", l->path, strerror(errno));
        (void)unlink(l->path);
    }
    int rc = reopen(l);
    if (rc < 0) {
        log_limited(&limit, LOG_LEVEL_WARN, "console log %s: %s", l->path, strerror(-rc));
    }
}

/* A full file system costs log lines, never the console. */
void logfile_write(struct logfile *l, const uint8_t *data, size_t len)
{
    if (l->fd >= 0 && l->size + len > l->budget / 2 && l->size > 0) {
        rotate(l);
    }
    if (l->fd < 0) {
        return;
    }
    ssize_t n = write(l->fd, data, len);
    if (n > 0) {
        l->size += (uint64_t)n;
    }
}

void logfile_close(struct logfile *l)
{
    if (l->fd >= 0) {
        close(l->fd);
    }
    free(l->path);
    *l = (struct logfile){ .fd = -1 };
}
