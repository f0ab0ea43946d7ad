/* SPDX-License-Identifier: MIT */
/*
 * Entries of `disk=[...]`: xl's syntax, and the store nodes of a vbd.  Facts: the numbers of xvd,
 * sd and hd disks and the extended form are those of Linux's block front end; the nodes are those
 * of its block back end and what stock tools write beside them.
 */
#include "joistd/disk.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAJOR_XVD    202u
#define MAJOR_SD     8u
#define MAJOR_HD0    3u
#define MAJOR_HD1    22u
#define EXTENDED     (1u << 28)
#define DISKS_MAX    (1u << 20) /* numbers that the extended form has room for */
#define PARTITON_MAX 255u

static const struct {
    const char *word;
    enum disk_format format;
    const char *nbd; /* what qemu calls it */
} formats[] = {
    { "raw", DISK_RAW, "raw" },    { "qcow2", DISK_QCOW2, "qcow2" }, { "qcow", DISK_QCOW, "qcow" },
    { "vhd", DISK_VPC, "vpc" },    { "vpc", DISK_VPC, "vpc" },       { "vhdx", DISK_VHDX, "vhdx" },
    { "vmdk", DISK_VMDK, "vmdk" }, { "qed", DISK_QED, "qed" },       { "vdi", DISK_VDI, "vdi" },
    { "", DISK_RAW, "raw" },
};

#define FORMAT_WORDS (sizeof(formats) / sizeof(formats[0]))

const char *disk_format_name(enum disk_format format)
{
    size_t i;

    for (i = 0; i < FORMAT_WORDS && formats[i].format != format; i++) {
    }
    return i < FORMAT_WORDS ? formats[i].nbd : "raw";
}

void disk_tag(char tag[DISK_TAG_SIZE], const char *uuid, unsigned int id)
{
    snprintf(tag, DISK_TAG_SIZE, "joist:%.36s:%u", uuid, id);
}

/* --- numbers --------------------------------------------------------------------------------- */

/* A decimal number without leading zeros; -1 for anything else. */
static long small_number(const char **at)
{
    char *end;
    long n;

    if (!isdigit((unsigned char)**at) || (**at == '0' && isdigit((unsigned char)(*at)[1]))) {
        return -1;
    }
    errno = 0;
    n = strtol(*at, &end, 10);
    *at = end;
    return errno == 0 && n <= (long)DISKS_MAX ? n : -1;
}

/* Letters after the prefix: a = 0, z = 25, aa = 26; -1 for none or too many. */
static long letters(const char **at)
{
    long n = 0;
    const char *p = *at;

    for (; *p >= 'a' && *p <= 'z'; p++) {
        n = n * 26 + (*p - 'a') + 1;
        if (n > (long)DISKS_MAX) {
            return -1;
        }
    }
    if (p == *at) {
        return -1;
    }
    *at = p;
    return n - 1;
}

static unsigned int xvd_number(unsigned int disk, unsigned int part)
{
    return disk <= 15 && part <= 15 ? MAJOR_XVD << 8 | disk << 4 | part
                                    : EXTENDED | disk << 8 | part;
}

int disk_number(const char *vdev, unsigned int *number, unsigned int *partition)
{
    static const char *const prefixes[] = { "xvd", "sd", "hd", "d" };
    const char *at = NULL;
    unsigned int kind;
    unsigned int d;
    unsigned int p;
    char *end;
    long disk;
    long part = 0;

    *partition = 0;
    if (isdigit((unsigned char)vdev[0])) {
        unsigned long n = strtoul(vdev, &end, 0);

        *number = (unsigned int)n;
        return *end == '\0' && n > 0 && n < EXTENDED << 1 ? 0 : -EINVAL;
    }
    for (kind = 0; kind < 4; kind++) {
        if (strncmp(vdev, prefixes[kind], strlen(prefixes[kind])) == 0) {
            at = vdev + strlen(prefixes[kind]);
            break;
        }
    }
    if (at == NULL) {
        return -EINVAL;
    }
    disk = kind == 3 ? small_number(&at) : letters(&at);
    if (*at == 'p' && kind == 3) {
        at++;
        part = small_number(&at);
    } else if (*at != '\0' && kind != 3) {
        part = *at != '0' ? small_number(&at) : -1;
    }
    if (disk < 0 || disk >= (long)DISKS_MAX || part < 0 || part > (long)PARTITON_MAX ||
        *at != '\0') {
        return -EINVAL;
    }
    d = (unsigned int)disk;
    p = (unsigned int)part;
    *partition = p;
    if (kind == 1) {
        *number = MAJOR_SD << 8 | d << 4 | p;
        return d <= 15 && p <= 15 ? 0 : -EINVAL;
    }
    if (kind == 2) {
        *number = (d < 2 ? MAJOR_HD0 : MAJOR_HD1) << 8 | (d & 1) << 6 | p;
        return d <= 3 && p <= 63 ? 0 : -EINVAL;
    }
    *number = xvd_number(d, p);
    return 0;
}

