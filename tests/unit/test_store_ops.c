/* SPDX-License-Identifier: MIT */
/* The store's operations, one by one: payloads, answers, rights. */

#include "tests/unit/store_kit.h"

#include <stdio.h>
#include <string.h>

static void test_nodes(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    OK(ask(&k, 0, XS_WRITE, 0, "/a/b/c|hello"));
    IS(ask(&k, 0, XS_READ, 0, "/a/b/c|"), "hello");
    IS(ask(&k, 0, XS_READ, 0, "/a/b|"), "");
    IS(ask(&k, 0, XS_DIRECTORY, 0, "/a|"), "b|");
    IS(ask(&k, 0, XS_DIRECTORY, 0, "/a/b/c|"), "");
    OK(ask(&k, 0, XS_MKDIR, 0, "/a/b/a|"));
    OK(ask(&k, 0, XS_MKDIR, 0, "/a/b/c|"));
    IS(ask(&k, 0, XS_READ, 0, "/a/b/c|"), "hello");
    OK(ask(&k, 0, XS_WRITE, 0, "/a/b/bb|"));
    IS(ask(&k, 0, XS_DIRECTORY, 0, "/a/b|"), "a|bb|c|");
    OK(ask(&k, 0, XS_RM, 0, "/a/b|"));
    IS(ask(&k, 0, XS_DIRECTORY, 0, "/a|"), "");
    ERR(ask(&k, 0, XS_READ, 0, "/a/b/c|"), "ENOENT");
    ERR(ask(&k, 0, XS_DIRECTORY, 0, "/a/b|"), "ENOENT");
    OK(ask(&k, 0, XS_RM, 0, "/a/b|"));
    ERR(ask(&k, 0, XS_RM, 0, "/a/b/c|"), "ENOENT");
    ERR(ask(&k, 0, XS_RM, 0, "/|"), "EINVAL");
    kit_end(&k);
}

static void test_payloads(void **state)
{
    static const struct {
        uint32_t type;
        const char *text;
    } bad[] = {
        { XS_READ, "" },
        { XS_READ, "/a" },
        { XS_READ, "/a|/b|" },
        { XS_READ, "|" },
        { XS_READ, "/a/|" },
        { XS_READ, "//a|" },
        { XS_READ, "/a b|" },
        { XS_READ, "/a.b|" },
        { XS_READ, "@releaseDomain|" },
        { XS_DIRECTORY, "/a" },
        { XS_DIRECTORY_PART, "/local|" },
        { XS_DIRECTORY_PART, "/local|x|" },
        { XS_DIRECTORY_PART, "/local|-1|" },
        { XS_WRITE, "/a" },
        { XS_WRITE, "" },
        { XS_WRITE, "@releaseDomain|x" },
        { XS_MKDIR, "/a|b" },
        { XS_RM, "@releaseDomain|" },
        { XS_GET_PERMS, "@other|" },
        { XS_SET_PERMS, "/local|" },
        { XS_SET_PERMS, "/local|x0|" },
        { XS_SET_PERMS, "/local|r|" },
        { XS_SET_PERMS, "/local|r70000|" },
        { XS_SET_PERMS, "/local|r0|w1x|" },
        { XS_WATCH, "/local|" },
        { XS_WATCH, "/local|token" },
        { XS_WATCH, "@other|token|" },
        { XS_WATCH, "/local|token|x|" },
        { XS_UNWATCH, "/local|" },
        { XS_TRANSACTION_END, "X|" },
        { XS_TRANSACTION_END, "" },
        { XS_INTRODUCE, "1|2|" },
        { XS_INTRODUCE, "0|2|7|" },
        { XS_INTRODUCE, "32752|2|7|" },
        { XS_INTRODUCE, "1|2|0|" },
        { XS_INTRODUCE, "1|-2|7|" },
        { XS_RELEASE, "0|" },
        { XS_RELEASE, "x|" },
        { XS_GET_DOMAIN_PATH, "99999|" },
        { XS_IS_DOMAIN_INTRODUCED, "" },
        { XS_RESUME, "|" },
        { XS_SET_TARGET, "1|" },
        { XS_CONTROL, "" },
        { XS_CONTROL, "nonsense|" },
        { XS_CONTROL, "log|maybe|" },
        { XS_CONTROL, "quota|set|nodes|x|" },
        { XS_GET_QUOTA, "nonsense|" },
        { XS_SET_QUOTA, "nodes|" },
        { XS_SET_FEATURE, "1|4096|" },
    };
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ERR(ask(&k, 0, bad[i].type, 0, bad[i].text), "EINVAL");
    }
    ERR(ask(&k, 0, 20, 0, "/a|"), "ENOSYS"); /* RESTRICT was removed from the protocol */
    ERR(ask(&k, 0, XS_WATCH_EVENT, 0, "/a|"), "ENOSYS");
    ERR(ask(&k, 0, XS_ERROR, 0, "/a|"), "ENOSYS");
    ERR(ask(&k, 0, 27, 0, "/a|"), "ENOSYS");
    ERR(ask(&k, 0, 0xffff, 0, "/a|"), "ENOSYS");
    ERR(ask(&k, 0, 0xffffffff, 0, "/a|"), "ENOSYS");
    kit_end(&k);
}

