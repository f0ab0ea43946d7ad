/* SPDX-License-Identifier: MIT */
/* The verbs of the interface: one table, one function each. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "joistd/api.h"

#include "version.h"

static const char *arg_text(const struct call *c, const char *key)
{
    return json_string_value(json_object_get(c->args, key));
}

static bool arg_flag(const struct call *c, const char *key)
{
    return json_is_true(json_object_get(c->args, key));
}

/* A target that has no domain at the moment cannot be acted on. */
static int fail_busy(struct call *c)
{
    fail_set(c->f, -EBUSY, "domain", c->target.name, "it is just being built, ended or restarted");
    return fail_remedy(c->f, "try again in a moment");
}

static int need_domain(struct call *c)
{
    return c->target.info != NULL ? 0 : fail_busy(c);
}

/* A domain that nobody builds or takes apart just now: what is done to one is lost, or ends it. */
static int need_settled(struct call *c)
{
    const struct guest *g = c->target.guest;

    if (g != NULL &&
        (g->state == GUEST_BUILDING || g->state == GUEST_WAITING || g->state == GUEST_ENDING)) {
        return fail_busy(c);
    }
    return need_domain(c);
}

static json_t *done_or(struct call *c, int rc, const char *what)
{
    if (rc != 0) {
        fail_set(c->f, rc, what, c->target.name, "the hypervisor refuses: %s", joist_strerror(rc));
        return NULL;
    }
    return json_pack("{s:s, s:i}", "name", c->target.name, "domid", c->target.info->domain);
}

/* --- what there is --------------------------------------------------------------------------- */

static const char *guest_state_name(const struct guest *g)
{
    static const char *const names[] = {
        [GUEST_BUILDING] = "building", [GUEST_RUNNING] = "running", [GUEST_PRESERVED] = "preserved",
        [GUEST_ENDING] = "ending",     [GUEST_WAITING] = "waiting",
    };

    return names[g->state];
}

/* The six letters of the list: running, blocked, paused, shut down, why, dying. */
static void state_letters(const struct xen_domctl_getdomaininfo *info, char letters[7])
{
    static const char reasons[] = "-rscwS";
    int reason = host_shutdown_reason(info);

    letters[0] = (info->flags & XEN_DOMINF_running) != 0 ? 'r' : '-';
    letters[1] = (info->flags & XEN_DOMINF_blocked) != 0 ? 'b' : '-';
    letters[2] = (info->flags & XEN_DOMINF_paused) != 0 ? 'p' : '-';
    letters[3] = reason >= 0 ? 's' : '-';
    letters[4] = reason >= 0 && reason < (int)sizeof(reasons) - 1 ? reasons[reason] : '-';
    letters[5] = (info->flags & XEN_DOMINF_dying) != 0 ? 'd' : '-';
    letters[6] = '\0';
}

static json_t *list_entry(const struct call *c, const struct xen_domctl_getdomaininfo *info)
{
    const struct guest *g = guest_of_info(c->d, info);
    int reason = host_shutdown_reason(info);
    char name[256];
    char letters[7];
    char uuid[37];
    json_t *v;

    domain_name(c->d, info, name, sizeof(name));
    state_letters(info, letters);
    uuid_format(info->handle, uuid);
    v = json_pack("{s:s, s:i, s:s, s:I, s:I, s:i, s:s, s:I, s:b}", "name", name, "domid",
                  info->domain, "uuid", uuid, "memory_kib",
                  (json_int_t)((info->tot_pages + info->outstanding_pages) * 4), "max_memory_kib",
                  (json_int_t)(info->max_pages * 4), "vcpus", (int)info->nr_online_vcpus, "state",
                  letters, "cpu_time_ns", (json_int_t)info->cpu_time, "managed", g != NULL);
    if (reason >= 0) {
        json_object_set_new(v, "shutdown_reason", json_string(host_reason_name(reason)));
    }
    if (g != NULL) {
        json_object_set_new(v, "guest_state", json_string(guest_state_name(g)));
    }
    return v;
}

