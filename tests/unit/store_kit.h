/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the store daemon share: the real daemon but for main(), on a seam below
 * libjoist that is plain memory, and clients that speak through the rings.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "abi/io.h"
#include "stored/conn.h"
#include "stored/conn_ring.h"
#include "stored/domain.h"
#include "stored/ops_domain.h"
#include "stored/server.h"

#define FAKE_DOMAINS 8

/* The machine below the seam. */
struct fake_machine {
    bool is_there[FAKE_DOMAINS];
    bool is_dying[FAKE_DOMAINS];
    bool is_shutdown[FAKE_DOMAINS];
    bool is_mapped[FAKE_DOMAINS];
    union {
        struct xenstore_domain_interface ring;
        uint8_t bytes[4096];
    } page[FAKE_DOMAINS];
    uint16_t port_domid[64]; /* local port -> domain, 0xffff: free */
    bool port_pending[64];
    unsigned int kicks[FAKE_DOMAINS]; /* by the daemon */
};

/* Shared memory: a daemon in another process may be killed for good. */
extern struct fake_machine *fake_memory;
#define fake (*fake_memory)

struct answer {
    struct xsd_sockmsg head;
    char data[XENSTORE_PAYLOAD_MAX + 1];
};

struct kit {
    struct server *server;
    struct joist *xen;
    char journal[64];
    struct buf in[FAKE_DOMAINS];     /* what each client has read and not yet looked at */
    struct buf events[FAKE_DOMAINS]; /* "path|token\n" each */
    uint32_t next_id;
};

/* A fresh store with the control domain's ring and guests 1 to guests introduced. */
void kit_begin(struct kit *k, int guests);
void kit_end(struct kit *k);
/* The same with no daemon: the caller starts one. */
void kit_prepare(struct kit *k);
/* Turns of the loop until nothing is left to do. */
void kit_settle(struct kit *k);
/* As kill -9 and a new start; what the journal has is all that is left. */
void kit_restart(struct kit *k);
/* The first half of that: nothing runs. */
void kit_kill(struct kit *k);
void kit_start(struct kit *k);
/* The event of an ended or shut down domain. */
void kit_dom_exc(struct kit *k);
void kit_kick(struct kit *k, uint16_t domid);

/* Sends a request ('|' in text stands for a nul) and waits for its answer. */
const struct answer *ask(struct kit *k, uint16_t domid, uint32_t type, uint32_t tx,
                         const char *text);
const struct answer *ask_bytes(struct kit *k, uint16_t domid, const struct xsd_sockmsg *head,
                               const void *payload);
/* Puts bytes into the ring without serving: as many as fit. */
size_t ring_feed(uint16_t domid, const void *data, size_t len);
/* The next answer that is in the ring already, or NULL. */
const struct answer *answer_next(struct kit *k, uint16_t domid);
/* All events since the last call, as "path|token\n" lines; valid until the next call. */
const char *events(struct kit *k, uint16_t domid);
uint32_t txn_start(struct kit *k, uint16_t domid);

/* Checks of an answer, with the line of the test. */
#define OK(answer)       check_answer((answer), NULL, "OK|", __FILE__, __LINE__)
#define IS(answer, text) check_answer((answer), NULL, (text), __FILE__, __LINE__)
#define ERR(answer, err) check_answer((answer), (err), NULL, __FILE__, __LINE__)
void check_answer(const struct answer *a, const char *err, const char *text, const char *file,
                  int line);
