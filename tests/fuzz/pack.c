/* SPDX-License-Identifier: MIT */
/* See pack.h. */
#include "tests/fuzz/pack.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int pack_each(const char *path, void (*fn)(const uint8_t *data, size_t size, void *arg), void *arg)
{
    static uint8_t data[FUZZ_INPUT_MAX];
    uint8_t head[4];
    int count = 0;
    FILE *f = fopen(path, "rb");

    if (f == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    for (size_t n; count >= 0 && (n = fread(head, 1, sizeof head, f)) > 0;) {
        size_t size =
            (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
        if (n != sizeof head || size > sizeof data || fread(data, 1, size, f) != size) {
            fprintf(stderr, "%s: damaged after %d inputs\n", path, count);
            count = -1;
        } else {
            fn(data, size, arg);
            count++;
        }
    }
    fclose(f);
    return count;
}
