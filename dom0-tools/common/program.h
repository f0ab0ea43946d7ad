/* SPDX-License-Identifier: MIT */
/* Where programs of joist's own lie. */
#pragma once

#include <stddef.h>

/* The path of such a program: in $JOIST_LIBEXEC, else beside this program if it is there, else
   where `make install` puts it. */
void program_find(const char *name, char *out, size_t size);
