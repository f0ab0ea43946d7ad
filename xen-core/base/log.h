/* SPDX-License-Identifier: MIT */
/* The log: lines "(JOIST) ..." to the console and into a ring that dom0 reads (sysctl readconsole).
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct domain;

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* One line (a newline is added if missing); dropped if the level is above `loglvl=`. Any context.
 */
void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_err(...)   log_at(LOG_ERR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/* A line that a domain caused: prefixed "dN ", level by `guest_loglvl=`, rate-limited per domain.
 */
void log_guest(struct domain *d, enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Raw text of dom0 (console_io) or a debug guest: to uart, vga and ring, no prefix. */
void log_raw(const char *text, size_t len);

/* XEN_SYSCTL_readconsole: copies from ring position *index (if incremental) up to `size` bytes to
 * dst; returns bytes. */
size_t log_read(char *dst, size_t size, uint32_t *index, bool incremental, bool clear);

/* panic(): whoever holds the log's lock will not give it back. */
void log_break_lock(void);

void log_set_levels(enum log_level hypervisor, enum log_level guest);
