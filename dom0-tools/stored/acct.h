/* SPDX-License-Identifier: MIT */
/* Who owns how much: nodes and bytes for each owner, of the live tree or of a transaction. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct acct_entry {
    uint16_t domid;
    int64_t nodes;
    int64_t bytes;
};

struct acct {
    struct acct_entry *list; /* in order of domid; none is at zero */
    size_t count;
    size_t cap;
};

void acct_add(struct acct *a, uint16_t domid, int64_t nodes, int64_t bytes);
/* The entry of domid, all zero when there is none. */
struct acct_entry acct_get(const struct acct *a, uint16_t domid);
void acct_forget(struct acct *a, uint16_t domid);
void acct_free(struct acct *a);