/* --- one entry ------------------------------------------------------------------------------- */

/* What has been given already: each thing at most once. */
enum {
    HAS_TARGET = 1,
    HAS_FORMAT = 2,
    HAS_VDEV = 4,
    HAS_ACCESS = 8,
    HAS_TYPE = 16,
    HAS_BACKEND = 32
};

struct reader {
    struct dev_parse *p;
    struct device *dev;
    struct disk *d;
    struct dev_word w;
    unsigned int has;
    const char *base; /* directory of a relative target */
    bool is_relative; /* to a directory of this machine */
};

static int once(struct reader *r, unsigned int what, const char *noun)
{
    if ((r->has & what) != 0) {
        return dev_bad(r->p, r->w.at, "%s is given twice", noun);
    }
    r->has |= what;
    return 0;
}

static int take_target(struct reader *r)
{
    const char *path = r->w.value;
    const char *slash = path[0] == '/' ? "" : "/";
    int n;

    if (once(r, HAS_TARGET, "the target") != 0) {
        return r->p->f->code;
    }
    r->is_relative = path[0] != '/' && r->base == r->p->cwd;
    n = snprintf(r->d->path, sizeof(r->d->path), "%s%s%s", path[0] == '/' ? "" : r->base, slash,
                 path);
    if (path[0] == '\0') {
        return dev_bad(r->p, r->w.value_at, "the target is empty: a PV guest has no empty drive");
    }
    if (n < 0 || (size_t)n >= sizeof(r->d->path)) {
        return dev_bad(r->p, r->w.value_at, "the file name is longer than %d bytes",
                       CONFIG_PATH_MAX);
    }
    return 0;
}

static int take_format(struct reader *r)
{
    size_t i;

    if (once(r, HAS_FORMAT, "the format") != 0) {
        return r->p->f->code;
    }
    for (i = 0; i < FORMAT_WORDS; i++) {
        if (strcmp(r->w.value, formats[i].word) == 0) {
            r->d->format = formats[i].format;
            return 0;
        }
    }
    return dev_bad(r->p, r->w.value_at,
                   "unknown format \"%.32s\": one of raw, qcow2, qcow, vhd, vhdx, vmdk, qed, vdi",
                   r->w.value);
}

static int take_vdev(struct reader *r)
{
    char *colon = strchr(r->w.text, ':'); /* the old form hdc:cdrom */
    unsigned int partition;
    unsigned int number;

    if (once(r, HAS_VDEV, "the virtual device") != 0) {
        return r->p->f->code;
    }
    if (colon != NULL && strcmp(colon, ":cdrom") == 0) {
        r->d->is_cdrom = true;
        *colon = '\0';
    }
    if (strlen(r->w.value) >= sizeof(r->d->vdev) ||
        disk_number(r->w.value, &number, &partition) != 0) {
        return dev_bad(r->p, r->w.value_at,
                       "\"%.32s\" is no virtual device such as xvda, xvda1, sdb or hdc",
                       r->w.value);
    }
    snprintf(r->d->vdev, sizeof(r->d->vdev), "%s", r->w.value);
    r->dev->id = number;
    return 0;
}

static int take_access(struct reader *r)
{
    static const struct {
        const char *word;
        enum disk_access access;
    } words[] = {
        { "r", DISK_READ },   { "ro", DISK_READ }, { "w", DISK_WRITE },
        { "rw", DISK_WRITE }, { "", DISK_WRITE },  { "w!", DISK_SHARED },
    };
    size_t i;

    if (once(r, HAS_ACCESS, "the access") != 0) {
        return r->p->f->code;
    }
    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(r->w.value, words[i].word) == 0) {
            r->d->access = words[i].access;
            return 0;
        }
    }
    return dev_bad(r->p, r->w.value_at, "unknown access \"%.32s\": one of r, ro, w, rw, w!",
                   r->w.value);
}

static int take_devtype(struct reader *r)
{
    if (once(r, HAS_TYPE, "the device type") != 0) {
        return r->p->f->code;
    }
    if (strcmp(r->w.value, "cdrom") == 0) {
        r->d->is_cdrom = true;
    } else if (strcmp(r->w.value, "disk") != 0) {
        return dev_bad(r->p, r->w.value_at, "unknown devtype \"%.32s\": disk or cdrom", r->w.value);
    }
    return 0;
}

