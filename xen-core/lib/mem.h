/* SPDX-License-Identifier: MIT */
/* Memory functions under their standard names: mem.c defines them for freestanding links, libc
 * elsewhere. */
#pragma once

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *s);
