/* SPDX-License-Identifier: MIT */
/* What the machine and its hypervisor say about themselves. */
#include <stdio.h>

#include "cli/cli.h"

/* Keys in the order in which scripts for xl know them. */
static const char *const info_keys[] = {
    "host",
    "release",
    "version",
    "machine",
    "nr_cpus",
    "max_cpu_id",
    "nr_nodes",
    "cores_per_socket",
    "threads_per_core",
    "cpu_mhz",
    "hw_caps",
    "virt_caps",
    "total_memory",
    "free_memory",
    "sharing_freed_memory",
    "sharing_used_memory",
    "outstanding_claims",
    "free_cpus",
    "xen_major",
    "xen_minor",
    "xen_extra",
    "xen_version",
    "xen_caps",
    "xen_scheduler",
    "xen_pagesize",
    "platform_params",
    "xen_changeset",
    "xen_commandline",
    "cc_compiler",
    "cc_compile_by",
    "cc_compile_domain",
    "cc_compile_date",
    "build_id",
    "xend_config_format",
    "joist_version",
};

static void print_value(const char *key, const json_t *v)
{
    if (json_is_integer(v)) {
        printf("%-23s: %lld\n", key, (long long)json_integer_value(v));
    } else if (json_is_string(v)) {
        printf("%-23s: %s\n", key, json_string_value(v));
    } else if (json_is_boolean(v)) {
        printf("%-23s: %s\n", key, json_is_true(v) ? "yes" : "no");
    }
}

static void print_domain(const json_t *result)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)result, key, v)
    {
        print_value(key, v);
    }
    json_object_foreach(json_object_get(result, "config"), key, v)
    {
        char name[64];

        snprintf(name, sizeof(name), "config.%.40s", key);
        print_value(name, v);
    }
}

int cmd_info(struct cli *c, const struct parsed *p)
{
    bool counters = p->flag['c'];
    json_t *args = json_pack("{s:b, s:b}", "counters", counters, "reset", p->flag['r']);
    json_t *reply;
    json_t *result;
    size_t i;
    int rc;

    if (p->flag['r'] && !counters) {
        json_decref(args);
        fputs("joist: info: -r goes with -c\n", stderr);
        return 2;
    }
    if (p->count > 0) {
        json_t *words = words_json(p, 0);

        json_object_set(args, "domain", json_array_get(words, 0));
        json_decref(words);
    }
    rc = client_call(c, "info", args, &reply, &result);
    if (rc == 0 && !c->is_json && counters) {
        const char *key;
        json_t *v;

        json_object_foreach(result, key, v)
        {
            printf("%-27s: %lld\n", key, (long long)json_integer_value(v));
        }
    } else if (rc == 0 && !c->is_json && p->count > 0) {
        print_domain(result);
    } else if (rc == 0 && !c->is_json) {
        for (i = 0; i < sizeof(info_keys) / sizeof(info_keys[0]); i++) {
            const json_t *v = json_object_get(result, info_keys[i]);

            if (v != NULL) {
                print_value(info_keys[i], v);
            }
        }
    }
    json_decref(reply);
    return rc;
}

int cmd_dmesg(struct cli *c, const struct parsed *p)
{
    json_t *args = json_pack("{s:b}", "clear", p->flag['c']);
    json_t *reply;
    json_t *result;
    int rc = client_call(c, "dmesg", args, &reply, &result);

    if (rc == 0 && !c->is_json) {
        fputs(get_text(result, "text"), stdout);
    }
    json_decref(reply);
    return rc;
}
