/* SPDX-License-Identifier: MIT */
/*
 * Fuzzer of a guest's screen: the input is what the guest writes into its shared page, its page
 * directory and, step by step, its event ring. Whatever it is, we end with an error or a picture.
 */
#include <stdlib.h>
#include <string.h>

#include "fbd/guestfb.h"
#include "fbd/guestkbd.h"
#include "fbd/shadow.h"
#include "tests/fuzz/drive.h"
#include "tests/unit/fbd_kit.h"

#define LENGTH_MAX (2u << 20)
#define HEAD       45u /* of the shared page: up to and with the depth, then directory entries */

size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    static const uint16_t sizes[][2] = { { 64, 48 }, { 650, 333 }, { 1, 1 } };

    if (index >= 3 || size < HEAD + 128) {
        return 0;
    }
    fbd_guest_begin();
    memset(data, 0, HEAD + 128);
    struct fb_page *page = fbd_make_screen(sizes[index][0], sizes[index][1], 32);
    memcpy(data, page, HEAD);
    data[HEAD] = 1; /* one update event */
    data[HEAD + 1] = FB_EVENT_UPDATE;
    data[HEAD + 1 + 12] = 50;
    data[HEAD + 1 + 16] = 40;
    data[HEAD + 41] = 1; /* and a change of size */
    data[HEAD + 42] = FB_EVENT_RESIZE;
    fbd_guest_end();
    return HEAD + 128;
}

static void mark(void *arg, const struct area *a)
{
    const struct guestfb *fb = arg;

    if (area_is_empty(a) || a->right > fb->geometry.width || a->bottom > fb->geometry.height) {
        abort();
    }
}

/* Whole picture, as a viewer's arrival has it. */
static void look(const struct guestfb *fb)
{
    struct shadow s;
    const struct area all = { .right = fb->geometry.width, .bottom = fb->geometry.height };

    if (shadow_open(&s, all.right, all.bottom, fb->geometry.bytes) == 0) {
        (void)shadow_update(&s, fb, &all, mark, (void *)(uintptr_t)fb);
        if (shadow_update(&s, fb, &all, mark, (void *)(uintptr_t)fb) != 0) {
            abort(); /* nothing has changed in between */
        }
        shadow_forget(&s);
        if (shadow_fill(&s, fb, &all, mark, (void *)(uintptr_t)fb) != 0 ||
            s.held_count != s.tile_count) {
            abort();
        }
        for (uint32_t y = 0; y < s.height; y++) {
            size_t line = (size_t)s.width * s.bytes;

            if (memcmp(s.pixels + y * line, guestfb_line(fb, y), line) != 0) {
                abort();
            }
        }
        shadow_close(&s);
    }
}

/* Each step: how far the ring goes, then an event. */
static void run_events(struct guestfb *fb, struct fb_page *page, const uint8_t *data, size_t size)
{
    struct guestfb_news news;
    struct fail f = { 0 };

    while (size > WIRE_EVENT_SIZE) {
        memcpy((uint8_t *)page + FB_OUT_OFFSET + (page->out_prod % FB_OUT_LENGTH) * WIRE_EVENT_SIZE,
               data + 1, WIRE_EVENT_SIZE);
        page->out_prod += data[0] < 0xf0 ? data[0] % 4u : data[0];
        if (guestfb_take(fb, &news, &f) < 0) {
            if (!f.cause[0]) {
                abort();
            }
            return;
        }
        if (news.damage.right > fb->geometry.width || news.damage.bottom > fb->geometry.height) {
            abort();
        }
        if (news.is_resized) {
            look(fb);
        }
        data += WIRE_EVENT_SIZE + 1;
        size -= WIRE_EVENT_SIZE + 1;
    }
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct joist *xen;
    struct fail f = { 0 };

    if (size < HEAD || joist_open(&xen) < 0) {
        return 0;
    }
    fbd_guest_begin();
    struct fb_page *page = fbd_make_screen(640, 480, 32);
    memcpy(page, data, HEAD);
    page->mem_length &= 0x3fffff;
    struct guestfb fb = { .xen = xen, .domid = 1, .port = -1 };
    if (guestfb_open(&fb, KIT_FIRST, 0, LENGTH_MAX, &f) == 0) {
        look(&fb);
        run_events(&fb, page, data + HEAD, size - HEAD);
    } else if (!f.cause[0] || fbd_guest.mapped || fbd_guest.bound) {
        abort();
    }
    guestfb_close(&fb);
    joist_close(xen);
    fbd_guest_end();
    return 0;
}
