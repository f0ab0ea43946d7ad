/* SPDX-License-Identifier: MIT */
/* What the log asks about a domain. */
#include "base/upcall.h"

#include "domain/domain.h"

/* A token bucket without a lock: two racing lines may cost one token, which harms nobody. */
bool upcall_log_allowed(struct domain *d, uint64_t now, uint32_t burst, uint64_t ns_per_token)
{
    uint64_t earned = (now - d->log_refill_ns) / ns_per_token;

    if (earned > 0) {
        uint64_t tokens = d->log_tokens + (earned < burst ? earned : burst);
        d->log_tokens = tokens < burst ? tokens : burst;
        d->log_refill_ns = now;
    }
    if (d->log_tokens == 0) {
        return false;
    }
    d->log_tokens--;
    return true;
}

uint32_t upcall_domain_id(const struct domain *d)
{
    return d->id;
}
