/* SPDX-License-Identifier: MIT */
/* The daemon's state: one event loop, the guests it owns, the clients that talk to it. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/evloop.h"
#include "common/fail.h"
#include "common/log.h"
#include "joistd/config.h"
#include "joistd/job.h"
#include "libjoist/joist.h"
#include "libjoist/store.h"

#define ENDED_MAX          32   /* ended guests that are remembered */
#define STORE_TIMEOUT      2000 /* ms the daemon itself waits for the store */
#define STORE_TIMEOUT_JOB  30000
#define QUICK_LIFE_MS      2000 /* a guest that ends sooner is restarted only after ... */
#define QUICK_LIFE_WAIT_MS 2000
#define SETTLE_MS          200 /* `create` waits so long to see a guest that crashes at once */

struct conn;
struct dev_op;
struct screen;
struct dev_work;
struct domain_list;
struct xen_domctl_getdomaininfo;

enum guest_state {
    GUEST_BUILDING,  /* a child builds it */
    GUEST_RUNNING,   /* exists in the hypervisor, started or paused */
    GUEST_PRESERVED, /* has ended and is kept for inspection */
    GUEST_ENDING,    /* a child destroys it */
    GUEST_WAITING,   /* between its end and its restart */
};

struct guest {
    struct guest *next;
    struct joistd *d;
    enum guest_state state;
    struct config config;
    json_t *settings; /* what config was made from, kept on disk; NULL: not started by us */
    int domid;        /* -1: none */
    bool is_paused_start;
    bool is_restart_due; /* when its end is complete, build it again */
    bool is_destroy_due; /* asked for while it was being built */
    uint64_t started_ms; /* monotonic; for quick deaths */
    int64_t start_time;  /* seconds since 1970; for uptime */
    struct job job;
    struct ev_timer timer;
    struct ev_timer ops_timer;
    struct screen *screen; /* vfb_screen.c; NULL: none is cared for */
    struct dev_op *ops;    /* changes of devices: the first is being worked on */
    /* rename-restart: the ended domain whose devices the build takes over; 0: none */
    int former_domid;
    char former_uuid[37];
    /* rename-restart: the name of the guest to be started in place of this one; empty: none */
    char again[CONFIG_NAME_MAX + 1];
    /* what it can make us say again and again: by starting anew, by its screen */
    struct log_limit life_lines;
    struct log_limit screen_lines;
};

struct joistd {
    struct evloop *loop;
    struct joist *h;
    struct store *store;
    struct ev_fd store_source;
    struct ev_timer store_timer;
    struct guest *guests;
    struct conn *conns;
    struct ev_fd listener;
    json_t *ended; /* array, the latest last: name, domid, reason, text, time */
    const char *state_dir;
    const char *log_dir;
};

/* --- guest.c: the state machine ------------------------------------------------------------- */

struct guest *guest_by_name(const struct joistd *d, const char *name);
struct guest *guest_by_domid(const struct joistd *d, int domid);

/*
 * Starts a new guest from its settings (taken over).  `former` is an ended guest whose devices it
 * gets, or NULL.  Returns it in state GUEST_BUILDING, or NULL
 * with the failure: a name or UUID that exists (-EEXIST), no child, no file for its state.
 */
struct guest *guest_create(struct joistd *d, const struct config *c, json_t *settings,
                           bool is_paused, const struct guest *former, struct fail *f);

/* Ends a guest whatever its state; its settings are forgotten when that is complete. */
void guest_destroy(struct guest *g);

/* Destroys a domain that joistd did not start; returns the guest that stands for it meanwhile. */
struct guest *guest_destroy_foreign(struct joistd *d, const char *name,
                                    const struct xen_domctl_getdomaininfo *info);

int guest_rename(struct guest *g, const char *name, struct fail *f);

/* Looks at all domains and acts on those that have ended. */
void guest_scan(struct joistd *d);

/* Reads the saved guests and takes over what runs; removes what was half built. */
int guest_take_over(struct joistd *d);

/* --- life.c: the two long works of a guest's life -------------------------------------------- */

/* The store, waiting up to `timeout_ms` for it to come back; NULL with errno set. */
struct store *store_open_wait(unsigned int timeout_ms);
/* Starts the build in a child; 0 or a negative errno with the guest unchanged. */
int life_build(struct guest *g);
/* Starts the end in a child. */
void life_end(struct guest *g);
/* Writes down how a guest has ended, for those who ask later. */
void life_note_end(struct guest *g, const char *reason, const char *text);
/* Forgets a guest: list, file, memory. */
void guest_drop(struct guest *g);

/* --- devop.c: devices of a running guest ------------------------------------------------------ */

/*
 * Puts an attach or a detach into the guest's queue, which the event loop works on.
 * api_device_done() is called with the returned handle when it is over.
 */
struct dev_op *guest_attach(struct guest *g, const struct dev_class *class, const char *text,
                            const char *cwd);
struct dev_op *guest_detach(struct guest *g, const struct dev_class *class, const char *text,
                            bool force);
struct dev_op *guest_resize(struct guest *g, const struct dev_class *class, const char *text);
/* Removes the devices that the store has and the configuration has not. */
void guest_tidy_devices(struct guest *g);
/* Kills the running change and forgets the others; who waits is told. */
void guest_cancel_ops(struct guest *g);
/* Whether devices first.. of `c` collide with those of any guest but `mine`; the class says how. */
int guest_devices_clash(const struct joistd *d, const struct guest *mine, const struct config *c,
                        unsigned int first, struct fail *f);
/* In a child: opens hypervisor and store for work on a guest's devices. */
int work_open(struct dev_work *w, const struct guest *g, struct fail *f);

/* --- state.c: what is kept on disk ---------------------------------------------------------- */

/* One file per guest; replaced as a whole.  0 or a negative errno. */
int state_save(const struct guest *g);
/* Fills in the failure of that; returns the code. */
int state_unsaved(const struct guest *g, int code, const char *phase, struct fail *f);
void state_remove(const struct guest *g);
/* Calls guest_adopt() for each saved guest that can be read. */
void state_load_all(struct joistd *d);
void guest_adopt(struct joistd *d, const struct config *c, json_t *settings, const json_t *record);

/* --- api.c: what clients are told ----------------------------------------------------------- */

enum guest_event {
    EVENT_STARTED, /* it runs, or is paused as asked */
    EVENT_FAILED,  /* it could not be built; the failure comes along */
    EVENT_ENDED,   /* it has ended by itself; the text says how */
    EVENT_KEPT,    /* it has ended and is preserved */
    EVENT_GONE,    /* its domain is gone and so is all that belonged to it */
};

/* Tells those who wait for something about this guest.  `why` may be NULL. */
void api_event(struct joistd *d, struct guest *g, enum guest_event event, const struct fail *why);

/* A change of devices is over: `why` and `result` (taken over), one of them NULL. */
void api_device_done(struct joistd *d, const struct dev_op *op, const struct fail *why,
                     json_t *result, json_t *warnings);

/* Tells those who wait for the end of domains that joistd does not own. */
void api_scanned(struct joistd *d, const struct domain_list *list);
