/* SPDX-License-Identifier: MIT */
/* The state of the store daemon: one structure, handed to everybody. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/evloop.h"
#include "libjoist/joist.h"
#include "stored/journal.h"
#include "stored/perm.h"
#include "stored/quota.h"
#include "stored/tree.h"

struct conn;
struct domain;
struct watch;

enum special { SPECIAL_INTRODUCE, SPECIAL_RELEASE, SPECIAL_COUNT };

#define WATCH_BUCKETS  4096u
#define DOMAIN_BUCKETS 256u

struct server {
    struct tree live;
    struct perms special[SPECIAL_COUNT]; /* who may learn of the two events */
    struct quotas quotas;                /* defaults of all domains */
    struct watch *watches[WATCH_BUCKETS];
    struct domain *domains[DOMAIN_BUCKETS];
    struct conn *conns;
    struct conn *ready; /* connections with something to do, first come first served */
    struct conn *ready_last;
    struct conn *dirty; /* connections with output to push or input to give back */
    struct journal journal;
    struct joist *xen; /* NULL on a machine without a hypervisor */
    struct evloop *loop;
    struct conn **by_port; /* rings by their local event channel */
    size_t by_port_count;
    int virq_port; /* local port of VIRQ_DOM_EXC, or negative */
    struct ev_fd evtchn;
    struct ev_fd listener;
    struct ev_timer credit; /* wakes domains that wait for conflict credit */
    struct ev_timer look;   /* rings whose event may be lost */
    bool has_moved;         /* a ring was read or written since the last look */
    uint64_t credit_ms;     /* up to when time was turned into credit */
    bool is_tracing;
    uint64_t work;   /* done for requests so far: nodes looked at, made, and told of */
    uint64_t events; /* watch events that were looked for so far */
};

/* An empty store, with neither journal nor hypervisor nor loop. */
void server_init(struct server *s);
/* Opens the journal (NULL: none is kept) and takes over what it says. 0 or -errno, logged. */
int server_load(struct server *s, const char *journal);
/* Rings, events: what needs the hypervisor in s->xen. 0 or -errno, logged. */
int server_attach(struct server *s);
/* One turn of the loop: events, requests, journal, replies. */
int server_turn(struct server *s, int max_wait_ms);
/* Lets go of everything; the journal file keeps the state. */
void server_free(struct server *s);
void server_record_quotas(struct server *s);
