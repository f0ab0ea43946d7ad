/* SPDX-License-Identifier: MIT */
/* What is left after kill -9: every acknowledged effect once, and nothing torn. */

#include "tests/unit/store_kit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "stored/conn.h"

static struct xenstore_domain_interface *ring_of(uint16_t domid)
{
    return &fake.page[domid].ring;
}

static void test_state(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 2);
    OK(ask(&k, 0, XS_WRITE, 0, "/a/b|1"));
    OK(ask(&k, 0, XS_SET_PERMS, 0, "/a/b|n0|r2|"));
    OK(ask(&k, 0, XS_WRITE, 0, "/gone/x|1"));
    OK(ask(&k, 0, XS_RM, 0, "/gone|"));
    OK(ask(&k, 1, XS_WATCH, 0, "w|rel|"));
    OK(ask(&k, 1, XS_WATCH, 0, "w|dropped|"));
    OK(ask(&k, 1, XS_UNWATCH, 0, "w|dropped|"));
    OK(ask(&k, 2, XS_WATCH, 0, "w|reset|"));
    OK(ask(&k, 2, XS_RESET_WATCHES, 0, "|"));
    OK(ask(&k, 0, XS_WATCH, 0, "/a|dom0|1|"));
    OK(ask(&k, 0, XS_SET_PERMS, 0, "@releaseDomain|n0|r1|"));
    (void)events(&k, 0);
    (void)events(&k, 1);
    (void)events(&k, 2);
    for (int round = 0; round < 3; round++) {
        kit_restart(&k);
        IS(ask(&k, 0, XS_READ, 0, "/a/b|"), "1");
        IS(ask(&k, 0, XS_GET_PERMS, 0, "/a/b|"), "n0|r2|");
        IS(ask(&k, 0, XS_GET_PERMS, 0, "@releaseDomain|"), "n0|r1|");
        ERR(ask(&k, 0, XS_READ, 0, "/gone|"), "ENOENT");
        assert_string_equal(events(&k, 0), "");
        OK(ask(&k, 2, XS_WRITE, 0, "/local/domain/2/w|1"));
        OK(ask(&k, 1, XS_WRITE, 0, "/local/domain/1/w|1"));
        assert_string_equal(events(&k, 1), "w|rel\n");
        assert_string_equal(events(&k, 2), "");
        OK(ask(&k, 0, XS_WRITE, 0, "/a/b|1"));
        OK(ask(&k, 0, XS_WRITE, 0, "/a/b/c|1"));
        assert_string_equal(events(&k, 0), "/a/b|dom0\n");
    }
    kit_end(&k);
}

static void test_open_transactions(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    uint32_t t = txn_start(&k, 0);
    uint32_t u = txn_start(&k, 1);
    uint32_t done = txn_start(&k, 1);
    OK(ask(&k, 0, XS_WRITE, t, "/in/t|1"));
    OK(ask(&k, 1, XS_TRANSACTION_END, done, "T|"));
    kit_restart(&k);
    /* requests inside still work; only the end says that it was for nothing */
    OK(ask(&k, 0, XS_WRITE, t, "/in/t2|1"));
    IS(ask(&k, 0, XS_READ, t, "/in/t2|"), "1");
    ERR(ask(&k, 0, XS_TRANSACTION_END, t, "T|"), "EAGAIN");
    ERR(ask(&k, 0, XS_READ, 0, "/in|"), "ENOENT");
    ERR(ask(&k, 1, XS_TRANSACTION_END, done, "T|"), "ENOENT");
    OK(ask(&k, 1, XS_TRANSACTION_END, u, "F|"));
    assert_true(txn_start(&k, 0) != t);
    kit_end(&k);
}

/* Requests that nobody took before the kill are answered after the start. */
static void test_unanswered(void **state)
{
    struct xsd_sockmsg head = { .type = XS_WRITE, .req_id = 77, .len = 7 };
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    kit_kill(&k);
    (void)ring_feed(1, &head, sizeof(head));
    (void)ring_feed(1, "data\0hi", 7);
    kit_start(&k);
    const struct answer *a = answer_next(&k, 1);
    OK(a);
    assert_int_equal(a->head.req_id, 77);
    IS(ask(&k, 1, XS_READ, 0, "data|"), "hi");
    kit_end(&k);
}

