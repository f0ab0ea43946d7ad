/* SPDX-License-Identifier: MIT */
/* CONTROL: commands of the administrator, as xenstore-control sends them. */

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "stored/domain.h"
#include "stored/ops.h"

#define CONTROL_ARGS 4

struct command {
    const char *name;
    const char *usage;
    int (*run)(struct request *rq, const char *const *args, int count);
};

/* Counts the nodes of each owner afresh and compares with the account that quotas use. */
static int run_check(struct request *rq, const char *const *args, int count)
{
    struct server *s = rq->server;
    struct acct fresh = { 0 };
    struct walk w;
    struct node *n;
    bool is_same = true;

    (void)args;
    (void)count;
    walk_begin(&w, s->live.root, "/");
    while ((n = walk_next(&w)) != NULL) {
        acct_add(&fresh, n->perms.list[0].domid, 1, 0);
    }
    walk_end(&w);
    for (size_t i = 0; i < fresh.count; i++) {
        is_same &= acct_get(&s->live.acct, fresh.list[i].domid).nodes == fresh.list[i].nodes;
    }
    acct_free(&fresh);
    ops_reply_text(rq, is_same ? "OK" : "node accounts differ from the tree");
    return 0;
}

static int run_log(struct request *rq, const char *const *args, int count)
{
    struct server *s = rq->server;

    if (count == 0) {
        ops_reply_text(rq, s->is_tracing ? "on" : "off");
        return 0;
    }
    if (count != 1 || (strcmp(args[0], "on") != 0 && strcmp(args[0], "off") != 0)) {
        return -EINVAL;
    }
    s->is_tracing = strcmp(args[0], "on") == 0;
    return 0;
}

static int run_logfile(struct request *rq, const char *const *args, int count)
{
    (void)rq;
    if (count != 1 || args[0][0] != '/') {
        return -EINVAL;
    }
    return log_open("joist-stored", args[0]);
}

static int run_print(struct request *rq, const char *const *args, int count)
{
    (void)rq;
    if (count != 1) {
        return -EINVAL;
    }
    log_line(LOG_LEVEL_ERROR, "control: %s", args[0]);
    return 0;
}

static int run_memreport(struct request *rq, const char *const *args, int count)
{
    const struct server *s = rq->server;
    size_t conns = 0;

    (void)args;
    (void)count;
    for (const struct conn *c = s->conns; c; c = c->next) {
        conns++;
    }
    buf_printf(&rq->reply, "connections %zu\njournal %zu bytes\n", conns, s->journal.used);
    for (size_t i = 0; i < s->live.acct.count && rq->reply.len < XENSTORE_PAYLOAD_MAX - 100; i++) {
        const struct acct_entry *e = &s->live.acct.list[i];
        buf_printf(&rq->reply, "domain %u: nodes %lld bytes %lld\n", e->domid, (long long)e->nodes,
                   (long long)domain_memory(s, e->domid));
    }
    buf_add(&rq->reply, "", 1);
    rq->has_reply = true;
    return 0;
}

/* quota: defaults; quota DOMID: use of a domain; quota set NAME VALUE. */
static int run_quota(struct request *rq, const char *const *args, int count)
{
    struct server *s = rq->server;
    uint64_t value;

    if (count == 3 && strcmp(args[0], "set") == 0) {
        int id = quota_find(args[1]);
        if (id < 0 || ops_number(args[2], INT64_MAX, &value) < 0) {
            return -EINVAL;
        }
        s->quotas.limit[id] = (int64_t)value;
        server_record_quotas(s);
        return 0;
    }
    if (count > 1 || (count == 1 && ops_number(args[0], DOMID_LIMIT - 1, &value) < 0)) {
        return -EINVAL;
    }
    if (count == 1) {
        uint16_t domid = (uint16_t)value;
        const struct domain *d = domain_find(s, domid);
        if (!d) {
            return -ENOENT;
        }
        buf_printf(&rq->reply, "nodes %lld\nmemory %lld\nwatches %zu\ntransactions %zu\n",
                   (long long)acct_get(&s->live.acct, domid).nodes,
                   (long long)domain_memory(s, domid), d->conn ? d->conn->watch_count : 0,
                   d->conn ? d->conn->txn_count : 0);
    } else {
        for (int i = 0; i < QUOTA_COUNT; i++) {
            buf_printf(&rq->reply, "%s %lld\n", quota_names[i], (long long)s->quotas.limit[i]);
        }
    }
    buf_add(&rq->reply, "", 1);
    rq->has_reply = true;
    return 0;
}

static int run_help(struct request *rq, const char *const *args, int count);

static const struct command commands[] = {
    { "check", "check", run_check },
    { "help", "help", run_help },
    { "log", "log [on|off]", run_log },
    { "logfile", "logfile PATH", run_logfile },
    { "memreport", "memreport", run_memreport },
    { "print", "print TEXT", run_print },
    { "quota", "quota [DOMID | set NAME VALUE]", run_quota },
};

static int run_help(struct request *rq, const char *const *args, int count)
{
    (void)args;
    (void)count;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        buf_printf(&rq->reply, "%s\n", commands[i].usage);
    }
    buf_add(&rq->reply, "", 1);
    rq->has_reply = true;
    return 0;
}

int ops_control(struct request *rq)
{
    const char *args[CONTROL_ARGS + 1];
    int count = ops_strings(rq, args, CONTROL_ARGS + 1);

    if (count < 1 || count > CONTROL_ARGS) {
        return -EINVAL;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, args[0]) == 0) {
            return commands[i].run(rq, args + 1, count - 1);
        }
    }
    return -EINVAL;
}
