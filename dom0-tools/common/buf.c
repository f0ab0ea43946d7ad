/* SPDX-License-Identifier: MIT */
/* A growing byte queue, and allocation that does not fail. */

#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

static void out_of_memory(size_t size)
{
    log_error("out of memory for %zu bytes: ending, the supervisor starts again", size);
    exit(1);
}

void *xalloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);

    if (!p) {
        out_of_memory(size);
    }
    return p;
}

void *xrealloc(void *old, size_t size)
{
    void *p = realloc(old, size ? size : 1);

    if (!p) {
        out_of_memory(size);
    }
    return p;
}

void *xmemdup(const void *data, size_t size)
{
    void *p = xalloc(size);

    if (size) {
        memcpy(p, data, size);
    }
    return p;
}

char *xstrdup(const char *text)
{
    return xmemdup(text, strlen(text) + 1);
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){ 0 };
}

void *buf_room(struct buf *b, size_t n)
{
    if (b->head + b->len + n > b->cap) {
        if (b->head) {
            memmove(b->data, b->data + b->head, b->len);
            b->head = 0;
        }
        if (b->len + n > b->cap) {
            size_t cap = b->cap ? b->cap : 256;
            while (cap < b->len + n) {
                cap *= 2;
            }
            b->data = xrealloc(b->data, cap);
            b->cap = cap;
        }
    }
    return b->data + b->head + b->len;
}

void buf_added(struct buf *b, size_t n)
{
    b->len += n;
}

void buf_add(struct buf *b, const void *data, size_t n)
{
    if (n) {
        memcpy(buf_room(b, n), data, n);
        b->len += n;
    }
}

void buf_add_str(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text) + 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_list again;

    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n > 0) {
        (void)vsnprintf(buf_room(b, (size_t)n + 1), (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_drop(struct buf *b, size_t n)
{
    b->head += n;
    b->len -= n;
    if (b->len == 0) {
        b->head = 0;
    }
}

/* Empties the queue; a large allocation left by a burst goes back. */
void buf_clear(struct buf *b)
{
    b->head = 0;
    b->len = 0;
    if (b->cap > 65536) {
        buf_free(b);
    }
}
