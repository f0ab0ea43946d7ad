/* SPDX-License-Identifier: MIT */
/* Questions to the hypervisor and their answers as JSON. */
#include "joistd/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "abi/hcall_nr.h"
#include "abi/memory.h"
#include "abi/sched.h"
#include "abi/sysctl.h"
#include "abi/version.h"

#define MAP_BYTES    512 /* of a CPU map: more CPUs than there can be */
#define LIST_STEP    256 /* domains asked for in one call */
#define COUNTERS_MAX 256 /* a hypervisor with more is not ours */
#define CPUS_MAX     4096
#define LOG_MAX      (4 << 20) /* bytes of log that are fetched */

int host_domains(struct joist *h, struct domain_list *list)
{
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_getdomaininfolist };
    struct xen_domctl_getdomaininfo *buf = joist_buf_alloc(h, LIST_STEP * sizeof(*buf));
    struct xen_domctl_getdomaininfo *grown;
    uint32_t next = 0;
    uint32_t got;
    int rc = buf != NULL ? 0 : -ENOMEM;

    *list = (struct domain_list){ 0 };
    while (rc == 0) {
        op.u.getdomaininfolist.first_domain = (uint16_t)next;
        op.u.getdomaininfolist.max_domains = LIST_STEP;
        op.u.getdomaininfolist.buffer.va = (uintptr_t)buf;
        rc = joist_sysctl(h, &op);
        got = op.u.getdomaininfolist.num_domains;
        if (rc < 0 || got == 0 || got > LIST_STEP) {
            break;
        }
        grown = realloc(list->info, (list->count + got) * sizeof(*grown));
        if (grown == NULL) {
            rc = -ENOMEM;
            break;
        }
        memcpy(grown + list->count, buf, got * sizeof(*grown));
        list->info = grown;
        list->count += got;
        next = grown[list->count - 1].domain + 1u;
        if (got < LIST_STEP || next >= HOST_DOMAINS_MAX) {
            break;
        }
    }
    joist_buf_free(h, buf);
    if (rc < 0) {
        free(list->info);
        *list = (struct domain_list){ 0 };
    }
    return rc < 0 ? rc : 0;
}

const struct xen_domctl_getdomaininfo *host_find_id(const struct domain_list *list, uint16_t domid)
{
    size_t i;

    for (i = 0; i < list->count; i++) {
        if (list->info[i].domain == domid) {
            return &list->info[i];
        }
    }
    return NULL;
}

const struct xen_domctl_getdomaininfo *host_find_uuid(const struct domain_list *list,
                                                      const uint8_t uuid[16])
{
    size_t i;

    for (i = 0; i < list->count; i++) {
        if (memcmp(list->info[i].handle, uuid, 16) == 0 &&
            (list->info[i].flags & XEN_DOMINF_dying) == 0) {
            return &list->info[i];
        }
    }
    return NULL;
}

static int simple(struct joist *h, uint32_t cmd, uint16_t domid)
{
    struct xen_domctl op = { .cmd = cmd, .domain = domid };
    int rc = joist_domctl(h, &op);

    return rc < 0 ? rc : 0;
}

int host_pause(struct joist *h, uint16_t domid)
{
    return simple(h, XEN_DOMCTL_pausedomain, domid);
}

int host_unpause(struct joist *h, uint16_t domid)
{
    return simple(h, XEN_DOMCTL_unpausedomain, domid);
}

int host_destroy(struct joist *h, uint16_t domid)
{
    int rc;

    do {
        rc = simple(h, XEN_DOMCTL_destroydomain, domid);
    } while (rc == -EAGAIN);
    return rc;
}

