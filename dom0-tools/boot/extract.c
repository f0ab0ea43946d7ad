/* SPDX-License-Identifier: MIT */
/*
 * joist-extract: reads a kernel and a ramdisk out of the ext2, ext3 or ext4 file system on
 * descriptor 3 and writes them to descriptors 4 and 5; one line on standard output says what came
 * of it.  Started by joistd as root, and root no longer before the first byte of the disk is read.
 */
#include <errno.h>
#include <ext2fs/ext2fs.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/boot.h"

#define OWN_UID     61990                 /* nobody else's: no account, outside systemd's range */
#define MEMORY_MOST (UINT64_C(512) << 20) /* address space, bytes */
#define CHUNK       (256u << 10)

/* What a failure to find something may come from. */
static const char *hint = "";

static _Noreturn __attribute__((format(printf, 2, 3))) void report(const char *verdict,
                                                                   const char *format, ...)
{
    char line[512];
    va_list args;
    int n = snprintf(line, sizeof(line), "%s ", verdict);

    va_start(args, format);
    vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, args);
    va_end(args);
    n = (int)strlen(line);
    if (strcmp(verdict, "disk") == 0 && (size_t)n + strlen(hint) + 2 <= sizeof(line)) {
        strcat(line, hint);
    }
    strcat(line, "\n");
    if (write(STDOUT_FILENO, line, strlen(line)) < 0) {
        _exit(3);
    }
    _exit(strcmp(verdict, "ok") == 0 ? 0 : 1);
}

static void limit(int what, rlim_t most)
{
    struct rlimit r = { most, most };

    if (setrlimit(what, &r) != 0) {
        report("sandbox", "a resource limit cannot be set: %s", strerror(errno));
    }
}

/* Makes a directory that no longer has a name the root: nothing can ever be put into it. */
static bool enter_nowhere(const char *pattern)
{
    char name[64];
    int fd;
    bool ok;

    snprintf(name, sizeof(name), "%s", pattern);
    if (mkdtemp(name) == NULL) {
        return false;
    }
    fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ok = rmdir(name) == 0 && fd >= 0 && fchdir(fd) == 0 && chroot(".") == 0;
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* Away from root: no network, no files, no identity, no more processes. */
static void leave_root(void)
{
    limit(RLIMIT_AS, MEMORY_MOST);
    limit(RLIMIT_CPU, BOOT_TIME_MOST);
    limit(RLIMIT_FSIZE, BOOT_RAMDISK_MOST);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, 16);
    if (geteuid() == 0) {
        if (unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) != 0) {
            report("sandbox", "no namespaces of its own: %s", strerror(errno));
        }
        if (!enter_nowhere("/run/joist-extract-XXXXXX") &&
            !enter_nowhere("/tmp/joist-extract-XXXXXX")) {
            report("sandbox", "no empty root directory: %s", strerror(errno));
        }
        if (setgroups(0, NULL) != 0 || setresgid(OWN_UID, OWN_UID, OWN_UID) != 0 ||
            setresuid(OWN_UID, OWN_UID, OWN_UID) != 0) {
            report("sandbox", "no identity of its own: %s", strerror(errno));
        }
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of identity has ended that */
    }
    limit(RLIMIT_NPROC, 0);
    if (prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        report("sandbox", "rights cannot be given up: %s", strerror(errno));
    }
}

/* From here on: reading, writing, memory, the end. */
static void filter_calls(void)
{
    static const int allowed[] = {
        SCMP_SYS(read),    SCMP_SYS(pread64),      SCMP_SYS(write),         SCMP_SYS(lseek),
        SCMP_SYS(brk),     SCMP_SYS(munmap),       SCMP_SYS(mremap),        SCMP_SYS(fstat),
        SCMP_SYS(close),   SCMP_SYS(exit),         SCMP_SYS(exit_group),    SCMP_SYS(rt_sigreturn),
        SCMP_SYS(futex),   SCMP_SYS(getrandom),    SCMP_SYS(clock_gettime), SCMP_SYS(fadvise64),
        SCMP_SYS(madvise), SCMP_SYS(gettimeofday), SCMP_SYS(fsync),         SCMP_SYS(getuid),
        SCMP_SYS(geteuid), SCMP_SYS(getgid),       SCMP_SYS(getegid),
    };
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    bool ok = ctx != NULL;
    size_t i;

    for (i = 0; ok && i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        ok = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0) == 0;
    }
    /* memory that can be run is not to be had; fstat() is newfstatat() of a descriptor */
    ok = ok &&
         seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                          SCMP_A2(SCMP_CMP_MASKED_EQ, 4, 0)) == 0 &&
         seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
                          SCMP_A0(SCMP_CMP_LE, BOOT_FD_RAMDISK, 0)) == 0 &&
         seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                          SCMP_A1(SCMP_CMP_EQ, F_GETFD, 0)) == 0 &&
         seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                          SCMP_A1(SCMP_CMP_EQ, F_GETFL, 0)) == 0 &&
         seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), 0) == 0 &&
         seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 0) == 0;
    if (!ok || seccomp_load(ctx) != 0) {
        report("sandbox", "system calls cannot be limited");
    }
    seccomp_release(ctx);
}

