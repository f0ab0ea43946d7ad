/* SPDX-License-Identifier: MIT */
/* Finding programs of joist's own. */
#include "common/program.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INSTALLED "/usr/libexec/joist"

void program_find(const char *name, char *out, size_t size)
{
    const char *given = secure_getenv("JOIST_LIBEXEC");
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (given != NULL && given[0] == '/') {
        snprintf(out, size, "%s/%s", given, name);
        return;
    }
    if (n > 0) {
        self[n] = '\0';
        snprintf(out, size, "%.*s/%s", (int)(strrchr(self, '/') - self), self, name);
        if (access(out, X_OK) == 0) {
            return;
        }
    }
    snprintf(out, size, INSTALLED "/%s", name);
}
