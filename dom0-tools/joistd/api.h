/* SPDX-License-Identifier: MIT */
/*
 * The daemon's interface to its clients: one JSON object per line and direction.
 *
 *   request  {"verb": "pause", "args": {"domain": "web"}}
 *   reply    {"ok": true, "result": ..., "warnings": [...]}
 *            {"ok": false, "error": {"code", "phase", "object", "cause", "remedy", "text"}}
 *
 * Requests of one connection are answered in their order, one after the other.
 */
#pragma once

#include "joistd/host.h"
#include "joistd/joistd.h"

#define API_LINE_MAX (XLCFG_MAX_TEXT * 6 + 65536) /* a whole file, with every byte escaped */

/* The domain that a request is about. */
struct target {
    const struct xen_domctl_getdomaininfo *info; /* NULL: a guest without a domain just now */
    struct guest *guest;                         /* NULL: not ours */
    char name[256];
};

/* One request while it is being worked on. */
struct call {
    struct joistd *d;
    struct conn *conn;
    const json_t *args;
    struct domain_list list; /* all domains at the time of the request, if the verb wants one */
    struct target target;    /* if the verb wants one */
    json_t *warnings;        /* array */
    struct fail *f;
};

/* Results of a verb besides a JSON value: NULL with the failure set, or "the answer comes later".
 */
extern json_t api_later;

/* Makes and removes the socket; 0 or a negative errno. */
int api_open(struct joistd *d, const char *path);
void api_close(struct joistd *d, const char *path);

/* Puts off the answer until the guest has started (and has lived for a moment, if `settle`). */
json_t *api_wait_start(struct call *c, struct guest *g, bool settle);

/* Puts off the answer until these domains (taken over, an array of ids) have ended. */
json_t *api_wait_end(struct call *c, json_t *domids);

/* Puts off the answer until nothing is left of the guest's domain. */
json_t *api_wait_gone(struct call *c, struct guest *g);

/* Puts off the answer until a change of devices is over. */
json_t *api_wait_device(struct call *c, const struct dev_op *op);

/* names.c: what domains are called, and which one a text means. */
struct guest *guest_of_info(const struct joistd *d, const struct xen_domctl_getdomaininfo *info);
void domain_name(const struct joistd *d, const struct xen_domctl_getdomaininfo *info, char *name,
                 size_t size);
int domain_find(struct call *c, const char *text, struct target *t);

/* verbs.c: the table. */
struct verb {
    const char *name;
    json_t *(*run)(struct call *c);
    const char *args; /* names of arguments, separated by blanks */
    enum { NEEDS_NOTHING, NEEDS_LIST, NEEDS_DOMAIN, NEEDS_GUEST } needs;
};

const struct verb *verb_find(const char *name);

/* verbs_dev.c */
json_t *verb_device_attach(struct call *c);
json_t *verb_device_detach(struct call *c);
json_t *verb_device_resize(struct call *c);
json_t *verb_device_list(struct call *c);
json_t *verb_screen(struct call *c);
