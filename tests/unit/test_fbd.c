/* SPDX-License-Identifier: MIT */
/* Screen and keyboard against a pretended guest: layout, mapping, every bad value, tiles, keys. */

#include "tests/unit/fbd_kit.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <xen/io/fbif.h>
#include <xen/io/kbdif.h>

#include "fbd/guestfb.h"
#include "fbd/guestkbd.h"
#include "fbd/shadow.h"

#define LENGTH_MAX (4u << 20)

#define SAME(ours, a, theirs, b) \
    assert_int_equal(offsetof(struct ours, a), offsetof(struct theirs, b))

static void test_layout(void **state)
{
    (void)state;
    SAME(fb_page, in_cons, xenfb_page, in_cons);
    SAME(fb_page, out_prod, xenfb_page, out_prod);
    SAME(fb_page, width, xenfb_page, width);
    SAME(fb_page, height, xenfb_page, height);
    SAME(fb_page, line_length, xenfb_page, line_length);
    SAME(fb_page, mem_length, xenfb_page, mem_length);
    SAME(fb_page, depth, xenfb_page, depth);
    SAME(fb_page, dir, xenfb_page, pd);
    assert_int_equal(sizeof(struct fb_page), sizeof(struct xenfb_page));
    SAME(fb_update, x, xenfb_update, x);
    SAME(fb_update, height, xenfb_update, height);
    SAME(fb_resize, width, xenfb_resize, width);
    SAME(fb_resize, stride, xenfb_resize, stride);
    SAME(fb_resize, depth, xenfb_resize, depth);
    SAME(fb_resize, offset, xenfb_resize, offset);
    assert_int_equal(sizeof(union fb_event), XENFB_OUT_EVENT_SIZE);
    assert_int_equal(FB_OUT_OFFSET, XENFB_OUT_RING_OFFS);
    assert_int_equal(FB_OUT_LENGTH, XENFB_OUT_RING_LEN);
    assert_int_equal(FB_EVENT_UPDATE, XENFB_TYPE_UPDATE);
    assert_int_equal(FB_EVENT_RESIZE, XENFB_TYPE_RESIZE);
    SAME(kbd_page, in_prod, xenkbd_page, in_prod);
    SAME(kbd_motion, rel_z, xenkbd_motion, rel_z);
    SAME(kbd_key, pressed, xenkbd_key, pressed);
    SAME(kbd_key, keycode, xenkbd_key, keycode);
    SAME(kbd_pos, abs_x, xenkbd_position, abs_x);
    SAME(kbd_pos, rel_z, xenkbd_position, rel_z);
    assert_int_equal(sizeof(union kbd_event), XENKBD_IN_EVENT_SIZE);
    assert_int_equal(KBD_IN_OFFSET, XENKBD_IN_RING_OFFS);
    assert_int_equal(KBD_IN_LENGTH, XENKBD_IN_RING_LEN);
    assert_int_equal(KBD_EVENT_MOTION, XENKBD_TYPE_MOTION);
    assert_int_equal(KBD_EVENT_KEY, XENKBD_TYPE_KEY);
    assert_int_equal(KBD_EVENT_POS, XENKBD_TYPE_POS);
}

struct world {
    struct joist *xen;
    struct guestfb fb;
    struct guestkbd kbd;
};

static void begin(struct world *w)
{
    fbd_guest_begin();
    assert_int_equal(joist_open(&w->xen), 0);
    assert_int_equal(joist_restrict(w->xen, 1), 0);
    assert_int_equal(fbd_guest.restricted_to, 1);
    w->fb = (struct guestfb){ .xen = w->xen, .domid = 1, .port = -1 };
    w->kbd = (struct guestkbd){ .xen = w->xen, .domid = 1, .port = -1 };
}

static void end(struct world *w)
{
    guestfb_close(&w->fb);
    guestkbd_close(&w->kbd);
    joist_close(w->xen);
    fbd_guest_end();
}

static int open_fb(struct world *w, struct fail *f)
{
    *f = (struct fail){ 0 };
    return guestfb_open(&w->fb, KIT_FIRST, 0, LENGTH_MAX, f);
}

