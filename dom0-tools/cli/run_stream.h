/* SPDX-License-Identifier: MIT */
/* Standard input and output of `joist run`, joined to its guest's terminal. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "run/wire.h"

/* What waits for a reader of ours before the guest is made to wait, bytes. */
#define STREAM_FULL (4u << 20)
/* What is kept if it cannot be made to wait: then its terminal is left alone. */
#define STREAM_MOST (4 * STREAM_FULL)

struct stream {
    int tty;             /* the guest's terminal, without waiting; -1: none */
    bool is_input_over;  /* nothing more is read from standard input */
    bool is_output_over; /* nobody reads standard output any more */
    int output_error;    /* errno of a standard output that takes no more, unless its reader left */
    bool is_full;        /* nothing is read from the terminal until some of what waits has gone */
    struct wire_input input;
    struct wire_output output;
    char *waiting; /* output that standard output has not taken yet */
    size_t first;  /* of those that wait */
    size_t used;   /* end of those that wait */
    size_t room;   /* bytes allocated */
    char *typed;   /* input that the guest's terminal has not taken yet */
    size_t typed_first;
    size_t typed_used;
};

/* Sets it up; -ENOMEM. */
int stream_begin(struct stream *s);
void stream_end(struct stream *s);

/* Waits up to `ms` and passes what can be passed; false if nothing could be. *has_hung_up: the
   terminal is no more. */
bool stream_turn(struct stream *s, int ms, bool *has_hung_up);

/* Bytes that wait for a reader of standard output. */
size_t stream_waiting(const struct stream *s);
