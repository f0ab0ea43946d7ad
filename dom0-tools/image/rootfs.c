/* SPDX-License-Identifier: MIT */
/* Root disk, kernel and ramdisk of `joist run`. */
#include "image/rootfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/program.h"
#include "image/ext4.h"
#include "image/progress.h"
#include "image/ramdisk.h"
#include "run/result.h"

#define INSTALLED       "/usr/lib/joist/run"
#define ARCHIVE_FACTOR  8 /* a packed archive grows to at most so much, by default */
#define ARCHIVE_MORE    (UINT64_C(1) << 30)
#define ARGV_BYTES_MOST ((1 << 17) - 1)
#define KERNEL_MOST     (64 << 20) /* bytes: as for kernels out of disks */

/* Orders versions the way people do: numbers as numbers. */
static bool is_newer(const char *a, const char *b)
{
    return strverscmp(a, b) > 0;
}

/* The name of the newest kernel in ROOT/boot, without the directory; empty if there is none. */
static void newest_kernel(const char *root, char *name, size_t size)
{
    int fd = work_open_inside(root, "boot");
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *e;

    name[0] = '\0';
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        if (strncmp(e->d_name, "vmlinuz-", 8) == 0 && strlen(e->d_name) < size &&
            (name[0] == '\0' || is_newer(e->d_name, name))) {
            snprintf(name, size, "%s", e->d_name);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    } else if (fd >= 0) {
        close(fd);
    }
}

/* Copies an open file to `path`; closes it. */
static int copy_file(int from, const char *path)
{
    struct stat st;
    off_t at = 0;
    int to = -1;
    int rc = fstat(from, &st) == 0 ? 0 : -errno;

    if (rc == 0 && !S_ISREG(st.st_mode)) {
        rc = -EINVAL;
    } else if (rc == 0 && st.st_size > KERNEL_MOST) {
        rc = -EFBIG;
    }
    if (rc == 0) {
        to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        rc = to >= 0 ? 0 : -errno;
    }
    while (rc == 0 && at < st.st_size) {
        ssize_t n = sendfile(to, from, &at, (size_t)(st.st_size - at));

        rc = n > 0 ? 0 : n < 0 ? -errno : -EIO;
    }
    if (to >= 0) {
        close(to);
    }
    close(from);
    return rc;
}

/* The kernel inside the root file system, copied out; -ENOENT if there is none. */
static int kernel_of_root(const struct work *w, const char *root, char *kernel)
{
    char name[256];
    char path[300];
    int fd = work_open_inside(root, "vmlinuz");

    if (fd < 0) {
        newest_kernel(root, name, sizeof(name));
        snprintf(path, sizeof(path), "boot/%s", name);
        fd = name[0] != '\0' ? work_open_inside(root, path) : -1;
    }
    if (fd < 0) {
        return -ENOENT;
    }
    work_path(w, "vmlinuz", kernel);
    return copy_file(fd, kernel);
}

static int absolute(const char *path, char *out, const char *phase, struct fail *f)
{
    char *real = realpath(path, NULL);
    int rc = 0;

    if (real == NULL || strlen(real) >= WORK_PATH_MAX) {
        rc = real == NULL ? -errno : -ENAMETOOLONG;
        fail_set(f, rc, phase, path, "cannot be opened: %s", strerror(-rc));
    } else {
        snprintf(out, WORK_PATH_MAX, "%s", real);
    }
    free(real);
    return rc;
}

/* Finds the kernel and where its modules are; *modules empty: its ramdisk is out->ramdisk. */
static int find_kernel(const struct work *w, const struct rootfs_spec *spec, const char *tree,
                       struct rootfs *out, struct fail *f)
{
    struct utsname u;
    int rc;

