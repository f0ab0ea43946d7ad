/* SPDX-License-Identifier: MIT */
/* Writing an archive in the kernel's ramdisk format ("newc" cpio). */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct cpio {
    FILE *file;
    uint32_t inode;
    int error; /* the first error, negative errno; later calls do nothing */
};

void cpio_dir(struct cpio *c, const char *name);
void cpio_data(struct cpio *c, const char *name, mode_t mode, const void *data, size_t size);
/* A regular file with the contents of the open one `fd`, which is closed; negative: the call that
   should have opened it has failed, errno says why. */
void cpio_file(struct cpio *c, const char *name, mode_t mode, int fd);
void cpio_device(struct cpio *c, const char *name, unsigned int major, unsigned int minor);
/* The end mark; 0 or the first error. */
int cpio_finish(struct cpio *c);
