/* SPDX-License-Identifier: MIT */
/* The store daemon's life: first state, restart from the journal, one turn of the loop. */

#include "stored/server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "stored/conn.h"
#include "stored/conn_ring.h"
#include "stored/conn_ring.h"
#include "stored/domain.h"
#include "stored/live.h"
#include "stored/restore.h"

#define VIRQ_DOM_EXC 3u

void server_record_quotas(struct server *s)
{
    journal_begin(&s->journal, REC_QUOTAS);
    for (int i = 0; i < QUOTA_COUNT; i++) {
        journal_u64(&s->journal, (uint64_t)s->quotas.limit[i]);
    }
    journal_end(&s->journal);
}

void server_init(struct server *s)
{
    *s = (struct server){ .virq_port = -1 };
    s->journal.fd = -1;
    s->listener.fd = -1;
    s->quotas = quota_defaults;
    s->credit = (struct ev_timer){ .handler = domains_refill, .owner = s };
    s->look = (struct ev_timer){ .handler = rings_look, .owner = s };
    live_init(s);
}

/* The nodes that tools expect of a store that nobody has written to. */
static void first_nodes(struct server *s)
{
    static const char *const names[] = { "/tool", "/tool/xenstored", "/local", "/local/domain" };
    const struct value empty = { .data = "", .len = 0 };
    struct perm none = { .domid = 0, .bits = PERM_NONE };
    struct perms perms = { .list = &none, .count = 1 };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        live_create(s, names[i], &perms, empty);
    }
}

int server_load(struct server *s, const char *journal)
{
    bool is_fresh = true;
    int rc = 0;

    if (journal) {
        rc = journal_open(&s->journal, journal, &is_fresh);
        if (rc < 0) {
            log_error("journal %s: %s", journal, joist_strerror(rc));
            return rc;
        }
    }
    if (is_fresh) {
        first_nodes(s);
    } else {
        restore_replay(s);
    }
    return 0;
}

/* The ring of this domain's own kernel. Without it nothing of Linux's drivers works. */
static int introduce_self(struct server *s)
{
    uint32_t port;
    int rc;
    void *page = joist_xsd_map(&port, &rc);

    if (!page) {
        return rc;
    }
    joist_xsd_unmap(page);
    return domain_introduce(s, 0, 0, port);
}

int server_attach(struct server *s)
{
    int rc = joist_open_devices(s->xen);

    if (rc < 0) {
        log_error("the hypervisor's devices: %s", joist_strerror(rc));
        return rc;
    }
    int fd = joist_evtchn_fd(s->xen);
    rc = restore_attach(s);
    if (rc == 0 && !domain_find(s, 0)) {
        rc = introduce_self(s);
    }
    if (rc < 0) {
        log_error("the store ring of this domain's kernel: %s", joist_strerror(rc));
        return rc;
    }
    s->virq_port = joist_evtchn_bind_virq(s->xen, VIRQ_DOM_EXC);
    if (s->virq_port < 0) {
        log_error("the event of ended domains (does another store daemon run?): %s",
                  joist_strerror(s->virq_port));
        return s->virq_port;
    }
    s->evtchn = (struct ev_fd){ .fd = fd, .events = POLLIN, .handler = ring_on_event, .owner = s };
    evloop_add(s->loop, &s->evtchn);
    domains_check(s); /* what ended while no daemon listened */
    return 0;
}

int server_turn(struct server *s, int max_wait_ms)
{
    int rc = evloop_turn(s->loop, s->ready || s->dirty ? 0 : max_wait_ms);

    conns_serve(s);
    conns_settle(s);
    return rc;
}

void server_free(struct server *s)
{
    while (s->conns) {
        for (struct conn *c = s->conns; c; c = c->next) {
            conn_close(c);
            c->is_in_ready = false;
        }
        s->ready = NULL;
        conns_settle(s);
    }
    for (size_t i = 0; i < DOMAIN_BUCKETS; i++) {
        while (s->domains[i]) {
            domain_drop(s, s->domains[i]);
        }
    }
    for (int i = 0; i < SPECIAL_COUNT; i++) {
        perms_free(&s->special[i]);
    }
    if (s->listener.fd >= 0) {
        close(s->listener.fd);
    }
    journal_close(&s->journal);
    tree_free(&s->live);
    free(s->by_port);
}
