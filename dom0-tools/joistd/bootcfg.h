/* SPDX-License-Identifier: MIT */
/* Where a guest's kernel comes from when it is not a file of the control domain. */
#pragma once

#include "boot/boot.h"
#include "common/fail.h"

struct config;
struct xlcfg;

#define BOOTCFG_PVGRUB "/usr/lib/grub-xen/grub-x86_64-xen.bin"

/*
 * Reads firmware, bootloader and bootloader_args: sets c->kernel for PV GRUB, or c->is_extracted
 * and c->boot.  Nothing is changed if none of them is there.  -EINVAL (with position and key).
 */
int bootcfg_read(struct config *c, const struct xlcfg *settings, struct fail *f);

/*
 * In a child of the daemon: for a configuration whose kernel is inside its first disk, reads it
 * from there and sets c->kernel and c->ramdisk to names of it that are good in this process.
 */
int bootcfg_fetch(struct config *c, struct fail *f);
