/* SPDX-License-Identifier: MIT */
/* Connections of clients: lines in, verbs called, answers out, now or when something happens. */
#include "joistd/api.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "joistd/report.h"

#define CONNS_MAX 256
#define OUT_MAX   (1 << 20) /* bytes a client may leave unread before its requests have to wait */

enum wait_kind {
    WAIT_NONE,
    WAIT_START,  /* until the guest is started */
    WAIT_SETTLE, /* and a moment longer, to see it crash */
    WAIT_END,    /* until the domains have ended */
    WAIT_GONE,   /* until nothing is left of the guest's domain */
    WAIT_DEVICE, /* until a change of devices is over */
};

struct conn {
    struct conn *next;
    struct joistd *d;
    struct ev_fd source;
    struct buf in;
    struct buf out;
    struct ev_timer timer;
    enum wait_kind wait;
    bool settle;
    bool is_dead; /* closed as soon as nothing uses it any more */
    struct guest *guest;
    const struct dev_op *op;
    json_t *domids;   /* still waited for */
    json_t *result;   /* the answer when the wait is over */
    json_t *warnings; /* goes with it */
};

json_t api_later;

static void conn_free(struct conn *c)
{
    struct conn **at = &c->d->conns;

    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    evloop_del(c->d->loop, &c->source);
    evloop_disarm(c->d->loop, &c->timer);
    close(c->source.fd);
    buf_free(&c->in);
    buf_free(&c->out);
    json_decref(c->domids);
    json_decref(c->result);
    json_decref(c->warnings);
    free(c);
}

static void flush(struct conn *c)
{
    ssize_t n;

    while (c->out.len > 0) {
        n = send(c->source.fd, buf_data(&c->out), c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            buf_drop(&c->out, (size_t)n);
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else {
            if (n < 0 && errno != EAGAIN) {
                c->is_dead = true;
                buf_clear(&c->out);
            }
            break;
        }
    }
    c->source.events =
        (short)((c->out.len < OUT_MAX ? POLLIN : 0) | (c->out.len > 0 ? POLLOUT : 0));
}

/* Sends one reply; takes over `reply`. */
static void send_reply(struct conn *c, json_t *reply)
{
    char *text = json_dumps(reply, JSON_COMPACT);

    json_decref(reply);
    if (text != NULL) {
        buf_add(&c->out, text, strlen(text));
        buf_add(&c->out, "\n", 1);
        free(text);
    }
    flush(c);
}

static void reply_ok(struct conn *c, json_t *result, json_t *warnings)
{
    json_t *reply = json_pack("{s:b, s:o}", "ok", 1, "result", result);

    if (json_array_size(warnings) > 0) {
        json_object_set(reply, "warnings", warnings);
    }
    json_decref(warnings);
    send_reply(c, reply);
}

static void reply_fail(struct conn *c, const struct fail *f)
{
    send_reply(c, json_pack("{s:b, s:o}", "ok", 0, "error", report_fail(f)));
}

/* --- answers that come later ------------------------------------------------------------------ */

static void wait_over(struct conn *c, const struct fail *why)
{
    json_t *result = c->result;
    json_t *warnings = c->warnings;

    evloop_disarm(c->d->loop, &c->timer);
    c->wait = WAIT_NONE;
    c->guest = NULL;
    c->result = NULL;
    c->warnings = NULL;
    json_decref(c->domids);
    c->domids = NULL;
    if (why != NULL) {
        json_decref(result);
        json_decref(warnings);
        reply_fail(c, why);
    } else {
        reply_ok(c, result, warnings);
    }
    /* requests that came meanwhile are looked at from the loop, not from within an event */
    evloop_arm(c->d->loop, &c->timer, 0);
}

static void serve(struct conn *c);

static void timer_due(struct ev_timer *t)
{
    struct conn *c = t->owner;

    if (c->wait == WAIT_SETTLE) {
        wait_over(c, NULL);
    } else if (c->wait == WAIT_NONE) {
        serve(c);
    }
}

json_t *api_wait_start(struct call *call, struct guest *g, bool settle)
{
    struct conn *c = call->conn;

    c->wait = WAIT_START;
    c->guest = g;
    c->settle = settle;
    c->result = json_object();
    return &api_later;
}

json_t *api_wait_end(struct call *call, json_t *domids)
{
    struct conn *c = call->conn;

    if (json_array_size(domids) == 0) {
        json_decref(domids);
        return json_object();
    }
    c->wait = WAIT_END;
    c->domids = domids;
    c->result = json_object();
    return &api_later;
}

json_t *api_wait_gone(struct call *call, struct guest *g)
{
    struct conn *c = call->conn;

    c->wait = WAIT_GONE;
    c->guest = g;
    c->result = json_object();
    return &api_later;
}

json_t *api_wait_device(struct call *call, const struct dev_op *op)
{
    struct conn *c = call->conn;

    c->wait = WAIT_DEVICE;
    c->op = op;
    return &api_later;
}

void api_device_done(struct joistd *d, const struct dev_op *op, const struct fail *why,
                     json_t *result, json_t *warnings)
{
    struct conn *c;

    for (c = d->conns; c != NULL; c = c->next) {
        if (c->wait == WAIT_DEVICE && c->op == op) {
            c->op = NULL;
            c->result = result != NULL ? json_incref(result) : NULL;
            if (c->warnings != NULL) {
                json_array_extend(c->warnings, warnings);
            }
            wait_over(c, why);
        }
    }
    json_decref(result);
}

/* Takes an id off the list of those waited for, and answers when it was the last one. */
static void domid_done(struct conn *c, int domid)
{
    size_t i;

    for (i = json_array_size(c->domids); i > 0; i--) {
        if (json_integer_value(json_array_get(c->domids, i - 1)) == domid) {
            json_array_remove(c->domids, i - 1);
        }
    }
    if (json_array_size(c->domids) == 0) {
        wait_over(c, NULL);
    }
}

static void started(struct conn *c, const struct guest *g)
{
    json_object_set_new(c->result, "name", json_string(g->config.name));
    json_object_set_new(c->result, "domid", json_integer(g->domid));
    json_object_set_new(c->result, "uuid", json_string(g->config.uuid_text));
    if (c->settle) {
        c->wait = WAIT_SETTLE;
        evloop_arm(c->d->loop, &c->timer, SETTLE_MS);
    } else {
        wait_over(c, NULL);
    }
}

static void event_for(struct conn *c, struct guest *g, enum guest_event event,
                      const struct fail *why)
{
    bool is_mine = c->guest == g;
    bool is_bad_end = event == EVENT_ENDED && why->code == -EIO;

    switch (c->wait) {
    case WAIT_START:
        if (is_mine && event == EVENT_STARTED) {
            started(c, g);
        } else if (is_mine && event == EVENT_FAILED) {
            wait_over(c, why);
        }
        break;
    case WAIT_SETTLE:
        if (is_mine && (is_bad_end || event == EVENT_GONE)) {
            wait_over(c, is_bad_end ? why : NULL);
        }
        break;
    case WAIT_END:
        if (event == EVENT_GONE || event == EVENT_KEPT) {
            domid_done(c, g->domid);
        }
        break;
    case WAIT_GONE:
        if (is_mine && event == EVENT_GONE) {
            wait_over(c, NULL);
        }
        break;
    default:
        break;
    }
}

void api_event(struct joistd *d, struct guest *g, enum guest_event event, const struct fail *why)
{
    struct conn *c;

    for (c = d->conns; c != NULL; c = c->next) {
        event_for(c, g, event, why);
    }
}

void api_scanned(struct joistd *d, const struct domain_list *list)
{
    struct conn *c;
    size_t i;

    for (c = d->conns; c != NULL; c = c->next) {
        for (i = json_array_size(c->domids); i > 0 && c->wait == WAIT_END; i--) {
            int domid = (int)json_integer_value(json_array_get(c->domids, i - 1));
            const struct xen_domctl_getdomaininfo *info = host_find_id(list, (uint16_t)domid);

            if (guest_by_domid(d, domid) == NULL &&
                (info == NULL || host_shutdown_reason(info) >= 0)) {
                domid_done(c, domid);
            }
        }
    }
}

/* --- requests --------------------------------------------------------------------------------- */

static bool is_word_of(const char *words, const char *word)
{
    size_t n = strlen(word);
    const char *at = words;

    while ((at = strstr(at, word)) != NULL) {
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0') && n > 0) {
            return true;
        }
        at += n > 0 ? n : 1;
    }
    return false;
}

