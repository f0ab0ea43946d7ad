/* SPDX-License-Identifier: MIT */
/*
 * The whole of joist-fbd but main() on a pretended guest: requests on its control socket, a viewer
 * that speaks RFB through a socket pair, pictures, keys, stillness.
 */

#include "tests/unit/fbd_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/input-event-codes.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/log.h"
#include "fbd/confine.h"
#include "fbd/control.h"
#include "fbd/listen.h"

#define TURN_MS 5
#define REST_MS 100

struct world {
    struct control c;
    char dir[32];
    char path[64];    /* control socket */
    char viewers[64]; /* of VNC */
    bool is_remote;   /* served by another process */
};

static void begin(struct world *w, const char *password)
{
    struct fail f = { 0 };

    memset(w, 0, sizeof(*w));
    fbd_guest_begin();
    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/fbd-test-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    (void)snprintf(w->path, sizeof(w->path), "%s/control", w->dir);
    (void)snprintf(w->viewers, sizeof(w->viewers), "%s/vnc", w->dir);
    w->c.loop = evloop_new();
    w->c.length_max = 4u << 20;
    assert_int_equal(joist_open(&w->c.xen), 0);
    assert_int_equal(joist_restrict(w->c.xen, 1), 0);
    w->c.fb = (struct guestfb){ .xen = w->c.xen, .domid = 1, .port = -1 };
    w->c.kbd = (struct guestkbd){ .xen = w->c.xen, .domid = 1, .port = -1 };
    assert_int_equal(vnc_open(&w->c.vnc, w->c.loop, &w->c.kbd, "guest", password), 0);
    w->c.vnc.rest_ms = REST_MS;
    int fd = listen_unix(w->path, &f);
    assert_true(fd >= 0);
    control_begin(&w->c, fd);
    fd = listen_unix(w->viewers, &f);
    assert_true(fd >= 0);
    vnc_listen(&w->c.vnc, fd);
}

static void end(struct world *w)
{
    control_end(&w->c);
    vnc_close(&w->c.vnc);
    evloop_free(w->c.loop);
    joist_close(w->c.xen);
    fbd_guest_end();
    (void)unlink(w->path);
    (void)unlink(w->viewers);
    assert_int_equal(rmdir(w->dir), 0);
}

static void turns(struct world *w, int n)
{
    for (int i = 0; i < n && w->is_remote; i++) {
        (void)poll(NULL, 0, TURN_MS);
    }
    for (int i = 0; i < n && !w->is_remote; i++) {
        assert_int_equal(evloop_turn(w->c.loop, TURN_MS), 0);
    }
}

