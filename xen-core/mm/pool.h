/* SPDX-License-Identifier: MIT */
/* Fixed-size object pools with a live count, so that leaks show up in tests and in `debug-keys`. */
#pragma once

#include <stdint.h>

#include "base/lock.h"

struct pool {
    const char *name;
    uint32_t size; /* bytes of an object, rounded up to 16 */
    uint32_t live; /* objects out [lock] */
    void *free;    /* frames with free objects [lock] */
    struct spinlock lock;
};

#define POOL(pname, type)                                                 \
    {                                                                     \
        .name = (pname), .size = (uint32_t)((sizeof(type) + 15u) & ~15u), \
        .lock = SPINLOCK(LOCK_heap_pool)                                  \
    }

/* A zeroed object or NULL. Objects are a little less than a page at most; larger things use
 * heap_alloc(). */
void *pool_alloc(struct pool *p);
void pool_free(struct pool *p, void *obj);
