/* SPDX-License-Identifier: MIT */
/* Tests of the reader of guests' disks: what it finds, what it refuses, what damage does to it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "boot/boot.h"

#define KERNEL_BYTES 300000

static char dir[] = "/tmp/test-boot-XXXXXX";
static char disk[64];
static char kernel[KERNEL_BYTES];

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void shell(const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    assert_int_equal(system(line), 0);
}

static void write_file(const char *name, const void *data, size_t size)
{
    char path[256];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static void make_disk(const char *options)
{
    shell("rm -f %s; mke2fs -q -F %s -d %s/tree %s 16M", disk, options, dir, disk);
}

static int set_up(void **state)
{
    char tools[PATH_MAX];
    size_t i;

    (void)state;
    /* make names it; else it lies beside the tests' directory (a bare chroot has no /proc) */
    if (getenv("JOIST_LIBEXEC") == NULL) {
        snprintf(tools, sizeof(tools), "%s/tools",
                 getenv("JOIST_BUILD") != NULL ? getenv("JOIST_BUILD") : "build");
        if (tools[0] != '/') {
            assert_non_null(realpath("build/tools", tools));
        }
        setenv("JOIST_LIBEXEC", tools, 1);
    }
    assert_non_null(mkdtemp(dir));
    snprintf(disk, sizeof(disk), "%s/disk", dir);
    for (i = 0; i < KERNEL_BYTES; i++) {
        kernel[i] = (char)(i * 31 + i / 4096);
    }
    shell("mkdir -p %s/tree/boot", dir);
    write_file("tree/boot/vmlinuz-1", kernel, KERNEL_BYTES);
    write_file("tree/boot/initrd-1", "ramdisk", 7);
    shell("cd %s/tree && ln -s boot/vmlinuz-1 vmlinuz && ln -s /boot/initrd-1 initrd.img", dir);
    shell("cd %s/tree && ln -s loop loop && mkfifo pipe && : >empty && truncate -s 100M large",
          dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shell("rm -rf %s", dir);
    return 0;
}

/* Containers without the right to make namespaces cannot run the reader as root does. */
static void need_namespaces(void)
{
    static int answer = -1;
    int status = 0;
    pid_t pid;

    if (answer < 0) {
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            _exit(geteuid() == 0 && unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC) != 0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        answer = status == 0;
    }
    if (!answer) {
        skip();
    }
}

static void expect_files(const struct boot_wish *wish, bool has_ramdisk)
{
    static char got[KERNEL_BYTES + 1];
    struct boot_files out;
    struct fail f = { 0 };

    if (boot_extract(disk, wish, &out, &f) != 0) {
        fail_msg("%s: %s", f.object, f.cause);
    }
    assert_int_equal(pread(out.kernel, got, sizeof(got), 0), KERNEL_BYTES);
    assert_memory_equal(got, kernel, KERNEL_BYTES);
    assert_int_equal(pwrite(out.kernel, "x", 1, 0), -1); /* sealed */
    assert_int_equal(out.ramdisk >= 0, has_ramdisk);
    if (has_ramdisk) {
        assert_int_equal(pread(out.ramdisk, got, sizeof(got), 0), 7);
        assert_memory_equal(got, "ramdisk", 7);
        close(out.ramdisk);
    }
    close(out.kernel);
}

static void expect_refused(const struct boot_wish *wish, int code, const char *cause)
{
    struct boot_files out;
    struct fail f = { 0 };

    assert_int_equal(boot_extract(disk, wish, &out, &f), code);
    if (strstr(f.cause, cause) == NULL) {
        fail_msg("\"%s\" instead of \"%s\"", f.cause, cause);
    }
}

static void finds_links(void **state)
{
    static const char *const kinds[] = { "-t ext4 -b 4096", "-t ext4 -b 1024", "-t ext2 -b 1024",
                                         "-t ext3 -b 4096" };
    const struct boot_wish none = { { 0 }, { 0 }, 0 };
    size_t i;

    (void)state;
    need_namespaces();
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        make_disk(kinds[i]);
        expect_files(&none, true);
    }
}

