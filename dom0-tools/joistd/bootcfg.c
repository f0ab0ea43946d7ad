/* SPDX-License-Identifier: MIT */
/* firmware= and bootloader= of a configuration. */
#include "joistd/bootcfg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "joistd/config.h"
#include "joistd/disk.h"

static int refuse(const struct xlcfg_setting *s, const char *text, const char *cause,
                  struct fail *f)
{
    char position[160];

    xlcfg_position(s, position, sizeof(position));
    return fail_set(f, -EINVAL, "config", position, "%s = \"%.64s\": %s", s->key, text, cause);
}

static int read_firmware(struct config *c, const struct xlcfg_setting *s, struct fail *f)
{
    const char *text = json_string_value(s->value);

    if (text == NULL || strcmp(text, "pvgrub64") != 0) {
        refuse(s, text != NULL ? text : "[...]", "only \"pvgrub64\" exists on this hypervisor", f);
        return fail_remedy(f, "write firmware = \"pvgrub64\", or a kernel and no firmware");
    }
    /* What joistd has saved of a guest names both. */
    if (c->kernel[0] != '\0' && strcmp(c->kernel, BOOTCFG_PVGRUB) != 0) {
        refuse(s, text, "a kernel is given too", f);
        return fail_remedy(f, "remove one of them");
    }
    snprintf(c->kernel, sizeof(c->kernel), "%s", BOOTCFG_PVGRUB);
    return 0;
}

static int read_word(struct config *c, const struct xlcfg_setting *s, const char *word,
                     struct fail *f)
{
    return word != NULL && boot_wish_word(&c->boot, word) == 0
               ? 0
               : refuse(s, word != NULL ? word : "[...]",
                        "not --kernel=PATH, --ramdisk=PATH or --offset=BYTES", f);
}

/* A list of words, or as older files have it one string of them. */
static int read_args(struct config *c, const struct xlcfg_setting *s, struct fail *f)
{
    char *text = json_is_string(s->value) ? strdup(json_string_value(s->value)) : NULL;
    char *rest = text;
    json_t *item;
    size_t i;
    int rc = text != NULL || json_is_array(s->value) ? 0 : refuse(s, "...", "no memory", f);

    for (char *word; text != NULL && rc == 0 && (word = strtok_r(rest, " \t\n", &rest)) != NULL;) {
        rc = read_word(c, s, word, f);
    }
    json_array_foreach(s->value, i, item)
    {
        rc = rc == 0 ? read_word(c, s, json_string_value(item), f) : rc;
    }
    free(text);
    return rc;
}

static int read_bootloader(struct config *c, const struct xlcfg_setting *s, struct fail *f)
{
    const char *text = json_string_value(s->value);
    const char *name = text != NULL ? strrchr(text, '/') : NULL;

    name = name != NULL ? name + 1 : text;
    if (name == NULL || (strcmp(name, "joist-extract") != 0 && strcmp(name, "pygrub") != 0)) {
        refuse(s, text != NULL ? text : "[...]",
               "only joist-extract (also under the name pygrub) reads guests' disks", f);
        return fail_remedy(f, "write bootloader = \"joist-extract\", or firmware = \"pvgrub64\"");
    }
    if (c->kernel[0] != '\0' || c->ramdisk[0] != '\0') {
        refuse(s, text, "a kernel or ramdisk is given too", f);
        return fail_remedy(f, "remove one of them");
    }
    c->is_extracted = true;
    return 0;
}

/* The disk that a guest boots from: the first that is no CD-ROM. */
static struct disk *boot_disk(const struct config *c, const struct device **dev)
{
    unsigned int i;

    for (i = 0; i < c->device_count; i++) {
        struct disk *d = c->devices[i]->own;

        if (c->devices[i]->class->kind == DEV_VBD && !d->is_cdrom) {
            *dev = c->devices[i];
            return d;
        }
    }
    return NULL;
}

static int check_disk(const struct config *c, const struct xlcfg_setting *s, struct fail *f)
{
    const struct device *dev;
    const struct disk *d = boot_disk(c, &dev);
    const char *text = json_string_value(s->value);

    if (d == NULL) {
        refuse(s, text, "the guest has no disk to read a kernel from", f);
        return fail_remedy(f, "add a disk, or give a kernel");
    }
    if (d->format != DISK_RAW || dev->backend[0] != '\0') {
        refuse(s, text, "the first disk is not a raw image or block device of the control domain",
               f);
        return fail_remedy(f, "boot it by firmware = \"pvgrub64\"");
    }
    return 0;
}

int bootcfg_read(struct config *c, const struct xlcfg *settings, struct fail *f)
{
    const struct xlcfg_setting *firmware = xlcfg_find(settings, "firmware");
    const struct xlcfg_setting *loader = xlcfg_find(settings, "bootloader");
    const struct xlcfg_setting *args = xlcfg_find(settings, "bootloader_args");
    int rc = firmware != NULL ? read_firmware(c, firmware, f) : 0;

    if (rc == 0 && loader != NULL) {
        rc = read_bootloader(c, loader, f);
    }
    if (rc == 0 && args != NULL) {
        rc = loader != NULL ? read_args(c, args, f)
                            : refuse(args, "...", "there is no bootloader that it could be for", f);
    }
    return rc == 0 && loader != NULL ? check_disk(c, loader, f) : rc;
}

int bootcfg_fetch(struct config *c, struct fail *f)
{
    const struct device *dev;
    struct boot_files files;
    const struct disk *d;
    int rc;

    if (!c->is_extracted) {
        return 0;
    }
    d = boot_disk(c, &dev);
    if (d == NULL) {
        return fail_set(f, -ENOENT, "bootloader", c->name, "it has no disk any more");
    }
    rc = boot_extract(d->path, &c->boot, &files, f);
    if (rc == 0) {
        snprintf(c->kernel, sizeof(c->kernel), "/proc/self/fd/%d", files.kernel);
        c->ramdisk[0] = '\0';
        if (files.ramdisk >= 0) {
            snprintf(c->ramdisk, sizeof(c->ramdisk), "/proc/self/fd/%d", files.ramdisk);
        }
    }
    return rc;
}
