/* SPDX-License-Identifier: MIT */
/*
 * Disk images other than raw ones: qemu-nbd serves them as an nbd device of this kernel.  Each
 * export has an empty file in NBD_DIR, made before the process: where there is one, the table of
 * processes is searched for the qemu-nbd that carries its name.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nbd.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "joistd/blkdev.h"
#include "joistd/nbd_wall.h"

#define START_WAIT 5000 /* ms until the device has its size */
#define END_WAIT   10000
#define STEP       10

static const char ending[] = ".pid";

static void marker(const char *tag, char *path, size_t size)
{
    snprintf(path, size, NBD_DIR "/%s.pid", tag);
}

static int build_wall(const void *arg)
{
    return nbd_wall(arg);
}

static bool has_nbd(void)
{
    return access("/sys/block/nbd0", F_OK) == 0;
}

/* A device that nobody serves. */
static int free_device(char *node, size_t size)
{
    char path[64];
    int i;

    for (i = 0; i < 1024; i++) {
        snprintf(path, sizeof(path), "/sys/block/nbd%d", i);
        if (access(path, F_OK) != 0) {
            return -EBUSY;
        }
        snprintf(path, sizeof(path), "/sys/block/nbd%d/pid", i);
        if (access(path, F_OK) != 0) {
            snprintf(node, size, "/dev/nbd%d", i);
            return 0;
        }
    }
    return -EBUSY;
}

static bool wait_size(const char *node)
{
    char path[64];
    unsigned int waited;

    snprintf(path, sizeof(path), "/sys/block/%s/size", node + strlen("/dev/"));
    for (waited = 0; waited < START_WAIT; waited += STEP) {
        FILE *f = fopen(path, "re");
        unsigned long long sectors = 0;

        if (f != NULL) {
            if (fscanf(f, "%llu", &sectors) != 1) {
                sectors = 0;
            }
            fclose(f);
        }
        if (sectors > 0) {
            return true;
        }
        poll(NULL, 0, STEP);
    }
    return false;
}

static void keep_line(char *said)
{
    said[strcspn(said, "\n")] = '\0';
}

int nbd_attach(const struct nbd_export *e, char *node, size_t size, dev_t *dev, struct fail *f)
{
    /* no partitions: a table that a guest has written is not for this kernel to read */
    static const char *const load[] = {
        "modprobe", "-q", "nbd", "nbds_max=64", "max_part=0", NULL
    };
    char pid[160];
    char pid_arg[192];
    char connect[64];
    char format[32];
    char socket[224];
    char said[512];
    const char *argv[14] = { "qemu-nbd" };
    const struct nbd_wall wall = { e->path, e->is_readonly, node, NBD_DIR, "joist-nbd" };
    struct stat st;
    int n = 1;
    int fd;
    int rc;

    if (!has_nbd()) {
        run_program(load, said, sizeof(said));
    }
    rc = has_nbd() ? free_device(node, size) : -ENODEV;
    if (rc != 0) {
        fail_set(f, rc, "disk", e->path, "%s",
                 rc == -ENODEV ? "this kernel has no nbd driver, which its format needs"
                               : "no nbd device is free");
        return fail_remedy(f, rc == -ENODEV ? "modprobe nbd"
                                            : "modprobe -r nbd; modprobe nbd "
                                              "nbds_max=256");
    }
    mkdir(NBD_DIR, 0700);
    marker(e->tag, pid, sizeof(pid));
    fd = open(pid, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail_set(f, -errno, "disk", pid, "cannot be made: %s", strerror(errno));
    }
    close(fd);
    snprintf(connect, sizeof(connect), "--connect=%.48s", node);
    snprintf(format, sizeof(format), "--format=%.16s", e->format);
    snprintf(pid_arg, sizeof(pid_arg), "--pid-file=%s", pid);
    snprintf(socket, sizeof(socket), "--socket=" NBD_DIR "/%s.sock", e->tag);
    argv[n++] = connect;
    argv[n++] = format;
    argv[n++] = pid_arg;
    argv[n++] = socket;
    argv[n++] = "--cache=writeback";
    argv[n++] = e->discard ? "--discard=unmap" : "--discard=ignore";
    if (e->is_readonly) {
        argv[n++] = "--read-only";
    }
    argv[n++] = "--";
    argv[n++] = e->path;
    argv[n] = NULL;
    rc = run_program_after(argv, build_wall, &wall, said, sizeof(said));
    keep_line(said);
    if (rc == 127) {
        fail_set(f, -ENOENT, "disk", e->path,
                 "qemu-nbd, which serves its format, is not installed");
        fail_remedy(f, "install qemu-utils");
    } else if (rc != 0) {
        fail_set(f, -EIO, "disk", e->path, "qemu-nbd refuses it: %s", said);
    } else if (!wait_size(node) || stat(node, &st) != 0) {
        fail_set(f, -ETIMEDOUT, "disk", e->path,
                 "qemu-nbd serves it, but %s has no size after %d s", node, START_WAIT / 1000);
    } else {
        *dev = st.st_rdev;
        return 0;
    }
    nbd_detach(e->tag, NULL);
    return f->code;
}

