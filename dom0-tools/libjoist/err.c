/* SPDX-License-Identifier: MIT */
/* Names and texts of errors: the store's wire protocol sends names, people read texts. */

#include "libjoist/joist.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct errname {
    int err;
    const char *name;
};

/* The errors that the store protocol knows, in the order of its document. */
static const struct errname errnames[] = {
    { EINVAL, "EINVAL" },       { EACCES, "EACCES" },   { EEXIST, "EEXIST" }, { EISDIR, "EISDIR" },
    { ENOENT, "ENOENT" },       { ENOMEM, "ENOMEM" },   { ENOSPC, "ENOSPC" }, { EIO, "EIO" },
    { ENOTEMPTY, "ENOTEMPTY" }, { ENOSYS, "ENOSYS" },   { EROFS, "EROFS" },   { EBUSY, "EBUSY" },
    { EAGAIN, "EAGAIN" },       { EISCONN, "EISCONN" }, { E2BIG, "E2BIG" },   { EPERM, "EPERM" },
};

const char *joist_strerror(int rc)
{
    return strerror(abs(rc));
}

const char *joist_errname(int rc)
{
    int err = abs(rc);

    for (size_t i = 0; i < sizeof(errnames) / sizeof(errnames[0]); i++) {
        if (errnames[i].err == err) {
            return errnames[i].name;
        }
    }
    return "EIO";
}

int joist_errno_of(const char *name)
{
    for (size_t i = 0; i < sizeof(errnames) / sizeof(errnames[0]); i++) {
        if (strcmp(errnames[i].name, name) == 0) {
            return errnames[i].err;
        }
    }
    return 0;
}
