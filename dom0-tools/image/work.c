/* SPDX-License-Identifier: MIT */
/* Temporary directories, child programs, results that appear whole. */
#include "image/work.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STOP_WAIT_S 30 /* for a program to end after it was told to */
#define SIZE_MOST   (UINT64_C(16) << 40)

static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
    stop_signal = number;
}

bool work_is_stopped(void)
{
    return stop_signal != 0;
}

int work_check_stopped(struct fail *f)
{
    return work_is_stopped() ? fail_set(f, -EINTR, "image", "stopped",
                                        "by signal %d; nothing is left", (int)stop_signal)
                             : 0;
}

/* Shells and other programs get these paths inside longer words. */
static bool is_plain(const char *path)
{
    return path[0] == '/' &&
           path[strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "0123456789/._+-@:")] == '\0';
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    remove(path);
    return 0;
}

static void remove_dir(const char *dir)
{
    /* never across a mount: what a dying program left mounted is not ours to remove */
    nftw(dir, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static void (*outside)(void *arg);
static void *outside_arg;

void work_set_outside(void (*call)(void *arg), void *arg)
{
    outside = call;
    outside_arg = arg;
}

void work_begin_outside(struct work *w)
{
    guard_tell_flag(&w->guard, true);
}

void work_end_outside(struct work *w)
{
    guard_tell_flag(&w->guard, false);
}

/* In the guard: this process has been killed. */
static void clear_up(void *arg)
{
    const struct work *w = arg;

    if (guard_flag() && outside != NULL) {
        outside(outside_arg);
    }
    remove_dir(w->dir);
    if (guard_path()[0] != '\0') {
        unlink(guard_path());
    }
}

int work_begin(struct work *w, struct fail *f)
{
    const char *base = getenv("TMPDIR");
    struct sigaction sa = { .sa_handler = on_signal };
    int n;

    *w = (struct work){ 0 };
    if (base == NULL || base[0] == '\0') {
        base = access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp";
    }
    n = snprintf(w->dir, sizeof(w->dir), "%s/joist-image-XXXXXX", base);
    if (n < 0 || (size_t)n >= sizeof(w->dir) || !is_plain(w->dir)) {
        w->dir[0] = '\0';
        fail_set(f, -EINVAL, "image", base, "is no plain absolute path for temporary files");
        return fail_remedy(f, "set TMPDIR to another directory");
    }
    if (mkdtemp(w->dir) == NULL) {
        n = -errno;
        w->dir[0] = '\0';
        fail_set(f, n, "image", base, "no temporary directory can be made: %s", strerror(-n));
        return fail_remedy(f, "set TMPDIR to a directory with room");
    }
    n = guard_begin(&w->guard, clear_up, w);
    if (n != 0) {
        fail_set(f, n, "image", w->dir, "no child process can be started: %s", strerror(-n));
        rmdir(w->dir);
        w->dir[0] = '\0';
        return n;
    }
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    return 0;
}

void work_end(struct work *w)
{
    if (w->dir[0] != '\0') {
        remove_dir(w->dir);
    }
    if (w->part[0] != '\0') {
        unlink(w->part);
    }
    guard_end(&w->guard);
    *w = (struct work){ 0 };
}

int work_path(const struct work *w, const char *name, char *out)
{
    int n = snprintf(out, WORK_PATH_MAX, "%s/%s", w->dir, name);

    return n > 0 && n < WORK_PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* --- programs -------------------------------------------------------------------------------- */

struct output {
    void (*line)(void *arg, const char *text);
    void *arg;
    char *last;
    char text[1024]; /* the line being read */
    size_t used;
};

static void keep_last(char *last, const char *text)
{
    size_t have = strlen(last);
    size_t more = strnlen(text, WORK_LAST_MAX / 2);

    if (have + more + 3 > WORK_LAST_MAX) {
        size_t drop = have + more + 3 - WORK_LAST_MAX;

        drop = drop > have ? have : drop;
        memmove(last, last + drop, have - drop + 1);
        have -= drop;
    }
    snprintf(last + have, WORK_LAST_MAX - have, "%s%.*s", have > 0 ? "; " : "", (int)more, text);
}

static void take_output(struct output *o, const char *data, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++) {
        if (data[i] != '\n' && data[i] != '\r') {
            if (o->used < sizeof(o->text) - 1) {
                o->text[o->used++] = data[i] >= ' ' ? data[i] : ' ';
            }
            continue;
        }
        o->text[o->used] = '\0';
        if (o->used > 0 && o->line != NULL) {
            o->line(o->arg, o->text);
        }
        if (o->used > 0 && o->last != NULL) {
            keep_last(o->last, o->text);
        }
        o->used = 0;
    }
}

/* What a program mounts goes with it, however it ends; else this machine would keep it. */
static void own_mounts(void)
{
    if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0) {
        mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL);
    }
}

