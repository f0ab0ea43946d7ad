/* SPDX-License-Identifier: MIT */
/* What every daemon does at its start and end: options, pid file, detaching, readiness. */
#pragma once

#include <getopt.h>
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

/* The options that every daemon has: their rows of a `struct option` table, and the number from
   which a daemon counts its own long ones. The letters are "fvh". */
enum { DAEMON_OPT_CHECK = 256, DAEMON_OPT_PIDFILE, DAEMON_OPT_OWN };
#define DAEMON_LONG_OPTIONS                                                                   \
    { "foreground", no_argument, NULL, 'f' }, { "verbose", no_argument, NULL, 'v' },          \
        { "help", no_argument, NULL, 'h' }, { "check", no_argument, NULL, DAEMON_OPT_CHECK }, \
    {                                                                                         \
        "pid-file", required_argument, NULL, DAEMON_OPT_PIDFILE                               \
    }

/* What getopt_long() returned, if it is one of these. Returns 0: taken; 1: help was printed, end
   with success; -EINVAL: none of these, after `usage` on standard error. */
int daemon_option(struct daemon *d, int opt, const char *arg, const char *usage);
/* After the last option: -EINVAL and a line on standard error if words are left. */
int daemon_no_words(const struct daemon *d, int argc, char **argv);
/* Detaches (unless in the foreground), takes the pid file and opens the log. The parent of a
   detached daemon stays until daemon_ready() and ends with its status, so that a start script
   may go on at once. Returns 0 or a negative errno after a line on standard error. */
int daemon_start(struct daemon *d, const char *logfile);
/* Says that the daemon serves: to the parent, and to a systemd that asked. */
void daemon_ready(struct daemon *d);
void daemon_end(struct daemon *d);
/* Creates a directory and its parents; 0 or a negative errno. */
int make_dirs(const char *path, unsigned int mode);