static int connect_to(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

/* Reads exactly size bytes while the daemon runs. */
static void get(struct world *w, int fd, void *data, size_t size)
{
    uint8_t *at = data;

    for (int i = 0; size > 0; i++) {
        ssize_t n = read(fd, at, size);

        if (n > 0) {
            at += n;
            size -= (size_t)n;
            continue;
        }
        assert_true(n < 0 && errno == EAGAIN && i < 400);
        turns(w, 1);
    }
}

static void put(struct world *w, int fd, const void *data, size_t size)
{
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    turns(w, 2);
}

/* One request, one line of answer. */
static const char *ask(struct world *w, int fd, const char *text)
{
    static char line[800];
    size_t n = 0;

    put(w, fd, text, strlen(text));
    do {
        get(w, fd, line + n, 1);
    } while (line[n++] != '\n' && n < sizeof(line) - 1);
    line[n - 1] = '\0';
    return line;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static unsigned int be16(const uint8_t *p)
{
    return (unsigned int)p[0] << 8 | p[1];
}

/* The handshake of RFB 3.8 without a password. */
static int view(struct world *w, unsigned int *width, unsigned int *height)
{
    uint8_t data[64];
    int fd = connect_to(w->viewers);

    get(w, fd, data, 12);
    assert_memory_equal(data, "RFB 003.00", 10);
    put(w, fd, "RFB 003.008\n", 12);
    get(w, fd, data, 2);
    assert_int_equal(data[0], 1);
    assert_int_equal(data[1], 1); /* none */
    put(w, fd, "\1", 1);
    get(w, fd, data, 4);
    assert_int_equal(be32(data), 0);
    put(w, fd, "\1", 1);
    get(w, fd, data, 24);
    *width = be16(data);
    *height = be16(data + 2);
    assert_int_equal(data[4], 32);
    assert_int_equal(be32(data + 20), 5);
    get(w, fd, data, 5);
    assert_memory_equal(data, "guest", 5);
    put(w, fd, "\2\0\0\2\0\0\0\0\xff\xff\xff\x21", 12); /* raw; new sizes */
    return fd;
}

static void want_update(struct world *w, int fd, bool is_all, unsigned int width,
                        unsigned int height)
{
    const uint8_t m[10] = { 3,
                            !is_all,
                            0,
                            0,
                            0,
                            0,
                            (uint8_t)(width >> 8),
                            (uint8_t)width,
                            (uint8_t)(height >> 8),
                            (uint8_t)height };

    put(w, fd, m, sizeof(m));
}

/* One update message into a picture; returns the bytes of pixels. */
static size_t get_update(struct world *w, int fd, uint32_t *picture, unsigned int width)
{
    uint8_t head[12];
    size_t total = 0;

    get(w, fd, head, 4);
    assert_int_equal(head[0], 0);
    for (unsigned int n = be16(head + 2); n > 0; n--) {
        get(w, fd, head, 12);
        assert_int_equal(be32(head + 8), 0);
        for (unsigned int y = 0; y < be16(head + 6); y++) {
            get(w, fd, picture + (be16(head + 2) + y) * width + be16(head), be16(head + 4) * 4u);
        }
        total += be16(head + 6) * be16(head + 4) * 4u;
    }
    return total;
}

static bool is_quiet(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 0) == 0;
}

static void draw(struct fb_page *page, uint32_t x, uint32_t y, uint32_t colour)
{
    union fb_event e = { .bytes = { 0 } };

    *fbd_pixel(page, x, y) = colour;
    e.update = (struct fb_update){ FB_EVENT_UPDATE, (int32_t)x, (int32_t)y, 1, 1 };
    fbd_put(page, &e);
}

static void test_viewer(void **state)
{
    static uint32_t picture[160 * 120];
    struct world w;
    unsigned int width;
    unsigned int height;

    (void)state;
    begin(&w, "");
    struct fb_page *page = fbd_make_screen(160, 120, 32);
    *fbd_pixel(page, 5, 6) = 0x123456;
    int joistd = connect_to(w.path);
    assert_string_equal(ask(&w, joistd, "vfb 16384 0 1\n"), "ok vfb 160 120");
    int fd = view(&w, &width, &height);
    assert_int_equal(width, 160);
    assert_int_equal(height, 120);
    want_update(&w, fd, true, 160, 120);
    assert_int_equal(get_update(&w, fd, picture, 160), 160 * 120 * 4);
    assert_int_equal(picture[6 * 160 + 5] & 0xffffff, 0x123456);
    want_update(&w, fd, false, 160, 120);
    turns(&w, 20);
    assert_true(is_quiet(fd)); /* nothing has changed */
    draw(page, 159, 119, 0xabcdef);
    assert_int_equal(get_update(&w, fd, picture, 160), 32 * 8 * 4); /* one tile */
    assert_int_equal(picture[119 * 160 + 159] & 0xffffff, 0xabcdef);
    want_update(&w, fd, false, 160, 120);
    draw(page, 159, 119, 0xabcdef); /* drawn again, as it was */
    turns(&w, 20);
    assert_true(is_quiet(fd));
    assert_string_equal(ask(&w, joistd, "info\n"), "info port=0 clients=1 width=160 height=120");
    close(fd);
    turns(&w, 5);
    assert_string_equal(ask(&w, joistd, "info\n"), "info port=0 clients=0 width=160 height=120");
    close(joistd);
    end(&w);
}

static void want_tile(struct world *w, int fd, uint32_t *picture, uint32_t colour)
{
    assert_int_equal(get_update(w, fd, picture, 160), 64 * 16 * 4);
    assert_int_equal(picture[5] & 0xffffff, colour);
}

/* Our copy's memory is given back on a still screen, and no viewer notices. */
static void test_rest(void **state)
{
    static uint32_t one[160 * 120];
    static uint32_t two[160 * 120];
    struct world w;
    unsigned int width;
    unsigned int height;

    (void)state;
    begin(&w, "");
    struct fb_page *page = fbd_make_screen(160, 120, 32);
    *fbd_pixel(page, 159, 119) = 0x654321;
    int joistd = connect_to(w.path);
    assert_string_equal(ask(&w, joistd, "vfb 16384 0 1\n"), "ok vfb 160 120");
    int first = view(&w, &width, &height);
    int second = view(&w, &width, &height);
    want_update(&w, first, true, 160, 120);
    assert_int_equal(get_update(&w, first, one, 160), sizeof(one));
    want_update(&w, second, true, 160, 120);
    assert_int_equal(get_update(&w, second, two, 160), sizeof(two));
    assert_int_equal(w.c.vnc.shadow.held_count, 3 * 8);
    want_update(&w, second, false, 160, 120);
    turns(&w, REST_MS / TURN_MS + 20);
    assert_int_equal(w.c.vnc.shadow.held_count, 0);
    assert_true(is_quiet(second));
    want_update(&w, first, false, 160, 120);
    turns(&w, 5);
    for (uint32_t colour = 0x111111; colour <= 0x222222; colour += 0x111111) {
        /* drawn, but not told of yet; one viewer asks for all and has it, so the other must, too */
        int asks = colour == 0x111111 ? first : second;
        int waits = colour == 0x111111 ? second : first;
        uint32_t *all = colour == 0x111111 ? one : two;
        uint32_t *tile = colour == 0x111111 ? two : one;

        *fbd_pixel(page, 5, 0) = colour;
        want_update(&w, asks, true, 160, 120);
        assert_int_equal(get_update(&w, asks, all, 160), sizeof(one));
        assert_int_equal(all[5], colour);
        assert_int_equal(all[119 * 160 + 159] & 0xffffff, 0x654321);
        want_tile(&w, waits, tile, colour);
        want_update(&w, waits, false, 160, 120);
        want_update(&w, asks, false, 160, 120);
        turns(&w, REST_MS / TURN_MS + 20);
        assert_true(is_quiet(first) && is_quiet(second));
    }
    draw(page, 5, 0, 0); /* back to what it was */
    want_tile(&w, first, one, 0);
    want_tile(&w, second, two, 0);
    want_update(&w, second, false, 160, 120);
    turns(&w, REST_MS / TURN_MS + 20);
    draw(page, 5, 0, 0x333333); /* one tile is all that is held */
    want_tile(&w, second, two, 0x333333);
    assert_int_equal(w.c.vnc.shadow.held_count, 1);
    close(first);
    close(second);
    turns(&w, 5);
    assert_int_equal(w.c.vnc.shadow.held_count, 0);
    close(joistd);
    end(&w);
}

/* Who says nothing, or not the password, does not keep others out. */
static void test_greeting(void **state)
{
    struct world w;
    uint8_t data[64];
    unsigned int width;
    unsigned int height;
    int silent[VNC_CLIENTS_MAX];

    (void)state;
    begin(&w, "");
    int stays = view(&w, &width, &height);
    turns(&w, 5);
    assert_int_equal(w.c.vnc.greeting.due_ms, 0); /* a still screen has no timer */
    for (int i = 1; i < VNC_CLIENTS_MAX; i++) {
        silent[i] = connect_to(w.viewers);
        get(&w, silent[i], data, 12);
    }
    assert_int_equal(w.c.vnc.client_count, VNC_CLIENTS_MAX);
    int late = connect_to(w.viewers); /* no place is free: closed */
    turns(&w, 5);
    assert_int_equal(read(late, data, 1), 0);
    close(late);
    w.c.vnc.greeting_ms = 300;
    put(&w, silent[1], "RFB 003.008\n", 12); /* says something, but not all */
    turns(&w, 400 / TURN_MS);
    assert_int_equal(w.c.vnc.client_count, 1);
    assert_int_equal(w.c.vnc.greeting.due_ms, 0);
    late = view(&w, &width, &height);
    assert_int_equal(w.c.vnc.client_count, 2);
    close(late);
    close(stays);
    for (int i = 1; i < VNC_CLIENTS_MAX; i++) {
        close(silent[i]);
    }
    end(&w);
}

static unsigned int lines_of(const char *path)
{
    unsigned int n = 0;
    int c;
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    while ((c = fgetc(f)) != EOF) {
        n += c == '\n';
    }
    (void)fclose(f);
    return n;
}

/* Who connects without end, and a guest that does, do not fill the log. */
static void test_log_limits(void **state)
{
    struct world w;
    uint8_t data[64];
    int viewers[VNC_CLIENTS_MAX];
    char path[64];
    char line[32];

    (void)state;
    begin(&w, "");
    (void)snprintf(path, sizeof(path), "%s/log", w.dir);
    assert_int_equal(log_open_shared("fbd", path), 0);
    for (int i = 0; i < VNC_CLIENTS_MAX; i++) {
        viewers[i] = connect_to(w.viewers);
        get(&w, viewers[i], data, 12);
    }
    for (int i = 0; i < 200; i++) {
        int late = connect_to(w.viewers);
        turns(&w, 1);
        close(late);
    }
    unsigned int refusals = lines_of(path);
    assert_in_range(refusals, 1, LOG_BURST);
    for (int i = 0; i < VNC_CLIENTS_MAX; i++) {
        close(viewers[i]);
    }
    (void)fbd_make_screen(64, 64, 32);
    int joistd = connect_to(w.path);
    log_verbose(1);
    for (int i = 0; i < 60; i++) { /* as joistd does for a guest that closes and opens */
        bool is_good = i % 2 == 0;

        (void)snprintf(line, sizeof(line), "vfb %d 0 1\n", is_good ? 16384 : 3);
        assert_non_null(strstr(ask(&w, joistd, line), is_good ? "ok vfb" : "error vfb"));
        assert_string_equal(ask(&w, joistd, "gone vfb\n"), "ok gone");
    }
    log_verbose(0);
    assert_in_range(lines_of(path), refusals + 1, refusals + LOG_BURST + 3);
    close(joistd);
    (void)unlink(path);
    end(&w);
}

/* Scaling is refused, in both of its forms, and nothing stays of it; other viewers stay. */
static void test_scaled(void **state)
{
    static uint32_t picture[160 * 120];
    struct world w;
    unsigned int width;
    unsigned int height;
    char byte;

    (void)state;
    begin(&w, "");
    fbd_make_screen(160, 120, 16);
    int joistd = connect_to(w.path);
    assert_string_equal(ask(&w, joistd, "vfb 16384 0 1\n"), "ok vfb 160 120");
    int stays = connect_to(w.viewers);
    turns(&w, 5);
    for (int i = 0; i < 2; i++) {
        int fd = connect_to(w.viewers);
        uint8_t data[64];

        get(&w, fd, data, 12);
        put(&w, fd, "RFB 003.008\n", 12);
        get(&w, fd, data, 2);
        put(&w, fd, "\1", 1);
        get(&w, fd, data, 4);
        put(&w, fd, "\1", 1);
        get(&w, fd, data, 29);
        put(&w, fd, i == 0 ? "\x8\2\0\0" : "\xf\2\0\0", 4);
        turns(&w, 5);
        ssize_t n;
        while ((n = read(fd, &byte, 1)) > 0) { /* it has answered before */
        }
        assert_true(n == 0 || errno == ECONNRESET);
        close(fd);
        assert_int_equal(w.c.vnc.client_count, 1);
        assert_null(w.c.vnc.screen->scaledScreenNext);
    }
    fbd_make_screen(32, 20, 32); /* smaller and deeper */
    assert_string_equal(ask(&w, joistd, "vfb 16384 0 1\n"), "ok vfb 32 20");
    int fd = view(&w, &width, &height);
    want_update(&w, fd, true, 32, 20);
    assert_int_equal(get_update(&w, fd, picture, 32), 32 * 20 * 4);
    close(fd);
    close(stays);
    close(joistd);
    end(&w);
}

static void test_sizes(void **state)
{
    static uint32_t picture[800 * 600];
    uint8_t head[16];
    struct world w;
    unsigned int width;
    unsigned int height;
    union fb_event e = { .bytes = { 0 } };

    (void)state;
    begin(&w, "");
    int fd = view(&w, &width, &height);
    assert_int_equal(width, 800);      /* black until the guest shows something */
    want_update(&w, fd, true, 10, 20); /* what fits into the socket: nobody else reads it */
    assert_int_equal(get_update(&w, fd, picture, 800), 10 * 20 * 4);
    want_update(&w, fd, false, 10, 20);
    struct fb_page *page = fbd_make_screen(160, 120, 32);
    int joistd = connect_to(w.path);
    assert_string_equal(ask(&w, joistd, "vfb 16384 0 1\n"), "ok vfb 160 120");
    get(&w, fd, head, 16); /* one rectangle: the new size */
    assert_int_equal(be32(head + 12), 0xffffff21);
    assert_int_equal(be16(head + 8), 160);
    want_update(&w, fd, true, 160, 120);
    assert_int_equal(get_update(&w, fd, picture, 160), 160 * 120 * 4);
    want_update(&w, fd, false, 160, 120);
    e.resize = (struct fb_resize){ FB_EVENT_RESIZE, 32, 20, 640, 32, 0 };
    fbd_put(page, &e);
    get(&w, fd, head, 16);
    assert_int_equal(be16(head + 8), 32);
    assert_int_equal(be16(head + 10), 20);
    e.resize.width = 100000; /* nonsense: the screen is let go, the viewer stays */
    fbd_put(page, &e);
    assert_non_null(strstr(ask(&w, joistd, "info\n"), "broken vfb"));
    assert_string_equal(ask(&w, joistd, ""), "info port=0 clients=1 width=0 height=0");
    turns(&w, 5);
    assert_int_equal(fbd_guest.mapped, 0);
    assert_string_equal(ask(&w, joistd, "vfb 16385 0 1\n"),
                        "error vfb screen: frame buffer: 0 bytes; at most 4194304");
    close(fd);
    close(joistd);
    end(&w);
}

static void test_keys(void **state)
{
    struct world w;
    unsigned int width;
    unsigned int height;

    (void)state;
    begin(&w, "");
    struct kbd_page *page = fbd_page(KIT_FIRST + 1);
    const uint8_t *ring = (const uint8_t *)page + KBD_IN_OFFSET;
    int joistd = connect_to(w.path);
    assert_string_equal(ask(&w, joistd, "vkb 16385 1 1\n"), "ok vkb");
    int fd = view(&w, &width, &height);
    put(&w, fd, "\4\1\0\0\0\0\0x", 8);
    const struct kbd_key *key = (const void *)ring;
    assert_int_equal(page->in_prod, 1);
    assert_int_equal(key->keycode, KEY_X);
    put(&w, fd, "\5\0\1\x2c\0\xc8", 6);
    const struct kbd_pos *pos = (const void *)(ring + WIRE_EVENT_SIZE);
    assert_int_equal(pos->type, KBD_EVENT_POS);
    assert_int_equal(pos->abs_x, 300);
    assert_int_equal(pos->abs_y, 200);
    close(fd); /* with the key held */
    turns(&w, 5);
    assert_int_equal(page->in_prod, 3);
    assert_int_equal(((const struct kbd_key *)(const void *)(ring + 80))->pressed, 0);
    close(joistd);
    end(&w);
}

static void test_shot(void **state)
{
    static uint8_t rgb[320 * 200 * 3];
    struct world w;

    (void)state;
    begin(&w, "");
    int fd = connect_to(w.path);
    assert_string_equal(ask(&w, fd, "shot\n"), "error shot the guest shows no screen");
    struct fb_page *page = fbd_make_screen(320, 200, 32);
    *fbd_pixel(page, 319, 199) = 0x010203;
    *fbd_pixel(page, 0, 0) = 0xfffefd;
    assert_string_equal(ask(&w, fd, "vfb 16384 0 1\n"), "ok vfb 320 200");
    assert_string_equal(ask(&w, fd, "shot\n"), "shot 320 200");
    get(&w, fd, rgb, sizeof(rgb));
    assert_memory_equal(rgb, "\xff\xfe\xfd", 3);
    assert_memory_equal(rgb + sizeof(rgb) - 3, "\1\2\3", 3);
    page = fbd_make_screen(320, 200, 16);
    page->dir[0] = KIT_FIRST + 2;
    memset(fbd_page(KIT_FB_FRAME + 31), 0x1f, 2); /* first pixel, in the last page */
    assert_string_equal(ask(&w, fd, "vfb 16384 0 1\n"), "ok vfb 320 200");
    assert_string_equal(ask(&w, fd, "shot\n"), "shot 320 200");
    get(&w, fd, rgb, sizeof(rgb));
    assert_int_equal(rgb[0], 0x18); /* 3 of 31 */
    assert_int_equal(rgb[2], 0xff);
    assert_string_equal(ask(&w, fd, "nonsense\n"), "error unknown request");
    assert_string_equal(ask(&w, fd, "vfb x\n"), "error vfb three numbers are wanted");
    char flood[400];
    memset(flood, 'x', sizeof(flood));
    put(&w, fd, flood, sizeof(flood)); /* no line: thrown out */
    turns(&w, 5);
    char byte;
    assert_true(read(fd, &byte, 1) == 0 || errno == ECONNRESET);
    close(fd);
    end(&w);
}

/* The challenge, answered with a password; returns whether we are let in. */
static bool is_let_in(struct world *w, char *password)
{
    uint8_t data[64];
    int fd = connect_to(w->viewers);

    get(w, fd, data, 12);
    put(w, fd, "RFB 003.008\n", 12);
    get(w, fd, data, 2);
    assert_int_equal(data[1], 2);
    put(w, fd, "\2", 1);
    get(w, fd, data, 16);
    rfbEncryptBytes(data, password);
    put(w, fd, data, 16);
    get(w, fd, data, 4);
    if (be32(data) == 0) {
        put(w, fd, "\1", 1);
        get(w, fd, data, 24);
        assert_int_equal(be16(data), 800);
    }
    close(fd);
    turns(w, 5);
    return be32(data) != 1;
}

static void test_password(void **state)
{
    uint8_t data[64];
    struct world w;

    (void)state;
    begin(&w, "secret");
    int fd = connect_to(w.viewers);
    get(&w, fd, data, 12);
    put(&w, fd, "RFB 003.008\n", 12);
    get(&w, fd, data, 2);
    assert_int_equal(data[1], 2); /* VNC authentication, nothing else */
    put(&w, fd, "\2", 1);
    get(&w, fd, data, 16);
    memset(data, 0, 16);
    put(&w, fd, data, 16);
    get(&w, fd, data, 4);
    assert_int_equal(be32(data), 1); /* refused */
    turns(&w, 5);
    assert_int_equal(w.c.vnc.client_count, 0);
    close(fd);
    assert_true(is_let_in(&w, "secret"));
    assert_false(is_let_in(&w, "Secret"));
    assert_false(is_let_in(&w, ""));
    assert_true(is_let_in(&w, "secret")); /* a wrong one locks nobody out */
    assert_int_equal(w.c.vnc.client_count, 0);
    end(&w);
}

/* Serves in a child with no rights left; its exit code says how that went. */
static pid_t serve_confined(struct world *w)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)alarm(60); /* a test that fails meanwhile does not end us */
        int file = memfd_create("log", 0);
        int rc = confine();

        while (rc == 0 && !w->c.is_over) {
            rc = evloop_turn(w->c.loop, 1000);
        }
        bool has_rights =
            open("/etc/passwd", O_RDONLY) >= 0 || socket(AF_INET, SOCK_STREAM, 0) >= 0;
        bool is_long = lseek(file, 2 * LOG_FILE_MAX, SEEK_SET) < 0 || write(file, "x", 1) == 1;
        _exit(rc != 0 || has_rights || is_long);
    }
    assert_true(pid > 0);
    return pid;
}

