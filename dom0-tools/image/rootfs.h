/* SPDX-License-Identifier: MIT */
/* The files that a guest of `joist run` is made of: root disk, kernel, ramdisk. */
#pragma once

#include <stdint.h>

#include "common/fail.h"
#include "image/work.h"

struct progress;

struct rootfs_spec {
    const char *root;     /* directory, or tar archive */
    const char *kernel;   /* NULL: found */
    const char *ramdisk;  /* NULL: made, if the kernel is not given with one */
    uint64_t size;        /* of the file system, bytes; 0: what the contents need, and some */
    char *const *command; /* words, ended by NULL */
    struct progress *progress;
};

struct rootfs {
    char disk[WORK_PATH_MAX];
    char kernel[WORK_PATH_MAX];
    char ramdisk[WORK_PATH_MAX];
};

/*
 * Makes them in the work directory.  The kernel is the one given, else that of the root file system
 * (/vmlinuz, or the newest /boot/vmlinuz-*; links are followed inside it only), else the one
 * installed with joist, else the running one of the control domain.  0 or the failure.
 */
int rootfs_make(const struct work *w, const struct rootfs_spec *spec, struct rootfs *out,
                struct fail *f);

/* The exit code that the guest has written behind its file system; -ENODATA if it wrote none. */
int rootfs_result(const char *disk);
