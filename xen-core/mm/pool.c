/* SPDX-License-Identifier: MIT */
/* Object pools: objects are cut from whole frames, which a pool keeps. */
#include "mm/pool.h"

#include "base/panic.h"
#include "lib/mem.h"
#include "mm/heap.h"

/* A free object's first word links to the next. */
struct link {
    struct link *next;
};

/* Cut a fresh frame into objects. locks: none held. */
static bool grow(struct pool *p)
{
    unsigned char *page = heap_alloc(0, HEAP_NOSCRUB);

    if (page == NULL) {
        return false;
    }
    struct link *first = NULL;
    for (uint64_t at = PAGE_SIZE / p->size * p->size; at > 0;) {
        at -= p->size;
        struct link *l = (struct link *)(void *)(page + at);
        l->next = first;
        first = l;
    }
    struct link *last = (struct link *)(void *)(page + (PAGE_SIZE / p->size - 1) * p->size);
    spin_lock(&p->lock);
    last->next = p->free;
    p->free = first;
    spin_unlock(&p->lock);
    return true;
}

void *pool_alloc(struct pool *p)
{
    struct link *l;

    bug_if(p->size < sizeof(struct link) || p->size > PAGE_SIZE);
    do {
        spin_lock(&p->lock);
        l = p->free;
        if (l != NULL) {
            p->free = l->next;
            p->live++;
        }
        spin_unlock(&p->lock);
    } while (l == NULL && grow(p));
    if (l != NULL) {
        memset(l, 0, p->size);
    }
    return l;
}

void pool_free(struct pool *p, void *obj)
{
    struct link *l = obj;

    spin_lock(&p->lock);
    bug_if(p->live == 0);
    l->next = p->free;
    p->free = l;
    p->live--;
    spin_unlock(&p->lock);
}
