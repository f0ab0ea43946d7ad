/* SPDX-License-Identifier: MIT */
/* Listening sockets, and who has the port that cannot be had. */
#pragma once

#include <stdbool.h>

#include "common/fail.h"

#define LISTEN_UNUSED_TRIES 100 /* ports looked at for an unused one */

struct listen_place {
    const char *address; /* numeric, IPv4 or IPv6 */
    unsigned int port;
    bool is_any_port; /* if that port is taken, the next free one */
};

/* A listening TCP socket; place->port is then the port it has. -EADDRINUSE names the program that
   has the port; -EINVAL for an address that is none of this machine. */
int listen_tcp(struct listen_place *place, struct fail *f);

/* A listening unix socket for the owner alone, replacing one that nobody serves. */
int listen_unix(const char *path, struct fail *f);
