/* SPDX-License-Identifier: MIT */
/* Disks on the host: opening, checks of sharing, the block device that the back end gets. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "joistd/blkdev.h"
#include "joistd/devhost.h"
#include "joistd/disk.h"

#define PLUG_WAIT DEV_BACKEND_WAIT /* for the back end to open its block device */

/* --- who else uses it ------------------------------------------------------------------------- */

static int in_use(struct dev_work *w, const struct disk *d, const char *by)
{
    fail_set(w->f, -EBUSY, "disk", d->path, "it is in use %s", by);
    return fail_remedy(w->f, "end that use; or access w! if all its users can bear it");
}

/* Both are "block:MAJOR:MINOR": is the first a partition of the second? */
static bool is_part_of(const char *part, const char *whole)
{
    unsigned int number[4];
    char path[96];
    FILE *f;
    bool is_part = false;

    if (sscanf(part, "block:%u:%u", &number[0], &number[1]) != 2) {
        return false;
    }
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", number[0], number[1]);
    if (access(path, F_OK) != 0) {
        return false;
    }
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", number[0], number[1]);
    f = fopen(path, "re");
    if (f != NULL && fscanf(f, "%u:%u", &number[2], &number[3]) == 2) {
        snprintf(path, sizeof(path), "block:%u:%u", number[2], number[3]);
        is_part = strcmp(path, whole) == 0;
    }
    if (f != NULL) {
        fclose(f);
    }
    return is_part;
}

static bool overlap(const char *mine, const char *other)
{
    return strcmp(mine, other) == 0 || is_part_of(mine, other) || is_part_of(other, mine);
}

/* Whether a disk of a guest, by its private nodes, forbids ours. */
static int check_against(struct dev_work *w, const struct disk *d, const char *dir,
                         const char *domid)
{
    char identity[64];
    char mode[8];
    char vdev[32];
    char name[128];
    char by[256];

    dev_get(w, dir, "identity", identity, sizeof(identity));
    dev_get(w, dir, "mode", mode, sizeof(mode));
    if (!overlap(d->identity, identity) || (mode[0] == 'r' && d->access == DISK_READ)) {
        return 0;
    }
    dev_get(w, dir, "dev", vdev, sizeof(vdev));
    dev_get(w, dir, "guest", name, sizeof(name));
    snprintf(by, sizeof(by), "by the guest %s (domain %.8s) as %s, %s", name, domid, vdev,
             mode[0] == 'r' ? "read-only" : "for writing");
    return in_use(w, d, by);
}

static int check_guests(struct dev_work *w, const struct disk *d)
{
    char dir[96];
    char *domids = NULL;
    char *ids;
    const char *domid;
    const char *id;
    size_t domain_count = 0;
    size_t count;
    size_t i;
    size_t k;
    int rc = 0;

    if (store_list(w->s, 0, dev_private_root(), &domids, &domain_count) != 0) {
        return 0;
    }
    for (i = 0, domid = domids; i < domain_count; i++, domid += strlen(domid) + 1) {
        snprintf(dir, sizeof(dir), "%.24s/%.8s/device/vbd", dev_private_root(), domid);
        if (store_list(w->s, 0, dir, &ids, &count) != 0) {
            continue;
        }
        for (k = 0, id = ids; k < count && rc == 0; k++, id += strlen(id) + 1) {
            snprintf(dir, sizeof(dir), "%.24s/%.8s/device/vbd/%.16s", dev_private_root(), domid,
                     id);
            rc = check_against(w, d, dir, domid);
        }
        free(ids);
    }
    free(domids);
    return rc;
}

/* Finds the mount of a block device: its place, and whether it is writable. */
static bool find_mount(dev_t dev, char *where, size_t size, bool *is_writable)
{
    char line[4096];
    char point[256];
    char options[256];
    unsigned int major;
    unsigned int minor;
    bool is_found = false;
    FILE *f = fopen("/proc/self/mountinfo", "re");

    while (f != NULL && !is_found && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "%*s %*s %u:%u %*s %255s %255s", &major, &minor, point, options) == 4 &&
            makedev(major, minor) == dev) {
            snprintf(where, size, "%s", point);
            *is_writable = strncmp(options, "rw", 2) == 0;
            is_found = true;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return is_found;
}

