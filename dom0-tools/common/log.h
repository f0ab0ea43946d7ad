/* SPDX-License-Identifier: MIT */
/* Log lines of a daemon: to standard error in the foreground, else to its file in the log
 * directory. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LOG_FILE_MAX (1 << 20) /* bytes; a full file becomes ".1" */
#define LOG_BURST    20u       /* lines of one cause at once */
#define LOG_EVERY_MS 10000u    /* and between those that follow */

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines are "name: text". path NULL means standard error. Returns 0 or a negative errno. The file
   is ours alone, and kept to LOG_FILE_MAX. */
int log_open(const char *name, const char *path);
/* Other processes write to the same file: who starts them makes room before. */
int log_open_shared(const char *name, const char *path);
void log_make_room(const char *path);
void log_verbose(int steps); /* each step shows one level more than warnings */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * What a guest, a viewer or an unprivileged process can cause again and again has a limit for each
 * cause, and for each guest where a process serves several. One that is all zero has all its lines.
 * When it speaks again it says how many lines were left out.
 */
struct log_limit {
    uint64_t full_ms; /* on the monotonic clock: when it has all its lines again */
    unsigned int left_out;
};

void log_limited(struct log_limit *l, enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Whether a line may be written now; counts it, or what is left out. */
bool log_limit_take(struct log_limit *l, uint64_t now_ms);
