/* SPDX-License-Identifier: MIT */
/* The nodes of a guest in the store: what guest, console daemon and other tools expect to find. */
#pragma once

#include <stdint.h>

#include "build/build.h"
#include "joistd/config.h"
#include "libjoist/store.h"

/* Writes all nodes of a built guest in one transaction; errors as store_apply(). */
int skeleton_write(struct store *s, const struct config *c, const struct built *b,
                   unsigned int timeout_ms);

/* Removes all nodes of a guest; missing ones are no error. */
int skeleton_remove(struct store *s, uint16_t domid, const char *uuid, unsigned int timeout_ms);

/* Changes the name in its two places. */
int skeleton_rename(struct store *s, uint16_t domid, const char *uuid, const char *name,
                    unsigned int timeout_ms);

/* Nodes of the control domain and those above the guests' nodes, written when they are missing. */
int skeleton_control_domain(struct store *s);
