/* SPDX-License-Identifier: MIT */
/* Long work in a forked child: it reports one line of JSON and ends. */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/evloop.h"

struct job {
    pid_t pid; /* 0: not running */
    struct evloop *loop;
    struct ev_fd source;
    struct buf report;
    void (*done)(struct job *j, json_t *report);
};

/*
 * Forks; the child calls work(arg), writes the returned object and ends.  It has its own process
 * image: it opens its own handles and closes nothing of the parent's.  When it has ended, done()
 * is called with what it reported, NULL if it reported nothing sound (it was killed).  The child
 * dies with its parent.  0 or a negative errno.
 */
int job_start(struct job *j, struct evloop *loop, json_t *(*work)(void *arg), void *arg,
              void (*done)(struct job *j, json_t *report));

/* Kills a running job; done() is not called. */
void job_kill(struct job *j);