/* Refuses by name what is no ext2, ext3 or ext4. */
static void check_magic(uint64_t offset)
{
    static uint8_t head[BOOT_HEAD];
    ssize_t n = pread(BOOT_FD_DISK, head, sizeof(head), (off_t)offset);
    const char *name = boot_identify(head, n > 0 ? (size_t)n : 0);

    if (n < 0) {
        report("disk", "cannot be read: %s", strerror(errno));
    }
    if (strcmp(name, "ext4") != 0) {
        report("disk", "it holds %s at byte %llu, and only ext2, ext3 and ext4 are read", name,
               (unsigned long long)offset);
    }
}

static ext2_filsys open_disk(uint64_t offset)
{
    char fd[16];
    char options[48];
    ext2_filsys fs;
    errcode_t rc;

    snprintf(fd, sizeof(fd), "%d", BOOT_FD_DISK);
    snprintf(options, sizeof(options), "offset=%llu", (unsigned long long)offset);
    rc = ext2fs_open2(fd, offset != 0 ? options : NULL, EXT2_FLAG_64BITS, 0, 0, unixfd_io_manager,
                      &fs);
    if (rc != 0) {
        report("disk", "its ext file system cannot be opened (error %ld)", (long)rc);
    }
    if (ext2fs_has_feature_journal_needs_recovery(fs->super)) {
        hint = " (the guest was not shut down: what it changed last is in the journal, which only "
               "a guest replays)";
    }
    return fs;
}

/* Copies one file out; its name is for messages. */
static uint64_t copy_out(ext2_filsys fs, ext2_ino_t ino, const char *name, int to, uint64_t most)
{
    static char data[CHUNK];
    struct ext2_inode inode;
    ext2_file_t file;
    uint64_t size;
    uint64_t done = 0;
    unsigned int got;
    errcode_t rc = ext2fs_read_inode(fs, ino, &inode);

    if (rc != 0 || !LINUX_S_ISREG(inode.i_mode)) {
        report("disk", "%s is no regular file", name);
    }
    size = EXT2_I_SIZE(&inode);
    if (size == 0 || size > most) {
        report("disk", "%s has %llu bytes, from 1 to %llu are taken", name,
               (unsigned long long)size, (unsigned long long)most);
    }
    rc = ext2fs_file_open(fs, ino, 0, &file);
    while (rc == 0 && done < size) {
        rc = ext2fs_file_read(file, data, sizeof(data), &got);
        if (rc == 0 && (got == 0 || got > size - done)) {
            rc = EXT2_ET_SHORT_READ;
        }
        if (rc == 0 && write(to, data, got) != (ssize_t)got) {
            report("memory", "the control domain has no memory for %s", name);
        }
        done += got;
    }
    if (rc != 0) {
        report("disk", "%s cannot be read (error %ld)", name, (long)rc);
    }
    return size;
}

/* The first of the names that exists, links followed; "" if none does. */
static const char *find(ext2_filsys fs, const char *wanted, const char *const *usual,
                        ext2_ino_t *ino)
{
    if (wanted[0] != '\0') {
        if (ext2fs_namei_follow(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, wanted, ino) != 0) {
            report("disk", "there is no %s in it", wanted);
        }
        return wanted;
    }
    for (; *usual != NULL; usual++) {
        if (ext2fs_namei_follow(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, *usual, ino) == 0) {
            return *usual;
        }
    }
    return "";
}

int main(int argc, char **argv)
{
    static const char *const kernels[] = { "/vmlinuz", "/boot/vmlinuz", NULL };
    static const char *const ramdisks[] = { "/initrd.img", "/boot/initrd.img", "/boot/initramfs",
                                            NULL };
    struct boot_wish wish = { 0 };
    ext2_filsys fs;
    ext2_ino_t ino;
    const char *kernel;
    const char *ramdisk;
    uint64_t size;
    int i;

    for (i = 1; i < argc; i++) {
        if (boot_wish_word(&wish, argv[i]) != 0) {
            report("usage", "not understood: %.100s", argv[i]);
        }
    }
    if (fcntl(BOOT_FD_DISK, F_GETFD) < 0 || fcntl(BOOT_FD_RAMDISK, F_GETFD) < 0) {
        fputs("joist-extract: is only of use to joistd\n", stderr);
        return 2;
    }
    leave_root();
    filter_calls();
    check_magic(wish.offset);
    fs = open_disk(wish.offset);
    kernel = find(fs, wish.kernel, kernels, &ino);
    if (kernel[0] == '\0') {
        report("disk", "there is neither /vmlinuz nor /boot/vmlinuz in it");
    }
    size = copy_out(fs, ino, kernel, BOOT_FD_KERNEL, BOOT_KERNEL_MOST);
    ramdisk = find(fs, wish.ramdisk, ramdisks, &ino);
    if (ramdisk[0] != '\0') {
        copy_out(fs, ino, ramdisk, BOOT_FD_RAMDISK, BOOT_RAMDISK_MOST);
    }
    report("ok", "%s %llu %s", kernel, (unsigned long long)size, ramdisk);
}