static void want_all(struct world *w, int fd, uint32_t encoding)
{
    const uint8_t m[8] = { 2,
                           0,
                           0,
                           1,
                           (uint8_t)(encoding >> 24),
                           (uint8_t)(encoding >> 16),
                           (uint8_t)(encoding >> 8),
                           (uint8_t)encoding };
    uint8_t head[16];

    assert_int_equal(write(fd, m, sizeof(m)), (ssize_t)sizeof(m));
    want_update(w, fd, true, 640, 480);
    get(w, fd, head, 16);
    assert_int_equal(head[0], 0);
    assert_int_equal(be32(head + 12), encoding);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char sink[65536];
    while (poll(&p, 1, 300) > 0) { /* what it is exactly is the library's business */
        assert_true(read(fd, sink, sizeof(sink)) > 0);
    }
}

static void test_confined(void **state)
{
    static const uint32_t encodings[] = { 0, 5, 6, 7, 16 }; /* raw hextile zlib tight ZRLE */
    struct world w;
    unsigned int width;
    unsigned int height;
    int status;

    (void)state;
    begin(&w, "");
    struct fb_page *page = fbd_make_screen(640, 480, 32);
    for (uint32_t i = 0; i < 640 * 480; i += 3) {
        *fbd_pixel(page, i % 640, i / 640) = i * 2654435761u;
    }
    int joistd = connect_to(w.path);
    pid_t pid = serve_confined(&w);
    w.is_remote = true;
    assert_string_equal(ask(&w, joistd, "vfb 16384 0 1\n"), "ok vfb 640 480");
    for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
        int fd = view(&w, &width, &height);
        assert_int_equal(width, 640);
        want_all(&w, fd, encodings[i]);
        close(fd);
    }
    assert_int_equal(write(joistd, "quit\n", 5), 5);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(joistd);
    end(&w);
}

