/* SPDX-License-Identifier: MIT */
/*
 * Attaching and detaching while a guest runs: a queue per guest, each step in a forked child.
 *
 * What is saved decides after a crash: an attached device is saved when it is there, a device to be
 * detached is struck off before the work begins.  A daemon that takes over removes what the store
 * has beyond what is saved.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "joistd/api.h"
#include "joistd/report.h"
#include "joistd/vfb_screen.h"

#define FRONT_WAIT 5000 /* ms for the guest to connect a new device before that is reported */

enum op_kind { OP_ATTACH, OP_DETACH, OP_RESIZE, OP_UNDO, OP_TIDY };

struct dev_op {
    struct dev_op *next;
    struct guest *g;
    enum op_kind kind;
    const struct dev_class *class;
    char *text; /* attach: the entry; detach: what the person calls it */
    char *cwd;
    bool is_forced;
    bool is_started;
    unsigned int first; /* attach: index of the first new device in the configuration */
    struct device *dev; /* kept until the end of the operation */
    json_t *warnings;
    struct job job;
};

static int save(struct guest *g, const struct dev_class *class)
{
    if (g->settings == NULL) {
        return 0;
    }
    json_object_set_new(g->settings, class->key, dev_texts(&g->config, class));
    return state_save(g);
}

static void op_free(struct dev_op *op)
{
    if (op->dev != NULL) {
        dev_unref(op->dev);
    }
    json_decref(op->warnings);
    free(op->text);
    free(op->cwd);
    free(op);
}

/* --- in the child ---------------------------------------------------------------------------- */

static json_t *failed(const struct fail *f)
{
    return json_pack("{s:o}", "error", report_fail(f));
}

int work_open(struct dev_work *w, const struct guest *g, struct fail *f)
{
    int rc;

    *w = (struct dev_work){
        .domid = (uint16_t)g->domid, .uuid = g->config.uuid_text, .name = g->config.name, .f = f
    };
    rc = joist_open(&w->h);
    if (rc < 0) {
        return fail_set(f, rc, "device", g->config.name, "no access to the hypervisor: %s",
                        joist_strerror(rc));
    }
    w->s = store_open_wait(STORE_TIMEOUT_JOB);
    if (w->s == NULL) {
        fail_set(f, -errno, "store", g->config.name, "cannot be reached: %s", strerror(errno));
        return fail_remedy(f, "see whether joist-stored runs");
    }
    return 0;
}

static json_t *op_work(void *arg)
{
    struct dev_op *op = arg;
    struct guest *g = op->g;
    struct fail f = { 0 };
    struct dev_work w;
    int front = 0;
    int rc = work_open(&w, g, &f);

    if (rc == 0 && op->kind == OP_ATTACH) {
        rc = dev_add_from(&w, &g->config, op->first);
        front = rc == 0 ? dev_wait_front(&w, op->dev, FRONT_WAIT) : 0;
    } else if (rc == 0 && (op->kind == OP_DETACH || op->kind == OP_UNDO)) {
        rc = dev_remove(&w, op->class, op->dev->id, op->is_forced);
        if (rc == 0 && op->class->implies != NULL) {
            rc = dev_remove(&w, op->class->implies, op->dev->id, true);
        }
    } else if (rc == 0 && op->kind == OP_RESIZE) {
        rc = dev_resize(&w, op->dev);
    } else if (rc == 0) {
        dev_remove_all(&w, &g->config);
    }
    return rc != 0 ? failed(&f) : json_pack("{s:b}", "connected", front == XB_CONNECTED);
}

/* --- in the daemon --------------------------------------------------------------------------- */

static void start_next(struct guest *g);

/* Puts the configuration back as it was before the operation. */
static void revert(struct dev_op *op)
{
    struct config *c = &op->g->config;

    if (op->dev == NULL || !op->is_started) {
        return;
    }
    if (op->kind == OP_ATTACH) {
        dev_forget(c, op->dev);
    }
}

/* Ends the first operation of the queue and begins the next one. */
static void finish(struct dev_op *op, const struct fail *why, json_t *result)
{
    struct guest *g = op->g;
    char line[1024];

    if (why != NULL && op->kind != OP_TIDY) {
        fail_text(why, line, sizeof(line));
        log_error("%s: %s", g->config.name, line);
    }
    screen_begin(g); /* one that was attached, or could not be detached */
    g->ops = op->next;
    api_device_done(g->d, op, why, result, op->warnings);
    op_free(op);
    start_next(g);
}

static struct dev_op *op_new(struct guest *g, enum op_kind kind, const struct dev_class *class);