static void finds_named_files(void **state)
{
    struct boot_wish wish = { "/../../boot/../vmlinuz", "", 0 };

    (void)state;
    need_namespaces();
    make_disk("-t ext4");
    expect_files(&wish, true);
    strcpy(wish.ramdisk, "/boot/none");
    expect_refused(&wish, -EINVAL, "there is no /boot/none in it");
    strcpy(wish.kernel, "/etc/passwd"); /* ours, not the disk's */
    expect_refused(&wish, -EINVAL, "there is no /etc/passwd in it");
    strcpy(wish.kernel, "/loop");
    expect_refused(&wish, -EINVAL, "there is no /loop in it");
    strcpy(wish.kernel, "/boot");
    expect_refused(&wish, -EINVAL, "/boot is no regular file");
    strcpy(wish.kernel, "/pipe");
    expect_refused(&wish, -EINVAL, "/pipe is no regular file");
    strcpy(wish.kernel, "/empty");
    expect_refused(&wish, -EINVAL, "/empty has 0 bytes");
    strcpy(wish.kernel, "/large");
    expect_refused(&wish, -EINVAL, "/large has 104857600 bytes, from 1 to 67108864 are taken");
}

/* A guest that was destroyed: its journal is not replayed here, and that is told if it matters. */
static void finds_unclean(void **state)
{
    struct boot_wish wish = { "", "", 0 };

    (void)state;
    need_namespaces();
    make_disk("-t ext4");
    shell("debugfs -w -R 'feature needs_recovery' %s >/dev/null 2>&1", disk);
    expect_files(&wish, true);
    strcpy(wish.kernel, "/boot/new");
    expect_refused(&wish, -EINVAL, "there is no /boot/new in it (the guest was not shut down");
}

static void finds_partition(void **state)
{
    struct boot_wish wish = { "", "", 1 << 20 };

    (void)state;
    need_namespaces();
    make_disk("-t ext4");
    shell("cd %s && truncate -s 1M whole && cat disk >>whole && mv whole disk", dir);
    expect_files(&wish, true);
    wish.offset = 512;
    expect_refused(&wish, -EINVAL, "it holds nothing known at byte 512");
}

static void refuses_others_by_name(void **state)
{
    static const struct {
        const char *bytes;
        long at;
        const char *cause;
    } rows[] = {
        { "XFSB", 0, "it holds XFS at byte 0, and only ext2, ext3 and ext4 are read" },
        { "_BHRfS_M", 65600, "it holds Btrfs" },
        { "\x55\xaa", 510, "it holds an MBR partition table" },
        { "EFI PART", 512, "it holds a GPT partition table" },
        { "QFI\xfb", 0, "it holds a qcow2 image" },
        { "FAT32   ", 82, "it holds FAT" },
        { "FAT16   ", 54, "it holds FAT" },
        { "\x10\x20\xf5\xf2", 1024, "it holds F2FS" },
        { "", 0, "it holds nothing known" },
    };
    const struct boot_wish none = { { 0 }, { 0 }, 0 };
    size_t i;

    (void)state;
    need_namespaces();
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        FILE *f = fopen(disk, "w");

        assert_non_null(f);
        assert_int_equal(ftruncate(fileno(f), 1 << 20), 0);
        fseek(f, rows[i].at, SEEK_SET);
        fputs(rows[i].bytes, f);
        fclose(f);
        expect_refused(&none, -EINVAL, rows[i].cause);
    }
    shell("rm %s; mkfs.vfat -C %s 2048 >/dev/null", disk,
          disk); /* a real one, with its boot sector */
    expect_refused(&none, -EINVAL, "it holds FAT");
    shell("rm %s", disk);
    expect_refused(&none, -ENOENT, "cannot be opened");
    shell("mkdir %s", disk);
    expect_refused(&none, -EINVAL, "neither a regular file nor a block device");
    shell("rmdir %s", disk);
}

