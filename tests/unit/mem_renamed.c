/* SPDX-License-Identifier: MIT */
/* The freestanding memory functions under names that do not clash with libc's, for test_mem. */

#define memcpy  our_memcpy
#define memmove our_memmove
#define memset  our_memset
#define memcmp  our_memcmp
#define strlen  our_strlen

#include "xen-core/lib/mem.c"
