/* SPDX-License-Identifier: MIT */
/* The walls around qemu-nbd, seen from inside: what it may still do, and what not.  Root only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "joistd/nbd_wall.h"

static char dir[] = "/tmp/joist-wall-XXXXXX";
static char image[64];
static char other[64];
static char node[64];
static char own[64];

static int make_files(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    snprintf(image, sizeof(image), "%s/image", dir);
    snprintf(other, sizeof(other), "%s/other", dir);
    snprintf(node, sizeof(node), "%s/node", dir);
    snprintf(own, sizeof(own), "%s/own", dir);
    close(open(image, O_CREAT | O_RDWR, 0600));
    close(open(other, O_CREAT | O_RDWR, 0600));
    close(open(node, O_CREAT | O_RDWR, 0600));
    return mkdir(own, 0700);
}

static int remove_files(void **state)
{
    (void)state;
    unlink(image);
    unlink(other);
    unlink(node);
    rmdir(own);
    return rmdir(dir);
}

static bool opens(const char *path, int flags)
{
    int fd = open(path, flags, 0600);

    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

static bool has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0;
}

/* In a chroot the root directory is no mount point, and nothing above it can be hidden. */
static bool is_root_mounted(void)
{
    char line[4096];
    char point[256];
    bool is_found = false;
    FILE *f = fopen("/proc/self/mountinfo", "re");

    while (f != NULL && !is_found && fgets(line, sizeof(line), f) != NULL) {
        is_found = sscanf(line, "%*s %*s %*s %*s %255s", point) == 1 && strcmp(point, "/") == 0;
    }
    if (f != NULL) {
        fclose(f);
    }
    return is_found;
}

/* What is wrong inside, or 0: the line number of the first expectation that does not hold. */
#define EXPECT(what)         \
    do {                     \
        if (!(what)) {       \
            return __LINE__; \
        }                    \
    } while (0)

static void *answer(void *arg)
{
    return arg;
}

static bool has_threads(void)
{
    pthread_t thread;
    void *said = NULL;
    pid_t pid;
    int status;

    if (pthread_create(&thread, NULL, answer, &said) != 0 || pthread_join(thread, &said) != 0) {
        return false;
    }
    pid = fork();
    if (pid == 0) {
        _exit(7);
    }
    return waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7;
}

/* Of two orders that any file obeys one is needed; and one to disks is for read-only exports. */
static bool gives_orders(bool is_readonly)
{
    int fd = open(image, O_RDONLY);
    int value = 0;
    bool is_right = fd >= 0 && ioctl(fd, FIONREAD, &value) == 0;

    is_right = is_right && ioctl(fd, FIGETBSZ, &value) < 0 && errno == EPERM;
    close(fd);
    fd = open("/dev/null", O_RDWR); /* which knows no such order */
    is_right = is_right && ioctl(fd, BLKROSET, &value) < 0;
    is_right = is_right && errno == (is_readonly ? ENOTTY : EPERM);
    close(fd);
    return is_right;
}

