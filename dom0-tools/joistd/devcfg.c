/* SPDX-License-Identifier: MIT */
/* Devices in a configuration: the table of classes, reading entries, the list a guest has. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "joistd/config.h"
#include "joistd/dev.h"

#define ID_TEXT_MAX 16 /* bytes of "devid=255," and the like */

static const struct dev_class *const classes[DEV_KINDS] = {
    [DEV_VBD] = &disk_class, [DEV_VIF] = &vif_class, [DEV_CONSOLE] = &channel_class,
    [DEV_VFB] = &vfb_class,  [DEV_VKB] = &vkb_class,
};

const struct dev_class *dev_class_at(enum dev_kind kind)
{
    return classes[kind];
}

const struct dev_class *dev_class_of(const char *word)
{
    unsigned int i;

    for (i = 0; i < DEV_KINDS; i++) {
        if (classes[i] != NULL &&
            (strcmp(word, classes[i]->key) == 0 || strcmp(word, classes[i]->name) == 0 ||
             strcmp(word, classes[i]->noun) == 0)) {
            return classes[i];
        }
    }
    return NULL;
}

/* --- one entry ------------------------------------------------------------------------------- */

static void place(const struct dev_parse *p, size_t at, char *out, size_t size)
{
    if (p->line > 0) {
        snprintf(out, size, "%s:%u:%zu", p->file, p->line, p->column + at);
    } else {
        snprintf(out, size, "%s", p->file);
    }
}

int dev_bad(struct dev_parse *p, size_t at, const char *cause, ...)
{
    char position[160];
    char why[256];
    va_list ap;

    va_start(ap, cause);
    vsnprintf(why, sizeof(why), cause, ap);
    va_end(ap);
    place(p, at, position, sizeof(position));
    if (p->line > 0) {
        return fail_set(p->f, -EINVAL, "config", position, "%s", why);
    }
    return fail_set(p->f, -EINVAL, "config", position, "\"%.80s\", byte %zu: %s", p->text, at + 1,
                    why);
}

void dev_warn(struct dev_parse *p, size_t at, const char *text, ...)
{
    char position[160];
    char line[256];
    va_list ap;

    va_start(ap, text);
    vsnprintf(line, sizeof(line), text, ap);
    va_end(ap);
    place(p, at, position, sizeof(position));
    json_array_append_new(p->warnings, json_sprintf("%s: %s", position, line));
}

bool dev_next(struct dev_parse *p, struct dev_word *w)
{
    size_t size = strlen(p->text);
    size_t end;
    const char *eq;
    size_t n;

    if (p->next > size) {
        return false;
    }
    end = p->next + strcspn(p->text + p->next, ",");
    for (w->at = p->next; w->at < end && isspace((unsigned char)p->text[w->at]); w->at++) {
    }
    p->next = end + 1;
    while (end > w->at && isspace((unsigned char)p->text[end - 1])) {
        end--;
    }
    n = end - w->at;
    memcpy(w->text, p->text + w->at, n); /* an entry has at most DEV_TEXT_MAX bytes */
    w->text[n] = '\0';
    w->key[0] = '\0';
    w->value = w->text;
    w->value_at = w->at;
    eq = strchr(w->text, '=');
    if (eq != NULL && (size_t)(eq - w->text) < sizeof(w->key)) {
        memcpy(w->key, w->text, (size_t)(eq - w->text));
        w->key[eq - w->text] = '\0';
        w->value = eq + 1;
        w->value_at = w->at + (size_t)(w->value - w->text);
    }
    return true;
}

void dev_take_rest(struct dev_parse *p, struct dev_word *w)
{
    snprintf(w->text, sizeof(w->text), "%s", p->text + w->at);
    w->value = w->text + (w->value_at - w->at);
    p->next = strlen(p->text) + 1;
}

void dev_save_as(struct device *dev, const char *format, ...)
{
    char *text;
    va_list ap;

    va_start(ap, format);
    if (vasprintf(&text, format, ap) >= 0) {
        free(dev->text);
        dev->text = text;
    }
    va_end(ap);
}