int host_shutdown_reason(const struct xen_domctl_getdomaininfo *info)
{
    if ((info->flags & XEN_DOMINF_shutdown) == 0) {
        return -1;
    }
    return (int)((info->flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask);
}

const char *host_reason_name(int reason)
{
    switch (reason) {
    case SHUTDOWN_poweroff:
        return "poweroff";
    case SHUTDOWN_reboot:
        return "reboot";
    case SHUTDOWN_suspend:
        return "suspend";
    case SHUTDOWN_crash:
        return "crash";
    case SHUTDOWN_watchdog:
        return "watchdog";
    case SHUTDOWN_soft_reset:
        return "soft-reset";
    default:
        return "unknown";
    }
}

static bool has_bit(const uint8_t *map, uint32_t i)
{
    return ((unsigned int)map[i / 8] >> (i % 8) & 1u) != 0;
}

/* A text out of a buffer that may hold no end mark and any bytes: ASCII or '?'. */
static json_t *plain(const char *text, size_t size)
{
    char *copy = malloc(size + 1);
    size_t n = 0;
    json_t *v;

    if (copy == NULL) {
        return NULL;
    }
    for (; n < size && text[n] != '\0'; n++) {
        copy[n] = (unsigned char)text[n] < 0x80 ? text[n] : '?';
    }
    v = json_stringn(copy, n);
    free(copy);
    return v;
}

static void add_version_text(struct joist *h, json_t *out, const char *key, unsigned int cmd)
{
    char text[1024] = { 0 };

    if (joist_xen_version(h, cmd, text, sizeof(text)) < 0) {
        text[0] = '\0';
    }
    json_object_set_new(out, key, plain(text, sizeof(text)));
}

static void add_machine(json_t *out, const struct xen_sysctl_physinfo *pi)
{
    char caps[128];
    char line[96];
    struct utsname u;

    uname(&u);
    json_object_set_new(out, "host", plain(u.nodename, sizeof(u.nodename)));
    json_object_set_new(out, "release", plain(u.release, sizeof(u.release)));
    json_object_set_new(out, "version", plain(u.version, sizeof(u.version)));
    json_object_set_new(out, "machine", plain(u.machine, sizeof(u.machine)));
    json_object_set_new(out, "nr_cpus", json_integer(pi->nr_cpus));
    json_object_set_new(out, "max_cpu_id", json_integer(pi->max_cpu_id));
    json_object_set_new(out, "nr_nodes", json_integer(pi->nr_nodes));
    json_object_set_new(out, "cores_per_socket", json_integer(pi->cores_per_socket));
    json_object_set_new(out, "threads_per_core", json_integer(pi->threads_per_core));
    json_object_set_new(out, "cpu_mhz",
                        json_sprintf("%u.%03u", pi->cpu_khz / 1000, pi->cpu_khz % 1000));
    snprintf(line, sizeof(line), "%08x:%08x:%08x:%08x:%08x:%08x:%08x:%08x", pi->hw_cap[0],
             pi->hw_cap[1], pi->hw_cap[2], pi->hw_cap[3], pi->hw_cap[4], pi->hw_cap[5],
             pi->hw_cap[6], pi->hw_cap[7]);
    json_object_set_new(out, "hw_caps", json_string(line));
    snprintf(caps, sizeof(caps), "%s%s%s%s%s",
             pi->capabilities & XEN_SYSCTL_PHYSCAP_pv ? " pv" : "",
             pi->capabilities & XEN_SYSCTL_PHYSCAP_hvm ? " hvm" : "",
             pi->capabilities & XEN_SYSCTL_PHYSCAP_hap ? " hap" : "",
             pi->capabilities & XEN_SYSCTL_PHYSCAP_gnttab_v1 ? " gnttab-v1" : "",
             pi->capabilities & XEN_SYSCTL_PHYSCAP_gnttab_v2 ? " gnttab-v2" : "");
    json_object_set_new(out, "virt_caps", json_string(caps[0] == ' ' ? caps + 1 : caps));
    json_object_set_new(out, "total_memory", json_integer((json_int_t)(pi->total_pages / 256)));
    json_object_set_new(out, "free_memory", json_integer((json_int_t)(pi->free_pages / 256)));
    json_object_set_new(out, "free_pages", json_integer((json_int_t)pi->free_pages));
    json_object_set_new(out, "outstanding_claims",
                        json_integer((json_int_t)(pi->outstanding_pages / 256)));
}

static void add_version(struct joist *h, json_t *out)
{
    struct xen_compile_info ci = { 0 };
    struct xen_platform_parameters pp = { 0 };
    long version = joist_xen_version(h, XENVER_version, &pp, sizeof(pp));
    struct joist_args ask = { { XENVER_pagesize } }; /* which takes no structure */
    long pagesize = joist_hypercall(h, __HYPERVISOR_xen_version, &ask);
    char extra[XEN_EXTRAVERSION_LEN + 1] = { 0 };

    joist_xen_version(h, XENVER_extraversion, extra, XEN_EXTRAVERSION_LEN);
    json_object_set_new(out, "xen_major", json_integer(version >> 16));
    json_object_set_new(out, "xen_minor", json_integer(version & 0xffff));
    json_object_set_new(out, "xen_extra", plain(extra, sizeof(extra)));
    json_object_set_new(out, "xen_version",
                        json_sprintf("%ld.%ld%s", version >> 16, version & 0xffff,
                                     json_string_value(json_object_get(out, "xen_extra"))));
    add_version_text(h, out, "xen_caps", XENVER_capabilities);
    json_object_set_new(out, "xen_pagesize", json_integer(pagesize));
    joist_xen_version(h, XENVER_platform_parameters, &pp, sizeof(pp));
    json_object_set_new(out, "platform_params",
                        json_sprintf("virt_start=0x%llx", (unsigned long long)pp.virt_start));
    add_version_text(h, out, "xen_changeset", XENVER_changeset);
    add_version_text(h, out, "xen_commandline", XENVER_commandline);
    joist_xen_version(h, XENVER_compile_info, &ci, sizeof(ci));
    json_object_set_new(out, "cc_compiler", plain(ci.compiler, sizeof(ci.compiler)));
    json_object_set_new(out, "cc_compile_by", plain(ci.compile_by, sizeof(ci.compile_by)));
    json_object_set_new(out, "cc_compile_domain",
                        plain(ci.compile_domain, sizeof(ci.compile_domain)));
    json_object_set_new(out, "cc_compile_date", plain(ci.compile_date, sizeof(ci.compile_date)));
}

/* What sharing between guests saves, in MiB as xl prints it; a hypervisor without it answers 0. */
static void add_sharing(struct joist *h, json_t *out)
{
    struct joist_args freed = { { XENMEM_get_sharing_freed_pages } };
    struct joist_args used = { { XENMEM_get_sharing_shared_pages } };
    long n = joist_hypercall(h, __HYPERVISOR_memory_op, &freed);

    if (n >= 0) {
        json_object_set_new(out, "sharing_freed_memory", json_integer(n / 256));
    }
    n = joist_hypercall(h, __HYPERVISOR_memory_op, &used);
    if (n >= 0) {
        json_object_set_new(out, "sharing_used_memory", json_integer(n / 256));
    }
}

/* CPUs that belong to no pool. */
static void add_free_cpus(struct joist *h, json_t *out)
{
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_cpupool_op };
    uint8_t *map = joist_buf_alloc(h, MAP_BYTES);
    json_int_t n = 0;
    uint32_t i;

    if (map == NULL) {
        return;
    }
    op.u.cpupool_op.op = XEN_SYSCTL_CPUPOOL_OP_FREEINFO;
    op.u.cpupool_op.cpumap = (struct xenctl_bitmap){ { (uintptr_t)map }, MAP_BYTES * 8 };
    if (joist_sysctl(h, &op) >= 0) {
        for (i = 0; i < MAP_BYTES * 8; i++) {
            n += has_bit(map, i);
        }
        json_object_set_new(out, "free_cpus", json_integer(n));
    }
    joist_buf_free(h, map);
}

