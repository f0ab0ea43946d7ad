/* SPDX-License-Identifier: MIT */
/* Tokens of command lines and of the boot loader's configuration file. */

#include "lib/kv.h"

#include "lib/str.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && is_blank(s.at[0])) {
        s.at++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.at[s.len - 1])) {
        s.len--;
    }
    return s;
}

static void split(struct slice text, struct kv *out)
{
    size_t n = 0;

    while (n < text.len && text.at[n] != '=') {
        n++;
    }
    out->key = (struct slice){ .at = text.at, .len = n };
    out->has_value = n < text.len;
    n += out->has_value;
    out->value = (struct slice){ .at = text.at + n, .len = text.len - n };
}

/*
 * Take the next word of a command line from *rest: words are separated by blanks, a part in double
 * quotes keeps its blanks (the quotes stay in the value). False at the end.
 */
bool kv_word(struct slice *rest, struct kv *out)
{
    struct slice word;
    bool quoted = false;
    size_t n = 0;

    while (rest->len > 0 && (is_blank(rest->at[0]) || rest->at[0] == '\n')) {
        rest->at++;
        rest->len--;
    }
    if (rest->len == 0) {
        return false;
    }
    while (n < rest->len && (quoted || !(is_blank(rest->at[n]) || rest->at[n] == '\n'))) {
        quoted ^= rest->at[n] == '"';
        n++;
    }
    word = (struct slice){ .at = rest->at, .len = n };
    rest->at += n;
    rest->len -= n;
    split(word, out);
    return true;
}

/* Take the next item of a list such as `1G,max:2G` from *rest; items may be empty. False at the
 * end. */
bool kv_item(struct slice *rest, char separator, struct slice *out)
{
    size_t n = 0;

    if (rest->at == NULL) {
        return false;
    }
    while (n < rest->len && rest->at[n] != separator) {
        n++;
    }
    *out = (struct slice){ .at = rest->at, .len = n };
    if (n == rest->len) {
        *rest = (struct slice){ .at = NULL, .len = 0 };
        return true;
    }
    rest->at += n + 1;
    rest->len -= n + 1;
    return true;
}

/*
 * Take the next line that says something from *rest, passing over blank lines and comments (`#` as
 * the first character that is not blank). *line counts the lines taken, so that it is the number of
 * the one returned.
 */
enum kv_line kv_next_line(struct slice *rest, unsigned int *line, struct kv *out)
{
    while (rest->len > 0) {
        struct slice text = *rest;
        size_t n = 0;

        while (n < rest->len && rest->at[n] != '\n') {
            n++;
        }
        text.len = n;
        n += n < rest->len;
        rest->at += n;
        rest->len -= n;
        (*line)++;
        text = trim(text);
        if (text.len == 0 || text.at[0] == '#' || text.at[0] == ';') {
            continue;
        }
        *out = (struct kv){ .key = text,
                            .value = { .at = text.at + text.len, .len = 0 },
                            .has_value = false };
        if (text.at[0] == '[') {
            if (text.len < 3 || text.at[text.len - 1] != ']') {
                return KV_BAD;
            }
            out->key = trim((struct slice){ .at = text.at + 1, .len = text.len - 2 });
            return KV_SECTION;
        }
        split(text, out);
        if (!out->has_value || trim(out->key).len == 0) {
            out->key = text;
            return KV_BAD;
        }
        out->key = trim(out->key);
        out->value = trim(out->value);
        return KV_PAIR;
    }
    return KV_END;
}

/* True if the slice is exactly `text`. */
bool slice_eq(struct slice s, const char *text)
{
    return str_eq_n(s.at, s.len, text);
}

/* The whole of a string as a slice. */
struct slice slice_of(const char *text)
{
    return (struct slice){ .at = text, .len = strlen(text) };
}
