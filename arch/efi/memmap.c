/* SPDX-License-Identifier: MIT */
/*
 * From the firmware's memory map to sorted ranges. Facts: UEFI specification, "GetMemoryMap()".
 * Boot services memory and the loader's own are free from the moment the firmware is left; what the
 * loader hands over is carved out of them afterwards.
 */

#include "arch/efi/memmap.h"

#include "lib/mem.h"

/* One entry of the firmware's map; entries may be longer than this. */
struct efi_entry {
    uint32_t type;
    uint32_t pad;
    uint64_t start;
    uint64_t virt;
    uint64_t pages;
    uint64_t attr;
};

#define EFI_ATTR_WB      UINT64_C(0x8)
#define EFI_ATTR_RUNTIME (UINT64_C(1) << 63)
#define ADDRESS_LIMIT    (UINT64_C(1) << 52)
#define PAGE_MASK        UINT64_C(4095)

/* Index: type of the UEFI specification. */
static const uint32_t types[] = {
    [0] = BOOT_RESERVED,     /* reserved */
    [1] = BOOT_USABLE,       /* loader code */
    [2] = BOOT_USABLE,       /* loader data */
    [3] = BOOT_USABLE,       /* boot services code */
    [4] = BOOT_USABLE,       /* boot services data */
    [5] = BOOT_RUNTIME_CODE, /* runtime services code */
    [6] = BOOT_RUNTIME_DATA, /* runtime services data */
    [7] = BOOT_USABLE,       /* conventional */
    [8] = BOOT_UNUSABLE,     /* defective */
    [9] = BOOT_ACPI,         /* ACPI tables */
    [10] = BOOT_ACPI_NVS,    /* ACPI NVS */
    [11] = BOOT_MMIO,        /* memory-mapped I/O */
    [12] = BOOT_MMIO,        /* memory-mapped I/O ports */
    [13] = BOOT_RESERVED,    /* PAL code: not on this machine */
    [14] = BOOT_RESERVED,    /* persistent memory: RAM, but whose contents are someone's */
};

static uint32_t type_of(const struct efi_entry *e)
{
    uint32_t type = e->type < sizeof(types) / sizeof(types[0]) ? types[e->type] : BOOT_RESERVED;

    if (type == BOOT_USABLE && (e->attr & EFI_ATTR_WB) == 0) {
        return BOOT_RESERVED;
    }
    if (type == BOOT_MMIO && (e->attr & EFI_ATTR_RUNTIME) == 0) {
        return BOOT_RESERVED;
    }
    return type;
}

static bool insert_at(struct boot_info *bi, uint32_t at, const struct boot_range *range)
{
    if (bi->range_count == BOOT_RANGES_MAX) {
        return false;
    }
    memmove(&bi->ranges[at + 1], &bi->ranges[at], (bi->range_count - at) * sizeof(*range));
    bi->ranges[at] = *range;
    bi->range_count++;
    return true;
}

/* Two neighbours that say the same; what the firmware called usable memory does not matter any
 * more. */
static bool joinable(const struct boot_range *a, const struct boot_range *b)
{
    return a->end == b->start && a->type == b->type &&
           (a->type == BOOT_USABLE || (a->efi_type == b->efi_type && a->efi_attr == b->efi_attr));
}

static void join(struct boot_info *bi)
{
    uint32_t kept = 0;

    for (uint32_t i = 1; i < bi->range_count; i++) {
        if (joinable(&bi->ranges[kept], &bi->ranges[i])) {
            bi->ranges[kept].end = bi->ranges[i].end;
        } else {
            bi->ranges[++kept] = bi->ranges[i];
        }
    }
    bi->range_count = bi->range_count > 0 ? kept + 1 : 0;
}

/* Resolve overlaps, which only broken firmware has: the later range gives way, and disappears if it
 * is all inside. */
static void separate(struct boot_info *bi)
{
    uint32_t kept = 0;

    for (uint32_t i = 1; i < bi->range_count; i++) {
        struct boot_range r = bi->ranges[i];

        if (r.start < bi->ranges[kept].end) {
            r.start = bi->ranges[kept].end;
        }
        if (r.start < r.end) {
            bi->ranges[++kept] = r;
        }
    }
    bi->range_count = bi->range_count > 0 ? kept + 1 : 0;
}

/* Fill bi->ranges from the firmware's map of `map_size` bytes. False if there are too many ranges.
 */
bool memmap_convert(const void *map, size_t map_size, size_t entry_size, struct boot_info *bi)
{
    const unsigned char *at = map;
    struct efi_entry e;

    bi->range_count = 0;
    if (entry_size < sizeof(e)) {
        return false;
    }
    for (size_t done = 0; map_size - done >= entry_size; done += entry_size) {
        struct boot_range range;
        uint32_t i = bi->range_count;

        memcpy(&e, at + done, sizeof(e));
        if (e.pages == 0 || (e.start & PAGE_MASK) != 0 || e.start >= ADDRESS_LIMIT ||
            e.pages > (ADDRESS_LIMIT - e.start) / 4096) {
            continue;
        }
        range = (struct boot_range){ .start = e.start,
                                     .end = e.start + e.pages * 4096,
                                     .type = type_of(&e),
                                     .efi_type = e.type,
                                     .efi_attr = e.attr };
        while (i > 0 && bi->ranges[i - 1].start > range.start) {
            i--;
        }
        if (i > 0 && joinable(&bi->ranges[i - 1], &range)) {
            bi->ranges[i - 1].end = range.end;
        } else if (i < bi->range_count && joinable(&range, &bi->ranges[i])) {
            bi->ranges[i].start = range.start;
        } else if (!insert_at(bi, i, &range)) {
            return false;
        }
    }
    separate(bi);
    join(bi);
    return bi->range_count > 0;
}

/* Give a part of one usable range another type. False if it is not all usable, or if there are too
 * many ranges. */
bool memmap_carve(struct boot_info *bi, const struct memmap_piece *piece)
{
    for (uint32_t i = 0; i < bi->range_count; i++) {
        struct boot_range whole = bi->ranges[i];
        struct boot_range part = whole;

        if (piece->start < whole.start || piece->end > whole.end || piece->start >= piece->end) {
            continue;
        }
        if (whole.type != BOOT_USABLE || bi->range_count + 2 > BOOT_RANGES_MAX) {
            return false;
        }
        part.start = piece->start;
        part.end = piece->end;
        part.type = piece->type;
        bi->ranges[i] = part;
        if (part.end < whole.end) {
            part = whole;
            part.start = piece->end;
            (void)insert_at(bi, i + 1, &part);
        }
        if (piece->start > whole.start) {
            part = whole;
            part.end = piece->start;
            (void)insert_at(bi, i, &part);
        }
        return true;
    }
    return false;
}

/* Bytes of usable memory. */
uint64_t memmap_usable(const struct boot_info *bi)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < bi->range_count; i++) {
        sum += bi->ranges[i].type == BOOT_USABLE ? bi->ranges[i].end - bi->ranges[i].start : 0;
    }
    return sum;
}
