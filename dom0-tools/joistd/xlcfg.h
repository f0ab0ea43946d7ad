/* SPDX-License-Identifier: MIT */
/*
 * The syntax of guest configuration files (that of xl.cfg): settings `key = value`, separated by
 * newlines or `;`, where a value is a quoted string, a number or a list in brackets, and `#` starts
 * a comment.  What the keys mean is config.c's matter.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "common/fail.h"

#define XLCFG_MAX_TEXT  65536 /* bytes of one configuration file */
#define XLCFG_MAX_DEPTH 4     /* lists within lists */

struct xlcfg_setting {
    char *key;
    json_t *value;       /* a JSON string (numbers too, as written) or an array of values */
    char *where;         /* file name, or "command line", or "saved configuration" */
    unsigned int line;   /* 1-based; 0 = no position */
    unsigned int column; /* 1-based, in bytes */
    json_t *places;      /* [line, column] of each entry of a list, or of the one text; or NULL */
};

struct xlcfg {
    struct xlcfg_setting *settings;
    size_t count;
};

/*
 * Appends the settings of `text` to `c`.  -EINVAL with file, line and column for text that is no
 * configuration, -ENOMEM, -E2BIG for more than XLCFG_MAX_TEXT bytes; `c` is then unchanged.
 */
int xlcfg_parse(struct xlcfg *c, const char *where, const char *text, size_t size, struct fail *f);

/*
 * Appends one `key=value` word of a command line.  Besides the file syntax, a bare word is taken
 * as a string.  Errors as xlcfg_parse().
 */
int xlcfg_override(struct xlcfg *c, const char *word, struct fail *f);

/* Appends the members of a JSON object: strings, integers, booleans and arrays of these. */
int xlcfg_from_json(struct xlcfg *c, const char *where, const json_t *object, struct fail *f);

/* The effective settings (a later one replaces an earlier one) as a new JSON object, or NULL. */
json_t *xlcfg_to_json(const struct xlcfg *c);

/* The last setting of that key, or NULL. */
const struct xlcfg_setting *xlcfg_find(const struct xlcfg *c, const char *key);

/* "file:line:column" or just the file; for messages. */
void xlcfg_position(const struct xlcfg_setting *s, char *buf, size_t size);

void xlcfg_free(struct xlcfg *c);
