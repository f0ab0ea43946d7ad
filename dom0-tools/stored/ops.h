/* SPDX-License-Identifier: MIT */
/* Requests: the table of operations and what a handler works with. */
#pragma once

#include "stored/conn.h"
#include "stored/txn.h"

struct request {
    struct server *server;
    struct conn *conn;
    struct txn *txn;   /* NULL outside a transaction */
    struct tree *tree; /* what the request sees */
    const char *data;  /* payload, followed by a nul that is not counted */
    size_t len;
    struct buf reply;
    bool has_reply;   /* reply is to be sent instead of "OK" */
    bool is_answered; /* the handler has sent the reply itself */
    const struct xsd_sockmsg *head;
};

/* Serves one request: exactly one reply is queued. data holds head->len bytes and room for one
   more. */
void ops_handle(struct conn *c, const struct xsd_sockmsg *head, uint8_t *data);

/* The nul-terminated strings of a payload: their number, at most max of them in out; -EINVAL
   when the last one has no nul. */
int ops_strings(const struct request *rq, const char **out, int max);
/* A decimal number, all of text, at most limit. 0 or -EINVAL. */
int ops_number(const char *text, uint64_t limit, uint64_t *out);
void ops_reply_text(struct request *rq, const char *text);

/* CONTROL, in its own file. */
int ops_control(struct request *rq);
