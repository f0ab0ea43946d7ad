/* SPDX-License-Identifier: MIT */
/* Block devices made from files: loop devices, and nbd devices served by qemu-nbd. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/fail.h"

#define NBD_DIR "/run/joist/nbd" /* one directory per export, made before the export */

/* Runs a program and waits; its standard error comes back as one text, bytes that are no plain
   ASCII as '?'.  The exit status, or a negative errno. */
int run_program(const char *const argv[], char *said, size_t size);

/* The same with more to it. */
struct run_with {
    /* Called in the new process; if it answers an error that is told instead of starting the
       program (status 126). */
    int (*before)(const void *arg);
    const void *arg;
    unsigned int timeout_ms; /* then it is killed: -ETIMEDOUT; 0: it may take as long as it likes */
};

int run_program_with(const char *const argv[], const struct run_with *with, char *said,
                     size_t size);

/* --- loop devices ---------------------------------------------------------------------------- */

/*
 * Binds a free loop device to the open file and marks it with the tag.  The device's path goes to
 * `node`, its number to *dev.  -ENODEV (no loop driver), -EBUSY (none free), or the driver's errno.
 */
int loop_attach(int fd, bool is_readonly, const char *tag, char *node, size_t size, dev_t *dev);

/* Which numbers are kept when all with the same beginning of a tag are let go; NULL: none. */
struct blk_keep {
    bool (*is_kept)(unsigned int id, const void *arg);
    const void *arg;
};

/* Whether `tag` is meant by `wanted`: the same text, or one that begins so if it ends in ':', whose
   number is not kept. */
bool tag_fits(const char *tag, const char *wanted, const struct blk_keep *keep);

/* Lets go of the loop devices meant.  One that is still open ends when its last user closes it. */
void loop_detach(const char *tag, const struct blk_keep *keep);

/* The loop device bound to that file other than by a guest of ours; false if there is none. */
struct loop_use {
    char name[16];
    bool is_readonly;
    char tag[64]; /* who bound it: one of ours if it begins with "joist:" */
};

bool loop_find(dev_t dev, ino_t ino, bool writers_only, struct loop_use *use);

/* Makes the device as large as its file is now. */
int loop_resize(const char *tag);

/* --- exports by qemu-nbd --------------------------------------------------------------------- */

struct nbd_export {
    const char *path;
    const char *format;
    bool is_readonly;
    bool discard;
    const char *tag;
};

/* Serves a disk image as a free nbd device; the failure names the image or the program. */
int nbd_attach(const struct nbd_export *e, char *node, size_t size, dev_t *dev, struct fail *f);

/* Whether exports are refused (-EOPNOTSUPP) on a kernel without Landlock; else the log has a
   warning. */
void nbd_need_landlock(bool is_needed);

/* Ends the exports meant; waits until the image is closed. */
void nbd_detach(const char *tag, const struct blk_keep *keep);