json_t *host_info(struct joist *h, int *rc)
{
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_physinfo };
    struct xen_sysctl id = { .cmd = XEN_SYSCTL_sched_id };
    json_t *out;

    *rc = joist_sysctl(h, &op);
    if (*rc < 0) {
        return NULL;
    }
    *rc = 0;
    out = json_object();
    add_machine(out, &op.u.physinfo);
    add_version(h, out);
    add_sharing(h, out);
    add_free_cpus(h, out);
    if (joist_sysctl(h, &id) >= 0) {
        json_object_set_new(
            out, "xen_scheduler",
            json_string(id.u.sched_id.sched_id == XEN_SCHEDULER_CREDIT2 ? "credit2" : "other"));
    }
    return out;
}

/* A bitmap as "0-2,5", or "all" when each of `bits` is set. */
static json_t *bitmap_text(const uint8_t *map, uint32_t bits)
{
    char text[1024];
    size_t n = 0;
    uint32_t i;
    uint32_t j;
    uint32_t ones = 0;

    for (i = 0; i < bits; i++) {
        ones += has_bit(map, i);
    }
    if (ones == bits) {
        return json_string("all");
    }
    text[0] = '\0';
    for (i = 0; i < bits && n < sizeof(text) - 16; i++) {
        if (!has_bit(map, i)) {
            continue;
        }
        for (j = i; j + 1 < bits && has_bit(map, j + 1); j++) {
        }
        n += (size_t)snprintf(text + n, sizeof(text) - n, j > i ? "%s%u-%u" : "%s%u",
                              n > 0 ? "," : "", i, j);
        i = j;
    }
    return json_string(text);
}