static void test_pages_in_order(void **state)
{
    struct world w;
    struct fail f;

    (void)state;
    begin(&w);
    struct fb_page *page = fbd_make_screen(800, 600, 32);
    for (uint32_t y = 0; y < 600; y++) {
        for (uint32_t x = 0; x < 800; x += 7) {
            *fbd_pixel(page, x, y) = y << 16 | x;
        }
    }
    assert_int_equal(open_fb(&w, &f), 0);
    assert_int_equal(w.fb.geometry.width, 800);
    for (uint32_t y = 0; y < 600; y++) {
        for (uint32_t x = 0; x < 800; x += 7) {
            uint32_t v;

            memcpy(&v, guestfb_line(&w.fb, y) + (size_t)x * 4, 4);
            assert_int_equal(v, y << 16 | x);
        }
    }
    assert_int_equal(fbd_guest.mapped, 1 + 469); /* the directory is given back */
    end(&w);
}

/* Each refused with a reason, and nothing stays mapped or bound. */
static void refused(struct world *w, int want, const char *word)
{
    struct fail f;
    char line[700];

    assert_int_equal(open_fb(w, &f), want);
    fail_text(&f, line, sizeof(line));
    if (!strstr(line, word)) {
        fail_msg("\"%s\" does not say \"%s\"", line, word);
    }
    assert_int_equal(fbd_guest.mapped, 0);
    assert_int_equal(fbd_guest.bound, 0);
    assert_null(w->fb.page);
}

static void test_bad_values(void **state)
{
    static const struct {
        int32_t width, height;
        uint32_t line, length;
        uint8_t depth;
        int rc;
        const char *word;
    } bad[] = {
        { 0, 600, 3200, 1920000, 32, -EPROTO, "0 x 600" },
        { -1, 600, 3200, 1920000, 32, -EPROTO, "-1 x 600" },
        { 800, INT32_MIN, 3200, 1920000, 32, -EPROTO, "pixels" },
        { 800, 4097, 3200, 1920000, 32, -EPROTO, "at most 4096" },
        { 800, 600, 3199, 1920000, 32, -EPROTO, "lines of 3199" },
        { 800, 600, 0, 1920000, 32, -EPROTO, "lines of 0" },
        { 800, 600, 0xffffffff, 1920000, 32, -EPROTO, "lines of -1" },
        { 800, 600, 3200, 1919999, 32, -EPROTO, "do not fit into 1919999" },
        { 800, 600, 3200, 0, 32, -EPROTO, "0 bytes" },
        { 800, 600, 3200, LENGTH_MAX + 1, 32, -E2BIG, "at most" },
        { 800, 600, 3200, 0xffffffff, 32, -E2BIG, "at most" },
        { 800, 600, 3200, 1920000, 8, -EPROTO, "depth 8" },
        { 800, 600, 3200, 1920000, 0, -EPROTO, "depth 0" },
        { 4096, 4096, 0x40000, 1920000, 32, -EPROTO, "do not fit" },
    };
    struct world w;

    (void)state;
    begin(&w);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fb_page *page = fbd_make_screen(800, 600, 32);

        page->width = bad[i].width;
        page->height = bad[i].height;
        page->line_length = bad[i].line;
        page->mem_length = bad[i].length;
        page->depth = bad[i].depth;
        refused(&w, bad[i].rc, bad[i].word);
    }
    struct fb_page *page = fbd_make_screen(800, 600, 32);
    page->dir[0] = KIT_FIRST - 1;
    refused(&w, -EINVAL, "page directory");
    page = fbd_make_screen(800, 600, 32);
    ((uint64_t *)fbd_page(KIT_FIRST + 2))[468] = 0xffffffffffffull;
    refused(&w, -EINVAL, "frame buffer: cannot be mapped");
    page = fbd_make_screen(800, 600, 32);
    page->out_prod = 52;
    refused(&w, -EPROTO, "52 events");
    struct fail f = { 0 };
    fbd_make_screen(800, 600, 32);
    assert_int_equal(guestfb_open(&w.fb, KIT_FIRST + KIT_FRAMES, 0, LENGTH_MAX, &f), -EINVAL);
    f = (struct fail){ 0 };
    assert_int_equal(guestfb_open(&w.fb, KIT_FIRST, 99, LENGTH_MAX, &f), -EINVAL);
    assert_non_null(strstr(f.cause, "port 99"));
    assert_int_equal(fbd_guest.mapped, 0);
    end(&w);
}

static void put_update(struct fb_page *page, int32_t x, int32_t y, int32_t width, int32_t height)
{
    union fb_event e = { .bytes = { 0 } };

    e.update = (struct fb_update){ FB_EVENT_UPDATE, x, y, width, height };
    fbd_put(page, &e);
}