/* Changes here and there are not sent as the area around them; a guest that tells of none is looked
   at. Served by a process of its own: a socket does not take such a picture at once. */
static void test_scattered(void **state)
{
    static uint32_t picture[640 * 480];
    struct world w;
    unsigned int width;
    unsigned int height;
    int status;

    (void)state;
    begin(&w, "");
    struct fb_page *page = fbd_make_screen(640, 480, 32);
    int joistd = connect_to(w.path);
    pid_t pid = serve_confined(&w);
    w.is_remote = true;
    assert_string_equal(ask(&w, joistd, "vfb 16384 0 0\n"), "ok vfb 640 480");
    int fd = view(&w, &width, &height);
    want_update(&w, fd, true, 640, 480);
    assert_int_equal(get_update(&w, fd, picture, 640), sizeof(picture));
    turns(&w, REST_MS / TURN_MS + 20);
    for (uint32_t i = 0; i < 150; i++) { /* every other tile */
        *fbd_pixel(page, (i % 5 * 2 + i / 5 % 2) * 64, i / 5 * 16) = i + 1;
    }
    turns(&w, 2 * VNC_POLL_MS / TURN_MS);
    want_update(&w, fd, false, 640, 480);
    assert_int_equal(get_update(&w, fd, picture, 640), 150 * 64 * 16 * 4);
    for (uint32_t i = 0; i < 150; i++) {
        assert_int_equal(picture[i / 5 * 16 * 640 + (i % 5 * 2 + i / 5 % 2) * 64] & 0xffffff,
                         i + 1);
    }
    close(fd);
    assert_int_equal(write(joistd, "quit\n", 5), 5);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(joistd);
    end(&w);
}

