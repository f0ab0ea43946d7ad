/* SPDX-License-Identifier: MIT */
/* Names of domains: from our own list, from the store for those that other tools started. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "joistd/api.h"

struct guest *guest_of_info(const struct joistd *d, const struct xen_domctl_getdomaininfo *info)
{
    struct guest *g;

    for (g = d->guests; g != NULL; g = g->next) {
        if (memcmp(g->config.uuid, info->handle, 16) == 0 && info->domain != 0) {
            return g;
        }
    }
    return NULL;
}

void domain_name(const struct joistd *d, const struct xen_domctl_getdomaininfo *info, char *name,
                 size_t size)
{
    const struct guest *g = guest_of_info(d, info);
    char path[64];
    char *value = NULL;

    if (info->domain == 0) {
        snprintf(name, size, "Domain-0");
    } else if (g != NULL) {
        snprintf(name, size, "%s", g->config.name);
    } else {
        snprintf(path, sizeof(path), "/local/domain/%u/name", info->domain);
        if (d->store == NULL || store_read(d->store, 0, path, &value) != 0 || value == NULL) {
            snprintf(name, size, "(null)");
        } else {
            snprintf(name, size, "%s", value);
        }
        free(value);
    }
}

/* The last thing that is known about a guest of that name which has ended. */
static const char *how_it_ended(const struct joistd *d, const char *name)
{
    size_t i;

    for (i = json_array_size(d->ended); i > 0; i--) {
        const json_t *note = json_array_get(d->ended, i - 1);
        const char *text = json_string_value(json_object_get(note, "name"));

        if (text != NULL && strcmp(text, name) == 0) {
            return json_string_value(json_object_get(note, "text"));
        }
    }
    return NULL;
}

static bool is_domid(const char *text, unsigned long *domid)
{
    char *end;

    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    *domid = strtoul(text, &end, 10);
    return *end == '\0';
}

static int not_found(struct call *c, const char *text)
{
    const char *ended = how_it_ended(c->d, text);

    if (ended != NULL) {
        fail_set(c->f, -ENOENT, "domain", text, "there is no such domain; the last one %s", ended);
        return fail_remedy(c->f, "its console is kept in %s/console-%.64s.log", c->d->log_dir,
                           text);
    }
    fail_set(c->f, -ENOENT, "domain", text, "there is no such domain");
    return fail_remedy(c->f, "joist list shows the names and ids");
}

int domain_find(struct call *c, const char *text, struct target *t)
{
    const struct xen_domctl_getdomaininfo *info;
    unsigned long domid = 0;
    size_t i;

    *t = (struct target){ 0 };
    if (is_domid(text, &domid)) {
        info = domid < HOST_DOMAINS_MAX ? host_find_id(&c->list, (uint16_t)domid) : NULL;
        if (info == NULL) {
            return not_found(c, text);
        }
        t->info = info;
        t->guest = guest_of_info(c->d, info);
        domain_name(c->d, info, t->name, sizeof(t->name));
        return 0;
    }
    t->guest = guest_by_name(c->d, text);
    if (t->guest != NULL) {
        t->info = host_find_uuid(&c->list, t->guest->config.uuid);
        snprintf(t->name, sizeof(t->name), "%s", text);
        return 0;
    }
    for (i = 0; i < c->list.count; i++) {
        domain_name(c->d, &c->list.info[i], t->name, sizeof(t->name));
        if (strcmp(t->name, text) == 0) {
            t->info = &c->list.info[i];
            t->guest = guest_of_info(c->d, t->info);
            return 0;
        }
    }
    return not_found(c, text);
}
