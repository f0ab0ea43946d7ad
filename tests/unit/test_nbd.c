/* SPDX-License-Identifier: MIT */
/* Programs run for disks, and the end of exports: what they say, how long they may take, whom it
 * hits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/evloop.h"
#include "joistd/blkdev.h"

static void output(void **state)
{
    static const char *const argv[] = { "sh", "-c",
                                        "printf 'a\\033]0;b\\377\\nc\\n' >&2; echo d; exit 5",
                                        NULL };
    char said[16];
    char cut[4];
    (void)state;

    assert_int_equal(run_program(argv, said, sizeof(said)), 5);
    assert_string_equal(said, "a?]0;b?\nc\n");
    run_program(argv, cut, sizeof(cut));
    assert_string_equal(cut, "a?]");
}

static int refuse(const void *arg)
{
    return *(const int *)arg;
}

static void before(void **state)
{
    static const char *const argv[] = { "true", NULL };
    const int code = -EACCES;
    const struct run_with with = { .before = refuse, .arg = &code };
    char said[128];
    (void)state;

    assert_int_equal(run_program_with(argv, &with, said, sizeof(said)), 126);
    assert_non_null(strstr(said, "Permission denied"));
}

/* One that goes into the background and keeps the pipe, too. */
static void time_limit(void **state)
{
    static const char *const busy[] = { "sleep", "60", NULL };
    static const char *const forked[] = { "sh", "-c",
                                          "echo begun >&2; setsid sleep 3 & exec sleep 60", NULL };
    static const char *const silent[] = { "sh", "-c", "exec 2>&-; exec sleep 60", NULL };
    static const char *const wordy[] = { "sh", "-c", "while :; do echo more >&2; done", NULL };
    const struct run_with with = { .timeout_ms = 300 };
    char said[64];
    uint64_t t = evloop_now_ms();
    (void)state;

    assert_int_equal(run_program_with(busy, &with, said, sizeof(said)), -ETIMEDOUT);
    assert_int_equal(run_program_with(forked, &with, said, sizeof(said)), -ETIMEDOUT);
    assert_string_equal(said, "begun\n");
    assert_int_equal(run_program_with(silent, &with, said, sizeof(said)), -ETIMEDOUT);
    assert_int_equal(run_program_with(wordy, &with, said, sizeof(said)), -ETIMEDOUT);
    assert_int_equal(strlen(said), sizeof(said) - 1);
    assert_in_range(evloop_now_ms() - t, 1200, 4000);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* none is left */
}

/* A process of that user that looks like qemu-nbd. */
static pid_t pretend_as(uid_t user, const char *script, const char *tag, const char *node)
{
    char mark[160];
    char device[96];
    int ends[2];
    pid_t pid;

    snprintf(mark, sizeof(mark), "--socket=" NBD_DIR "/%s/sock", tag);
    snprintf(device, sizeof(device), "--connect=%s", node);
    pid = fork();
    if (pid == 0) {
        if (pipe(ends) == 0 && dup2(ends[0], 0) == 0 && /* its own other end: it waits for ever */
            (user == geteuid() || setresuid(user, user, user) == 0)) {
            execlp("sh", "qemu-nbd", "-c", script, device, mark, (char *)NULL);
        }
        _exit(1);
    }
    assert_true(pid > 0);
    return pid;
}

static pid_t pretend(const char *tag, const char *node)
{
    return pretend_as(geteuid(), "read word", tag, node);
}

static bool has_begun(pid_t pid)
{
    char path[64];
    char words[512] = "";
    int fd;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    fd = open(path, O_RDONLY);
    n = fd >= 0 ? read(fd, words, sizeof(words) - 1) : 0;
    close(fd);
    return n > 8 && strncmp(words, "qemu-nbd", 8) == 0;
}

/* Those of another user are none of ours, however they look, and nobody waits for them; ours are
   waited for together, not one after the other, and killed then. */