/* --- the end of exports ------------------------------------------------------------------------
 */

/* The command line of a process as words, each with its end mark. */
static size_t command_of(const char *pid, char *words, size_t size)
{
    char path[64];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%.16s/cmdline", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, words, size - 1) : 0;
    if (fd >= 0) {
        close(fd);
    }
    n = n > 0 ? n : 0;
    words[n] = '\0';
    return (size_t)n;
}

static const char *word_after(const char *words, size_t size, const char *key)
{
    size_t n = strlen(key);
    const char *at;

    for (at = words; at < words + size; at += strlen(at) + 1) {
        if (strncmp(at, key, n) == 0) {
            return at + n;
        }
    }
    return NULL;
}

static bool is_alive(pid_t pid)
{
    char path[64];
    char state = 'X';
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1) {
        state = 'X';
    }
    fclose(f);
    return state != 'Z' && state != 'X';
}

static void end_process(pid_t pid, const char *node)
{
    unsigned int waited;
    int fd = node != NULL ? open(node, O_RDWR | O_CLOEXEC) : -1;

    if (fd >= 0) {
        ioctl(fd, NBD_CLEAR_QUE);
        ioctl(fd, NBD_DISCONNECT);
        ioctl(fd, NBD_CLEAR_SOCK);
        close(fd);
    }
    kill(pid, SIGTERM);
    for (waited = 0; is_alive(pid); waited += STEP) {
        if (waited >= END_WAIT) {
            kill(pid, SIGKILL);
            break;
        }
        poll(NULL, 0, STEP);
    }
}

/* Ends each qemu-nbd that was started with this file as its mark. */
static void end_export(const char *pidfile)
{
    char words[4096];
    struct dirent *e;
    DIR *dir = opendir("/proc");

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        const char *mark;
        size_t n;

        if (!isdigit((unsigned char)e->d_name[0])) {
            continue;
        }
        n = command_of(e->d_name, words, sizeof(words));
        mark =
            n > 0 && strstr(words, "qemu-nbd") != NULL ? word_after(words, n, "--pid-file=") : NULL;
        if (mark != NULL && strcmp(mark, pidfile) == 0) {
            end_process((pid_t)atoi(e->d_name), word_after(words, n, "--connect="));
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    unlink(pidfile);
    snprintf(words, sizeof(words), "%.*s.sock", (int)(strlen(pidfile) - strlen(ending)), pidfile);
    unlink(words); /* of a process that was killed */
}

void nbd_detach(const char *tag, const struct blk_keep *keep)
{
    struct dirent *e;
    char name[256];
    size_t n;
    char path[400];
    DIR *dir = opendir(NBD_DIR);

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        n = strlen(e->d_name);
        if (n < sizeof(ending) || strcmp(e->d_name + n - (sizeof(ending) - 1), ending) != 0) {
            continue;
        }
        snprintf(name, sizeof(name), "%.*s", (int)(n - (sizeof(ending) - 1)), e->d_name);
        if (tag_fits(name, tag, keep)) {
            snprintf(path, sizeof(path), NBD_DIR "/%s", e->d_name);
            end_export(path);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}
