/* SPDX-License-Identifier: MIT */
/* Failure records: filling them in and turning them into the one line that people read. */
#include "common/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A line stays a line: control characters of outside input become '?'. */
static void one_line(char *s)
{
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f) {
            *s = '?';
        }
    }
}

int fail_set(struct fail *f, int code, const char *phase, const char *object, const char *cause,
             ...)
{
    va_list ap;

    if (f->code != 0) {
        return f->code;
    }
    f->code = code < 0 ? code : -EIO;
    snprintf(f->phase, sizeof(f->phase), "%s", phase);
    snprintf(f->object, sizeof(f->object), "%s", object);
    va_start(ap, cause);
    vsnprintf(f->cause, sizeof(f->cause), cause, ap);
    va_end(ap);
    f->remedy[0] = '\0';
    one_line(f->object);
    one_line(f->cause);
    return f->code;
}

int fail_remedy(struct fail *f, const char *remedy, ...)
{
    va_list ap;

    if (f->remedy[0] == '\0') {
        va_start(ap, remedy);
        vsnprintf(f->remedy, sizeof(f->remedy), remedy, ap);
        va_end(ap);
        one_line(f->remedy);
    }
    return f->code;
}

void fail_text(const struct fail *f, char *buf, unsigned int size)
{
    snprintf(buf, size, "%s: %s: %s%s%s", f->phase, f->object, f->cause,
             f->remedy[0] != '\0' ? "; " : "", f->remedy);
}

static const struct {
    int code;
    const char *name;
} code_names[] = {
    { EPERM, "EPERM" },       { ENOENT, "ENOENT" },       { ESRCH, "ESRCH" },
    { EIO, "EIO" },           { E2BIG, "E2BIG" },         { EAGAIN, "EAGAIN" },
    { ENOMEM, "ENOMEM" },     { EACCES, "EACCES" },       { EBUSY, "EBUSY" },
    { EEXIST, "EEXIST" },     { ENODEV, "ENODEV" },       { EINVAL, "EINVAL" },
    { ENOSPC, "ENOSPC" },     { ENOSYS, "ENOSYS" },       { ERANGE, "ERANGE" },
    { ENOEXEC, "ENOEXEC" },   { ETIMEDOUT, "ETIMEDOUT" }, { EPIPE, "EPIPE" },
    { EPROTO, "EPROTO" },     { EBADMSG, "EBADMSG" },     { EOPNOTSUPP, "EOPNOTSUPP" },
    { ENOTCONN, "ENOTCONN" }, { ECANCELED, "ECANCELED" },
};

const char *fail_code_name(int code)
{
    size_t i;

    for (i = 0; i < sizeof(code_names) / sizeof(code_names[0]); i++) {
        if (code_names[i].code == -code) {
            return code_names[i].name;
        }
    }
    return "EIO";
}
