/* SPDX-License-Identifier: MIT */
/*
 * Loop devices.  A device that we bind carries a tag in its name field (which the driver only keeps
 * for its user), so that the devices of a guest are found again whatever happened to the daemon.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <dirent.h>
#include <unistd.h>

#include "common/evloop.h"
#include "joistd/blkdev.h"

#define TRIES 32 /* others may take the free device that was offered to us */

int run_program(const char *const argv[], char *said, size_t size)
{
    const struct run_with with = { 0 };

    return run_program_with(argv, &with, said, size);
}

static void become_program(const char *const argv[], const struct run_with *with, int out)
{
    int null = open("/dev/null", O_RDWR);
    sigset_t none;
    int rc;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL); /* the daemon takes its signals otherwise */
    setsid();
    dup2(null, 0);
    dup2(null, 1);
    dup2(out, 2);
    rc = with->before != NULL ? with->before(with->arg) : 0;
    if (rc != 0) {
        dprintf(2, "it cannot be walled in: %s\n", strerror(-rc));
        _exit(126);
    }
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

/* Takes over what has been said, as far as there is room; names in it may be a stranger's, and go
   to terminals. */
static size_t add_said(char *said, size_t used, size_t size, const char *text, size_t n)
{
    size_t i;

    for (i = 0; i < n && used + 1 < size; i++) {
        said[used++] = (text[i] >= ' ' && text[i] <= '~') || text[i] == '\n' ? text[i] : '?';
    }
    said[used] = '\0';
    return used;
}

/* Reads what it says until nobody can say more; false when that takes longer than until `end_ms`.
 */
static bool hear(int from, uint64_t end_ms, char *said, size_t size)
{
    struct pollfd p = { .fd = from, .events = POLLIN };
    char text[512];
    size_t used = 0;
    uint64_t now;
    ssize_t n;

    for (;;) {
        now = evloop_now_ms();
        if (end_ms != 0 && now >= end_ms) {
            return false;
        }
        if (poll(&p, 1, end_ms != 0 ? (int)(end_ms - now) : -1) <= 0) {
            continue;
        }
        n = read(from, text, sizeof(text));
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return true;
        }
        used = n > 0 ? add_said(said, used, size, text, (size_t)n) : used;
    }
}

/* 0, or -ETIMEDOUT: it runs on. */
static int wait_end(pid_t pid, uint64_t end_ms, int *status)
{
    pid_t got;

    while ((got = waitpid(pid, status, end_ms != 0 ? WNOHANG : 0)) != pid) {
        if (got < 0 && errno != EINTR) {
            return -errno;
        }
        if (end_ms != 0 && evloop_now_ms() >= end_ms) {
            return -ETIMEDOUT;
        }
        poll(NULL, 0, 5);
    }
    return 0;
}

/* What is killed may be in a system call that does not end: not waited for without end. */
static void kill_program(pid_t pid)
{
    unsigned int i;

    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    for (i = 0; i < 100 && waitpid(pid, NULL, WNOHANG) != pid; i++) {
        poll(NULL, 0, 10);
    }
}

int run_program_with(const char *const argv[], const struct run_with *with, char *said, size_t size)
{
    uint64_t end_ms = with->timeout_ms > 0 ? evloop_now_ms() + with->timeout_ms : 0;
    int ends[2];
    int status = 0;
    pid_t pid;
    int rc;

    said[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -errno;
    }
    pid = fork();
    if (pid < 0) {
        rc = -errno;
        close(ends[0]);
        close(ends[1]);
        return rc;
    }
    if (pid == 0) {
        become_program(argv, with, ends[1]);
    }
    close(ends[1]);
    rc = hear(ends[0], end_ms, said, size) ? wait_end(pid, end_ms, &status) : -ETIMEDOUT;
    close(ends[0]);
    if (rc == -ETIMEDOUT) {
        kill_program(pid);
    }
    if (rc != 0) {
        return rc;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

static int open_control(void)
{
    static const char *const load[] = { "modprobe", "-q", "loop", NULL };
    char said[64];
    int fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        run_program(load, said, sizeof(said));
        fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    }
    return fd >= 0 ? fd : -ENODEV;
}

/* The node of a device that was made this moment may take a while to appear. */
static int open_loop(int number, int flags, char *node, size_t size)
{
    int fd = -1;
    int i;

    snprintf(node, size, "/dev/loop%d", number);
    for (i = 0; i < 100; i++) {
        fd = open(node, flags | O_CLOEXEC);
        if (fd >= 0 || errno != ENOENT) {
            break;
        }
        poll(NULL, 0, 10);
    }
    return fd >= 0 ? fd : -errno;
}

int loop_attach(int fd, bool is_readonly, const char *tag, char *node, size_t size, dev_t *dev)
{
    struct loop_config config = { .fd = (uint32_t)fd };
    struct stat st;
    int control = open_control();
    int rc = control < 0 ? control : -EBUSY;
    int loop;
    int i;

    config.info.lo_flags = (is_readonly ? LO_FLAGS_READ_ONLY : 0) | LO_FLAGS_DIRECT_IO;
    snprintf((char *)config.info.lo_file_name, LO_NAME_SIZE, "%s", tag);
    for (i = 0; i < TRIES && rc == -EBUSY; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);

        if (number < 0) {
            rc = -errno;
            break;
        }
        loop = open_loop(number, is_readonly ? O_RDONLY : O_RDWR, node, size);
        if (loop < 0) {
            rc = loop;
            break;
        }
        rc = ioctl(loop, LOOP_CONFIGURE, &config) == 0 ? 0 : -errno;
        if (rc == 0 && fstat(loop, &st) != 0) {
            rc = -errno;
        }
        close(loop);
    }
    if (control >= 0) {
        close(control);
    }
    if (rc == 0) {
        *dev = st.st_rdev;
    }
    return rc;
}

