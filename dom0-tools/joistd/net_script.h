/* SPDX-License-Identifier: MIT */
/* Programs of the administrator that connect an interface (script=), run as Xen's tools run them.
 */
#pragma once

#include "joistd/dev.h"

#define NET_SCRIPT_WAIT 40000 /* ms; stock tools wait as long */

/*
 * Runs `script` with "online" or "offline" for the interface `name` and waits for its end.  Its
 * environment is this process's with XENBUS_PATH, XENBUS_TYPE, XENBUS_BASE_PATH, vif, script,
 * type_if and netdev (the interface gatewaydev, if any) added.  0; or, with the failure set,
 * -EIO (it ended with an error: the node hotplug-error or its last line says why), -ETIMEDOUT (it
 * is killed with what it started), or the errno of what could not be done.
 */
int net_script_run(struct dev_work *w, const char *script, const char *action, const char *name,
                   const struct dev_paths *at);
