/* SPDX-License-Identifier: MIT */
/* Domains as the store knows them. */

#include "stored/domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "stored/conn.h"
#include "stored/conn_ring.h"
#include "stored/live.h"
#include "stored/txn.h"
#include "stored/view.h"
#include "stored/watch.h"

#define CREDIT_MAX       5
#define CREDIT_PERIOD_MS 50

struct domain *domain_find(const struct server *s, uint16_t domid)
{
    struct domain *d = s->domains[domid % DOMAIN_BUCKETS];

    while (d && d->domid != domid) {
        d = d->next;
    }
    return d;
}

struct domain *domain_get(struct server *s, uint16_t domid)
{
    struct domain *d = domain_find(s, domid);

    if (!d) {
        d = xalloc(sizeof(*d));
        d->domid = domid;
        d->target = domid;
        d->quotas = quota_unset;
        d->features = FEATURES_ALL;
        d->credit = CREDIT_MAX;
        d->next = s->domains[domid % DOMAIN_BUCKETS];
        s->domains[domid % DOMAIN_BUCKETS] = d;
    }
    return d;
}

bool domain_is_there(struct server *s, uint16_t domid)
{
    struct joist_dominfo info;

    if (domid == 0 || !s->xen || domain_find(s, domid)) {
        return true;
    }
    if (joist_dominfo(s->xen, domid, &info) < 0 || info.is_dying) {
        return false;
    }
    domain_record(s, domain_get(s, domid));
    return true;
}

int64_t domain_quota(const struct server *s, uint16_t domid, enum quota_id id)
{
    const struct domain *d = domain_find(s, domid);

    return d && d->quotas.limit[id] != QUOTA_UNSET ? d->quotas.limit[id] : s->quotas.limit[id];
}

int64_t domain_memory(const struct server *s, uint16_t domid)
{
    const struct domain *d = domain_find(s, domid);
    int64_t bytes = acct_get(&s->live.acct, domid).bytes;

    if (d && d->conn) {
        bytes += (int64_t)(d->conn->watch_bytes + d->conn->out.len);
        for (const struct txn *t = d->conn->txns; t; t = t->next) {
            bytes += txn_memory(t);
        }
    }
    return bytes;
}

bool domain_has_credit(const struct server *s, uint16_t domid)
{
    const struct domain *d = domid == 0 ? NULL : domain_find(s, domid);

    return !d || d->credit > 0;
}

void domain_take_credit(struct server *s, uint16_t domid, uint16_t victim)
{
    struct domain *d = domid == 0 ? NULL : domain_find(s, domid);

    if (!d || domid == victim) {
        return;
    }
    if (d->credit > 0) {
        d->credit--;
    }
    if (s->loop && s->credit.due_ms == 0) {
        s->credit_ms = evloop_now_ms();
        evloop_arm(s->loop, &s->credit, CREDIT_PERIOD_MS);
    }
}

void domains_refill(struct ev_timer *src)
{
    struct server *s = src->owner;
    /* By the time that passed: on a loaded machine the timer may come late. */
    const uint64_t periods = (evloop_now_ms() - s->credit_ms) / CREDIT_PERIOD_MS;
    bool is_more = false;

    s->credit_ms += periods * CREDIT_PERIOD_MS;
    for (size_t i = 0; i < DOMAIN_BUCKETS; i++) {
        for (struct domain *d = s->domains[i]; d; d = d->next) {
            if (d->credit >= CREDIT_MAX) {
                continue;
            }
            d->credit = periods < (uint64_t)(CREDIT_MAX - d->credit) ? d->credit + (int)periods
                                                                     : CREDIT_MAX;
            is_more |= d->credit < CREDIT_MAX;
            if (d->conn) {
                conn_ready(d->conn);
            }
        }
    }
    if (is_more) {
        evloop_arm(s->loop, src, CREDIT_PERIOD_MS);
    }
}

void domain_record(struct server *s, const struct domain *d)
{
    struct journal *j = &s->journal;

    journal_begin(j, REC_DOMAIN);
    journal_u16(j, d->domid);
    journal_u16(j, d->target);
    journal_u8(j, d->is_introduced);
    journal_u8(j, d->is_shutdown);
    journal_u64(j, d->gfn);
    journal_u32(j, d->remote_port);
    journal_u32(j, d->features);
    for (int i = 0; i < QUOTA_COUNT; i++) {
        journal_u64(j, (uint64_t)d->quotas.limit[i]);
    }
    journal_end(j);
}

void domain_apply(struct server *s, struct record *r)
{
    struct domain *d = domain_get(s, record_u16(r));

    d->target = record_u16(r);
    d->is_introduced = record_u8(r) != 0;
    d->is_shutdown = record_u8(r) != 0;
    d->gfn = record_u64(r);
    d->remote_port = record_u32(r);
    d->features = record_u32(r);
    for (int i = 0; i < QUOTA_COUNT; i++) {
        d->quotas.limit[i] = (int64_t)record_u64(r);
    }
    if (d->is_introduced && !d->conn) {
        d->conn = ring_conn_new(s, d->domid);
    }
    if (d->conn) {
        d->conn->who.target = d->target;
    }
}

