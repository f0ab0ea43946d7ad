/* SPDX-License-Identifier: MIT */
/* Text on a framebuffer in memory: where points are set, and that none is set outside. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/efifb.h"

#define WIDTH  320u
#define HEIGHT 56u /* three lines and a half */
#define PITCH  (330u * 4)
#define COLOUR 0xaaaaaau

static uint32_t *screen; /* exactly as large as the mode says */

static const struct efifb_mode *mode(void)
{
    static struct efifb_mode m;

    m = (struct efifb_mode){ .base = (uint8_t *)screen,
                             .size = PITCH * HEIGHT,
                             .width = WIDTH,
                             .height = HEIGHT,
                             .pitch = PITCH,
                             .colour = COLOUR };
    return &m;
}

static int setup(void **state)
{
    (void)state;
    screen = malloc(PITCH * HEIGHT);
    memset(screen, 0x55, PITCH * HEIGHT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    efifb_stop();
    free(screen);
    return 0;
}

/* Points set in the cell. */
static unsigned int points(uint32_t column, uint32_t line)
{
    unsigned int n = 0;

    for (uint32_t y = line * 16; y < line * 16 + 16; y++) {
        for (uint32_t x = column * 8; x < column * 8 + 8; x++) {
            n += screen[y * (PITCH / 4) + x] == COLOUR;
        }
    }
    return n;
}

static void test_text(void **state)
{
    (void)state;
    assert_true(efifb_init(mode()));
    assert_int_equal(points(0, 0), 0);
    efifb_write("I \x01_\n|", 6);
    assert_int_equal(points(0, 0), 2 * (3 + 5 + 3)); /* each row is drawn twice */
    assert_int_equal(points(1, 0), 0);
    assert_int_equal(points(2, 0), 2 * 5); /* the control character takes no place */
    assert_int_equal(points(0, 1), 2 * 7);
    assert_int_equal(screen[WIDTH], 0x55555555); /* beyond the visible part */
    efifb_stop();
    efifb_write("M", 1);
    assert_int_equal(points(1, 1), 0);
}

static void test_wrap(void **state)
{
    (void)state;
    assert_true(efifb_init(mode()));
    for (unsigned int i = 0; i < WIDTH / 8 + 1; i++) {
        efifb_write("_", 1);
    }
    assert_int_equal(points(WIDTH / 8 - 1, 0), 10);
    assert_int_equal(points(0, 1), 10);
    efifb_write("\n\n|", 3); /* back at the top, whose old text is gone */
    assert_int_equal(points(0, 0), 14);
    assert_int_equal(points(5, 0), 0);
    assert_int_equal(points(0, 1), 0);
    for (unsigned int i = 0; i < 1000; i++) {
        efifb_write("~|\n", 3);
    }
}

static void test_refused(void **state)
{
    (void)state;
    struct efifb_mode m = *mode();

    m.size--;
    assert_false(efifb_init(&m));
    m = *mode();
    m.pitch = WIDTH * 4 - 4;
    assert_false(efifb_init(&m));
    m = *mode();
    m.height = 47;
    assert_false(efifb_init(&m));
    m = *mode();
    m.height = UINT32_MAX;
    assert_false(efifb_init(&m));
    efifb_write("nothing is drawn", 16);
    assert_int_equal(screen[0], 0x55555555);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
