/* SPDX-License-Identifier: MIT */
/*
 * One failed request in five parts, so that every error the toolstack prints has the same shape:
 *
 *     phase: object: cause (value); remedy
 *
 * Functions that can fail in a way a person has to read take a `struct fail *`, fill it with
 * fail_set() and fail_remedy(), and return the negative errno.
 */
#pragma once

struct fail {
    int code;         /* negative errno; 0 = nothing failed yet */
    char phase[32];   /* what was being done: "config", "memory", "kernel", ... */
    char object[160]; /* what it was done to: file, domain, key */
    char cause[320];  /* why it did not work, with the values that decided it */
    char remedy[200]; /* what the reader can do; may be empty */
};

/*
 * Fills `f` and returns `code`, so that callers write `return fail_set(...)`.  The first failure
 * wins: later calls on the same `f` change nothing (an error on the way out hides no cause).
 */
int fail_set(struct fail *f, int code, const char *phase, const char *object, const char *cause,
             ...) __attribute__((format(printf, 5, 6)));

/* Adds the remedy to a failure that has none yet; returns f->code. */
int fail_remedy(struct fail *f, const char *remedy, ...) __attribute__((format(printf, 2, 3)));

/* Writes the whole failure as one line without newline; always terminates `buf`. */
void fail_text(const struct fail *f, char *buf, unsigned int size);

/* Short name of an errno ("ENOMEM"); "EIO" for one without a name here. */
const char *fail_code_name(int code);
