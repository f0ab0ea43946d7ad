/* SPDX-License-Identifier: MIT */
/*
 * Entries of `vfb=[...]` and `vkb=[...]` in xl's syntax, and the store nodes of both.  Facts: the
 * nodes are those that Linux's front ends read and those that stock tools write beside them.
 */
#include "joistd/vfb.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "joistd/config.h"

struct reader {
    struct dev_parse *p;
    struct device *dev;
    struct vfb *v;
    struct dev_word w;
    bool has_display;
    bool has_unused;
};

static int bad_value(struct reader *r, const char *wanted)
{
    return dev_bad(r->p, r->w.value_at, "%s=%.60s: %s is wanted", r->w.key, r->w.value, wanted);
}

static int take_bool(struct reader *r, bool *out)
{
    const char *v = r->w.value;

    if (strcmp(v, "1") != 0 && strcmp(v, "0") != 0) {
        return bad_value(r, "0 or 1");
    }
    *out = v[0] == '1';
    return 0;
}

static int take_number(struct reader *r, const char *text, unsigned int most, unsigned int *out)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    char wanted[48];

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || strlen(text) > 9 || n > most) {
        snprintf(wanted, sizeof(wanted), "a number up to %u", most);
        return bad_value(r, wanted);
    }
    *out = (unsigned int)n;
    return 0;
}

static int take_vnc(struct reader *r)
{
    return take_bool(r, &r->v->has_vnc);
}

/* An address, with a display behind a colon as xl has it; IPv6 with a display in brackets. */
static int take_listen(struct reader *r)
{
    char text[sizeof(r->v->listen)];
    unsigned char raw[16];
    char *colon;
    char *host = text;

    if (strlen(r->w.value) >= sizeof(text)) {
        return bad_value(r, "a numeric address");
    }
    snprintf(text, sizeof(text), "%s", r->w.value);
    if (inet_pton(AF_INET6, text, raw) != 1) {
        colon = strrchr(text, ':');
        if (colon != NULL) {
            *colon = '\0';
            r->has_display = true;
            if (take_number(r, colon + 1, VFB_DISPLAY_MAX, &r->v->display) != 0) {
                return r->p->f->code;
            }
        }
        if (text[0] == '[' && text[strlen(text) - 1] == ']') {
            text[strlen(text) - 1] = '\0';
            host++;
        }
    }
    if (inet_pton(AF_INET, host, raw) != 1 && inet_pton(AF_INET6, host, raw) != 1) {
        return bad_value(r, "a numeric address, such as 127.0.0.1 or ::");
    }
    snprintf(r->v->listen, sizeof(r->v->listen), "%s", host);
    return 0;
}

static int take_display(struct reader *r)
{
    r->has_display = true;
    return take_number(r, r->w.value, VFB_DISPLAY_MAX, &r->v->display);
}

static int take_unused(struct reader *r)
{
    r->has_unused = true;
    return take_bool(r, &r->v->is_any_port);
}

static int take_password(struct reader *r)
{
    if (strlen(r->w.value) > VFB_PASSWORD_MAX) {
        dev_warn(r->p, r->w.value_at, "VNC looks at the first %d bytes of a password only",
                 VFB_PASSWORD_MAX);
    }
    snprintf(r->v->password, sizeof(r->v->password), "%.*s", VFB_PASSWORD_MAX, r->w.value);
    return 0;
}

static int take_socket(struct reader *r)
{
    if (r->w.value[0] != '/' || strlen(r->w.value) >= sizeof(r->v->socket)) {
        return bad_value(r, "an absolute path of at most 107 bytes");
    }
    snprintf(r->v->socket, sizeof(r->v->socket), "%s", r->w.value);
    return 0;
}

static int take_videoram(struct reader *r)
{
    int rc = take_number(r, r->w.value, VFB_VIDEORAM_MAX, &r->v->videoram);

    return rc == 0 && r->v->videoram == 0 ? bad_value(r, "at least 1") : rc;
}

/* A screen's page is named by a machine frame, which only the control domain may map. */
static int take_backend(struct reader *r)
{
    if (strcmp(r->w.value, "0") != 0 && strcmp(r->w.value, "Domain-0") != 0) {
        dev_bad(r->p, r->w.value_at, "backend=%.60s: a screen is served by the control domain only",
                r->w.value);
        return fail_remedy(r->p->f, "leave backend= out");
    }
    return 0;
}

static int take_keymap(struct reader *r)
{
    if (strcmp(r->w.value, "en-us") != 0) {
        dev_warn(r->p, r->w.at, "keymap=%.32s: viewers' keys are taken as those of a US keyboard",
                 r->w.value);
    }
    return 0;
}

static int take_other(struct reader *r)
{
    if (strcmp(r->w.value, "0") != 0) {
        dev_warn(r->p, r->w.at, "%s= has no effect: the screen is served over VNC", r->w.key);
    }
    return 0;
}

