/* SPDX-License-Identifier: MIT */
/* ext4 file systems in files, made without mounting anything. */
#pragma once

#include <stdint.h>

#include "common/fail.h"
#include "image/work.h"

#define EXT4_LABEL_MAX 16

struct progress;

struct ext4_spec {
    const char *tree;          /* directory whose contents it gets */
    const char *archive;       /* a tar archive that is unpacked to `tree` before, or NULL */
    const char *overlay;       /* directory whose files are put over `tree` before, or NULL */
    const char *label;         /* at most 16 bytes, or NULL */
    uint64_t size;             /* bytes of the file system */
    uint64_t tail;             /* bytes that the file has beyond the file system */
    struct progress *progress; /* NULL: nobody is told */
    int percent[2];            /* of the whole work, before and after this */
};

/*
 * Makes the file system in the file `path` (created or cut to size, sparse).  Features that PV GRUB
 * does not read are left out.  An archive's owners and devices come out right also when another
 * user than root calls this: fakeroot does it then.  -ENOSPC if the tree does not fit or the disk
 * is full, -ENOENT without mke2fs, -EINTR.
 */
int ext4_make(const struct ext4_spec *spec, const char *path, struct fail *f);

/* A size with room for a tree of so many bytes and files, its journal and some work. */
uint64_t ext4_size_for(uint64_t bytes, uint64_t count);

/* A label: 1 to 16 letters, digits, dots, dashes, underscores. */
int ext4_check_label(const char *label, struct fail *f);