static _Noreturn void be_program(char *const argv[], int out, pid_t parent)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

    setpgid(0, 0); /* so that a Ctrl-C reaches it through us, once */
    if (nothing >= 0) {
        dup2(nothing, STDIN_FILENO);
    }
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    setenv("LC_ALL", "C", 1);
    own_mounts();
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    /* nobody waits for its work when we are killed */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent) {
        _exit(126);
    }
    execvp(argv[0], argv);
    _exit(errno == ENOENT ? 127 : 126);
}

static void (*tick)(void *arg);
static void *tick_arg;

void work_set_tick(void (*call)(void *arg), void *arg)
{
    tick = call;
    tick_arg = arg;
}

/* Reads until the output ends; a stop is passed on to the program's group. */
static void read_program(pid_t pid, int fd, struct output *o)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    time_t told = 0;
    char data[4096];
    ssize_t n = 1;

    while (n > 0 || (n < 0 && errno == EINTR)) {
        if (work_is_stopped() && told == 0) {
            kill(-pid, SIGINT);
            told = time(NULL);
        } else if (told != 0 && time(NULL) - told > STOP_WAIT_S) {
            kill(-pid, SIGKILL);
            return;
        }
        n = 1;
        if (tick != NULL) {
            tick(tick_arg);
        }
        if (poll(&p, 1, 200) > 0) {
            n = read(fd, data, sizeof(data));
            take_output(o, data, n > 0 ? (size_t)n : 0);
        }
    }
}

int work_run(char *const argv[], void (*line)(void *arg, const char *text), void *arg, char *last)
{
    struct output o = { .line = line, .arg = arg, .last = last };
    int ends[2];
    int status = 0;
    pid_t parent;
    pid_t pid;
    int rc;

    if (last != NULL) {
        last[0] = '\0';
    }
    if (work_is_stopped()) {
        return -EINTR;
    }
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -errno;
    }
    parent = getpid();
    pid = fork();
    if (pid == 0) {
        be_program(argv, ends[1], parent);
    }
    rc = pid < 0 ? -errno : 0;
    close(ends[1]);
    if (pid > 0) {
        setpgid(pid, pid);
        read_program(pid, ends[0], &o);
        take_output(&o, "\n", 1);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
            if (work_is_stopped()) {
                kill(-pid, SIGINT);
            }
        }
        rc = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    close(ends[0]);
    return work_is_stopped() ? -EINTR : rc;
}

int work_must(char *const argv[], const char *phase, const char *package, struct fail *f)
{
    char last[WORK_LAST_MAX];
    int rc = work_run(argv, NULL, NULL, last);

    if (rc == 0) {
        return 0;
    }
    if (rc == -EINTR) {
        return work_check_stopped(f);
    }
    if (rc < 0) {
        return fail_set(f, rc, phase, argv[0], "cannot be started: %s", strerror(-rc));
    }
    if (rc == 127) {
        fail_set(f, -ENOENT, phase, argv[0], "this program is missing");
        return fail_remedy(f, "install the package %s", package);
    }
    return fail_set(f, strstr(last, WORK_FULL) != NULL ? -ENOSPC : -EIO, phase, argv[0],
                    "ended with %d: %.250s", rc, last);
}

int work_no_room(struct fail *f)
{
    return fail_remedy(f, "a disk of this machine is full: make room, or set TMPDIR to a directory "
                          "with room");
}

bool work_find_program(const char *name, char *out)
{
    const char *path = getenv("PATH");
    char text[WORK_PATH_MAX];
    size_t n;

    for (path = path != NULL ? path : "/usr/bin:/bin"; *path != '\0';
         path += n + (path[n] == ':')) {
        n = strcspn(path, ":");
        snprintf(text, sizeof(text), "%.*s/%s", (int)n, path, name);
        if (n > 0 && access(text, X_OK) == 0) {
            if (out != NULL) {
                memcpy(out, text, sizeof(text));
            }
            return true;
        }
    }
    return false;
}

/* --- files ----------------------------------------------------------------------------------- */

