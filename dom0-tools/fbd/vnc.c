/* SPDX-License-Identifier: MIT */
/* The VNC side of a screen. */

#include "fbd/vnc.h"

#include <errno.h>
#include <poll.h>
#include <rfb/rfbregion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"

#define EMPTY_WIDTH  800 /* of the black screen before the guest's */
#define EMPTY_HEIGHT 600

struct viewer {
    struct ev_fd source;
    uint64_t since_ms; /* when it came */
};

static struct log_limit let_go; /* one process has one guest: one limit for each cause will do */

static void library_says(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void library_says(const char *format, ...)
{
    char line[256];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    while (n > 0 && n < (int)sizeof(line) && line[n - 1] == '\n') {
        line[--n] = '\0';
    }
    log_debug("vnc: %s", line);
}

static struct vnc *vnc_of(const rfbClientRec *cl)
{
    return cl->screen->screenData;
}

/* --- pixels ------------------------------------------------------------------------------- */

/* The guest's order of colours, which is not the library's default. */
static void set_format(rfbScreenInfoPtr s, uint32_t bytes)
{
    rfbPixelFormat *p = &s->serverFormat;

    p->bitsPerPixel = (uint8_t)(bytes * 8);
    p->depth = bytes == 2 ? 16 : 24;
    p->trueColour = 1;
    p->redMax = bytes == 2 ? 31 : 255;
    p->greenMax = bytes == 2 ? 63 : 255;
    p->blueMax = bytes == 2 ? 31 : 255;
    p->redShift = bytes == 2 ? 11 : 16;
    p->greenShift = bytes == 2 ? 5 : 8;
    p->blueShift = 0;
}

static void mark(void *arg, const struct area *a)
{
    struct vnc *v = arg;

    rfbMarkRectAsModified(v->screen, (int)a->left, (int)a->top, (int)a->right, (int)a->bottom);
}

/* The copy is held as long as pictures are made from it, and a little longer. */
static void hold(struct vnc *v)
{
    if (v->shadow.held_count > 0) {
        evloop_arm(v->loop, &v->rest, v->rest_ms);
    }
}

static void on_rest(struct ev_timer *src)
{
    struct vnc *v = src->owner;

    shadow_forget(&v->shadow);
}

/* The library is about to encode what a viewer has asked for: those tiles must be in our copy. */
static void before_update(rfbClientPtr cl)
{
    struct vnc *v = vnc_of(cl);
    sraRect r;

    if (!v->fb) {
        return; /* black */
    }
    sraRegionPtr wanted = sraRgnCreateRgn(cl->modifiedRegion);
    (void)sraRgnAnd(wanted, cl->requestedRegion);
    sraRectangleIterator *i = sraRgnGetIterator(wanted);
    while (sraRgnIteratorNext(i, &r)) {
        const struct area a = { .left = (uint32_t)r.x1,
                                .top = (uint32_t)r.y1,
                                .right = (uint32_t)r.x2,
                                .bottom = (uint32_t)r.y2 };

        if (shadow_fill(&v->shadow, v->fb, &a, mark, v) > 0) {
            v->is_news = true;
        }
    }
    sraRgnReleaseIterator(i);
    sraRgnDestroy(wanted);
    hold(v);
}

/* Frees what the library has scaled for viewers that are gone. */
static void free_scaled(rfbScreenInfoPtr s)
{
    while (s->scaledScreenNext && s->scaledScreenNext->scaledScreenRefCount <= 0) {
        rfbScreenInfoPtr old = s->scaledScreenNext;

        s->scaledScreenNext = old->scaledScreenNext;
        free(old->frameBuffer);
        free(old);
    }
}

/* How long a viewer may still take until it is one; 0: it is one, or has been let go. */
static uint64_t greeting_left(const struct vnc *v, rfbClientPtr cl, uint64_t now)
{
    const struct viewer *w = cl->clientData;

    if (cl->state == RFB_NORMAL) {
        return 0;
    }
    if (now - w->since_ms < v->greeting_ms) {
        return v->greeting_ms - (now - w->since_ms);
    }
    log_limited(&let_go, LOG_LEVEL_WARN,
                "a viewer is let go: it has not come to an end of its greeting in %u ms",
                v->greeting_ms);
    rfbCloseClient(cl);
    return 0;
}

/* The library reads what viewers say, sends them what has changed, and lets go of who has left. */
static void run_library(struct vnc *v)
{
    do {
        v->is_news = false;
        (void)rfbProcessEvents(v->screen, 0);
    } while (v->is_news); /* seen while one was served: others may have been served before */
}

/*
 * One turn of the library, after which two kinds of viewers are let go.
 *
 * One that wants the picture scaled: the library keeps a scaled picture's size and depth when the
 * guest changes those of the screen, and then divides by zero or writes beyond the picture's end.
 * Viewers scale by themselves. And one that does not come to the end of its greeting: who has no
 * password could else take all places.
 */
static void serve(struct vnc *v)
{
    uint64_t now = evloop_now_ms();
    uint64_t wait = 0;
    bool is_over = false;
    rfbClientPtr cl;

    run_library(v);
    rfbClientIteratorPtr i = rfbGetClientIterator(v->screen);
    while ((cl = rfbClientIteratorNext(i)) != NULL) {
        uint64_t left = greeting_left(v, cl, now);

        wait = left > 0 && (wait == 0 || left < wait) ? left : wait;
        if (cl->sock >= 0 && cl->scaledScreen != v->screen) {
            log_limited(&let_go, LOG_LEVEL_WARN,
                        "a viewer asks for a scaled picture, which is not served");
            rfbCloseClient(cl);
        }
        is_over = is_over || cl->sock < 0;
    }
    rfbReleaseClientIterator(i);
    if (wait > 0) {
        evloop_arm(v->loop, &v->greeting, wait);
    } else {
        evloop_disarm(v->loop, &v->greeting);
    }
    if (is_over) {
        run_library(v); /* takes them out of its list */
        free_scaled(v->screen);
    }
}

static void on_greeting(struct ev_timer *src)
{
    serve(src->owner);
}

static void look(struct vnc *v)
{
    struct area area = v->damage;

    v->damage = (struct area){ 0 };
    v->looked_ms = evloop_now_ms();
    evloop_disarm(v->loop, &v->refresh);
    if (v->client_count == 0 || !v->fb) {
        return;
    }
    if (!area_is_empty(&area) && shadow_update(&v->shadow, v->fb, &area, mark, v) > 0) {
        hold(v);
        serve(v);
    }
    if (v->must_poll && v->client_count > 0) {
        v->damage = (struct area){ .right = v->shadow.width, .bottom = v->shadow.height };
        evloop_arm(v->loop, &v->refresh, VNC_POLL_MS);
    }
}

static void on_refresh(struct ev_timer *src)
{
    look(src->owner);
}

void vnc_damage(struct vnc *v, const struct area *area)
{
    uint64_t passed = evloop_now_ms() - v->looked_ms;

    if (v->client_count == 0) {
        return; /* the first viewer gets everything */
    }
    area_add(&v->damage, area);
    if (passed >= VNC_FRAME_MS) {
        look(v);
    } else if (v->refresh.due_ms == 0) {
        evloop_arm(v->loop, &v->refresh, VNC_FRAME_MS - passed);
    }
}

void vnc_show(struct vnc *v, struct guestfb *fb, bool must_poll)
{
    struct shadow next;
    struct shadow old = v->shadow;
    uint32_t width = fb ? fb->geometry.width : old.width;
    uint32_t height = fb ? fb->geometry.height : old.height;
    uint32_t bytes = fb ? fb->geometry.bytes : old.bytes;
    rfbClientPtr cl;

    v->fb = NULL;
    if (shadow_open(&next, width, height, bytes) < 0) {
        static struct log_limit limit;

        log_limited(&limit, LOG_LEVEL_ERROR, "no memory for a screen of %u x %u", width, height);
        return;
    }
    v->fb = fb;
    v->must_poll = must_poll;
    v->shadow = next;
    rfbNewFramebuffer(v->screen, (char *)next.pixels, (int)width, (int)height, bytes == 2 ? 5 : 8,
                      3, (int)bytes);
    set_format(v->screen, bytes);
    rfbClientIteratorPtr i = rfbGetClientIterator(v->screen);
    while ((cl = rfbClientIteratorNext(i)) != NULL) {
        (void)v->screen->setTranslateFunction(cl);
    }
    rfbReleaseClientIterator(i);
    shadow_close(&old);
    mark(v, &(struct area){ .right = width, .bottom = height });
    v->damage = (struct area){ 0 };
    look(v); /* from now on, if the guest has to be looked at */
    serve(v);
}

/* --- viewers ------------------------------------------------------------------------------ */

static void on_client(struct ev_fd *src, short revents)
{
    (void)revents;
    serve(vnc_of(src->owner)); /* src may be gone afterwards */
}

static void client_gone(rfbClientPtr cl)
{
    struct vnc *v = vnc_of(cl);
    struct viewer *w = cl->clientData;

    evloop_del(v->loop, &w->source);
    free(w);
    cl->clientData = NULL;
    v->client_count--;
    guestkbd_release(v->kbd);
    if (v->client_count == 0) {
        evloop_disarm(v->loop, &v->refresh);
        evloop_disarm(v->loop, &v->rest);
        evloop_disarm(v->loop, &v->greeting);
        shadow_forget(&v->shadow);
    }
}

static enum rfbNewClientAction new_client(rfbClientPtr cl)
{
    struct vnc *v = vnc_of(cl);
    struct viewer *w = xalloc(sizeof(*w));

    w->since_ms = evloop_now_ms();
    w->source =
        (struct ev_fd){ .fd = cl->sock, .events = POLLIN, .handler = on_client, .owner = cl };
    evloop_add(v->loop, &w->source);
    cl->clientData = w;
    cl->clientGoneHook = client_gone;
    v->client_count++;
    if (v->greeting.due_ms == 0) {
        evloop_arm(v->loop, &v->greeting, v->greeting_ms);
    }
    if (v->client_count == 1) {
        v->damage = (struct area){ 0 }; /* it gets everything */
        look(v);
    }
    return RFB_CLIENT_ACCEPT;
}

static void on_listener(struct ev_fd *src, short revents)
{
    struct vnc *v = src->owner;
    int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC);

    (void)revents;
    if (fd < 0) {
        return;
    }
    if (v->client_count >= VNC_CLIENTS_MAX) {
        static struct log_limit limit;

        log_limited(&limit, LOG_LEVEL_WARN, "a viewer is refused: %u are connected",
                    v->client_count);
        close(fd);
        return;
    }
    rfbNewClientConnection(v->screen, fd);
}