/* An attached device that cannot be saved is taken away again: a daemon that takes over would do
   that at some other time, under a guest that has begun to use it. */
static void give_up_attached(struct dev_op *op, int code)
{
    struct guest *g = op->g;
    struct dev_op *undo = op_new(g, OP_UNDO, op->class);
    struct fail f = { 0 };

    undo->dev = op->dev;
    op->dev->refs++;
    undo->is_forced = true;
    undo->is_started = true;
    fail_set(&f, code, "attach", g->config.name,
             "%s %u works, but cannot be saved in %s: %s; it is taken away again", op->class->noun,
             op->dev->id, g->d->state_dir, strerror(-code));
    fail_remedy(&f, "see whether that file system is full");
    finish(op, &f, NULL);
}

/* The work has succeeded: what is saved follows.  The result for who has asked, or NULL with the
   code in *rc. */
static json_t *settle(struct dev_op *op, json_t *report, int *rc)
{
    struct guest *g = op->g;
    json_t *result;

    *rc = 0;
    if (op->kind == OP_DETACH || op->kind == OP_UNDO) {
        dev_forget(&g->config, op->dev);
    }
    if (op->kind != OP_RESIZE) {
        *rc = save(g, op->class);
    }
    if (*rc != 0 && op->kind == OP_ATTACH) {
        return NULL;
    }
    if (*rc != 0) {
        json_array_append_new(op->warnings, json_sprintf("the change cannot be saved in %s: %s",
                                                         g->d->state_dir, strerror(-*rc)));
    }
    result = json_pack("{s:s, s:i, s:s, s:i}", "name", g->config.name, "domid", g->domid, "class",
                       op->class->noun, "id", (int)op->dev->id);
    if (op->kind == OP_ATTACH) {
        bool connected = json_is_true(json_object_get(report, "connected"));

        json_object_set_new(result, "connected", json_boolean(connected));
        if (!connected) {
            json_array_append_new(op->warnings,
                                  json_sprintf("the guest has not connected %s %u within %d s",
                                               op->class->noun, op->dev->id, FRONT_WAIT / 1000));
        }
    }
    return result;
}

static void op_done(struct job *j, json_t *report)
{
    struct dev_op *op = (struct dev_op *)((char *)j - offsetof(struct dev_op, job));
    static const char *const verbs[] = { "attached", "detached", "resized", "taken away again" };
    json_t *error = json_object_get(report, "error");
    struct guest *g = op->g;
    struct fail f = { 0 };
    json_t *result;
    int rc;

    if (report == NULL || error != NULL) {
        if (error != NULL) {
            report_read_fail(error, &f);
        } else {
            fail_set(&f, -ECANCELED, "device", g->config.name, "the work ended without a report");
        }
        revert(op);
        if (op->kind == OP_DETACH) {
            save(g, op->class); /* it is still there */
        }
        finish(op, &f, NULL);
        return;
    }
    if (op->kind == OP_TIDY) {
        finish(op, NULL, json_object());
        return;
    }
    result = settle(op, report, &rc);
    if (result == NULL) {
        give_up_attached(op, rc);
        return;
    }
    log_info("%s: %s %u %s", g->config.name, op->class->noun, op->dev->id, verbs[op->kind]);
    finish(op, NULL, result);
}

/* Whether a device of another guest forbids the new ones. */
int guest_devices_clash(const struct joistd *d, const struct guest *mine, const struct config *c,
                        unsigned int first, struct fail *f)
{
    const struct guest *g;
    unsigned int i;
    unsigned int k;
    int rc = 0;

    for (g = d->guests; g != NULL; g = g->next) {
        for (i = first; g != mine && rc == 0 && i < c->device_count; i++) {
            const struct device *dev = c->devices[i];

            for (k = 0; dev->class->clash != NULL && rc == 0 && k < g->config.device_count; k++) {
                const struct device *other = g->config.devices[k];

                if (other->class == dev->class) {
                    rc = dev->class->clash(dev, other, g->config.name, f);
                }
            }
        }
    }
    return rc;
}

static int begin_attach(struct dev_op *op, struct fail *f)
{
    struct guest *g = op->g;
    struct dev_parse p = {
        .text = op->text,
        .cwd = op->cwd,
        .file = "command line",
        .warnings = op->warnings,
        .f = f,
    };
    struct device *dev;
    int rc;

    op->first = g->config.device_count;
    rc = dev_read_one(&g->config, op->class, &p, &dev);
    if (rc != 0) {
        return rc;
    }
    dev->refs++;
    op->dev = dev;
    op->is_started = true;
    rc = dev_finish(&g->config, f);
    return rc == 0 ? guest_devices_clash(g->d, g, &g->config, op->first, f) : rc;
}