/* Path lengths at their limits: the whole name 3072, the part below a domain's directory 2048. */
static void test_path_limits(void **state)
{
    char path[4000];
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[3072] = '|';
    path[3073] = '\0';
    OK(ask(&k, 0, XS_WRITE, 0, path));
    IS(ask(&k, 0, XS_READ, 0, path), "");
    memmove(path + 3073, path + 3072, 2);
    path[3072] = 'x';
    ERR(ask(&k, 0, XS_WRITE, 0, path), "EINVAL");
    memset(path, 'x', sizeof(path));
    path[2048] = '|';
    path[2049] = '\0';
    ERR(ask(&k, 1, XS_WRITE, 0, path), "ENOSPC"); /* fits as a path, not into the node's size */
    OK(ask(&k, 1, XS_WATCH, 0, strcat(path, "t|")));
    (void)events(&k, 1);
    memmove(path + 2049, path + 2048, 5);
    path[2048] = 'x';
    ERR(ask(&k, 1, XS_WATCH, 0, path), "EINVAL");
    kit_end(&k);
}

static void test_relative(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    OK(ask(&k, 1, XS_WRITE, 0, "data/x|1"));
    IS(ask(&k, 0, XS_READ, 0, "/local/domain/1/data/x|"), "1");
    IS(ask(&k, 1, XS_READ, 0, "/local/domain/1/data/x|"), "1");
    OK(ask(&k, 0, XS_WRITE, 0, "name|Domain-0"));
    IS(ask(&k, 0, XS_READ, 0, "/local/domain/0/name|"), "Domain-0");
    IS(ask(&k, 1, XS_GET_DOMAIN_PATH, 0, "5|"), "/local/domain/5|");
    kit_end(&k);
}

