/* SPDX-License-Identifier: MIT */
/* The option dom0_mem=: `[min:]SIZE`, `max:SIZE`, several of them joined by commas; a negative size
 * is "all but". */

#include "arch/efi/dom0mem.h"

#include "lib/str.h"

static struct slice skip_prefix(struct slice s, const char *prefix, bool *had)
{
    size_t n = strlen(prefix);

    *had = s.len >= n && str_eq_n(s.at, n, prefix);
    if (*had) {
        s.at += n;
        s.len -= n;
    }
    return s;
}

/*
 * Check dom0_mem= in the hypervisor's options against `usable` bytes of memory. *wanted is the
 * largest amount that domain 0 must be given at once (0 = not said); max: alone demands nothing.
 */
int dom0mem_check(struct slice options, uint64_t usable, uint64_t *wanted)
{
    struct kv word;

    *wanted = 0;
    while (kv_word(&options, &word)) {
        struct slice list = word.value;
        struct slice item;

        if (!slice_eq(word.key, "dom0_mem")) {
            continue;
        }
        *wanted = 0;
        while (kv_item(&list, ',', &item)) {
            bool is_min;
            bool is_max;
            bool negative;
            uint64_t size;

            item = skip_prefix(item, "min:", &is_min);
            item = skip_prefix(item, "max:", &is_max);
            item = skip_prefix(item, "-", &negative);
            if (item.len > 0 && item.at[item.len - 1] == '%') {
                continue; /* a part of what there is cannot be too much */
            }
            if (!str_size(item.at, item.len, &size)) {
                return DOM0MEM_ERR_SYNTAX;
            }
            if (!is_max && !negative && size > *wanted) {
                *wanted = size;
            }
        }
    }
    return *wanted > usable ? DOM0MEM_ERR_MORE : DOM0MEM_ERR_NONE;
}
