/* SPDX-License-Identifier: MIT */
/* The ring transport: messages of every size in pieces, hostile positions, reconnection. */

#include "tests/unit/store_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct xenstore_domain_interface *ring_of(uint16_t domid)
{
    return &fake.page[domid].ring;
}

/* Values of every length around the ring's and the protocol's sizes come back as they went. */
static void test_sizes(void **state)
{
    static const size_t sizes[] = { 0, 1, 15, 500, 999, 1003, 1007, 1008, 1023, 1024, 1025, 4092 };
    char payload[XENSTORE_PAYLOAD_MAX];
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct xsd_sockmsg head = { .type = XS_WRITE, .len = (uint32_t)(4 + sizes[i]) };
        memcpy(payload, "/bg", 4);
        for (size_t n = 0; n < sizes[i]; n++) {
            payload[4 + n] = (char)(n * 7 + i);
        }
        OK(ask_bytes(&k, 0, &head, payload));
        const struct answer *a = ask(&k, 0, XS_READ, 0, "/bg|");
        assert_int_equal(a->head.len, sizes[i]);
        assert_memory_equal(a->data, payload + 4, sizes[i]);
    }
    kit_end(&k);
}

/* One byte at a time, with the daemon looking after each. */
static void test_dribble(void **state)
{
    struct xsd_sockmsg head = { .type = XS_WRITE, .req_id = 9, .len = 7 };
    uint8_t message[sizeof(head) + 7];
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    memcpy(message, &head, sizeof(head));
    memcpy(message + sizeof(head), "data\0hi", 7);
    for (size_t i = 0; i < sizeof(message); i++) {
        assert_null(answer_next(&k, 1));
        assert_int_equal(ring_feed(1, message + i, 1), 1);
        kit_kick(&k, 1);
        kit_settle(&k);
        assert_int_equal(ring_of(1)->req_cons, ring_of(1)->req_prod);
    }
    OK(answer_next(&k, 1));
    IS(ask(&k, 1, XS_READ, 0, "data|"), "hi");
    kit_end(&k);
}

/*
 * Linux sends no event for a request behind one that the daemon has not acknowledged: here one
 * comes after the daemon's last look at the ring, and before it says how far it has read.
 */
static void test_request_without_event(void **state)
{
    struct xsd_sockmsg head = { .type = XS_READ, .req_id = 1, .len = 5 };
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    OK(ask(&k, 1, XS_WRITE, 0, "data|hi"));
    (void)ring_feed(1, &head, sizeof(head));
    (void)ring_feed(1, "data", 5);
    kit_kick(&k, 1);
    ring_on_event(&k.server->evtchn, 0);
    conns_serve(k.server);
    assert_int_not_equal(ring_of(1)->req_cons, ring_of(1)->req_prod);
    head.req_id = 2;
    (void)ring_feed(1, &head, sizeof(head));
    (void)ring_feed(1, "data", 5);
    conns_settle(k.server);
    kit_settle(&k);
    IS(answer_next(&k, 1), "hi");
    IS(answer_next(&k, 1), "hi");
    kit_end(&k);
}

/*
 * Linux may see us behind, and send no event, though we see nothing of its request when we look
 * for the last time: a later look finds it, and there are looks only while rings move.
 */
static void test_event_lost(void **state)
{
    struct xsd_sockmsg head = { .type = XS_READ, .req_id = 1, .len = 5 };
    struct ev_timer *look;
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    look = &k.server->look;
    OK(ask(&k, 1, XS_WRITE, 0, "data|hi"));
    assert_int_not_equal(look->due_ms, 0);
    (void)ring_feed(1, &head, sizeof(head));
    (void)ring_feed(1, "data", 5);
    kit_settle(&k);
    assert_null(answer_next(&k, 1));
    evloop_disarm(k.server->loop, look);
    rings_look(look);
    kit_settle(&k);
    IS(answer_next(&k, 1), "hi");
    for (int i = 0; i < 2; i++) {
        assert_int_not_equal(look->due_ms, 0);
        evloop_disarm(k.server->loop, look);
        rings_look(look);
        kit_settle(&k);
    }
    assert_int_equal(look->due_ms, 0);
    kit_end(&k);
}

