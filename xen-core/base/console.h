/* SPDX-License-Identifier: MIT */
/* The console's input side: characters for dom0, and the hypervisor's own keys. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Take up to `size` characters typed for dom0 (console_io read). Any context. */
size_t console_read(char *to, size_t size);
/* Do what a key means to the hypervisor (sysctl debug_keys, and the serial line when it has the
 * input). */
void console_key(char key);
/* A character from the serial line: to dom0, or to the hypervisor if that has the input. Interrupt
 * context. */
void console_input(char c);
/* Options conswitch=: the control character (1-26, 0 = none), and whether input stays ours at boot.
 */
void console_set_switch(unsigned int control, bool keep);
/* From here on input goes to dom0 (unless kept). */
void console_give_to_dom0(void);