static void ends_together(void **state)
{
    enum { OURS = 3, ALL = 5 };
    static const char stubborn[] = "trap '' TERM; echo >&2; while :; do read word; done";
    char tag[64];
    char dir[128];
    char byte;
    pid_t pid[ALL];
    int ready[2];
    uint64_t t;
    int i;
    (void)state;

    mkdir("/run/joist", 0755);
    mkdir(NBD_DIR, 0700);
    if (access(NBD_DIR, W_OK) != 0 || geteuid() != 0 || access("/proc/self/status", R_OK) != 0) {
        skip();
    }
    assert_int_equal(pipe(ready), 0);
    snprintf(dir, sizeof(dir), NBD_DIR "/joist:unit-test-%d:7", (int)getpid());
    assert_int_equal(mkdir(dir, 0700), 0);
    snprintf(tag, sizeof(tag), "joist:unit-test-%d:7", (int)getpid());
    for (i = 0; i < ALL; i++) {
        int kept = dup(2);

        dup2(ready[1], 2);
        pid[i] = pretend_as(i < OURS ? 0 : 12345, stubborn, tag, "/dev/null");
        dup2(kept, 2);
        close(kept);
        assert_int_equal(read(ready[0], &byte, 1), 1); /* it ignores SIGTERM from now on */
    }
    t = evloop_now_ms();
    nbd_detach(tag, NULL);
    t = evloop_now_ms() - t;
    assert_in_range(t, 9900, 13000);
    for (i = 0; i < OURS; i++) {
        assert_int_equal(waitpid(pid[i], NULL, 0), pid[i]);
    }
    assert_true(access(dir, F_OK) != 0);
    assert_int_equal(mkdir(dir, 0700), 0);
    t = evloop_now_ms();
    nbd_detach(tag, NULL); /* only the others are left */
    assert_in_range(evloop_now_ms() - t, 0, 2000);
    for (i = OURS; i < ALL; i++) {
        assert_int_equal(waitpid(pid[i], NULL, WNOHANG), 0);
        kill(pid[i], SIGKILL);
        assert_int_equal(waitpid(pid[i], NULL, 0), pid[i]);
    }
    close(ready[0]);
    close(ready[1]);
    rmdir(NBD_DIR);
    rmdir("/run/joist");
}

/* Two processes that look like qemu-nbd; the one meant ends, and what it claims to serve, which is
   no nbd device of its own, is not touched. */
static void ends_its_own(void **state)
{
    char node[] = "/tmp/joist-nbd-XXXXXX";
    char tag[2][64];
    char dir[2][128];
    char socket[160];
    char event[256];
    pid_t pid[2];
    int notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    int i;
    (void)state;

    mkdir("/run/joist", 0755);
    mkdir(NBD_DIR, 0700);
    if (access(NBD_DIR, W_OK) != 0 || access("/proc/self/cmdline", R_OK) != 0) {
        skip();
    }
    close(mkstemp(node));
    for (i = 0; i < 2; i++) {
        snprintf(tag[i], sizeof(tag[i]), "joist:unit-test-%d:%d", (int)getpid(), 1 + 11 * i);
        snprintf(dir[i], sizeof(dir[i]), NBD_DIR "/%s", tag[i]);
        assert_int_equal(mkdir(dir[i], 0700), 0);
        pid[i] = pretend(tag[i], node);
        while (!has_begun(pid[i])) {
            poll(NULL, 0, 5);
        }
    }
    snprintf(socket, sizeof(socket), "%s/sock", dir[0]);
    close(open(socket, O_CREAT | O_WRONLY, 0600));
    assert_true(inotify_add_watch(notify, node, IN_OPEN) >= 0);
    nbd_detach(tag[0], NULL);
    assert_int_equal(waitpid(pid[0], NULL, WNOHANG), pid[0]);
    assert_int_equal(waitpid(pid[1], NULL, WNOHANG), 0);
    assert_true(access(dir[0], F_OK) != 0 && access(dir[1], F_OK) == 0);
    snprintf(tag[1], sizeof(tag[1]), "joist:unit-test-%d:", (int)getpid());
    nbd_detach(tag[1], NULL);
    assert_int_equal(waitpid(pid[1], NULL, WNOHANG), pid[1]);
    assert_true(access(dir[1], F_OK) != 0);
    assert_true(read(notify, event, sizeof(event)) < 0 && errno == EAGAIN);
    close(notify);
    unlink(node);
    rmdir(NBD_DIR); /* if they are empty */
    rmdir("/run/joist");
}

/* On a kernel without Landlock, made by refusing its system call. */
static void landlock_needed(void **state)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_landlock_create_ruleset, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { .len = 4, .filter = code };
    const struct nbd_export e = { "/none.qcow2", "qcow2", true, false, "joist:unit-test:1" };
    struct fail f = { 0 };
    char line[512];
    char node[64];
    dev_t dev;
    int status;
    pid_t pid;
    (void)state;

    pid = fork();
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
            _exit(1);
        }
        nbd_need_landlock(true);
        if (nbd_attach(&e, node, sizeof(node), &dev, &f) != -EOPNOTSUPP) {
            _exit(2);
        }
        fail_text(&f, line, sizeof(line));
        _exit(strstr(line, "/none.qcow2: its format needs qemu-nbd, which is not started without "
                           "Landlock") != NULL
                  ? 0
                  : 3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output),        cmocka_unit_test(before),
        cmocka_unit_test(time_limit),    cmocka_unit_test(ends_its_own),
        cmocka_unit_test(ends_together), cmocka_unit_test(landlock_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
