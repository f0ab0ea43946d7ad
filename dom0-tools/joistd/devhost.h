/* SPDX-License-Identifier: MIT */
/* The acting halves of the device classes, for the table in dev.c. */
#pragma once

#include "joistd/dev.h"

extern const struct dev_host disk_host, vif_host, vfb_host, vkb_host, channel_host;
