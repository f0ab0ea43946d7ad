/* SPDX-License-Identifier: MIT */
/* The guests that the daemon owns: creating, ending by request or by themselves, taking over. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "abi/sched.h"
#include "common/log.h"
#include "joistd/host.h"
#include "joistd/joistd.h"
#include "joistd/skeleton.h"
#include "joistd/vfb_screen.h"

struct guest *guest_by_name(const struct joistd *d, const char *name)
{
    struct guest *g;

    for (g = d->guests; g != NULL; g = g->next) {
        if (strcmp(g->config.name, name) == 0) {
            return g;
        }
    }
    return NULL;
}

struct guest *guest_by_domid(const struct joistd *d, int domid)
{
    struct guest *g;

    for (g = d->guests; g != NULL; g = g->next) {
        if (g->domid == domid && domid >= 0) {
            return g;
        }
    }
    return NULL;
}

static struct guest *guest_new(struct joistd *d, const struct config *c, json_t *settings)
{
    struct guest *g = xalloc(sizeof(*g));
    struct guest **at = &d->guests;

    g->d = d;
    config_copy(&g->config, c);
    g->settings = settings;
    g->domid = -1;
    g->start_time = time(NULL);
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = g;
    return g;
}

struct guest *guest_create(struct joistd *d, const struct config *c, json_t *settings,
                           bool is_paused, const struct guest *former, struct fail *f)
{
    struct guest *g;
    int rc;

    for (g = d->guests; g != NULL; g = g->next) {
        if (memcmp(g->config.uuid, c->uuid, 16) == 0) {
            fail_set(f, -EEXIST, "create", c->name, "its uuid is that of the guest %s",
                     g->config.name);
            fail_remedy(f, "remove the key uuid to get a fresh one");
            json_decref(settings);
            return NULL;
        }
    }
    g = guest_new(d, c, settings);
    g->is_paused_start = is_paused;
    if (former != NULL) {
        g->is_restart_due =
            true; /* nobody has asked who could ask again: it goes on after a kill */
        g->former_domid = former->domid;
        snprintf(g->former_uuid, sizeof(g->former_uuid), "%s", former->config.uuid_text);
    }
    g->state = GUEST_BUILDING;
    rc = state_save(g);
    if (rc != 0) {
        state_unsaved(g, rc, "create", f);
    } else if ((rc = life_build(g)) != 0) {
        fail_set(f, rc, "create", c->name, "no child process: %s", strerror(-rc));
    }
    if (rc != 0) {
        guest_drop(g);
        return NULL;
    }
    return g;
}

void guest_destroy(struct guest *g)
{
    g->is_restart_due = false;
    switch (g->state) {
    case GUEST_BUILDING:
        g->is_destroy_due = true; /* build_done() goes on with it */
        break;
    case GUEST_ENDING:
        state_save(g);
        break;
    default:
        evloop_disarm(g->d->loop, &g->timer);
        life_end(g);
        break;
    }
}

struct guest *guest_destroy_foreign(struct joistd *d, const char *name,
                                    const struct xen_domctl_getdomaininfo *info)
{
    struct config c = { 0 };
    struct guest *g;

    snprintf(c.name, sizeof(c.name), "%s", name);
    memcpy(c.uuid, info->handle, 16);
    uuid_format(c.uuid, c.uuid_text);
    g = guest_new(d, &c, NULL);
    g->domid = info->domain;
    life_end(g);
    return g;
}

static void set_name(struct guest *g, const char *name)
{
    snprintf(g->config.name, sizeof(g->config.name), "%s", name);
    if (g->settings != NULL) {
        json_object_set_new(g->settings, "name", json_string(name));
    }
}

/* First what a full disk can refuse, while nobody else has seen the new name. */
int guest_rename(struct guest *g, const char *name, struct fail *f)
{
    char former[sizeof(g->config.name)];
    int rc = config_check_name(name, f);

    if (rc != 0) {
        return rc;
    }
    snprintf(former, sizeof(former), "%s", g->config.name);
    set_name(g, name);
    rc = state_save(g);
    if (rc != 0) {
        set_name(g, former);
        return state_unsaved(g, rc, "rename", f);
    }
    if (g->domid >= 0 && g->d->store != NULL) {
        rc = skeleton_rename(g->d->store, (uint16_t)g->domid, g->config.uuid_text, name,
                             STORE_TIMEOUT);
    }
    if (rc != 0) {
        set_name(g, former);
        state_save(g);
        fail_set(f, rc, "rename", former, "the store refuses: %s", strerror(-rc));
        fail_remedy(f, "see whether joist-stored runs");
    }
    return rc;
}