static int take_backend(struct reader *r)
{
    if (once(r, HAS_BACKEND, "the backend") != 0) {
        return r->p->f->code;
    }
    if (r->w.value[0] == '\0' || strlen(r->w.value) >= sizeof(r->dev->backend)) {
        return dev_bad(r->p, r->w.value_at, "backend=\"%.32s\" is no name or id of a domain",
                       r->w.value);
    }
    if (strcmp(r->w.value, "0") != 0 && strcmp(r->w.value, "Domain-0") != 0) {
        snprintf(r->dev->backend, sizeof(r->dev->backend), "%s", r->w.value);
    }
    return 0;
}

static int take_backendtype(struct reader *r)
{
    if (strcmp(r->w.value, "phy") != 0) {
        dev_warn(r->p, r->w.at,
                 "backendtype=%.16s is ignored: every disk is served by the kernel's back end",
                 r->w.value);
    }
    return 0;
}

static int take_script(struct reader *r)
{
    return dev_bad(r->p, r->w.at, "block scripts are not run here; give a file or a block device");
}

static int take_specification(struct reader *r)
{
    return strcmp(r->w.value, "xen") == 0
               ? 0
               : dev_bad(r->p, r->w.value_at, "only specification=xen disks exist here");
}

static const struct {
    const char *key;
    int (*take)(struct reader *r);
} keys[] = {
    { "target", take_target },
    { "format", take_format },
    { "vdev", take_vdev },
    { "access", take_access },
    { "devtype", take_devtype },
    { "backend", take_backend },
    { "backendtype", take_backendtype },
    { "script", take_script },
    { "specification", take_specification },
};

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

static const struct {
    const char *word;
    size_t at;
    bool value;
} flags[] = {
    { "cdrom", offsetof(struct disk, is_cdrom), true },
    { "discard", offsetof(struct disk, no_discard), false },
    { "no-discard", offsetof(struct disk, no_discard), true },
    { "direct-io-safe", offsetof(struct disk, is_direct_safe), true },
    { "trusted", offsetof(struct disk, is_untrusted), false },
    { "untrusted", offsetof(struct disk, is_untrusted), true },
};

/* A bare word that is a flag. */
static bool take_flag(struct reader *r)
{
    size_t i;

    for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (strcmp(r->w.text, flags[i].word) == 0) {
            *(bool *)((char *)r->d + flags[i].at) = flags[i].value;
            return true;
        }
    }
    return false;
}

/* Old prefixes of the target (`phy:/dev/x`): they say the format. */
static int strip_prefix(struct reader *r)
{
    static const char *const prefixes[] = { "phy:", "file:", "aio:", "tap2:", "tap:" };
    size_t i;
    size_t n;
    bool is_hit = true;

    while (is_hit) {
        is_hit = false;
        for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
            n = strlen(prefixes[i]);
            if (strncmp(r->w.value, prefixes[i], n) == 0) {
                r->w.value += n;
                r->w.value_at += n;
                r->has |= HAS_FORMAT;
                r->base = i == 0 ? "/dev" : r->base;
                is_hit = true;
            }
        }
        for (i = 0; i + 1 < FORMAT_WORDS; i++) {
            n = strlen(formats[i].word);
            if (strncmp(r->w.value, formats[i].word, n) == 0 && r->w.value[n] == ':') {
                r->w.value += n + 1;
                r->w.value_at += n + 1;
                r->d->format = formats[i].format;
                r->has |= HAS_FORMAT;
                is_hit = true;
            }
        }
    }
    return take_target(r);
}

/* A bare word: the next of target, format, vdev, access that has not been given. */
static int take_positional(struct reader *r)
{
    if ((r->has & HAS_TARGET) == 0) {
        return strip_prefix(r);
    }
    if ((r->has & HAS_FORMAT) == 0) {
        return take_format(r);
    }
    if ((r->has & HAS_VDEV) == 0) {
        return take_vdev(r);
    }
    if ((r->has & HAS_ACCESS) == 0) {
        return take_access(r);
    }
    return dev_bad(r->p, r->w.at, "\"%.32s\" is one word too many", r->w.text);
}

static int take_word(struct reader *r)
{
    size_t i;

    if (r->w.key[0] == '\0' && strchr(r->w.text, '=') == NULL) {
        return take_flag(r) ? 0 : take_positional(r);
    }
    for (i = 0; i < KEY_COUNT; i++) {
        if (strcmp(r->w.key, keys[i].key) == 0) {
            if (i == 0) {
                dev_take_rest(r->p, &r->w);
            }
            return keys[i].take(r);
        }
    }
    dev_bad(r->p, r->w.at, "unknown key \"%.32s\" of a disk", r->w.key);
    return fail_remedy(r->p->f, "keys of a disk: target, format, vdev, access, devtype, backend");
}

