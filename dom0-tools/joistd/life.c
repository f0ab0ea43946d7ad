/* SPDX-License-Identifier: MIT */
/* A guest's birth and end: what the children do, and what the daemon does when they report. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "build/build.h"
#include "common/log.h"
#include "joistd/dev.h"
#include "joistd/bootcfg.h"
#include "joistd/host.h"
#include "joistd/joistd.h"
#include "joistd/report.h"
#include "joistd/skeleton.h"
#include "joistd/vfb_screen.h"

#define GONE_WAIT_MS 5000 /* for others to let go of a destroyed domain's memory */
#define GONE_STEP_MS 5
#define DOMID_NOBODY 0x7ff4 /* an id that no domain has */

static struct guest *guest_of(struct job *j)
{
    return (struct guest *)((char *)j - offsetof(struct guest, job));
}

/* --- in the child ---------------------------------------------------------------------------- */

struct store *store_open_wait(unsigned int timeout_ms)
{
    struct store *s;
    unsigned int waited;

    for (waited = 0; (s = store_open()) == NULL && waited < timeout_ms; waited += 50) {
        poll(NULL, 0, 50);
    }
    return s;
}

static int introduce(struct store *s, const struct built *b)
{
    int rc = store_introduce(s, b->domid, b->store_mfn, b->store_port);

    if (rc == -ENOTCONN) {
        rc = store_reconnect(s, STORE_TIMEOUT_JOB);
        rc = rc == 0 ? store_introduce(s, b->domid, b->store_mfn, b->store_port) : rc;
    }
    return rc;
}

static json_t *failed(const struct fail *f)
{
    return json_pack("{s:o}", "error", report_fail(f));
}

static struct dev_work devices_work(const struct guest *g, struct joist *h, struct store *s,
                                    int domid, struct fail *f)
{
    return (struct dev_work){ .h = h,
                              .s = s,
                              .domid = (uint16_t)domid,
                              .uuid = g->config.uuid_text,
                              .name = g->config.name,
                              .f = f };
}

/* The devices of a new domain, after an ended one that had them has let go. */
static int add_devices(const struct guest *g, struct joist *h, struct store *s, uint16_t domid,
                       struct fail *f)
{
    struct dev_work w = devices_work(g, h, s, domid, f);

    if (g->former_domid > 0) {
        struct dev_work former = devices_work(g, h, s, g->former_domid, f);

        former.uuid = g->former_uuid;
        dev_remove_all(&former, NULL);
    }
    return dev_add_all(&w, &g->config);
}

/* All that the guest has outside of the hypervisor; domid -1: only what is marked with its uuid. */
static void remove_nodes(const struct guest *g, struct joist *h, struct store *s, int domid)
{
    struct fail ignored = { 0 };
    struct dev_work w = devices_work(g, h, s, domid >= 0 ? domid : DOMID_NOBODY, &ignored);

    if (domid < 0) {
        dev_sweep(&w, NULL);
        return;
    }
    dev_remove_all(&w, NULL);
    skeleton_remove(s, (uint16_t)domid, g->config.uuid_text, STORE_TIMEOUT_JOB);
}

static json_t *build_work(void *arg)
{
    struct guest *g = arg;
    struct fail f = { 0 };
    struct built b;
    struct joist *h;
    struct store *s;
    int rc = joist_open(&h);

    if (rc < 0) {
        fail_set(&f, rc, "create", g->config.name, "no access to the hypervisor: %s",
                 joist_strerror(rc));
        return failed(&f);
    }
    rc = bootcfg_fetch(&g->config, &f); /* ours alone: this is a child */
    rc = rc == 0 ? build_guest(h, &g->config, &b, &f) : rc;
    if (rc != 0) {
        return failed(&f);
    }
    s = store_open_wait(STORE_TIMEOUT_JOB);
    rc = s != NULL ? skeleton_write(s, &g->config, &b, STORE_TIMEOUT_JOB) : -errno;
    if (rc == 0 && add_devices(g, h, s, b.domid, &f) != 0) {
        host_destroy(h, b.domid);
        remove_nodes(g, h, s, b.domid);
        return failed(&f);
    }
    rc = rc == 0 ? introduce(s, &b) : rc;
    if (rc != 0) {
        host_destroy(h, b.domid);
        if (s != NULL) {
            remove_nodes(g, h, s, b.domid);
        }
        fail_set(&f, rc, "store", g->config.name, "its nodes cannot be written: %s",
                 joist_strerror(rc));
        fail_remedy(&f, "see whether joist-stored runs");
        return failed(&f);
    }
    return json_pack("{s:i}", "domid", b.domid);
}