bool tag_fits(const char *tag, const char *wanted, const struct blk_keep *keep)
{
    size_t n = strlen(wanted);

    if (n == 0 || wanted[n - 1] != ':') {
        return strcmp(tag, wanted) == 0;
    }
    return strncmp(tag, wanted, n) == 0 &&
           (keep == NULL || !keep->is_kept((unsigned int)strtoul(tag + n, NULL, 10), keep->arg));
}

/* Calls act() for each bound loop device until it returns true. */
static bool each_loop(bool (*act)(int fd, const char *name, const struct loop_info64 *info,
                                  void *arg),
                      void *arg)
{
    struct loop_info64 info;
    struct dirent *e;
    char path[300];
    bool is_done = false;
    DIR *dir = opendir("/sys/block");
    int fd;

    while (!is_done && dir != NULL && (e = readdir(dir)) != NULL) {
        snprintf(path, sizeof(path), "/sys/block/%s/loop", e->d_name);
        if (strncmp(e->d_name, "loop", 4) != 0 || access(path, F_OK) != 0) {
            continue;
        }
        snprintf(path, sizeof(path), "/dev/%s", e->d_name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            continue;
        }
        memset(&info, 0, sizeof(info));
        if (ioctl(fd, LOOP_GET_STATUS64, &info) == 0) {
            info.lo_file_name[LO_NAME_SIZE - 1] = '\0';
            is_done = act(fd, e->d_name, &info, arg);
        }
        close(fd);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return is_done;
}

struct wanted {
    const char *tag;
    const struct blk_keep *keep;
};

static bool detach_one(int fd, const char *name, const struct loop_info64 *info, void *arg)
{
    const struct wanted *wanted = arg;

    (void)name;
    if (tag_fits((const char *)info->lo_file_name, wanted->tag, wanted->keep)) {
        ioctl(fd, LOOP_CLR_FD);
    }
    return false;
}

void loop_detach(const char *tag, const struct blk_keep *keep)
{
    struct wanted wanted = { tag, keep };

    each_loop(detach_one, &wanted);
}

struct search {
    dev_t dev;
    ino_t ino;
    bool writers_only;
    struct loop_use *use;
};

static bool is_same_file(int fd, const char *name, const struct loop_info64 *info, void *arg)
{
    const struct search *s = arg;
    bool is_readonly = (info->lo_flags & LO_FLAGS_READ_ONLY) != 0;

    (void)fd;
    if (info->lo_device != s->dev || info->lo_inode != s->ino || (s->writers_only && is_readonly)) {
        return false;
    }
    snprintf(s->use->name, sizeof(s->use->name), "%.15s", name);
    snprintf(s->use->tag, sizeof(s->use->tag), "%s", (const char *)info->lo_file_name);
    s->use->is_readonly = is_readonly;
    return true;
}

bool loop_find(dev_t dev, ino_t ino, bool writers_only, struct loop_use *use)
{
    struct search s = { dev, ino, writers_only, use };

    return each_loop(is_same_file, &s);
}

static bool resize_one(int fd, const char *name, const struct loop_info64 *info, void *arg)
{
    const char **tag = arg;

    (void)name;
    if (!tag_fits((const char *)info->lo_file_name, *tag, NULL)) {
        return false;
    }
    *tag = ioctl(fd, LOOP_SET_CAPACITY, 0) == 0 ? NULL : "";
    return true;
}

int loop_resize(const char *tag)
{
    const char *state = tag;

    if (!each_loop(resize_one, &state)) {
        return -ENODEV;
    }
    return state == NULL ? 0 : -EIO;
}