    if (spec->kernel != NULL) {
        return absolute(spec->kernel, out->kernel, "kernel", f);
    }
    rc = kernel_of_root(w, tree, out->kernel);
    if (rc == 0) {
        return 0;
    }
    if (rc != -ENOENT) {
        return fail_set(f, rc, "kernel", spec->root, "its kernel cannot be read: %s",
                        strerror(-rc));
    }
    if (access(INSTALLED "/vmlinuz", R_OK) == 0) {
        snprintf(out->kernel, sizeof(out->kernel), "%s", INSTALLED "/vmlinuz");
        if (spec->ramdisk == NULL && access(INSTALLED "/ramdisk", R_OK) == 0) {
            snprintf(out->ramdisk, sizeof(out->ramdisk), "%s", INSTALLED "/ramdisk");
        }
        return 0;
    }
    if (uname(&u) == 0) {
        snprintf(out->kernel, sizeof(out->kernel), "/boot/vmlinuz-%s", u.release);
    }
    if (access(out->kernel, R_OK) != 0) {
        fail_set(f, -ENOENT, "kernel", spec->root,
                 "it holds no kernel, and there is none in " INSTALLED " or /boot");
        return fail_remedy(f, "give one with --kernel");
    }
    return 0;
}

/* The ramdisk: as given, as installed, or made from modules of the root or of this machine. */
static int find_ramdisk(const struct work *w, const struct rootfs_spec *spec, const char *tree,
                        struct rootfs *out, struct fail *f)
{
    char version[RAMDISK_VERSION_MAX];
    char init[WORK_PATH_MAX];
    char name[RAMDISK_VERSION_MAX + 40];
    int fd;
    int rc;

    if (spec->ramdisk != NULL) {
        return absolute(spec->ramdisk, out->ramdisk, "ramdisk", f);
    }
    if (out->ramdisk[0] != '\0') {
        return 0;
    }
    rc = ramdisk_kernel_version(out->kernel, version);
    if (rc != 0) {
        fail_set(f, rc, "kernel", out->kernel,
                 rc == -ENOEXEC ? "no bzImage that tells its version" : "cannot be read");
        return fail_remedy(f, "give --ramdisk, or another --kernel");
    }
    snprintf(name, sizeof(name), "/lib/modules/%s/modules.dep", version);
    fd = work_open_inside(tree, name);
    if (fd >= 0) {
        close(fd);
    }
    program_find("joist-run-init", init, sizeof(init));
    work_path(w, "ramdisk", out->ramdisk);
    return ramdisk_make(version, fd >= 0 ? tree : "/", init, out->ramdisk, f);
}

/* debugfs ends with 0 whatever happened: the first line that it does not print when all is well. */
static void keep_complaint(void *arg, const char *text)
{
    char *complaint = arg;

    if (complaint[0] == '\0' && strncmp(text, "debugfs", 7) != 0 &&
        strncmp(text, "Allocated inode: ", 17) != 0) {
        snprintf(complaint, WORK_LAST_MAX, "%s", text);
    }
}

static int run_debugfs(char *const argv[], const char *root, struct fail *f)
{
    char complaint[WORK_LAST_MAX] = "";
    int rc = work_run(argv, keep_complaint, complaint, NULL);

    if (rc == -EINTR) {
        return work_check_stopped(f);
    }
    if (rc == 127) {
        fail_set(f, -ENOENT, "mkfs", argv[0], "this program is missing");
        return fail_remedy(f, "install the package e2fsprogs");
    }
    if (rc != 0) {
        return fail_set(f, rc < 0 ? rc : -EIO, "mkfs", argv[0], "failed: %.200s", complaint);
    }
    if (strstr(complaint, "already exists") != NULL) {
        fail_set(f, -EEXIST, "run", root, "it holds " RUN_DIR ", where the command is put");
        return fail_remedy(f, "remove or rename it");
    }
    if (complaint[0] != '\0') {
        fail_set(f, -ENOSPC, "mkfs", root, "the command cannot be put into its disk: %.200s",
                 complaint);
        return strstr(complaint, WORK_FULL) != NULL ? work_no_room(f)
                                                    : fail_remedy(f, "give a larger --size");
    }
    return 0;
}

/* The words of the command and the first process, put into the file system without mounting it. */
static int add_command(const struct work *w, const struct rootfs_spec *spec, const char *disk,
                       struct fail *f)
{
    char script[WORK_PATH_MAX];
    char words[WORK_PATH_MAX];
    char init[WORK_PATH_MAX];
    char text[3 * WORK_PATH_MAX];
    char *argv[] = { (char *)"debugfs", (char *)"-w", (char *)"-f", script, (char *)disk, NULL };
    FILE *file;
    size_t bytes = 0;
    int i;
    int rc;