static void make_parents(char *path)
{
    char *at;

    for (at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(path, 0755);
        *at = '/';
    }
}

int work_write(const char *base, const char *name, const char *text, mode_t mode, struct fail *f)
{
    char path[2 * WORK_PATH_MAX];
    size_t size = strlen(text);
    int fd;
    int rc = 0;

    snprintf(path, sizeof(path), "%s/%s", base, name);
    make_parents(path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size || fchmod(fd, mode) != 0) {
        rc = errno != 0 ? -errno : -ENOSPC;
        fail_set(f, rc, "image", path, "cannot be written: %s", strerror(-rc));
    }
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

int work_open_inside(const char *root, const char *name)
{
    struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                            .resolve = RESOLVE_IN_ROOT };
    int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = dir >= 0 ? (int)syscall(SYS_openat2, dir, name, &how, sizeof(how)) : -1;
    int error = errno;

    if (dir >= 0) {
        close(dir);
    }
    errno = error;
    return fd;
}

static unsigned long long tree_bytes;
static unsigned long long tree_count;

static int add_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)path;
    (void)at;
    tree_count++;
    if (kind != FTW_NS) {
        tree_bytes += (unsigned long long)st->st_blocks * 512;
    }
    return work_is_stopped() ? -1 : 0;
}

int work_tree_size(const char *dir, unsigned long long *bytes, unsigned long long *count)
{
    tree_bytes = 0;
    tree_count = 0;
    if (nftw(dir, add_one, 32, FTW_PHYS) != 0) {
        return work_is_stopped() ? -EINTR : -errno;
    }
    *bytes = tree_bytes;
    *count = tree_count;
    return 0;
}

unsigned long long work_free_space(const char *path)
{
    struct statvfs v;

    return statvfs(path, &v) == 0 ? (unsigned long long)v.f_bavail * v.f_frsize : 0;
}

int work_result(struct work *w, const char *path, bool is_forced, struct fail *f)
{
    struct stat st;
    int n;

    if (path[0] == '-' || path[0] == '\0') {
        return fail_set(f, -EINVAL, "image", path, "is no name for a file; write ./%s", path);
    }
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return fail_set(f, -EINVAL, "image", path, "exists and is no regular file");
    }
    if (access(path, F_OK) == 0 && !is_forced) {
        fail_set(f, -EEXIST, "image", path, "exists");
        return fail_remedy(f, "choose another name, or --force to replace it");
    }
    n = snprintf(w->part, sizeof(w->part), "%s.part-%d", path, (int)getpid());
    if (n < 0 || (size_t)n >= sizeof(w->part)) {
        w->part[0] = '\0';
        return fail_set(f, -ENAMETOOLONG, "image", path, "the path is too long");
    }
    guard_tell_path(&w->guard, w->part);
    n = open(w->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (n < 0) {
        n = -errno;
        w->part[0] = '\0';
        guard_tell_path(&w->guard, "");
        return fail_set(f, n, "image", path, "cannot be made: %s", strerror(-n));
    }
    close(n);
    return 0;
}

/* What has a name after a crash of the machine, too, is complete. */
static int flush(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd >= 0 && fsync(fd) == 0 ? 0 : -errno;

    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

int work_publish(struct work *w, const char *path, struct fail *f)
{
    int rc = flush(w->part);

    if (rc == 0 && rename(w->part, path) != 0) {
        rc = -errno;
    }
    if (rc != 0) {
        return fail_set(f, rc, "image", path, "cannot be put in place: %s", strerror(-rc));
    }
    w->part[0] = '\0';
    guard_tell_path(&w->guard, "");
    return 0;
}

int work_parse_size(const char *text, unsigned long long least, unsigned long long *bytes)
{
    static const struct {
        char letter;
        unsigned int shift;
    } units[] = { { '\0', 20 }, { 'M', 20 }, { 'G', 30 }, { 'T', 40 } };
    unsigned long long n;
    char *end;
    size_t i;

    if (text[0] < '0' || text[0] > '9' || strlen(text) > 12) {
        return -EINVAL;
    }
    n = strtoull(text, &end, 10);
    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (*end == units[i].letter && (*end == '\0' || end[1] == '\0')) {
            if (n > (SIZE_MOST >> units[i].shift) || n << units[i].shift < least) {
                return -ERANGE;
            }
            *bytes = n << units[i].shift;
            return 0;
        }
    }
    return -EINVAL;
}
