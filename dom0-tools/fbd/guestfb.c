/* SPDX-License-Identifier: MIT */
/* A guest's frame buffer. The guest may change every shared byte at any moment. */

#include "fbd/guestfb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/buf.h"

static uint32_t load(const uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

int geometry_check(const struct fb_resize *r, size_t length, struct geometry *out, struct fail *f)
{
    const struct fb_resize g = *r;
    uint64_t bytes = g.depth == 16 ? 2 : 4;

    if (g.width < 1 || g.width > GUESTFB_SIDE_MAX || g.height < 1 || g.height > GUESTFB_SIDE_MAX) {
        return fail_set(f, -EPROTO, "screen", "frame buffer", "%d x %d pixels; at most %d x %d",
                        g.width, g.height, GUESTFB_SIDE_MAX, GUESTFB_SIDE_MAX);
    }
    if (g.depth != 16 && g.depth != 24 && g.depth != 32) {
        return fail_set(f, -EPROTO, "screen", "frame buffer", "depth %d; 16, 24 or 32 are known",
                        g.depth);
    }
    if (g.stride < 0 || (uint64_t)g.stride < (uint64_t)g.width * bytes ||
        (uint64_t)g.stride > length) {
        return fail_set(f, -EPROTO, "screen", "frame buffer",
                        "%d pixels do not fit into lines of %d bytes", g.width, g.stride);
    }
    if (g.offset < 0 || (uint64_t)g.offset > length ||
        (uint64_t)g.stride * (uint64_t)g.height > length - (uint64_t)g.offset) {
        return fail_set(f, -EPROTO, "screen", "frame buffer",
                        "%d lines of %d bytes from byte %d do not fit into %zu bytes", g.height,
                        g.stride, g.offset, length);
    }
    *out = (struct geometry){ .width = (uint32_t)g.width,
                              .height = (uint32_t)g.height,
                              .stride = (uint32_t)g.stride,
                              .bytes = (uint32_t)bytes,
                              .offset = (uint32_t)g.offset };
    return 0;
}

void area_add(struct area *a, const struct area *b)
{
    if (area_is_empty(b)) {
        return;
    }
    if (area_is_empty(a)) {
        *a = *b;
        return;
    }
    a->left = b->left < a->left ? b->left : a->left;
    a->top = b->top < a->top ? b->top : a->top;
    a->right = b->right > a->right ? b->right : a->right;
    a->bottom = b->bottom > a->bottom ? b->bottom : a->bottom;
}

const uint8_t *guestfb_line(const struct guestfb *fb, uint32_t y)
{
    return fb->pixels + fb->geometry.offset + (size_t)y * fb->geometry.stride;
}

static void *map(const struct guestfb *fb, const uint64_t *frames, size_t count, int prot, int *rc)
{
    struct joist_foreign req = {
        .domid = fb->domid, .prot = prot, .pfns = frames, .pfn_count = count
    };

    return joist_foreign_map(fb->xen, &req, rc);
}

/* Copies the frame numbers out of the guest's page directories. */
static int read_frames(struct guestfb *fb, uint64_t *frames, struct fail *f)
{
    size_t dirs = (fb->frame_count + FB_DIR_ENTRIES - 1) / FB_DIR_ENTRIES;
    uint64_t dir[FB_DIRS];
    int rc;

    memcpy(dir, fb->page->dir, dirs * sizeof(dir[0]));
    uint64_t *entries = map(fb, dir, dirs, PROT_READ, &rc);
    if (!entries) {
        return fail_set(f, rc, "screen", "page directory", "cannot be mapped: %s",
                        joist_strerror(rc));
    }
    memcpy(frames, entries, fb->frame_count * sizeof(frames[0]));
    (void)joist_foreign_unmap(fb->xen, entries, dirs);
    return 0;
}

static int map_pixels(struct guestfb *fb, size_t length_max, struct fail *f)
{
    /* the guest's words, each read once */
    struct fb_resize words = { .width = (int32_t)load((uint32_t *)&fb->page->width),
                               .height = (int32_t)load((uint32_t *)&fb->page->height),
                               .stride = (int32_t)load(&fb->page->line_length),
                               .depth = *(volatile uint8_t *)&fb->page->depth };
    size_t length = load(&fb->page->mem_length);

    if (length == 0 || length > length_max ||
        length > (size_t)FB_DIRS * FB_DIR_ENTRIES * WIRE_PAGE_SIZE) {
        return fail_set(f, length ? -E2BIG : -EPROTO, "screen", "frame buffer",
                        "%zu bytes; at most %zu", length, length_max);
    }
    int rc = geometry_check(&words, length, &fb->geometry, f);
    if (rc < 0) {
        return rc;
    }
    fb->length = length;
    fb->frame_count = (length + WIRE_PAGE_SIZE - 1) / WIRE_PAGE_SIZE;
    uint64_t *frames = xalloc(fb->frame_count * sizeof(*frames));
    rc = read_frames(fb, frames, f);
    if (rc == 0) {
        fb->pixels = map(fb, frames, fb->frame_count, PROT_READ, &rc);
        if (!fb->pixels) {
            rc = fail_set(f, rc, "screen", "frame buffer", "cannot be mapped: %s",
                          joist_strerror(rc));
        }
    }
    free(frames);
    return rc;
}

static int ring_error(struct fail *f, uint32_t taken, uint32_t prod)
{
    return fail_set(f, -EPROTO, "screen", "event ring", "%u events of at most %u are waiting",
                    prod - taken, FB_OUT_LENGTH);
}

int guestfb_open(struct guestfb *fb, uint64_t frame, uint32_t port, size_t length_max,
                 struct fail *f)
{
    int rc;

    fb->port = -1;
    fb->pixels = NULL;
    fb->page = map(fb, &frame, 1, PROT_READ | PROT_WRITE, &rc);
    if (!fb->page) {
        return fail_set(f, rc, "screen", "shared page", "frame %llx cannot be mapped: %s",
                        (unsigned long long)frame, joist_strerror(rc));
    }
    rc = map_pixels(fb, length_max, f);
    if (rc == 0) {
        /* after a restart of ours the ring goes on where it was */
        uint32_t prod = load(&fb->page->out_prod);
        fb->taken = load(&fb->page->out_cons);
        if (prod - fb->taken > FB_OUT_LENGTH) {
            rc = ring_error(f, fb->taken, prod);
        }
    }
    if (rc == 0) {
        fb->port = joist_evtchn_bind_interdomain(fb->xen, fb->domid, port);
        if (fb->port < 0) {
            rc = fail_set(f, fb->port, "screen", "event channel", "port %u cannot be bound: %s",
                          port, joist_strerror(fb->port));
        }
    }
    if (rc < 0) {
        guestfb_close(fb);
    }
    return rc;
}

void guestfb_close(struct guestfb *fb)
{
    if (fb->port >= 0) {
        (void)joist_evtchn_unbind(fb->xen, (uint32_t)fb->port);
    }
    if (fb->pixels) {
        (void)joist_foreign_unmap(fb->xen, (void *)(uintptr_t)fb->pixels, fb->frame_count);
    }
    if (fb->page) {
        (void)joist_foreign_unmap(fb->xen, fb->page, 1);
    }
    fb->port = -1;
    fb->pixels = NULL;
    fb->page = NULL;
}

/* The part of an update that lies on the screen. */
static struct area clip(const struct fb_update *u, const struct geometry *g)
{
    int64_t left = u->x > 0 ? u->x : 0;
    int64_t top = u->y > 0 ? u->y : 0;
    int64_t right = (int64_t)u->x + u->width;
    int64_t bottom = (int64_t)u->y + u->height;

    right = right > g->width ? g->width : right;
    bottom = bottom > g->height ? g->height : bottom;
    if (right <= left || bottom <= top) {
        return (struct area){ 0 };
    }
    return (struct area){ .left = (uint32_t)left,
                          .top = (uint32_t)top,
                          .right = (uint32_t)right,
                          .bottom = (uint32_t)bottom };
}

static int take_one(struct guestfb *fb, const union fb_event *e, struct guestfb_news *news,
                    struct fail *f)
{
    struct geometry g;
    struct area a;

    switch (e->type) {
    case FB_EVENT_UPDATE:
        a = clip(&e->update, &fb->geometry);
        area_add(&news->damage, &a);
        return 0;
    case FB_EVENT_RESIZE: {
        int rc = geometry_check(&e->resize, fb->length, &g, f);
        if (rc < 0) {
            return rc;
        }
        fb->geometry = g;
        news->is_resized = true;
        news->damage = (struct area){ .right = g.width, .bottom = g.height };
        return 0;
    }
    default:
        return 0; /* unknown events are the guest's own business */
    }
}

int guestfb_take(struct guestfb *fb, struct guestfb_news *news, struct fail *f)
{
    const uint8_t *ring = (const uint8_t *)fb->page + FB_OUT_OFFSET;
    uint32_t prod = load(&fb->page->out_prod);
    int rc = 0;

    *news = (struct guestfb_news){ 0 };
    if (prod - fb->taken > FB_OUT_LENGTH) {
        return ring_error(f, fb->taken, prod);
    }
    while (rc == 0 && fb->taken != prod) {
        union fb_event e;

        memcpy(&e, ring + (size_t)(fb->taken % FB_OUT_LENGTH) * WIRE_EVENT_SIZE, sizeof(e));
        fb->taken++;
        rc = take_one(fb, &e, news, f);
    }
    __atomic_store_n(&fb->page->out_cons, fb->taken, __ATOMIC_RELEASE);
    return rc;
}
