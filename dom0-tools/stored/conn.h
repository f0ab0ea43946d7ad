/* SPDX-License-Identifier: MIT */
/*
 * A connection: one client and the bytes to and from it.
 *
 * The transport is a row of functions: a ring shared with a domain, a unix socket, a test's
 * buffer. Input is taken without telling the client; output is collected. At the end of a turn
 * of the loop the journal is committed, and then settle() shows both to the client.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/io.h"
#include "common/buf.h"
#include "stored/perm.h"
#include "stored/server.h"

struct conn;
struct txn;
struct watch;

struct conn_ops {
    const char *name;
    /* Up to len bytes of input; 0 when there are none now; -EPIPE at the client's end,
       -EPROTO when the transport is inconsistent. */
    long (*read)(struct conn *c, void *data, size_t len);
    /* Pushes what it can; the count, or a negative errno as above. */
    long (*write)(struct conn *c, const void *data, size_t len);
    bool (*can_read)(struct conn *c);
    /* After the journal: gives consumed input back, wakes the client. */
    void (*settle)(struct conn *c);
    /* The client broke the protocol: XENSTORE_ERROR_*; the transport stays but is not served. */
    void (*refuse)(struct conn *c, uint32_t error);
    void (*close)(struct conn *c);
};

/* A watch event that waits in the output: where it is, for finding equal ones. */
struct event_mark {
    uint64_t pos;
    uint32_t len;
    uint32_t hash;
};

#define CONN_MESSAGE_MAX (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)

struct conn {
    const struct conn_ops *ops;
    struct server *server;
    struct who who;
    uint16_t base;    /* domain of relative names, or PATH_NO_BASE */
    bool is_durable;  /* a ring: the connection outlives this process */
    bool is_closed;   /* freed at the end of the turn */
    bool is_ignored;  /* broke the protocol: not served until it reconnects */
    bool is_stuck;    /* reads nothing for too long: to be closed */
    bool is_in_ready; /* on the server's ready list */
    bool is_dirty;    /* on the server's dirty list */
    bool took_input;  /* input or its incomplete part changed in this turn */
    size_t in_len;
    uint8_t in[CONN_MESSAGE_MAX + 1]; /* the message being read, and room for a nul */
    struct buf out;
    uint64_t out_pos;      /* stream position of the first byte of out */
    uint64_t out_recorded; /* the journal has the output up to here */
    struct event_mark *marks;
    size_t mark_count;
    size_t mark_cap;
    uint64_t *replies; /* stream positions where waiting replies end */
    size_t reply_count;
    size_t reply_cap;
    bool told_dropped;    /* it was logged that the client reads no events */
    bool told_refused;    /* ... that it breaks the protocol */
    bool may_know;        /* the client may know of asked_event */
    uint64_t asked_event; /* the event (server.events) that may_know is about */
    struct watch *watches;
    size_t watch_count;
    size_t watch_bytes;
    struct txn *txns;
    size_t txn_count;
    uint32_t last_txn;
    struct conn *next;
    struct conn *prev;
    struct conn *next_ready;
    struct conn *next_dirty;
    /* transports */
    int fd;             /* socket */
    struct ev_fd event; /* socket */
    struct xenstore_domain_interface *ring;
    uint32_t ring_in;     /* req_cons as it will be after settle() */
    int port;             /* local event channel of the ring */
    bool is_foreign;      /* ring mapped by frame, not by grant */
    bool is_reconnecting; /* settle() empties the ring and says so */
    bool must_notify;     /* settle() kicks the other end */
};

struct conn *conn_new(struct server *s, const struct conn_ops *ops);
/* Ends a connection: watches and transactions go at once, the memory at the turn's end. */
void conn_close(struct conn *c);
/* Drops all watches and transactions. */
void conn_reset(struct conn *c);
/* Drops half a request and waiting output; the output goes on at stream position out_pos. */
void conn_forget_streams(struct conn *c, uint64_t out_pos);
void conn_ready(struct conn *c);
void conn_dirty(struct conn *c);
void conn_reply(struct conn *c, const struct xsd_sockmsg *request, uint32_t type,
                const struct buf *payload);
/* Queues a watch event, unless an equal one waits already or the client reads none. */
void conn_event(struct conn *c, const char *path, const char *token);
/* True when the client must read before more of its requests are served. */
bool conn_is_full(const struct conn *c);

/* Serves each ready connection once, within its budget. */
void conns_serve(struct server *s);
/* Journal, then output and consumed input. */
void conns_settle(struct server *s);
