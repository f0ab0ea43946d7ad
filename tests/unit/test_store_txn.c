/* SPDX-License-Identifier: MIT */
/* Transactions: private view, conflicts only where there are any, all or nothing, watches, quotas.
 */

#include "tests/unit/store_kit.h"

#include <stdio.h>
#include <string.h>

static void test_private_view(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 0);
    OK(ask(&k, 0, XS_WRITE, 0, "/a|1"));
    uint32_t t = txn_start(&k, 0);
    OK(ask(&k, 0, XS_WRITE, t, "/a|2"));
    OK(ask(&k, 0, XS_WRITE, t, "/b/c/d|3"));
    IS(ask(&k, 0, XS_READ, t, "/a|"), "2");
    IS(ask(&k, 0, XS_READ, t, "/b/c/d|"), "3");
    IS(ask(&k, 0, XS_DIRECTORY, t, "/b|"), "c|");
    IS(ask(&k, 0, XS_READ, 0, "/a|"), "1");
    ERR(ask(&k, 0, XS_READ, 0, "/b|"), "ENOENT");
    OK(ask(&k, 0, XS_TRANSACTION_END, t, "T|"));
    IS(ask(&k, 0, XS_READ, 0, "/a|"), "2");
    IS(ask(&k, 0, XS_READ, 0, "/b/c/d|"), "3");
    ERR(ask(&k, 0, XS_TRANSACTION_END, t, "T|"), "ENOENT");
    ERR(ask(&k, 0, XS_READ, t, "/a|"), "ENOENT");
    ERR(ask(&k, 0, XS_TRANSACTION_END, 0, "T|"), "ENOENT");
    t = txn_start(&k, 0);
    ERR(ask(&k, 0, XS_TRANSACTION_START, t, "|"), "EBUSY");
    OK(ask(&k, 0, XS_RM, t, "/a|"));
    ERR(ask(&k, 0, XS_READ, t, "/a|"), "ENOENT");
    OK(ask(&k, 0, XS_TRANSACTION_END, t, "F|"));
    IS(ask(&k, 0, XS_READ, 0, "/a|"), "2");
    kit_end(&k);
}

/* One row: what the transaction does, what somebody does meanwhile, how it ends. */
struct row {
    uint32_t type;
    const char *inside;
    uint32_t other_type;
    const char *outside;
    bool is_conflict;
};

static const struct row rows[] = {
    { XS_READ, "/t/a|", XS_WRITE, "/t/a|x", true },
    { XS_READ, "/t/a|", XS_WRITE, "/t/b|x", false },
    { XS_READ, "/t/a|", XS_RM, "/t/a|", true },
    { XS_READ, "/t/a|", XS_RM, "/t/b|", false },
    { XS_READ, "/t/a|", XS_WRITE, "/t/a/kid|x", false },
    { XS_READ, "/t/new|", XS_WRITE, "/t/new|x", true },
    { XS_READ, "/t|", XS_WRITE, "/t/new|x", false },
    { XS_DIRECTORY, "/t|", XS_WRITE, "/t/new|x", true },
    { XS_DIRECTORY, "/t|", XS_RM, "/t/b|", true },
    { XS_DIRECTORY, "/t|", XS_WRITE, "/t/a|x", false },
    { XS_DIRECTORY, "/t|", XS_SET_PERMS, "/t|n0|r1|", true },
    { XS_WRITE, "/t/a|i", XS_WRITE, "/t/a|x", true },
    { XS_WRITE, "/t/a|i", XS_WRITE, "/t/b|x", false },
    { XS_WRITE, "/t/n1|i", XS_WRITE, "/t/n2|x", false },
    { XS_WRITE, "/t/n1/x|i", XS_WRITE, "/t/n1/y|x", true },
    { XS_WRITE, "/t/n1|i", XS_RM, "/t|", true },
    { XS_WRITE, "/t/n1|i", XS_SET_PERMS, "/t|n0|r1|", true },
    { XS_MKDIR, "/t/a|", XS_WRITE, "/t/b|x", false },
    { XS_RM, "/t/d|", XS_WRITE, "/t/d/e|x", true },
    { XS_RM, "/t/d|", XS_WRITE, "/t/d/e/f/g|x", true },
    { XS_RM, "/t/d|", XS_RM, "/t/d/e|", true },
    { XS_RM, "/t/d|", XS_WRITE, "/t/a|x", false },
    { XS_GET_PERMS, "/t/a|", XS_SET_PERMS, "/t/a|n0|r1|", true },
    { XS_SET_PERMS, "/t/a|n0|w1|", XS_WRITE, "/t/a|x", true },
    { XS_SET_PERMS, "/t/a|n0|w1|", XS_WRITE, "/t/b|x", false },
};

