/* SPDX-License-Identifier: MIT */
/*
 * The walls around qemu-nbd.  It must keep CAP_SYS_ADMIN, without which nothing binds an nbd
 * device, and opens an image and what the image is based on by name: so what these two would allow
 * beyond is taken away by name spaces, a Landlock rule set and a list of refused system calls. Each
 * holds across execve().
 */
#include "joistd/nbd_wall.h"

#include <asm/ioctls.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <linux/nbd.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY   65534u
#define KEPT     (1ull << CAP_SYS_ADMIN | 1ull << CAP_DAC_OVERRIDE)
#define OWN_FILE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)
#define READING  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* its socket, no files: /run is memory */
#define OWN_DIR (READING | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define HANDLED                                                                                  \
    (OWN_DIR | OWN_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |          \
     LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_FIFO | \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

/* --- name spaces: what is not to be found ------------------------------------------------------
 */

static int hide(const char *dir)
{
    if (access(dir, F_OK) != 0) {
        return 0;
    }
    return mount("none", dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,mode=755") == 0
               ? 0
               : -errno;
}

/* /run with its sockets becomes empty, but for the process's own directory. */
static int hide_run(const char *own)
{
    char path[256];
    char from[64];
    char *slash;
    int rc;
    int fd = open(own, O_PATH | O_CLOEXEC);

    if (fd < 0) {
        return -errno;
    }
    rc = hide("/run");
    if (rc == 0 && strncmp(own, "/run/", 5) == 0) {
        snprintf(path, sizeof(path), "%s", own);
        for (slash = strchr(path + 5, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
            *slash = '\0';
            mkdir(path, 0755);
            *slash = '/';
        }
        mkdir(path, 0755);
        snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
        rc = mount(from, path, NULL, MS_BIND, NULL) == 0 ? 0 : -errno;
    }
    close(fd);
    return rc;
}

static int separate(const char *own)
{
    int rc;

    if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return -errno;
    }
    rc = hide("/dev/xen");
    rc = rc == 0 ? hide("/proc/xen") : rc;
    return rc == 0 ? hide_run(own) : rc;
}

/* --- user and rights ---------------------------------------------------------------------------
 */

void nbd_wall_user(const char *name, uid_t *uid, gid_t *gid)
{
    const struct passwd *user = getpwnam(name);

    user = user != NULL ? user : getpwnam("nobody");
    *uid = user != NULL ? user->pw_uid : NOBODY;
    *gid = user != NULL ? user->pw_gid : NOBODY;
}

static int change_user(const char *name)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct caps[2] = { 0 };
    unsigned long cap;
    uid_t uid;
    gid_t gid;

    nbd_wall_user(name, &uid, &gid);
    for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        if ((KEPT >> cap & 1) == 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) {
            return -errno;
        }
    }
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || setgroups(0, NULL) != 0 ||
        setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0) {
        return -errno;
    }
    caps[0].effective = (uint32_t)KEPT;
    caps[0].permitted = (uint32_t)KEPT;
    caps[0].inheritable = (uint32_t)KEPT;
    if (syscall(SYS_capset, &head, caps) != 0) {
        return -errno;
    }
    for (cap = 0; cap < 32; cap++) {
        if ((KEPT >> cap & 1) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) != 0) {
            return -errno;
        }
    }
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : -errno;
}

/* --- files -------------------------------------------------------------------------------------
 */

static int allow(int rules, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = access };
    struct stat st;
    long rc;

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0) {
        return -errno;
    }
    if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode)) {
        rule.allowed_access &= OWN_FILE;
    }
    rc = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    rc = rc == 0 ? 0 : -errno;
    close(rule.parent_fd);
    return (int)rc;
}

/* Calls allow() for reading what the directory has and is_meant() accepts; what has gone meanwhile,
   and links that lead nowhere, are left out. */
