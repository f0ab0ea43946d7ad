/* SPDX-License-Identifier: MIT */
/* Where packages come from: the lines of sources.list for an image. */
#pragma once

#include "common/fail.h"
#include "image/work.h"

/*
 * Writes the file "sources" into the work directory: the lines for `mirror`, or if that is NULL the
 * Debian sources of the suite that this machine's own apt knows, and "aptopts" with the proxy
 * settings of this machine's apt.  -ENOENT if apt knows none for that suite.
 */
int aptconf_write(const struct work *w, const char *suite, const char *mirror, struct fail *f);

/* Whether a text is a mirror as sources.list takes it: http, https, ftp, file or copy; no blanks.
 */
int aptconf_check_mirror(const char *mirror, struct fail *f);

/* One line of `apt-get indextargets` in the format that aptconf_write() asks for, to a line of
   sources.list.  0; -ENOENT if it is no Debian source of the suite. */
int aptconf_line(const char *text, const char *suite, char *out, unsigned int size);
