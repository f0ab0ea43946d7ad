/* SPDX-License-Identifier: MIT */
/* Limits on what an unprivileged domain may use; the control domain has none. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum quota_id {
    QUOTA_NODES,        /* nodes owned */
    QUOTA_WATCHES,      /* watches set */
    QUOTA_TRANSACTIONS, /* open at a time */
    QUOTA_OUTSTANDING,  /* requests answered but not yet taken out of the ring */
    QUOTA_TXN_NODES,    /* nodes touched in one transaction */
    QUOTA_MEMORY,       /* bytes of nodes, watches and waiting output */
    QUOTA_NODE_SIZE,    /* value, access list and names of children, bytes */
    QUOTA_PERMS,        /* entries of an access list */
    QUOTA_PATH,         /* length of a path, without the domain's own prefix */
    QUOTA_COUNT
};

#define QUOTA_UNSET (-1) /* in a domain's own table: the default holds */

struct quotas {
    int64_t limit[QUOTA_COUNT];
};

extern const char *const quota_names[QUOTA_COUNT];
extern const struct quotas quota_defaults;
extern const struct quotas quota_unset;

/* The id of a name, or -ENOENT. */
int quota_find(const char *name);
