/* SPDX-License-Identifier: MIT */
/* Sets of cpus between the hypervisor and a caller's bitmap, whose size is the caller's choice. */

#include "ctl/ctl.h"

#include "port/copy.h"

#define MASK_BYTES (CPUMASK_WORDS * 8u)

static uint64_t bitmap_bytes(const struct xenctl_bitmap *b)
{
    return ((uint64_t)b->nr_bits + 7) / 8;
}

/* Bits of the caller that no cpu can have are ignored, missing ones are 0. */
int ctl_bitmap_get(const struct xenctl_bitmap *from, struct cpumask *to)
{
    uint64_t bytes = bitmap_bytes(from) < MASK_BYTES ? bitmap_bytes(from) : MASK_BYTES;
    uint8_t buf[MASK_BYTES] = { 0 };

    cpumask_zero(to);
    if (guest_read(buf, from->bitmap, bytes)) {
        return -EFAULT;
    }
    for (uint32_t i = 0; i < CONFIG_MAX_CPUS && i < from->nr_bits; i++) {
        if ((buf[i / 8] >> (i % 8)) & 1) {
            cpumask_set(to, i);
        }
    }
    return 0;
}

/* The whole of the caller's bitmap is written. */
int ctl_bitmap_put(const struct xenctl_bitmap *to, const struct cpumask *from)
{
    uint64_t bytes = bitmap_bytes(to);
    uint64_t some = bytes < MASK_BYTES ? bytes : MASK_BYTES;
    uint8_t buf[MASK_BYTES] = { 0 };

    cpumask_for_each(cpu, from)
    {
        if (cpu < to->nr_bits) {
            buf[cpu / 8] |= (uint8_t)(1u << (cpu % 8));
        }
    }
    if (guest_write(to->bitmap, buf, some) ||
        (bytes > some && guest_clear(gptr_at(to->bitmap, some, 1), bytes - some))) {
        return -EFAULT;
    }
    return 0;
}

uint32_t ctl_cpu_limit(void)
{
    uint32_t limit = 0;

    cpumask_for_each(cpu, &cpu_online_mask)
    {
        limit = cpu + 1;
    }
    return limit;
}
