/* SPDX-License-Identifier: MIT */
/* Tests of the makers of images: sizes, sources, modules, archives, file systems, programs. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "image/aptconf.h"
#include "image/cpio.h"
#include "image/ext4.h"
#include "image/progress.h"
#include "image/ramdisk.h"
#include "image/rootfs.h"
#include "image/work.h"
#include "run/result.h"

#define MIB (1ull << 20)

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void shell(const char *format, ...)
{
    char line[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    assert_int_equal(system(line), 0);
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        int rc;
        unsigned long long bytes;
    } rows[] = {
        { "16", 0, 16 * MIB },
        { "16M", 0, 16 * MIB },
        { "2G", 0, 2048 * MIB },
        { "16T", 0, MIB << 24 },
        { "17T", -ERANGE, 0 },
        { "15", -ERANGE, 0 },
        { "", -EINVAL, 0 },
        { "G", -EINVAL, 0 },
        { "-1", -EINVAL, 0 },
        { "1GB", -EINVAL, 0 },
        { "1.5G", -EINVAL, 0 },
        { " 16", -EINVAL, 0 },
        { "99999999999", -ERANGE, 0 },
        { "9999999999999", -EINVAL, 0 },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned long long bytes = 0;

        assert_int_equal(work_parse_size(rows[i].text, 16 * MIB, &bytes), rows[i].rc);
        assert_int_equal(bytes, rows[i].bytes);
    }
}

static void sources(void **state)
{
    static const char *const mirrors[] = { "http://mirror.example/debian", "https://h/x",
                                           "file:/srv/mirror" };
    static const char *const others[] = {
        "", "http://", "mirror.example", "http://h/a b", "http://h/[x]", "-x", "http://h/\""
    };
    char line[512] = "";
    struct fail f = { 0 };
    size_t i;

    (void)state;
    assert_int_equal(aptconf_line("http://d/debian/|bookworm|main|Debian", "bookworm", line, 512),
                     0);
    assert_string_equal(line, "deb http://d/debian/ bookworm main\n");
    assert_int_equal(
        aptconf_line("http://d/s|bookworm-security|main|Debian\n", "bookworm", line, 512), 0);
    assert_string_equal(line, "deb http://d/s bookworm-security main\n");
    assert_int_equal(aptconf_line("http://d/|trixie|main|Debian", "bookworm", line, 512), -ENOENT);
    assert_int_equal(aptconf_line("http://d/|bookworm|main|Node", "bookworm", line, 512), -ENOENT);
    assert_int_equal(aptconf_line("http://d/|bookwormx|main|Debian", "bookworm", line, 512),
                     -ENOENT);
    assert_int_equal(aptconf_line("http://d/|bookworm||Debian", "bookworm", line, 512), -ENOENT);
    assert_int_equal(aptconf_line("", "bookworm", line, 512), -ENOENT);
    for (i = 0; i < sizeof(mirrors) / sizeof(mirrors[0]); i++) {
        assert_int_equal(aptconf_check_mirror(mirrors[i], &f), 0);
    }
    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        f.code = 0;
        assert_int_equal(aptconf_check_mirror(others[i], &f), -EINVAL);
    }
}

static void collect(void *arg, const char *path)
{
    strcat(arg, path);
    strcat(arg, " ");
}

static void modules(void **state)
{
    static const char dep[] = "kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko kernel/fs/mbcache.ko\n"
                              "kernel/lib/crc16.ko:\n"
                              "kernel/drivers/block/xen-blkfront.ko.xz:\n"
                              "kernel/a/ext4x.ko: kernel/b.ko";
    char got[256] = "";

    (void)state;
    assert_int_equal(ramdisk_resolve(dep, "ext4", collect, got), 0);
    assert_string_equal(got, "kernel/fs/mbcache.ko kernel/lib/crc16.ko kernel/fs/ext4/ext4.ko ");
    got[0] = '\0';
    assert_int_equal(ramdisk_resolve(dep, "xen_blkfront", collect, got), 0);
    assert_string_equal(got, "kernel/drivers/block/xen-blkfront.ko.xz ");
    got[0] = '\0';
    assert_int_equal(ramdisk_resolve(dep, "ext4x", collect, got), 0);
    assert_string_equal(got, "kernel/b.ko kernel/a/ext4x.ko ");
    got[0] = '\0';
    assert_int_equal(ramdisk_resolve(dep, "ext", collect, got), -ENOENT);
    assert_int_equal(ramdisk_resolve("", "ext4", collect, got), -ENOENT);
    assert_string_equal(got, "");
}

/* What cpio(1) reads out of our archive is what was put in; the ramdisk's parts are all there. */
static void ramdisks(void **state)
{
    struct work w;
    struct fail f = { 0 };
    char version[RAMDISK_VERSION_MAX];
    char path[WORK_PATH_MAX];
    char init[WORK_PATH_MAX];
    char kernel[WORK_PATH_MAX];

    (void)state;
    assert_int_equal(work_begin(&w, &f), 0);
    work_path(&w, "rd", path);
    work_path(&w, "init", init);
    work_path(&w, "k", kernel);
    shell("cd %s && echo program >init && mkdir -p lib/modules/6.1-x/kernel && cd "
          "lib/modules/6.1-x && "
          "echo front >kernel/xen-blkfront.ko && echo crc >kernel/crc32c_generic.ko && "
          "printf 'kernel/xen-blkfront.ko:\\nkernel/crc32c_generic.ko:\\n' >modules.dep && "
          "echo kernel/fs/ext4.ko >modules.builtin",
          w.dir);
    assert_int_equal(ramdisk_make("6.1-x", w.dir, init, path, &f), 0);
    shell("cd %s && mkdir out && cd out && cpio -idm --quiet --no-absolute-filenames <../rd && "
          "cmp init ../init && test -x init && "
          "cmp modules/xen-blkfront.ko ../lib/modules/6.1-x/kernel/xen-blkfront.ko && "
          "test \"$(cat modules/list)\" = \"$(printf 'xen-blkfront.ko\\ncrc32c_generic.ko')\" && "
          "test ! -e modules/ext4.ko && test -d newroot",
          w.dir);
    assert_int_equal(ramdisk_make("6.2", w.dir, init, path, &f), -ENOENT);
    assert_non_null(strstr(f.cause, "no modules of this kernel"));
    f.code = 0;
    shell("cd %s/lib/modules/6.1-x && echo kernel/xen-blkfront.ko: >modules.dep", w.dir);
    assert_int_equal(ramdisk_make("6.1-x", w.dir, init, path, &f), -ENOENT);
    assert_non_null(strstr(f.cause, "there is no module crc32c_generic"));
    assert_int_equal(ramdisk_kernel_version(init, version), -ENOEXEC);
    assert_int_equal(ramdisk_kernel_version("/nowhere", version), -ENOENT);
    shell("cd %s && head -c 2000 /dev/zero >k && printf HdrS | dd of=k bs=1 seek=514 conv=notrunc "
          "2>/dev/null && printf '\\020\\001' | dd of=k bs=1 seek=526 conv=notrunc 2>/dev/null && "
          "printf '6.1.0-x (who) #1' | dd of=k bs=1 seek=784 conv=notrunc 2>/dev/null",
          w.dir);
    assert_int_equal(ramdisk_kernel_version(kernel, version), 0);
    assert_string_equal(version, "6.1.0-x");
    work_end(&w);
}

