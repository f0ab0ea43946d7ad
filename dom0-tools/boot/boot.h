/* SPDX-License-Identifier: MIT */
/*
 * Kernel and ramdisk from inside a guest's disk.  The disk is the guest's, so its contents are
 * hostile: they are read by a separate program (joist-extract) that has no rights, no files but the
 * three that it is given, no network, and only the system calls that reading and writing takes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/fail.h"

#define BOOT_KERNEL_MOST  (UINT64_C(64) << 20)  /* bytes */
#define BOOT_RAMDISK_MOST (UINT64_C(512) << 20) /* bytes */
#define BOOT_TIME_MOST    30                    /* s for all of it */
#define BOOT_HEAD         70656                 /* first bytes of a disk that tell what it holds */
#define BOOT_TEXT_MOST    255                   /* bytes of a path inside the disk */

/* Descriptors that joist-extract finds open; 1 is for its one line of report. */
#define BOOT_FD_DISK    3
#define BOOT_FD_KERNEL  4
#define BOOT_FD_RAMDISK 5

struct boot_wish {
    char kernel[BOOT_TEXT_MOST + 1];  /* path inside; empty: /vmlinuz, then /boot/vmlinuz */
    char ramdisk[BOOT_TEXT_MOST + 1]; /* path inside; empty: /initrd.img, then /boot/initrd.img,
                                         and none is fine */
    uint64_t offset;                  /* of the file system on the disk, bytes */
};

struct boot_files {
    int kernel;  /* descriptor of a sealed memory file */
    int ramdisk; /* the same, or -1 if there is none */
};

/*
 * Runs joist-extract on the disk (a regular file or block device).  0 with the descriptors, which
 * the caller closes, or the failure: no such disk, a file system that is not read (by its name), no
 * kernel in it, sizes, time.  Blocks for at most BOOT_TIME_MOST seconds: for children of joistd.
 */
int boot_extract(const char *disk, const struct boot_wish *wish, struct boot_files *out,
                 struct fail *f);

/* Sets wish from one word of bootloader_args: --kernel=PATH, --ramdisk=PATH, --offset=BYTES;
   -EINVAL for any other. */
int boot_wish_word(struct boot_wish *wish, const char *word);

/* What the first bytes of a disk (or file system) say that it holds: "ext4" for ext2, ext3 and
   ext4, else its name ("XFS", "a GPT partition table", ...), or "nothing known". */
const char *boot_identify(const uint8_t *head, size_t size);
