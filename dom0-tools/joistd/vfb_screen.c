/* SPDX-License-Identifier: MIT */
/* The daemon's part of running screens. */
#include "joistd/vfb_screen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "joistd/joistd.h"
#include "joistd/vfb.h"

#define CONNECT_MS 50   /* between tries to reach joist-fbd */
#define AGAIN_MS   900  /* between two starts of one that ends at once */
#define LINE_MAX_  1024 /* of joist-fbd's answers */

static const char token[] = "screen";

enum half_state {
    HALF_IDLE,   /* joist-fbd knows nothing of it */
    HALF_ASKED,  /* it has been told where the page is */
    HALF_SERVED, /* it has mapped it */
    HALF_BROKEN, /* it refused; until the guest closes its end */
};

struct half {
    const char *word;  /* in the control protocol */
    const char *class; /* in the store */
    enum half_state state;
};

struct screen {
    struct guest *g;
    int domid;
    int fd; /* control socket; -1: not connected */
    struct ev_fd source;
    struct ev_timer timer;
    struct buf in;
    uint64_t started_ms; /* the last time that joist-fbd was started here */
    struct half fb;
    struct half kb;
};

static void step(struct screen *s);

/* --- the store ------------------------------------------------------------------------------- */

static void front_path(const struct screen *s, const struct half *h, const char *node, char *path,
                       size_t size)
{
    snprintf(path, size, "/local/domain/%d/device/%s/0/%s", s->domid, h->class, node);
}

/* A number in the front end's directory; -1 if there is none. */
static long long front_number(const struct screen *s, const struct half *h, const char *node)
{
    char path[96];
    char *text = NULL;
    char *end;
    long long n = -1;

    front_path(s, h, node, path, sizeof(path));
    if (s->g->d->store != NULL && store_read(s->g->d->store, 0, path, &text) == 0 &&
        text[0] >= '0' && text[0] <= '9') {
        errno = 0;
        n = strtoll(text, &end, 10);
        if (*end != '\0' || errno != 0) {
            n = -1;
        }
    }
    free(text);
    return n;
}

static int back_state(const struct screen *s, const struct half *h)
{
    char path[96];
    char *text = NULL;
    int state = -1;

    snprintf(path, sizeof(path), "/local/domain/0/backend/%s/%d/0/state", h->class, s->domid);
    if (s->g->d->store != NULL && store_read(s->g->d->store, 0, path, &text) == 0) {
        state = atoi(text);
    }
    free(text);
    return state;
}

static void set_back(const struct screen *s, const struct half *h, const char *node, unsigned int v)
{
    char path[96];
    char text[16];
    const struct store_node set = { path, text, NULL };

    snprintf(path, sizeof(path), "/local/domain/0/backend/%s/%d/0/%s", h->class, s->domid, node);
    snprintf(text, sizeof(text), "%u", v);
    if (s->g->d->store != NULL) {
        store_apply(s->g->d->store, &set, 1, STORE_TIMEOUT);
    }
}

/* Moves the back end's state, unless its nodes are gone or it is there. */
static void set_state(const struct screen *s, const struct half *h, enum xenbus_state state)
{
    int now = back_state(s, h);

    if (now >= 0 && now != (int)state) {
        set_back(s, h, "state", state);
    }
}

/* --- the control connection ------------------------------------------------------------------ */

static void disconnect(struct screen *s)
{
    if (s->fd >= 0) {
        evloop_del(s->g->d->loop, &s->source);
        close(s->fd);
    }
    s->fd = -1;
    buf_clear(&s->in);
    s->fb.state = HALF_IDLE;
    s->kb.state = HALF_IDLE;
}

static void say(struct screen *s, const char *line)
{
    if (send(s->fd, line, strlen(line), MSG_NOSIGNAL) < 0) {
        log_limited(&s->g->screen_lines, LOG_LEVEL_WARN, "%s: its screen takes no requests: %s",
                    s->g->config.name, strerror(errno));
    }
}

static struct half *half_of(struct screen *s, const char *word)
{
    return strncmp(word, "vfb", 3) == 0 ? &s->fb : strncmp(word, "vkb", 3) == 0 ? &s->kb : NULL;
}

static void answered(struct screen *s, const char *line)
{
    bool is_ok = strncmp(line, "ok ", 3) == 0;
    const char *rest = strchr(line, ' ');
    struct half *h = rest != NULL ? half_of(s, rest + 1) : NULL;
    unsigned int width;
    unsigned int height;

    if (h == NULL) {
        return;
    }
    if (!is_ok) {
        log_limited(&s->g->screen_lines, LOG_LEVEL_ERROR, "%s: %s", s->g->config.name, line);
        h->state = HALF_BROKEN;
        set_state(s, h, XB_CLOSED);
        return;
    }
    h->state = HALF_SERVED;
    if (sscanf(line, "ok vfb %u %u", &width, &height) == 2) {
        set_back(s, &s->kb, "width", width);
        set_back(s, &s->kb, "height", height);
    }
    set_state(s, h, XB_CONNECTED);
}

static void readable(struct ev_fd *src, short revents)
{
    struct screen *s = src->owner;
    ssize_t n = read(s->fd, buf_room(&s->in, LINE_MAX_), LINE_MAX_);
    char *end;

    (void)revents;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0 || s->in.len > 4 * LINE_MAX_) {
        log_limited(&s->g->screen_lines, LOG_LEVEL_WARN,
                    "%s: joist-fbd has ended: it is started again", s->g->config.name);
        disconnect(s);
        step(s);
        return;
    }
    buf_added(&s->in, (size_t)n);
    while (s->in.len > 0 && (end = memchr(buf_data(&s->in), '\n', s->in.len)) != NULL) {
        char *line = buf_data(&s->in);
        size_t size = (size_t)(end - line) + 1;

        *end = '\0';
        answered(s, line);
        buf_drop(&s->in, size);
    }
    step(s);
}

