/* SPDX-License-Identifier: MIT */
/* joistd's side of joist-extract: its descriptors, its time, its report. */
#include "boot/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/program.h"

#define PROGRAM      "joist-extract"
#define SEALS        (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define DISK_COPY    10 /* descriptors below this are those of the program */
#define REPORT_BYTES 512
#define END_STEPS    200 /* of 5 ms, for it to end by itself */

static int open_disk(const char *disk, struct fail *f)
{
    struct stat st;
    int fd = open(disk, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || fstat(fd, &st) != 0) {
        fail_set(f, -errno, "bootloader", disk, "cannot be opened: %s", strerror(errno));
    } else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        fail_set(f, -EINVAL, "bootloader", disk, "is neither a regular file nor a block device");
    }
    if (f->code != 0 && fd >= 0) {
        close(fd);
    } else if (f->code == 0 && S_ISBLK(st.st_mode)) {
        /* guests write past this domain's cache: what lies there since an earlier start is old */
        (void)ioctl(fd, BLKFLSBUF, 0);
    }
    return f->code != 0 ? f->code : fd;
}

/* When memory runs out the reader goes first, and what it wrote with it. */
static void volunteer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        (void)!write(fd, "1000", 4);
        close(fd);
    }
}

#define PLACES \
    6 /* its descriptors: 0 and 2 lead nowhere, so that joistd's log is out of its reach */

/* In the child: moves its descriptors to their numbers and becomes the program. */
static _Noreturn void be_program(const char *path, const struct boot_wish *wish, const int fds[4])
{
    const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int from[PLACES] = { nothing, fds[0], nothing, fds[1], fds[2], fds[3] };
    char kernel[BOOT_TEXT_MOST + 16];
    char ramdisk[BOOT_TEXT_MOST + 16];
    char offset[40];
    char *argv[5] = { (char *)PROGRAM, offset };
    char *no_environment[] = { NULL };
    int high[PLACES];
    int n = 2;
    int i;

    snprintf(offset, sizeof(offset), "--offset=%llu", (unsigned long long)wish->offset);
    snprintf(kernel, sizeof(kernel), "--kernel=%s", wish->kernel);
    snprintf(ramdisk, sizeof(ramdisk), "--ramdisk=%s", wish->ramdisk);
    if (wish->kernel[0] != '\0') {
        argv[n++] = kernel;
    }
    if (wish->ramdisk[0] != '\0') {
        argv[n++] = ramdisk;
    }
    for (i = 0; i < PLACES; i++) {
        high[i] = fcntl(from[i], F_DUPFD, DISK_COPY);
    }
    for (i = 0; i < PLACES; i++) {
        if (high[i] < 0 || dup2(high[i], i) < 0) {
            _exit(126);
        }
    }
    volunteer();
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody waits for it without us */
    close_range(BOOT_FD_RAMDISK + 1, ~0u, 0);
    execve(path, argv, no_environment);
    _exit(127);
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Reads the report until its end; false when time has run out. */
static bool read_report(int fd, char *text)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int64_t end = now_ms() + BOOT_TIME_MOST * 1000;
    size_t used = 0;
    ssize_t n = 1;

    while (n > 0 && used < REPORT_BYTES - 1) {
        if (now_ms() >= end) {
            return false;
        }
        n = 1;
        if (poll(&p, 1, 200) > 0) {
            n = read(fd, text + used, REPORT_BYTES - 1 - used);
            used += n > 0 ? (size_t)n : 0;
            n = n < 0 && errno == EINTR ? 1 : n;
        }
    }
    text[used] = '\0';
    return true;
}

/* The report is as little to be trusted as the disk: one line of plain letters is taken. */
static void clean(char *text)
{
    for (; *text != '\0' && *text != '\n'; text++) {
        if (*text < ' ' || *text > '~') {
            *text = '?';
        }
    }
    *text = '\0';
}

