/* SPDX-License-Identifier: MIT */
/* Verbs that change one guest's life or name, and those that answer in one word. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static json_t *domain_arg(const struct parsed *p)
{
    json_t *name = json_string(p->words[0]);

    return json_pack("{s:o}", "domain", name != NULL ? name : json_string("?"));
}

int cmd_pause(struct cli *c, const struct parsed *p)
{
    return client_do(c, "pause", domain_arg(p));
}

int cmd_unpause(struct cli *c, const struct parsed *p)
{
    return client_do(c, "unpause", domain_arg(p));
}

int cmd_destroy(struct cli *c, const struct parsed *p)
{
    return client_do(c, "destroy", domain_arg(p));
}

static int ask_guests(struct cli *c, const struct parsed *p, const char *verb)
{
    json_t *args;

    if (p->flag['a'] == (p->count > 0)) {
        fprintf(stderr, "joist: %s: %s\n", verb,
                p->count > 0 ? "either a domain or -a, not both" : "name a domain, or use -a");
        return EXIT_USAGE;
    }
    args = p->count > 0 ? domain_arg(p) : json_pack("{s:b}", "all", 1);
    json_object_set_new(args, "wait", json_boolean(p->flag['w']));
    return client_do(c, verb, args);
}

int cmd_shutdown(struct cli *c, const struct parsed *p)
{
    return ask_guests(c, p, "shutdown");
}

int cmd_reboot(struct cli *c, const struct parsed *p)
{
    return ask_guests(c, p, "reboot");
}

int cmd_rename(struct cli *c, const struct parsed *p)
{
    json_t *args = domain_arg(p);
    json_t *name = json_string(p->words[1]);

    json_object_set_new(args, "name", name != NULL ? name : json_string("?"));
    return client_do(c, "rename", args);
}

int cmd_domid(struct cli *c, const struct parsed *p)
{
    json_t *reply;
    json_t *result;
    int rc = client_call(c, "domid", domain_arg(p), &reply, &result);

    if (rc == 0 && !c->is_json) {
        printf("%lld\n", get_int(result, "domid"));
    }
    json_decref(reply);
    return rc;
}

int cmd_domname(struct cli *c, const struct parsed *p)
{
    json_t *reply;
    json_t *result;
    int rc;

    if (strspn(p->words[0], "0123456789") != strlen(p->words[0])) {
        fprintf(stderr, "joist: domname: \"%s\" is no domain id\n", p->words[0]);
        return EXIT_USAGE;
    }
    rc = client_call(c, "domname", domain_arg(p), &reply, &result);
    if (rc == 0 && !c->is_json) {
        puts(get_text(result, "name"));
    }
    json_decref(reply);
    return rc;
}
