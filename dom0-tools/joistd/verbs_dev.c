/* SPDX-License-Identifier: MIT */
/* The verbs on devices, the same for every class: attach, detach, list. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "joistd/api.h"
#include "joistd/vfb.h"

static const char *need_text(struct call *c, const char *key)
{
    const char *text = json_string_value(json_object_get(c->args, key));

    if (text == NULL) {
        fail_set(c->f, -EINVAL, "request", key, "the argument \"%s\" is missing or no text", key);
    }
    return text;
}

static const struct dev_class *need_class(struct call *c)
{
    const char *word = need_text(c, "class");
    const struct dev_class *class = word != NULL ? dev_class_of(word) : NULL;

    if (word != NULL && class == NULL) {
        fail_set(c->f, -EINVAL, "request", "class", "there are no devices called \"%.32s\"", word);
    }
    return class;
}

/* A guest of ours that runs; NULL with the failure set. */
static struct guest *need_running(struct call *c)
{
    struct guest *g = c->target.guest;

    if (g == NULL) {
        fail_set(c->f, -EPERM, "device", c->target.name, "joistd did not start this domain");
        return NULL;
    }
    if (g->state != GUEST_RUNNING || g->domid < 0) {
        fail_set(c->f, -EBUSY, "device", c->target.name,
                 "it is not running: built, ended or preserved");
        return NULL;
    }
    return g;
}

json_t *verb_device_attach(struct call *c)
{
    const struct dev_class *class = need_class(c);
    const char *entry = class != NULL ? need_text(c, "entry") : NULL;
    const char *cwd = json_string_value(json_object_get(c->args, "cwd"));
    struct guest *g = entry != NULL ? need_running(c) : NULL;

    return g != NULL ? api_wait_device(c, guest_attach(g, class, entry, cwd != NULL ? cwd : "/"))
                     : NULL;
}

json_t *verb_device_detach(struct call *c)
{
    const struct dev_class *class = need_class(c);
    const char *device = class != NULL ? need_text(c, "device") : NULL;
    bool force = json_is_true(json_object_get(c->args, "force"));
    struct guest *g = device != NULL ? need_running(c) : NULL;

    return g != NULL ? api_wait_device(c, guest_detach(g, class, device, force)) : NULL;
}

json_t *verb_device_resize(struct call *c)
{
    const struct dev_class *class = need_class(c);
    const char *device = class != NULL ? need_text(c, "device") : NULL;
    struct guest *g = device != NULL ? need_running(c) : NULL;

    return g != NULL ? api_wait_device(c, guest_resize(g, class, device)) : NULL;
}

static json_t *devices_of(struct call *c, const struct dev_class *class, const struct target *t)
{
    if (t->info == NULL) {
        return json_pack("{s:s, s:i, s:[]}", "name", t->name, "domid", -1, "devices");
    }
    return json_pack("{s:s, s:i, s:o}", "name", t->name, "domid", t->info->domain, "devices",
                     dev_list(c->d->store, class, t->info->domain));
}

json_t *verb_device_list(struct call *c)
{
    const struct dev_class *class = need_class(c);
    const json_t *wanted = json_object_get(c->args, "domains");
    json_t *out;
    json_t *item;
    size_t i;

    if (class == NULL) {
        return NULL;
    }
    if (c->d->store == NULL) {
        fail_set(c->f, -ENOTCONN, "store", "store", "it cannot be reached");
        fail_remedy(c->f, "see whether joist-stored runs");
        return NULL;
    }
    out = json_array();
    json_array_foreach(wanted, i, item)
    {
        struct target t;

        if (json_string_value(item) == NULL) {
            fail_set(c->f, -EINVAL, "request", "domains", "an entry is no text");
        } else if (domain_find(c, json_string_value(item), &t) == 0) {
            json_array_append_new(out, devices_of(c, class, &t));
        }
        if (c->f->code != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

/* Where a guest's screen can be seen. */
json_t *verb_screen(struct call *c)
{
    struct guest *g = need_running(c);
    const struct device *dev = g != NULL ? vfb_of(&g->config) : NULL;
    char path[96];
    char *port = NULL;
    json_t *out;

    if (g == NULL) {
        return NULL;
    }
    if (dev == NULL) {
        fail_set(c->f, -ENODEV, "screen", c->target.name, "it has no screen");
        fail_remedy(c->f, "give it one: vfb=[\"vnc=1\"]");
        return NULL;
    }
    const struct vfb *v = dev->own;

    snprintf(path, sizeof(path), "/libxl/%d/device/vfb/%u/vnc-port", g->domid, dev->id);
    if (c->d->store == NULL || store_read(c->d->store, 0, path, &port) != 0) {
        port = NULL;
    }
    out = json_pack("{s:s, s:i, s:s, s:i, s:s, s:b}", "name", c->target.name, "domid", g->domid,
                    "listen", v->listen, "port",
                    v->has_vnc && port != NULL ? (int)strtol(port, NULL, 10) : 0, "socket",
                    v->socket, "password", v->password[0] != '\0');
    free(port);
    vfb_control_path(path, sizeof(path), (unsigned int)g->domid);
    json_object_set_new(out, "control", json_string(path));
    return out;
}