static int judge(const char *disk, bool in_time, int status, char *text, struct fail *f)
{
    char *cause;

    clean(text);
    cause = strchr(text, ' ');
    if (!in_time) {
        return fail_set(f, -ETIMEDOUT, "bootloader", disk, "not read within %d s", BOOT_TIME_MOST);
    }
    if (WIFSIGNALED(status)) {
        fail_set(f, -EIO, "bootloader", disk, "its reader was stopped by signal %d%s",
                 WTERMSIG(status),
                 WTERMSIG(status) == SIGSYS ? " (it made a call that it may not make)" : "");
        return fail_remedy(f, "the file system is damaged, or made to do harm; run fsck on it");
    }
    if (WEXITSTATUS(status) == 127) {
        fail_set(f, -ENOENT, "bootloader", PROGRAM, "this program is missing");
        return fail_remedy(f, "this installation of joist is not complete");
    }
    if (cause == NULL || strncmp(text, "ok ", 3) != 0 || WEXITSTATUS(status) != 0) {
        fail_set(f, strncmp(text, "disk ", 5) == 0 ? -EINVAL : -EIO, "bootloader", disk, "%s",
                 cause != NULL ? cause + 1 : "its reader said nothing");
        return fail_remedy(f, "see bootloader_args in man 5 joist.cfg, or boot it by "
                              "firmware=\"pvgrub64\"");
    }
    return 0;
}

/* Nobody can change them any more, not even a reader that lives on. */
static int seal(struct boot_files *out, const char *disk, struct fail *f)
{
    struct stat kernel;
    struct stat st;

    if (fcntl(out->kernel, F_ADD_SEALS, SEALS) != 0 ||
        fcntl(out->ramdisk, F_ADD_SEALS, SEALS) != 0 || fstat(out->kernel, &kernel) != 0 ||
        fstat(out->ramdisk, &st) != 0) {
        return fail_set(f, -errno, "bootloader", disk, "what was read cannot be kept: %s",
                        strerror(errno));
    }
    if (kernel.st_size == 0 || (uint64_t)kernel.st_size > BOOT_KERNEL_MOST ||
        (uint64_t)st.st_size > BOOT_RAMDISK_MOST) {
        fail_set(f, -EFBIG, "bootloader", disk,
                 "its reader gave a kernel of %lld and a ramdisk of %lld bytes",
                 (long long)kernel.st_size, (long long)st.st_size);
        return fail_remedy(f, "the file system is damaged, or made to do harm; run fsck on it");
    }
    if (st.st_size == 0) {
        close(out->ramdisk);
        out->ramdisk = -1;
    }
    return 0;
}

/* It has said all, or too little: after a moment it is ended. */
static void wait_end(pid_t pid, int *status)
{
    unsigned int waited;

    for (waited = 0; waitpid(pid, status, WNOHANG) == 0; waited++) {
        if (waited == END_STEPS) {
            kill(pid, SIGKILL);
        }
        poll(NULL, 0, 5);
    }
}

static int run_program(const char *disk, const struct boot_wish *wish, int disk_fd,
                       struct boot_files *out, struct fail *f)
{
    char report[REPORT_BYTES] = "";
    char path[PATH_MAX + 32];
    bool in_time;
    int status = 0;
    int ends[2];
    pid_t pid;

    program_find(PROGRAM, path, sizeof(path));
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return fail_set(f, -errno, "bootloader", disk, "no pipe: %s", strerror(errno));
    }
    pid = fork();
    if (pid == 0) {
        be_program(path, wish, (int[4]){ ends[1], disk_fd, out->kernel, out->ramdisk });
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return fail_set(f, -errno, "bootloader", disk, "no child process: %s", strerror(errno));
    }
    in_time = read_report(ends[0], report);
    close(ends[0]);
    wait_end(pid, &status);
    return judge(disk, in_time, status, report, f);
}

int boot_extract(const char *disk, const struct boot_wish *wish, struct boot_files *out,
                 struct fail *f)
{
    int fd = open_disk(disk, f);
    int rc = fd < 0 ? fd : 0;

    out->kernel = -1;
    out->ramdisk = -1;
    if (rc == 0) {
        out->kernel = memfd_create("kernel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        out->ramdisk = memfd_create("ramdisk", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (out->kernel < 0 || out->ramdisk < 0) {
            rc = fail_set(f, -errno, "bootloader", disk, "no memory file: %s", strerror(errno));
        }
        rc = rc == 0 ? run_program(disk, wish, fd, out, f) : rc;
        rc = rc == 0 ? seal(out, disk, f) : rc;
        close(fd);
    }
    if (rc != 0 && out->kernel >= 0) {
        close(out->kernel);
    }
    if (rc != 0 && out->ramdisk >= 0) {
        close(out->ramdisk);
    }
    return rc;
}