/* The second half of a rename-restart: a fresh guest with the name that the kept one had.  The kept
   one's record says that it is due until the fresh one's exists. */
static void start_again(struct guest *kept)
{
    json_t *settings = json_deep_copy(kept->settings);
    struct guest *fresh = kept->d->guests;
    struct fail f = { 0 };
    struct config c;
    char line[1024];

    while (fresh != NULL && strcmp(fresh->former_uuid, kept->config.uuid_text) != 0) {
        fresh = fresh->next;
    }
    config_copy(&c, &kept->config);
    snprintf(c.name, sizeof(c.name), "%s", kept->again);
    if (fresh != NULL || uuid_generate(c.uuid) != 0) {
        json_decref(settings); /* an earlier daemon has got so far, or there is no randomness */
    } else {
        uuid_format(c.uuid, c.uuid_text);
        json_object_set_new(settings, "name", json_string(c.name));
        json_object_set_new(settings, "uuid", json_string(c.uuid_text));
        fresh = guest_create(kept->d, &c, settings, false, kept, &f);
    }
    if (fresh != NULL) { /* what has ended needs its devices no more, nor after our restart */
        screen_end(kept);
        for (unsigned int kind = 0; kind < DEV_KINDS; kind++) {
            json_object_del(kept->settings, dev_class_at((enum dev_kind)kind)->key);
        }
        config_drop(&kept->config);
    } else {
        fail_text(&f, line, sizeof(line));
        log_error("%s: not restarted: %s", kept->again, line);
    }
    config_drop(&c);
    kept->again[0] = '\0';
    state_save(kept);
}

/* Keeps the ended guest under another name and starts a fresh one with its old name. */
static void rename_and_restart(struct guest *g)
{
    char name[CONFIG_NAME_MAX + 1];
    struct fail f = { 0 };
    char line[1024];
    unsigned int i;

    for (i = 1; i < 1000; i++) {
        snprintf(name, sizeof(name), "%.57s-%u", g->config.name, i);
        if (guest_by_name(g->d, name) == NULL) {
            break;
        }
    }
    g->state = GUEST_PRESERVED;
    snprintf(g->again, sizeof(g->again), "%s", g->config.name);
    if (guest_rename(g, name, &f) == 0) {
        start_again(g);
        return;
    }
    fail_text(&f, line, sizeof(line));
    log_error("%s: not restarted: %s", g->again, line);
    g->again[0] = '\0';
    state_save(g); /* kept, and nothing to come */
}

static enum end_action action_for(const struct guest *g, int reason)
{
    switch (reason) {
    case SHUTDOWN_poweroff:
        return g->config.on_poweroff;
    case SHUTDOWN_reboot:
        return g->config.on_reboot;
    case SHUTDOWN_crash:
        return g->config.on_crash;
    case SHUTDOWN_watchdog:
        return g->config.on_watchdog;
    default:
        return ACTION_PRESERVE;
    }
}

/* The guest's domain has shut down. */
static void guest_ended(struct guest *g, int reason)
{
    enum end_action action = action_for(g, reason);
    uint64_t lived = evloop_now_ms() - g->started_ms;
    struct fail f = { 0 };
    char text[256];

    snprintf(text, sizeof(text), "ended by itself: %s, %llu.%03llu s after its start; %s",
             host_reason_name(reason), (unsigned long long)(lived / 1000),
             (unsigned long long)(lived % 1000), config_action_name(action));
    life_note_end(g, host_reason_name(reason), text);
    fail_set(&f, reason == SHUTDOWN_crash ? -EIO : -ECANCELED, "start", g->config.name,
             "the guest ended: %s, %llu ms after its start", host_reason_name(reason),
             (unsigned long long)lived);
    fail_remedy(&f, "its console is kept in %s/console-%s.log", g->d->log_dir, g->config.name);
    api_event(g->d, g, EVENT_ENDED, &f);
    g->is_paused_start = false;
    switch (action) {
    case ACTION_PRESERVE:
        g->state = GUEST_PRESERVED;
        state_save(g);
        api_event(g->d, g, EVENT_KEPT, NULL);
        break;
    case ACTION_RENAME_RESTART:
        rename_and_restart(g);
        api_event(g->d, g, EVENT_KEPT, NULL);
        break;
    default:
        g->is_restart_due = action == ACTION_RESTART;
        life_end(g);
        break;
    }
}