/* Links of a root that nobody trusts: neither a file of this machine nor a pipe gets into the
 * ramdisk of its guest, and a link to a place inside it works. */
static void hostile_modules(void **state)
{
    struct work w;
    struct fail f = { 0 };
    char version[RAMDISK_VERSION_MAX];
    char path[WORK_PATH_MAX];
    char init[WORK_PATH_MAX];
    char root[WORK_PATH_MAX];

    (void)state;
    assert_int_equal(work_begin(&w, &f), 0);
    work_path(&w, "rd", path);
    work_path(&w, "init", init);
    work_path(&w, "root", root);
    shell("cd %s && echo secret >secret && echo program >init && mkdir -p root/else/modules/6.1/k "
          "&& ln -s /else root/lib && cd root/else/modules/6.1 && echo crc >k/crc32c_generic.ko && "
          "printf 'k/xen-blkfront.ko:\nk/crc32c_generic.ko:\n' >modules.dep && "
          "echo kernel/fs/ext4.ko >modules.builtin && ln -s /front k/xen-blkfront.ko && "
          "echo inside >../../../front",
          w.dir);
    assert_int_equal(ramdisk_make("6.1", root, init, path, &f), 0);
    shell("grep -q inside %s", path);
    shell("ln -sf %s/secret %s/else/modules/6.1/k/xen-blkfront.ko", w.dir, root);
    assert_int_equal(ramdisk_make("6.1", root, init, path, &f), -ENOENT);
    assert_int_equal(access(path, F_OK), -1);
    f = (struct fail){ 0 };
    shell("cd %s/else/modules/6.1/k && rm xen-blkfront.ko && mkfifo xen-blkfront.ko", root);
    assert_int_equal(ramdisk_make("6.1", root, init, path, &f), -EINVAL);
    /* a version that would be a way out */
    shell("cd %s && head -c 2000 /dev/zero >k && printf HdrS | dd of=k bs=1 seek=514 conv=notrunc "
          "2>/dev/null && printf '\020\001' | dd of=k bs=1 seek=526 conv=notrunc 2>/dev/null && "
          "printf '.. #1' | dd of=k bs=1 seek=784 conv=notrunc 2>/dev/null",
          w.dir);
    work_path(&w, "k", path);
    assert_int_equal(ramdisk_kernel_version(path, version), -ENOEXEC);
    work_end(&w);
}

