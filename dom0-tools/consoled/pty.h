/* SPDX-License-Identifier: MIT */
/* Pseudo-terminals: what console programs open. */
#pragma once

#include <limits.h>

struct pty {
    int master;
    int slave; /* kept open, so that the terminal lives on when a console program leaves */
    char path[64];
};

/* Opens a raw pseudo-terminal; 0 or a negative errno. */
int pty_open(struct pty *p);
void pty_close(struct pty *p);
/* Makes dir/name a symbolic link to target, replacing an older one. 0 or -errno. */
int console_link(const char *target, const char *dir, const char *name);
/* The same if it leads to `from` now: it may be another guest's of that name. 0 or -errno. */
int console_relink(const char *from, const char *to, const char *dir, const char *name);