static void refuses_without_kernel(void **state)
{
    const struct boot_wish none = { { 0 }, { 0 }, 0 };

    (void)state;
    need_namespaces();
    shell("rm -f %s; mke2fs -q -F -t ext4 %s 8M", disk, disk);
    expect_refused(&none, -EINVAL, "there is neither /vmlinuz nor /boot/vmlinuz in it");
}

#define DAMAGE_BYTES 60

/* One disk with random bytes changed; puts them back.  1 if it was refused. */
static unsigned int read_damaged(unsigned int *seed, uint32_t below)
{
    const struct boot_wish none = { { 0 }, { 0 }, 0 };
    struct boot_files out;
    struct fail f = { 0 };
    struct timespec begun;
    struct timespec ended;
    off_t at[DAMAGE_BYTES];
    char was[DAMAGE_BYTES];
    int count = 1 + rand_r(seed) % DAMAGE_BYTES;
    int fd = open(disk, O_RDWR);
    int rc;
    int i;

    assert_true(fd >= 0);
    for (i = 0; i < count; i++) {
        char byte = (char)rand_r(seed);

        at[i] = (off_t)((uint32_t)rand_r(seed) % below);
        at[i] = at[i] == 1080 || at[i] == 1081 ? 1024 : at[i]; /* the magic number */
        assert_int_equal(pread(fd, &was[i], 1, at[i]), 1);
        assert_int_equal(pwrite(fd, &byte, 1, at[i]), 1);
    }
    clock_gettime(CLOCK_MONOTONIC, &begun);
    rc = boot_extract(disk, &none, &out, &f);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    assert_true(ended.tv_sec - begun.tv_sec <= BOOT_TIME_MOST + 2);
    if (rc == 0) {
        close(out.kernel);
        if (out.ramdisk >= 0) {
            close(out.ramdisk);
        }
    } else {
        assert_true(f.cause[0] != '\0' && f.remedy[0] != '\0');
    }
    while (i-- > 0) {
        assert_int_equal(pwrite(fd, &was[i], 1, at[i]), 1);
    }
    close(fd);
    return rc != 0;
}

