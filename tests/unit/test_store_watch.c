/* SPDX-License-Identifier: MIT */
/* Watches: what fires for whom, under which name, and what never does. */

#include "tests/unit/store_kit.h"

#include <stdio.h>
#include <string.h>

static void test_basic(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    OK(ask(&k, 0, XS_WATCH, 0, "/w|one|"));
    assert_string_equal(events(&k, 0), "/w|one\n");
    ERR(ask(&k, 0, XS_WATCH, 0, "/w|one|"), "EEXIST");
    OK(ask(&k, 0, XS_WATCH, 0, "/w|two|"));
    assert_string_equal(events(&k, 0), "/w|two\n");
    OK(ask(&k, 0, XS_WRITE, 0, "/w/a/b|1"));
    assert_string_equal(events(&k, 0), "/w/a/b|two\n/w/a/b|one\n");
    OK(ask(&k, 0, XS_UNWATCH, 0, "/w|two|"));
    ERR(ask(&k, 0, XS_UNWATCH, 0, "/w|two|"), "ENOENT");
    OK(ask(&k, 0, XS_WRITE, 0, "/wx|1"));
    OK(ask(&k, 0, XS_WRITE, 0, "/w/a|2"));
    assert_string_equal(events(&k, 0), "/w/a|one\n");
    OK(ask(&k, 0, XS_SET_PERMS, 0, "/w/a|n0|r1|"));
    assert_string_equal(events(&k, 0), "/w/a|one\n");
    OK(ask(&k, 0, XS_MKDIR, 0, "/w/a|")); /* exists: nothing happens */
    assert_string_equal(events(&k, 0), "");
    OK(ask(&k, 0, XS_WATCH, 0, "/w/a/b|low|"));
    assert_string_equal(events(&k, 0), "/w/a/b|low\n");
    OK(ask(&k, 0, XS_RM, 0, "/w|"));
    assert_string_equal(events(&k, 0), "/w|one\n/w/a/b|low\n");
    OK(ask(&k, 0, XS_RM, 0, "/w|")); /* not there: no event */
    assert_string_equal(events(&k, 0), "");
    kit_end(&k);
}

/* Equal events of which none was read yet are one. */
static void test_coalescing(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    OK(ask(&k, 1, XS_WATCH, 0, "x|t|"));
    assert_string_equal(events(&k, 1), "x|t\n");
    /* fill the ring, so that events wait in the daemon */
    for (int i = 0; i < 200; i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "/local/domain/1/x/n%d|", i);
        OK(ask(&k, 0, XS_WRITE, 0, text));
    }
    for (int i = 0; i < 50; i++) {
        OK(ask(&k, 0, XS_WRITE, 0, "/local/domain/1/x/same|"));
    }
    const struct domain *d = domain_find(k.server, 1);
    size_t waiting = d->conn->out.len;
    OK(ask(&k, 0, XS_WRITE, 0, "/local/domain/1/x/same|"));
    assert_int_equal(d->conn->out.len, waiting);
    assert_true(d->conn->mark_count <= 201);
    kit_end(&k);
}

static void test_relative(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    OK(ask(&k, 1, XS_WATCH, 0, "a|rel|"));
    OK(ask(&k, 1, XS_WATCH, 0, "/local/domain/1/a|abs|"));
    assert_string_equal(events(&k, 1), "a|rel\n/local/domain/1/a|abs\n");
    OK(ask(&k, 1, XS_WRITE, 0, "a/b|1"));
    assert_string_equal(events(&k, 1), "/local/domain/1/a/b|abs\na/b|rel\n");
    OK(ask(&k, 1, XS_UNWATCH, 0, "a|rel|"));
    OK(ask(&k, 1, XS_RM, 0, "/local/domain/1/a|"));
    assert_string_equal(events(&k, 1), "/local/domain/1/a|abs\n");
    kit_end(&k);
}

static void test_depth(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    OK(ask(&k, 0, XS_WATCH, 0, "/d|zero|0|"));
    OK(ask(&k, 0, XS_WATCH, 0, "/d|one|1|"));
    OK(ask(&k, 0, XS_WATCH, 0, "/|root|1|"));
    (void)events(&k, 0);
    OK(ask(&k, 0, XS_WRITE, 0, "/d/e/f|1"));
    assert_string_equal(events(&k, 0), "");
    OK(ask(&k, 0, XS_WRITE, 0, "/d/e|1"));
    assert_string_equal(events(&k, 0), "/d/e|one\n");
    OK(ask(&k, 0, XS_WRITE, 0, "/d|1"));
    assert_string_equal(events(&k, 0), "/d|one\n/d|zero\n/d|root\n");
    kit_end(&k);
}

