/* SPDX-License-Identifier: MIT */
/* Object pools: objects are cut from whole frames; a frame without objects goes back to the heap.
 */
#include "mm/pool.h"

#include "base/panic.h"
#include "lib/mem.h"
#include "mm/heap.h"

/* A free object's first word links to the next. */
struct link {
    struct link *next;
};

/* At the start of each frame. */
struct page {
    struct page *next; /* pool's list of frames with free objects */
    struct page *prev;
    struct link *free;
    uint32_t used; /* objects out */
    uint32_t pad;
};

#define FIRST_OBJECT 32u
_Static_assert(sizeof(struct page) <= FIRST_OBJECT && FIRST_OBJECT % 16 == 0,
               "objects are aligned");

static struct page *page_of(void *obj)
{
    return (struct page *)((uintptr_t)obj & PAGE_MASK);
}

/* locks: p->lock held. */
static void link_page(struct pool *p, struct page *g)
{
    struct page *first = p->free;

    g->next = first;
    g->prev = NULL;
    if (first != NULL) {
        first->prev = g;
    }
    p->free = g;
}

static void unlink_page(struct pool *p, struct page *g)
{
    if (g->prev != NULL) {
        g->prev->next = g->next;
    } else {
        p->free = g->next;
    }
    if (g->next != NULL) {
        g->next->prev = g->prev;
    }
}

/* A fresh frame cut into objects. locks: none held. */
static struct page *page_make(const struct pool *p)
{
    struct page *g = heap_alloc(0, HEAP_NOSCRUB);

    if (g == NULL) {
        return NULL;
    }
    g->free = NULL;
    g->used = 0;
    for (uint64_t n = (PAGE_SIZE - FIRST_OBJECT) / p->size; n-- > 0;) {
        struct link *l = (struct link *)(void *)((unsigned char *)g + FIRST_OBJECT + n * p->size);
        l->next = g->free;
        g->free = l;
    }
    return g;
}

/* One object of the first frame that has any; NULL if none has. locks: p->lock held. */
static struct link *take(struct pool *p)
{
    struct page *g = p->free;

    if (g == NULL) {
        return NULL;
    }
    struct link *l = g->free;
    g->free = l->next;
    g->used++;
    p->live++;
    if (g->free == NULL) {
        unlink_page(p, g);
    }
    return l;
}

void *pool_alloc(struct pool *p)
{
    struct link *l;

    bug_if(p->size < sizeof(struct link) || p->size > PAGE_SIZE - FIRST_OBJECT);
    spin_lock(&p->lock);
    l = take(p);
    spin_unlock(&p->lock);
    if (l == NULL) {
        struct page *g = page_make(p);
        if (g == NULL) {
            return NULL;
        }
        spin_lock(&p->lock);
        link_page(p, g);
        l = take(p);
        spin_unlock(&p->lock);
    }
    memset(l, 0, p->size);
    return l;
}

void pool_free(struct pool *p, void *obj)
{
    struct page *g = page_of(obj);
    struct link *l = obj;
    bool is_empty;

    spin_lock(&p->lock);
    bug_if(p->live == 0 || g->used == 0);
    if (g->free == NULL) {
        link_page(p, g);
    }
    l->next = g->free;
    g->free = l;
    g->used--;
    p->live--;
    is_empty = g->used == 0;
    if (is_empty) {
        unlink_page(p, g);
    }
    spin_unlock(&p->lock);
    if (is_empty) {
        heap_free(g, 0);
    }
}
