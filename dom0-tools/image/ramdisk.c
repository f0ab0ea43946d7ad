/* SPDX-License-Identifier: MIT */
/* Kernel versions, modules and their dependencies, and the ramdisk made of them. */
#include "image/ramdisk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/cpio.h"
#include "image/work.h"

#define MODULES_MOST 32
#define TEXT_MOST    (4u << 20) /* bytes of modules.dep that are read */

/* What a root disk needs.  crc32c_generic: ext4 asks for the algorithm by another name. */
static const char *const drivers[] = { "xen-blkfront", "crc32c_generic", "ext4" };

struct list {
    char *paths[MODULES_MOST];
    size_t count;
    bool is_full;
};

/* It becomes part of a path and of messages. */
static bool is_version(const char *text)
{
    return text[0] != '\0' && text[0] != '.' &&
           text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "0123456789._+~-")] == '\0';
}

int ramdisk_kernel_version(const char *kernel, char version[RAMDISK_VERSION_MAX])
{
    unsigned char head[0x240];
    char text[RAMDISK_VERSION_MAX];
    FILE *file = fopen(kernel, "re");
    int rc = -ENOEXEC;

    if (file == NULL) {
        return -errno;
    }
    if (fread(head, sizeof(head), 1, file) == 1 && memcmp(head + 0x202, "HdrS", 4) == 0) {
        /* the boot protocol: a 16-bit pointer, relative to the second sector */
        long at = 0x200 + (head[0x20e] | head[0x20f] << 8);

        memset(text, 0, sizeof(text));
        if (at > 0x200 && fseek(file, at, SEEK_SET) == 0 &&
            fread(text, 1, sizeof(text) - 1, file) > 0) {
            text[strcspn(text, " ")] = '\0';
            rc = is_version(text) ? 0 : -ENOEXEC;
            memcpy(version, text, sizeof(text));
        }
    }
    fclose(file);
    return rc;
}

/* The name of a module as the kernel has it: the last part without endings, dashes as underscores.
 */
static void plain_name(const char *path, size_t size, char *out, size_t room)
{
    size_t from = size;
    size_t i;

    while (from > 0 && path[from - 1] != '/') {
        from--;
    }
    for (i = 0; from + i < size && i + 1 < room && path[from + i] != '.'; i++) {
        out[i] = path[from + i] == '-' ? '_' : path[from + i];
    }
    out[i] = '\0';
}

int ramdisk_resolve(const char *dep, const char *name, void (*add)(void *arg, const char *path),
                    void *arg)
{
    char wanted[64];
    char have[64];
    char path[PATH_MAX];
    const char *line;
    const char *end;
    size_t n;

    plain_name(name, strlen(name), wanted, sizeof(wanted));
    for (line = dep; *line != '\0'; line = *end == '\n' ? end + 1 : end) {
        end = line + strcspn(line, "\n");
        n = strcspn(line, ":\n");
        plain_name(line, n, have, sizeof(have));
        if (line + n >= end || strcmp(wanted, have) != 0) {
            continue;
        }
        /* the last one named is the one that the others need */
        while (end > line) {
            const char *to = end;

            while (end > line && end[-1] != ' ') {
                end--;
            }
            n = (size_t)(to - end);
            n -= n > 0 && to[-1] == ':';
            if (n > 0 && n < sizeof(path)) {
                memcpy(path, end, n);
                path[n] = '\0';
                add(arg, path);
            }
            end -= end > line;
        }
        return 0;
    }
    return -ENOENT;
}

static void add_path(void *arg, const char *path)
{
    struct list *l = arg;
    size_t i;

    for (i = 0; i < l->count; i++) {
        if (strcmp(l->paths[i], path) == 0) {
            return;
        }
    }
    if (l->count == MODULES_MOST || strstr(path, "..") != NULL) {
        l->is_full = true;
        return;
    }
    l->paths[l->count] = strdup(path);
    l->is_full = l->is_full || l->paths[l->count] == NULL;
    l->count += l->paths[l->count] != NULL;
}

/* Where modules are: below a root whose links may lead anywhere, but not out of it. */
struct modules {
    const char *root;
    char dir[PATH_MAX]; /* inside the root */
};

