/* SPDX-License-Identifier: MIT */
/* The control socket, and the guest's events. */

#include "fbd/control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"

#define EVENTS_PER_TURN 64
#define OUT_MARK        65536u /* a picture goes on when less than this is waiting */

static struct log_limit guest_lines; /* what the guest causes by connecting, and by nonsense */

static void set_events(struct peer *p)
{
    bool is_busy = p->out.len > 0 || p->shot_line < p->shot.height;

    p->source.events = (short)(POLLIN | (is_busy ? POLLOUT : 0));
}

static void drop_peer(struct peer *p)
{
    struct control *c = p->control;

    evloop_del(c->loop, &p->source);
    close(p->source.fd);
    buf_free(&p->in);
    buf_free(&p->out);
    if (c->owner == p) {
        c->owner = NULL;
    }
    p->control = NULL;
}

/* --- pictures ----------------------------------------------------------------------------- */

static void pixel_rgb(const struct geometry *g, const uint8_t *from, uint8_t *rgb)
{
    if (g->bytes == 4) {
        rgb[0] = from[2];
        rgb[1] = from[1];
        rgb[2] = from[0];
        return;
    }
    unsigned int v = (unsigned int)from[0] | (unsigned int)from[1] << 8;
    unsigned int red = v >> 11;
    unsigned int green = (v >> 5) & 63;
    unsigned int blue = v & 31;
    rgb[0] = (uint8_t)(red << 3 | red >> 2);
    rgb[1] = (uint8_t)(green << 2 | green >> 4);
    rgb[2] = (uint8_t)(blue << 3 | blue >> 2);
}

/* Some more lines; black ones when the guest's screen has changed or gone meanwhile. */
static void shot_more(struct control *c, struct peer *p)
{
    size_t size = (size_t)p->shot.width * 3;

    while (p->shot_line < p->shot.height && p->out.len < OUT_MARK) {
        uint8_t *to = buf_room(&p->out, size);
        bool is_there = c->fb.pixels && memcmp(&c->fb.geometry, &p->shot, sizeof(p->shot)) == 0;

        memset(to, 0, size);
        for (uint32_t x = 0; is_there && x < p->shot.width; x++) {
            pixel_rgb(&p->shot, guestfb_line(&c->fb, p->shot_line) + (size_t)x * p->shot.bytes,
                      to + (size_t)x * 3);
        }
        buf_added(&p->out, size);
        p->shot_line++;
    }
}

static void shot_begin(struct control *c, struct peer *p)
{
    if (!c->fb.pixels) {
        buf_printf(&p->out, "error shot the guest shows no screen\n");
        return;
    }
    p->shot = c->fb.geometry;
    p->shot_line = 0;
    buf_printf(&p->out, "shot %u %u\n", p->shot.width, p->shot.height);
    shot_more(c, p);
}

/* --- the guest's devices ------------------------------------------------------------------ */

static void close_screen(struct control *c)
{
    if (c->fb.pixels) {
        vnc_show(&c->vnc, NULL, false);
        guestfb_close(&c->fb);
    }
}

static void answer_fail(struct peer *p, const char *what, const struct fail *f)
{
    char text[700];

    fail_text(f, text, sizeof(text));
    log_limited(&guest_lines, LOG_LEVEL_ERROR, "%s", text);
    buf_printf(&p->out, "%s %s\n", what, text);
}

static void open_screen(struct control *c, struct peer *p, const char *args)
{
    unsigned long long frame;
    unsigned int port;
    unsigned int has_updates;
    struct fail f = { 0 };

    if (sscanf(args, "%llu %u %u", &frame, &port, &has_updates) != 3) {
        buf_printf(&p->out, "error vfb three numbers are wanted\n");
        return;
    }
    close_screen(c);
    if (guestfb_open(&c->fb, frame, port, c->length_max, &f) < 0) {
        answer_fail(p, "error vfb", &f);
        return;
    }
    c->owner = p;
    vnc_show(&c->vnc, &c->fb, has_updates == 0);
    log_limited(&guest_lines, LOG_LEVEL_INFO, "screen of %u x %u pixels", c->fb.geometry.width,
                c->fb.geometry.height);
    buf_printf(&p->out, "ok vfb %u %u\n", c->fb.geometry.width, c->fb.geometry.height);
}

static void open_keyboard(struct control *c, struct peer *p, const char *args)
{
    unsigned long long frame;
    unsigned int port;
    unsigned int is_absolute;
    struct fail f = { 0 };

    if (sscanf(args, "%llu %u %u", &frame, &port, &is_absolute) != 3) {
        buf_printf(&p->out, "error vkb three numbers are wanted\n");
        return;
    }
    guestkbd_close(&c->kbd);
    c->kbd.is_absolute = is_absolute != 0;
    if (guestkbd_open(&c->kbd, frame, port, &f) < 0) {
        answer_fail(p, "error vkb", &f);
        return;
    }
    buf_printf(&p->out, "ok vkb\n");
}

