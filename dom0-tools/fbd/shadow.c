/* SPDX-License-Identifier: MIT */
/* Our copy of a guest's screen. */

#include "fbd/shadow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define TILE_LINE (TILE_WIDTH * 4u) /* bytes of a tile's line at most */
#define LANES     4u                /* sums that do not wait for each other */
#define WORD      ((uint32_t)sizeof(uint64_t))

/* One look over an area. */
struct walk {
    struct shadow *s;
    const struct guestfb *fb;
    bool is_fill; /* held tiles are passed over */
    shadow_mark *mark;
    void *arg;
};

/*
 * Each step maps different sums to different sums, and different words, too: a tile of which one
 * word has changed never keeps its sum, and another does so once in 2^64.
 */
static uint64_t step(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * 0x9e3779b97f4a7c15ull; /* odd: can be undone */
    return sum ^ (sum >> 32);
}

/* The sum of `lines` lines of `size` bytes, TILE_LINE bytes apart; what follows a line is zero. */
static uint64_t tile_sum(const uint8_t *tile, uint32_t lines, uint32_t size)
{
    uint64_t lane[LANES] = { 1, 2, 3, 4 };
    uint64_t sum = size;

    for (uint32_t y = 0; y < lines; y++) {
        for (uint32_t at = 0; at < size; at += LANES * WORD) {
            for (uint32_t i = 0; i < LANES; i++) {
                uint64_t word;

                memcpy(&word, tile + (size_t)y * TILE_LINE + at + i * WORD, sizeof(word));
                lane[i] = step(lane[i], word);
            }
        }
    }
    for (uint32_t i = 0; i < LANES; i++) {
        sum = step(sum, lane[i]);
    }
    return sum;
}

static struct area tile_area(const struct shadow *s, uint32_t column, uint32_t row)
{
    uint32_t left = column * TILE_WIDTH;
    uint32_t top = row * TILE_HEIGHT;

    return (struct area){
        .left = left,
        .top = top,
        .right = left + TILE_WIDTH < s->width ? left + TILE_WIDTH : s->width,
        .bottom = top + TILE_HEIGHT < s->height ? top + TILE_HEIGHT : s->height,
    };
}

int shadow_open(struct shadow *s, uint32_t width, uint32_t height, uint32_t bytes)
{
    static const uint8_t black[TILE_HEIGHT * TILE_LINE];
    struct shadow n = { .width = width, .height = height, .bytes = bytes };

    n.size = (size_t)width * height * bytes;
    n.columns = (width + TILE_WIDTH - 1) / TILE_WIDTH;
    n.tile_count = (size_t)n.columns * ((height + TILE_HEIGHT - 1) / TILE_HEIGHT);
    n.sums = calloc(n.tile_count, sizeof(*n.sums));
    n.is_held = calloc(n.tile_count, sizeof(*n.is_held));
    void *p = mmap(NULL, n.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    n.pixels = p == MAP_FAILED ? NULL : p;
    if (!n.sums || !n.is_held || !n.pixels) {
        shadow_close(&n);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n.tile_count; i++) {
        struct area t = tile_area(&n, (uint32_t)(i % n.columns), (uint32_t)(i / n.columns));

        n.sums[i] = tile_sum(black, t.bottom - t.top, (t.right - t.left) * bytes);
    }
    *s = n;
    return 0;
}

void shadow_close(struct shadow *s)
{
    if (s->pixels) {
        (void)munmap(s->pixels, s->size);
    }
    free(s->sums);
    free(s->is_held);
    *s = (struct shadow){ 0 };
}

void shadow_forget(struct shadow *s)
{
    if (s->held_count > 0) {
        (void)madvise(s->pixels, s->size, MADV_DONTNEED);
        memset(s->is_held, 0, s->tile_count * sizeof(*s->is_held));
        s->held_count = 0;
    }
}

/*
 * Takes one tile over if it has changed or its pixels are wanted; true when it has changed. The
 * guest may be drawing: its memory is read once, so that the sum is that of what was taken.
 */
static bool look_at_tile(const struct walk *w, size_t index, const struct area *t)
{
    struct shadow *s = w->s;
    size_t from = (size_t)t->left * s->bytes;
    uint32_t size = (t->right - t->left) * s->bytes;
    uint32_t lines = t->bottom - t->top;
    size_t line = (size_t)s->width * s->bytes;
    uint8_t tile[TILE_HEIGHT * TILE_LINE];

    if (w->is_fill && s->is_held[index]) {
        return false;
    }
    if (size < TILE_LINE) {
        memset(tile, 0, sizeof(tile));
    }
    for (uint32_t y = 0; y < lines; y++) {
        memcpy(tile + (size_t)y * TILE_LINE, guestfb_line(w->fb, t->top + y) + from, size);
    }
    uint64_t sum = tile_sum(tile, lines, size);
    bool is_changed = sum != s->sums[index];
    if (!is_changed && !w->is_fill) {
        return false;
    }
    for (uint32_t y = 0; y < lines; y++) {
        memcpy(s->pixels + (t->top + y) * line + from, tile + (size_t)y * TILE_LINE, size);
    }
    s->sums[index] = sum;
    s->held_count += !s->is_held[index];
    s->is_held[index] = true;
    return is_changed;
}

/* One row of tiles, columns from `first` to before `end`: neighbours that changed are one run. */
static size_t look_at_row(const struct walk *w, uint32_t row, uint32_t first, uint32_t end)
{
    struct area run = { 0 };
    size_t count = 0;

    for (uint32_t x = first; x < end; x++) {
        struct area tile = tile_area(w->s, x, row);

        if (look_at_tile(w, (size_t)row * w->s->columns + x, &tile)) {
            area_add(&run, &tile);
            count++;
        } else if (!area_is_empty(&run)) {
            w->mark(w->arg, &run);
            run = (struct area){ 0 };
        }
    }
    if (!area_is_empty(&run)) {
        w->mark(w->arg, &run);
    }
    return count;
}

static size_t look_at(const struct walk *w, const struct area *area)
{
    const struct shadow *s = w->s;
    const struct geometry *g = &w->fb->geometry;
    uint32_t right = area->right < s->width ? area->right : s->width;
    uint32_t bottom = area->bottom < s->height ? area->bottom : s->height;
    size_t count = 0;

    if (g->width != s->width || g->height != s->height || g->bytes != s->bytes) {
        return 0;
    }
    for (uint32_t y = area->top / TILE_HEIGHT; y * TILE_HEIGHT < bottom; y++) {
        count += look_at_row(w, y, area->left / TILE_WIDTH, (right + TILE_WIDTH - 1) / TILE_WIDTH);
    }
    return count;
}

size_t shadow_update(struct shadow *s, const struct guestfb *fb, const struct area *area,
                     shadow_mark *mark, void *arg)
{
    return look_at(&(struct walk){ .s = s, .fb = fb, .mark = mark, .arg = arg }, area);
}

size_t shadow_fill(struct shadow *s, const struct guestfb *fb, const struct area *area,
                   shadow_mark *mark, void *arg)
{
    return look_at(&(struct walk){ .s = s, .fb = fb, .is_fill = true, .mark = mark, .arg = arg },
                   area);
}
