/* SPDX-License-Identifier: MIT */
/*
 * Devices whose back end is in another domain: the control domain writes the nodes and waits for
 * the daemon there (`joistd --backend`, backend.c).  They meet in the back end's directory, which
 * that domain owns: nothing read there is trusted, and no wait is without end.
 *
 *   entry, domain            written by us: what was asked for, and the name of the guest
 *   hotplug-status           "connected": set up; "error": refused; "disconnected": let go
 *   hotplug-error            why it was refused
 */
#pragma once

#include "joistd/dev.h"

#define REMOTE_CONNECTED    "connected"
#define REMOTE_ERROR        "error"
#define REMOTE_DISCONNECTED "disconnected"

/* Whether that domain exists and has not ended. */
bool remote_is_alive(struct dev_work *w, uint16_t domid);

/* Waits until the daemon there has set the device up: -EIO with its words, -ETIMEDOUT. */
int remote_wait_plugged(struct dev_work *w, const struct device *dev, uint16_t backend,
                        const struct dev_paths *at);

/* Waits until the daemon there has let the device go, its domain ends, or `end_ms` is over, which
   is noted in the log: the control domain goes on in any case. */
void remote_wait_unplugged(struct dev_work *w, const struct dev_class *class, unsigned int id,
                           uint16_t backend, const struct dev_paths *at, uint64_t end_ms);