/* Which domain belongs to the guest: by its handle, so that a reused id is never taken for it. */
static int find_domain(struct joist *h, const struct guest *g)
{
    const struct xen_domctl_getdomaininfo *info;
    struct domain_list list;
    int domid = -ESRCH;
    int rc = host_domains(h, &list);

    if (rc != 0) {
        return rc;
    }
    info = host_find_uuid(&list, g->config.uuid);
    if (info == NULL && g->domid > 0) {
        info = host_find_id(&list, (uint16_t)g->domid);
        if (info != NULL && memcmp(info->handle, g->config.uuid, 16) != 0) {
            info = NULL;
        }
    }
    if (info != NULL && info->domain != 0) {
        domid = info->domain;
    }
    free(list.info);
    return domid;
}

/* Waits until nobody holds anything of the domain any more. */
static bool wait_gone(struct joist *h, uint16_t domid)
{
    struct joist_dominfo info;
    unsigned int waited;

    for (waited = 0; waited < GONE_WAIT_MS; waited += GONE_STEP_MS) {
        if (joist_dominfo(h, domid, &info) == -ESRCH) {
            return true;
        }
        poll(NULL, 0, GONE_STEP_MS);
    }
    return false;
}

/* Nodes of a domain that has gone before us are ours to remove only if they still name our guest.
 */
static bool nodes_are_ours(struct store *s, const struct guest *g)
{
    char path[64];
    char *value;
    bool ours;

    snprintf(path, sizeof(path), "/local/domain/%d/vm", g->domid);
    if (store_read(s, 0, path, &value) != 0) {
        return false;
    }
    ours = strncmp(value, "/vm/", 4) == 0 && strcmp(value + 4, g->config.uuid_text) == 0;
    free(value);
    return ours;
}

static json_t *end_work(void *arg)
{
    struct guest *g = arg;
    struct fail f = { 0 };
    struct joist *h;
    struct store *s = NULL;
    bool is_gone = true;
    int domid;
    int rc = joist_open(&h);

    domid = rc < 0 ? rc : find_domain(h, g);
    if (domid < 0 && domid != -ESRCH) {
        fail_set(&f, domid, "destroy", g->config.name, "the hypervisor cannot be asked: %s",
                 joist_strerror(domid));
        return failed(&f);
    }
    rc = domid >= 0 ? host_destroy(h, (uint16_t)domid) : 0;
    if (rc < 0 && rc != -ESRCH) {
        fail_set(&f, rc, "destroy", g->config.name, "the hypervisor refuses: %s",
                 joist_strerror(rc));
        return failed(&f);
    }
    s = store_open_wait(STORE_TIMEOUT_JOB);
    if (s == NULL) { /* without it nobody knows which devices to take back: tried again */
        fail_set(&f, -errno, "store", g->config.name, "cannot be reached: %s", strerror(errno));
        return failed(&f);
    }
    if (domid < 0 && g->domid > 0 && nodes_are_ours(s, g)) {
        remove_nodes(g, h, s, g->domid);
    } else {
        remove_nodes(g, h, s, domid);
    }
    if (domid >= 0) {
        is_gone = wait_gone(h, (uint16_t)domid);
    }
    return json_pack("{s:b}", "gone", is_gone);
}

/* --- in the daemon --------------------------------------------------------------------------- */

void life_note_end(struct guest *g, const char *reason, const char *text)
{
    json_t *note = json_pack("{s:s, s:s, s:i, s:s, s:s, s:I}", "name", g->config.name, "uuid",
                             g->config.uuid_text, "domid", g->domid, "reason", reason, "text", text,
                             "time", (json_int_t)time(NULL));

    log_limited(&g->life_lines, LOG_LEVEL_INFO, "%s (domain %d): %s", g->config.name, g->domid,
                text);
    json_array_append_new(g->d->ended, note);
    if (json_array_size(g->d->ended) > ENDED_MAX) {
        json_array_remove(g->d->ended, 0);
    }
}

void guest_drop(struct guest *g)
{
    struct guest **at = &g->d->guests;

    while (*at != g) {
        at = &(*at)->next;
    }
    *at = g->next;
    state_remove(g);
    screen_end(g);
    evloop_disarm(g->d->loop, &g->timer);
    guest_cancel_ops(g);
    evloop_disarm(g->d->loop, &g->ops_timer);
    json_decref(g->settings);
    config_drop(&g->config);
    free(g);
}

static void build_failed_for_good(struct guest *g, const struct fail *f)
{
    char line[1024];

    fail_text(f, line, sizeof(line));
    log_limited(&g->life_lines, LOG_LEVEL_ERROR, "%s: %s", g->config.name, line);
    if (g->is_restart_due) {
        life_note_end(g, "restart-failed", line);
    }
    state_remove(g); /* before anybody is told: the answer means that nothing is left */
    api_event(g->d, g, EVENT_FAILED, f);
    g->is_restart_due = false;
}

