/* SPDX-License-Identifier: MIT */
/*
 * Entries of `channel=[...]`: a second console of the guest that leads to a terminal or to a unix
 * socket, served by joist-consoled.  Facts: xl's syntax; the nodes are those that Linux's console
 * front end reads (state) and those by which programs in the guest find the channel (name).
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "joistd/config.h"
#include "joistd/devhost.h"

#define CHANNELS_MAX 9 /* Linux reads one digit */

struct channel {
    char name[64];
    char path[108]; /* of the socket */
    bool is_socket;
};

static int take_name(struct dev_parse *p, const struct dev_word *w, struct channel *ch)
{
    size_t i;

    for (i = 0; w->value[i] != '\0'; i++) {
        if (!isalnum((unsigned char)w->value[i]) && strchr("._-", w->value[i]) == NULL) {
            return dev_bad(p, w->value_at + i,
                           "a channel's name has letters, digits, '.', '_', '-'");
        }
    }
    if (i == 0 || i >= sizeof(ch->name)) {
        return dev_bad(p, w->value_at, "a channel's name has 1 to 63 bytes");
    }
    snprintf(ch->name, sizeof(ch->name), "%s", w->value);
    return 0;
}

static int take_word(struct dev_parse *p, struct device *dev, const struct dev_word *w,
                     bool *has_connection)
{
    struct channel *ch = dev->own;

    if (strcmp(w->key, "name") == 0) {
        return take_name(p, w, ch);
    }
    if (strcmp(w->key, "connection") == 0) {
        *has_connection = true;
        ch->is_socket = strcmp(w->value, "socket") == 0;
        return ch->is_socket || strcmp(w->value, "pty") == 0
                   ? 0
                   : dev_bad(p, w->value_at, "connection=%.32s: pty or socket is wanted", w->value);
    }
    if (strcmp(w->key, "path") == 0) {
        if (w->value[0] != '/' || strlen(w->value) >= sizeof(ch->path)) {
            return dev_bad(p, w->value_at, "path= is absolute and has at most 107 bytes");
        }
        snprintf(ch->path, sizeof(ch->path), "%s", w->value);
        return 0;
    }
    if (strcmp(w->key, "backend") == 0) {
        return strcmp(w->value, "0") == 0 || strcmp(w->value, "Domain-0") == 0
                   ? 0
                   : dev_bad(p, w->value_at, "a channel is served by the control domain only");
    }
    dev_bad(p, w->at, "unknown key \"%.32s\" of a channel", w->key[0] != '\0' ? w->key : w->text);
    return fail_remedy(p->f, "keys of a channel: name, connection, path");
}

static int channel_parse(struct dev_parse *p, struct device *dev)
{
    const struct channel *ch = dev->own;
    struct dev_word *w = calloc(1, sizeof(*w));
    bool has_connection = false;
    int rc = 0;

    if (w == NULL) {
        return fail_set(p->f, -ENOMEM, "config", "channel", "out of memory");
    }
    while (rc == 0 && dev_next(p, w)) {
        rc = w->text[0] != '\0' ? take_word(p, dev, w, &has_connection) : 0;
    }
    free(w);
    if (rc == 0 && ch->name[0] == '\0') {
        rc = dev_bad(p, 0, "a channel needs a name: name=org.example.thing");
    }
    if (rc == 0 && !has_connection) {
        rc = dev_bad(p, 0, "a channel needs connection=pty or connection=socket");
    }
    if (rc == 0 && ch->is_socket && ch->path[0] == '\0') {
        rc = dev_bad(p, 0, "connection=socket needs path=");
    }
    if (rc == 0 && !ch->is_socket && ch->path[0] != '\0') {
        rc = dev_bad(p, 0, "path= is for connection=socket");
    }
    return rc;
}

static int channel_clash(const struct device *mine, const struct device *other,
                         const char *other_guest, struct fail *f)
{
    const struct channel *a = mine->own;
    const struct channel *b = other->own;

    if (!a->is_socket || !b->is_socket || strcmp(a->path, b->path) != 0) {
        return 0;
    }
    return fail_set(f, -EADDRINUSE, "config", mine->where, "%s is the socket of guest %.63s",
                    a->path, other_guest);
}

static int channel_finish(const struct config *c, struct device *dev, struct fail *f)
{
    const struct channel *ch = dev->own;
    unsigned int i;

    for (i = 0; i < c->device_count && c->devices[i] != dev; i++) {
        const struct channel *o = c->devices[i]->own;

        if (c->devices[i]->class == dev->class &&
            (strcmp(o->name, ch->name) == 0 || (ch->is_socket && strcmp(o->path, ch->path) == 0))) {
            return fail_set(f, -EEXIST, "config", dev->where,
                            "another channel has this name or path");
        }
    }
    return 0;
}

static bool channel_is_called(const struct device *dev, const char *text)
{
    const struct channel *ch = dev->own;

    return strcmp(text, ch->name) == 0;
}

static void channel_nodes(struct dev_nodes *n, const struct dev_env *env, const struct device *dev)
{
    const struct channel *ch = dev->own;

    dev_front(n, "type", "xenconsoled");
    dev_front(n, "output", "%s", ch->is_socket ? "socket" : "pty");
    dev_front(n, "name", "%s", ch->name);
    dev_front(n, "limit", "1048576");
    dev_front_fixed(n, env, "tty", ""); /* stock tools open what it names */
    dev_back(n, "name", "%s", ch->name);
    dev_back(n, "connection", "%s", ch->is_socket ? "socket" : "pty");
    if (ch->is_socket) {
        dev_back(n, "path", "%s", ch->path);
    }
    dev_back(n, "protocol", "vt100");
}

const struct dev_class channel_class = {
    .kind = DEV_CONSOLE,
    .name = "console",
    .key = "channel",
    .noun = "channel",
    .max = CHANNELS_MAX,
    .first_id = 1,
    .size = sizeof(struct channel),
    .parse = channel_parse,
    .finish = channel_finish,
    .clash = channel_clash,
    .is_called = channel_is_called,
    .nodes = channel_nodes,
};

/* The console daemon makes the socket when the guest connects: what would fail then is said now. */
static int channel_prepare(struct dev_work *w, struct device *dev)
{
    const struct channel *ch = dev->own;
    char dir[sizeof(ch->path)];
    struct stat st;

    if (!ch->is_socket) {
        return 0;
    }
    snprintf(dir, sizeof(dir), "%s", ch->path);
    *strrchr(dir, '/') = '\0';
    if (stat(dir[0] != '\0' ? dir : "/", &st) != 0 || !S_ISDIR(st.st_mode)) {
        return fail_set(w->f, -ENOENT, "channel", dev->where, "%s: there is no directory %s",
                        ch->path, dir);
    }
    if (lstat(ch->path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        return fail_set(w->f, -EEXIST, "channel", dev->where, "%s exists and is no socket",
                        ch->path);
    }
    return 0;
}

const struct dev_host channel_host = { .prepare = channel_prepare };
