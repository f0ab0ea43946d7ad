/* SPDX-License-Identifier: MIT */
/* The console's input side: characters for dom0, and the hypervisor's own keys. */
#pragma once

#include <stddef.h>

/* Take up to `size` characters typed for dom0 (console_io read). Any context. */
size_t console_read(char *to, size_t size);
/* Do what a key means to the hypervisor (sysctl debug_keys, and the serial line when it has the
 * input). */
void console_key(char key);