void guest_scan(struct joistd *d)
{
    const struct xen_domctl_getdomaininfo *info;
    struct domain_list list;
    struct guest *g;
    struct guest *next;
    int rc = host_domains(d->h, &list);

    if (rc != 0) {
        log_error("the hypervisor gives no list of domains: %s", strerror(-rc));
        return;
    }
    for (g = d->guests; g != NULL; g = next) {
        next = g->next;
        if (g->state != GUEST_RUNNING && g->state != GUEST_PRESERVED) {
            continue;
        }
        info = host_find_uuid(&list, g->config.uuid);
        if (info == NULL) {
            life_note_end(g, "destroyed", "its domain was destroyed by someone else");
            life_end(g);
        } else if (g->state == GUEST_RUNNING && host_shutdown_reason(info) >= 0) {
            guest_ended(g, host_shutdown_reason(info));
        }
    }
    api_scanned(d, &list);
    free(list.info);
}

void guest_adopt(struct joistd *d, const struct config *c, json_t *settings, const json_t *record)
{
    const char *state = json_string_value(json_object_get(record, "state"));
    const char *former = json_string_value(json_object_get(record, "former_uuid"));
    const char *again = json_string_value(json_object_get(record, "again"));
    struct guest *g = guest_new(d, c, settings);
    int64_t lived;

    g->domid = json_is_integer(json_object_get(record, "domid"))
                   ? (int)json_integer_value(json_object_get(record, "domid"))
                   : -1;
    g->is_restart_due = json_is_true(json_object_get(record, "restart"));
    g->is_paused_start = json_is_true(json_object_get(record, "paused"));
    g->start_time = json_integer_value(json_object_get(record, "start_time"));
    if (again != NULL && strlen(again) < sizeof(g->again)) {
        snprintf(g->again, sizeof(g->again), "%s", again);
    }
    if (former != NULL && strlen(former) < sizeof(g->former_uuid)) {
        g->former_domid = (int)json_integer_value(json_object_get(record, "former_domid"));
        snprintf(g->former_uuid, sizeof(g->former_uuid), "%s", former);
    }
    lived = (int64_t)time(NULL) - g->start_time;
    g->started_ms = evloop_now_ms() - (lived > 0 ? (uint64_t)lived * 1000 : 0);
    if (state == NULL || strcmp(state, "building") == 0) {
        g->state = GUEST_BUILDING;
    } else if (strcmp(state, "preserved") == 0) {
        g->state = GUEST_PRESERVED;
    } else if (strcmp(state, "ending") == 0) {
        g->state = GUEST_ENDING;
    } else if (strcmp(state, "waiting") == 0) {
        g->state = GUEST_WAITING;
    } else {
        g->state = GUEST_RUNNING;
    }
}

int guest_take_over(struct joistd *d)
{
    const struct xen_domctl_getdomaininfo *info;
    struct domain_list list;
    struct guest *g;
    struct guest *next;
    int rc = host_domains(d->h, &list);

    if (rc != 0) {
        return rc;
    }
    state_load_all(d);
    for (g = d->guests; g != NULL; g = next) {
        next = g->next;
        info = host_find_uuid(&list, g->config.uuid);
        if (info != NULL) {
            g->domid = info->domain;
        }
        log_info("%s: taken over %s", g->config.name,
                 g->state == GUEST_RUNNING && info != NULL ? "running" : "to be finished");
        if (g->state == GUEST_WAITING) {
            if (life_build(g) != 0) {
                guest_drop(g);
            }
        } else if (g->state == GUEST_BUILDING || g->state == GUEST_ENDING || info == NULL) {
            /* a creation was never acknowledged; a restart goes on after the remains are gone */
            life_end(g);
        } else if (g->state == GUEST_RUNNING) {
            guest_tidy_devices(g); /* an attach that was never acknowledged */
        }
    }
    free(list.info);
    for (g = d->guests; g != NULL; g = g->next) { /* appends to the list: not in the loop above */
        if (g->state == GUEST_PRESERVED && g->again[0] != '\0') {
            start_again(g);
        }
    }
    guest_scan(d);
    return 0;
}
