/* SPDX-License-Identifier: MIT */
/* Who owns how much. */

#include "stored/acct.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

/* The place of domid in the list, or where it would be. */
static size_t place_of(const struct acct *a, uint16_t domid)
{
    size_t low = 0;
    size_t high = a->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (a->list[mid].domid < domid) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static void remove_at(struct acct *a, size_t i)
{
    a->count--;
    memmove(&a->list[i], &a->list[i + 1], (a->count - i) * sizeof(*a->list));
}

void acct_add(struct acct *a, uint16_t domid, int64_t nodes, int64_t bytes)
{
    size_t i = place_of(a, domid);

    if (i == a->count || a->list[i].domid != domid) {
        if (a->count == a->cap) {
            a->cap = a->cap ? a->cap * 2 : 8;
            a->list = xrealloc(a->list, a->cap * sizeof(*a->list));
        }
        memmove(&a->list[i + 1], &a->list[i], (a->count - i) * sizeof(*a->list));
        a->list[i] = (struct acct_entry){ .domid = domid };
        a->count++;
    }
    a->list[i].nodes += nodes;
    a->list[i].bytes += bytes;
    if (a->list[i].nodes == 0 && a->list[i].bytes == 0) {
        remove_at(a, i);
    }
}

struct acct_entry acct_get(const struct acct *a, uint16_t domid)
{
    size_t i = place_of(a, domid);

    if (i < a->count && a->list[i].domid == domid) {
        return a->list[i];
    }
    return (struct acct_entry){ .domid = domid };
}

void acct_forget(struct acct *a, uint16_t domid)
{
    size_t i = place_of(a, domid);

    if (i < a->count && a->list[i].domid == domid) {
        remove_at(a, i);
    }
}

void acct_free(struct acct *a)
{
    free(a->list);
    *a = (struct acct){ 0 };
}
