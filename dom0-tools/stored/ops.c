/* SPDX-License-Identifier: MIT */
/* The table of operations, and those on nodes, watches and transactions. */

#include "stored/ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "stored/domain.h"
#include "stored/live.h"
#include "stored/ops_domain.h"
#include "stored/view.h"
#include "stored/watch.h"

#define OP_PRIVILEGED 1u /* control domain only */
#define OP_NO_TXN     2u /* the transaction id of the request means nothing */
#define OP_GROWS      4u /* refused to a domain that is over its memory quota */

struct op {
    const char *name;
    int (*handler)(struct request *rq);
    unsigned int flags;
};

int ops_strings(const struct request *rq, const char **out, int max)
{
    int count = 0;

    if (rq->len == 0 || rq->data[rq->len - 1] != '\0') {
        return rq->len == 0 ? 0 : -EINVAL;
    }
    for (size_t i = 0; i < rq->len; i += strlen(rq->data + i) + 1) {
        if (count < max) {
            out[count] = rq->data + i;
        }
        count++;
    }
    return count;
}

int ops_number(const char *text, uint64_t limit, uint64_t *out)
{
    uint64_t value = 0;

    if (!*text) {
        return -EINVAL;
    }
    for (; *text; text++) {
        if (*text < '0' || *text > '9') {
            return -EINVAL;
        }
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return -EINVAL;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return value <= limit ? 0 : -EINVAL;
}

void ops_reply_text(struct request *rq, const char *text)
{
    buf_add_str(&rq->reply, text);
    rq->has_reply = true;
}

/* An absolute path from what the client wrote, within the caller's quota. */
static int resolve(const struct request *rq, const char *name, struct path *out)
{
    const struct conn *c = rq->conn;
    int rc = path_absolute(out, name, c->base);

    if (rc == 0 && !c->who.is_privileged &&
        (int64_t)(strlen(out->name) - path_domain_prefix(out->name)) >
            domain_quota(rq->server, c->who.domid, QUOTA_PATH)) {
        return -ENOSPC;
    }
    return rc;
}

/* The payload is one string, a path of a node. */
static int one_path(const struct request *rq, struct path *out)
{
    const char *name;

    if (ops_strings(rq, &name, 1) != 1) {
        return -EINVAL;
    }
    return path_is_special(name) ? -EINVAL : resolve(rq, name, out);
}

static int get_one(struct request *rq, unsigned int need, unsigned int looked, struct node **out)
{
    struct path path;
    int rc = one_path(rq, &path);
    struct look look = { .path = path.name, .need = need, .looked = looked };

    return rc < 0 ? rc : view_get(rq, &look, out);
}

static int op_directory(struct request *rq)
{
    struct node *n;
    int rc = get_one(rq, PERM_READ, TXN_KIDS, &n);

    if (rc < 0) {
        return rc;
    }
    if (n->kid_bytes > XENSTORE_PAYLOAD_MAX) {
        return -E2BIG;
    }
    for (uint32_t i = 0; i < n->kid_count; i++) {
        buf_add_str(&rq->reply, n->kids[i]->name);
    }
    rq->has_reply = true;
    return 0;
}

/* Part of a listing: the node's generation, then names from the byte offset on; an empty name
   ends the last part. */
static int op_directory_part(struct request *rq)
{
    const char *args[2];
    struct path path;
    struct node *n;
    uint64_t offset;
    uint64_t at = 0;

    if (ops_strings(rq, args, 2) != 2 || path_is_special(args[0]) ||
        ops_number(args[1], UINT32_MAX, &offset) < 0) {
        return -EINVAL;
    }
    int rc = resolve(rq, args[0], &path);
    struct look look = { .path = path.name, .need = PERM_READ, .looked = TXN_KIDS };
    if (rc == 0) {
        rc = view_get(rq, &look, &n);
    }
    if (rc < 0) {
        return rc;
    }
    buf_printf(&rq->reply, "%llu", (unsigned long long)n->kids_gen);
    buf_add(&rq->reply, "", 1);
    rq->has_reply = true;
    for (uint32_t i = 0; i < n->kid_count; i++) {
        size_t len = strlen(n->kids[i]->name) + 1;
        if (at >= offset) {
            if (rq->reply.len + len + 1 > XENSTORE_PAYLOAD_MAX) {
                return 0;
            }
            buf_add(&rq->reply, n->kids[i]->name, len);
        }
        at += len;
    }
    buf_add(&rq->reply, "", 1);
    return 0;
}

static int op_read(struct request *rq)
{
    struct node *n;
    int rc = get_one(rq, PERM_READ, 0, &n);

    if (rc == 0) {
        buf_add(&rq->reply, n->value, n->value_len);
        rq->has_reply = true;
    }
    return rc;
}

/* The special event that a payload's first string names, or -1. */
static int special_of(const char *name)
{
    if (strcmp(name, PATH_INTRODUCE) == 0) {
        return SPECIAL_INTRODUCE;
    }
    return strcmp(name, PATH_RELEASE) == 0 ? SPECIAL_RELEASE : -1;
}

static int op_get_perms(struct request *rq)
{
    const char *name;
    struct node *n;
    int rc;

    if (ops_strings(rq, &name, 1) != 1) {
        return -EINVAL;
    }
    int which = special_of(name);
    if (which >= 0) {
        if (!(perm_rights(&rq->conn->who, &rq->server->special[which]) & PERM_READ)) {
            return -EACCES;
        }
        perm_format(&rq->reply, &rq->server->special[which]);
    } else {
        rc = get_one(rq, PERM_READ, 0, &n);
        if (rc < 0) {
            return rc;
        }
        perm_format(&rq->reply, &n->perms);
    }
    rq->has_reply = true;
    return rq->reply.len > XENSTORE_PAYLOAD_MAX ? -E2BIG : 0;
}

/* Reads the access list behind the path. Entries for domains that do not exist grant nothing,
   and an owner must exist. */
static int parse_perms(struct request *rq, struct perms *out)
{
    const char *at = rq->data + strlen(rq->data) + 1;
    const char *end = rq->data + rq->len;
    struct buf list = { 0 };
    int rc = 0;

    for (; rc == 0 && at < end; at += strlen(at) + 1) {
        struct perm p = { 0 };
        rc = perm_parse(at, &p);
        if (rc == 0 && !domain_is_there(rq->server, p.domid)) {
            if (list.len == 0) {
                rc = -ENOENT;
            }
            p.bits |= PERM_IGNORED;
        }
        buf_add(&list, &p, sizeof(p));
    }
    *out = (struct perms){ .list = xmemdup(buf_data(&list), list.len),
                           .count = (uint16_t)(list.len / sizeof(struct perm)) };
    buf_free(&list);
    return rc == 0 && out->count == 0 ? -EINVAL : rc;
}

static int set_perms(struct request *rq, const char *name, const struct perms *perms)
{
    const struct who *who = &rq->conn->who;
    struct path path;
    struct node *n;
    int rc;
    int which = special_of(name);

    if (!who->is_privileged && perms->count > domain_quota(rq->server, who->domid, QUOTA_PERMS)) {
        return -ENOSPC;
    }
    if (which >= 0) {
        if (!who->is_privileged || rq->txn) {
            return who->is_privileged ? -EINVAL : -EACCES;
        }
        live_set_special(rq->server, (enum special)which, perms);
        return 0;
    }
    rc = path_is_special(name) ? -EINVAL : resolve(rq, name, &path);
    struct look look = { .path = path.name, .need = PERM_WRITE | PERM_OWNER };
    if (rc == 0) {
        rc = view_get(rq, &look, &n);
    }
    if (rc < 0) {
        return rc;
    }
    if (!who->is_privileged && perms->list[0].domid != n->perms.list[0].domid) {
        return -EPERM;
    }
    return view_set_perms(rq, path.name, perms);
}

static int op_set_perms(struct request *rq)
{
    struct perms perms;
    const char *name;
    int rc;

    if (ops_strings(rq, &name, 1) < 2) {
        return -EINVAL;
    }
    rc = parse_perms(rq, &perms);
    if (rc == 0) {
        rc = set_perms(rq, name, &perms);
    }
    perms_free(&perms);
    return rc;
}

static int op_watch(struct request *rq)
{
    const char *args[3];
    struct path path;
    uint64_t depth;
    struct conn *c = rq->conn;
    int count = ops_strings(rq, args, 3);
    struct watch_request want = { .depth = WATCH_NO_DEPTH };

    if (count < 2 || count > 3) {
        return -EINVAL;
    }
    int rc = resolve(rq, args[0], &path);
    if (rc == 0 && count == 3) {
        rc = ops_number(args[2], INT32_MAX, &depth);
        want.depth = rc == 0 ? (int)depth : WATCH_NO_DEPTH;
    }
    if (rc < 0) {
        return rc;
    }
    want.path = path.name;
    want.token = args[1];
    want.is_relative = args[0][0] != '/' && !path_is_special(args[0]);
    if (!c->who.is_privileged &&
        (int64_t)c->watch_count >= domain_quota(rq->server, c->who.domid, QUOTA_WATCHES)) {
        return -ENOSPC;
    }
    rc = watch_add(c, &want);
    if (rc < 0) {
        return rc;
    }
    /* The answer goes first: the client then knows what the event belongs to. */
    ops_reply_text(rq, "OK");
    conn_reply(c, rq->head, XS_WATCH, &rq->reply);
    rq->is_answered = true;
    watch_greet(c, &want);
    return 0;
}

static int op_unwatch(struct request *rq)
{
    const char *args[2];
    struct path path;

    if (ops_strings(rq, args, 2) != 2) {
        return -EINVAL;
    }
    int rc = resolve(rq, args[0], &path);
    return rc < 0 ? rc : watch_remove(rq->conn, path.name, args[1]);
}

static int op_reset_watches(struct request *rq)
{
    conn_reset(rq->conn);
    return 0;
}

static int op_transaction_start(struct request *rq)
{
    char text[16];
    uint32_t id;

    if (rq->txn) {
        return -EBUSY;
    }
    int rc = txn_begin(rq->conn, &id);
    if (rc == 0) {
        (void)snprintf(text, sizeof(text), "%u", id);
        ops_reply_text(rq, text);
    }
    return rc;
}

static int op_transaction_end(struct request *rq)
{
    const char *how;
    struct txn *t = rq->txn;

    if (ops_strings(rq, &how, 1) != 1 || (strcmp(how, "T") != 0 && strcmp(how, "F") != 0)) {
        return -EINVAL;
    }
    if (!t) {
        return -ENOENT;
    }
    rq->txn = NULL;
    if (how[0] == 'T') {
        return txn_commit(t);
    }
    txn_abort(t);
    return 0;
}

static int op_write(struct request *rq)
{
    struct path path;
    struct node *n;
    const char *nul = memchr(rq->data, '\0', rq->len);

    if (!nul || path_is_special(rq->data)) {
        return -EINVAL;
    }
    size_t skip = (size_t)(nul - rq->data) + 1;
    struct value value = { .data = rq->data + skip, .len = rq->len - skip };
    int rc = resolve(rq, rq->data, &path);
    if (rc < 0) {
        return rc;
    }
    struct look look = { .path = path.name, .need = PERM_WRITE };
    rc = view_get(rq, &look, &n);
    if (rc == -ENOENT) {
        return view_create(rq, path.name, value);
    }
    return rc < 0 ? rc : view_set_value(rq, path.name, value);
}

static int op_mkdir(struct request *rq)
{
    const struct value empty = { .data = "", .len = 0 };
    struct path path;
    struct node *n;
    int rc = one_path(rq, &path);

    if (rc < 0) {
        return rc;
    }
    struct look look = { .path = path.name, .need = PERM_WRITE };
    rc = view_get(rq, &look, &n);
    return rc == -ENOENT ? view_create(rq, path.name, empty) : rc;
}

static int op_rm(struct request *rq)
{
    struct path path;
    struct path parent;
    struct node *n;
    int rc = one_path(rq, &path);

    if (rc < 0) {
        return rc;
    }
    struct look look = { .path = path.name, .need = PERM_WRITE };
    rc = view_get(rq, &look, &n);
    if (rc == -ENOENT) {
        path_parent(&parent, path.name);
        return tree_find(rq->tree, parent.name) ? 0 : -ENOENT;
    }
    if (rc < 0) {
        return rc;
    }
    return path.name[1] ? view_remove(rq, path.name) : -EINVAL;
}

static const struct op ops[] = {
    [XS_CONTROL] = { "control", ops_control, OP_PRIVILEGED | OP_NO_TXN },
    [XS_DIRECTORY] = { "directory", op_directory, 0 },
    [XS_READ] = { "read", op_read, 0 },
    [XS_GET_PERMS] = { "get_perms", op_get_perms, 0 },
    [XS_WATCH] = { "watch", op_watch, OP_NO_TXN | OP_GROWS },
    [XS_UNWATCH] = { "unwatch", op_unwatch, OP_NO_TXN },
    [XS_TRANSACTION_START] = { "transaction_start", op_transaction_start, OP_GROWS },
    [XS_TRANSACTION_END] = { "transaction_end", op_transaction_end, 0 },
    [XS_INTRODUCE] = { "introduce", ops_introduce, OP_PRIVILEGED | OP_NO_TXN },
    [XS_RELEASE] = { "release", ops_release, OP_PRIVILEGED | OP_NO_TXN },
    [XS_GET_DOMAIN_PATH] = { "get_domain_path", ops_get_domain_path, OP_NO_TXN },
    [XS_WRITE] = { "write", op_write, OP_GROWS },
    [XS_MKDIR] = { "mkdir", op_mkdir, OP_GROWS },
    [XS_RM] = { "rm", op_rm, 0 },
    [XS_SET_PERMS] = { "set_perms", op_set_perms, OP_GROWS },
    [XS_IS_DOMAIN_INTRODUCED] = { "is_domain_introduced", ops_is_domain_introduced,
                                  OP_PRIVILEGED | OP_NO_TXN },
    [XS_RESUME] = { "resume", ops_resume, OP_PRIVILEGED | OP_NO_TXN },
    [XS_SET_TARGET] = { "set_target", ops_set_target, OP_PRIVILEGED | OP_NO_TXN },
    [XS_RESET_WATCHES] = { "reset_watches", op_reset_watches, OP_NO_TXN },
    [XS_DIRECTORY_PART] = { "directory_part", op_directory_part, 0 },
    [XS_GET_FEATURE] = { "get_feature", ops_get_feature, OP_PRIVILEGED | OP_NO_TXN },
    [XS_SET_FEATURE] = { "set_feature", ops_set_feature, OP_PRIVILEGED | OP_NO_TXN },
    [XS_GET_QUOTA] = { "get_quota", ops_get_quota, OP_PRIVILEGED | OP_NO_TXN },
    [XS_SET_QUOTA] = { "set_quota", ops_set_quota, OP_PRIVILEGED | OP_NO_TXN },
};

/* Checks that hold for every operation, then the handler. */
static int run(struct request *rq, const struct op *op)
{
    const struct who *who = &rq->conn->who;
    uint32_t tx_id = op->flags & OP_NO_TXN ? 0 : rq->head->tx_id;

    if ((op->flags & OP_PRIVILEGED) && !who->is_privileged) {
        return -EACCES;
    }
    if ((op->flags & OP_GROWS) && !who->is_privileged &&
        domain_memory(rq->server, who->domid) >=
            domain_quota(rq->server, who->domid, QUOTA_MEMORY)) {
        return -ENOSPC;
    }
    if (tx_id) {
        rq->txn = txn_find(rq->conn, tx_id);
        if (!rq->txn) {
            return -ENOENT;
        }
        rq->tree = &rq->txn->tree;
    }
    return op->handler(rq);
}

void ops_handle(struct conn *c, const struct xsd_sockmsg *head, uint8_t *data)
{
    struct server *s = c->server;
    struct request rq = { .server = s,
                          .conn = c,
                          .tree = &s->live,
                          .data = (const char *)data,
                          .len = head->len,
                          .head = head };
    size_t count = sizeof(ops) / sizeof(ops[0]);
    const struct op *op = head->type < count && ops[head->type].handler ? &ops[head->type] : NULL;

    data[head->len] = '\0';
    s->live.writer = c->who.domid;
    int rc = op ? run(&rq, op) : -ENOSYS;
    if (s->is_tracing) {
        log_line(LOG_LEVEL_ERROR, "trace: domain %u %s %s tx %u: %s", c->who.domid,
                 op ? op->name : "?", head->len ? rq.data : "", head->tx_id,
                 rc < 0 ? joist_errname(rc) : "ok");
    }
    if (!rq.is_answered && !c->is_closed) {
        uint32_t type = head->type;
        if (rc < 0) {
            buf_clear(&rq.reply);
            ops_reply_text(&rq, joist_errname(rc));
            type = XS_ERROR;
        } else if (!rq.has_reply) {
            ops_reply_text(&rq, "OK");
        }
        conn_reply(c, head, type, &rq.reply);
    }
    buf_free(&rq.reply);
}