/* --- the list of a configuration -------------------------------------------------------------- */

void dev_unref(struct device *dev)
{
    if (--dev->refs == 0) {
        free(dev->text);
        free(dev->own);
        free(dev);
    }
}

static struct device *device_new(const struct dev_class *class, const struct dev_parse *p)
{
    struct device *dev = calloc(1, sizeof(*dev));

    if (dev == NULL) {
        return NULL;
    }
    dev->refs = 1;
    dev->class = class;
    dev->id = DEV_ID_AUTO;
    dev->is_implied = p->by != NULL;
    dev->text = strdup(p->text);
    dev->own = calloc(1, class->size > 0 ? class->size : 1);
    place(p, 0, dev->where, sizeof(dev->where));
    if (dev->text == NULL || dev->own == NULL) {
        dev_unref(dev);
        return NULL;
    }
    return dev;
}

struct device *dev_by_id(const struct config *c, const struct dev_class *class, unsigned int id)
{
    unsigned int i;

    for (i = 0; i < c->device_count; i++) {
        if (c->devices[i]->class == class && c->devices[i]->id == id) {
            return c->devices[i];
        }
    }
    return NULL;
}

struct device *dev_by_name(const struct config *c, const struct dev_class *class, const char *text,
                           struct fail *f)
{
    char known[200] = "";
    size_t used = 0;
    char *end;
    unsigned long id = strtoul(text, &end, 10);
    unsigned int i;

    if (isdigit((unsigned char)text[0]) && *end == '\0' && id < DEV_ID_AUTO) {
        struct device *dev = dev_by_id(c, class, (unsigned int)id);

        if (dev != NULL) {
            return dev;
        }
    }
    for (i = 0; i < c->device_count; i++) {
        const struct device *dev = c->devices[i];

        if (dev->class != class) {
            continue;
        }
        if (class->is_called != NULL && class->is_called(dev, text)) {
            return c->devices[i];
        }
        if (used < sizeof(known) - 16) {
            used += (size_t)sprintf(known + used, "%s%u", used > 0 ? ", " : "", dev->id);
        }
    }
    fail_set(f, -ENODEV, "device", c->name, "it has no %s \"%.64s\"%s%s", class->noun, text,
             used > 0 ? ", but " : "; it has none at all", known);
    return NULL;
}

static unsigned int count_of(const struct config *c, const struct dev_class *class)
{
    unsigned int count = 0;
    unsigned int i;

    for (i = 0; i < c->device_count; i++) {
        count += c->devices[i]->class == class;
    }
    return count;
}

/* Checks that the device fits into the configuration and appends it. */
static int append(struct config *c, struct dev_parse *p, struct device *dev)
{
    const struct dev_class *class = dev->class;

    if (c->device_count >= DEV_MAX || count_of(c, class) >= class->max) {
        dev_bad(p, 0, "more than %u devices of this kind (%s), or %d in all", class->max,
                class->noun, DEV_MAX);
        p->f->code = -E2BIG;
        return p->f->code;
    }
    if (dev->id == DEV_ID_AUTO) {
        for (dev->id = class->first_id; dev_by_id(c, class, dev->id) != NULL; dev->id++) {
        }
        /* Others before it may go: read again, it has the same number. */
        if (class->id_key != NULL && strlen(dev->text) + ID_TEXT_MAX <= DEV_TEXT_MAX) {
            dev_save_as(dev, "%s=%u,%s", class->id_key, dev->id, dev->text);
        }
    } else if (dev_by_id(c, class, dev->id) != NULL) {
        dev_bad(p, 0, "the guest already has a %s with this name or number (%u)", class->noun,
                dev->id);
        p->f->code = -EEXIST;
        return p->f->code;
    }
    c->devices[c->device_count++] = dev;
    return 0;
}