static void test_conflicts(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *r = &rows[i];
        OK(ask(&k, 0, XS_RM, 0, "/t|"));
        OK(ask(&k, 0, XS_WRITE, 0, "/t/a|1"));
        OK(ask(&k, 0, XS_WRITE, 0, "/t/b|2"));
        OK(ask(&k, 0, XS_WRITE, 0, "/t/d/e|3"));
        uint32_t t = txn_start(&k, 0);
        assert_non_null(ask(&k, 0, r->type, t, r->inside));
        OK(ask(&k, 0, XS_WRITE, t, "/mark|done"));
        OK(ask(&k, 0, r->other_type, 0, r->outside));
        print_message("row %zu\n", i);
        if (r->is_conflict) {
            ERR(ask(&k, 0, XS_TRANSACTION_END, t, "T|"), "EAGAIN");
            ERR(ask(&k, 0, XS_READ, 0, "/mark|"), "ENOENT");
        } else {
            OK(ask(&k, 0, XS_TRANSACTION_END, t, "T|"));
            IS(ask(&k, 0, XS_READ, 0, "/mark|"), "done");
            OK(ask(&k, 0, XS_RM, 0, "/mark|"));
        }
    }
    kit_end(&k);
}

/* Removal and creation of the same places in every order end as they would outside. */
static void test_remove_and_make(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 0);
    OK(ask(&k, 0, XS_WRITE, 0, "/t/b/old/deep|1"));
    uint32_t t = txn_start(&k, 0);
    OK(ask(&k, 0, XS_WRITE, t, "/t/b/new|1"));
    OK(ask(&k, 0, XS_RM, t, "/t/b|"));
    OK(ask(&k, 0, XS_WRITE, t, "/t/b/new|2"));
    OK(ask(&k, 0, XS_WRITE, t, "/t/x/y|3"));
    OK(ask(&k, 0, XS_RM, t, "/t/x|"));
    OK(ask(&k, 0, XS_WRITE, 0, "/elsewhere|1"));
    OK(ask(&k, 0, XS_TRANSACTION_END, t, "T|"));
    IS(ask(&k, 0, XS_DIRECTORY, 0, "/t|"), "b|");
    IS(ask(&k, 0, XS_DIRECTORY, 0, "/t/b|"), "new|");
    IS(ask(&k, 0, XS_READ, 0, "/t/b/new|"), "2");
    kit_restart(&k);
    IS(ask(&k, 0, XS_DIRECTORY, 0, "/t/b|"), "new|");
    IS(ask(&k, 0, XS_CONTROL, 0, "check|"), "OK|");
    kit_end(&k);
}

static void test_watches_on_commit(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 0);
    OK(ask(&k, 0, XS_WRITE, 0, "/t/gone/below|1"));
    OK(ask(&k, 0, XS_WATCH, 0, "/t|tok|"));
    OK(ask(&k, 0, XS_WATCH, 0, "/t/gone/below|low|"));
    assert_string_equal(events(&k, 0), "/t|tok\n/t/gone/below|low\n");
    uint32_t t = txn_start(&k, 0);
    OK(ask(&k, 0, XS_WRITE, t, "/t/a|1"));
    OK(ask(&k, 0, XS_WRITE, t, "/t/a|2"));
    OK(ask(&k, 0, XS_RM, t, "/t/gone|"));
    assert_string_equal(events(&k, 0), "");
    OK(ask(&k, 0, XS_TRANSACTION_END, t, "T|"));
    assert_string_equal(events(&k, 0), "/t/a|tok\n/t/gone|tok\n/t/gone/below|low\n");
    t = txn_start(&k, 0);
    OK(ask(&k, 0, XS_WRITE, t, "/t/a|3"));
    OK(ask(&k, 0, XS_TRANSACTION_END, t, "F|"));
    assert_string_equal(events(&k, 0), "");
    kit_end(&k);
}

