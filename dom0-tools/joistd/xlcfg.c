/* SPDX-License-Identifier: MIT */
/* Parser of guest configuration files: text to a list of settings, each with its position. */
#include "joistd/xlcfg.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    const char *where;
    const char *text;
    size_t size;
    size_t at;
    unsigned int line;
    size_t line_start; /* offset of the current line's first byte */
    json_t *places;    /* of the entries of the value being read */
    struct fail *f;
};

static int peek(const struct parser *p)
{
    return p->at < p->size ? (unsigned char)p->text[p->at] : -1;
}

static unsigned int column(const struct parser *p)
{
    return (unsigned int)(p->at - p->line_start) + 1;
}

static void advance(struct parser *p)
{
    if (p->text[p->at] == '\n') {
        p->line++;
        p->line_start = p->at + 1;
    }
    p->at++;
}

/* Reports a syntax error at the current position. */
static int syntax(struct parser *p, const char *expected)
{
    char object[160];
    int c = peek(p);

    snprintf(object, sizeof(object), "%.100s:%u:%u", p->where, p->line, column(p));
    if (c < 0) {
        fail_set(p->f, -EINVAL, "config", object,
                 "syntax error: expected %s, found the end of the text", expected);
    } else if (c == '\n' || c == '\r') {
        fail_set(p->f, -EINVAL, "config", object,
                 "syntax error: expected %s, found the end of the line", expected);
    } else if (isprint(c)) {
        fail_set(p->f, -EINVAL, "config", object, "syntax error: expected %s, found '%c'", expected,
                 c);
    } else {
        fail_set(p->f, -EINVAL, "config", object, "syntax error: expected %s, found byte 0x%02x",
                 expected, (unsigned int)c);
    }
    return fail_remedy(p->f,
                       "settings are written: key = \"text\", key = 12, or key = [ \"a\", \"b\" ]");
}

/* Skips blanks and comments; newlines too if `lines`. */
static void skip(struct parser *p, bool lines)
{
    int c;

    for (;;) {
        c = peek(p);
        if (c == '#') {
            while (peek(p) >= 0 && peek(p) != '\n') {
                advance(p);
            }
        } else if (c == ' ' || c == '\t' || c == '\r' || (lines && c == '\n')) {
            advance(p);
        } else if (c == '\\' && p->at + 1 < p->size && p->text[p->at + 1] == '\n') {
            advance(p);
            advance(p);
        } else {
            return;
        }
    }
}

/* One escape after a backslash; returns the byte or -1. */
static int escape(struct parser *p)
{
    static const char from[] = "abfnrtv\\'\"";
    static const char to[] = "\a\b\f\n\r\t\v\\'\"";
    const char *hit;
    int c = peek(p);
    int value = 0;
    int digits;

    if (c == 'x') {
        advance(p);
        for (digits = 0; digits < 2 && isxdigit(peek(p)); digits++) {
            c = tolower(peek(p));
            value = value * 16 + (isdigit(c) ? c - '0' : c - 'a' + 10);
            advance(p);
        }
        return digits > 0 ? value : -1;
    }
    hit = c > 0 ? strchr(from, c) : NULL;
    if (hit == NULL) {
        return -1;
    }
    advance(p);
    return (unsigned char)to[hit - from];
}

/* Keeps where an entry's text begins, behind the quote. */
static void note_place(struct parser *p)
{
    json_array_append_new(p->places, json_pack("[i, i]", (int)p->line, (int)column(p) + 1));
}

static json_t *quoted(struct parser *p)
{
    int quote = peek(p);
    char *out = malloc(p->size - p->at + 1);
    size_t n = 0;
    json_t *v;
    int c;

    if (out == NULL) {
        fail_set(p->f, -ENOMEM, "config", p->where, "out of memory");
        return NULL;
    }
    advance(p);
    while ((c = peek(p)) != quote) {
        if (c < 0 || c == '\n') {
            syntax(p, quote == '"' ? "a closing \"" : "a closing '");
            goto bad;
        }
        advance(p);
        if (c == '\\') {
            c = escape(p);
            if (c <= 0) {
                syntax(p, "an escape such as \\\\ or \\\"");
                goto bad;
            }
        }
        out[n++] = (char)c;
    }
    advance(p);
    v = json_stringn(out, n);
    if (v == NULL) {
        syntax(p, "text in UTF-8 before this place");
    }
    free(out);
    return v;
bad:
    free(out);
    return NULL;
}

static json_t *number(struct parser *p)
{
    size_t start = p->at;
    char *end;
    char buf[32];
    size_t n;

    if (peek(p) == '-') {
        advance(p);
    }
    while (isalnum(peek(p))) {
        advance(p);
    }
    n = p->at - start;
    if (n < sizeof(buf)) {
        memcpy(buf, p->text + start, n);
        buf[n] = '\0';
        errno = 0;
        strtoll(buf, &end, 0);
        if (errno == 0 && end != buf && *end == '\0') {
            return json_string(buf);
        }
    }
    p->at = start;
    syntax(p, "a number, or text in quotes");
    return NULL;
}