/* The guest has drawn. A ring that makes no sense is not looked at again. */
static void serve_screen(struct control *c)
{
    struct guestfb_news news;
    struct fail f = { 0 };

    if (guestfb_take(&c->fb, &news, &f) < 0) {
        struct peer *p = c->owner;

        vnc_show(&c->vnc, NULL, false);
        guestfb_close(&c->fb);
        if (p) {
            answer_fail(p, "broken vfb", &f);
            set_events(p);
        } else {
            log_limited(&guest_lines, LOG_LEVEL_ERROR, "screen: %s: %s", f.object, f.cause);
        }
        return;
    }
    (void)joist_evtchn_unmask(c->xen, (uint32_t)c->fb.port);
    (void)joist_evtchn_notify(c->xen, (uint32_t)c->fb.port);
    if (news.is_resized) {
        vnc_show(&c->vnc, &c->fb, c->vnc.must_poll);
    } else if (!area_is_empty(&news.damage)) {
        vnc_damage(&c->vnc, &news.damage);
    }
}

static void on_evtchn(struct ev_fd *src, short revents)
{
    struct control *c = src->owner;

    (void)revents;
    for (int i = 0; i < EVENTS_PER_TURN; i++) {
        int port = joist_evtchn_pending(c->xen);

        if (port < 0) {
            return;
        }
        if (c->fb.pixels && port == c->fb.port) {
            serve_screen(c);
        } else {
            (void)joist_evtchn_unmask(c->xen, (uint32_t)port);
        }
    }
}

/* --- requests ----------------------------------------------------------------------------- */

void control_line(struct control *c, struct peer *p, char *line)
{
    if (strncmp(line, "vfb ", 4) == 0) {
        open_screen(c, p, line + 4);
    } else if (strncmp(line, "vkb ", 4) == 0) {
        open_keyboard(c, p, line + 4);
    } else if (strcmp(line, "gone vfb") == 0) {
        close_screen(c);
        buf_printf(&p->out, "ok gone\n");
    } else if (strcmp(line, "gone vkb") == 0) {
        guestkbd_close(&c->kbd);
        buf_printf(&p->out, "ok gone\n");
    } else if (strcmp(line, "shot") == 0) {
        shot_begin(c, p);
    } else if (strcmp(line, "info") == 0) {
        buf_printf(&p->out, "info port=%u clients=%u width=%u height=%u\n", c->port,
                   c->vnc.client_count, c->fb.pixels ? c->fb.geometry.width : 0,
                   c->fb.pixels ? c->fb.geometry.height : 0);
    } else if (strcmp(line, "quit") == 0) {
        c->is_over = true;
    } else {
        buf_printf(&p->out, "error unknown request\n");
    }
}

static void take_lines(struct peer *p)
{
    char *end;

    while (p->in.len > 0 && (end = memchr(buf_data(&p->in), '\n', p->in.len)) != NULL) {
        char *line = buf_data(&p->in);
        size_t size = (size_t)(end - line) + 1;

        *end = '\0';
        control_line(p->control, p, line);
        buf_drop(&p->in, size);
    }
}

/* False when the peer has gone or sends nonsense. */
static bool read_peer(struct peer *p)
{
    ssize_t n = read(p->source.fd, buf_room(&p->in, CONTROL_LINE_MAX), CONTROL_LINE_MAX);

    if (n > 0) {
        buf_added(&p->in, (size_t)n);
        take_lines(p);
        return p->in.len < CONTROL_LINE_MAX;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static bool write_peer(struct peer *p)
{
    shot_more(p->control, p);
    while (p->out.len > 0) {
        ssize_t n = send(p->source.fd, buf_data(&p->out), p->out.len, MSG_NOSIGNAL);

        if (n < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        buf_drop(&p->out, (size_t)n);
        shot_more(p->control, p);
    }
    return true;
}

static void on_peer(struct ev_fd *src, short revents)
{
    struct peer *p = src->owner;
    bool is_fine = true;

    if (revents & (POLLIN | POLLHUP | POLLERR)) {
        is_fine = read_peer(p);
    }
    if (!is_fine || !write_peer(p)) {
        drop_peer(p);
        return;
    }
    set_events(p);
}

static void on_connect(struct ev_fd *src, short revents)
{
    struct control *c = src->owner;
    int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct peer *p = c->peers;

    (void)revents;
    while (p < c->peers + CONTROL_PEERS && p->control) {
        p++;
    }
    if (fd >= 0 && p == c->peers + CONTROL_PEERS) {
        close(fd);
        return;
    }
    if (fd >= 0) {
        *p = (struct peer){ .control = c };
        p->source = (struct ev_fd){ .fd = fd, .events = POLLIN, .handler = on_peer, .owner = p };
        evloop_add(c->loop, &p->source);
    }
}

void control_begin(struct control *c, int fd)
{
    c->listener = (struct ev_fd){ .fd = fd, .events = POLLIN, .handler = on_connect, .owner = c };
    evloop_add(c->loop, &c->listener);
    c->evtchn = (struct ev_fd){
        .fd = joist_evtchn_fd(c->xen), .events = POLLIN, .handler = on_evtchn, .owner = c
    };
    evloop_add(c->loop, &c->evtchn);
}

void control_end(struct control *c)
{
    for (struct peer *p = c->peers; p < c->peers + CONTROL_PEERS; p++) {
        if (p->control) {
            drop_peer(p);
        }
    }
    close_screen(c);
    guestkbd_close(&c->kbd);
    evloop_del(c->loop, &c->evtchn);
    evloop_del(c->loop, &c->listener);
    close(c->listener.fd);
}
