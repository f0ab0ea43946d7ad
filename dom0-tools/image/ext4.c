/* SPDX-License-Identifier: MIT */
/* mke2fs on a sparse file, filled from a directory. */
#include "image/ext4.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/progress.h"

#define MIB         (UINT64_C(1) << 20)
#define BLOCK       UINT64_C(4096)
#define JOURNAL     (64 * MIB)
#define WORKING     (64 * MIB)
#define INODE_RATIO 8192 /* bytes of the file system for each file that it can hold */

/* GRUB 2.06 refuses to read a file system that has one of these. */
#define NOT_FOR_GRUB "^metadata_csum_seed,^orphan_file"

uint64_t ext4_size_for(uint64_t bytes, uint64_t count)
{
    uint64_t blocks = bytes + count * BLOCK; /* at worst each file has a block that is not full */
    uint64_t size = blocks + blocks / 5 + JOURNAL + WORKING;
    uint64_t inodes = count * 2 * INODE_RATIO;

    size = size > inodes ? size : inodes;
    return (size + MIB - 1) & ~(MIB - 1);
}

int ext4_check_label(const char *label, struct fail *f)
{
    size_t n = strlen(label);

    if (n == 0 || n > EXT4_LABEL_MAX ||
        label[strspn(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] !=
            '\0') {
        return fail_set(f, -EINVAL, "image", label,
                        "a label has 1 to 16 letters, digits, dots, dashes or underscores");
    }
    return 0;
}

static int set_size(const char *path, uint64_t size, struct fail *f)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int rc = 0;

    if (fd < 0 || ftruncate(fd, 0) != 0 || ftruncate(fd, (off_t)size) != 0) {
        rc = -errno;
        fail_set(f, rc, "image", path, "cannot be made %llu MiB long: %s",
                 (unsigned long long)(size >> 20), strerror(-rc));
    }
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

/* Whether the tree can fit at all, told before mke2fs gives up in the middle; *whole: its bytes. */
static int check_fit(const struct ext4_spec *spec, unsigned long long *whole, struct fail *f)
{
    unsigned long long bytes = 0;
    unsigned long long count = 0;
    int rc = work_tree_size(spec->tree, &bytes, &count);

    *whole = bytes;
    if (rc == -EINTR) {
        return work_check_stopped(f);
    }
    if (rc != 0) {
        return fail_set(f, rc, "image", spec->tree, "cannot be read: %s", strerror(-rc));
    }
    if (bytes + bytes / 16 > spec->size || count > spec->size / INODE_RATIO) {
        fail_set(f, -ENOSPC, "image", spec->tree, "%llu MiB in %llu files do not fit into %llu MiB",
                 bytes >> 20, count, (unsigned long long)(spec->size >> 20));
        return fail_remedy(f, "give a larger --size");
    }
    return 0;
}

/* How far mke2fs is: what the image occupies, of what it will occupy. */
struct filling {
    const struct ext4_spec *spec;
    const char *path;
    unsigned long long whole; /* bytes */
};

static void show_filling(void *arg)
{
    const struct filling *g = arg;
    int span = g->spec->percent[1] - g->spec->percent[0];
    unsigned long long done;
    struct stat st;

    if (g->whole > 0 && stat(g->path, &st) == 0) {
        done = (unsigned long long)st.st_blocks * 512;
        done = done < g->whole ? done : g->whole;
        progress_at(g->spec->progress,
                    g->spec->percent[0] + (int)((unsigned long long)span * done / g->whole));
    }
}

#define MKFS_WORDS   20
#define PREFIX_WORDS 9

/* How tar is told about the packing: not every tar finds out by itself. */
static const char *unpack_option(const char *archive)
{
    static const struct {
        const char *magic;
        size_t length;
        const char *option;
    } rows[] = {
        { "\x1f\x8b", 2, "-z" },
        { "\xfd"
          "7zXZ",
          5, "-J" },
        { "BZh", 3, "-j" },
        { "\x28\xb5\x2f\xfd", 4, "--zstd" },
    };
    char head[8] = "";
    int fd = open(archive, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, head, sizeof(head)) : -1;
    size_t i;

    if (fd >= 0) {
        close(fd);
    }
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (n >= (ssize_t)rows[i].length && memcmp(head, rows[i].magic, rows[i].length) == 0) {
            return rows[i].option;
        }
    }
    return "";
}

