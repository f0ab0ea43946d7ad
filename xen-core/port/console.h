/* SPDX-License-Identifier: MIT */
/* Port: the console hardware behind base/log.c. */
#pragma once

#include <stddef.h>

/* Write to uart and, if asked for, the screen; caller holds `log`. Never waits for an interrupt. */
void port_console_write(const char *text, size_t len);
/* Domain 0 starts and gets the screen: from now on only the uart. */
void port_console_screen_off(void);