static void test_events(void **state)
{
    struct world w;
    struct fail f;
    struct guestfb_news news;

    (void)state;
    begin(&w);
    struct fb_page *page = fbd_make_screen(640, 480, 32);
    page->out_prod = page->out_cons = 0xfffffff0; /* about to wrap */
    assert_int_equal(open_fb(&w, &f), 0);
    put_update(page, 10, 20, 30, 40);
    put_update(page, 5, 100, 1, 1);
    assert_int_equal(guestfb_take(&w.fb, &news, &f), 0);
    assert_int_equal(news.damage.left, 5);
    assert_int_equal(news.damage.top, 20);
    assert_int_equal(news.damage.right, 40);
    assert_int_equal(news.damage.bottom, 101);
    assert_int_equal(page->out_cons, 0xfffffff2);
    put_update(page, INT32_MIN, -5, INT32_MAX, INT32_MAX); /* ends left of the screen */
    assert_int_equal(guestfb_take(&w.fb, &news, &f), 0);
    assert_true(area_is_empty(&news.damage));
    put_update(page, -7, INT32_MIN, INT32_MAX, INT32_MAX);
    put_update(page, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX);
    put_update(page, 0, 0, -1, -1);
    put_update(page, 600, 470, INT32_MAX, INT32_MAX);
    assert_int_equal(guestfb_take(&w.fb, &news, &f), 0);
    assert_int_equal(news.damage.right, 640);
    assert_int_equal(news.damage.bottom, 480);
    union fb_event e = { .bytes = { 0 } };
    e.resize = (struct fb_resize){ FB_EVENT_RESIZE, 320, 200, 1280, 32, 1280 };
    fbd_put(page, &e);
    assert_int_equal(guestfb_take(&w.fb, &news, &f), 0);
    assert_true(news.is_resized);
    assert_int_equal(w.fb.geometry.offset, 1280);
    e.resize.offset = 640 * 480 * 4 - 200 * 1280 + 1;
    fbd_put(page, &e);
    assert_int_equal(guestfb_take(&w.fb, &news, &f), -EPROTO);
    assert_int_equal(w.fb.geometry.offset, 1280);
    page->out_cons = 12345; /* ours counts, not this */
    put_update(page, 0, 0, 1, 1);
    assert_int_equal(guestfb_take(&w.fb, &news, &f), 0);
    page->out_prod += 52;
    assert_int_equal(guestfb_take(&w.fb, &news, &f), -EPROTO);
    end(&w);
}

static struct area marks[64];
static size_t mark_count;

static void mark(void *arg, const struct area *a)
{
    (void)arg;
    assert_in_range(mark_count, 0, 63);
    marks[mark_count++] = *a;
}

static size_t update(struct shadow *s, struct world *w, const struct area *area)
{
    mark_count = 0;
    return shadow_update(s, &w->fb, area, mark, NULL);
}

static void test_tiles(void **state)
{
    struct world w;
    struct fail f;
    struct shadow s;

    (void)state;
    begin(&w);
    struct fb_page *page = fbd_make_screen(650, 333, 32); /* no multiple of a tile */
    assert_int_equal(open_fb(&w, &f), 0);
    assert_int_equal(shadow_open(&s, 650, 333, 4), 0);
    const struct area all = { .right = 650, .bottom = 333 };
    assert_int_equal(update(&s, &w, &all), 0);
    assert_int_equal(mark_count, 0); /* still: nothing to send */
    *fbd_pixel(page, 649, 332) = 0xffffff;
    assert_int_equal(update(&s, &w, &all), 1);
    assert_int_equal(mark_count, 1);
    assert_int_equal(marks[0].left, 640);
    assert_int_equal(marks[0].right, 650);
    assert_int_equal(marks[0].top, 320);
    assert_int_equal(marks[0].bottom, 333);
    assert_int_equal(update(&s, &w, &all), 0);
    *fbd_pixel(page, 63, 40) = 1; /* neighbours become one */
    *fbd_pixel(page, 64, 40) = 1;
    *fbd_pixel(page, 300, 40) = 1;
    assert_int_equal(update(&s, &w, &all), 3);
    assert_int_equal(mark_count, 2);
    assert_int_equal(marks[0].right, 128);
    *fbd_pixel(page, 10, 10) = 2; /* outside of the area: not looked at */
    assert_int_equal(update(&s, &w, &(struct area){ 64, 0, 650, 333 }), 0);
    assert_int_equal(update(&s, &w, &all), 1);
    for (uint32_t y = 0; y < 333; y++) {
        assert_memory_equal(s.pixels + (size_t)y * 2600, guestfb_line(&w.fb, y), 2600);
    }
    assert_int_equal(s.held_count, 5);
    shadow_forget(&s);
    assert_int_equal(s.held_count, 0);
    assert_int_equal(s.pixels[10 * 2600 + 40], 0);
    assert_int_equal(update(&s, &w, &all), 0); /* the sums are still known */
    assert_int_equal(s.held_count, 0);         /* nor does a look at a still screen take memory */
    shadow_close(&s);
    assert_int_equal(shadow_open(&s, 100, 100, 4), 0); /* of another size: not touched */
    assert_int_equal(update(&s, &w, &all), 0);
    shadow_close(&s);
    end(&w);
}