static void test_too_long(void **state)
{
    struct xsd_sockmsg head = { .type = XS_READ, .len = XENSTORE_PAYLOAD_MAX + 1 };
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    OK(ask(&k, 1, XS_WATCH, 0, "w|t|"));
    (void)events(&k, 1);
    (void)ring_feed(1, &head, sizeof(head));
    kit_kick(&k, 1);
    kit_settle(&k);
    assert_int_equal(ring_of(1)->error, XENSTORE_ERROR_PROTO);
    head.len = 5;
    (void)ring_feed(1, &head, sizeof(head));
    (void)ring_feed(1, "data", 5);
    OK(ask(&k, 0, XS_WRITE, 0, "/local/domain/1/w|1"));
    kit_kick(&k, 1);
    kit_settle(&k);
    assert_null(answer_next(&k, 1)); /* ignored, also by watches, until it reconnects */
    assert_int_equal(k.events[1].len, 0);
    ring_of(1)->connection = XENSTORE_RECONNECT;
    kit_kick(&k, 1);
    kit_settle(&k);
    assert_int_equal(ring_of(1)->connection, XENSTORE_CONNECTED);
    assert_int_equal(ring_of(1)->error, XENSTORE_ERROR_NONE);
    IS(ask(&k, 1, XS_READ, 0, "w|"), "1");
    kit_end(&k);
}

/* Whatever positions a guest writes, the daemon touches nothing outside the ring (the sanitizer
   sees that), keeps serving others, and serves the guest again after it reconnected. */
static void test_hostile_positions(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 2);
    srand(1);
    for (int i = 0; i < 3000; i++) {
        uint32_t *field[] = { &ring_of(1)->req_cons, &ring_of(1)->req_prod, &ring_of(1)->rsp_cons,
                              &ring_of(1)->rsp_prod, &ring_of(1)->connection };
        uint32_t value[] = { 0,
                             1023,
                             1024,
                             1025,
                             0x7fffffff,
                             0xffffffff,
                             ring_of(1)->req_cons + 1024,
                             ring_of(1)->req_cons + 1025,
                             (uint32_t)rand() };
        *field[rand() % 5] = value[rand() % 9];
        ring_of(1)->req[rand() % 1024] = (char)(rand() % 20);
        kit_kick(&k, 1);
        if (i % 10 == 0) {
            IS(ask(&k, 2, XS_GET_DOMAIN_PATH, 0, "2|"), "/local/domain/2|");
        } else {
            kit_settle(&k);
        }
    }
    ring_of(1)->connection = XENSTORE_RECONNECT;
    kit_kick(&k, 1);
    kit_settle(&k);
    buf_clear(&k.in[1]);
    IS(ask(&k, 1, XS_GET_DOMAIN_PATH, 0, "1|"), "/local/domain/1|");
    kit_end(&k);
}

/* Reconnection drops half a request, watches, transactions and what waits in the ring. */
static void test_reconnect(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    OK(ask(&k, 1, XS_WATCH, 0, "w|t|"));
    uint32_t t = txn_start(&k, 1);
    (void)ring_feed(1, "half a header", 10);
    OK(ask(&k, 0, XS_WRITE, 0, "/local/domain/1/w|1"));
    kit_kick(&k, 1);
    kit_settle(&k);
    ring_of(1)->connection = XENSTORE_RECONNECT;
    unsigned int kicks = fake.kicks[1];
    kit_kick(&k, 1);
    kit_settle(&k);
    assert_true(fake.kicks[1] > kicks);
    assert_int_equal(ring_of(1)->connection, XENSTORE_CONNECTED);
    assert_int_equal(ring_of(1)->req_prod, 0);
    assert_int_equal(ring_of(1)->rsp_prod, 0);
    buf_clear(&k.in[1]);
    buf_clear(&k.events[1]);
    ERR(ask(&k, 1, XS_TRANSACTION_END, t, "T|"), "ENOENT");
    OK(ask(&k, 0, XS_WRITE, 0, "/local/domain/1/w|2"));
    assert_string_equal(events(&k, 1), "");
    kit_end(&k);
}

/* A guest that does not read its answers is not served beyond its quota, costs bounded memory,
   and gets every answer once it reads. */