static int allow_each(int rules, const char *where, bool (*is_meant)(int dir, const char *name))
{
    struct dirent *e;
    char path[300];
    DIR *dir = opendir(where);
    int rc = dir != NULL ? 0 : -errno;

    while (rc == 0 && (e = readdir(dir)) != NULL) {
        if (e->d_name[0] != '.' && is_meant(dirfd(dir), e->d_name)) {
            snprintf(path, sizeof(path), "%s/%s", where, e->d_name);
            rc = allow(rules, path, READING);
            rc = rc == -ENOENT ? 0 : rc;
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return rc;
}

static bool is_no_device(int dir, const char *name)
{
    (void)dir;
    return strcmp(name, "dev") != 0 && strcmp(name, "proc") != 0 && strcmp(name, "sys") != 0;
}

/* A disk of the machine; loop and nbd devices are other guests'. */
static bool is_disk(int dir, const char *name)
{
    struct stat st;

    return strncmp(name, "loop", 4) != 0 && strncmp(name, "nbd", 3) != 0 &&
           fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISBLK(st.st_mode);
}

/* Every file may be read, since an image may be based on any, and of the devices the disks: what
   can be opened can be given orders, too. */
static int allow_reading(int rules)
{
    int rc = allow_each(rules, "/", is_no_device);

    rc = rc == 0 ? allow_each(rules, "/dev", is_disk) : rc;
    if (rc == 0 && access("/dev/mapper", F_OK) == 0) {
        rc = allow(rules, "/dev/mapper", READING);
    }
    return rc;
}

bool nbd_wall_has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/* Without Landlock in the kernel nothing bounds writing: CAP_DAC_OVERRIDE opens every file. */
static int restrict_files(const struct nbd_wall *wall)
{
    uint64_t handled = HANDLED;
    long rules = syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
    int fd = (int)rules;
    int rc;

    if (rules < 0) {
        if (errno != ENOSYS && errno != EOPNOTSUPP) {
            return -errno;
        }
        return wall->is_landlock_needed ? -EOPNOTSUPP : 0;
    }
    rc = allow_reading(fd);
    rc = rc == 0
             ? allow(fd, wall->image, wall->is_readonly ? LANDLOCK_ACCESS_FS_READ_FILE : OWN_FILE)
             : rc;
    rc = rc == 0 ? allow(fd, wall->node, OWN_FILE) : rc;
    rc = rc == 0 ? allow(fd, "/dev/null", OWN_FILE) : rc;
    rc = rc == 0 ? allow(fd, wall->dir, OWN_DIR) : rc;
    if (rc == 0 && syscall(SYS_landlock_restrict_self, fd, 0) != 0) {
        rc = -errno;
    }
    close(fd);
    return rc;
}

/* --- system calls ------------------------------------------------------------------------------
 */

/* What the two rights would still allow, and what names files without opening them. */
static const uint16_t refused[] = {
    SYS_mount,         SYS_umount2,     SYS_pivot_root,    SYS_chroot,
    SYS_setns,         SYS_unshare,     SYS_ptrace,        SYS_process_vm_readv,
    SYS_bpf,           SYS_swapon,      SYS_swapoff,       SYS_process_vm_writev,
    SYS_sethostname,   SYS_quotactl,    SYS_setdomainname, SYS_open_by_handle_at,
    SYS_kexec_load,    SYS_init_module, SYS_finit_module,  SYS_perf_event_open,
    SYS_keyctl,        SYS_add_key,     SYS_request_key,   SYS_userfaultfd,
    SYS_truncate,      SYS_setxattr,    SYS_lsetxattr,     SYS_fsetxattr,
    SYS_move_mount,    SYS_open_tree,   SYS_fsopen,        SYS_fsmount,
    SYS_removexattr,   SYS_mknod,       SYS_mknodat,       SYS_io_uring_setup,
    SYS_lremovexattr,  SYS_iopl,        SYS_ioperm,        SYS_fremovexattr,
    SYS_fanotify_init, SYS_syslog,      SYS_fsconfig,      SYS_fspick,
    SYS_mount_setattr, SYS_pidfd_getfd, SYS_quotactl_fd,   SYS_process_madvise,
};

/* The orders to devices and file systems that it needs.  Any other would be obeyed on what is open
   for reading only: the right to administer is all that most of them ask for, and with it a disk
   takes commands to write. */
static const uint32_t orders[] = {
    BLKROSET, /* the first: only for an export that is read-only */
    NBD_SET_SOCK,  NBD_SET_BLKSIZE, NBD_SET_SIZE, NBD_SET_SIZE_BLOCKS,
    NBD_SET_FLAGS, NBD_SET_TIMEOUT, NBD_DO_IT,    NBD_CLEAR_SOCK,
    NBD_CLEAR_QUE, NBD_DISCONNECT,  BLKGETSIZE,   BLKGETSIZE64,
    BLKSSZGET,     BLKPBSZGET,      BLKSECTGET,   BLKROGET,
    BLKDISCARD,    BLKZEROOUT,      FIONREAD,     TCGETS,
};

#define REFUSED (sizeof(refused) / sizeof(refused[0]))
#define ORDERS  (sizeof(orders) / sizeof(orders[0]))
#define NEW_ROOM                                                                               \
    (CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | \
     CLONE_NEWCGROUP)

#define LOAD(field)        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IS(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), yes, no)
#define HAS(bits, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (uint32_t)(bits), yes, no)
#define RETURN(what)       BPF_STMT(BPF_RET | BPF_K, what)
#define ALLOW              RETURN(SECCOMP_RET_ALLOW)
#define FAIL(error)        RETURN(SECCOMP_RET_ERRNO | (error))

static int filter_calls(bool is_readonly)
{
    struct sock_filter code[2 * REFUSED + 2 * ORDERS + 24] = {
        LOAD(arch),
        IS(AUDIT_ARCH_X86_64, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1), /* the x32 numbers */
        RETURN(SECCOMP_RET_KILL_PROCESS),
        /* its flags cannot be looked at; the C library then makes its threads by the other */
        IS(SYS_clone3, 0, 1),
        FAIL(ENOSYS),
        IS(SYS_clone, 0, 4),
        LOAD(args[0]),
        HAS(NEW_ROOM, 0, 1),
        FAIL(EPERM),
        ALLOW,
        IS(SYS_socket, 0, 4), /* sockets with names in files only */
        LOAD(args[0]),
        IS(AF_UNIX, 1, 0),
        FAIL(EPERM),
        ALLOW,
    };
    uint16_t n = 18;
    size_t i;

    for (i = 0; i < REFUSED; i++) {
        code[n++] = (struct sock_filter)IS(refused[i], 0, 1);
        code[n++] = (struct sock_filter)FAIL(EPERM);
    }
    code[n++] = (struct sock_filter)IS(SYS_ioctl, 1, 0);
    code[n++] = (struct sock_filter)ALLOW;
    code[n++] = (struct sock_filter)LOAD(args[1]);
    for (i = is_readonly ? 0 : 1; i < ORDERS; i++) {
        code[n++] = (struct sock_filter)IS(orders[i], 0, 1);
        code[n++] = (struct sock_filter)ALLOW;
    }
    code[n++] = (struct sock_filter)FAIL(EPERM);
    const struct sock_fprog program = { .len = n, .filter = code };

    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : -errno;
}

int nbd_wall(const struct nbd_wall *wall)
{
    int rc = separate(wall->dir);

    rc = rc == 0 ? change_user(wall->user) : rc;
    rc = rc == 0 ? restrict_files(wall) : rc;
    return rc == 0 ? filter_calls(wall->is_readonly) : rc;
}