/* A block device: the kernel itself knows who has claimed it (mounts, swap, mappings). */
static int check_block(struct dev_work *w, const struct disk *d, dev_t dev)
{
    char where[256] = "";
    char by[320];
    bool is_writable = true;
    int fd = open(d->path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);

    if (fd >= 0) {
        close(fd);
        return 0;
    }
    if (errno != EBUSY) {
        return fail_set(w->f, -errno, "disk", d->path, "cannot be opened: %s", strerror(errno));
    }
    if (find_mount(dev, where, sizeof(where), &is_writable)) {
        if (!is_writable && d->access == DISK_READ) {
            return 0;
        }
        snprintf(by, sizeof(by), "in the control domain: mounted on %s", where);
    } else {
        snprintf(by, sizeof(by), "in the control domain");
    }
    return in_use(w, d, by);
}

static int check_file(struct dev_work *w, const struct disk *d, const struct stat *st)
{
    struct loop_use use;
    char by[128];

    if (!loop_find(st->st_dev, st->st_ino, d->access == DISK_READ, &use)) {
        return 0;
    }
    if (strncmp(use.tag, "joist:", 6) == 0) {
        snprintf(by, sizeof(by), "by the guest with uuid %.36s (/dev/%s)", use.tag + 6, use.name);
    } else {
        snprintf(by, sizeof(by), "in the control domain by /dev/%s", use.name);
    }
    return in_use(w, d, by);
}

/* The guest's own disks, which are not in the store yet. */
static int check_own(struct dev_work *w, const struct disk *d)
{
    char by[64];
    unsigned int i;

    for (i = 0; i < w->given; i++) {
        const struct disk *o = w->giving->devices[i]->own;

        if (w->giving->devices[i]->class == &disk_class && overlap(d->identity, o->identity) &&
            (o->access != DISK_READ || d->access != DISK_READ)) {
            snprintf(by, sizeof(by), "by the same guest as %s", o->vdev);
            return in_use(w, d, by);
        }
    }
    return 0;
}

static int check_sharing(struct dev_work *w, const struct disk *d, const struct stat *st)
{
    int rc;

    if (d->access == DISK_SHARED) {
        return 0;
    }
    rc = check_own(w, d);
    rc = rc == 0 ? check_guests(w, d) : rc;
    if (rc == 0) {
        rc = S_ISBLK(st->st_mode) ? check_block(w, d, st->st_rdev) : check_file(w, d, st);
    }
    return rc;
}

/* --- what the back end gets ------------------------------------------------------------------- */

static int open_target(struct dev_work *w, const struct disk *d, struct stat *st)
{
    bool is_readonly = d->access == DISK_READ;
    int fd = open(d->path, (is_readonly ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_CLOEXEC);
    int rc = 0;

    if (fd < 0) {
        rc = fail_set(w->f, -errno, "disk", d->path, "cannot be opened for %s: %s",
                      is_readonly ? "reading" : "reading and writing", strerror(errno));
    } else if (fstat(fd, st) != 0 || (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))) {
        rc = fail_set(w->f, -EINVAL, "disk", d->path, "it is neither a file nor a block device");
    } else if (S_ISREG(st->st_mode) && st->st_size < 512) {
        rc = fail_set(w->f, -EINVAL, "disk", d->path, "it is empty: %lld bytes",
                      (long long)st->st_size);
        fail_remedy(w->f, "truncate -s SIZE makes it as large as the disk is to be");
    }
    if (rc != 0 && fd >= 0) {
        close(fd);
    }
    return rc != 0 ? rc : fd;
}

static int give_raw(struct dev_work *w, struct disk *d, const char *tag, int fd,
                    const struct stat *st, dev_t *dev)
{
    int rc;

    if (S_ISBLK(st->st_mode)) {
        snprintf(d->node, sizeof(d->node), "%.255s", d->path);
        *dev = st->st_rdev;
        return 0;
    }
    rc = loop_attach(fd, d->access == DISK_READ, tag, d->node, sizeof(d->node), dev);
    if (rc != 0) {
        fail_set(w->f, rc, "disk", d->path, "no loop device for it: %s", strerror(-rc));
        fail_remedy(w->f, "modprobe loop");
    }
    return rc;
}

