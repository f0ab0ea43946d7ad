/* SPDX-License-Identifier: MIT */
/*
 * The process gives up what it no longer needs: user, groups, and the system calls that open,
 * start or change anything. What is left works on descriptors it has and on its memory.
 */

#include "fbd/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"

#define NOBODY 65534u /* where the machine has neither user */

static const uint16_t allowed[] = {
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_recvfrom,
    SYS_sendto,
    SYS_recvmsg,
    SYS_sendmsg,
    SYS_accept4,
    SYS_accept,
    SYS_shutdown,
    SYS_close,
    SYS_sigaltstack,
    SYS_dup2,
    SYS_poll,
    SYS_ppoll,
    SYS_select,
    SYS_pselect6,
    SYS_ioctl,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_mprotect,
    SYS_brk,
    SYS_fcntl,
    SYS_fstat,
    SYS_lseek,
    SYS_getsockname,
    SYS_getpeername,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_getpid,
    SYS_gettid,
    SYS_getuid,
    SYS_futex,
    SYS_clock_gettime,
    SYS_gettimeofday,
    SYS_time,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_getrandom,
    SYS_prlimit64,
    SYS_getrlimit,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_restart_syscall,
    SYS_exit,
    SYS_exit_group,
    SYS_sched_yield,
};

#define COUNT (sizeof(allowed) / sizeof(allowed[0]))

/* Everything that is not listed answers EPERM, so that a library that tries something goes on. */
static int filter_calls(void)
{
    struct sock_filter code[COUNT + 6];
    uint16_t n = 0;

    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < COUNT; i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i],
                                                 (uint8_t)(COUNT - i), 0);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog program = { .len = n, .filter = code };
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

static int drop_user(void)
{
    const struct passwd *user = getpwnam("joist-fbd");

    if (!user) {
        user = getpwnam("nobody");
    }
    uid_t uid = user ? user->pw_uid : NOBODY;
    gid_t gid = user ? user->pw_gid : NOBODY;
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) {
        return -errno;
    }
    return 0;
}

/* The log is all that it can make longer: a full one is no reason to end. */
static int limit_files(void)
{
    const struct rlimit most = { 2 * LOG_FILE_MAX, 2 * LOG_FILE_MAX };

    (void)signal(SIGXFSZ, SIG_IGN);
    return setrlimit(RLIMIT_FSIZE, &most) < 0 ? -errno : 0;
}

int confine(void)
{
    int rc = geteuid() == 0 ? drop_user() : 0;

    if (rc < 0) {
        log_error("cannot become an ordinary user: %s", strerror(-rc));
        return rc;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        chdir("/") < 0) {
        rc = -errno;
    }
    rc = rc == 0 ? limit_files() : rc;
    rc = rc == 0 ? filter_calls() : rc;
    if (rc < 0) {
        log_error("cannot give up rights: %s", strerror(-rc));
    }
    return rc;
}