static size_t fill(struct shadow *s, struct world *w, const struct area *area)
{
    mark_count = 0;
    return shadow_fill(s, &w->fb, area, mark, NULL);
}

/* Pixels that were given back and are needed again; each depth, no multiple of a word in a line. */
static void test_fill(void **state)
{
    static const uint8_t depths[] = { 16, 32 };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        struct fail f;
        struct shadow s;
        uint32_t bytes = depths[i] / 8;
        const struct area all = { .right = 203, .bottom = 50 };
        const struct area some = { .left = 70, .top = 20, .right = 71, .bottom = 21 };

        begin(&w);
        struct fb_page *page = fbd_make_screen(203, 50, depths[i]);
        assert_int_equal(open_fb(&w, &f), 0);
        assert_int_equal(shadow_open(&s, 203, 50, bytes), 0);
        assert_int_equal(fill(&s, &w, &some), 0);
        assert_int_equal(s.held_count, 1);
        *fbd_pixel(page, 70 * bytes / 4, 20) = 0x01020304; /* drawn, but not told of */
        assert_int_equal(fill(&s, &w, &some), 0); /* held: what was sent is what is there */
        assert_int_equal(fill(&s, &w, &all), 0);
        assert_int_equal(s.held_count, 4 * 4);
        shadow_forget(&s);
        assert_int_equal(fill(&s, &w, &all), 1); /* another than was sent: told of */
        assert_int_equal(mark_count, 1);
        assert_int_equal(marks[0].left, 64);
        assert_int_equal(marks[0].top, 16);
        assert_int_equal(update(&s, &w, &all), 0);
        for (uint32_t y = 0; y < 50; y++) {
            assert_memory_equal(s.pixels + (size_t)y * 203 * bytes, guestfb_line(&w.fb, y),
                                203 * bytes);
        }
        shadow_close(&s);
        end(&w);
    }
}

/* Every bit of a tile counts, and so does where it is. */
static void test_sums(void **state)
{
    struct world w;
    struct fail f;
    struct shadow s;
    const struct area all = { .right = 64, .bottom = 16 };

    (void)state;
    begin(&w);
    struct fb_page *page = fbd_make_screen(64, 16, 32);
    assert_int_equal(open_fb(&w, &f), 0);
    assert_int_equal(shadow_open(&s, 64, 16, 4), 0);
    for (uint32_t i = 0; i < 64 * 16; i++) {
        *fbd_pixel(page, i % 64, i / 64) = 1u << (i % 32);
        assert_int_equal(update(&s, &w, &all), 1);
        *fbd_pixel(page, i % 64, i / 64) = 0;
        *fbd_pixel(page, (i + 8) % 64, i / 64) = 1u << (i % 32); /* the same lane's next word */
        assert_int_equal(update(&s, &w, &all), 1);
        *fbd_pixel(page, (i + 8) % 64, i / 64) = 0;
        assert_int_equal(update(&s, &w, &all), 1);
    }
    shadow_close(&s);
    end(&w);
}

static const union kbd_event *kbd_got(uint32_t n)
{
    const uint8_t *page = fbd_page(KIT_FIRST + 1);

    return (const union kbd_event *)(const void *)(page + KBD_IN_OFFSET +
                                                   (size_t)(n % KBD_IN_LENGTH) * 40);
}