static void on_key(rfbBool is_down, rfbKeySym keysym, rfbClientPtr cl)
{
    guestkbd_key(vnc_of(cl)->kbd, keysym, is_down);
}

static void on_pointer(int buttons, int x, int y, rfbClientPtr cl)
{
    const rfbScreenInfo *s = cl->screen;
    int right = x < s->width ? x : s->width - 1;
    int bottom = y < s->height ? y : s->height - 1;

    guestkbd_pointer(vnc_of(cl)->kbd, right > 0 ? right : 0, bottom > 0 ? bottom : 0,
                     (uint8_t)buttons);
}

static void on_release_all(rfbClientPtr cl)
{
    guestkbd_release(vnc_of(cl)->kbd);
}

/* --- start and end ------------------------------------------------------------------------ */

int vnc_open(struct vnc *v, struct evloop *loop, struct guestkbd *kbd, const char *name,
             const char *password)
{
    *v = (struct vnc){ .loop = loop, .kbd = kbd };
    rfbLog = library_says;
    rfbErr = library_says;
    (void)snprintf(v->title, sizeof(v->title), "%s", name);
    (void)snprintf(v->password, sizeof(v->password), "%s", password);
    v->passwords[0] = v->password;
    v->refresh = (struct ev_timer){ .handler = on_refresh, .owner = v };
    v->rest = (struct ev_timer){ .handler = on_rest, .owner = v };
    v->greeting = (struct ev_timer){ .handler = on_greeting, .owner = v };
    v->rest_ms = VNC_REST_MS;
    v->greeting_ms = VNC_GREETING_MS;
    int rc = shadow_open(&v->shadow, EMPTY_WIDTH, EMPTY_HEIGHT, 4);
    if (rc < 0) {
        return rc;
    }
    rfbScreenInfoPtr s = rfbGetScreen(NULL, NULL, EMPTY_WIDTH, EMPTY_HEIGHT, 8, 3, 4);
    if (!s) {
        shadow_close(&v->shadow);
        return -ENOMEM;
    }
    v->screen = s;
    s->screenData = v;
    s->frameBuffer = (char *)v->shadow.pixels;
    s->desktopName = v->title;
    s->cursor = NULL; /* the guest draws its own */
    s->alwaysShared = TRUE;
    s->deferUpdateTime = 0; /* nothing is put off: the library has no timer here */
    s->deferPtrUpdateTime = 0;
    s->maxClientWait = VNC_PATIENCE_MS;
    s->maxRectsPerUpdate = 0; /* many changes are never sent as the one area around them */
    s->displayHook = before_update;
    s->port = 0; /* sockets are ours: see listen.c */
    s->ipv6port = 0;
    s->autoPort = FALSE;
    s->newClientHook = new_client;
    s->kbdAddEvent = on_key;
    s->ptrAddEvent = on_pointer;
    s->kbdReleaseAllKeys = on_release_all;
    if (v->password[0]) {
        s->authPasswdData = v->passwords;
        s->passwordCheck = rfbCheckPasswordByList;
    }
    set_format(s, 4);
    rfbInitServer(s);
    return 0;
}

void vnc_listen(struct vnc *v, int fd)
{
    struct ev_fd *src = &v->listeners[v->listener_count++];

    *src = (struct ev_fd){ .fd = fd, .events = POLLIN, .handler = on_listener, .owner = v };
    evloop_add(v->loop, src);
}

void vnc_close(struct vnc *v)
{
    evloop_disarm(v->loop, &v->refresh);
    evloop_disarm(v->loop, &v->rest);
    evloop_disarm(v->loop, &v->greeting);
    for (unsigned int i = 0; i < v->listener_count; i++) {
        evloop_del(v->loop, &v->listeners[i]);
        close(v->listeners[i].fd);
    }
    rfbShutdownServer(v->screen, TRUE);
    v->screen->frameBuffer = NULL;
    rfbScreenCleanup(v->screen);
    shadow_close(&v->shadow);
}
