/* SPDX-License-Identifier: MIT */
/* Our copy of a guest's screen. */

#include "fbd/shadow.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

int shadow_open(struct shadow *s, uint32_t width, uint32_t height, uint32_t bytes)
{
    size_t size = (size_t)width * height * bytes;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        return -ENOMEM;
    }
    *s = (struct shadow){
        .pixels = p, .size = size, .width = width, .height = height, .bytes = bytes
    };
    return 0;
}

void shadow_close(struct shadow *s)
{
    if (s->pixels) {
        (void)munmap(s->pixels, s->size);
    }
    *s = (struct shadow){ 0 };
}

void shadow_forget(struct shadow *s)
{
    if (s->pixels) {
        (void)madvise(s->pixels, s->size, MADV_DONTNEED);
    }
}

/* Compares and copies one tile; true when it differed. */
static bool update_tile(struct shadow *s, const struct guestfb *fb, const struct area *t)
{
    size_t from = (size_t)t->left * s->bytes;
    size_t size = (size_t)(t->right - t->left) * s->bytes;
    size_t line = (size_t)s->width * s->bytes;
    bool is_changed = false;

    for (uint32_t y = t->top; y < t->bottom; y++) {
        uint8_t *ours = s->pixels + (size_t)y * line + from;
        const uint8_t *theirs = guestfb_line(fb, y) + from;

        if (is_changed || memcmp(ours, theirs, size) != 0) {
            memcpy(ours, theirs, size);
            is_changed = true;
        }
    }
    return is_changed;
}

/* One row of tiles: neighbours that changed are told as one. */
static size_t update_row(struct shadow *s, const struct guestfb *fb, struct area row,
                         void (*mark)(void *arg, const struct area *changed), void *arg)
{
    struct area run = { 0 };
    size_t count = 0;

    for (uint32_t x = row.left; x < row.right; x += TILE_WIDTH) {
        uint32_t end = x + TILE_WIDTH < s->width ? x + TILE_WIDTH : s->width;
        struct area tile = { .left = x, .top = row.top, .right = end, .bottom = row.bottom };

        if (update_tile(s, fb, &tile)) {
            area_add(&run, &tile);
            count++;
        } else if (!area_is_empty(&run)) {
            mark(arg, &run);
            run = (struct area){ 0 };
        }
    }
    if (!area_is_empty(&run)) {
        mark(arg, &run);
    }
    return count;
}

size_t shadow_update(struct shadow *s, const struct guestfb *fb, const struct area *area,
                     void (*mark)(void *arg, const struct area *changed), void *arg)
{
    const struct geometry *g = &fb->geometry;
    size_t count = 0;

    if (g->width != s->width || g->height != s->height || g->bytes != s->bytes) {
        return 0;
    }
    for (uint32_t y = area->top / TILE_HEIGHT * TILE_HEIGHT; y < area->bottom && y < s->height;
         y += TILE_HEIGHT) {
        uint32_t end = y + TILE_HEIGHT < s->height ? y + TILE_HEIGHT : s->height;
        struct area row = { .left = area->left / TILE_WIDTH * TILE_WIDTH,
                            .top = y,
                            .right = area->right < s->width ? area->right : s->width,
                            .bottom = end };

        count += update_row(s, fb, row, mark, arg);
    }
    return count;
}