/* A new event channel for a domain that is known already: its old requests and watches are void. */
static int reintroduce(struct server *s, struct domain *d, uint32_t port)
{
    int rc = ring_rebind(d->conn, port);

    if (rc < 0) {
        return rc;
    }
    conn_reset(d->conn);
    d->remote_port = port;
    d->is_shutdown = false;
    domain_record(s, d);
    watch_fire_special(s, SPECIAL_INTRODUCE, d->domid);
    return 0;
}

int domain_introduce(struct server *s, uint16_t domid, uint64_t gfn, uint32_t port)
{
    struct domain *d = domain_find(s, domid);

    if (!s->xen || domid >= DOMID_LIMIT || port == 0 || port > INT32_MAX) {
        return -EINVAL;
    }
    if (d && d->is_introduced) {
        return reintroduce(s, d, port);
    }
    struct conn *c = ring_conn_new(s, domid);
    struct ring_place place = { .domid = domid, .gfn = gfn, .remote_port = port };
    int rc = ring_attach(c, &place, true);
    if (rc < 0) {
        log_warn("domain %u cannot be introduced: %s", domid, joist_strerror(rc));
        c->is_durable = false; /* the journal never knew it */
        conn_close(c);
        return -EINVAL;
    }
    d = domain_get(s, domid);
    d->is_introduced = true;
    d->is_shutdown = false;
    d->gfn = gfn;
    d->remote_port = port;
    d->conn = c;
    domain_record(s, d);
    conn_forget_streams(c, c->out_pos); /* says where the streams begin */
    watch_fire_special(s, SPECIAL_INTRODUCE, domid);
    return 0;
}

/* The paths of nodes that mention domid in their access lists, as nul-terminated strings. */
static void find_mentions(struct server *s, uint16_t domid, struct buf *paths)
{
    struct walk w;
    struct node *n;

    walk_begin(&w, s->live.root, "/");
    while ((n = walk_next(&w)) != NULL) {
        for (size_t i = 0; i < n->perms.count; i++) {
            if (n->perms.list[i].domid == domid) {
                buf_add_str(paths, w.path);
                break;
            }
        }
    }
    walk_end(&w);
}

/* The list without the entries of domid behind the first. */
static struct perms without(const struct perms *from, uint16_t domid)
{
    struct perms out = perms_copy(from);
    uint16_t kept = 1;

    for (uint16_t i = 1; i < from->count; i++) {
        if (from->list[i].domid != domid) {
            out.list[kept++] = from->list[i];
        }
    }
    out.count = kept;
    return out;
}

/* Nodes of a domain that is gone, and its rights, must not fall to the next one of its number. */
static void purge(struct server *s, uint16_t domid)
{
    struct buf paths = { 0 };

    find_mentions(s, domid, &paths);
    s->live.writer = 0;
    for (const char *p = buf_data(&paths); paths.len > 0; p = buf_data(&paths)) {
        const struct node *n = tree_find(&s->live, p);
        if (n && n->perms.list[0].domid == domid && p[1]) {
            view_remove_live(s, p);
        } else if (n && n->perms.list[0].domid != domid) {
            struct perms perms = without(&n->perms, domid);
            live_set_perms(s, p, &perms);
            perms_free(&perms);
        }
        buf_drop(&paths, strlen(p) + 1);
    }
    buf_free(&paths);
    for (int i = 0; i < SPECIAL_COUNT; i++) {
        struct perms perms = without(&s->special[i], domid);
        if (perms.list[0].domid == domid) {
            perms.list[0] = (struct perm){ .domid = 0, .bits = PERM_NONE };
        }
        if (!perms_equal(&perms, &s->special[i])) {
            live_set_special(s, (enum special)i, &perms);
        }
        perms_free(&perms);
    }
}

void domain_drop(struct server *s, struct domain *d)
{
    struct domain **link = &s->domains[d->domid % DOMAIN_BUCKETS];

    if (d->conn) {
        conn_close(d->conn);
    }
    while (*link != d) {
        link = &(*link)->next;
    }
    *link = d->next;
    free(d);
}

void domain_release(struct server *s, struct domain *d)
{
    bool was_introduced = d->is_introduced;
    uint16_t domid = d->domid;

    domain_drop(s, d);
    journal_begin(&s->journal, REC_DOMAIN_GONE);
    journal_u16(&s->journal, domid);
    journal_end(&s->journal);
    purge(s, domid);
    acct_forget(&s->live.acct, domid);
    if (was_introduced) {
        watch_fire_special(s, SPECIAL_RELEASE, domid);
    }
}

static void check_one(struct server *s, struct domain *d)
{
    struct joist_dominfo info;
    int rc = joist_dominfo(s->xen, d->domid, &info);

    if (rc == -ESRCH || (rc == 0 && info.is_dying)) {
        domain_release(s, d);
        return;
    }
    if (rc < 0) {
        log_warn("cannot ask about domain %u: %s", d->domid, joist_strerror(rc));
        return;
    }
    if (info.is_shutdown && !d->is_shutdown && d->is_introduced) {
        d->is_shutdown = true;
        domain_record(s, d);
        watch_fire_special(s, SPECIAL_RELEASE, d->domid);
    }
}

void domains_check(struct server *s)
{
    for (size_t i = 0; s->xen && i < DOMAIN_BUCKETS; i++) {
        struct domain *next;
        for (struct domain *d = s->domains[i]; d; d = next) {
            next = d->next;
            if (d->domid != 0) {
                check_one(s, d);
            }
        }
    }
}