static void test_backpressure(void **state)
{
    struct xsd_sockmsg head = { .type = XS_READ, .len = 4 };
    char payload[2000];
    struct kit k;
    int sent = 0;
    int got = 0;

    (void)state;
    kit_begin(&k, 1);
    memset(payload, 'v', sizeof(payload));
    struct xsd_sockmsg w = { .type = XS_WRITE, .len = 1900 };
    memcpy(payload, "big", 4);
    OK(ask_bytes(&k, 1, &w, payload));
    memcpy(payload, "big", 4);
    for (int i = 0; i < 100; i++) {
        if (ring_of(1)->req_prod - ring_of(1)->req_cons + 20 <= XENSTORE_RING_SIZE) {
            (void)ring_feed(1, &head, sizeof(head));
            (void)ring_feed(1, payload, 4);
            sent++;
        }
        kit_kick(&k, 1);
        kit_settle(&k);
    }
    const struct conn *c = domain_find(k.server, 1)->conn;
    assert_int_equal(c->reply_count, 20);
    assert_true(c->out.len < 21 * 2000);
    for (int i = 0; i < 10000 && got < sent; i++) {
        const struct answer *a = answer_next(&k, 1);
        got += a != NULL;
        if (a) {
            assert_int_equal(a->head.len, 1896);
        }
        kit_kick(&k, 1);
        kit_settle(&k);
    }
    assert_int_equal(got, sent);
    kit_end(&k);
}

/* A guest's full ring costs it at most eight requests a turn, and the control domain's request is
   answered in the turn in which it arrives. */
static void test_fairness(void **state)
{
    struct xsd_sockmsg flood = { .type = XS_GET_DOMAIN_PATH, .len = 2 };
    struct xsd_sockmsg head = { .type = XS_READ, .req_id = 4, .len = 6 };
    struct kit k;

    (void)state;
    kit_begin(&k, 2);
    for (int round = 0; round < 50; round++) {
        uint32_t before = ring_of(1)->req_cons;
        while (ring_of(1)->req_prod - ring_of(1)->req_cons + 18 <= XENSTORE_RING_SIZE) {
            (void)ring_feed(1, &flood, sizeof(flood));
            (void)ring_feed(1, "1", 2);
        }
        ring_of(1)->rsp_cons = ring_of(1)->rsp_prod;
        (void)ring_feed(0, &head, sizeof(head));
        (void)ring_feed(0, "/tool", 6);
        kit_kick(&k, 1);
        kit_kick(&k, 0);
        ring_on_event(&k.server->evtchn, 0);
        assert_int_equal(server_turn(k.server, 0), 0);
        const struct answer *a = answer_next(&k, 0);
        IS(a, "");
        assert_int_equal(a->head.req_id, 4);
        assert_in_range(ring_of(1)->req_cons - before, 18, 8 * 18);
    }
    ring_of(1)->connection = XENSTORE_RECONNECT;
    kit_kick(&k, 1);
    kit_settle(&k);
    kit_end(&k);
}

/* Node, memory and size limits of one guest, and that they end with what they count. */
static void test_limits(void **state)
{
    char payload[2100];
    char path[64];
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    memset(payload, 'v', sizeof(payload));
    memcpy(payload, "n", 2);
    struct xsd_sockmsg head = { .type = XS_WRITE, .len = 2 + 2048 };
    ERR(ask_bytes(&k, 1, &head, payload), "ENOSPC");
    head.len = 2 + 1900;
    OK(ask_bytes(&k, 1, &head, payload));
    OK(ask(&k, 0, XS_SET_QUOTA, 0, "nodes|50|"));
    int made = 0;
    for (int i = 0; i < 100; i++) {
        (void)snprintf(path, sizeof(path), "d%d/e|x", i);
        const struct answer *a = ask(&k, 1, XS_WRITE, 0, path);
        if (a->head.type == XS_ERROR) {
            ERR(a, "ENOSPC");
            break;
        }
        made++;
    }
    assert_int_equal(made, 24); /* its directory and n are two, each of these are two */
    OK(ask(&k, 1, XS_RM, 0, "d0|"));
    OK(ask(&k, 1, XS_WRITE, 0, "again/e|x"));
    ERR(ask(&k, 1, XS_SET_PERMS, 0, "n|n1|r0|r2|r3|r4|r5|"), "ENOSPC");
    OK(ask(&k, 1, XS_SET_PERMS, 0, "n|n1|r0|r2|r3|r4|"));
    OK(ask(&k, 0, XS_SET_QUOTA, 0, "memory|3000|"));
    ERR(ask(&k, 1, XS_WRITE, 0, "n|x"), "ENOSPC");
    ERR(ask(&k, 1, XS_WATCH, 0, "n|x|"), "ENOSPC");
    OK(ask(&k, 1, XS_RM, 0, "d1|"));
    kit_end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_dribble),
        cmocka_unit_test(test_request_without_event),
        cmocka_unit_test(test_event_lost),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_hostile_positions),
        cmocka_unit_test(test_reconnect),
        cmocka_unit_test(test_backpressure),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_fairness),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
