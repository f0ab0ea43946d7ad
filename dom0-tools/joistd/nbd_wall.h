/* SPDX-License-Identifier: MIT */
/* What qemu-nbd may do: it reads formats that guests write into, so it is walled in. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct nbd_wall {
    const char *image; /* written if the export is, and nothing else but: */
    bool is_readonly;
    const char *node; /* the nbd device */
    const char *dir;  /* of the process's own files */
    const char *user; /* whom it becomes; "nobody" if there is no such user */
    bool is_landlock_needed;
};

/* Whom a process walled in becomes: the user of that name, or "nobody". */
void nbd_wall_user(const char *name, uid_t *uid, gid_t *gid);

/* Whether this kernel has Landlock and has it switched on. */
bool nbd_wall_has_landlock(void);

/*
 * Walls in the calling process, which has one thread and is about to start the program: another
 * user with two rights of root's (binding the device, opening files of others), no network, no
 * sockets in /run, no access to the hypervisor, no file written but those named, and no system call
 * that would lead out.  0 or a negative errno: then it must not go on.  A kernel without Landlock
 * bounds no writing, unless it is needed: -EOPNOTSUPP.
 */
int nbd_wall(const struct nbd_wall *wall);