/* A list: an explicit stack of open lists instead of recursion keeps hostile nesting bounded. */
static json_t *list(struct parser *p)
{
    json_t *open[XLCFG_MAX_DEPTH];
    unsigned int depth = 0;
    bool want_value = true; /* an element may start here (after '[' or ',') */
    json_t *v;
    int c;

    open[0] = json_array();
    advance(p);
    for (;;) {
        skip(p, true);
        c = peek(p);
        v = NULL;
        if (c == ']') {
            advance(p);
            if (depth == 0) {
                return open[0];
            }
            depth--;
            want_value = false;
            continue;
        }
        if (c == ',' && !want_value) {
            advance(p);
            want_value = true;
            continue;
        }
        if (!want_value) {
            syntax(p, "',' or ']'");
            break;
        }
        if (depth == 0) {
            note_place(p);
        }
        if (c == '[' && depth + 1 < XLCFG_MAX_DEPTH) {
            v = json_array();
            json_array_append_new(open[depth], v);
            open[++depth] = v;
            advance(p);
            continue;
        }
        if (c == '"' || c == '\'') {
            v = quoted(p);
        } else if (c == '-' || isdigit(c)) {
            v = number(p);
        } else {
            syntax(p, "a value or ']'");
        }
        if (v == NULL) {
            break;
        }
        json_array_append_new(open[depth], v);
        want_value = false;
    }
    json_decref(open[0]);
    return NULL;
}

static json_t *value(struct parser *p)
{
    int c = peek(p);

    if (c == '"' || c == '\'') {
        note_place(p);
        return quoted(p);
    }
    if (c == '[') {
        return list(p);
    }
    if (c == '-' || isdigit(c)) {
        return number(p);
    }
    syntax(p, "a value (text in quotes, a number or a list)");
    return NULL;
}

/* Takes ownership of `v`, also when it fails. */
static int append(struct xlcfg *c, struct xlcfg_setting s, const char *key, size_t key_size,
                  const char *where)
{
    struct xlcfg_setting *grown = realloc(c->settings, (c->count + 1) * sizeof(*grown));

    if (grown != NULL) {
        c->settings = grown;
    }
    s.key = strndup(key, key_size);
    s.where = strdup(where);
    if (grown == NULL || s.key == NULL || s.where == NULL || s.value == NULL) {
        free(s.key);
        free(s.where);
        json_decref(s.value);
        json_decref(s.places);
        return -ENOMEM;
    }
    grown[c->count++] = s;
    return 0;
}

/* Drops the settings after the first `count`. */
static void truncate_to(struct xlcfg *c, size_t count)
{
    while (c->count > count) {
        struct xlcfg_setting *s = &c->settings[--c->count];

        free(s->key);
        free(s->where);
        json_decref(s->value);
        json_decref(s->places);
    }
}

/* `key += value` makes a longer list, or a longer text, of what the key had before. */
static json_t *joined(const struct xlcfg *c, const char *key, size_t key_size, json_t *v,
                      json_t **places)
{
    const struct xlcfg_setting *old = NULL;
    json_t *v_places;
    json_t *sum;
    size_t i;

    for (i = 0; i < c->count; i++) {
        if (strlen(c->settings[i].key) == key_size &&
            memcmp(c->settings[i].key, key, key_size) == 0) {
            old = &c->settings[i];
        }
    }
    if (old == NULL) {
        return v;
    }
    if (json_is_array(old->value) && json_is_array(v)) {
        sum = json_copy(old->value);
        json_array_extend(sum, v);
        v_places = json_copy(old->places);
        json_array_extend(v_places, *places);
        json_decref(*places);
        *places = v_places;
    } else if (json_is_string(old->value) && json_is_string(v)) {
        sum = json_sprintf("%s%s", json_string_value(old->value), json_string_value(v));
    } else {
        return v;
    }
    json_decref(v);
    return sum;
}

static int setting(struct parser *p, struct xlcfg *c)
{
    struct xlcfg_setting s = { .line = p->line, .column = column(p) };
    const char *key = p->text + p->at;
    size_t key_size;
    bool plus = false;

    if (!isalpha(peek(p)) && peek(p) != '_') {
        return syntax(p, "a key");
    }
    while (isalnum(peek(p)) || peek(p) == '_') {
        advance(p);
    }
    key_size = (size_t)(p->text + p->at - key);
    skip(p, false);
    if (peek(p) == '+') {
        plus = true;
        advance(p);
    }
    if (peek(p) != '=') {
        return syntax(p, plus ? "'='" : "'=' after the key");
    }
    advance(p);
    skip(p, false);
    p->places = json_array();
    s.value = value(p);
    s.places = p->places;
    if (s.value == NULL) {
        json_decref(s.places);
        return p->f->code;
    }
    skip(p, false);
    if (peek(p) >= 0 && peek(p) != '\n' && peek(p) != ';') {
        json_decref(s.value);
        json_decref(s.places);
        return syntax(p, "the end of the line or ';'");
    }
    if (plus) {
        s.value = joined(c, key, key_size, s.value, &s.places);
    }
    if (append(c, s, key, key_size, p->where) != 0) {
        return fail_set(p->f, -ENOMEM, "config", p->where, "out of memory");
    }
    return 0;
}

