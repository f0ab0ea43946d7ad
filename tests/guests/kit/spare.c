/* SPDX-License-Identifier: MIT */
/* Memory that no image uses, for test guests that want much of it: frames one by one, and large
 * trees of page tables. */
#include "kit/kit.h"

static u64 next_spare;

u64 spare_first(void)
{
    u64 pfn = (U64(kit_image_end) - KIT_BASE) / PAGE + 1;
    u64 tables = (si->pt_base - KIT_BASE) / PAGE + si->nr_pt_frames;
    u64 p2m = (si->mfn_list - KIT_BASE + si->nr_pages * 8) / PAGE + 1;

    pfn = tables > pfn ? tables : pfn;
    return (p2m > pfn ? p2m : pfn) + 16; /* the rings, start_info, the first stack */
}

u64 spare_take(void)
{
    if (next_spare == 0) {
        /* the builder maps some of what it leaves free, to a multiple of 4 MiB */
        next_spare = (spare_first() + 128 + 1023) & ~1023UL;
    }
    if (next_spare >= si->nr_pages) {
        check_at(false, __FILE__, __LINE__, "the domain is too small");
        test_end();
    }
    return ((const u64 *)si->mfn_list)[next_spare++];
}

/* A level-2 table with 512 full level-1 tables, each entry `value`. */
static u64 full_l2(u64 value)
{
    u64 l2 = spare_take();
    u64 *up = frame_open(1, l2, PTE_RW);

    for (u32 i = 0; i < 512; i++) {
        u64 l1 = spare_take();
        u64 *p = frame_open(0, l1, PTE_RW);

        for (u32 k = 0; k < 512; k++) {
            p[k] = value;
        }
        up[i] = l1 * PAGE | PTE_RO | PTE_U;
    }
    frame_close(0);
    frame_close(1);
    return l2;
}

u64 spare_tree(u64 *l2s, u32 count, u64 value)
{
    u64 *p;

    for (u32 i = 0; i < count; i++) {
        l2s[i] = full_l2(value);
    }
    u64 l3 = spare_take();

    p = frame_open(0, l3, PTE_RW);
    memset(p, 0, PAGE);
    for (u32 i = 0; i < count; i++) {
        p[i] = l2s[i] * PAGE | PTE_RO | PTE_U;
    }
    frame_close(0);
    return l3;
}