/* Half of a large request was taken, half of a large answer was given. */
static void test_halves(void **state)
{
    char payload[XENSTORE_PAYLOAD_MAX];
    uint8_t message[sizeof(struct xsd_sockmsg) + sizeof(payload)];
    struct xsd_sockmsg head = { .type = XS_WRITE, .req_id = 5, .len = 3004 };
    const struct answer *a = NULL;
    struct kit k;
    size_t sent = 0;

    (void)state;
    kit_begin(&k, 0);
    for (size_t i = 0; i < sizeof(payload); i++) {
        payload[i] = (char)(i * 13);
    }
    memcpy(payload, "/bg", 4);
    memcpy(message, &head, sizeof(head));
    memcpy(message + sizeof(head), payload, 3004);
    while (!a) {
        sent += ring_feed(0, message + sent, sizeof(head) + 3004 - sent);
        kit_restart(&k); /* a kick and a kill for every piece */
        a = answer_next(&k, 0);
    }
    OK(a);
    head = (struct xsd_sockmsg){ .type = XS_READ, .req_id = 6, .len = 4 };
    (void)ring_feed(0, &head, sizeof(head));
    (void)ring_feed(0, "/bg", 4);
    for (a = NULL; !a; a = answer_next(&k, 0)) {
        kit_restart(&k);
    }
    assert_int_equal(a->head.req_id, 6);
    assert_int_equal(a->head.len, 3000);
    assert_memory_equal(a->data, payload + 4, 3000);
    kit_end(&k);
}

/* The kill comes between the journal's commit and the moment when all of it is in the ring: the
   page is put back to what it was, but for some of the bytes written. Each count is then read,
   each request served, exactly once. */
static void test_between_journal_and_ring(void **state)
{
    struct kit k;
    char text[64];
    unsigned int n = 0;

    (void)state;
    kit_begin(&k, 1);
    OK(ask(&k, 1, XS_WATCH, 0, "x|t|"));
    (void)events(&k, 1);
    srand(2);
    for (int i = 0; i < 400; i++) {
        struct xenstore_domain_interface before;
        struct xsd_sockmsg head = { .type = XS_WRITE, .req_id = 1000u + (uint32_t)i };
        int len = snprintf(text, sizeof(text), "x/%d", i);
        text[len] = '\0';
        head.len = (uint32_t)len + 1;
        (void)ring_feed(1, &head, sizeof(head));
        (void)ring_feed(1, text, head.len);
        before = *ring_of(1);
        kit_kick(&k, 1);
        kit_settle(&k);
        uint32_t pushed = ring_of(1)->rsp_prod - before.rsp_prod;
        if (i % 3) {
            uint32_t kept = (uint32_t)rand() % (pushed + 1);
            bool is_input_given = rand() % 2;
            kit_kill(&k);
            ring_of(1)->rsp_prod = before.rsp_prod + kept;
            if (!is_input_given) {
                ring_of(1)->req_cons = before.req_cons;
            }
            kit_start(&k);
            n++;
        }
        const struct answer *a = answer_next(&k, 1);
        OK(a);
        assert_int_equal(a->head.req_id, 1000 + i);
        assert_null(answer_next(&k, 1));
        (void)snprintf(text, sizeof(text), "x/%d|t\n", i);
        assert_string_equal(events(&k, 1), text);
    }
    assert_true(n > 200);
    kit_end(&k);
}

/* The file is written anew when it has grown; the state is the same before and after. */
static void test_rewrite(void **state)
{
    char payload[2000];
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    OK(ask(&k, 1, XS_WATCH, 0, "x|t|"));
    (void)events(&k, 1);
    memset(payload, 'z', sizeof(payload));
    size_t most = 0;
    for (int i = 0; i < 6000; i++) {
        struct xsd_sockmsg head = { .type = XS_WRITE, .len = sizeof(payload) };
        (void)snprintf(payload, sizeof(payload), "/r%d", i % 50);
        OK(ask_bytes(&k, 0, &head, payload));
        most = k.server->journal.used > most ? k.server->journal.used : most;
    }
    assert_in_range(most, 4u << 20, 6u << 20);
    kit_restart(&k);
    assert_int_equal(ask(&k, 0, XS_READ, 0, "/r49|")->head.len, 2000 - 5);
    OK(ask(&k, 1, XS_WRITE, 0, "x|1"));
    assert_string_equal(events(&k, 1), "x|t\n");
    kit_end(&k);
}