static int disk_parse(struct dev_parse *p, struct device *dev)
{
    struct reader *r = calloc(1, sizeof(*r));
    struct disk *d = dev->own;
    int rc = 0;

    if (r == NULL) {
        return fail_set(p->f, -ENOMEM, "config", "disk", "out of memory");
    }
    *r = (struct reader){ .p = p, .dev = dev, .d = d, .base = p->cwd };
    d->access = DISK_WRITE;
    while (rc == 0 && dev_next(p, &r->w)) {
        rc = take_word(r);
    }
    if (rc == 0 && (r->has & HAS_TARGET) == 0) {
        rc = dev_bad(p, 0, "a disk needs a target: a file or a block device");
    }
    if (rc == 0 && (r->has & HAS_VDEV) == 0) {
        rc = dev_bad(p, 0, "a disk needs a virtual device, such as vdev=xvda");
    }
    if (rc == 0 && r->is_relative && dev->backend[0] != '\0') {
        rc = dev_bad(p, 0,
                     "the target must begin with / where backend= names another domain: it is "
                     "a file there");
    }
    if (rc == 0 && d->is_cdrom) {
        d->access = DISK_READ;
    }
    free(r);
    if (rc == 0) {
        static const char *const access[] = { "ro", "rw", "w!" };

        dev_save_as(dev, "format=%s,vdev=%s,access=%s%s%s%s%s%s%s,target=%s",
                    d->format == DISK_VPC ? "vhd" : disk_format_name(d->format), d->vdev,
                    access[d->access], d->is_cdrom ? ",devtype=cdrom" : "",
                    d->no_discard ? ",no-discard" : "", d->is_direct_safe ? ",direct-io-safe" : "",
                    d->is_untrusted ? ",untrusted" : "", dev->backend[0] != '\0' ? ",backend=" : "",
                    dev->backend, d->path);
    }
    return rc;
}

/* Two disks of one guest on the same file would not see each other's writes. */
static int disk_finish(const struct config *c, struct device *dev, struct fail *f)
{
    const struct disk *d = dev->own;
    unsigned int i;

    for (i = 0; i < c->device_count && c->devices[i] != dev; i++) {
        const struct disk *o = c->devices[i]->own;

        if (c->devices[i]->class == dev->class && strcmp(o->path, d->path) == 0 &&
            strcmp(c->devices[i]->backend, dev->backend) == 0 &&
            (o->access != DISK_READ || d->access != DISK_READ) && d->access != DISK_SHARED) {
            fail_set(f, -EBUSY, "config", dev->where, "%s is the guest's %s too", d->path, o->vdev);
            return fail_remedy(f, "make both read-only, or use access w! if the guest can bear it");
        }
    }
    return 0;
}

static bool disk_is_called(const struct device *dev, const char *text)
{
    const struct disk *d = dev->own;
    unsigned int partition;
    unsigned int number;

    return strcmp(text, d->vdev) == 0 ||
           (disk_number(text, &number, &partition) == 0 && number == dev->id);
}

static void disk_nodes(struct dev_nodes *n, const struct dev_env *env, const struct device *dev)
{
    const struct disk *d = dev->own;

    (void)env;
    dev_front(n, "virtual-device", "%u", dev->id);
    dev_front(n, "device-type", "%s", d->is_cdrom ? "cdrom" : "disk");
    dev_front(n, "trusted", "%d", d->is_untrusted ? 0 : 1);
    dev_back(n, "dev", "%s", d->vdev);
    dev_back(n, "type", "phy");
    dev_back(n, "mode", "%s", d->access == DISK_READ ? "r" : "w");
    dev_back(n, "device-type", "%s", d->is_cdrom ? "cdrom" : "disk");
    dev_back(n, "removable", "%d", d->is_cdrom ? 1 : 0);
    dev_back(n, "bootable", "1");
    dev_back(n, "params", "%s", d->path);
    dev_back(n, "specification", "xen");
    dev_back(n, "direct-io-safe", "%d", d->is_direct_safe ? 1 : 0);
    dev_back(n, "discard-enable", "%d", d->no_discard || d->access == DISK_READ ? 0 : 1);
    dev_private(n, "identity", "%s", d->identity);
    dev_private(n, "node", "%s", d->node);
    dev_private(n, "guest", "%s", env->name);
}

const struct dev_class disk_class = {
    .kind = DEV_VBD,
    .name = "vbd",
    .key = "disk",
    .noun = "disk",
    .max = 64,
    .first_id = MAJOR_XVD << 8,
    .size = sizeof(struct disk),
    .parse = disk_parse,
    .finish = disk_finish,
    .is_called = disk_is_called,
    .nodes = disk_nodes,
};
