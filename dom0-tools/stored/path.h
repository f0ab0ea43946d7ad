/* SPDX-License-Identifier: MIT */
/* Names of nodes: what is a valid one, and how a connection's relative name becomes absolute. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATH_ABS_MAX 3072u /* longest absolute name, without its nul */
#define PATH_REL_MAX 2048u /* longest part after /local/domain/N/ */
#define PATH_NO_BASE 0xffffu

#define PATH_INTRODUCE "@introduceDomain"
#define PATH_RELEASE   "@releaseDomain"

struct path {
    char name[PATH_ABS_MAX + 1];
};

/* Makes name absolute for a connection whose relative names lie below /local/domain/<base>
   (PATH_NO_BASE: relative names are refused) and checks it. 0 or -EINVAL. */
int path_absolute(struct path *out, const char *name, uint16_t base);
bool path_is_special(const char *name);
/* The parent of name ("/" for "/a"); name is absolute and not "/". */
void path_parent(struct path *out, const char *name);
/* True when name is below (or equal to) top. */
bool path_is_below(const char *name, const char *top);
/* Number of components: 0 for "/". */
unsigned int path_depth(const char *name);
/* Length of the common beginning "/local/domain/N/" of name, 0 if it has none. */
size_t path_domain_prefix(const char *name);
