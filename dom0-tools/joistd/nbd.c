/* SPDX-License-Identifier: MIT */
/*
 * Disk images other than raw ones: qemu-nbd serves them as an nbd device of this kernel.  Each
 * export has a directory in NBD_DIR, made before the process, which puts its socket there: where
 * there is one, the table of processes is searched for the qemu-nbd that carries its name.  A
 * process that starts when its directory has gone finds no place for its socket and ends.
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
#include <sys/syscall.h>
#include <unistd.h>

#include "common/evloop.h"
#include "common/log.h"
#include "joistd/blkdev.h"
#include "joistd/nbd_wall.h"

#define SAY_WAIT   20000 /* ms until the program says that it serves, or why it does not */
#define START_WAIT 5000  /* ms until the device has its size */
#define END_WAIT   10000
#define STEP       10
#define DIR_SIZE   192
#define MARK       "--socket="
#define NBD_USER   "joist-nbd"

static bool is_landlock_needed;

void nbd_need_landlock(bool is_needed)
{
    is_landlock_needed = is_needed;
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

static int check_landlock(const char *path, struct fail *f)
{
    if (nbd_wall_has_landlock()) {
        return 0;
    }
    if (!is_landlock_needed) {
        log_warn("%s: this kernel has no Landlock: nothing bounds what qemu-nbd can write", path);
        return 0;
    }
    fail_set(
        f, -EOPNOTSUPP, "disk", path,
        "its format needs qemu-nbd, which is not started without Landlock, as joistd was told");
    return fail_remedy(f, "boot the kernel with landlock in its lsm=, or give the disk in raw "
                          "format; --landlock=if-there is the option of joistd that allows it");
}

static int find_device(const char *path, char *node, size_t size, struct fail *f)
{
    /* no partitions: a table that a guest has written is not for this kernel to read */
    static const char *const load[] = {
        "modprobe", "-q", "nbd", "nbds_max=64", "max_part=0", NULL
    };
    char said[64];
    int rc;

    if (!has_nbd()) {
        run_program(load, said, sizeof(said));
    }
    rc = has_nbd() ? free_device(node, size) : -ENODEV;
    if (rc == -ENODEV) {
        fail_set(f, rc, "disk", path, "this kernel has no nbd driver, which its format needs");
        return fail_remedy(f, "modprobe nbd");
    }
    if (rc != 0) {
        fail_set(f, rc, "disk", path, "no nbd device is free");
        return fail_remedy(f, "modprobe -r nbd; modprobe nbd nbds_max=256");
    }
    return 0;
}

/* The export's own directory, empty; what is left of another of that name is ended. */
static int make_dir(const char *tag, char *dir, size_t size, struct fail *f)
{
    int rc;

    snprintf(dir, size, NBD_DIR "/%s", tag);
    mkdir(NBD_DIR, 0700);
    rc = mkdir(dir, 0700);
    if (rc != 0 && errno == EEXIST) {
        nbd_detach(tag, NULL);
        rc = mkdir(dir, 0700);
    }
    return rc == 0 ? 0 : fail_set(f, -errno, "disk", dir, "cannot be made: %s", strerror(errno));
}

static int start(const struct nbd_export *e, const char *node, const char *dir, char *said,
                 size_t size)
{
    const struct nbd_wall wall = {
        e->path, e->is_readonly, node, dir, NBD_USER, is_landlock_needed
    };
    const struct run_with with = { build_wall, &wall, SAY_WAIT };
    const char *argv[14] = { "qemu-nbd" };
    char connect[64];
    char format[32];
    char socket[DIR_SIZE + 16];
    int n = 1;

    snprintf(connect, sizeof(connect), "--connect=%.48s", node);
    snprintf(format, sizeof(format), "--format=%.16s", e->format);
    snprintf(socket, sizeof(socket), MARK "%s/sock", dir);
    argv[n++] = connect;
    argv[n++] = format;
    argv[n++] = socket;
    argv[n++] = "--cache=writeback";
    argv[n++] = e->discard ? "--discard=unmap" : "--discard=ignore";
    if (e->is_readonly) {
        argv[n++] = "--read-only";
    }
    argv[n++] = "--";
    argv[n++] = e->path;
    argv[n] = NULL;
    return run_program_with(argv, &with, said, size);
}

int nbd_attach(const struct nbd_export *e, char *node, size_t size, dev_t *dev, struct fail *f)
{
    char dir[DIR_SIZE];
    char said[512];
    struct stat st;
    int rc = check_landlock(e->path, f);

    rc = rc == 0 ? find_device(e->path, node, size, f) : rc;
    rc = rc == 0 ? make_dir(e->tag, dir, sizeof(dir), f) : rc;
    if (rc != 0) {
        return rc;
    }
    rc = start(e, node, dir, said, sizeof(said));
    said[strcspn(said, "\n")] = '\0';
    if (rc == 127) {
        fail_set(f, -ENOENT, "disk", e->path,
                 "qemu-nbd, which serves its format, is not installed");
        fail_remedy(f, "install qemu-utils");
    } else if (rc == -ETIMEDOUT) {
        fail_set(f, rc, "disk", e->path, "qemu-nbd has not opened it in %d s", SAY_WAIT / 1000);
        fail_remedy(f, "see what the image is based on: qemu-img info");
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

/* Whether we can have started it.  Anybody can choose a command line, also one for a program that
   gets root's rights, but not the user by whom he starts it.  Both users that qemu-nbd can become
   are asked for: the first may have been made since it started. */
static bool is_trusted(const char *pid)
{
    static const char *const names[] = { NBD_USER, "nobody" };
    char path[64];
    char line[128];
    unsigned int real = 0;
    unsigned int effective = 0;
    bool is_found = false;
    bool is_ours;
    unsigned int i;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%.16s/status", pid);
    f = fopen(path, "re");
    while (f != NULL && !is_found && fgets(line, sizeof(line), f) != NULL) {
        is_found = sscanf(line, "Uid: %u %u", &real, &effective) == 2;
    }
    if (f != NULL) {
        fclose(f);
    }
    is_ours = real == geteuid();
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        uid_t uid;
        gid_t gid;

        nbd_wall_user(names[i], &uid, &gid);
        is_ours = is_ours || real == uid;
    }
    return is_found && real == effective && is_ours;
}

/* Whether it is an nbd device that a thread of this process serves: what stands in the command
   line, the process can have changed, and another guest's device is not to be ended with it. */
static bool is_served_by(const char *node, pid_t pid)
{
    char path[96];
    int number = -1;
    int used = 0;
    int thread = 0;
    FILE *f;

    if (sscanf(node, "/dev/nbd%4d%n", &number, &used) != 1 || number < 0 || node[used] != '\0') {
        return false;
    }
    snprintf(path, sizeof(path), "/sys/block/nbd%d/pid", number);
    f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    if (fscanf(f, "%d", &thread) != 1) {
        thread = 0;
    }
    fclose(f);
    snprintf(path, sizeof(path), "/proc/%d/task/%d", (int)pid, thread);
    return thread > 0 && access(path, F_OK) == 0;
}

/* The processes that are being ended, by descriptors: a number may become another process's. */
struct ending {
    struct pollfd *p;
    size_t count;
};

/* Takes the process over into the list and asks it to end; false without memory. */
static bool ask_to_end(struct ending *e, pid_t pid, int process, const char *node)
{
    struct pollfd *grown = realloc(e->p, (e->count + 1) * sizeof(*grown));
    int fd = -1;

    if (grown == NULL) {
        return false;
    }
    e->p = grown;
    e->p[e->count++] = (struct pollfd){ .fd = process, .events = POLLIN };
    if (node != NULL && is_served_by(node, pid)) {
        fd = open(node, O_RDWR | O_CLOEXEC);
    }
    if (fd >= 0) {
        ioctl(fd, NBD_CLEAR_QUE);
        ioctl(fd, NBD_DISCONNECT);
        ioctl(fd, NBD_CLEAR_SOCK);
        close(fd);
    }
    syscall(SYS_pidfd_send_signal, process, SIGTERM, NULL, 0);
    return true;
}

/* Waits for all of them together, as long as for one, and kills those that have not ended. */
static void wait_ended(struct ending *e)
{
    uint64_t end = evloop_now_ms() + END_WAIT;
    uint64_t now;
    size_t left = e->count;
    size_t i;

    while (left > 0 && (now = evloop_now_ms()) < end) {
        if (poll(e->p, e->count, (int)(end - now)) < 0 && errno != EINTR) {
            break;
        }
        for (i = 0; i < e->count; i++) {
            if (e->p[i].fd >= 0 && e->p[i].revents != 0) {
                close(e->p[i].fd);
                e->p[i] = (struct pollfd){ .fd = -1 };
                left--;
            }
        }
    }
    for (i = 0; i < e->count; i++) {
        if (e->p[i].fd >= 0) {
            syscall(SYS_pidfd_send_signal, e->p[i].fd, SIGKILL, NULL, 0);
            close(e->p[i].fd);
        }
    }
    free(e->p);
}

static void remove_dir(const char *path)
{
    struct dirent *e;
    DIR *dir = opendir(path);

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        unlinkat(dirfd(dir), e->d_name, 0); /* of a process that was killed */
    }
    if (dir != NULL) {
        closedir(dir);
    }
    rmdir(path);
}

/* Whether the socket is one in a directory that is meant and exists. */
static bool is_meant(const char *socket, const char *tag, const struct blk_keep *keep)
{
    char name[DIR_SIZE];
    char path[DIR_SIZE + sizeof(NBD_DIR)];
    const char *end = strrchr(socket, '/');
    size_t n = strlen(NBD_DIR "/");

    if (end == NULL || strcmp(end, "/sock") != 0 || strncmp(socket, NBD_DIR "/", n) != 0 ||
        end <= socket + n || (size_t)(end - socket) - n >= sizeof(name)) {
        return false;
    }
    snprintf(name, sizeof(name), "%.*s", (int)(end - socket - (long)n), socket + n);
    snprintf(path, sizeof(path), NBD_DIR "/%s", name);
    return strchr(name, '/') == NULL && tag_fits(name, tag, keep) && access(path, F_OK) == 0;
}

static bool is_export(const char *words, size_t n, const char *tag, const struct blk_keep *keep)
{
    const char *mark = n > 0 ? word_after(words, n, MARK) : NULL;

    return mark != NULL && strstr(words, "qemu-nbd") != NULL && is_meant(mark, tag, keep);
}

/* Looks at one process, and again when it is held: its number may have been given anew. */
static void end_if_meant(struct ending *e, const char *pid, const char *tag,
                         const struct blk_keep *keep)
{
    char words[4096];
    size_t n = command_of(pid, words, sizeof(words));
    int fd;

    if (!is_export(words, n, tag, keep)) {
        return;
    }
    fd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
    if (fd < 0) {
        if (errno != ESRCH) {
            log_warn("qemu-nbd %s cannot be ended: %s", pid, strerror(errno));
        }
        return;
    }
    n = command_of(pid, words, sizeof(words));
    if (!is_export(words, n, tag, keep) || !is_trusted(pid) ||
        !ask_to_end(e, (pid_t)atoi(pid), fd, word_after(words, n, "--connect="))) {
        close(fd);
    }
}

/* Calls act(), if there is one, for each directory that is meant; how many there are. */
static unsigned int each_export(const char *tag, const struct blk_keep *keep,
                                void (*act)(const char *path))
{
    unsigned int count = 0;
    struct dirent *e;
    char path[400];
    DIR *dir = opendir(NBD_DIR);

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        if (e->d_name[0] != '.' && tag_fits(e->d_name, tag, keep)) {
            snprintf(path, sizeof(path), NBD_DIR "/%s", e->d_name);
            count++;
            if (act != NULL) {
                act(path);
            }
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return count;
}

void nbd_detach(const char *tag, const struct blk_keep *keep)
{
    struct ending ending = { 0 };
    struct dirent *e;
    DIR *dir;

    if (each_export(tag, keep, NULL) == 0) {
        return; /* most guests have none: no need to read about all processes */
    }
    dir = opendir("/proc");
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        if (isdigit((unsigned char)e->d_name[0])) {
            end_if_meant(&ending, e->d_name, tag, keep);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    wait_ended(&ending);
    each_export(tag, keep, remove_dir);
}