static void test_port_in_use(void **state)
{
    struct listen_place one = { "127.0.0.1", 25900, true };
    struct fail f = { 0 };
    char self[32];

    (void)state;
    int fd = listen_tcp(&one, &f);
    assert_true(fd >= 0);
    struct listen_place two = one;
    two.is_any_port = false;
    assert_int_equal(listen_tcp(&two, &f), -EADDRINUSE);
    (void)snprintf(self, sizeof(self), "(pid %d)", getpid());
    if (access("/proc/self/fd", R_OK) == 0) { /* who has a port is found there */
        assert_non_null(strstr(f.cause, self));
    }
    two.is_any_port = true;
    f = (struct fail){ 0 };
    int next = listen_tcp(&two, &f);
    assert_true(next >= 0);
    assert_true(two.port > one.port);
    two.address = "192.0.2.1"; /* of nobody */
    assert_int_equal(listen_tcp(&two, &f), -EADDRNOTAVAIL);
    two.address = "no address";
    f = (struct fail){ 0 };
    assert_int_equal(listen_tcp(&two, &f), -EINVAL);
    close(fd);
    close(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_viewer),      cmocka_unit_test(test_rest),
        cmocka_unit_test(test_scattered),   cmocka_unit_test(test_scaled),
        cmocka_unit_test(test_greeting),    cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_keys),        cmocka_unit_test(test_shot),
        cmocka_unit_test(test_password),    cmocka_unit_test(test_confined),
        cmocka_unit_test(test_port_in_use), cmocka_unit_test(test_log_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