static int look_around(bool is_readonly)
{
    struct sockaddr_un here = { .sun_family = AF_UNIX };
    char path[128];
    int fd;

    EXPECT(getuid() != 0 && geteuid() != 0 && getgid() != 0);
    EXPECT(opens(image, O_RDONLY) && opens(other, O_RDONLY)); /* though they are root's alone */
    EXPECT(opens(node, O_RDWR) && opens("/dev/null", O_RDWR));
    snprintf(path, sizeof(path), "%s/x.pid", own);
    EXPECT(opens(path, O_RDWR | O_CREAT) == !has_landlock());
    unlink(path);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(here.sun_path, sizeof(here.sun_path), "%s/x.sock", own);
    EXPECT(fd >= 0 && bind(fd, (struct sockaddr *)&here, sizeof(here)) == 0);
    EXPECT(unlink(here.sun_path) == 0);
    EXPECT(socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM);
    EXPECT(socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == EPERM);
    EXPECT(mount("none", "/tmp", "tmpfs", 0, NULL) != 0 && errno == EPERM);
    EXPECT(unshare(CLONE_NEWUTS) != 0 && errno == EPERM);
    EXPECT(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) < 0 && errno == EPERM);
    EXPECT(syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
    EXPECT(syscall(SYS_fanotify_init, 0, O_RDONLY) < 0 && errno == EPERM);
    EXPECT(has_threads() && gives_orders(is_readonly));
    EXPECT(truncate(other, 0) != 0 && errno == EPERM);
    EXPECT(sethostname("x", 1) != 0 && errno == EPERM);
    EXPECT(kill(getppid(), 0) != 0 && errno == EPERM);
    EXPECT(chown(image, 0, 0) != 0 && setuid(0) != 0);
    EXPECT(access("/run/systemd", F_OK) != 0 && access("/dev/xen/privcmd", F_OK) != 0);
    if (has_landlock()) {
        EXPECT(opens(image, O_RDWR) == !is_readonly);
        EXPECT(!opens(other, O_RDWR) && errno == EACCES);
        EXPECT(!opens("/dev/zero", O_RDONLY) && !opens("/proc/self/status", O_RDONLY));
        EXPECT(!opens("/dev/zero", O_RDWR) && opens("/etc/passwd", O_RDONLY));
        snprintf(path, sizeof(path), "%s/new", dir);
        EXPECT(!opens(path, O_RDWR | O_CREAT) && errno == EACCES);
        EXPECT(unlink(other) != 0 && rename(other, path) != 0 && mkdir(path, 0700) != 0);
    }
    return 0;
}

static void try(bool is_readonly)
{
    const struct nbd_wall wall = { image, is_readonly, node, own, "nobody", false };
    int status;
    pid_t pid;

    if (getuid() != 0 || !is_root_mounted()) {
        skip();
    }
    pid = fork();
    if (pid == 0) {
        int rc = nbd_wall(&wall);

        if (rc != 0) {
            fprintf(stderr, "no walls: %s\n", strerror(-rc));
            _exit(rc == -EPERM ? 77 : 1); /* a container that allows no name spaces */
        }
        rc = look_around(is_readonly);
        if (rc != 0) {
            fprintf(stderr, "line %d: %s\n", rc, strerror(errno));
        }
        _exit(rc != 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        skip();
    }
    assert_int_equal(status, 0);
}

static void writing(void **state)
{
    (void)state;
    try(false);
}

static void reading(void **state)
{
    (void)state;
    try(true);
}

static void not_there(void **state)
{
    const struct nbd_wall wall = { "/none", false, node, own, "nobody", false };
    int status;
    pid_t pid;
    (void)state;

    if (getuid() != 0 || !has_landlock()) {
        skip();
    }
    pid = fork();
    if (pid == 0) {
        _exit(nbd_wall(&wall) != 0 ? 3 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 3);
}

/* A kernel without Landlock, made by refusing its system call. */
static int hide_landlock(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_landlock_create_ruleset, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { .len = 4, .filter = code };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                   prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0
               ? 0
               : -errno;
}

static int wall_without_landlock(bool is_needed)
{
    const struct nbd_wall wall = { image, false, node, own, "nobody", is_needed };
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        int rc = hide_landlock();

        rc = rc == 0 && nbd_wall_has_landlock() ? -EEXIST : rc;
        rc = rc == 0 ? nbd_wall(&wall) : rc;
        _exit(-rc);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

static void without_landlock(void **state)
{
    int rc;
    (void)state;

    if (getuid() != 0 || !is_root_mounted()) {
        skip();
    }
    rc = wall_without_landlock(false);
    if (rc == -EPERM) {
        skip(); /* a container that allows no name spaces */
    }
    assert_int_equal(rc, 0);
    assert_int_equal(wall_without_landlock(true), -EOPNOTSUPP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writing),
        cmocka_unit_test(reading),
        cmocka_unit_test(not_there),
        cmocka_unit_test(without_landlock),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