int dev_read_one(struct config *c, const struct dev_class *class, struct dev_parse *p,
                 struct device **made)
{
    unsigned int before = c->device_count;
    struct device *dev = NULL;
    int rc = 0;

    if (strlen(p->text) > DEV_TEXT_MAX) {
        return dev_bad(p, DEV_TEXT_MAX, "an entry has at most %d bytes", DEV_TEXT_MAX);
    }
    for (; rc == 0 && class != NULL; class = class->implies) {
        dev = device_new(class, p);
        if (dev == NULL) {
            return fail_set(p->f, -ENOMEM, "config", class->key, "out of memory");
        }
        p->next = 0;
        rc = class->parse(p, dev);
        rc = rc == 0 ? append(c, p, dev) : rc;
        if (rc != 0) {
            dev_unref(dev);
        } else if (p->by == NULL) {
            p->by = dev;
        }
    }
    if (rc == 0) {
        *made = c->devices[before];
    }
    while (rc != 0 && c->device_count > before) {
        dev_unref(c->devices[--c->device_count]);
    }
    return rc;
}

/* Drops all devices that came from the class's key. */
static void drop_class(struct config *c, const struct dev_class *class)
{
    unsigned int kept = 0;
    unsigned int i;
    bool is_ours;

    for (i = 0; i < c->device_count; i++) {
        is_ours = c->devices[i]->class == class ||
                  (class->implies != NULL && c->devices[i]->class == class->implies &&
                   c->devices[i]->is_implied);
        if (is_ours) {
            dev_unref(c->devices[i]);
        } else {
            c->devices[kept++] = c->devices[i];
        }
    }
    c->device_count = kept;
}

void dev_forget(struct config *c, const struct device *dev)
{
    const struct dev_class *class = dev->class;
    unsigned int id = dev->id;
    unsigned int kept = 0;
    unsigned int i;

    for (i = 0; i < c->device_count; i++) {
        const struct device *d = c->devices[i];

        if (d->id == id && (d->class == class || (d->class == class->implies && d->is_implied))) {
            dev_unref(c->devices[i]);
        } else {
            c->devices[kept++] = c->devices[i];
        }
    }
    c->device_count = kept;
}

int dev_read_list(struct config *c, const struct dev_class *class, const struct xlcfg_setting *s,
                  const char *cwd, json_t *warnings, struct fail *f)
{
    bool is_list = json_is_array(s->value);
    size_t count = is_list ? json_array_size(s->value) : 1;
    struct device *dev;
    size_t i;
    int rc = 0;

    drop_class(c, class);
    for (i = 0; rc == 0 && i < count; i++) {
        const json_t *item = is_list ? json_array_get(s->value, i) : s->value;
        const json_t *at = json_array_get(s->places, i);
        struct dev_parse p = {
            .text = json_string_value(item),
            .cwd = cwd,
            .file = s->where,
            .line = (unsigned int)json_integer_value(json_array_get(at, 0)),
            .column = (unsigned int)json_integer_value(json_array_get(at, 1)),
            .warnings = warnings,
            .f = f,
        };

        if (p.text == NULL || strlen(p.text) != json_string_length(item)) {
            p.text = "";
            rc = dev_bad(&p, 0, "%s: entry %zu is no text", class->key, i + 1);
        } else {
            rc = dev_read_one(c, class, &p, &dev);
        }
    }
    return rc;
}

int dev_finish(struct config *c, struct fail *f)
{
    unsigned int i;
    int rc = 0;

    for (i = 0; rc == 0 && i < c->device_count; i++) {
        struct device *dev = c->devices[i];

        if (dev->class->finish != NULL) {
            rc = dev->class->finish(c, dev, f);
        }
    }
    return rc;
}

json_t *dev_texts(const struct config *c, const struct dev_class *class)
{
    json_t *out = json_array();
    unsigned int i;

    for (i = 0; i < c->device_count; i++) {
        if (c->devices[i]->class == class && !c->devices[i]->is_implied) {
            json_array_append_new(out, json_string(c->devices[i]->text));
        }
    }
    return out;
}