/* Domains that ended while no daemon ran. */
static void test_death_meanwhile(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 3);
    OK(ask(&k, 0, XS_WATCH, 0, "@releaseDomain|out|"));
    OK(ask(&k, 1, XS_WRITE, 0, "mine|1"));
    (void)events(&k, 0);
    kit_kill(&k);
    fake.is_there[1] = false;
    fake.is_dying[2] = true;
    fake.is_shutdown[3] = true;
    kit_start(&k);
    assert_string_equal(events(&k, 0), "@releaseDomain|out\n");
    ERR(ask(&k, 0, XS_READ, 0, "/local/domain/1/mine|"), "ENOENT");
    IS(ask(&k, 0, XS_IS_DOMAIN_INTRODUCED, 0, "1|"), "F|");
    IS(ask(&k, 0, XS_IS_DOMAIN_INTRODUCED, 0, "2|"), "F|");
    IS(ask(&k, 0, XS_IS_DOMAIN_INTRODUCED, 0, "3|"), "T|");
    assert_false(fake.is_mapped[2]);
    kit_end(&k);
}

static void flip(const char *path, long at, uint8_t mask)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    int byte = fgetc(f);
    assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
    assert_int_not_equal(fputc(byte ^ mask, f), EOF);
    (void)fclose(f);
}

/* A file of another boot is not taken over; damage loses what follows it and nothing else. */
static void test_foreign_and_damaged(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 0);
    OK(ask(&k, 0, XS_WRITE, 0, "/early|1"));
    long at = (long)k.server->journal.used;
    OK(ask(&k, 0, XS_WRITE, 0, "/late|1"));
    kit_kill(&k);
    flip(k.journal, at + 20, 0x40);
    memset(&fake.page[0], 0, sizeof(fake.page[0]));
    ring_of(0)->connection = XENSTORE_RECONNECT;
    buf_clear(&k.in[0]);
    kit_start(&k);
    IS(ask(&k, 0, XS_READ, 0, "/early|"), "1");
    ERR(ask(&k, 0, XS_READ, 0, "/late|"), "ENOENT");
    kit_kill(&k);
    flip(k.journal, 20, 0x01); /* the boot's name */
    memset(&fake.page[0], 0, sizeof(fake.page[0]));
    kit_start(&k);
    ERR(ask(&k, 0, XS_READ, 0, "/early|"), "ENOENT");
    kit_end(&k);
}

/* The journal cannot grow: clients are served all the same, and when there is room again the state
   is safe again. */
static void test_no_room(void **state)
{
    struct rlimit saved;
    struct rlimit small;
    char payload[2000];
    struct kit k;

    (void)state;
    kit_begin(&k, 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &saved), 0);
    small = saved;
    small.rlim_cur = 1u << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    memset(payload, 'z', sizeof(payload));
    for (int i = 0; i < 800; i++) {
        struct xsd_sockmsg head = { .type = XS_WRITE, .len = sizeof(payload) };
        (void)snprintf(payload, sizeof(payload), "/r%d", i);
        OK(ask_bytes(&k, 0, &head, payload));
    }
    assert_true(k.server->journal.is_failed);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &saved), 0);
    for (int i = 0; i < 1100 && k.server->journal.is_failed; i++) {
        IS(ask(&k, 0, XS_READ, 0, "/tool|"), "");
    }
    assert_false(k.server->journal.is_failed);
    kit_restart(&k);
    assert_int_equal(ask(&k, 0, XS_READ, 0, "/r799|")->head.len, 2000 - 6);
    kit_end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state),
        cmocka_unit_test(test_open_transactions),
        cmocka_unit_test(test_unanswered),
        cmocka_unit_test(test_halves),
        cmocka_unit_test(test_between_journal_and_ring),
        cmocka_unit_test(test_rewrite),
        cmocka_unit_test(test_death_meanwhile),
        cmocka_unit_test(test_foreign_and_damaged),
        cmocka_unit_test(test_no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