static void test_keyboard(void **state)
{
    struct world w;
    struct fail f = { 0 };

    (void)state;
    begin(&w);
    struct kbd_page *page = fbd_page(KIT_FIRST + 1);
    guestkbd_key(&w.kbd, 'a', true); /* not connected: dropped */
    assert_int_equal(guestkbd_open(&w.kbd, KIT_FIRST - 1, 1, &f), -EINVAL);
    f = (struct fail){ 0 };
    page->in_prod = page->in_cons = 0xfffffffe;
    assert_int_equal(guestkbd_open(&w.kbd, KIT_FIRST + 1, 1, &f), 0);
    guestkbd_key(&w.kbd, 'a', true);
    guestkbd_key(&w.kbd, 'a', false);
    assert_int_equal(page->in_prod, 0);
    assert_int_equal(kbd_got(0xfffffffe)->key.keycode, KEY_A);
    assert_int_equal(kbd_got(0xfffffffe)->key.pressed, 1);
    assert_int_equal(kbd_got(0xffffffff)->key.pressed, 0);
    guestkbd_key(&w.kbd, 0x12345678, true); /* no such key */
    assert_int_equal(page->in_prod, 0);
    w.kbd.is_absolute = true;
    guestkbd_pointer(&w.kbd, 100, 200, 1);
    assert_int_equal(page->in_prod, 2);
    assert_int_equal(kbd_got(0)->pos.abs_x, 100);
    assert_int_equal(kbd_got(0)->pos.abs_y, 200);
    assert_int_equal(kbd_got(1)->key.keycode, BTN_LEFT);
    guestkbd_pointer(&w.kbd, 100, 200, 0x10); /* wheel down, button up */
    assert_int_equal(kbd_got(2)->pos.rel_z, 1);
    assert_int_equal(kbd_got(3)->key.pressed, 0);
    w.kbd.is_absolute = false;
    guestkbd_pointer(&w.kbd, 90, 201, 0);
    assert_int_equal(kbd_got(4)->motion.rel_x, -10);
    assert_int_equal(kbd_got(4)->motion.rel_y, 1);
    page->in_cons = page->in_prod;
    for (int i = 0; i < 60; i++) { /* a guest that does not read: full, never beyond */
        guestkbd_key(&w.kbd, 'b', true);
    }
    assert_int_equal(page->in_prod, 5 + KBD_IN_LENGTH);
    page->in_cons = 1000; /* nonsense: nothing is put */
    guestkbd_key(&w.kbd, 'c', true);
    assert_int_equal(page->in_prod, 5 + KBD_IN_LENGTH);
    page->in_cons = page->in_prod;
    guestkbd_release(&w.kbd); /* 'b' was held */
    assert_int_equal(page->in_prod, 6 + KBD_IN_LENGTH);
    assert_int_equal(kbd_got(5 + KBD_IN_LENGTH)->key.keycode, KEY_B);
    assert_int_equal(kbd_got(5 + KBD_IN_LENGTH)->key.pressed, 0);
    end(&w);
}

static void test_keymap(void **state)
{
    static const struct {
        uint32_t keysym, code;
    } rows[] = {
        { ' ', KEY_SPACE },
        { '!', KEY_1 },
        { '"', KEY_APOSTROPHE },
        { '/', KEY_SLASH },
        { '0', KEY_0 },
        { '9', KEY_9 },
        { ':', KEY_SEMICOLON },
        { '?', KEY_SLASH },
        { '@', KEY_2 },
        { 'A', KEY_A },
        { 'M', KEY_M },
        { 'Z', KEY_Z },
        { '[', KEY_LEFTBRACE },
        { '^', KEY_6 },
        { '_', KEY_MINUS },
        { '`', KEY_GRAVE },
        { 'a', KEY_A },
        { 'q', KEY_Q },
        { 'z', KEY_Z },
        { '{', KEY_LEFTBRACE },
        { '~', KEY_GRAVE },
        { '*', KEY_8 },
        { '+', KEY_EQUAL },
        { '|', KEY_BACKSLASH },
        { 0xff0d, KEY_ENTER },
        { 0xffbe, KEY_F1 },
        { 0xffc7, KEY_F10 },
        { 0xffc8, KEY_F11 },
        { 0xffc9, KEY_F12 },
        { 0xffb5, KEY_KP5 },
        { 0xffff, KEY_DELETE },
        { 0xffe1, KEY_LEFTSHIFT },
        { 0, 0 },
        { 0x7f, 0 },
        { 0xffffffff, 0 },
        { 0xff00, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(keymap_code(rows[i].keysym), rows[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),     cmocka_unit_test(test_pages_in_order),
        cmocka_unit_test(test_bad_values), cmocka_unit_test(test_events),
        cmocka_unit_test(test_tiles),      cmocka_unit_test(test_fill),
        cmocka_unit_test(test_sums),       cmocka_unit_test(test_keyboard),
        cmocka_unit_test(test_keymap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