static void test_perms(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 2);
    OK(ask(&k, 0, XS_WRITE, 0, "/p|v"));
    IS(ask(&k, 0, XS_GET_PERMS, 0, "/p|"), "n0|");
    ERR(ask(&k, 1, XS_READ, 0, "/p|"), "EACCES");
    ERR(ask(&k, 1, XS_READ, 0, "/nothing|"), "EACCES");
    OK(ask(&k, 0, XS_SET_PERMS, 0, "/p|n0|r1|b2|"));
    IS(ask(&k, 0, XS_GET_PERMS, 0, "/p|"), "n0|r1|b2|");
    IS(ask(&k, 1, XS_READ, 0, "/p|"), "v");
    IS(ask(&k, 1, XS_GET_PERMS, 0, "/p|"), "n0|r1|b2|");
    ERR(ask(&k, 1, XS_WRITE, 0, "/p|w"), "EACCES");
    ERR(ask(&k, 1, XS_RM, 0, "/p|"), "EACCES");
    ERR(ask(&k, 1, XS_MKDIR, 0, "/p/x|"), "EACCES");
    ERR(ask(&k, 1, XS_SET_PERMS, 0, "/p|n1|"), "EACCES");
    ERR(ask(&k, 2, XS_SET_PERMS, 0, "/p|n2|"), "EACCES");
    OK(ask(&k, 2, XS_WRITE, 0, "/p/q|2"));
    IS(ask(&k, 0, XS_GET_PERMS, 0, "/p/q|"), "n2|r1|b2|");
    OK(ask(&k, 2, XS_SET_PERMS, 0, "/p/q|w2|r1|"));
    ERR(ask(&k, 2, XS_SET_PERMS, 0, "/p/q|w1|"), "EPERM");
    ERR(ask(&k, 1, XS_READ, 0, "/p/q/missing|"), "ENOENT");
    OK(ask(&k, 0, XS_SET_PERMS, 0, "/p/q|r2|"));
    ERR(ask(&k, 1, XS_WRITE, 0, "/p/q/x|"), "EACCES");
    ERR(ask(&k, 1, XS_READ, 0, "/p/q/x|"), "ENOENT");
    /* an access list may not name an owner that does not exist, and grants nothing to others */
    fake.is_there[5] = false;
    ERR(ask(&k, 0, XS_SET_PERMS, 0, "/p|n5|"), "ENOENT");
    OK(ask(&k, 0, XS_SET_PERMS, 0, "/p|n0|r5|"));
    fake.is_there[5] = true;
    OK(ask(&k, 0, XS_INTRODUCE, 0, "5|1|7|"));
    ERR(ask(&k, 5, XS_READ, 0, "/p|"), "EACCES");
    kit_end(&k);
}

/* Every operation that only the control domain may ask for. */
static void test_privileged(void **state)
{
    static const struct {
        uint32_t type;
        const char *text;
    } calls[] = {
        { XS_CONTROL, "check|" },
        { XS_INTRODUCE, "3|1|7|" },
        { XS_RELEASE, "2|" },
        { XS_IS_DOMAIN_INTRODUCED, "1|" },
        { XS_RESUME, "1|" },
        { XS_SET_TARGET, "1|2|" },
        { XS_GET_FEATURE, "" },
        { XS_SET_FEATURE, "1|0|" },
        { XS_GET_QUOTA, "nodes|" },
        { XS_SET_QUOTA, "nodes|5|" },
        { XS_SET_PERMS, "@releaseDomain|n1|" },
        { XS_GET_PERMS, "@releaseDomain|" },
    };
    struct kit k;

    (void)state;
    kit_begin(&k, 2);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        ERR(ask(&k, 1, calls[i].type, 0, calls[i].text), "EACCES");
    }
    kit_end(&k);
}

static void test_listing_limit(void **state)
{
    char path[64];
    char part[64];
    struct kit k;
    size_t offset = 0;
    int seen = 0;

    (void)state;
    kit_begin(&k, 0);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(path, sizeof(path), "/many/n%05d|", i);
        OK(ask(&k, 0, XS_WRITE, 0, path));
    }
    ERR(ask(&k, 0, XS_DIRECTORY, 0, "/many|"), "E2BIG");
    for (;;) {
        (void)snprintf(part, sizeof(part), "/many|%zu|", offset);
        const struct answer *a = ask(&k, 0, XS_DIRECTORY_PART, 0, part);
        assert_int_equal(a->head.type, XS_DIRECTORY_PART);
        size_t at = strlen(a->data) + 1; /* the generation */
        for (; at < a->head.len && a->data[at]; at += strlen(a->data + at) + 1) {
            (void)snprintf(path, sizeof(path), "n%05d", seen++);
            assert_string_equal(a->data + at, path);
            offset += strlen(path) + 1;
        }
        if (at < a->head.len) {
            break;
        }
    }
    assert_int_equal(seen, 1000);
    kit_end(&k);
}