/* One vCPU; `maps` is a hypercall buffer of two bitmaps of `bytes` each. */
static json_t *vcpu(struct joist *h, uint16_t domid, uint32_t id, uint8_t *maps, uint32_t bits)
{
    struct xen_domctl info = { .cmd = XEN_DOMCTL_getvcpuinfo, .domain = domid };
    struct xen_domctl aff = { .cmd = XEN_DOMCTL_getvcpuaffinity, .domain = domid };
    uint32_t bytes = (bits + 7) / 8;
    json_t *out;

    info.u.getvcpuinfo.vcpu = id;
    aff.u.vcpuaffinity.vcpu = id;
    aff.u.vcpuaffinity.flags = XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT;
    aff.u.vcpuaffinity.cpumap_hard = (struct xenctl_bitmap){ { (uintptr_t)maps }, bits };
    aff.u.vcpuaffinity.cpumap_soft = (struct xenctl_bitmap){ { (uintptr_t)(maps + bytes) }, bits };
    if (joist_domctl(h, &info) < 0 || joist_domctl(h, &aff) < 0) {
        return NULL; /* the domain has gone, or has no such vCPU */
    }
    out = json_object();
    json_object_set_new(out, "vcpu", json_integer(id));
    json_object_set_new(out, "online", json_boolean(info.u.getvcpuinfo.online));
    json_object_set_new(out, "blocked", json_boolean(info.u.getvcpuinfo.blocked));
    json_object_set_new(out, "running", json_boolean(info.u.getvcpuinfo.running));
    json_object_set_new(out, "cpu", json_integer(info.u.getvcpuinfo.cpu));
    json_object_set_new(out, "cpu_time_ns", json_integer((json_int_t)info.u.getvcpuinfo.cpu_time));
    json_object_set_new(out, "affinity_hard", bitmap_text(maps, bits));
    json_object_set_new(out, "affinity_soft", bitmap_text(maps + bytes, bits));
    return out;
}

