/* SPDX-License-Identifier: MIT */
/* Handles: which grants of others a domain has mapped. */
#include "gnttab/gnttab_priv.h"

#include "base/nospec.h"
#include "base/panic.h"
#include "domain/domain.h"
#include "gnttab/gnttab.h"
#include "mm/heap.h"

static struct maptrack *handle_of(const struct gnttab *t, uint32_t handle)
{
    uint64_t limit = t->handle_frames * HANDLES_PER_FRAME;

    if (handle >= limit) {
        return NULL;
    }
    handle = (uint32_t)index_nospec(handle, limit);
    return &t->handles[handle / HANDLES_PER_FRAME][handle % HANDLES_PER_FRAME];
}

/* One more frame of free handles. locks: map_lock held; takes heap. */
static bool grow(struct gnttab *t)
{
    if (t->handle_frames >= t->max_handle_frames) {
        return false;
    }
    if (t->handles == NULL) {
        t->handles = heap_alloc(MAPTRACK_ORDER, HEAP_ANY);
        if (t->handles == NULL) {
            return false;
        }
    }
    struct maptrack *m = heap_alloc(0, HEAP_ANY);
    if (m == NULL) {
        return false;
    }
    uint32_t first = (uint32_t)(t->handle_frames * HANDLES_PER_FRAME);
    for (uint32_t i = 0; i < HANDLES_PER_FRAME; i++) {
        m[i].ref = i + 1 < HANDLES_PER_FRAME ? first + i + 1 : MT_NONE;
    }
    t->handles[t->handle_frames] = m;
    t->free_handle = first;
    t->handle_frames++;
    return true;
}

/* A handle, with a reference to the granter. fails: GNTST_no_device_space. locks: takes map_lock.
 */
int16_t maptrack_alloc(struct domain *d, struct domain *granter, uint32_t ref, uint32_t flags,
                       uint32_t *handle)
{
    struct gnttab *t = d->gnttab;
    int16_t status = GNTST_no_device_space;

    spin_lock(&t->map_lock);
    if (t->free_handle != MT_NONE || grow(t)) {
        struct maptrack *m = handle_of(t, t->free_handle);
        *handle = t->free_handle;
        t->free_handle = m->ref;
        t->mapped++;
        m->ref = ref;
        m->flags = flags | MT_BUSY;
        m->granter = granter;
        domain_ref(granter);
        status = GNTST_okay;
    }
    spin_unlock(&t->map_lock);
    return status;
}

bool maptrack_claim(struct domain *d, uint32_t handle, struct maptrack *out)
{
    struct gnttab *t = d->gnttab;
    bool ok = false;

    spin_lock(&t->map_lock);
    struct maptrack *m = handle_of(t, handle);
    if (m != NULL && m->granter != NULL && (m->flags & MT_BUSY) == 0) {
        *out = *m;
        m->flags |= MT_BUSY;
        ok = true;
    }
    spin_unlock(&t->map_lock);
    return ok;
}

struct maptrack maptrack_claimed(struct domain *d, uint32_t handle)
{
    struct gnttab *t = d->gnttab;

    spin_lock(&t->map_lock);
    const struct maptrack *m = handle_of(t, handle);
    bug_if(m == NULL || (m->flags & MT_BUSY) == 0);
    struct maptrack out = *m;
    spin_unlock(&t->map_lock);
    return out;
}

bool maptrack_end(struct domain *d, uint32_t handle, uint32_t gone)
{
    struct gnttab *t = d->gnttab;
    bool last;

    spin_lock(&t->map_lock);
    struct maptrack *m = handle_of(t, handle);
    bug_if(m == NULL || (m->flags & MT_BUSY) == 0);
    m->flags &= ~(MT_BUSY | gone);
    last = (m->flags & (GNTMAP_host_map | GNTMAP_device_map)) == 0;
    if (last) {
        m->granter = NULL;
        m->ref = t->free_handle;
        t->free_handle = handle;
        t->mapped--;
    }
    spin_unlock(&t->map_lock);
    return last;
}

uint32_t gnttab_mapped(struct domain *d)
{
    return d->gnttab->mapped;
}

uint32_t gnttab_handle_frames(struct domain *d)
{
    const struct gnttab *t = d->gnttab;

    return t->handle_frames + (t->handles != NULL ? 1u << MAPTRACK_ORDER : 0);
}

void maptrack_destroy(struct domain *d)
{
    struct gnttab *t = d->gnttab;

    for (uint32_t i = 0; i < t->handle_frames; i++) {
        heap_free(t->handles[i], 0);
    }
    if (t->handles != NULL) {
        heap_free(t->handles, MAPTRACK_ORDER);
    }
}