static int check_args(const struct verb *v, const json_t *args, struct fail *f)
{
    const char *key;
    json_t *value;

    if (args != NULL && !json_is_object(args)) {
        return fail_set(f, -EINVAL, "request", v->name, "\"args\" is no object");
    }
    json_object_foreach((json_t *)args, key, value)
    {
        if (!is_word_of(v->args, key)) {
            return fail_set(f, -EINVAL, "request", v->name, "unknown argument \"%.64s\"", key);
        }
    }
    return 0;
}

static int prepare(struct call *call, const struct verb *v)
{
    const char *text = json_string_value(json_object_get(call->args, "domain"));
    int rc;

    if (v->needs == NEEDS_NOTHING) {
        return 0;
    }
    rc = host_domains(call->d->h, &call->list);
    if (rc != 0) {
        fail_set(call->f, rc, v->name, "hypervisor", "it gives no list of domains: %s",
                 joist_strerror(rc));
        return fail_remedy(call->f, "joistd must run as root in the control domain");
    }
    if (v->needs == NEEDS_LIST) {
        return 0;
    }
    if (text == NULL) {
        return fail_set(call->f, -EINVAL, "request", v->name, "the argument \"domain\" is missing");
    }
    rc = domain_find(call, text, &call->target);
    if (rc == 0 && v->needs == NEEDS_GUEST && call->target.info != NULL &&
        call->target.info->domain == 0) {
        return fail_set(call->f, -EPERM, v->name, call->target.name,
                        "this is not done to the control domain");
    }
    return rc;
}

