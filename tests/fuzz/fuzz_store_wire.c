/* SPDX-License-Identifier: MIT */
/*
 * The store daemon on any bytes in a guest's ring, any bytes in the control domain's ring, any
 * positions, with kills in between. Input: a list of steps, one byte each, with their data.
 * Afterwards the accounts agree with the tree and a well-behaved client is served.
 */

#include <assert.h>
#include <string.h>

#include "common/log.h"
#include "tests/fuzz/drive.h"
#include "tests/unit/store_kit.h"

enum step { STEP_GUEST, STEP_TRUSTED, STEP_POSITION, STEP_KILL, STEP_EXC, STEP_DRINK, STEP_COUNT };

/* One well-formed request as a step. */
static size_t request(uint8_t *out, enum step who, uint32_t type, uint32_t tx, const char *text)
{
    struct xsd_sockmsg head = { .type = type, .tx_id = tx, .len = (uint32_t)strlen(text) };
    size_t len = sizeof(head) + head.len;

    out[0] = (uint8_t)who;
    out[1] = (uint8_t)len;
    memcpy(out + 2, &head, sizeof(head));
    for (size_t i = 0; i < head.len; i++) {
        out[2 + sizeof(head) + i] = (uint8_t)(text[i] == '|' ? '\0' : text[i]);
    }
    return 2 + len;
}

static size_t seed_nodes(uint8_t *d)
{
    size_t n = 0;

    n += request(d + n, STEP_GUEST, XS_WRITE, 0, "a/b/c|value");
    n += request(d + n, STEP_GUEST, XS_READ, 0, "a/b/c|");
    n += request(d + n, STEP_GUEST, XS_DIRECTORY, 0, "a|");
    n += request(d + n, STEP_GUEST, XS_SET_PERMS, 0, "a|n1|r0|w2|");
    n += request(d + n, STEP_GUEST, XS_GET_PERMS, 0, "a|");
    n += request(d + n, STEP_GUEST, XS_DIRECTORY_PART, 0, "a|0|");
    n += request(d + n, STEP_GUEST, XS_RM, 0, "a|");
    d[n++] = STEP_KILL;
    n += request(d + n, STEP_GUEST, XS_MKDIR, 0, "/local/domain/1/q|");
    return n;
}

static size_t seed_txn(uint8_t *d)
{
    size_t n = 0;

    n += request(d + n, STEP_GUEST, XS_WATCH, 0, "t|tok|");
    n += request(d + n, STEP_GUEST, XS_TRANSACTION_START, 0, "|");
    n += request(d + n, STEP_GUEST, XS_WRITE, 1, "t/x|1");
    n += request(d + n, STEP_GUEST, XS_RM, 1, "t|");
    n += request(d + n, STEP_GUEST, XS_WRITE, 1, "t/y|1");
    n += request(d + n, STEP_TRUSTED, XS_TRANSACTION_START, 0, "|");
    n += request(d + n, STEP_TRUSTED, XS_WRITE, 1, "/local/domain/1/t/z|1");
    n += request(d + n, STEP_GUEST, XS_TRANSACTION_END, 1, "T|");
    d[n++] = STEP_DRINK;
    d[n++] = STEP_KILL;
    n += request(d + n, STEP_TRUSTED, XS_TRANSACTION_END, 1, "T|");
    n += request(d + n, STEP_GUEST, XS_UNWATCH, 0, "t|tok|");
    n += request(d + n, STEP_GUEST, XS_RESET_WATCHES, 0, "|");
    return n;
}

static size_t seed_domains(uint8_t *d)
{
    size_t n = 0;

    n += request(d + n, STEP_TRUSTED, XS_INTRODUCE, 0, "2|5|7|");
    n += request(d + n, STEP_TRUSTED, XS_WATCH, 0, "@releaseDomain|x|1|");
    n += request(d + n, STEP_TRUSTED, XS_SET_TARGET, 0, "1|2|");
    n += request(d + n, STEP_TRUSTED, XS_SET_QUOTA, 0, "1|nodes|5|");
    n += request(d + n, STEP_TRUSTED, XS_CONTROL, 0, "quota|1|");
    n += request(d + n, STEP_TRUSTED, XS_RELEASE, 0, "2|");
    n += request(d + n, STEP_TRUSTED, XS_RESUME, 0, "1|");
    d[n++] = STEP_EXC;
    n += request(d + n, STEP_TRUSTED, XS_RELEASE, 0, "1|");
    return n;
}

size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    if (size < 2048 || index > 3) {
        return 0;
    }
    switch (index) {
    case 0:
        return seed_nodes(data);
    case 1:
        return seed_txn(data);
    case 2:
        return seed_domains(data);
    default:
        memcpy(data, "\2\0\377\377\2\1\0\4\2\4\1\0\2\2\0\200\3\2\4\1\0\5", 22);
        return 22;
    }
}

static void position(const uint8_t *data)
{
    struct xenstore_domain_interface *ring = &fake.page[1].ring;
    uint32_t *fields[] = { &ring->req_cons, &ring->req_prod, &ring->rsp_cons, &ring->rsp_prod,
                           &ring->connection };

    *fields[data[0] % 5] += data[1] | (uint32_t)data[2] << 8;
}

/* Runs one step; returns how many bytes it took. */
static size_t step(struct kit *k, const uint8_t *data, size_t size)
{
    size_t len = size > 1 ? data[1] : 0;
    uint16_t domid = data[0] % STEP_COUNT == STEP_TRUSTED ? 0 : 1;

    switch (data[0] % STEP_COUNT) {
    case STEP_GUEST:
    case STEP_TRUSTED:
        len = len > size - 2 || size < 2 ? (size < 2 ? 0 : size - 2) : len;
        (void)ring_feed(domid, data + (size < 2 ? 1 : 2), len);
        kit_kick(k, domid);
        kit_settle(k);
        return 2 + len;
    case STEP_POSITION:
        if (size >= 4) {
            position(data + 1);
            kit_kick(k, 1);
            kit_settle(k);
        }
        return 4;
    case STEP_KILL:
        kit_restart(k);
        return 1;
    case STEP_EXC:
        fake.is_shutdown[1] = true;
        kit_dom_exc(k);
        return 1;
    default:
        /* the guest reads, without believing that the bytes are messages */
        fake.page[1].ring.rsp_cons = fake.page[1].ring.rsp_prod;
        fake.page[0].ring.rsp_cons = fake.page[0].ring.rsp_prod;
        kit_kick(k, 0);
        kit_kick(k, 1);
        kit_settle(k);
        return 1;
    }
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct kit k;
    size_t at = 0;

    log_verbose(-2); /* errors only, and few of these */
    kit_begin(&k, 1);
    for (int steps = 0; at < size && steps < 64; steps++) {
        at += step(&k, data + at, size - at);
    }
    /* a new connection of the control domain works and finds the accounts in order */
    for (int i = 0; i < 2; i++) {
        fake.page[i].ring.connection = XENSTORE_RECONNECT;
        kit_kick(&k, (uint16_t)i);
        kit_settle(&k);
        buf_clear(&k.in[i]);
        buf_clear(&k.events[i]);
    }
    kit_end(&k);
    return 0;
}
