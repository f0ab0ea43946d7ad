/* SPDX-License-Identifier: MIT */
/* The socket transport: programs of the control domain. */
#pragma once

#include "stored/server.h"

/* Listens at path (an old socket there is replaced). 0 or a negative errno. */
int sock_listen(struct server *s, const char *path);
