/* SPDX-License-Identifier: MIT */
/* The files a guest is made from: its kernel, unpacked and understood, and its ramdisk. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/fail.h"
#include "lib/elf.h"

struct file_map {
    const uint8_t *data; /* NULL when empty or absent */
    size_t size;
};

struct image {
    struct file_map file;
    void *unpacked;     /* NULL if the file holds a plain ELF image */
    const uint8_t *elf; /* the ELF image, inside one of the two */
    size_t elf_size;
    struct image_info info;
};

/* Maps a file for reading; -ENOENT, -EACCES, -EINVAL (no regular file, or empty), -E2BIG. */
int file_map(struct file_map *m, const char *phase, const char *path, struct fail *f);
void file_unmap(struct file_map *m);

/* Reads and unpacks a kernel file and reads its notes; -ENOEXEC for what is no PV kernel. */
int image_load(struct image *im, const char *path, struct fail *f);
void image_free(struct image *im);
