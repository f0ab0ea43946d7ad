/* SPDX-License-Identifier: MIT */
/* Operations about domains, features and quotas. */

#include "stored/ops_domain.h"

#include <errno.h>
#include <stdio.h>

#include "stored/domain.h"

static int parse_domid(const char *text, uint16_t *out)
{
    uint64_t value;

    if (ops_number(text, DOMID_LIMIT - 1, &value) < 0) {
        return -EINVAL;
    }
    *out = (uint16_t)value;
    return 0;
}

/* The payload is one string, a domid. */
static int one_domid(const struct request *rq, uint16_t *out)
{
    const char *text;

    return ops_strings(rq, &text, 1) == 1 ? parse_domid(text, out) : -EINVAL;
}

/* The record of an introduced domain other than the control domain, or NULL. */
static struct domain *guest_of(const struct request *rq, uint16_t domid)
{
    struct domain *d = domid ? domain_find(rq->server, domid) : NULL;

    return d && d->is_introduced ? d : NULL;
}

int ops_introduce(struct request *rq)
{
    const char *args[3];
    uint16_t domid;
    uint64_t gfn;
    uint64_t port;

    if (ops_strings(rq, args, 3) < 3 || parse_domid(args[0], &domid) < 0 || domid == 0 ||
        ops_number(args[1], UINT64_MAX, &gfn) < 0 || ops_number(args[2], INT32_MAX, &port) < 0) {
        return -EINVAL;
    }
    return domain_introduce(rq->server, domid, gfn, (uint32_t)port);
}

int ops_release(struct request *rq)
{
    uint16_t domid;

    if (one_domid(rq, &domid) < 0 || domid == 0) {
        return -EINVAL;
    }
    struct domain *d = guest_of(rq, domid);
    if (!d) {
        return -ENOENT;
    }
    domain_release(rq->server, d);
    return 0;
}

int ops_get_domain_path(struct request *rq)
{
    char text[32];
    uint16_t domid;

    if (one_domid(rq, &domid) < 0) {
        return -EINVAL;
    }
    (void)snprintf(text, sizeof(text), "/local/domain/%u", domid);
    ops_reply_text(rq, text);
    return 0;
}

int ops_is_domain_introduced(struct request *rq)
{
    uint16_t domid;

    if (one_domid(rq, &domid) < 0) {
        return -EINVAL;
    }
    ops_reply_text(rq, domid == 0 || guest_of(rq, domid) ? "T" : "F");
    return 0;
}

int ops_resume(struct request *rq)
{
    uint16_t domid;

    if (one_domid(rq, &domid) < 0 || domid == 0) {
        return -EINVAL;
    }
    struct domain *d = guest_of(rq, domid);
    if (!d) {
        return -ENOENT;
    }
    d->is_shutdown = false;
    domain_record(rq->server, d);
    return 0;
}

int ops_set_target(struct request *rq)
{
    const char *args[2];
    uint16_t domid;
    uint16_t target;

    if (ops_strings(rq, args, 2) != 2 || parse_domid(args[0], &domid) < 0 ||
        parse_domid(args[1], &target) < 0 || domid == 0 || target == 0) {
        return -EINVAL;
    }
    struct domain *d = guest_of(rq, domid);
    if (!d || !guest_of(rq, target)) {
        return -ENOENT;
    }
    d->target = target;
    d->conn->who.target = target;
    domain_record(rq->server, d);
    return 0;
}

int ops_get_feature(struct request *rq)
{
    const char *args[1];
    char text[16];
    uint16_t domid;
    uint32_t features = FEATURES_ALL;
    int count = ops_strings(rq, args, 1);

    if (count < 0 || count > 1) {
        return -EINVAL;
    }
    if (count == 1) {
        if (parse_domid(args[0], &domid) < 0) {
            return -EINVAL;
        }
        const struct domain *d = domain_find(rq->server, domid);
        if (!d) {
            return -ENOENT;
        }
        features = d->features;
    }
    (void)snprintf(text, sizeof(text), "%u", features);
    ops_reply_text(rq, text);
    return 0;
}

int ops_set_feature(struct request *rq)
{
    const char *args[2];
    uint16_t domid;
    uint64_t features;

    if (ops_strings(rq, args, 2) != 2 || parse_domid(args[0], &domid) < 0 ||
        ops_number(args[1], UINT32_MAX, &features) < 0 || (features & ~(uint64_t)FEATURES_ALL)) {
        return -EINVAL;
    }
    struct domain *d = domain_find(rq->server, domid);
    if (!d) {
        return -ENOENT;
    }
    if (d->is_introduced) {
        return -EBUSY; /* the domain has seen them */
    }
    d->features = (uint32_t)features;
    domain_record(rq->server, d);
    return 0;
}

int ops_get_quota(struct request *rq)
{
    const char *args[2];
    char text[32];
    uint16_t domid = 0;
    int count = ops_strings(rq, args, 2);

    if (count == 0) {
        for (int i = 0; i < QUOTA_COUNT; i++) {
            buf_printf(&rq->reply, "%s%s", i ? " " : "", quota_names[i]);
        }
        buf_add(&rq->reply, "", 1);
        rq->has_reply = true;
        return 0;
    }
    if (count < 0 || count > 2 || (count == 2 && parse_domid(args[0], &domid) < 0)) {
        return -EINVAL;
    }
    int id = quota_find(args[count - 1]);
    if (id < 0) {
        return -EINVAL;
    }
    if (count == 2 && !domain_find(rq->server, domid)) {
        return -ENOENT;
    }
    int64_t limit = count == 2 ? domain_quota(rq->server, domid, (enum quota_id)id)
                               : rq->server->quotas.limit[id];
    (void)snprintf(text, sizeof(text), "%lld", (long long)limit);
    ops_reply_text(rq, text);
    return 0;
}

int ops_set_quota(struct request *rq)
{
    const char *args[3];
    struct server *s = rq->server;
    uint16_t domid = 0;
    uint64_t limit;
    int count = ops_strings(rq, args, 3);

    if (count < 2 || count > 3 || (count == 3 && parse_domid(args[0], &domid) < 0) ||
        ops_number(args[count - 1], INT64_MAX, &limit) < 0) {
        return -EINVAL;
    }
    int id = quota_find(args[count - 2]);
    if (id < 0) {
        return -EINVAL;
    }
    if (count == 2) {
        s->quotas.limit[id] = (int64_t)limit;
        server_record_quotas(s);
        return 0;
    }
    struct domain *d = domain_find(s, domid);
    if (!d) {
        return -ENOENT;
    }
    d->quotas.limit[id] = (int64_t)limit;
    domain_record(s, d);
    return 0;
}