static void test_quotas(void **state)
{
    char path[64];
    struct kit k;
    uint32_t t = 0;

    (void)state;
    kit_begin(&k, 1);
    for (int i = 0; i < 10; i++) {
        t = txn_start(&k, 1);
    }
    ERR(ask(&k, 1, XS_TRANSACTION_START, 0, "|"), "ENOSPC");
    OK(ask(&k, 1, XS_RESET_WATCHES, 0, "|")); /* drops transactions too */
    ERR(ask(&k, 1, XS_TRANSACTION_END, t, "T|"), "ENOENT");
    OK(ask(&k, 0, XS_SET_QUOTA, 0, "nodes|20|"));
    OK(ask(&k, 0, XS_SET_QUOTA, 0, "transaction-nodes|50|"));
    t = txn_start(&k, 1);
    for (int i = 0; i < 19; i++) {
        (void)snprintf(path, sizeof(path), "n%d|x", i);
        OK(ask(&k, 1, XS_WRITE, t, path));
    }
    ERR(ask(&k, 1, XS_WRITE, t, "n19|x"), "ENOSPC");
    uint32_t u = txn_start(&k, 1);
    OK(ask(&k, 1, XS_WRITE, u, "other|x"));
    OK(ask(&k, 1, XS_TRANSACTION_END, t, "T|"));
    /* each fitted alone; together they do not */
    ERR(ask(&k, 1, XS_TRANSACTION_END, u, "T|"), "ENOSPC");
    ERR(ask(&k, 1, XS_READ, 0, "other|"), "ENOENT");
    t = txn_start(&k, 1);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(path, sizeof(path), "q%d|", i);
        ERR(ask(&k, 1, XS_READ, t, path), "ENOENT");
    }
    ERR(ask(&k, 1, XS_READ, t, "q50|"), "ENOSPC");
    kit_end(&k);
}

/* What is refused for want of room leaves nothing behind: no memory, and no half of a removal. */
static void test_no_room(void **state)
{
    char path[64];
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(path, sizeof(path), "d/n%d|x", i);
        OK(ask(&k, 1, XS_WRITE, 0, path));
    }
    OK(ask(&k, 0, XS_SET_QUOTA, 0, "transaction-nodes|10|"));
    uint32_t t = txn_start(&k, 1);
    OK(ask(&k, 1, XS_WRITE, t, "e|x"));
    ERR(ask(&k, 1, XS_RM, t, "d|"), "ENOSPC");
    OK(ask(&k, 1, XS_TRANSACTION_END, t, "T|"));
    IS(ask(&k, 1, XS_READ, 0, "d/n7|"), "x");
    IS(ask(&k, 1, XS_READ, 0, "e|"), "x");

    int64_t before = domain_memory(k.server, 1);
    t = txn_start(&k, 1);
    for (int i = 0; i < 10; i++) {
        (void)snprintf(path, sizeof(path), "q%d|", i);
        ERR(ask(&k, 1, XS_READ, t, path), "ENOENT");
    }
    int64_t full = domain_memory(k.server, 1);
    assert_true(full > before);
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(path, sizeof(path), "z%d|", i);
        ERR(ask(&k, 1, XS_READ, t, path), "ENOSPC");
    }
    assert_int_equal(domain_memory(k.server, 1), full);
    assert_int_equal(domain_find(k.server, 1)->conn->txns->path_count, 10);
    ERR(ask(&k, 1, XS_READ, t, "q3|"), "ENOENT"); /* what is noted already may be read again */
    OK(ask(&k, 1, XS_TRANSACTION_END, t, "F|"));
    assert_int_equal(domain_memory(k.server, 1), before);
    kit_end(&k);
}

/* What transactions hold counts, so that ten of them are not ten times what a domain may have. */
static void test_memory(void **state)
{
    char text[1100];
    struct kit k;
    int count = 0;

    (void)state;
    kit_begin(&k, 1);
    OK(ask(&k, 0, XS_SET_QUOTA, 0, "memory|100000|"));
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    for (int i = 0; i < 20; i++) {
        text[snprintf(text, sizeof(text), "n%02d|", i)] = 'x';
        OK(ask(&k, 1, XS_WRITE, 0, text));
    }
    uint32_t t = txn_start(&k, 1);
    for (int i = 0; i < 100; i++) {
        text[snprintf(text, sizeof(text), "t%02d|", i)] = 'x';
        const struct answer *a = ask(&k, 1, XS_WRITE, t, text);
        if (a->head.type == XS_ERROR) {
            ERR(a, "ENOSPC");
            break;
        }
        count++;
    }
    assert_in_range(count, 20, 60);
    for (int i = 0; i < 20; i++) { /* to copy the old ones is refused as well */
        text[snprintf(text, sizeof(text), "n%02d|", i)] = 'y';
        ERR(ask(&k, 1, XS_WRITE, t, text), "ENOSPC");
    }
    ERR(ask(&k, 1, XS_READ, t, "another|"), "ENOSPC");
    OK(ask(&k, 1, XS_TRANSACTION_END, t, "F|"));
    OK(ask(&k, 1, XS_WRITE, 0, text));
    kit_end(&k);
}

