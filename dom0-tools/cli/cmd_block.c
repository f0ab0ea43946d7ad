/* SPDX-License-Identifier: MIT */
/* Verbs on the disks of running guests, with the words and columns that scripts for xl know. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static json_t *text_json(const char *text)
{
    json_t *v = json_string(text);

    return v != NULL ? v : json_string("?"); /* what is no UTF-8 names nothing */
}

json_t *device_args(const struct parsed *p, const char *class)
{
    return json_pack("{s:o, s:s}", "domain", text_json(p->words[0]), "class", class);
}

/* The words of a description may be given one by one, or joined by commas. */
static char *joined(const struct parsed *p, int from)
{
    size_t size = 1;
    char *out;
    int i;

    for (i = from; i < p->count; i++) {
        size += strlen(p->words[i]) + 1;
    }
    out = calloc(1, size);
    for (i = from; out != NULL && i < p->count; i++) {
        strcat(out, p->words[i]);
        if (i + 1 < p->count) {
            strcat(out, ",");
        }
    }
    return out;
}

int device_attach(struct cli *c, const struct parsed *p, const char *class)
{
    json_t *args = device_args(p, class);
    char *entry = joined(p, 1);
    char cwd[PATH_MAX];

    json_object_set_new(args, "entry", text_json(entry != NULL ? entry : ""));
    if (getcwd(cwd, sizeof(cwd)) != NULL) {
        json_object_set_new(args, "cwd", text_json(cwd));
    }
    free(entry);
    return client_do(c, "device-attach", args);
}

int device_detach(struct cli *c, const struct parsed *p, const char *class)
{
    json_t *args = device_args(p, class);

    json_object_set_new(args, "device", text_json(p->words[1]));
    json_object_set_new(args, "force", json_boolean(p->flag['f']));
    return client_do(c, "device-detach", args);
}

int device_list(struct cli *c, const struct parsed *p, const char *class, const char *heading,
                void (*print)(const json_t *device))
{
    json_t *args = json_pack("{s:o, s:s}", "domains", words_json(p, 0), "class", class);
    json_t *reply;
    json_t *result;
    json_t *domain;
    json_t *device;
    size_t i;
    size_t k;
    int rc = client_call(c, "device-list", args, &reply, &result);

    if (rc == 0 && !c->is_json) {
        puts(heading);
    }
    json_array_foreach(rc == 0 && !c->is_json ? result : NULL, i, domain)
    {
        json_array_foreach(json_object_get(domain, "devices"), k, device)
        {
            print(device);
        }
    }
    json_decref(reply);
    return rc;
}

int cmd_block_attach(struct cli *c, const struct parsed *p)
{
    return device_attach(c, p, "disk");
}

int cmd_block_detach(struct cli *c, const struct parsed *p)
{
    return device_detach(c, p, "disk");
}

int cmd_block_resize(struct cli *c, const struct parsed *p)
{
    json_t *args = device_args(p, "disk");

    json_object_set_new(args, "device", text_json(p->words[1]));
    return client_do(c, "device-resize", args);
}

static const char *or_dash(const char *text)
{
    return text[0] != '\0' ? text : "-";
}

static void print_disk(const json_t *d)
{
    const json_t *front = json_object_get(d, "front_nodes");

    printf("%-7lld %-3lld %-6lld %-5lld %-6s %-8s %s\n", get_int(d, "id"), get_int(d, "backend_id"),
           0LL, get_int(d, "state"), or_dash(get_text(front, "event-channel")),
           or_dash(get_text(front, "ring-ref")), get_text(d, "backend"));
}

static void print_disk_long(const json_t *d)
{
    const json_t *nodes = json_object_get(d, "nodes");

    printf("%-7s %-4s %-5lld %12s %-10s %s\n", or_dash(get_text(nodes, "dev")),
           get_text(nodes, "mode")[0] == 'r' ? "ro" : "rw", get_int(d, "state"),
           or_dash(get_text(nodes, "sectors")), or_dash(get_text(nodes, "physical-device-path")),
           get_text(nodes, "params"));
}

int cmd_block_list(struct cli *c, const struct parsed *p)
{
    if (p->flag['l']) {
        return device_list(c, p, "disk", "Name    Mode State      Sectors Device     Target",
                           print_disk_long);
    }
    return device_list(c, p, "disk", "Vdev    BE  handle state evt-ch ring-ref BE-path",
                       print_disk);
}