static int make_root(struct work *w, struct rootfs_spec *spec, struct fail *f)
{
    char disk[WORK_PATH_MAX];
    struct rootfs out;

    *f = (struct fail){ 0 };
    work_path(w, "disk.img", disk);
    unlink(disk);
    return rootfs_make(w, spec, &out, f);
}

/* What cannot be put into the disk is told, and no other command than the one given is run. */
static void roots(void **state)
{
    char *command[] = { (char *)"true", NULL };
    struct work w;
    struct fail f = { 0 };
    char root[WORK_PATH_MAX];
    struct progress bar = { .is_quiet = true };
    struct rootfs_spec spec = {
        .root = root, .command = command, .size = 16 * MIB, .progress = &bar
    };

    (void)state;
    assert_int_equal(work_begin(&w, &f), 0);
    work_path(&w, "root", root);
    setenv("JOIST_LIBEXEC", w.dir, 1);
    shell("cd %s && echo program >joist-run-init && mkdir -p root/.joist && echo evil "
          ">root/.joist/argv",
          w.dir);
    assert_int_equal(make_root(&w, &spec, &f), -EEXIST);
    assert_non_null(strstr(f.cause, "it holds /.joist"));
    shell("rm -r %s/.joist && ln -s /else %s/.joist", root, root);
    assert_int_equal(make_root(&w, &spec, &f), -EEXIST);
    shell("rm %s/.joist && truncate -s 65M %s/vmlinuz", root, root);
    assert_int_equal(make_root(&w, &spec, &f), -EFBIG);
    assert_non_null(strstr(f.cause, "its kernel cannot be read"));
    shell("rm %s/vmlinuz && mkfifo %s/vmlinuz", root, root);
    assert_int_equal(make_root(&w, &spec, &f), -EINVAL);
    shell("rm %s/vmlinuz && yes | head -c 20000000 >%s/joist-run-init", root, w.dir);
    assert_int_equal(make_root(&w, &spec, &f), -ENOSPC);
    assert_non_null(strstr(f.cause, "the command cannot be put into its disk"));
    unsetenv("JOIST_LIBEXEC");
    work_end(&w);
}

/* In a child: makes a root disk below `base`, where 12 MiB fit, of a root and a first process that
 * have so many bytes.  0 if it was refused for want of room, with the right advice. */
static int make_without_room(const char *base, const char *root_bytes, const char *init_bytes)
{
    char *command[] = { (char *)"true", NULL };
    struct progress bar = { .is_quiet = true };
    struct rootfs_spec spec = { .command = command, .size = 64 * MIB, .progress = &bar };
    char root[WORK_PATH_MAX + 16];
    struct fail f = { 0 };
    struct work w;
    int rc;

    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", base, "tmpfs", 0, "size=12m") != 0) {
        return 77;
    }
    snprintf(root, sizeof(root), "%s/../root", base);
    spec.root = root;
    shell("cd %s/.. && mkdir -p root && yes | head -c %s >root/f && yes | head -c %s "
          ">joist-run-init",
          base, root_bytes, init_bytes);
    snprintf(root, sizeof(root), "%s/..", base);
    setenv("JOIST_LIBEXEC", root, 1);
    snprintf(root, sizeof(root), "%s/../root", base);
    setenv("TMPDIR", base, 1);
    rc = work_begin(&w, &f) != 0 ? 1 : make_root(&w, &spec, &f) == -ENOSPC ? 0 : 2;
    rc = rc == 0 && strstr(f.remedy, "set TMPDIR") == NULL ? 3 : rc;
    if (rc != 0) {
        fprintf(stderr, "%d: %s: %s; %s\n", rc, f.object, f.cause, f.remedy);
    }
    work_end(&w);
    return rc;
}

