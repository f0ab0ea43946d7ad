/* SPDX-License-Identifier: MIT */
/* A Debian system in an image that a PV guest, or the control domain, boots from. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/fail.h"

struct debian_spec {
    const char *path;          /* the image */
    uint64_t size;             /* bytes */
    const char *suite;         /* bookworm, ... */
    const char *mirror;        /* address or file:/ of an archive; NULL: as this machine's apt */
    const char *packages;      /* more of them, separated by commas; may be NULL */
    const char *hostname;      /* NULL: the suite's distribution */
    const char *label;         /* of the root file system */
    const char *root_password; /* NULL: a random one, unless there is a key */
    const char *ssh_key;       /* file with public keys for root; may be NULL */
    const char *overlay;       /* directory whose files are put into the image last; may be NULL */
    bool is_forced;            /* replace an existing image */
    bool is_quiet;             /* no progress */
};

struct debian_result {
    char password[32]; /* the random password of root; empty if one was given, or a key */
    double seconds;
};

#define DEBIAN_SIZE_LEAST (UINT64_C(700) << 20)

/*
 * Builds the image with mmdebstrap and mke2fs.  Needs no hypervisor, mounts nothing, and as another
 * user than root works under fakeroot.  On failure, and when a signal stops it, nothing is left:
 * neither the image nor temporary files.  0 or the failure.
 */
int debian_build(const struct debian_spec *spec, struct debian_result *out, struct fail *f);
