/* SPDX-License-Identifier: MIT */
/* What every daemon does at its start and end: options, pid file, detaching, readiness. */
#pragma once

#include <stdbool.h>

struct daemon {
    const char *name;    /* "joist-stored" */
    const char *pidfile; /* NULL: the default of the daemon */
    bool is_foreground;
    bool is_check; /* --check: read everything, say what would be done, end */
    int verbose;
    int pid_fd;
    int ready_fd; /* the parent that waits until the daemon is ready, or -1 */
};

/* Detaches (unless in the foreground), takes the pid file and opens the log. The parent of a
   detached daemon stays until daemon_ready() and ends with its status, so that a start script
   may go on at once. Returns 0 or a negative errno after a line on standard error. */
int daemon_start(struct daemon *d, const char *logfile);
/* Says that the daemon serves: to the parent, and to a systemd that asked. */
void daemon_ready(struct daemon *d);
void daemon_end(struct daemon *d);
/* Creates a directory and its parents; 0 or a negative errno. */
int make_dirs(const char *path, unsigned int mode);
