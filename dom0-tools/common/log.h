/* SPDX-License-Identifier: MIT */
/* Log lines of a daemon: to standard error in the foreground, else to its file in the log
 * directory. */
#pragma once

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines are "name: text". path NULL means standard error. Returns 0 or a negative errno. */
int log_open(const char *name, const char *path);
void log_verbose(int steps); /* each step shows one level more than warnings */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