static void full_disk(void **state)
{
    static const char *const bytes[2][2] = { { "20000000", "1000" }, { "1000", "20000000" } };
    struct work w;
    struct fail f = { 0 };
    char base[WORK_PATH_MAX];
    int status = 0;
    pid_t pid;
    int i;

    (void)state;
    assert_int_equal(work_begin(&w, &f), 0);
    work_path(&w, "small", base);
    assert_int_equal(mkdir(base, 0700), 0);
    for (i = 0; i < 2; i++) {
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            _exit(make_without_room(base, bytes[i][0], bytes[i][1]));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77) {
            print_message("no mounts here\n");
            break;
        }
        assert_int_equal(status, 0);
    }
    work_end(&w);
}

/* A tree comes back out of the file system whole; behind it is room for a result. */
static void file_systems(void **state)
{
    struct work w;
    struct fail f = { 0 };
    char tree[WORK_PATH_MAX];
    char disk[WORK_PATH_MAX];
    struct ext4_spec spec = {
        .tree = tree, .label = "a-label", .size = 32 * MIB, .tail = RUN_TAIL
    };
    struct stat st;
    int fd;

    (void)state;
    assert_int_equal(work_begin(&w, &f), 0);
    work_path(&w, "tree", tree);
    work_path(&w, "disk", disk);
    shell("mkdir -p %s/d && seq 10000 >%s/d/f && ln -s d/f %s/l && chmod 4755 %s/d/f", tree, tree,
          tree, tree);
    assert_int_equal(ext4_make(&spec, disk, &f), 0);
    assert_int_equal(stat(disk, &st), 0);
    assert_int_equal(st.st_size, 32 * MIB + RUN_TAIL);
    assert_true((unsigned long long)st.st_blocks * 512 < 16 * MIB); /* sparse */
    shell("e2fsck -fn %s >/dev/null 2>&1", disk);
    shell("debugfs -R 'show_super_stats -h' %s 2>/dev/null | grep -q 'name: *a-label$'", disk);
    shell("test \"$(debugfs -R 'cat /d/f' %s 2>/dev/null | cksum)\" = \"$(seq 10000 | cksum)\"",
          disk);
    shell("debugfs -R 'stat /d/f' %s 2>/dev/null | grep -q 'Mode:  04755'", disk);
    assert_int_equal(rootfs_result(disk), -ENODATA);
    fd = open(disk, O_WRONLY);
    assert_true(pwrite(fd, RUN_RESULT "7\n", sizeof(RUN_RESULT) + 1, 32 * MIB) > 0);
    assert_int_equal(rootfs_result(disk), 7);
    assert_true(pwrite(fd, RUN_RESULT "256\n", sizeof(RUN_RESULT) + 3, 32 * MIB) > 0);
    assert_int_equal(rootfs_result(disk), -ENODATA);
    close(fd);
    shell("head -c 40000000 /dev/urandom >%s/large", tree);
    assert_int_equal(ext4_make(&spec, disk, &f), -ENOSPC);
    assert_non_null(strstr(f.cause, "do not fit into 32 MiB"));
    f = (struct fail){ 0 };
    shell("cd %s && tar -czf t.tar -C tree d && rm -rf tree", w.dir);
    work_path(&w, "t.tar", disk);
    {
        char image[WORK_PATH_MAX];

        work_path(&w, "disk2", image);
        spec.archive = disk;
        assert_int_equal(ext4_make(&spec, image, &f), 0);
        shell("test \"$(debugfs -R 'cat /d/f' %s 2>/dev/null | cksum)\" = \"$(seq 10000 | cksum)\"",
              image);
    }
    work_end(&w);
}

/* In a child that is root no more: what an archive says of owners and rights is what the file
 * system says. */