#define PACKED_FACTOR 3 /* about so much does a packed archive hold */

/* A guess for the progress bar: what the archive will occupy; 0. */
static int archive_size(const char *path, unsigned long long *bytes)
{
    struct stat st;

    if (stat(path, &st) == 0) {
        *bytes =
            (unsigned long long)st.st_size * (unpack_option(path)[0] != '\0' ? PACKED_FACTOR : 1);
    }
    return 0;
}

/* The words of mke2fs; the numbers go to the two texts. */
static void mkfs_words(const struct ext4_spec *spec, const char *path, char numbers[2][24],
                       const char **argv)
{
    const char *words[MKFS_WORDS] = {
        argv[0],
        "-q",
        "-F",
        "-t",
        "ext4",
        "-b",
        "4096",
        "-i",
        numbers[0],
        "-m",
        "1",
        "-O",
        NOT_FOR_GRUB,
        "-E",
        "lazy_itable_init=1,nodiscard",
        "-L",
        spec->label != NULL ? spec->label : "",
        "-d",
        spec->tree,
        path,
    };

    snprintf(numbers[0], 24, "%d", INODE_RATIO);
    snprintf(numbers[1], 24, "%llu", (unsigned long long)(spec->size / BLOCK));
    memcpy(argv, words, sizeof(words));
    argv[MKFS_WORDS] = numbers[1];
    argv[MKFS_WORDS + 1] = NULL;
}

int ext4_make(const struct ext4_spec *spec, const char *path, struct fail *f)
{
    static const char script[] = "set -e; mkdir -p \"$1\"; "
                                 "[ -z \"$2\" ] || tar $4 -C \"$1\" -xpf \"$2\"; "
                                 "[ -z \"$3\" ] || cp -a \"$3/.\" \"$1\"; "
                                 "shift 4; exec \"$@\"";
    const char *argv[PREFIX_WORDS + MKFS_WORDS + 2] = {
        "fakeroot",
        "sh",
        "-c",
        script,
        "sh",
        spec->tree,
        spec->archive != NULL ? spec->archive : "",
        spec->overlay != NULL ? spec->overlay : "",
        spec->archive != NULL ? unpack_option(spec->archive) : "",
    };
    struct filling filling = { .spec = spec, .path = path };
    char program[WORK_PATH_MAX];
    bool is_plain = spec->archive == NULL && spec->overlay == NULL;
    char numbers[2][24];
    int rc = spec->archive == NULL ? check_fit(spec, &filling.whole, f)
                                   : archive_size(spec->archive, &filling.whole);

    rc = rc == 0 ? set_size(path, spec->size + spec->tail, f) : rc;
    if (rc != 0) {
        return rc;
    }
    /* by its path: a shell of busybox would take its own mke2fs, which knows no ext4 */
    argv[PREFIX_WORDS] = work_find_program("mke2fs", program) ? program : "mke2fs";
    mkfs_words(spec, path, numbers, argv + PREFIX_WORDS);
    rc = is_plain ? PREFIX_WORDS : geteuid() == 0 ? 1 : 0;
    work_set_tick(spec->progress != NULL ? show_filling : NULL, &filling);
    rc = work_must((char *const *)(argv + rc), "mkfs", rc == 0 ? "fakeroot" : "e2fsprogs", f);
    work_set_tick(NULL, NULL);
    if (rc != 0 && strstr(f->cause, "allocate") != NULL) {
        f->code = -ENOSPC;
        fail_remedy(f, "give a larger --size");
    } else if (rc == -ENOSPC) {
        work_no_room(f);
    }
    return f->code;
}