static const struct {
    const char *key;
    int (*take)(struct reader *r);
} keys[] = {
    { "vnc", take_vnc },           { "vnclisten", take_listen },   { "vncdisplay", take_display },
    { "vncunused", take_unused },  { "vncpasswd", take_password }, { "vncsocket", take_socket },
    { "videoram", take_videoram }, { "backend", take_backend },    { "keymap", take_keymap },
    { "sdl", take_other },         { "opengl", take_other },       { "display", take_other },
    { "xauthority", take_other },
};

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

static int take_word(struct reader *r)
{
    size_t i;

    if (r->w.text[0] == '\0') {
        return 0;
    }
    for (i = 0; i < KEY_COUNT && strcmp(keys[i].key, r->w.key) != 0; i++) {
    }
    if (i < KEY_COUNT) {
        return keys[i].take(r);
    }
    dev_bad(r->p, r->w.at, "unknown key \"%.32s\" of a screen",
            r->w.key[0] != '\0' ? r->w.key : r->w.text);
    return fail_remedy(r->p->f, "keys of a screen: vnc, vnclisten, vncdisplay, vncunused, "
                                "vncpasswd, vncsocket, videoram");
}

static int vfb_parse(struct dev_parse *p, struct device *dev)
{
    struct reader *r = calloc(1, sizeof(*r));
    struct vfb *v = dev->own;
    int rc = 0;

    if (r == NULL) {
        return fail_set(p->f, -ENOMEM, "config", "vfb", "out of memory");
    }
    *r = (struct reader){ .p = p, .dev = dev, .v = v };
    *v = (struct vfb){ .has_vnc = true, .listen = "127.0.0.1", .videoram = VFB_VIDEORAM };
    while (rc == 0 && dev_next(p, &r->w)) {
        rc = take_word(r);
    }
    if (!r->has_unused) {
        v->is_any_port = !r->has_display; /* who names a display wants that one */
    }
    free(r);
    return rc;
}

/* Two screens cannot be at one port; seen here when both are known, else when it is bound. */
static int vfb_clash(const struct device *mine, const struct device *other, const char *other_guest,
                     struct fail *f)
{
    const struct vfb *a = mine->own;
    const struct vfb *b = other->own;

    if (!a->has_vnc || !b->has_vnc || a->is_any_port || b->is_any_port ||
        a->display != b->display || strcmp(a->listen, b->listen) != 0) {
        return 0;
    }
    fail_set(f, -EADDRINUSE, "config", mine->where,
             "vncdisplay %u (port %u) is that of guest %.63s", a->display,
             a->display + VFB_PORT_BASE, other_guest);
    return fail_remedy(f, "choose another vncdisplay, or vncunused=1");
}

/* What the guest may read has no password. */
static void vfb_nodes(struct dev_nodes *n, const struct dev_env *env, const struct device *dev)
{
    const struct vfb *v = dev->own;

    (void)env;
    dev_back(n, "vnc", "%d", v->has_vnc ? 1 : 0);
    dev_back(n, "vnclisten", "%s", v->listen);
    dev_back(n, "vncdisplay", "%u", v->display);
    dev_back(n, "vncunused", "%d", v->is_any_port ? 1 : 0);
    dev_back(n, "videoram", "%u", v->videoram);
    dev_back(n, "feature-resize", "1");
    dev_back(n, "request-update", "1");
    dev_private(n, "vnc-port", "%u", v->port);
    dev_private(n, "vnc-socket", "%s", v->socket);
}

/* The entry that implies a keyboard is read by vfb_parse(); one of its own has no screen. */
static int vkb_parse(struct dev_parse *p, struct device *dev)
{
    (void)dev;
    if (p->by != NULL) {
        return 0;
    }
    dev_bad(p, 0, "a keyboard comes with the screen whose viewers type on it");
    return fail_remedy(p->f, "remove vkb=; vfb=[\"vnc=1\"] brings a keyboard and a pointer");
}

static void vkb_nodes(struct dev_nodes *n, const struct dev_env *env, const struct device *dev)
{
    (void)env;
    (void)dev;
    dev_back(n, "feature-abs-pointer", "1");
    dev_back(n, "width", "800"); /* until the screen's is known: what Linux's front end has */
    dev_back(n, "height", "600");
}

const struct device *vfb_of(const struct config *c)
{
    return dev_by_id(c, &vfb_class, 0);
}

const struct dev_class vkb_class = {
    .kind = DEV_VKB,
    .name = "vkbd",
    .key = "vkb",
    .noun = "keyboard",
    .max = 1,
    .parse = vkb_parse,
    .nodes = vkb_nodes,
};

const struct dev_class vfb_class = {
    .kind = DEV_VFB,
    .name = "vfb",
    .key = "vfb",
    .noun = "screen",
    .max = 1,
    .size = sizeof(struct vfb),
    .implies = &vkb_class,
    .parse = vfb_parse,
    .clash = vfb_clash,
    .nodes = vfb_nodes,
};