static int open_module_file(const struct modules *m, const char *name)
{
    char path[2 * PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", m->dir, name);
    return work_open_inside(m->root, path);
}

/* A whole text file, or NULL. */
static char *read_text(const struct modules *m, const char *name)
{
    char *text = calloc(1, TEXT_MOST);
    int fd = open_module_file(m, name);
    size_t used = 0;
    ssize_t n = 1;

    while (fd >= 0 && text != NULL && n > 0 && used < TEXT_MOST - 1) {
        n = read(fd, text + used, TEXT_MOST - 1 - used);
        used += n > 0 ? (size_t)n : 0;
    }
    if (used == 0) {
        free(text);
        text = NULL;
    }
    if (fd >= 0) {
        close(fd);
    }
    return text;
}

/* Whether modules.builtin, lines of paths, has the module. */
static bool is_built_in(const char *builtin, const char *name)
{
    char wanted[64];
    char have[64];
    size_t n;

    plain_name(name, strlen(name), wanted, sizeof(wanted));
    for (; builtin != NULL && *builtin != '\0'; builtin += n + (builtin[n] == '\n')) {
        n = strcspn(builtin, "\n");
        plain_name(builtin, n, have, sizeof(have));
        if (strcmp(wanted, have) == 0) {
            return true;
        }
    }
    return false;
}

static int find_modules(const struct modules *m, struct list *l, struct fail *f)
{
    char *dep = read_text(m, "modules.dep");
    char *builtin = read_text(m, "modules.builtin");
    char dir[PATH_MAX + 64];
    size_t i;

    snprintf(dir, sizeof(dir), "%s%s", strcmp(m->root, "/") == 0 ? "" : m->root, m->dir);
    if (dep == NULL) {
        fail_set(f, -ENOENT, "ramdisk", dir, "there are no modules of this kernel");
        fail_remedy(f, "give --ramdisk, or a kernel whose modules are there");
    }
    for (i = 0; f->code == 0 && i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (!is_built_in(builtin, drivers[i]) &&
            ramdisk_resolve(dep, drivers[i], add_path, l) != 0) {
            fail_set(f, -ENOENT, "ramdisk", dir, "there is no module %s", drivers[i]);
            fail_remedy(f, "give --ramdisk, or a kernel that has the driver");
        }
    }
    if (l->is_full) {
        fail_set(f, -E2BIG, "ramdisk", dir, "modules.dep names too many modules");
    }
    free(builtin);
    free(dep);
    return f->code;
}

static int write_archive(FILE *file, const struct modules *m, const char *init,
                         const struct list *l)
{
    struct cpio c = { .file = file };
    char name[96];
    char *names = calloc(l->count + 1, sizeof(name));
    const char *base;
    size_t used = 0;
    size_t i;

    if (names == NULL) {
        return -ENOMEM;
    }
    cpio_dir(&c, "dev");
    cpio_device(&c, "dev/console", 5, 1);
    cpio_dir(&c, "newroot");
    cpio_dir(&c, "modules");
    cpio_file(&c, "init", 0755, open(init, O_RDONLY | O_CLOEXEC));
    for (i = 0; i < l->count; i++) {
        base = strrchr(l->paths[i], '/');
        base = base != NULL ? base + 1 : l->paths[i];
        snprintf(name, sizeof(name), "modules/%.80s", base);
        cpio_file(&c, name, 0644, open_module_file(m, l->paths[i]));
        used += (size_t)sprintf(names + used, "%.80s\n", base);
    }
    cpio_data(&c, "modules/list", 0644, names, used);
    free(names);
    return cpio_finish(&c);
}

int ramdisk_make(const char *version, const char *modules, const char *init, const char *path,
                 struct fail *f)
{
    struct modules m = { .root = modules };
    struct list l = { 0 };
    FILE *file;
    size_t i;
    int rc;

    snprintf(m.dir, sizeof(m.dir), "/lib/modules/%s", version);
    rc = find_modules(&m, &l, f);
    if (rc == 0 && access(init, R_OK) != 0) {
        rc = fail_set(f, -errno, "ramdisk", init, "cannot be read: %s", strerror(errno));
        fail_remedy(f, "this installation of joist is not complete");
    }
    if (rc == 0) {
        file = fopen(path, "we");
        rc = file != NULL ? write_archive(file, &m, init, &l) : -errno;
        if (file != NULL && fclose(file) != 0 && rc == 0) {
            rc = -errno;
        }
        if (rc != 0) {
            unlink(path);
            fail_set(f, rc, "ramdisk", path, "cannot be written: %s", strerror(-rc));
        }
    }
    for (i = 0; i < l.count; i++) {
        free(l.paths[i]);
    }
    return rc;
}
