/* SPDX-License-Identifier: MIT */
/* Finding programs of joist's own. */
#include "common/program.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define INSTALLED "/usr/libexec/joist"

/* What this process runs; false if it cannot be known. */
static bool own_path(char self[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", self, PATH_MAX - 1);
    const char *given = (const char *)getauxval(AT_EXECFN); /* without /proc */

    if (n > 0) {
        self[n] = '\0';
    } else if (given != NULL && given[0] == '/') {
        snprintf(self, PATH_MAX, "%s", given);
        n = 1;
    }
    return n > 0;
}

void program_find(const char *name, char *out, size_t size)
{
    const char *given = secure_getenv("JOIST_LIBEXEC");
    char self[PATH_MAX];

    if (given != NULL && given[0] == '/') {
        snprintf(out, size, "%s/%s", given, name);
        return;
    }
    if (own_path(self)) {
        snprintf(out, size, "%.*s/%s", (int)(strrchr(self, '/') - self), self, name);
        if (access(out, X_OK) == 0) {
            return;
        }
    }
    snprintf(out, size, INSTALLED "/%s", name);
}