static void test_domains(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    IS(ask(&k, 0, XS_IS_DOMAIN_INTRODUCED, 0, "1|"), "T|");
    IS(ask(&k, 0, XS_IS_DOMAIN_INTRODUCED, 0, "0|"), "T|");
    IS(ask(&k, 0, XS_IS_DOMAIN_INTRODUCED, 0, "2|"), "F|");
    ERR(ask(&k, 0, XS_RELEASE, 0, "2|"), "ENOENT");
    ERR(ask(&k, 0, XS_RESUME, 0, "2|"), "ENOENT");
    ERR(ask(&k, 0, XS_SET_TARGET, 0, "1|2|"), "ENOENT");
    fake.is_there[3] = false;
    ERR(ask(&k, 0, XS_INTRODUCE, 0, "3|1|7|"), "EINVAL");
    ERR(ask(&k, 0, XS_INTRODUCE, 0, "2|1|1|"), "EINVAL"); /* no such port */
    assert_false(fake.is_mapped[2]);
    OK(ask(&k, 0, XS_INTRODUCE, 0, "2|1|8|"));
    OK(ask(&k, 0, XS_WRITE, 0, "/t|v"));
    OK(ask(&k, 0, XS_SET_PERMS, 0, "/t|n2|"));
    ERR(ask(&k, 1, XS_READ, 0, "/t|"), "EACCES");
    OK(ask(&k, 0, XS_SET_TARGET, 0, "1|2|"));
    IS(ask(&k, 1, XS_READ, 0, "/t|"), "v");
    OK(ask(&k, 0, XS_RELEASE, 0, "2|"));
    assert_false(fake.is_mapped[2]);
    ERR(ask(&k, 0, XS_READ, 0, "/t|"), "ENOENT"); /* its nodes went with it */
    kit_end(&k);
}

/* A domain's number is used again: the next one of that number inherits nothing. */
static void test_domid_reuse(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 2);
    OK(ask(&k, 0, XS_WRITE, 0, "/secret|v"));
    OK(ask(&k, 0, XS_SET_PERMS, 0, "/secret|n0|r1|r2|"));
    OK(ask(&k, 0, XS_SET_PERMS, 0, "@introduceDomain|n0|r1|"));
    OK(ask(&k, 1, XS_WRITE, 0, "mine/deep/er|v"));
    fake.is_dying[1] = true;
    kit_dom_exc(&k);
    assert_false(fake.is_mapped[1]);
    IS(ask(&k, 0, XS_GET_PERMS, 0, "/secret|"), "n0|r2|");
    IS(ask(&k, 0, XS_GET_PERMS, 0, "@introduceDomain|"), "n0|");
    ERR(ask(&k, 0, XS_READ, 0, "/local/domain/1/mine|"), "ENOENT");
    fake.is_dying[1] = false;
    memset(fake.page[1].bytes, 0, sizeof(fake.page[1].bytes));
    OK(ask(&k, 0, XS_INTRODUCE, 0, "1|1|7|"));
    ERR(ask(&k, 1, XS_READ, 0, "/secret|"), "EACCES");
    kit_end(&k);
}

static void test_quota_and_features(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 1);
    IS(ask(&k, 0, XS_GET_QUOTA, 0, "nodes|"), "1000|");
    OK(ask(&k, 0, XS_SET_QUOTA, 0, "nodes|10|"));
    OK(ask(&k, 0, XS_SET_QUOTA, 0, "1|nodes|20|"));
    IS(ask(&k, 0, XS_GET_QUOTA, 0, "nodes|"), "10|");
    IS(ask(&k, 0, XS_GET_QUOTA, 0, "1|nodes|"), "20|");
    IS(ask(&k, 0, XS_GET_QUOTA, 0, "1|watches|"), "128|");
    ERR(ask(&k, 0, XS_GET_QUOTA, 0, "6|watches|"), "ENOENT");
    kit_restart(&k);
    IS(ask(&k, 0, XS_GET_QUOTA, 0, "nodes|"), "10|");
    IS(ask(&k, 0, XS_GET_QUOTA, 0, "1|nodes|"), "20|");
    IS(ask(&k, 0, XS_GET_FEATURE, 0, ""), "7|");
    ERR(ask(&k, 0, XS_SET_FEATURE, 0, "1|1|"), "EBUSY");
    kit_end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),         cmocka_unit_test(test_payloads),
        cmocka_unit_test(test_path_limits),   cmocka_unit_test(test_relative),
        cmocka_unit_test(test_perms),         cmocka_unit_test(test_privileged),
        cmocka_unit_test(test_listing_limit), cmocka_unit_test(test_domains),
        cmocka_unit_test(test_domid_reuse),   cmocka_unit_test(test_quota_and_features),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