static int disk_prepare(struct dev_work *w, struct device *dev)
{
    struct disk *d = dev->own;
    char tag[DISK_TAG_SIZE];
    struct stat st;
    dev_t number = 0;
    int fd = open_target(w, d, &st);
    int rc;

    if (fd < 0) {
        return fd;
    }
    if (S_ISBLK(st.st_mode)) {
        snprintf(d->identity, sizeof(d->identity), "block:%u:%u", major(st.st_rdev),
                 minor(st.st_rdev));
    } else {
        snprintf(d->identity, sizeof(d->identity), "file:%llx:%llu", (unsigned long long)st.st_dev,
                 (unsigned long long)st.st_ino);
    }
    rc = check_sharing(w, d, &st);
    disk_tag(tag, w->uuid, dev->id);
    if (rc == 0 && d->format == DISK_RAW) {
        rc = give_raw(w, d, tag, fd, &st, &number);
    } else if (rc == 0) {
        const struct nbd_export e = { d->path, disk_format_name(d->format), d->access == DISK_READ,
                                      !d->no_discard, tag };

        rc = nbd_attach(&e, d->node, sizeof(d->node), &number, w->f);
    }
    close(fd);
    d->major = major(number);
    d->minor = minor(number);
    return rc;
}

/* The kernel's back end has opened the device when it shows its number. */
static int wait_opened(struct dev_work *w, const struct device *dev, const struct dev_paths *at)
{
    char path[128];
    char state[16];
    unsigned int waited;

    snprintf(path, sizeof(path), "/sys/bus/xen-backend/devices/vbd-%u-%u/physical_device", w->domid,
             dev->id);
    for (waited = 0; waited < PLUG_WAIT; waited += 5) {
        if (access(path, F_OK) == 0) {
            return 0;
        }
        if (waited % 50 == 45 && dev_get(w, at->back, "state", state, sizeof(state)) &&
            atoi(state) >= XB_CLOSING) {
            return -EIO;
        }
        poll(NULL, 0, 5);
    }
    return -ETIMEDOUT;
}

static int disk_plug(struct dev_work *w, const struct device *dev, const struct dev_paths *at)
{
    const struct disk *d = dev->own;
    char path[3][128];
    char number[32];
    struct store_node node[] = {
        { path[0], d->node, NULL },
        { path[1], d->node, NULL },
        { path[2], number, NULL },
    };
    int rc;

    snprintf(number, sizeof(number), "%x:%x", d->major, d->minor);
    snprintf(path[0], sizeof(path[0]), "%s/physical-device-path", at->priv);
    snprintf(path[1], sizeof(path[1]), "%s/physical-device-path", at->back);
    snprintf(path[2], sizeof(path[2]), "%s/physical-device", at->back);
    rc = store_apply(w->s, node, 3, 10000);
    rc = rc == 0 ? wait_opened(w, dev, at) : rc;
    return rc == 0 ? dev_set(w, at->back, "hotplug-status", "connected") : rc;
}

static void disk_unplug(struct dev_work *w, unsigned int id, const struct dev_paths *at)
{
    char tag[DISK_TAG_SIZE];

    (void)at;
    disk_tag(tag, w->uuid, id);
    loop_detach(tag, NULL);
    nbd_detach(tag, NULL);
}

static bool is_kept(unsigned int id, const void *arg)
{
    return dev_by_id(arg, &disk_class, id) != NULL;
}

static void disk_sweep(struct dev_work *w, const struct config *config)
{
    const struct blk_keep keep = { is_kept, config };
    char tag[DISK_TAG_SIZE];

    snprintf(tag, sizeof(tag), "joist:%.36s:", w->uuid);
    loop_detach(tag, config != NULL ? &keep : NULL);
    nbd_detach(tag, config != NULL ? &keep : NULL);
}

/* The size of a file is taken again; a block device's size the back end sees by itself. */
static int disk_resize(struct dev_work *w, const struct device *dev)
{
    const struct disk *d = dev->own;
    char tag[DISK_TAG_SIZE];
    struct stat st;
    int rc = 0;

    disk_tag(tag, w->uuid, dev->id);
    if (d->format != DISK_RAW) {
        fail_set(w->f, -EOPNOTSUPP, "resize", d->path,
                 "an image in format %s keeps its size while "
                 "it is in use",
                 disk_format_name(d->format));
        return fail_remedy(w->f, "detach it, qemu-img resize it, and attach it again");
    }
    if (stat(d->path, &st) != 0 || S_ISREG(st.st_mode)) {
        rc = loop_resize(tag);
    }
    if (rc != 0) {
        fail_set(w->f, rc, "resize", d->path, "the loop device does not take the new size: %s",
                 strerror(-rc));
    }
    return rc;
}

const struct dev_host disk_host = {
    .module = "xen-blkback",
    .has_states = true,
    .prepare = disk_prepare,
    .plug = disk_plug,
    .unplug = disk_unplug,
    .sweep = disk_sweep,
    .resize = disk_resize,
};