json_t *host_vcpus(struct joist *h, const struct xen_domctl_getdomaininfo *info, int *rc)
{
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_physinfo };
    uint32_t bits;
    uint8_t *maps;
    json_t *out;
    uint32_t i;

    *rc = joist_sysctl(h, &op);
    if (*rc < 0) {
        return NULL;
    }
    *rc = 0;
    bits = op.u.physinfo.max_cpu_id + 1;
    maps = joist_buf_alloc(h, 2 * ((bits + 7) / 8));
    if (maps == NULL) {
        *rc = -ENOMEM;
        return NULL;
    }
    out = json_array();
    for (i = 0; info->max_vcpu_id != XEN_INVALID_MAX_VCPU_ID && i <= info->max_vcpu_id; i++) {
        json_t *v = vcpu(h, info->domain, i, maps, bits);

        if (v != NULL) {
            json_array_append_new(out, v);
        }
    }
    joist_buf_free(h, maps);
    return out;
}

/* Sums of the values that belong to each description. */
static json_t *counter_sums(const struct xen_sysctl_perfc_desc *desc, uint32_t counters,
                            const uint32_t *val, uint32_t vals)
{
    json_t *out = json_object();
    uint32_t at = 0;
    uint32_t i;
    uint32_t k;

    for (i = 0; i < counters && desc[i].nr_vals <= vals - at; i++) {
        json_int_t sum = 0;
        char name[sizeof(desc[i].name) + 1];

        for (k = 0; k < desc[i].nr_vals; k++) {
            sum += val[at + k];
        }
        at += desc[i].nr_vals;
        snprintf(name, sizeof(name), "%.*s", (int)sizeof(desc[i].name), desc[i].name);
        json_object_set_new(out, name, json_integer(sum));
    }
    return out;
}

json_t *host_counters(struct joist *h, bool reset, int *rc)
{
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_perfc_op };
    struct xen_sysctl_perfc_op *p = &op.u.perfc_op;
    json_t *out = NULL;
    uint32_t counters;
    uint32_t vals;
    char *buf;

    p->cmd = XEN_SYSCTL_PERFCOP_query;
    *rc = joist_sysctl(h, &op);
    if (*rc < 0) {
        return NULL;
    }
    counters = p->nr_counters;
    vals = p->nr_vals;
    if (counters > COUNTERS_MAX || vals > COUNTERS_MAX * CPUS_MAX) {
        *rc = -E2BIG;
        return NULL;
    }
    size_t names = counters * sizeof(struct xen_sysctl_perfc_desc);
    buf = joist_buf_alloc(h, names + vals * sizeof(uint32_t) + 1);
    if (buf == NULL) {
        *rc = -ENOMEM;
        return NULL;
    }
    p->desc.va = (uintptr_t)buf;
    p->val.va = (uintptr_t)buf + names;
    *rc = joist_sysctl(h, &op);
    if (*rc >= 0) {
        *rc = 0;
        out = counter_sums((const struct xen_sysctl_perfc_desc *)(void *)buf, counters,
                           (const uint32_t *)(void *)(buf + names), vals);
    }
    joist_buf_free(h, buf);
    if (out != NULL && reset) {
        op = (struct xen_sysctl){ .cmd = XEN_SYSCTL_perfc_op };
        p->cmd = XEN_SYSCTL_PERFCOP_reset;
        (void)joist_sysctl(h, &op);
    }
    return out;
}

json_t *host_log(struct joist *h, bool clear, int *rc)
{
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_readconsole };
    char *buf = joist_buf_alloc(h, LOG_MAX);
    json_t *out = NULL;

    if (buf == NULL) {
        *rc = -ENOMEM;
        return NULL;
    }
    op.u.readconsole.clear = clear;
    op.u.readconsole.buffer.va = (uintptr_t)buf;
    op.u.readconsole.count = LOG_MAX;
    *rc = joist_sysctl(h, &op);
    if (*rc >= 0) {
        *rc = 0;
        out = plain(buf, op.u.readconsole.count <= LOG_MAX ? op.u.readconsole.count : 0);
    }
    joist_buf_free(h, buf);
    return out;
}
