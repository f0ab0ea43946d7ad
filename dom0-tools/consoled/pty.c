/* SPDX-License-Identifier: MIT */
/* Pseudo-terminals. */

#include "consoled/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static int last_error(void)
{
    return errno ? -errno : -EIO;
}

static int open_slave(struct pty *p)
{
    struct termios raw;

    if (grantpt(p->master) < 0 || unlockpt(p->master) < 0 ||
        ptsname_r(p->master, p->path, sizeof(p->path)) != 0) {
        return last_error();
    }
    p->slave = open(p->path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (p->slave < 0) {
        return last_error();
    }
    if (tcgetattr(p->slave, &raw) < 0) {
        return last_error();
    }
    cfmakeraw(&raw);
    return tcsetattr(p->slave, TCSANOW, &raw) < 0 ? last_error() : 0;
}

int pty_open(struct pty *p)
{
    errno = 0;
    *p = (struct pty){ .slave = -1 };
    p->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (p->master < 0) {
        return last_error();
    }
    int rc = open_slave(p);
    if (rc < 0) {
        pty_close(p);
    }
    return rc;
}

void pty_close(struct pty *p)
{
    if (p->slave >= 0) {
        close(p->slave);
    }
    if (p->master >= 0) {
        close(p->master);
    }
    p->slave = -1;
    p->master = -1;
}

int console_link(const char *target, const char *dir, const char *name)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

    if (n < 0 || n >= (int)sizeof(path)) {
        return -ENAMETOOLONG;
    }
    (void)unlink(path);
    return symlink(target, path) < 0 ? -errno : 0;
}

int console_relink(const char *from, const char *to, const char *dir, const char *name)
{
    char path[PATH_MAX];
    char now[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
    ssize_t len = n < 0 || n >= (int)sizeof(path) ? -1 : readlink(path, now, sizeof(now));

    if (len < 0 || (size_t)len != strlen(from) || memcmp(now, from, (size_t)len) != 0) {
        return -ENOENT;
    }
    return console_link(to, dir, name);
}
