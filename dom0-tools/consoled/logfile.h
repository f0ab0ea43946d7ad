/* SPDX-License-Identifier: MIT */
/* The log file of one guest's console: a byte budget, kept by renaming the full file to ".1". */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct logfile {
    char *path;
    int fd; /* -1: nothing is logged */
    uint64_t size;
    uint64_t budget; /* of both files together */
};

/* Opens (or goes on with) dir/console-name.log. 0 or a negative errno; then nothing is logged. */
int logfile_open(struct logfile *l, const char *dir, const char *name, uint64_t budget);
void logfile_write(struct logfile *l, const uint8_t *data, size_t len);
void logfile_close(struct logfile *l);
