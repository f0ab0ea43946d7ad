/* SPDX-License-Identifier: MIT */
/* Domains as the store knows them: introduced ones, and those that access lists mention. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "stored/quota.h"
#include "stored/server.h"

#define DOMID_LIMIT 0x7ff0u /* above are the ABI's special ids */

/* Feature bits of the protocol beyond the two in the public ring header. */
#define FEATURE_WATCH_DEPTH 4u
#define FEATURE_DOMID_ANY   8u
#define FEATURES_ALL        (1u | 2u | FEATURE_WATCH_DEPTH)

struct domain {
    uint16_t domid;
    uint16_t target; /* SET_TARGET, else domid itself */
    bool is_introduced;
    bool is_shutdown; /* its release event was fired, RESUME re-arms it */
    uint64_t gfn;
    uint32_t remote_port;
    uint32_t features;
    struct quotas quotas; /* own limits, QUOTA_UNSET elsewhere */
    struct conn *conn;    /* its ring, if introduced */
    int credit;           /* conflicts it may still cause; refilled with time */
    struct domain *next;
};

struct domain *domain_find(const struct server *s, uint16_t domid);
/* The record of domid, made if there is none. */
struct domain *domain_get(struct server *s, uint16_t domid);
/* Does the domain exist in the hypervisor (or is there no hypervisor to ask)? Then its record is
   kept, so that its rights go when it goes. */
bool domain_is_there(struct server *s, uint16_t domid);
int64_t domain_quota(const struct server *s, uint16_t domid, enum quota_id id);
/* Bytes of nodes, watches, transactions and waiting output. */
int64_t domain_memory(const struct server *s, uint16_t domid);

/* A domain whose writes keep spoiling others' transactions waits: each conflict costs it a
   credit, and without one its requests are not read for a while. */
bool domain_has_credit(const struct server *s, uint16_t domid);
void domain_take_credit(struct server *s, uint16_t domid, uint16_t victim);
void domains_refill(struct ev_timer *src);

/* Maps the ring and binds the port, or takes over a changed port; fires @introduceDomain.
   0; -EINVAL: the domain, its ring or its port is not there. */
int domain_introduce(struct server *s, uint16_t domid, uint64_t gfn, uint32_t port);
/* Forgets the domain: ring, nodes that it owns, its rights; fires @releaseDomain. */
void domain_release(struct server *s, struct domain *d);
/* Forgets the record and the ring, and nothing else. */
void domain_drop(struct server *s, struct domain *d);
/* Asks the hypervisor about every domain: releases the dead, reports those that shut down. */
void domains_check(struct server *s);
void domain_record(struct server *s, const struct domain *d);
void domain_apply(struct server *s, struct record *r);