    work_path(w, "argv", words);
    work_path(w, "debugfs.cmd", script);
    program_find("joist-run-init", init, sizeof(init));
    if (access(init, R_OK) != 0) {
        fail_set(f, -errno, "run", init, "cannot be read: %s", strerror(errno));
        return fail_remedy(f, "this installation of joist is not complete");
    }
    file = fopen(words, "we");
    for (i = 0; file != NULL && spec->command[i] != NULL; i++) {
        bytes += strlen(spec->command[i]) + 1;
        fwrite(spec->command[i], strlen(spec->command[i]) + 1, 1, file);
    }
    if (file == NULL || fclose(file) != 0) {
        return fail_set(f, -errno, "image", words, "cannot be written: %s", strerror(errno));
    }
    if (bytes > ARGV_BYTES_MOST) {
        return fail_set(f, -E2BIG, "run", spec->command[0], "the command's words have %zu bytes",
                        bytes);
    }
    snprintf(text, sizeof(text),
             "mkdir %s\nwrite %s %s\nwrite %s %s\nset_inode_field %s mode 0100755\n", RUN_DIR,
             words, RUN_ARGV, init, RUN_INIT, RUN_INIT);
    rc = work_write(w->dir, "debugfs.cmd", text, 0600, f);
    return rc == 0 ? run_debugfs(argv, spec->root, f) : rc;
}

static int make_disk(const struct rootfs_spec *spec, const char *tree, const char *archive,
                     const char *disk, struct fail *f)
{
    struct ext4_spec fs = { .tree = tree,
                            .size = spec->size,
                            .tail = RUN_TAIL,
                            .progress = spec->progress,
                            .percent = { 5, 85 } };
    unsigned long long bytes = 0;
    unsigned long long count = 0;
    struct stat st;

    fs.archive = archive;
    if (fs.size == 0 && archive != NULL) {
        fs.size = stat(archive, &st) == 0 ? (uint64_t)st.st_size * ARCHIVE_FACTOR : 0;
        fs.size = (fs.size + ARCHIVE_MORE) & ~UINT64_C(0xfffff);
    } else if (fs.size == 0) {
        work_tree_size(tree, &bytes, &count);
        fs.size = ext4_size_for(bytes, count);
    }
    return ext4_make(&fs, disk, f);
}

int rootfs_make(const struct work *w, const struct rootfs_spec *spec, struct rootfs *out,
                struct fail *f)
{
    char tree[WORK_PATH_MAX];
    char archive[WORK_PATH_MAX]; /* absolute: tar takes a name with a colon for another machine's */
    struct stat st;
    bool is_archive;
    int rc;

    *out = (struct rootfs){ 0 };
    if (stat(spec->root, &st) != 0 || (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))) {
        rc = errno != 0 ? -errno : -EINVAL;
        fail_set(f, rc, "run", spec->root, "is no directory or archive: %s", strerror(-rc));
        return fail_remedy(f, "give --rootfs a directory, or a tar archive of one");
    }
    is_archive = S_ISREG(st.st_mode);
    rc = work_path(w, "disk.img", out->disk);
    if (rc == 0 && is_archive) {
        work_path(w, "tree", tree);
        rc = absolute(spec->root, archive, "run", f);
    } else if (rc == 0) {
        rc = absolute(spec->root, tree, "run", f);
    }
    progress_stage(spec->progress, "making the root disk", 5);
    rc = rc == 0 ? make_disk(spec, tree, is_archive ? archive : NULL, out->disk, f) : rc;
    progress_stage(spec->progress, "making kernel and ramdisk ready", 85);
    rc = rc == 0 ? add_command(w, spec, out->disk, f) : rc;
    rc = rc == 0 ? find_kernel(w, spec, tree, out, f) : rc;
    return rc == 0 ? find_ramdisk(w, spec, tree, out, f) : rc;
}

int rootfs_result(const char *disk)
{
    char block[RUN_TAIL + 1] = { 0 };
    struct stat st;
    int code = -ENODATA;
    int fd = open(disk, O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > RUN_TAIL &&
        pread(fd, block, RUN_TAIL, st.st_size - RUN_TAIL) == RUN_TAIL &&
        (sscanf(block, RUN_RESULT "%d\n", &code) != 1 || code < 0 || code > 255)) {
        code = -ENODATA;
    }
    if (fd >= 0) {
        close(fd);
    }
    return code;
}