/* Descriptors of this process. */
static int count_descriptors(void)
{
    int n = 0;
    int fd;

    for (fd = 0; fd < 256; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

/* Whatever is damaged: an answer comes, in time, and a kernel or the reason why not. */
static void survives_damage(void **state)
{
    /* without checksums, damage is believed; blocks by list and by tree */
    static const char *const kinds[] = { "-t ext4 -b 1024", "-t ext4 -b 1024 -O ^metadata_csum",
                                         "-t ext2 -b 1024", "-t ext4 -b 4096 -O ^metadata_csum" };
    const char *more = getenv("LONG");
    int rounds = more != NULL && more[0] != '\0' ? 1000 : 100;
    const struct boot_wish none = { { 0 }, { 0 }, 0 };
    int before = count_descriptors();
    unsigned int seed = 1;
    unsigned int refused = 0;
    size_t kind;
    int round;

    (void)state;
    need_namespaces();
    for (kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
        make_disk(kinds[kind]);
        for (round = 0; round < rounds / 4; round++) {
            /* mostly the first blocks: superblock, descriptors, inodes, directories */
            refused += read_damaged(&seed, round % 4 == 0 ? 1u << 24 : 1u << 18);
        }
        expect_files(&none, true);
    }
    assert_true(refused > 0 && refused < (unsigned int)rounds);
    assert_int_equal(count_descriptors(), before);
}

/* A program in the place of the reader: what one does that the disk has taken over. */
static void expect_distrusted(const char *script, int code, const char *cause)
{
    const struct boot_wish none = { { 0 }, { 0 }, 0 };
    char path[256];

    snprintf(path, sizeof(path), "%s/joist-extract", dir);
    write_file("joist-extract", script, strlen(script));
    assert_int_equal(chmod(path, 0700), 0);
    expect_refused(&none, code, cause);
}

static void distrusts_reader(void **state)
{
    char *libexec = strdup(getenv("JOIST_LIBEXEC"));
    bool has_proc = access("/proc/self/oom_score_adj", R_OK) == 0; /* not in a bare chroot */
    int before = count_descriptors();
    int kept = dup(STDERR_FILENO);
    struct stat st;
    int log;

    (void)state;
    write_file("disk", "nothing", 7);
    write_file("log", "", 0);
    setenv("JOIST_LIBEXEC", dir, 1);
    {
        char path[256];

        snprintf(path, sizeof(path), "%s/log", dir);
        log = open(path, O_RDWR | O_CLOEXEC);
    }
    assert_true(log >= 0);
    dup2(log, STDERR_FILENO);
    expect_distrusted("#!/bin/sh\necho ok /vmlinuz 1 \n", -EFBIG, "a kernel of 0 and");
    expect_distrusted("#!/bin/sh\nhead -c 67108865 /dev/zero >&4\necho ok /vmlinuz 1 \n", -EFBIG,
                      "a kernel of 67108865 and");
    expect_distrusted("#!/bin/sh\necho x >&4; echo ok x; exit 1\n", -EIO, "x");
    expect_distrusted("#!/bin/sh\necho x >&4; echo okay\n", -EIO, "its reader said nothing");
    expect_distrusted("#!/bin/sh\nprintf 'disk a\\033[2Jb\\nok c'; exit 1\n", -EINVAL, "a?[2Jb");
    expect_distrusted("#!/bin/sh\nhead -c 1000000 /dev/zero; exit 1\n", -EIO, "");
    expect_distrusted("#!/bin/sh\necho x >&4; echo ok x; kill -9 $$\n", -EIO,
                      "stopped by signal 9");
    /* what it was not given, it does not have: nobody's log, no other file of joistd */
    expect_distrusted("#!/bin/sh\necho noise >&2; cat >&2; cat <&7 && exit 0\n"
                      "read a </proc/self/oom_score_adj; echo \"disk adj=$a\"; exit 1\n",
                      -EINVAL, has_proc ? "adj=1000" : "adj=");
    dup2(kept, STDERR_FILENO);
    assert_int_equal(fstat(log, &st), 0);
    assert_int_equal(st.st_size, 0);
    close(kept);
    close(log);
    assert_int_equal(count_descriptors(), before);
    setenv("JOIST_LIBEXEC", libexec, 1);
    free(libexec);
}

static void reads_words(void **state)
{
    static const char *const bad[] = { "",
                                       "--kernel=",
                                       "--kernel",
                                       "--offset=x",
                                       "--offset=",
                                       "--offset=511",
                                       "--offset=-512",
                                       "--ramdisk=\n",
                                       "nothing",
                                       "--offset=99999999999999999999" };
    struct boot_wish wish = { { 0 }, { 0 }, 0 };
    char longest[300];
    size_t i;

    (void)state;
    assert_int_equal(boot_wish_word(&wish, "--kernel=/a"), 0);
    assert_int_equal(boot_wish_word(&wish, "--ramdisk=/b c"), 0);
    assert_int_equal(boot_wish_word(&wish, "--offset=1048576"), 0);
    assert_string_equal(wish.kernel, "/a");
    assert_string_equal(wish.ramdisk, "/b c");
    assert_int_equal(wish.offset, 1048576);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(boot_wish_word(&wish, bad[i]), -EINVAL);
    }
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "--kernel=", 9);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(boot_wish_word(&wish, longest), -EINVAL);
    assert_string_equal(wish.kernel, "/a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_links),
        cmocka_unit_test(finds_named_files),
        cmocka_unit_test(finds_unclean),
        cmocka_unit_test(finds_partition),
        cmocka_unit_test(refuses_others_by_name),
        cmocka_unit_test(refuses_without_kernel),
        cmocka_unit_test(survives_damage),
        cmocka_unit_test(distrusts_reader),
        cmocka_unit_test(reads_words),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
