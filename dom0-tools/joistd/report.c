/* SPDX-License-Identifier: MIT */
/* Failures to JSON and back. */
#include "joistd/report.h"

#include <errno.h>
#include <stdio.h>

/* Outside text in a message need not be UTF-8; JSON must be. */
static json_t *utf8(const char *text)
{
    json_t *v = json_string(text);
    char copy[1024];
    size_t n = 0;

    if (v != NULL) {
        return v;
    }
    for (; *text != '\0' && n < sizeof(copy) - 1; text++) {
        copy[n++] = (unsigned char)*text < 0x80 ? *text : '?';
    }
    return json_stringn(copy, n);
}

json_t *report_fail(const struct fail *f)
{
    char text[1024];
    json_t *v = json_object();

    fail_text(f, text, sizeof(text));
    json_object_set_new(v, "code", json_string(fail_code_name(f->code)));
    json_object_set_new(v, "errno", json_integer(-f->code));
    json_object_set_new(v, "phase", utf8(f->phase));
    json_object_set_new(v, "object", utf8(f->object));
    json_object_set_new(v, "cause", utf8(f->cause));
    json_object_set_new(v, "remedy", utf8(f->remedy));
    json_object_set_new(v, "text", utf8(text));
    return v;
}

void report_text(const json_t *object, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));

    snprintf(out, size, "%s", text != NULL ? text : "");
}

void report_read_fail(const json_t *v, struct fail *f)
{
    json_int_t code = json_integer_value(json_object_get(v, "errno"));

    *f = (struct fail){ .code = code > 0 && code < 4096 ? -(int)code : -EIO };
    report_text(v, "phase", f->phase, sizeof(f->phase));
    report_text(v, "object", f->object, sizeof(f->object));
    report_text(v, "cause", f->cause, sizeof(f->cause));
    report_text(v, "remedy", f->remedy, sizeof(f->remedy));
}
