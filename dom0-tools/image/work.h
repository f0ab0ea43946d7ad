/* SPDX-License-Identifier: MIT */
/*
 * What every maker of images works with: a directory that is gone afterwards however the work ends,
 * programs that are run in it, and files that appear whole or not at all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/fail.h"
#include "image/guard.h"

#define WORK_PATH_MAX 1024 /* bytes of a path, with its end mark */
#define WORK_LAST_MAX 512  /* bytes kept of the last lines that a program printed */

struct work {
    char dir[WORK_PATH_MAX];  /* the temporary directory; empty: none */
    char part[WORK_PATH_MAX]; /* an unfinished result; empty: none */
    struct guard guard;
};

/* For a work_begin() that follows: what to do first if this process is killed between
   work_begin_outside() and work_end_outside(); called in another process. */
void work_set_outside(void (*call)(void *arg), void *arg);
void work_begin_outside(struct work *w);
void work_end_outside(struct work *w);

/*
 * Makes a directory under $TMPDIR, or /var/tmp (else /tmp) if that is not set, for `w`, and catches
 * SIGINT, SIGTERM and SIGHUP from here on.  Should this process be killed, what work_end() removes
 * is removed when the programs that it has started have ended, too.  0, or the failure: no such
 * place, a path with characters that other programs would take apart.
 */
int work_begin(struct work *w, struct fail *f);

/* Removes the directory and an unfinished result.  Harmless when there are none, and twice. */
void work_end(struct work *w);

/* Whether a signal asked to stop; fail_set() with -EINTR if so. */
bool work_is_stopped(void);
int work_check_stopped(struct fail *f);

/* "DIR/NAME" of the work into out[WORK_PATH_MAX]; -ENAMETOOLONG. */
int work_path(const struct work *w, const char *name, char *out);

/*
 * Runs a program found in PATH and waits for it.  Each line that it prints (to either of its
 * outputs) is given to `line` (may be NULL) without its newline; the last ones are kept in
 * last[WORK_LAST_MAX] (may be NULL).  A signal that stops the work is passed on, and the program
 * has 30 s to clean up.  Returns its exit code (127: there is no such program, 128+n: ended by
 * signal n) or a negative errno (-EINTR: the work is to stop).
 */
int work_run(char *const argv[], void (*line)(void *arg, const char *text), void *arg, char *last);

/* Calls this some times a second while programs run; NULL: no more. */
void work_set_tick(void (*call)(void *arg), void *arg);

/* As work_run(), and an exit code other than 0 is a failure in that phase; `package` is where the
   program comes from, for the remedy. */
int work_must(char *const argv[], const char *phase, const char *package, struct fail *f);

/* What programs print where a file system of this machine is full, and what helps. */
#define WORK_FULL "No space left"
int work_no_room(struct fail *f);

/* Finds a program in PATH; its path into out[WORK_PATH_MAX] unless that is NULL.  False: none. */
bool work_find_program(const char *name, char *out);

/* Writes a file below `base`, with the directories that lead there.  0 or the failure. */
int work_write(const char *base, const char *name, const char *text, mode_t mode, struct fail *f);

/* Opens a file below `root` for reading as if that were the whole system: no link leads out of it,
   and nothing waits for the far end of a pipe.  The descriptor, or -1 with errno. */
int work_open_inside(const char *root, const char *name);

/* Disk space that the files below a directory take, in bytes, and their number. */
int work_tree_size(const char *dir, unsigned long long *bytes, unsigned long long *count);

/* Free bytes of the file system that holds `path`, for the caller; 0 if nobody can tell. */
unsigned long long work_free_space(const char *path);

/*
 * The name under which the result `path` is written until it is complete; work_publish() gives it
 * its own.  -EEXIST unless `is_forced`.
 */
int work_result(struct work *w, const char *path, bool is_forced, struct fail *f);
int work_publish(struct work *w, const char *path, struct fail *f);

/* "512M", "2G", "1T" or plain MiB to bytes; -EINVAL, -ERANGE below `least` or above 16 TiB. */
int work_parse_size(const char *text, unsigned long long least, unsigned long long *bytes);