static int begin_detach(struct dev_op *op, struct fail *f)
{
    struct guest *g = op->g;
    struct config without;
    struct device *dev = dev_by_name(&g->config, op->class, op->text, f);

    if (dev == NULL) {
        return f->code;
    }
    if (dev->is_implied) {
        fail_set(f, -EINVAL, "detach", g->config.name, "%s %u belongs to another device",
                 op->class->noun, dev->id);
        return fail_remedy(f, "take that one away");
    }
    dev->refs++;
    op->dev = dev;
    op->is_started = true;
    if (g->settings != NULL) {
        config_copy(&without, &g->config);
        dev_forget(&without, dev);
        json_object_set_new(g->settings, op->class->key, dev_texts(&without, op->class));
        state_save(g);
        config_drop(&without);
    }
    return 0;
}

static int begin_resize(struct dev_op *op, struct fail *f)
{
    op->dev = dev_by_name(&op->g->config, op->class, op->text, f);
    if (op->dev == NULL) {
        return f->code;
    }
    op->dev->refs++;
    return 0;
}

static void start_next(struct guest *g)
{
    struct dev_op *op = g->ops;
    struct fail f = { 0 };
    int rc = 0;

    if (op == NULL || op->job.pid != 0) {
        return;
    }
    if (op->kind == OP_ATTACH) {
        rc = begin_attach(op, &f);
    } else if (op->kind == OP_DETACH) {
        rc = begin_detach(op, &f);
        if (rc == 0 && op->class->kind == DEV_VFB) {
            screen_end(g); /* or it would be started again */
        }
    } else if (op->kind == OP_RESIZE) {
        rc = begin_resize(op, &f);
    } else if (op->kind == OP_UNDO && op->class->kind == DEV_VFB) {
        screen_end(g);
    }
    if (rc == 0) {
        rc = job_start(&op->job, g->d->loop, op_work, op, op_done);
        if (rc != 0) {
            fail_set(&f, rc, "device", g->config.name, "no child process: %s", strerror(-rc));
        }
    }
    if (rc != 0) {
        revert(op);
        if (op->kind == OP_DETACH && op->dev != NULL) {
            save(g, op->class);
        }
        finish(op, &f, NULL);
    }
}

static void queue_due(struct ev_timer *t)
{
    start_next(t->owner);
}

/* The work begins from the loop, never from within the request: it may fail at once. */
static struct dev_op *op_new(struct guest *g, enum op_kind kind, const struct dev_class *class)
{
    struct dev_op *op = xalloc(sizeof(*op));
    struct dev_op **at = &g->ops;

    op->g = g;
    op->kind = kind;
    op->class = class;
    op->warnings = json_array();
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = op;
    if (g->ops_timer.due_ms == 0) { /* else it is in the loop's list, with others behind it */
        g->ops_timer = (struct ev_timer){ .handler = queue_due, .owner = g };
        evloop_arm(g->d->loop, &g->ops_timer, 0);
    }
    return op;
}

struct dev_op *guest_attach(struct guest *g, const struct dev_class *class, const char *text,
                            const char *cwd)
{
    struct dev_op *op = op_new(g, OP_ATTACH, class);

    op->text = xstrdup(text);
    op->cwd = xstrdup(cwd);
    return op;
}

struct dev_op *guest_detach(struct guest *g, const struct dev_class *class, const char *text,
                            bool force)
{
    struct dev_op *op = op_new(g, OP_DETACH, class);

    op->text = xstrdup(text);
    op->is_forced = force;
    return op;
}

struct dev_op *guest_resize(struct guest *g, const struct dev_class *class, const char *text)
{
    struct dev_op *op = op_new(g, OP_RESIZE, class);

    op->text = xstrdup(text);
    return op;
}

void guest_tidy_devices(struct guest *g)
{
    op_new(g, OP_TIDY, NULL);
}

void guest_cancel_ops(struct guest *g)
{
    struct fail f = { 0 };
    struct dev_op *op;

    fail_set(&f, -ECANCELED, "device", g->config.name, "the guest has ended meanwhile");
    while ((op = g->ops) != NULL) {
        job_kill(&op->job);
        if (op->is_started && op->dev != NULL) {
            dev_forget(&g->config, op->dev); /* a device half attached or half detached is none */
        }
        g->ops = op->next;
        api_device_done(g->d, op, &f, NULL, op->warnings);
        op_free(op);
    }
}
