/* SPDX-License-Identifier: MIT */
/* Names and defaults of the limits. */

#include "stored/quota.h"

#include <errno.h>
#include <string.h>

const char *const quota_names[QUOTA_COUNT] = {
    [QUOTA_NODES] = "nodes",
    [QUOTA_WATCHES] = "watches",
    [QUOTA_TRANSACTIONS] = "transactions",
    [QUOTA_OUTSTANDING] = "outstanding",
    [QUOTA_TXN_NODES] = "transaction-nodes",
    [QUOTA_MEMORY] = "memory",
    [QUOTA_NODE_SIZE] = "node-size",
    [QUOTA_PERMS] = "permissions",
    [QUOTA_PATH] = "path-max",
};

const struct quotas quota_defaults = {
    .limit = {
        [QUOTA_NODES] = 1000,
        [QUOTA_WATCHES] = 128,
        [QUOTA_TRANSACTIONS] = 10,
        [QUOTA_OUTSTANDING] = 20,
        [QUOTA_TXN_NODES] = 1024,
        [QUOTA_MEMORY] = 2560 * 1024,
        [QUOTA_NODE_SIZE] = 2048,
        [QUOTA_PERMS] = 5,
        [QUOTA_PATH] = 2048,
    },
};

const struct quotas quota_unset = {
    .limit = { QUOTA_UNSET, QUOTA_UNSET, QUOTA_UNSET, QUOTA_UNSET, QUOTA_UNSET, QUOTA_UNSET,
               QUOTA_UNSET, QUOTA_UNSET, QUOTA_UNSET },
};

int quota_find(const char *name)
{
    for (int i = 0; i < QUOTA_COUNT; i++) {
        if (strcmp(quota_names[i], name) == 0) {
            return i;
        }
    }
    return -ENOENT;
}
