/* SPDX-License-Identifier: MIT */
/* Screens: what an entry of `vfb=[...]` says, and the process that serves one. */
#pragma once

#include <stdbool.h>

#include "joistd/dev.h"

#define VFB_PORT_BASE    5900 /* of display 0 */
#define VFB_DISPLAY_MAX  (65535 - VFB_PORT_BASE)
#define VFB_VIDEORAM     16 /* MiB, unless told */
#define VFB_VIDEORAM_MAX 64
#define VFB_PASSWORD_MAX 8 /* bytes that the protocol looks at */

struct vfb {
    bool has_vnc;
    bool is_any_port; /* vncunused */
    char listen[64];
    unsigned int display;
    unsigned int port; /* that it has; 0 before it is served */
    unsigned int videoram;
    char password[VFB_PASSWORD_MAX + 1];
    char socket[108]; /* of viewers; empty: none */
};

/* Where sockets and logs of joist-fbd go; the texts must stay. */
void vfb_set_dirs(const char *run_dir, const char *log_dir);

/* Where joist-fbd of a domain is spoken to. */
void vfb_control_path(char *path, size_t size, unsigned int domid);

/*
 * Starts joist-fbd for a domain.  With `is_waiting`, waits until it serves and sets v->port: errors
 * are then its own (a port in use, with the owner's name), or -ETIMEDOUT.
 */
int vfb_spawn(unsigned int domid, const char *name, struct vfb *v, bool is_waiting, struct fail *f);

/* Ends joist-fbd of a domain if there is one, and waits until it has. */
void vfb_quit(unsigned int domid);

/* The guest's screen in a configuration, or NULL. */
const struct device *vfb_of(const struct config *c);