static int build_as_user(const char *archive, const char *base)
{
    static const char script[] =
        "see() { debugfs -R \"stat $1\" $DISK 2>/dev/null | tr -s ' ' | grep -q \"$2\" || "
        "{ echo \"$1 is not $2\"; exit 1; }; }\n"
        "for n in / /d /d/f /d/mine; do see $n 'User: 0 Group: 0 '; done\n"
        "see /theirs 'User: 33 Group: 42 '; see /dev 'User: 0 Group: 5 '\n"
        "see /d/f 'Mode: 04755'; see /dev 'Type: character special'\n";
    struct work w;
    struct fail f = { 0 };
    char tree[WORK_PATH_MAX];
    char disk[WORK_PATH_MAX];
    char over[WORK_PATH_MAX];
    struct ext4_spec spec = { .tree = tree, .archive = archive, .overlay = over, .size = 16 * MIB };
    int rc;

    if (geteuid() == 0 && (setgid(61981) != 0 || setuid(61981) != 0)) {
        return 90;
    }
    setenv("TMPDIR", base, 1);
    if (work_begin(&w, &f) != 0) {
        return 91;
    }
    work_path(&w, "tree", tree);
    work_path(&w, "disk", disk);
    work_path(&w, "over/d/mine", over);
    rc = work_write(w.dir, "over/d/mine", "mine", 0644, &f);
    work_path(&w, "over", over);
    rc = rc == 0 ? ext4_make(&spec, disk, &f) : rc;
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", f.object, f.cause);
    }
    setenv("DISK", disk, 1);
    rc = rc == 0 ? system(script) : rc;
    work_end(&w);
    return rc == 0 ? 0 : 92;
}

static void owners(void **state)
{
    char base[] = "/tmp/test-image-XXXXXX";
    char archive[WORK_PATH_MAX];
    int status = 0;
    pid_t pid;

    (void)state;
    assert_non_null(mkdtemp(base));
    assert_int_equal(chmod(base, 0777), 0);
    snprintf(archive, sizeof(archive), "%s/a.tar", base);
    shell("cd %s && fakeroot sh -c 'mkdir -p t/d && echo x >t/d/f && chmod 4755 t/d/f && echo y "
          ">t/theirs && "
          "chown 33:42 t/theirs && mknod t/dev c 4 64 && chgrp 5 t/dev && tar -C t -cf a.tar .' && "
          "chmod 644 a.tar",
          base);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(build_as_user(archive, base));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    shell("test \"$(ls %s)\" = \"$(printf 'a.tar\\nt')\" && rm -r %s", base, base);
}

static void count_line(void *arg, const char *text)
{
    (void)text;
    ++*(int *)arg;
}

static void programs(void **state)
{
    char *three[] = { (char *)"sh", (char *)"-c", (char *)"echo a; echo b >&2; exit 3", NULL };
    char *missing[] = { (char *)"no-such-program", NULL };
    char *signalled[] = { (char *)"sh", (char *)"-c", (char *)"kill -9 $$", NULL };
    char *many[] = { (char *)"sh", (char *)"-c", (char *)"seq 5000; printf tail", NULL };
    char last[WORK_PATH_MAX];
    struct fail f = { 0 };
    int lines = 0;

    (void)state;
    assert_int_equal(work_run(three, count_line, &lines, last), 3);
    assert_int_equal(lines, 2);
    assert_string_equal(last, "a; b");
    assert_int_equal(work_run(missing, NULL, NULL, last), 127);
    assert_int_equal(work_run(signalled, NULL, NULL, last), 137);
    lines = 0;
    assert_int_equal(work_run(many, count_line, &lines, last), 0);
    assert_int_equal(lines, 5001);
    assert_non_null(strstr(last, "5000; tail"));
    assert_true(strlen(last) < WORK_LAST_MAX);
    assert_int_equal(work_must(missing, "phase", "its-package", &f), -ENOENT);
    assert_string_equal(f.remedy, "install the package its-package");
    assert_true(work_find_program("sh", last));
    assert_string_equal(last + strlen(last) - 3, "/sh");
    assert_false(work_find_program("no-such-program", NULL));
}

/* Results appear whole or not at all, and temporary files go. */
static void results(void **state)
{
    struct work w;
    struct work other;
    struct fail f = { 0 };
    char path[WORK_PATH_MAX];
    char dir[WORK_PATH_MAX];

    (void)state;
    assert_int_equal(work_begin(&w, &f), 0);
    assert_int_equal(work_begin(&other, &f), 0);
    strcpy(dir, w.dir);
    work_path(&other, "result", path);
    assert_int_equal(work_result(&w, path, false, &f), 0);
    assert_int_equal(access(path, F_OK), -1);
    shell("echo x >%s && mkdir -p %s/a/b && touch %s/a/b/c", w.part, w.dir, w.dir);
    assert_int_equal(work_publish(&w, path, &f), 0);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(work_result(&w, path, false, &f), -EEXIST);
    f.code = 0;
    assert_int_equal(work_result(&w, path, true, &f), 0);
    work_end(&w);
    assert_int_equal(access(dir, F_OK), -1);
    shell("test $(ls %s | wc -l) = 1", other.dir);
    work_end(&other);
    work_end(&other);
}

