/* SPDX-License-Identifier: MIT */
/* Tables of domains and vCPUs, in the columns that scripts for xl know. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/cli.h"

static double seconds(const json_t *o, const char *key)
{
    return (double)get_int(o, key) / 1e9;
}

static json_t *domains_arg(const struct parsed *p)
{
    return json_pack("{s:o}", "domains", words_json(p, 0));
}

static void print_domain(const json_t *d, bool is_verbose)
{
    printf("%-40s %5lld %5lld %5lld     %s  %8.1f", get_text(d, "name"), get_int(d, "domid"),
           get_int(d, "memory_kib") / 1024, get_int(d, "vcpus"), get_text(d, "state"),
           seconds(d, "cpu_time_ns"));
    if (is_verbose) {
        const char *reason = get_text(d, "shutdown_reason");

        printf(" %s %16s %16s", get_text(d, "uuid"), reason[0] != '\0' ? reason : "-", "-");
    }
    putchar('\n');
}

int cmd_list(struct cli *c, const struct parsed *p)
{
    json_t *reply;
    json_t *result;
    json_t *d;
    char *text;
    size_t i;
    int rc = client_call(c, "list", domains_arg(p), &reply, &result);

    if (rc == 0 && p->flag['l'] && !c->is_json) {
        text = json_dumps(result, JSON_INDENT(4));
        puts(text);
        free(text);
    } else if (rc == 0 && !c->is_json) {
        printf("Name                                        ID   Mem VCPUs\tState\tTime(s)%s\n",
               p->flag['v'] ? "   UUID                            Reason-Code\tSecurity Label"
                            : "");
        json_array_foreach(result, i, d)
        {
            print_domain(d, p->flag['v']);
        }
    }
    json_decref(reply);
    return rc;
}

static void print_vcpu(const json_t *d, const json_t *v)
{
    printf("%-32s %5lld %5lld", get_text(d, "name"), get_int(d, "domid"), get_int(v, "vcpu"));
    if (get_flag(v, "online")) {
        printf("%5lld   %c%c-", get_int(v, "cpu"), get_flag(v, "running") ? 'r' : '-',
               get_flag(v, "blocked") ? 'b' : '-');
    } else {
        printf("    -   --p");
    }
    printf("%10.1f  %s / %s\n", seconds(v, "cpu_time_ns"), get_text(v, "affinity_hard"),
           get_text(v, "affinity_soft"));
}

int cmd_vcpu_list(struct cli *c, const struct parsed *p)
{
    json_t *reply;
    json_t *result;
    json_t *d;
    json_t *v;
    size_t i;
    size_t j;
    int rc = client_call(c, "vcpu-list", domains_arg(p), &reply, &result);

    if (rc == 0 && !c->is_json) {
        puts("Name                                ID  VCPU   CPU State   Time(s) "
             "Affinity (Hard / Soft)");
        json_array_foreach(result, i, d)
        {
            json_array_foreach(json_object_get(d, "vcpus"), j, v)
            {
                print_vcpu(d, v);
            }
        }
    }
    json_decref(reply);
    return rc;
}

static void print_uptime(const json_t *d, bool is_short)
{
    long long up = get_int(d, "uptime_s");
    time_t now = time(NULL);
    char clock[16] = "";
    char days[32] = "";
    struct tm tm;

    if (up >= 86400) {
        snprintf(days, sizeof(days), "%lld day%s, ", up / 86400, up >= 2 * 86400 ? "s" : "");
    }
    if (is_short) {
        localtime_r(&now, &tm);
        strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
        printf(" %s up %s%2lld:%02lld, %s (%lld)\n", clock, days, up / 3600 % 24, up / 60 % 60,
               get_text(d, "name"), get_int(d, "domid"));
    } else {
        printf("%-33s %4lld %s%2lld:%02lld:%02lld\n", get_text(d, "name"), get_int(d, "domid"),
               days, up / 3600 % 24, up / 60 % 60, up % 60);
    }
}

int cmd_uptime(struct cli *c, const struct parsed *p)
{
    json_t *reply;
    json_t *result;
    json_t *d;
    size_t i;
    int rc = client_call(c, "uptime", domains_arg(p), &reply, &result);

    if (rc == 0 && !c->is_json) {
        if (!p->flag['s']) {
            puts("Name                                ID Uptime");
        }
        json_array_foreach(result, i, d)
        {
            print_uptime(d, p->flag['s']);
        }
    }
    json_decref(reply);
    return rc;
}