static void test_special(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 2);
    OK(ask(&k, 0, XS_WATCH, 0, "@introduceDomain|in|"));
    OK(ask(&k, 0, XS_WATCH, 0, "@releaseDomain|out|"));
    OK(ask(&k, 0, XS_WATCH, 0, "@releaseDomain|deep|1|"));
    OK(ask(&k, 0, XS_WATCH, 0, "@releaseDomain/2|two|"));
    OK(ask(&k, 0, XS_WATCH, 0, "/|root|"));
    OK(ask(&k, 1, XS_WATCH, 0, "@releaseDomain|guest|"));
    (void)events(&k, 0);
    assert_string_equal(events(&k, 1), "@releaseDomain|guest\n");
    OK(ask(&k, 0, XS_INTRODUCE, 0, "3|1|7|"));
    assert_string_equal(events(&k, 0), "@introduceDomain|in\n");
    OK(ask(&k, 0, XS_INTRODUCE, 0, "3|1|9|")); /* again: fires again */
    assert_string_equal(events(&k, 0), "@introduceDomain|in\n");
    fake.is_shutdown[2] = true;
    kit_dom_exc(&k);
    assert_string_equal(events(&k, 0),
                        "@releaseDomain/2|deep\n@releaseDomain|out\n@releaseDomain/2|two\n");
    kit_dom_exc(&k); /* once */
    assert_string_equal(events(&k, 0), "");
    OK(ask(&k, 0, XS_RESUME, 0, "2|"));
    kit_dom_exc(&k);
    assert_string_equal(events(&k, 0),
                        "@releaseDomain/2|deep\n@releaseDomain|out\n@releaseDomain/2|two\n");
    assert_string_equal(events(&k, 1), ""); /* has no right to know */
    OK(ask(&k, 0, XS_SET_PERMS, 0, "@releaseDomain|n0|r1|"));
    OK(ask(&k, 0, XS_RELEASE, 0, "3|"));
    assert_string_equal(events(&k, 1), "@releaseDomain|guest\n");
    kit_end(&k);
}

/* A guest learns nothing of nodes that it may not see. */
static void test_visibility(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    OK(ask(&k, 0, XS_WRITE, 0, "/hidden/a|1"));
    OK(ask(&k, 0, XS_WRITE, 0, "/open/a|1"));
    OK(ask(&k, 0, XS_SET_PERMS, 0, "/open|r0|"));
    OK(ask(&k, 1, XS_WATCH, 0, "/|all|"));
    OK(ask(&k, 1, XS_WATCH, 0, "/hidden/a|a|"));
    (void)events(&k, 1);
    OK(ask(&k, 0, XS_WRITE, 0, "/hidden/a|2"));
    OK(ask(&k, 0, XS_WRITE, 0, "/hidden/b/c|2"));
    OK(ask(&k, 0, XS_RM, 0, "/hidden/b|"));
    assert_string_equal(events(&k, 1), "");
    OK(ask(&k, 0, XS_WRITE, 0, "/open/a|2")); /* its parent's listing is open */
    assert_string_equal(events(&k, 1), "/open/a|all\n");
    OK(ask(&k, 0, XS_SET_PERMS, 0, "/hidden/a|n0|r1|")); /* becomes visible */
    assert_string_equal(events(&k, 1), "/hidden/a|a\n/hidden/a|all\n");
    OK(ask(&k, 0, XS_SET_PERMS, 0, "/hidden/a|n0|")); /* and stops to be */
    assert_string_equal(events(&k, 1), "/hidden/a|a\n/hidden/a|all\n");
    OK(ask(&k, 0, XS_SET_PERMS, 0, "/hidden/a|n0|r1|"));
    (void)events(&k, 1);
    OK(ask(&k, 0, XS_RM, 0, "/hidden|"));
    assert_string_equal(events(&k, 1), "/hidden/a|a\n"); /* the node it could see is gone */
    uint32_t t = txn_start(&k, 0);
    OK(ask(&k, 0, XS_WRITE, t, "/hidden/x|2"));
    OK(ask(&k, 0, XS_TRANSACTION_END, t, "T|"));
    assert_string_equal(events(&k, 1), "");
    kit_end(&k);
}

static void test_quota_and_reset(void **state)
{
    char text[64];
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    for (int i = 0; i < 128; i++) {
        (void)snprintf(text, sizeof(text), "w|%d|", i);
        OK(ask(&k, 1, XS_WATCH, 0, text));
    }
    ERR(ask(&k, 1, XS_WATCH, 0, "w|more|"), "ENOSPC");
    OK(ask(&k, 1, XS_RESET_WATCHES, 0, "|"));
    (void)events(&k, 1);
    OK(ask(&k, 1, XS_WRITE, 0, "w|1"));
    assert_string_equal(events(&k, 1), "");
    OK(ask(&k, 1, XS_WATCH, 0, "w|again|"));
    assert_string_equal(events(&k, 1), "w|again\n");
    /* too long an event is not sent, and harms nobody */
    char big[4000];
    memset(big, 't', sizeof(big));
    memcpy(big, "/w|", 3);
    big[3900] = '|';
    big[3901] = '\0';
    OK(ask(&k, 0, XS_WATCH, 0, big));
    OK(ask(&k, 0, XS_WRITE, 0,
           "/w/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|1"));
    kit_end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_basic),           cmocka_unit_test(test_coalescing),
        cmocka_unit_test(test_relative),        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_special),         cmocka_unit_test(test_visibility),
        cmocka_unit_test(test_quota_and_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