/* Calls entry() for the domains named in "domains" (all if there is none) and collects. */
static json_t *each_domain(struct call *c,
                           json_t *(*entry)(const struct call *c,
                                            const struct xen_domctl_getdomaininfo *))
{
    const json_t *wanted = json_object_get(c->args, "domains");
    json_t *out = json_array();
    struct target t;
    json_t *item;
    size_t i;

    if (json_array_size(wanted) == 0) {
        for (i = 0; i < c->list.count; i++) {
            json_array_append_new(out, entry(c, &c->list.info[i]));
        }
        return out;
    }
    json_array_foreach(wanted, i, item)
    {
        const char *text = json_string_value(item);

        if (text == NULL) {
            fail_set(c->f, -EINVAL, "request", "domains", "an entry is no text");
        } else if (domain_find(c, text, &t) == 0) {
            c->target = t;
            if (need_domain(c) == 0) {
                json_array_append_new(out, entry(c, t.info));
            }
        }
        if (c->f->code != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static json_t *verb_list(struct call *c)
{
    return each_domain(c, list_entry);
}

static json_t *vcpu_entry(const struct call *c, const struct xen_domctl_getdomaininfo *info)
{
    char name[256];
    int rc;
    json_t *vcpus = host_vcpus(c->d->h, info, &rc);

    domain_name(c->d, info, name, sizeof(name));
    return json_pack("{s:s, s:i, s:o}", "name", name, "domid", info->domain, "vcpus",
                     vcpus != NULL ? vcpus : json_array());
}

static json_t *verb_vcpu_list(struct call *c)
{
    return each_domain(c, vcpu_entry);
}

/* Seconds since the domain started; -1 if nobody knows. */
static int64_t uptime_of(const struct call *c, const struct xen_domctl_getdomaininfo *info)
{
    const struct guest *g = guest_of_info(c->d, info);
    char path[64];
    char uuid[37];
    char *value = NULL;
    double up = -1;
    struct timespec ts;

    if (info->domain == 0) {
        clock_gettime(CLOCK_BOOTTIME, &ts);
        return ts.tv_sec;
    }
    if (g != NULL && g->settings != NULL) {
        return (int64_t)time(NULL) - g->start_time;
    }
    uuid_format(info->handle, uuid);
    snprintf(path, sizeof(path), "/vm/%s/start_time", uuid);
    if (c->d->store != NULL && store_read(c->d->store, 0, path, &value) == 0) {
        up = (double)time(NULL) - strtod(value, NULL);
    }
    free(value);
    return (int64_t)up;
}

static json_t *uptime_entry(const struct call *c, const struct xen_domctl_getdomaininfo *info)
{
    char name[256];

    domain_name(c->d, info, name, sizeof(name));
    return json_pack("{s:s, s:i, s:I}", "name", name, "domid", info->domain, "uptime_s",
                     (json_int_t)uptime_of(c, info));
}

static json_t *verb_uptime(struct call *c)
{
    return each_domain(c, uptime_entry);
}

static json_t *verb_info(struct call *c)
{
    const char *text = arg_text(c, "domain");
    json_t *out;
    int rc;

    if (arg_flag(c, "counters")) {
        if (text != NULL) {
            fail_set(c->f, -EINVAL, "info", text, "counters are the machine's, not a domain's");
            return NULL;
        }
        out = host_counters(c->d->h, arg_flag(c, "reset"), &rc);
        if (out == NULL) {
            fail_set(c->f, rc, "info", "hypervisor", "it has no counters: %s", joist_strerror(rc));
        }
        return out;
    }
    if (text != NULL) {
        if (domain_find(c, text, &c->target) != 0 || need_domain(c) != 0) {
            return NULL;
        }
        out = list_entry(c, c->target.info);
        if (c->target.guest != NULL && c->target.guest->settings != NULL) {
            json_object_set(out, "config", c->target.guest->settings);
        }
        json_object_set_new(out, "uptime_s", json_integer(uptime_of(c, c->target.info)));
        return out;
    }
    out = host_info(c->d->h, &rc);
    if (out == NULL) {
        fail_set(c->f, rc, "info", "hypervisor", "it does not answer: %s", joist_strerror(rc));
        return NULL;
    }
    json_object_set_new(out, "joist_version", json_string(JOIST_VERSION));
    json_object_set(out, "ended", c->d->ended);
    return out;
}

static json_t *verb_dmesg(struct call *c)
{
    int rc;
    json_t *text = host_log(c->d->h, arg_flag(c, "clear"), &rc);

    if (text == NULL) {
        fail_set(c->f, rc, "dmesg", "hypervisor", "its log cannot be read: %s", joist_strerror(rc));
        return NULL;
    }
    return json_pack("{s:o}", "text", text);
}

static json_t *verb_domain(struct call *c)
{
    if (need_domain(c) != 0) {
        return NULL;
    }
    return done_or(c, 0, "domain");
}

static json_t *verb_console(struct call *c)
{
    long long number = json_integer_value(json_object_get(c->args, "number"));
    char path[96];
    char *tty = NULL;
    bool has_tty;
    json_t *out;

    if (need_domain(c) != 0) {
        return NULL;
    }
    /* the client opens it as root: it is told by nodes that only we write, and the directory of a
       second console's front end is the guest's */
    if (number == 0) {
        snprintf(path, sizeof(path), "/local/domain/%u/console/tty", c->target.info->domain);
    } else {
        snprintf(path, sizeof(path), "%s/%u/device/console/%lld/tty", dev_private_root(),
                 c->target.info->domain, number);
    }
    has_tty = c->d->store != NULL && store_read(c->d->store, 0, path, &tty) == 0 && tty[0] != '\0';
    if (!has_tty && c->target.guest != NULL && c->target.guest->state == GUEST_BUILDING) {
        free(tty);
        fail_busy(c);
        return NULL;
    }
    out = done_or(c, 0, "console");
    if (has_tty) {
        json_object_set_new(out, "tty", json_string(tty));
    }
    free(tty);
    json_object_set_new(out, "log",
                        json_sprintf("%s/console-%s.log", c->d->log_dir, c->target.name));
    return out;
}

/* --- changes --------------------------------------------------------------------------------- */

/* The hypervisor counts pauses; for people a domain is paused or not, whoever asked before. */
static json_t *set_paused(struct call *c, bool paused)
{
    const struct xen_domctl_getdomaininfo *info = c->target.info;
    int rc = 0;

    if (need_settled(c) != 0) {
        return NULL;
    }
    if (((info->flags & XEN_DOMINF_paused) != 0) != paused) {
        rc = paused ? host_pause(c->d->h, info->domain) : host_unpause(c->d->h, info->domain);
    }
    return done_or(c, rc, paused ? "pause" : "unpause");
}

static json_t *verb_pause(struct call *c)
{
    return set_paused(c, true);
}

static json_t *verb_unpause(struct call *c)
{
    return set_paused(c, false);
}

static json_t *verb_destroy(struct call *c)
{
    struct guest *g = c->target.guest;

    if (g == NULL) {
        g = guest_destroy_foreign(c->d, c->target.name, c->target.info);
    } else {
        guest_destroy(g);
    }
    return api_wait_gone(c, g);
}

/* Asks one domain through the store to shut down. */
static int ask(struct call *c, uint16_t domid, const char *what)
{
    char path[64];
    struct store_node node = { path, what, NULL };
    int rc;

    snprintf(path, sizeof(path), "/local/domain/%u/control/shutdown", domid);
    rc = c->d->store != NULL ? store_apply(c->d->store, &node, 1, STORE_TIMEOUT) : -ENOTCONN;
    if (rc != 0) {
        fail_set(c->f, rc, "shutdown", path, "the store cannot be written: %s", strerror(-rc));
        fail_remedy(c->f, "see whether joist-stored runs");
    }
    return rc;
}

static bool is_being_built(const struct call *c, const struct xen_domctl_getdomaininfo *info)
{
    const struct guest *g = c->d->guests;

    while (g != NULL &&
           (g->state != GUEST_BUILDING || host_find_uuid(&c->list, g->config.uuid) != info)) {
        g = g->next;
    }
    return g != NULL;
}

static json_t *ask_and_wait(struct call *c, const char *what)
{
    json_t *domids = json_array();
    size_t i;
    int rc = 0;

    if (arg_flag(c, "all") == (arg_text(c, "domain") != NULL)) {
        rc = fail_set(c->f, -EINVAL, "request", what, "name one domain, or all");
    } else if (!arg_flag(c, "all")) {
        rc = domain_find(c, arg_text(c, "domain"), &c->target);
        rc = rc == 0 ? need_settled(c) : rc;
        if (rc == 0 && c->target.info->domain == 0) {
            rc = fail_set(c->f, -EPERM, what, c->target.name,
                          "this is not done to the control domain");
        } else if (rc == 0 && host_shutdown_reason(c->target.info) >= 0) {
            rc = fail_set(c->f, -EBUSY, what, c->target.name, "it has shut down already: %s",
                          host_reason_name(host_shutdown_reason(c->target.info)));
            fail_remedy(c->f, "joist destroy removes it");
        }
    }
    for (i = 0; i < c->list.count && rc == 0; i++) {
        const struct xen_domctl_getdomaininfo *info = &c->list.info[i];

        if (arg_flag(c, "all")
                ? info->domain == 0 || host_shutdown_reason(info) >= 0 || is_being_built(c, info)
                : info != c->target.info) {
            continue;
        }
        rc = ask(c, info->domain, what);
        if (rc == 0) {
            json_array_append_new(domids, json_integer(info->domain));
        }
    }
    if (rc != 0) {
        json_decref(domids);
        return NULL;
    }
    if (arg_flag(c, "wait")) {
        return api_wait_end(c, domids);
    }
    return json_pack("{s:o}", "domids", domids);
}

static json_t *verb_shutdown(struct call *c)
{
    return ask_and_wait(c, "poweroff");
}

static json_t *verb_reboot(struct call *c)
{
    return ask_and_wait(c, "reboot");
}

/* Whether any domain but `except` has that name. */
static bool is_name_taken(struct call *c, const char *name,
                          const struct xen_domctl_getdomaininfo *except)
{
    struct fail ignored = { 0 };
    struct fail *kept = c->f;
    struct target t;
    bool found;

    c->f = &ignored;
    found = domain_find(c, name, &t) == 0 && (t.info == NULL || t.info != except);
    c->f = kept;
    return found;
}

static int check_name_free(struct call *c, const char *phase, const char *name,
                           const struct xen_domctl_getdomaininfo *except)
{
    if (!is_name_taken(c, name, except)) {
        return 0;
    }
    fail_set(c->f, -EEXIST, phase, name, "a domain of that name exists");
    return fail_remedy(c->f, "choose another name, or joist destroy the old one");
}

static json_t *verb_rename(struct call *c)
{
    struct guest g = { .d = c->d };
    const char *name = arg_text(c, "name");

    if (name == NULL) {
        fail_set(c->f, -EINVAL, "request", "rename", "the argument \"name\" is missing");
        return NULL;
    }
    if (need_settled(c) != 0 || config_check_name(name, c->f) != 0 ||
        check_name_free(c, "rename", name, c->target.info) != 0) {
        return NULL;
    }
    if (c->d->store == NULL) {
        fail_set(c->f, -ENOTCONN, "rename", c->target.name, "the store cannot be reached");
        fail_remedy(c->f, "see whether joist-stored runs");
        return NULL;
    }
    if (c->target.guest == NULL) { /* another toolstack's: only the store knows its name */
        g.domid = c->target.info->domain;
        snprintf(g.config.name, sizeof(g.config.name), "%.63s", c->target.name);
        uuid_format(c->target.info->handle, g.config.uuid_text);
    }
    if (guest_rename(c->target.guest != NULL ? c->target.guest : &g, name, c->f) != 0) {
        return NULL;
    }
    snprintf(c->target.name, sizeof(c->target.name), "%s", name);
    return done_or(c, 0, "rename");
}

/* Puts file, object and overrides of a request together. */
static int read_settings(struct call *c, struct xlcfg *settings)
{
    const json_t *text = json_object_get(c->args, "config");
    const json_t *words = json_object_get(c->args, "override");
    const char *file = arg_text(c, "file");
    json_t *word;
    size_t i;
    int rc = 0;

    if (json_is_string(text)) {
        rc = xlcfg_parse(settings, file != NULL ? file : "configuration", json_string_value(text),
                         json_string_length(text), c->f);
    } else if (text != NULL) {
        rc = xlcfg_from_json(settings, "request", text, c->f);
    }
    json_array_foreach(words, i, word)
    {
        if (rc == 0) {
            rc = xlcfg_override(
                settings, json_string_value(word) != NULL ? json_string_value(word) : "", c->f);
        }
    }
    return rc;
}

/* Device entries are kept in the form that means the same in any directory. */
static void keep_devices(json_t *kept, const struct config *config)
{
    unsigned int kind;

    for (kind = 0; kind < DEV_KINDS; kind++) {
        const struct dev_class *class = dev_class_at((enum dev_kind)kind);

        if (class != NULL && json_object_get(kept, class->key) != NULL) {
            json_object_set_new(kept, class->key, dev_texts(config, class));
        }
    }
}

static json_t *verb_create(struct call *c)
{
    const char *cwd = arg_text(c, "cwd");
    struct xlcfg settings = { 0 };
    struct config *config = calloc(1, sizeof(*config));
    struct guest *g = NULL;
    bool is_paused = arg_flag(c, "paused");
    json_t *kept = NULL;
    int rc = config != NULL ? read_settings(c, &settings) : -ENOMEM;

    if (rc == 0) {
        rc = config_make(config, &settings, cwd != NULL ? cwd : "/", c->warnings, c->f);
    }
    if (rc == 0) {
        rc = check_name_free(c, "create", config->name, NULL);
    }
    if (rc == 0) {
        rc = guest_devices_clash(c->d, NULL, config, 0, c->f);
    }
    if (rc == 0 && host_find_uuid(&c->list, config->uuid) != NULL) {
        rc = fail_set(c->f, -EEXIST, "create", config->name, "a domain with its uuid exists");
        fail_remedy(c->f, "remove the key uuid to get a fresh one");
    }
    if (rc == 0) {
        /* what is kept must mean the same when another daemon reads it */
        kept = xlcfg_to_json(&settings);
        json_object_set_new(kept, "kernel", json_string(config->kernel));
        if (config->ramdisk[0] != '\0') {
            json_object_set_new(kept, "ramdisk", json_string(config->ramdisk));
        }
        json_object_set_new(kept, "uuid", json_string(config->uuid_text));
        keep_devices(kept, config);
        if (arg_flag(c, "dry_run")) {
            xlcfg_free(&settings);
            config_drop(config);
            free(config);
            return kept;
        }
        g = guest_create(c->d, config, kept, is_paused, NULL, c->f);
    }
    xlcfg_free(&settings);
    if (config != NULL) {
        config_drop(config);
    }
    free(config);
    return g != NULL ? api_wait_start(c, g, !is_paused && !arg_flag(c, "attach")) : NULL;
}

static json_t *verb_version(struct call *c)
{
    (void)c;
    return json_pack("{s:s}", "version", JOIST_VERSION);
}

/* --- the table ------------------------------------------------------------------------------- */

static const struct verb verbs[] = {
    { "create", verb_create, "config file override cwd paused attach dry_run", NEEDS_LIST },
    { "list", verb_list, "domains", NEEDS_LIST },
    { "info", verb_info, "domain counters reset", NEEDS_LIST },
    { "console", verb_console, "domain number", NEEDS_GUEST },
    { "pause", verb_pause, "domain", NEEDS_GUEST },
    { "unpause", verb_unpause, "domain", NEEDS_GUEST },
    { "shutdown", verb_shutdown, "domain all wait", NEEDS_LIST },
    { "reboot", verb_reboot, "domain all wait", NEEDS_LIST },
    { "destroy", verb_destroy, "domain", NEEDS_GUEST },
    { "dmesg", verb_dmesg, "clear", NEEDS_NOTHING },
    { "domid", verb_domain, "domain", NEEDS_DOMAIN },
    { "domname", verb_domain, "domain", NEEDS_DOMAIN },
    { "rename", verb_rename, "domain name", NEEDS_GUEST },
    { "vcpu-list", verb_vcpu_list, "domains", NEEDS_LIST },
    { "uptime", verb_uptime, "domains", NEEDS_LIST },
    { "version", verb_version, "", NEEDS_NOTHING },
    { "device-attach", verb_device_attach, "domain class entry cwd", NEEDS_GUEST },
    { "device-detach", verb_device_detach, "domain class device force", NEEDS_GUEST },
    { "device-resize", verb_device_resize, "domain class device", NEEDS_GUEST },
    { "screen", verb_screen, "domain", NEEDS_GUEST },
    { "device-list", verb_device_list, "domains class", NEEDS_LIST },
};

const struct verb *verb_find(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}