static bool connect_control(struct screen *s)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    vfb_control_path(addr.sun_path, sizeof(addr.sun_path), (unsigned int)s->domid);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    s->fd = fd;
    s->source = (struct ev_fd){ .fd = fd, .events = POLLIN, .handler = readable, .owner = s };
    evloop_add(s->g->d->loop, &s->source);
    return true;
}

/* Starts joist-fbd as it was: on the port that it had. */
static void start(struct screen *s)
{
    const struct device *dev = vfb_of(&s->g->config);
    struct fail f = { 0 };
    char path[64];
    char *port = NULL;
    struct vfb v;

    if (dev == NULL) {
        return;
    }
    v = *(const struct vfb *)dev->own;
    snprintf(path, sizeof(path), "/libxl/%d/device/vfb/0/vnc-port", s->domid);
    if (s->g->d->store != NULL && store_read(s->g->d->store, 0, path, &port) == 0) {
        v.port = (unsigned int)strtoul(port, NULL, 10);
        v.is_any_port = false;
    }
    free(port);
    s->started_ms = evloop_now_ms();
    if (vfb_spawn((unsigned int)s->domid, s->g->config.name, &v, false, &f) != 0) {
        log_limited(&s->g->screen_lines, LOG_LEVEL_ERROR, "%s: joist-fbd: %s", s->g->config.name,
                    f.cause);
    }
}

/* --- following the guest --------------------------------------------------------------------- */

static void introduce(struct screen *s, struct half *h)
{
    long long frame = front_number(s, h, "page-ref");
    long long port = front_number(s, h, "event-channel");
    long long option = front_number(s, h, h == &s->fb ? "feature-update" : "request-abs-pointer");
    char line[96];

    if (frame < 0 || port < 0 || port > UINT32_MAX) {
        return; /* the guest is about to write them, or never will */
    }
    snprintf(line, sizeof(line), "%s %lld %lld %d\n", h->word, frame, port, option > 0);
    h->state = HALF_ASKED;
    say(s, line);
}

static void follow(struct screen *s, struct half *h)
{
    long long front = front_number(s, h, "state");
    char line[16];

    if (front == XB_INITIALISED || front == XB_CONNECTED) {
        bool is_waiting = h == &s->kb && s->fb.state == HALF_ASKED; /* for the screen's size */

        if (h->state == HALF_IDLE && !is_waiting) {
            introduce(s, h);
        }
        return;
    }
    if (h->state != HALF_IDLE) {
        snprintf(line, sizeof(line), "gone %s\n", h->word);
        say(s, line);
        h->state = HALF_IDLE;
    }
    if (front == XB_INITIALISING) {
        set_state(s, h, XB_INIT_WAIT);
    } else if (front >= 0) {
        set_state(s, h, XB_CLOSED);
    }
}

static void step(struct screen *s)
{
    uint64_t since = evloop_now_ms() - s->started_ms;

    if (s->fd < 0 && !connect_control(s)) {
        if (s->started_ms == 0 || since >= AGAIN_MS) {
            start(s);
        }
        evloop_arm(s->g->d->loop, &s->timer, CONNECT_MS);
        return;
    }
    follow(s, &s->fb);
    follow(s, &s->kb);
}

static void on_timer(struct ev_timer *t)
{
    step(t->owner);
}

void screen_event(struct joistd *d, const char *path)
{
    int domid = -1;
    struct guest *g;

    if (sscanf(path, "/local/domain/%d/device/", &domid) != 1) {
        return;
    }
    for (g = d->guests; g != NULL; g = g->next) {
        if (g->screen != NULL && g->screen->domid == domid) {
            step(g->screen);
            return;
        }
    }
}

static void watch(const struct screen *s, const struct half *h, bool is_on)
{
    char path[96];

    front_path(s, h, "state", path, sizeof(path));
    if (s->g->d->store == NULL) {
        return;
    }
    if (is_on) {
        store_watch_depth(s->g->d->store, path, token, 0);
    } else {
        store_unwatch(s->g->d->store, path, token);
    }
}

void screen_begin(struct guest *g)
{
    struct screen *s;

    if (g->screen != NULL || g->domid <= 0 || vfb_of(&g->config) == NULL || g->d->store == NULL) {
        return;
    }
    s = xalloc(sizeof(*s));
    *s = (struct screen){ .g = g,
                          .domid = g->domid,
                          .fd = -1,
                          .fb = { .word = "vfb", .class = "vfb" },
                          .kb = { .word = "vkb", .class = "vkbd" } };
    s->timer = (struct ev_timer){ .handler = on_timer, .owner = s };
    g->screen = s;
    watch(s, &s->fb, true);
    watch(s, &s->kb, true);
    evloop_arm(g->d->loop, &s->timer, 0);
}

void screen_begin_all(struct joistd *d)
{
    struct guest *g;

    for (g = d->guests; g != NULL; g = g->next) {
        if (g->state == GUEST_RUNNING || g->state == GUEST_PRESERVED) {
            screen_begin(g);
        }
    }
}

void screen_end(struct guest *g)
{
    struct screen *s = g->screen;

    if (s == NULL) {
        return;
    }
    watch(s, &s->fb, false);
    watch(s, &s->kb, false);
    disconnect(s);
    evloop_disarm(g->d->loop, &s->timer);
    buf_free(&s->in);
    free(s);
    g->screen = NULL;
}
