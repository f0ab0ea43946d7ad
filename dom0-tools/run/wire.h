/* SPDX-License-Identifier: MIT */
/* How bytes of any value pass a guest's terminal in both directions, for `joist run`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

/* Bytes that wire_put() may write for n bytes that it is given. */
#define WIRE_PUT_MAX(n) (2 * (n) + (n) / 256 + 2)

/* Output: what comes before the command is the kernel's and the first process's own. */
struct wire_output {
    size_t matched; /* bytes of the mark that have come */
    bool is_ready;  /* the mark has come: what follows is the command's */
};

/* Input: lines as they are, longer runs in pieces, no byte with a meaning of its own. */
struct wire_input {
    size_t pending; /* bytes since the terminal was last made to hand them over */
};

/* The guest's terminal: what wire_put() relies on; output as it is written. */
void wire_terminal(struct termios *t);

/* Whether it could be told to the far end: the first process is about to run the command. */
bool wire_tell_ready(int fd);

/*
 * The mark in what has been read: returns how many of the n bytes come before the command's output;
 * the caller shows that many, less those of the mark (none once is_ready), into noise (n + the
 * mark's length at most; *noise_size bytes).
 */
size_t wire_take(struct wire_output *o, const char *data, size_t n, char *noise,
                 size_t *noise_size);

#define WIRE_MARK_MAX 32

/* Writes to `out` (WIRE_PUT_MAX(n) bytes) what is to be sent for the n bytes; returns how many. */
size_t wire_put(struct wire_input *in, const char *data, size_t n, char *out);

/* The end of the input: as wire_put(), at most 2 bytes. */
size_t wire_end(struct wire_input *in, char *out);
