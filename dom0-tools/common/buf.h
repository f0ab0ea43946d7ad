/* SPDX-License-Identifier: MIT */
/* A growing byte queue: bytes are added at the end and taken from the front. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data; /* allocation */
    size_t head;   /* first live byte */
    size_t len;    /* live bytes */
    size_t cap;
};

void buf_free(struct buf *b);
/* Makes room for n more bytes and returns where they go; buf_added() makes them live. */
void *buf_room(struct buf *b, size_t n);
void buf_added(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *data, size_t n);
void buf_add_str(struct buf *b, const char *text); /* with its final nul */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_drop(struct buf *b, size_t n);
void buf_clear(struct buf *b);

/* NULL for a buffer that never held anything. */
static inline void *buf_data(const struct buf *b)
{
    return b->data != NULL ? b->data + b->head : NULL;
}

/* Allocation for the daemons: the process ends when memory does, and its supervisor starts it
   again from its journal. Returns zeroed memory. */
void *xalloc(size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *text);
void *xmemdup(const void *data, size_t size);