static void build_done(struct job *j, json_t *report)
{
    struct guest *g = guest_of(j);
    json_t *error = json_object_get(report, "error");
    struct fail f = { 0 };
    bool is_restart = g->is_restart_due;
    int rc;

    if (report == NULL || (error == NULL && !json_is_integer(json_object_get(report, "domid")))) {
        fail_set(&f, -ECANCELED, "create", g->config.name, "the builder ended without a report");
        fail_remedy(&f, "see joistd's log, and try again");
        build_failed_for_good(g, &f);
        life_end(g);
        return;
    }
    if (error != NULL) {
        report_read_fail(error, &f);
        build_failed_for_good(g, &f);
        api_event(g->d, g, EVENT_GONE, NULL);
        guest_drop(g);
        return;
    }
    g->domid = (int)json_integer_value(json_object_get(report, "domid"));
    g->is_restart_due = false;
    g->former_domid = 0; /* its devices are taken over: the number may be another domain's soon */
    g->former_uuid[0] = '\0';
    g->started_ms = evloop_now_ms();
    g->start_time = time(NULL);
    if (g->is_destroy_due) {
        fail_set(&f, -ECANCELED, "create", g->config.name, "destroyed while it was being built");
        build_failed_for_good(g, &f);
        life_end(g);
        return;
    }
    rc = g->is_paused_start ? 0 : host_unpause(g->d->h, (uint16_t)g->domid);
    if (rc != 0) {
        fail_set(&f, rc, "start", g->config.name, "the hypervisor refuses: %s", joist_strerror(rc));
    } else {
        /* A daemon that takes over removes one that is said to be built still, at some other time.
           A restart, which nobody waits for, it would begin again: that goes on. */
        g->state = GUEST_RUNNING;
        rc = state_save(g);
        rc = rc != 0 && !is_restart ? state_unsaved(g, rc, "create", &f) : 0;
    }
    if (rc != 0) {
        build_failed_for_good(g, &f);
        life_end(g);
        return;
    }
    screen_begin(g);
    log_limited(&g->life_lines, LOG_LEVEL_INFO, "%s: started as domain %d", g->config.name,
                g->domid);
    api_event(g->d, g, EVENT_STARTED, NULL);
}

static void retry_end(struct ev_timer *t)
{
    life_end(t->owner);
}

static void build_again(struct ev_timer *t)
{
    struct guest *g = t->owner;
    struct fail f = { 0 };
    int rc = life_build(g);

    if (rc != 0) {
        fail_set(&f, rc, "restart", g->config.name, "no child process: %s", joist_strerror(rc));
        build_failed_for_good(g, &f);
        api_event(g->d, g, EVENT_GONE, NULL);
        guest_drop(g);
    }
}

static void end_done(struct job *j, json_t *report)
{
    struct guest *g = guest_of(j);
    json_t *error = json_object_get(report, "error");
    struct fail f = { 0 };
    uint64_t lived;

    if (report == NULL || error != NULL) {
        report_read_fail(error, &f);
        log_limited(&g->life_lines, LOG_LEVEL_ERROR, "%s: destroying failed (%s), trying again",
                    g->config.name, report != NULL ? f.cause : "no report");
        g->timer = (struct ev_timer){ .handler = retry_end, .owner = g };
        evloop_arm(g->d->loop, &g->timer, 1000);
        return;
    }
    if (!json_is_true(json_object_get(report, "gone"))) {
        log_limited(&g->life_lines, LOG_LEVEL_WARN,
                    "%s: domain %d is destroyed, but something still holds memory of it",
                    g->config.name, g->domid);
    }
    if (!g->is_restart_due) {
        state_remove(g); /* the answer means that nothing is left */
    }
    api_event(g->d, g, EVENT_GONE, NULL);
    g->domid = -1;
    if (!g->is_restart_due) {
        guest_drop(g);
        return;
    }
    lived = evloop_now_ms() - g->started_ms;
    g->state = GUEST_WAITING;
    state_save(g);
    g->timer = (struct ev_timer){ .handler = build_again, .owner = g };
    evloop_arm(g->d->loop, &g->timer, lived < QUICK_LIFE_MS ? QUICK_LIFE_WAIT_MS : 0);
}

int life_build(struct guest *g)
{
    g->state = GUEST_BUILDING;
    g->is_destroy_due = false;
    g->domid = -1;
    state_save(g);
    return job_start(&g->job, g->d->loop, build_work, g, build_done);
}

void life_end(struct guest *g)
{
    int rc;

    guest_cancel_ops(g);
    screen_end(g);
    g->state = GUEST_ENDING;
    state_save(g);
    rc = job_start(&g->job, g->d->loop, end_work, g, end_done);
    if (rc != 0) {
        log_limited(&g->life_lines, LOG_LEVEL_ERROR, "%s: no child process to destroy it: %s",
                    g->config.name, joist_strerror(rc));
        g->timer = (struct ev_timer){ .handler = retry_end, .owner = g };
        evloop_arm(g->d->loop, &g->timer, 1000);
    }
}
