/* SPDX-License-Identifier: MIT */
/* What joistd asks the hypervisor: the machine, the domains, their vCPUs. */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/domctl.h"
#include "libjoist/joist.h"

#define HOST_DOMAINS_MAX 32768 /* domain ids are below the reserved ones */

struct domain_list {
    struct xen_domctl_getdomaininfo *info; /* sorted by id */
    size_t count;
};

/* All domains; the caller frees list->info.  Negative errno of the call, or -ENOMEM. */
int host_domains(struct joist *h, struct domain_list *list);

/* The domain with that id or that handle (and no dying one for a handle), or NULL. */
const struct xen_domctl_getdomaininfo *host_find_id(const struct domain_list *list, uint16_t domid);
const struct xen_domctl_getdomaininfo *host_find_uuid(const struct domain_list *list,
                                                      const uint8_t uuid[16]);

/* Calls on one domain that take no argument: pause, unpause, destroy (repeated until done). */
int host_pause(struct joist *h, uint16_t domid);
int host_unpause(struct joist *h, uint16_t domid);
int host_destroy(struct joist *h, uint16_t domid);

/* SHUTDOWN_* of a domain that has shut down, -1 for one that has not. */
int host_shutdown_reason(const struct xen_domctl_getdomaininfo *info);
const char *host_reason_name(int reason);

/* The machine as `joist info` shows it; NULL with *rc set. */
json_t *host_info(struct joist *h, int *rc);

/* The hypervisor's counters since the last reset, each the sum over all CPUs, as a JSON object;
 * with `reset` they go back to zero afterwards.  NULL with *rc set. */
json_t *host_counters(struct joist *h, bool reset, int *rc);

/* The vCPUs of a domain as a JSON array; NULL with *rc set. */
json_t *host_vcpus(struct joist *h, const struct xen_domctl_getdomaininfo *info, int *rc);

/* The hypervisor's log as a JSON string; NULL with *rc set. */
json_t *host_log(struct joist *h, bool clear, int *rc);
