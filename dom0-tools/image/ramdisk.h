/* SPDX-License-Identifier: MIT */
/* The small ramdisk of `joist run`: the drivers of a root disk, and joist-run-init. */
#pragma once

#include <stddef.h>

#include "common/fail.h"

#define RAMDISK_VERSION_MAX 128

/* The version text in a kernel file, as `uname -r` would print it; -ENOEXEC if it is no bzImage or
   its header names none. */
int ramdisk_kernel_version(const char *kernel, char version[RAMDISK_VERSION_MAX]);

/*
 * Writes the ramdisk for a kernel of that version to `path`.  `modules` is a directory that holds
 * lib/modules/VERSION ("/", or a root file system that nobody trusts: its links do not lead out of
 * it); `init` the program joist-run-init.  Drivers that
 * the kernel has built in are left out.  -ENOENT if there are no modules of that version or one is
 * missing; else what writing the file gives.
 */
int ramdisk_make(const char *version, const char *modules, const char *init, const char *path,
                 struct fail *f);

/* The modules to load for `name`, dependencies first, from the text of modules.dep: for each calls
   add(arg, path).  0, or -ENOENT if the text does not have it. */
int ramdisk_resolve(const char *dep, const char *name, void (*add)(void *arg, const char *path),
                    void *arg);
