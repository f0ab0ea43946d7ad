/* SPDX-License-Identifier: MIT */
/* The boot allocator: takes from the top of the largest usable range below, never gives back. */
#include "mm/boot_alloc.h"

#include <stdbool.h>

#include "base/panic.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "start/boot_info.h"

/* What is left of each usable range: [start, end) in frames. */
static struct {
    uint64_t start;
    uint64_t end;
    uint64_t whole_end; /* of the range before anything was taken */
} left[BOOT_RANGES_MAX];
static uint32_t left_count;

void boot_alloc_init(const struct boot_info *bi)
{
    left_count = 0;
    for (uint32_t i = 0; i < bi->range_count && i < BOOT_RANGES_MAX; i++) {
        const struct boot_range *r = &bi->ranges[i];
        if (r->type == BOOT_USABLE) {
            left[left_count].start = r->start >> PAGE_SHIFT;
            left[left_count].end = r->end >> PAGE_SHIFT;
            left[left_count].whole_end = r->end >> PAGE_SHIFT;
            left_count++;
        }
    }
}

/*
 * Only the first 4 GiB are mapped by the loader, so memory above is not taken; the lowest MiB stays
 * free for the start of other cpus.
 */
#define BOOT_TOP    (UINT64_C(1) << (32 - PAGE_SHIFT))
#define BOOT_BOTTOM (UINT64_C(1) << (20 - PAGE_SHIFT))

static bool all_mapped;

void boot_alloc_mapped(void)
{
    all_mapped = true;
}

paddr_t boot_alloc(uint64_t frames, uint64_t align)
{
    for (uint32_t i = left_count; i-- > 0;) {
        uint64_t end = left[i].end;

        if ((end > BOOT_TOP && !all_mapped) || end < frames) {
            continue;
        }
        uint64_t at = (end - frames) & ~(align - 1);
        if (at >= left[i].start && at >= BOOT_BOTTOM) {
            left[i].end = at;
            return at << PAGE_SHIFT;
        }
    }
    panic("no memory for the hypervisor's own tables: %lu frames wanted%s", (unsigned long)frames,
          all_mapped ? "" : " below 4 GiB");
}

void boot_alloc_finish(const struct boot_info *bi)
{
    for (uint32_t i = 0; i < bi->range_count && i < BOOT_RANGES_MAX; i++) {
        const struct boot_range *r = &bi->ranges[i];
        if (r->type == BOOT_IMAGE || r->type == BOOT_LOADER || r->type == BOOT_MODULE) {
            frame_reserve(MFN(r->start >> PAGE_SHIFT), MFN(r->end >> PAGE_SHIFT));
        }
    }
    for (uint32_t i = 0; i < left_count; i++) {
        frame_reserve(MFN(left[i].end), MFN(left[i].whole_end));
        heap_add(MFN(left[i].start), MFN(left[i].end));
    }
    left_count = 0;
}