int xlcfg_parse(struct xlcfg *c, const char *where, const char *text, size_t size, struct fail *f)
{
    struct parser p = { .where = where, .text = text, .size = size, .line = 1, .f = f };
    size_t before = c->count;
    int rc;

    if (size > XLCFG_MAX_TEXT) {
        return fail_set(f, -E2BIG, "config", where, "the file has %zu bytes, at most %d are read",
                        size, XLCFG_MAX_TEXT);
    }
    for (;;) {
        skip(&p, true);
        if (peek(&p) == ';') {
            advance(&p);
            continue;
        }
        if (peek(&p) < 0) {
            return 0;
        }
        rc = setting(&p, c);
        if (rc != 0) {
            truncate_to(c, before);
            return rc;
        }
    }
}

int xlcfg_override(struct xlcfg *c, const char *word, struct fail *f)
{
    static const char where[] = "command line";
    const char *eq = strchr(word, '=');
    struct xlcfg_setting s = { .line = 0, .column = 0 };
    size_t before = c->count;
    const char *v;
    int rc;

    if (eq == NULL || eq == word) {
        fail_set(f, -EINVAL, "config", where, "\"%s\" is no setting", word);
        return fail_remedy(f, "write key=value");
    }
    for (v = eq + 1; *v == ' '; v++) {
    }
    if (strchr("\"'[-0123456789", *v) != NULL && *v != '\0') {
        struct fail bare = { 0 };

        rc = xlcfg_parse(c, where, word, strlen(word), &bare);
        if (rc == 0) {
            return 0;
        }
        truncate_to(c, before);
        if (!isdigit((unsigned char)*v)) {
            *f = bare;
            return rc;
        }
    }
    s.value = json_string(v);
    if (append(c, s, word, (size_t)(eq - word), where) != 0) {
        return fail_set(f, -EINVAL, "config", where, "\"%.32s\": the value is no UTF-8 text", word);
    }
    return 0;
}

/* A JSON value in the form in which settings keep theirs; NULL if it has no such form. */
static json_t *normal_atom(const json_t *v)
{
    if (json_is_string(v)) {
        return json_deep_copy(v);
    }
    if (json_is_integer(v)) {
        return json_sprintf("%lld", (long long)json_integer_value(v));
    }
    if (json_is_boolean(v)) {
        return json_string(json_is_true(v) ? "1" : "0");
    }
    return NULL;
}

static json_t *normal_value(const json_t *v)
{
    json_t *out;
    json_t *item;
    size_t i;

    if (!json_is_array(v)) {
        return normal_atom(v);
    }
    out = json_array();
    json_array_foreach(v, i, item)
    {
        if (json_array_append_new(out, normal_atom(item)) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

int xlcfg_from_json(struct xlcfg *c, const char *where, const json_t *object, struct fail *f)
{
    size_t before = c->count;
    const char *key;
    json_t *v;

    if (!json_is_object(object)) {
        return fail_set(f, -EINVAL, "config", where, "the configuration is no JSON object");
    }
    json_object_foreach((json_t *)object, key, v)
    {
        struct xlcfg_setting s = { .value = normal_value(v) };

        if (s.value == NULL) {
            truncate_to(c, before);
            return fail_set(f, -EINVAL, "config", where,
                            "the value of \"%s\" is neither text, number, truth value nor a list",
                            key);
        }
        if (append(c, s, key, strlen(key), where) != 0) {
            truncate_to(c, before);
            return fail_set(f, -ENOMEM, "config", where, "out of memory");
        }
    }
    return 0;
}

json_t *xlcfg_to_json(const struct xlcfg *c)
{
    json_t *out = json_object();
    size_t i;

    for (i = 0; out != NULL && i < c->count; i++) {
        if (json_object_set(out, c->settings[i].key, c->settings[i].value) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

const struct xlcfg_setting *xlcfg_find(const struct xlcfg *c, const char *key)
{
    size_t i;

    for (i = c->count; i > 0; i--) {
        if (strcmp(c->settings[i - 1].key, key) == 0) {
            return &c->settings[i - 1];
        }
    }
    return NULL;
}

void xlcfg_position(const struct xlcfg_setting *s, char *buf, size_t size)
{
    if (s->line > 0) {
        snprintf(buf, size, "%s:%u:%u", s->where, s->line, s->column);
    } else {
        snprintf(buf, size, "%s", s->where);
    }
}

void xlcfg_free(struct xlcfg *c)
{
    truncate_to(c, 0);
    free(c->settings);
    c->settings = NULL;
}
