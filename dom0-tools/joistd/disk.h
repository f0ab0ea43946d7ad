/* SPDX-License-Identifier: MIT */
/* A disk of a guest: what one entry of `disk=[...]` asks for, and what the host gave for it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "joistd/config.h"
#include "joistd/dev.h"

#define DISK_TAG_SIZE 56 /* "joist:" uuid ":" number */

enum disk_format {
    DISK_RAW,
    DISK_QCOW2,
    DISK_QCOW,
    DISK_VPC,
    DISK_VHDX,
    DISK_VMDK,
    DISK_QED,
    DISK_VDI,
    DISK_FORMATS,
};

enum disk_access {
    DISK_READ,   /* nobody else writes */
    DISK_WRITE,  /* nobody else uses it */
    DISK_SHARED, /* written without asking who else does */
};

struct disk {
    char path[CONFIG_PATH_MAX + 1]; /* absolute */
    enum disk_format format;
    enum disk_access access;
    char vdev[24];
    bool is_cdrom;
    bool no_discard;
    bool is_direct_safe;
    bool is_untrusted;
    /* what the host gave, set by prepare() in the child */
    char node[256];     /* block device given to the back end */
    unsigned int major; /* its number */
    unsigned int minor;
    char identity[64]; /* of what is behind it, for the check of sharing */
};

/*
 * The device number that Linux's front end expects for a name (xvda, xvda1, sdb, hdc, d5p2, or a
 * number); fills `partition` too.  -EINVAL for a name that is none.
 */
int disk_number(const char *vdev, unsigned int *number, unsigned int *partition);

/* The name that qemu-nbd and qemu-img know a format by. */
const char *disk_format_name(enum disk_format format);

/* The text by which loop devices and export processes of one disk are known on the host. */
void disk_tag(char tag[DISK_TAG_SIZE], const char *uuid, unsigned int id);
