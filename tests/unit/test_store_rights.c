/* SPDX-License-Identifier: MIT */
/* Who may do what: every operation on nodes, for every caller, under every access list. */

#include "tests/unit/store_kit.h"

#include <stdio.h>
#include <string.h>

enum right { READ = 1, WRITE = 2, OWN = 4 };

static const struct {
    uint32_t type;
    unsigned int needs;
    const char *format; /* %s: the node */
} calls[] = {
    { XS_READ, READ, "%s|" },
    { XS_DIRECTORY, READ, "%s|" },
    { XS_DIRECTORY_PART, READ, "%s|0|" },
    { XS_GET_PERMS, READ, "%s|" },
    { XS_WRITE, WRITE, "%s|new" },
    { XS_WRITE, WRITE, "%s/kid|new" },
    { XS_WRITE, WRITE, "%s/deep/kid|new" },
    { XS_MKDIR, WRITE, "%s|" },
    { XS_MKDIR, WRITE, "%s/dir|" },
    { XS_RM, WRITE, "%s/none|" },
    { XS_SET_PERMS, WRITE | OWN, "%s|n1|" },
    { XS_RM, WRITE, "%s|" },
};

/* The rights of a caller: domain 1 owns, 2 is listed, 3 is not, 0 is the control domain. */
static unsigned int rights_of(uint16_t domid, unsigned int listed, unsigned int others)
{
    if (domid <= 1) {
        return READ | WRITE | OWN;
    }
    return domid == 2 ? listed : others;
}

static void one(struct kit *k, size_t i, uint16_t domid, unsigned int list, bool in_txn)
{
    static const char letters[] = "nrwb";
    char text[128];
    unsigned int listed = list % 4;
    unsigned int others = list / 4;
    unsigned int has = rights_of(domid, listed, others);
    uint32_t t = 0;

    OK(ask(k, 0, XS_RM, 0, "/m|"));
    OK(ask(k, 0, XS_WRITE, 0, "/m/node|old"));
    (void)snprintf(text, sizeof(text), "/m/node|%c1|%c2|", letters[others], letters[listed]);
    OK(ask(k, 0, XS_SET_PERMS, 0, text));
    if (in_txn) {
        t = txn_start(k, domid);
    }
    (void)snprintf(text, sizeof(text), calls[i].format, "/m/node");
    const struct answer *a = ask(k, domid, calls[i].type, t, text);
    if ((has & calls[i].needs) == calls[i].needs) {
        assert_int_not_equal(a->head.type, XS_ERROR);
    } else {
        ERR(a, "EACCES");
    }
    if (in_txn) {
        OK(ask(k, domid, XS_TRANSACTION_END, t, "T|"));
    }
    /* a refused call changed nothing */
    if ((has & calls[i].needs) != calls[i].needs) {
        IS(ask(k, 0, XS_READ, 0, "/m/node|"), "old");
        IS(ask(k, 0, XS_DIRECTORY, 0, "/m/node|"), "");
    }
}

static void test_matrix(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 3);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        for (uint16_t domid = 0; domid < 4; domid++) {
            for (unsigned int list = 0; list < 16; list++) {
                one(&k, i, domid, list, false);
                one(&k, i, domid, list, true);
            }
        }
    }
    kit_end(&k);
}

/* What a caller may not see is not told apart from what is not there, except where it may see the
   nearest ancestor. */
static void test_existence(void **state)
{
    struct kit k;

    (void)state;
    kit_begin(&k, 2);
    OK(ask(&k, 0, XS_WRITE, 0, "/m/secret/a|1"));
    ERR(ask(&k, 1, XS_READ, 0, "/m/secret/a|"), "EACCES");
    ERR(ask(&k, 1, XS_READ, 0, "/m/secret/b|"), "EACCES");
    ERR(ask(&k, 1, XS_RM, 0, "/m/secret/a|"), "EACCES");
    ERR(ask(&k, 1, XS_RM, 0, "/m/secret/b|"), "EACCES");
    ERR(ask(&k, 1, XS_MKDIR, 0, "/m/secret/b|"), "EACCES");
    OK(ask(&k, 0, XS_SET_PERMS, 0, "/m/secret|r0|"));
    ERR(ask(&k, 1, XS_READ, 0, "/m/secret/b|"), "ENOENT");
    ERR(ask(&k, 1, XS_RM, 0, "/m/secret/b|"), "EACCES");
    kit_end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_existence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
