/* SPDX-License-Identifier: MIT */
/* Strings: comparison, bounded copies, numbers. Everything takes a length or a size; nothing
 * allocates. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/mem.h"

int str_cmp(const char *a, const char *b);
bool str_eq(const char *a, const char *b);
bool str_eq_n(const char *a, size_t n, const char *b);
bool str_starts(const char *s, const char *prefix);
size_t str_nlen(const char *s, size_t max);
size_t str_copy(char *to, size_t size, const char *from);
bool str_u64(const char *s, size_t n, unsigned int base, uint64_t *out);
bool str_size(const char *s, size_t n, uint64_t *out);
