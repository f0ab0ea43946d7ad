/* SPDX-License-Identifier: MIT */
/* Attack: another guest's memory, after it has ended. `holder` marks all it has, gives half of it
 * back and ends; the other takes what it can get and reads it all. */
#include "kit/kit.h"

const char kit_name[] = "leftovers";

#define BATCH 256

static volatile u64 mark_half = 0x5ec2e7a11f0e2d3c; /* volatile: the sum is in no instruction */
static u64 list[BATCH];
static u8 blocks[8192]; /* of 2 MiB: seen or not */
static u64 pages;

static u64 mark(void)
{
    return mark_half ^ 0xffff0000ffff0000UL;
}

static void seen(u64 mfn)
{
    blocks[mfn >> 9 & 8191] = 1;
    pages++;
}

/* Which blocks they were in, for the scenario to see that the one has got the other's. */
static void tell(void)
{
    print("%lu frames in blocks", pages);
    for (u32 i = 0; i < ARRAY(blocks); i++) {
        u32 first = i;

        while (i < ARRAY(blocks) && blocks[i]) {
            i++;
        }
        if (i > first) {
            print(" %u-%u", first, i - 1);
        }
    }
    print(" end\r\n");
}

static void fill(u64 mfn)
{
    u64 *p = frame_open(0, mfn, PTE_RW);

    for (u32 i = 0; i < 512; i++) {
        p[i] = mark();
    }
    seen(mfn);
}

static void look(u64 mfn, const char *what)
{
    const u64 *p = frame_open(0, mfn, PTE_RO);
    u32 marked = 0, used = 0;

    for (u32 i = 0; i < 512; i++) {
        marked += p[i] == mark();
        used += p[i] != 0;
    }
    seen(mfn);
    check_at(marked == 0, __FILE__, __LINE__, "%s frame 0x%lx has %u words of another guest", what,
             mfn, marked);
    check_at(used == 0, __FILE__, __LINE__, "%s frame 0x%lx has %u words that are not 0", what, mfn,
             used);
}

static void hold(void)
{
    const u64 *p2m = (const u64 *)si->mfn_list;
    u64 half = (spare_first() + si->nr_pages) / 2, n = 0;

    for (u64 pfn = spare_first(); pfn < si->nr_pages; pfn++) {
        fill(p2m[pfn]);
    }
    frame_close(0);
    for (u64 pfn = half; pfn < si->nr_pages; pfn += n) {
        for (n = 0; n < BATCH && pfn + n < si->nr_pages; n++) {
            list[n] = p2m[pfn + n];
        }
        struct xen_memory_reservation r = { .extent_start = gptr(list),
                                            .nr_extents = n,
                                            .domid = DOMID_SELF };

        check_eq(memory_op(XENMEM_decrease_reservation, &r), n);
    }
}

/* Everything that the domain may have: one by one, in blocks, for frames of its own. */
static void search(void)
{
    const u64 *p2m = (const u64 *)si->mfn_list;
    u64 got = 0;

    for (u64 pfn = spare_first(); pfn < si->nr_pages; pfn++) {
        look(p2m[pfn], "first");
        got++;
    }
    for (u32 round = 0; round < 4096; round++) {
        struct xen_memory_reservation r = { .extent_start = gptr(list),
                                            .nr_extents = round % 2 ? 1 : BATCH,
                                            .extent_order = round % 2 ? 9 : 0,
                                            .domid = DOMID_SELF };
        long n = memory_op(XENMEM_increase_reservation, &r);

        if (n <= 0) {
            if (round % 2) {
                continue;
            }
            break;
        }
        for (long i = 0; i < n; i++) {
            for (u64 k = 0; k < 1UL << r.extent_order; k++) {
                look(list[i] + k, "new");
                got++;
            }
        }
    }
    check(got > 4096);
    /* an exchanged frame comes from the free ones too */
    u8 *page = page_alloc();
    u64 in = mfn_of(page), out = (U64(page) - KIT_BASE) / PAGE;
    struct xen_memory_exchange e = { .in = { gptr(&in), 1, 0, 0, DOMID_SELF },
                                     .out = { gptr(&out), 1, 0, 0, DOMID_SELF } };

    memset(page, 0x55, PAGE);
    page_remap(page, 0);
    if (memory_op(XENMEM_exchange, &e) == 0) {
        look(out, "exchanged");
        mfn_set(page, out);
    }
    frame_close(0);
    page_restore(page);
}

/* Frames of the hypervisor that a guest is shown: grant table frames hold grants only. */
static void shown(void)
{
    u64 frames[8];
    struct gnttab_setup_table s = { .dom = DOMID_SELF, .nr_frames = 8, .frame_list = gptr(frames) };
    u32 used = 0;

    check_eq(grant_op(GNTTABOP_setup_table, &s, 1), 0);
    check_eq(s.status, GNTST_okay);
    for (u32 i = 0; i < 8; i++) {
        const u64 *p = frame_open(0, frames[i], PTE_RO);

        for (u32 k = i ? 0 : 8; k < 512; k++) { /* the first 8 grants are the builder's */
            used += p[k] != 0;
        }
    }
    frame_close(0);
    check_eq(used, 0);
    const u8 *bytes = (const u8 *)shared + sizeof(struct shared_info);
    used = 0;
    for (; (U64(bytes) & (PAGE - 1)) != 0; bytes++) {
        used += *bytes != 0;
    }
    check_eq(used, 0);
}

void test_main(void)
{
    if (is_dom0) {
        test_skip("domain 0 gets memory that the firmware and the loader have used");
        return;
    }
    if (kit_option("holder")) {
        hold();
    } else {
        search();
        shown();
    }
    tell();
}
