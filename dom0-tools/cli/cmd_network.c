/* SPDX-License-Identifier: MIT */
/* Network interfaces of running guests: attach, detach, list. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

/* The words key=value, as they stand in a list of the configuration; NULL without memory. */
static char *join(const struct parsed *p, int from)
{
    size_t size = 1;
    char *text;
    int i;

    for (i = from; i < p->count; i++) {
        size += strlen(p->words[i]) + 1;
    }
    text = calloc(1, size);
    for (i = from; text != NULL && i < p->count; i++) {
        strcat(text, i > from ? "," : "");
        strcat(text, p->words[i]);
    }
    return text;
}

static json_t *text_or_mark(const char *text)
{
    json_t *v = json_string(text);

    return v != NULL ? v : json_string("?"); /* no UTF-8: nothing is called so */
}

int cmd_network_attach(struct cli *c, const struct parsed *p)
{
    char *entry = join(p, 1);
    char *cwd = getcwd(NULL, 0);
    int rc = EXIT_FAILED;

    if (entry != NULL) {
        rc = client_do(c, "device-attach",
                       json_pack("{s:o, s:s, s:o, s:s}", "domain", text_or_mark(p->words[0]),
                                 "class", "vif", "entry", text_or_mark(entry), "cwd",
                                 cwd != NULL ? cwd : "/"));
    }
    free(cwd);
    free(entry);
    return rc;
}

int cmd_network_detach(struct cli *c, const struct parsed *p)
{
    return client_do(c, "device-detach",
                     json_pack("{s:o, s:s, s:o, s:b}", "domain", text_or_mark(p->words[0]), "class",
                               "vif", "device", text_or_mark(p->words[1]), "force",
                               (int)p->flag['f']));
}

/* A node's text, or "-1", as xl prints what is not there. */
static const char *node(const json_t *nodes, const char *key)
{
    const char *text = get_text(nodes, key);

    return text[0] != '\0' ? text : "-1";
}

static void print_interface(const json_t *dev)
{
    const json_t *front = json_object_get(dev, "front_nodes");
    const json_t *back = json_object_get(dev, "nodes");
    const char *port = get_text(front, "event-channel");

    if (port[0] == '\0') {
        port = node(front, "event-channel-tx");
    }
    printf("%-3lld %-2lld %-17s %6s %5lld %6s %5s/%-11s %s\n", get_int(dev, "id"),
           get_int(dev, "backend_id"), node(back, "mac"), node(back, "handle"),
           get_int(dev, "front_state"), port, node(front, "tx-ring-ref"),
           node(front, "rx-ring-ref"), get_text(dev, "backend"));
}

int cmd_network_list(struct cli *c, const struct parsed *p)
{
    return device_list(c, p, "vif",
                       "Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path",
                       print_interface);
}
