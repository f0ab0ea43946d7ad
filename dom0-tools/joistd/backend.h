/* SPDX-License-Identifier: MIT */
/* `joistd --backend`: what the control domain's daemon does for a device, done in another domain.
 */
#pragma once

#include "common/daemon.h"

/*
 * Serves until a signal ends it: sets up the disks and interfaces whose back ends the control
 * domain has put under this domain's own backend/, and lets go of those that it takes away.  0, or
 * a negative errno after a line in the log: no access to the store.
 */
int backend_run(struct daemon *daemon);

/* Whether it could start: prints a line; 0, or 1. */
int backend_check(void);
