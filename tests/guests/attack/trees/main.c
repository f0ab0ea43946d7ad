/* SPDX-License-Identifier: MIT */
/* Attack: the largest page tables that fit, full in every entry, pinned, taken apart, and left to
 * the hypervisor at the end. `big`: 512 x 512 level-1 tables, 2^27 entries. */
#include "kit/kit.h"

const char kit_name[] = "trees";

#define L1_PER_L2 512

static u64 *data;
static u32 l2_count;
static u64 l3;
static u64 l2s[512];

static long timed(u32 cmd, u64 mfn, const char *what)
{
    u64 t = now();
    long rc = mmuext1(cmd, mfn);

    print("%s: %ld after %lu ms\r\n", what, rc, (now() - t) / 1000000);
    return rc;
}

/* More references to one frame than can be counted are refused, with nothing kept (XSA-385). */
static void overflow(void)
{
    long rc = timed(MMUEXT_PIN_L3_TABLE, l3, "more references than there can be");

    check(rc < 0 || !on_joist);
    if (rc == 0) {
        check_eq(timed(MMUEXT_UNPIN_TABLE, l3, "unpinned"), 0);
    }
    /* entries to another page, where that many fit */
    for (u32 i = 0; i < l2_count; i++) {
        u64 *up = frame_open(1, l2s[i], PTE_RW);

        for (u32 k = 0; k < L1_PER_L2; k++) {
            u64 *p = frame_open(0, up[k] / PAGE & 0xffffffffff, PTE_RW);
            u64 value = mfn_of((u8 *)data + i % 4 * PAGE) * PAGE | PTE_RO;

            for (u32 j = 0; j < 512; j++) {
                p[j] = value;
            }
        }
    }
    frame_close(0);
    frame_close(1);
}

void test_main(void)
{
    bool is_big = kit_option("big");
    u64 end = now() + (is_big ? 0 : 6000000000UL);

    data = page_alloc();
    for (u32 i = 0; i < 3; i++) {
        page_alloc(); /* they lie one behind the other */
    }
    l2_count = is_big ? 512 : 8;
    l3 = spare_tree(l2s, l2_count, mfn_of(data) * PAGE | PTE_RO);
    print("%u entries\r\n", l2_count * 512 * 512);
    if (is_big) {
        overflow();
    }
    do {
        check_eq(timed(MMUEXT_PIN_L3_TABLE, l3, "pinned"), 0);
        check_eq(timed(MMUEXT_UNPIN_TABLE, l3, "unpinned"), 0);
    } while (now() < end);
    /* as part of the running tables, entered and removed by one update */
    u64 slot = mfn_of((void *)si->pt_base) * PAGE + 300 * 8;
    u64 t = now();

    check_eq(mmu_update1(slot, l3 * PAGE | PTE_RW | PTE_U), 0);
    print("entered after %lu ms\r\n", (now() - t) / 1000000);
    t = now();
    check_eq(mmu_update1(slot, 0), 0);
    print("removed after %lu ms\r\n", (now() - t) / 1000000);
    /* what is still pinned is the hypervisor's to take apart */
    check_eq(timed(MMUEXT_PIN_L3_TABLE, l3, "pinned for good"), 0);
}
