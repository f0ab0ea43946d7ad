/* SPDX-License-Identifier: MIT */
/* The few functions of the C library that the decompressors call: a heap that is thrown away whole
 * after use. */

#include "arch/efi/loader.h"

#include "lib/mem.h"

#define HEAP_ALIGN 64

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void free(void *p);
void __stack_chk_fail(void);
void abort(void);

static struct blob heap;
static uint64_t heap_used;

/* Have `heap_size` bytes for the decompressors. */
bool unpack_begin(uint64_t heap_size)
{
    heap_used = 0;
    return pages_alloc(&heap, heap_size, "memory for unpacking");
}

/* Give the heap back. */
void unpack_end(void)
{
    pages_free(&heap);
}

/* NULL when the heap is used up. */
void *malloc(size_t size)
{
    uint64_t whole;
    void *p;

    if (size > heap.size) {
        return NULL;
    }
    whole = (size + HEAP_ALIGN - 1) & ~(uint64_t)(HEAP_ALIGN - 1);
    if (whole > heap.size - heap_used) {
        return NULL;
    }
    p = heap.data + heap_used;
    heap_used += whole;
    return p;
}

void *calloc(size_t count, size_t size)
{
    void *p;

    if (size != 0 && count > SIZE_MAX / size) {
        return NULL;
    }
    p = malloc(count * size);
    if (p != NULL) {
        memset(p, 0, count * size);
    }
    return p;
}

void free(void *p)
{
    (void)p;
}

/* A decompressor has overrun its stack, or does not know how to go on: nothing can be trusted any
 * more. */
void abort(void)
{
    for (;;) {
        __builtin_ia32_pause();
    }
}

void __stack_chk_fail(void)
{
    abort();
}