static void run_request(struct conn *c, const json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "verb"));
    const struct verb *v = name != NULL ? verb_find(name) : NULL;
    struct fail f = { 0 };
    struct call call = { .d = c->d,
                         .conn = c,
                         .args = json_object_get(request, "args"),
                         .warnings = json_array(),
                         .f = &f };
    json_t *result = NULL;

    if (v == NULL) {
        fail_set(&f, -ENOSYS, "request", name != NULL ? name : "?", "no such verb");
    } else if (check_args(v, call.args, &f) == 0 && prepare(&call, v) == 0) {
        result = v->run(&call);
        if (result == NULL && f.code == 0) {
            fail_set(&f, -ENOMEM, "request", v->name, "out of memory");
        }
    }
    free(call.list.info);
    if (result == &api_later) {
        c->warnings = call.warnings;
    } else if (result != NULL) {
        reply_ok(c, result, call.warnings);
    } else {
        json_decref(call.warnings);
        reply_fail(c, &f);
    }
}

/* Works through complete lines until one has to wait for its answer. */
static void serve(struct conn *c)
{
    struct fail f;
    json_error_t why;
    json_t *request;
    uint8_t *end;
    size_t n;

    while (c->wait == WAIT_NONE && !c->is_dead && c->out.len < OUT_MAX && c->in.len > 0 &&
           (end = memchr(buf_data(&c->in), '\n', c->in.len)) != NULL) {
        n = (size_t)(end - (uint8_t *)buf_data(&c->in));
        request = json_loadb(buf_data(&c->in), n, JSON_REJECT_DUPLICATES, &why);
        buf_drop(&c->in, n + 1);
        if (json_is_object(request)) {
            run_request(c, request);
        } else {
            f = (struct fail){ 0 };
            fail_set(&f, -EPROTO, "request", "line", "no JSON object: %s",
                     request == NULL ? why.text : "another kind of value");
            reply_fail(c, &f);
        }
        json_decref(request);
    }
    if (c->in.len > API_LINE_MAX) {
        f = (struct fail){ 0 };
        fail_set(&f, -E2BIG, "request", "line", "longer than %d bytes", API_LINE_MAX);
        reply_fail(c, &f);
        c->is_dead = true;
    }
}

static void conn_ready(struct ev_fd *src, short revents)
{
    struct conn *c = src->owner;
    ssize_t n;

    if ((revents & POLLOUT) != 0) {
        flush(c);
        serve(c); /* what had to wait */
    }
    if ((revents & POLLIN) != 0 || (revents & (POLLHUP | POLLERR)) != 0) {
        n = recv(src->fd, buf_room(&c->in, 16384), 16384, MSG_DONTWAIT);
        if (n > 0) {
            buf_added(&c->in, (size_t)n);
            serve(c);
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            c->is_dead = true;
        }
    }
    if (c->is_dead) {
        conn_free(c);
    }
}

static void accept_ready(struct ev_fd *src, short revents)
{
    struct joistd *d = src->owner;
    struct conn *c;
    size_t count = 0;
    int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)revents;
    for (c = d->conns; c != NULL; c = c->next) {
        count++;
    }
    if (fd >= 0 && count >= CONNS_MAX) {
        static struct log_limit limit;

        log_limited(&limit, LOG_LEVEL_WARN, "more than %d clients: one turned away", CONNS_MAX);
        close(fd);
        return;
    }
    if (fd < 0) {
        return;
    }
    c = xalloc(sizeof(*c));
    c->d = d;
    c->next = d->conns;
    d->conns = c;
    c->timer = (struct ev_timer){ .handler = timer_due, .owner = c };
    c->source = (struct ev_fd){ .fd = fd, .events = POLLIN, .handler = conn_ready, .owner = c };
    evloop_add(d->loop, &c->source);
}

int api_open(struct joistd *d, const char *path)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    struct group *group = getgrnam("joist");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask;
    int rc = 0;

    if (fd < 0) {
        return -errno;
    }
    if (strlen(path) >= sizeof(sa.sun_path)) {
        close(fd);
        return -ENAMETOOLONG;
    }
    memcpy(sa.sun_path, path, strlen(path) + 1);
    unlink(path); /* left by a killed daemon: the pid file says that no other one runs */
    mask = umask(0177);
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
        rc = -errno;
    }
    umask(mask);
    if (rc == 0 && group != NULL &&
        (chown(path, (uid_t)-1, group->gr_gid) != 0 || chmod(path, 0660) != 0)) {
        log_warn("%s stays for root alone: %s", path, strerror(errno));
    }
    if (rc == 0 && listen(fd, 64) != 0) {
        rc = -errno;
    }
    if (rc != 0) {
        close(fd);
        return rc;
    }
    d->listener = (struct ev_fd){ .fd = fd, .events = POLLIN, .handler = accept_ready, .owner = d };
    evloop_add(d->loop, &d->listener);
    return 0;
}

void api_close(struct joistd *d, const char *path)
{
    while (d->conns != NULL) {
        conn_free(d->conns);
    }
    evloop_del(d->loop, &d->listener);
    close(d->listener.fd);
    unlink(path);
}