/* Large requests of a guest are served one a turn: others wait for one of them, not for eight. */
static void test_turns(void **state)
{
    char path[1600] = "";
    struct kit k;
    size_t len = 0;
    uint32_t ids[3];

    (void)state;
    kit_begin(&k, 2);
    while (len + 4 < sizeof(path)) {
        path[len++] = 'a';
        path[len++] = '/';
    }
    path[len - 1] = '|';
    OK(ask(&k, 1, XS_MKDIR, 0, path));
    for (int i = 0; i < 100; i++) {
        char watch[16];
        (void)snprintf(watch, sizeof(watch), "a|%d|", i);
        OK(ask(&k, 1, XS_WATCH, 0, watch));
    }
    (void)events(&k, 1);
    for (unsigned int i = 0; i < 3; i++) {
        ids[i] = txn_start(&k, 1);
        for (size_t at = 1; at < len; at += 2) {
            char one[1600];
            (void)snprintf(one, sizeof(one), "%.*s|", (int)at, path);
            OK(ask(&k, 1, XS_WRITE, ids[i], one));
        }
    }
    (void)events(&k, 1);
    for (unsigned int i = 0; i < 3; i++) {
        struct xsd_sockmsg head = {
            .type = XS_TRANSACTION_END, .tx_id = ids[i], .req_id = 100 + i, .len = 2
        };
        assert_int_equal(ring_feed(1, &head, sizeof(head)), sizeof(head));
        assert_int_equal(ring_feed(1, "T", 2), 2);
    }
    kit_kick(&k, 1);
    ring_on_event(&k.server->evtchn, 0);
    uint64_t work = k.server->work;
    assert_int_equal(server_turn(k.server, 0), 0);
    work = k.server->work - work;
    assert_in_range(work, len / 2, 2 * len); /* looked at, and told of: one, not three */
    assert_int_equal(domain_find(k.server, 1)->conn->txn_count, 2);
    OK(ask(&k, 2, XS_WRITE, 0, "mine|x"));
    kit_settle(&k);
    assert_int_equal(domain_find(k.server, 1)->conn->txn_count, 0);
    kit_end(&k);
}

/* A guest that keeps writing what the toolstack's transaction looks at is held back, so that the
   transaction succeeds after a bounded number of tries. */
static void test_starvation(void **state)
{
    struct kit k;
    int conflicts = 0;

    (void)state;
    kit_begin(&k, 1);
    OK(ask(&k, 1, XS_WRITE, 0, "x|0"));
    for (int i = 0; i < 20; i++) {
        uint32_t t = txn_start(&k, 0);
        IS(ask(&k, 0, XS_READ, t, "/local/domain/1/x|"), i ? "1" : "0");
        struct xsd_sockmsg head = { .type = XS_WRITE, .len = 3 };
        (void)ring_feed(1, &head, sizeof(head));
        (void)ring_feed(1, "x\0001", 3);
        kit_kick(&k, 1);
        kit_settle(&k);
        const struct answer *a = ask(&k, 0, XS_TRANSACTION_END, t, "T|");
        if (a->head.type != XS_ERROR) {
            break;
        }
        ERR(a, "EAGAIN");
        conflicts++;
    }
    assert_in_range(conflicts, 1, 8);
    kit_end(&k);
}

/* Credit comes back by the time that passed, not by how often the timer came to run. */
static void test_refill(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    struct domain *d = domain_find(k.server, 1);
    const int most = d->credit;
    domain_take_credit(k.server, 1, 1); /* its own conflict */
    assert_int_equal(d->credit, most);
    assert_int_equal(k.server->credit.due_ms, 0);
    while (d->credit > 0) {
        domain_take_credit(k.server, 1, 0);
    }
    assert_false(domain_has_credit(k.server, 1));
    assert_int_not_equal(k.server->credit.due_ms, 0);
    k.server->credit_ms -= 150;
    domains_refill(&k.server->credit);
    assert_in_range(d->credit, 3, most);
    assert_true(domain_has_credit(k.server, 1));
    k.server->credit_ms -= 3600000;
    domains_refill(&k.server->credit);
    assert_int_equal(d->credit, most);
    kit_end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_private_view),    cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_remove_and_make), cmocka_unit_test(test_watches_on_commit),
        cmocka_unit_test(test_quotas),          cmocka_unit_test(test_starvation),
        cmocka_unit_test(test_no_room),         cmocka_unit_test(test_memory),
        cmocka_unit_test(test_turns),           cmocka_unit_test(test_refill),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
