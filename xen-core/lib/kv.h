/* SPDX-License-Identifier: MIT */
/* Tokens of command lines and of the boot loader's configuration file, as slices of the text:
 * nothing is copied. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A piece of text; not ended by a zero. */
struct slice {
    const char *at;
    size_t len;
};

/* One `key`, `key=value` of a command line, or one line of a configuration file. */
struct kv {
    struct slice key;
    struct slice value;
    bool has_value; /* there was a `=` */
};

/* What a line of a configuration file is. */
enum kv_line {
    KV_END,     /* no more lines */
    KV_SECTION, /* [key] */
    KV_PAIR,    /* key=value; the value runs to the end of the line, blanks at both ends cut */
    KV_BAD,     /* neither: key is the whole line */
};

bool kv_word(struct slice *rest, struct kv *out);
bool kv_item(struct slice *rest, char separator, struct slice *out);
enum kv_line kv_next_line(struct slice *rest, unsigned int *line, struct kv *out);
bool slice_eq(struct slice s, const char *text);
struct slice slice_of(const char *text);