static void touch(void *arg)
{
    close(open(arg, O_WRONLY | O_CREAT, 0600));
}

/* In a child: begins work, and is killed while a program runs. */
static pid_t start_worker(const char *base, bool is_outside, int said)
{
    char *slow[] = { (char *)"sh", (char *)"-c", (char *)"touch \"$0\"; sleep 1; touch \"$0.late\"",
                     NULL, NULL };
    char path[WORK_PATH_MAX + 8];
    char mark[WORK_PATH_MAX + 8];
    struct work w;
    struct fail f = { 0 };
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid != 0) {
        return pid;
    }
    snprintf(path, sizeof(path), "%s/result", base);
    snprintf(mark, sizeof(mark), "%s/outside", base);
    setenv("TMPDIR", base, 1);
    dup2(said, STDERR_FILENO);
    work_set_outside(touch, mark);
    if (work_begin(&w, &f) != 0 || work_result(&w, path, false, &f) != 0) {
        _exit(1);
    }
    if (is_outside) {
        work_begin_outside(&w);
    }
    snprintf(path, sizeof(path), "%s/runs", base);
    slow[3] = path;
    work_run(slow, NULL, NULL, NULL);
    _exit(2);
}

/* Killed in the middle: the programs that ran end, then the files go, and what is outside. */
static void killed(void **state)
{
    struct work w;
    struct fail f = { 0 };
    struct timespec step = { .tv_nsec = 10 * 1000 * 1000 };
    char line[2 * WORK_PATH_MAX];
    char runs[WORK_PATH_MAX];
    int ends[2];
    int round;
    int waited;
    char byte;
    pid_t pid;

    (void)state;
    assert_int_equal(work_begin(&w, &f), 0);
    work_path(&w, "runs", runs);
    for (round = 0; round < 2; round++) {
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid = start_worker(w.dir, round == 1, ends[1]);
        close(ends[1]);
        for (waited = 0; access(runs, F_OK) != 0; waited++) {
            assert_true(waited < 1000);
            nanosleep(&step, NULL);
        }
        shell("test $(ls -d %s/joist-image-* %s/result.part-* | wc -l) = 2", w.dir, w.dir);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(read(ends[0], &byte, 1), 0); /* nobody holds up those who read from us */
        close(ends[0]);
        snprintf(line, sizeof(line), "ls %s | grep -q -e joist-image -e part", w.dir);
        for (waited = 0; system(line) == 0; waited++) {
            assert_true(waited < 1000);
            nanosleep(&step, NULL);
        }
        shell("cd %s && test ! -e runs.late && test $(ls outside 2>/dev/null | wc -l) = %d && rm "
              "runs",
              w.dir, round);
    }
    work_end(&w);
}

/* A signal stops a program that runs, which is told and waited for; nothing is begun afterwards. */
static void stopping(void **state)
{
    char *slow[] = { (char *)"sh", (char *)"-c",
                     (char *)"trap 'echo told; exit 9' INT; kill -INT $PPID; "
                             "sleep 20 >/dev/null 2>&1 & wait",
                     NULL };
    char *quick[] = { (char *)"true", NULL };
    char last[WORK_LAST_MAX];
    struct work w;
    struct fail f = { 0 };

    (void)state;
    assert_int_equal(work_begin(&w, &f), 0);
    assert_int_equal(work_run(slow, NULL, NULL, last), -EINTR);
    assert_non_null(strstr(last, "told"));
    assert_true(work_is_stopped());
    assert_int_equal(work_run(quick, NULL, NULL, NULL), -EINTR);
    assert_int_equal(work_check_stopped(&f), -EINTR);
    work_end(&w);
}

/* What waits for our end has itself been killed: that does not end us. */
static void guard_killed(void **state)
{
    struct work w;
    struct fail f = { 0 };

    (void)state;
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(work_begin(&w, &f), 0);
    kill(w.guard.pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)w.guard.pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
    work_begin_outside(&w);
    work_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(sources),
        cmocka_unit_test(modules),
        cmocka_unit_test(ramdisks),
        cmocka_unit_test(programs),
        cmocka_unit_test(results),
        cmocka_unit_test(file_systems),
        cmocka_unit_test(owners),
        cmocka_unit_test(hostile_modules),
        cmocka_unit_test(roots),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(killed),
        cmocka_unit_test(guard_killed),
        cmocka_unit_test(stopping), /* the last: all is stopped */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
