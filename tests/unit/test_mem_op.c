/* SPDX-License-Identifier: MIT */
/* memory_op: lists of extents, exchange, figures, claims, resources. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fake_core.h"

#include "abi/memory.h"
#include "mm/heap.h"

#define ARG  FAKE_GUEST_VA
#define LIST (FAKE_GUEST_VA + 4096)
#define OUT  (FAKE_GUEST_VA + 32768)

static uint64_t *list(uint64_t va)
{
    return fake_at(va);
}

static void reservation(domid_t id, uint64_t n, uint32_t order, uint32_t flags)
{
    struct xen_memory_reservation r = { { LIST }, n, order, flags, id };

    fake_put(0, &r, sizeof(r));
}

/* Once, without restarting. */
static int64_t once(unsigned int domid, uint64_t *cmd)
{
    struct hcall_args a = { { *cmd, ARG } };
    int64_t rc = hc_memory_op(fake_caller(domid), &a);

    *cmd = a.arg[0];
    return rc;
}

static int64_t op(unsigned int domid, uint64_t cmd)
{
    int64_t rc;

    do {
        rc = once(domid, &cmd);
    } while (rc == HC_AGAIN);
    return rc;
}

static void test_populate(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        list(LIST)[i] = 0x100 + i * 0x10;
    }
    reservation(1, 3, 2, XENMEMF_address_bits(32));
    assert_int_equal(op(0, XENMEM_populate_physmap), 3);
    assert_int_equal(fake.dom[1].owned_frames, 12);
    assert_int_equal(fake.heap_flags, 32 << 8);
    for (uint64_t i = 0; i < 3; i++) {
        uint64_t mfn = list(LIST)[i];

        assert_int_equal(mfn, 1024 + 4 * i);
        for (uint64_t k = 0; k < 4; k++) {
            assert_int_equal(fake.m2p[mfn + k], 0x100 + i * 0x10 + k);
        }
    }
}

static void test_populate_stops(void **state)
{
    (void)state;
    memset(list(LIST), 0, 80);
    reservation(1, 10, 0, 0);
    fake.heap_fail = 4;
    assert_int_equal(op(0, XENMEM_populate_physmap), 3);
    /* What is wrong with one entry stops there: no memory is given for it. */
    list(LIST)[1] = UINT64_MAX;
    assert_int_equal(op(0, XENMEM_populate_physmap), 1);
    assert_int_equal(fake.dom[1].owned_frames, 4);
    reservation(1, 10, 0, XENMEMF_populate_on_demand);
    assert_int_equal(op(0, XENMEM_populate_physmap), 0);
    /* More than may be cleared in one step is not even looked for. */
    fake.heap_flags = 77;
    reservation(1, 10, 10, 0);
    assert_int_equal(op(1, XENMEM_populate_physmap), 0);
    assert_int_equal(op(0, XENMEM_populate_physmap), 0);
    assert_int_equal(fake.heap_flags, 77);
    reservation(1, 10, 64, 0);
    assert_int_equal(op(0, XENMEM_populate_physmap), 0);
}

/* Frames whose numbers cannot be told go back: a guest would have them and not know which. */
static void test_untold(void **state)
{
    (void)state;
    struct xen_memory_reservation r = { { 64 }, 3, 2, 0, DOMID_SELF };

    fake_put(0, &r, sizeof(r));
    assert_int_equal(op(1, XENMEM_increase_reservation), 0);
    assert_int_equal(fake.dom[1].owned_frames, 0);
    r.extent_start.va = FAKE_GUEST_VA + FAKE_GUEST_SIZE - 8;
    fake_put(0, &r, sizeof(r));
    assert_int_equal(op(1, XENMEM_increase_reservation), 1);
    assert_int_equal(fake.dom[1].owned_frames, 4);
}

static void test_list_refused(void **state)
{
    (void)state;
    reservation(0, 1, 0, 0);
    assert_int_equal(op(1, XENMEM_populate_physmap), 0); /* another's memory */
    reservation(5, 1, 0, 0);
    assert_int_equal(op(0, XENMEM_populate_physmap), 0); /* nobody's */
    reservation(1, UINT64_C(1) << 26, 0, 0);
    assert_int_equal(op(0, XENMEM_populate_physmap), 0); /* cannot be counted */
    reservation(1, 2, 0, 0);
    assert_int_equal(op(0, XENMEM_populate_physmap | 2 << 6), 2); /* nothing left to do */
    assert_int_equal(fake.dom[1].owned_frames + fake.dom[0].owned_frames, 0);
}

static void test_populate_yields(void **state)
{
    uint64_t cmd = XENMEM_populate_physmap;
    unsigned int rounds = 0;

    (void)state;
    memset(list(LIST), 0, 80);
    reservation(DOMID_SELF, 10, 0, 0);
    for (fake.preempt_at = 1; once(1, &cmd) == HC_AGAIN; fake.preempt_at = 1) {
        rounds++;
        assert_int_equal(cmd, XENMEM_populate_physmap | rounds << 6);
    }
    assert_int_equal(rounds, 9);
    assert_int_equal(fake.dom[1].owned_frames, 10);
}

static void test_increase(void **state)
{
    struct xen_memory_reservation r = { { 0 }, 2, 0, 0, DOMID_SELF };

    (void)state;
    fake_put(0, &r, sizeof(r));
    assert_int_equal(op(1, XENMEM_increase_reservation), 2); /* no answer asked for */
    reservation(DOMID_SELF, 2, 0, 0);
    assert_int_equal(op(1, XENMEM_increase_reservation), 2);
    assert_int_equal(list(LIST)[1], 1027);
    assert_int_equal(fake.m2p[1027], UINT64_MAX);
    assert_int_equal(fake.dom[1].owned_frames, 4);
}

static void test_decrease(void **state)
{
    (void)state;
    fake_give(1, 16, 8);
    fake_give(0, 24, 1);
    fake.m2p[17] = 5;
    list(LIST)[0] = 16;
    list(LIST)[1] = 20;
    reservation(DOMID_SELF, 2, 2, 0);
    assert_int_equal(op(1, XENMEM_decrease_reservation), 2);
    assert_int_equal(fake.dom[1].owned_frames, 0);
    assert_int_equal(fake.m2p[17], UINT64_MAX);
    assert_null(frame_table[16].owner);
    /* Again, another's, none at all. */
    reservation(DOMID_SELF, 1, 0, 0);
    assert_int_equal(op(1, XENMEM_decrease_reservation), 0);
    list(LIST)[0] = 24;
    assert_int_equal(op(1, XENMEM_decrease_reservation), 0);
    list(LIST)[0] = FAKE_FRAMES;
    assert_int_equal(op(1, XENMEM_decrease_reservation), 0);
    list(LIST)[0] = UINT64_MAX - 1;
    assert_int_equal(op(1, XENMEM_decrease_reservation), 0);
    assert_ptr_equal(frame_table[24].owner, &fake.dom[0]);
}

/* A frame that somebody still maps goes when he lets go; a pinned table is not given up. */
static void test_decrease_in_use(void **state)
{
    (void)state;
    fake_give(1, 16, 2);
    atomic_fetch_add(&frame_table[16].word, FW_REF);
    atomic_fetch_or(&frame_table[17].word, FW_PINNED);
    list(LIST)[0] = 16;
    list(LIST)[1] = 17;
    reservation(DOMID_SELF, 2, 0, 0);
    assert_int_equal(op(1, XENMEM_decrease_reservation), 1);
    assert_ptr_equal(frame_table[16].owner, &fake.dom[1]);
    assert_int_equal(fake.dom[1].owned_frames, 1);
    frame_put(&frame_table[16]);
    assert_null(frame_table[16].owner);
    assert_int_equal(frame_word(&frame_table[17]) & FW_REFS_MASK, 1);
}

static struct xen_memory_exchange *exchange(uint64_t nin, uint32_t oin, uint64_t nout,
                                            uint32_t oout)
{
    struct xen_memory_exchange x = {
        .in = { { LIST }, nin, oin, 0, DOMID_SELF },
        .out = { { OUT }, nout, oout, XENMEMF_address_bits(31), DOMID_SELF },
    };

    fake_put(0, &x, sizeof(x));
    return fake_at(ARG);
}

static void test_exchange_to_contiguous(void **state)
{
    struct xen_memory_exchange *x = exchange(16, 0, 2, 3);

    (void)state;
    fake_give(1, 100, 16);
    for (uint64_t i = 0; i < 16; i++) {
        list(LIST)[i] = 115 - i;
        fake.m2p[100 + i] = i;
    }
    list(OUT)[0] = 0x40;
    list(OUT)[1] = 0x80;
    assert_int_equal(op(1, XENMEM_exchange), 0);
    assert_int_equal(x->nr_exchanged, 16);
    assert_int_equal(fake.heap_flags, 31 << 8);
    assert_int_equal(fake.dom[1].owned_frames, 16);
    for (uint64_t k = 0; k < 8; k++) {
        assert_int_equal(fake.m2p[list(OUT)[0] + k], 0x40 + k);
        assert_int_equal(fake.m2p[list(OUT)[1] + k], 0x80 + k);
        assert_int_equal(fake.m2p[100 + k], UINT64_MAX);
        assert_null(frame_table[100 + k].owner);
    }
}

static void test_exchange_to_scattered(void **state)
{
    struct xen_memory_exchange *x = exchange(2, 2, 8, 0);

    (void)state;
    fake_give(1, 104, 8);
    list(LIST)[0] = 104;
    list(LIST)[1] = 108;
    for (uint64_t i = 0; i < 8; i++) {
        list(OUT)[i] = 7 * i;
    }
    assert_int_equal(op(1, XENMEM_exchange), 0);
    assert_int_equal(x->nr_exchanged, 2);
    for (uint64_t i = 0; i < 8; i++) {
        assert_int_equal(fake.m2p[list(OUT)[i]], 7 * i);
    }
}

/* All frames of the failing chunk are the domain's again, the chunks before it are done. */
static void test_exchange_undo(void **state)
{
    struct xen_memory_exchange *x = exchange(8, 0, 2, 2);

    (void)state;
    fake_give(1, 100, 8);
    for (uint64_t i = 0; i < 8; i++) {
        list(LIST)[i] = 100 + i;
    }
    list(OUT)[0] = list(OUT)[1] = 0;
    fake.heap_fail = 2;
    assert_int_equal(op(1, XENMEM_exchange), -ENOMEM);
    assert_int_equal(x->nr_exchanged, 4);
    assert_int_equal(fake.dom[1].owned_frames, 8);
    assert_int_equal(fake.heap_owned, 8); /* what is taken is counted: nobody fills its place */
    assert_int_equal(fake.heap_reserved, 0);
    for (uint64_t i = 104; i < 108; i++) {
        assert_int_equal(frame_word(&frame_table[i]), FW_RAM | FW_REF);
    }
    /* In use, as a mapping would be. */
    atomic_fetch_add(&frame_table[106].word, FW_REF);
    assert_int_equal(op(1, XENMEM_exchange), -EINVAL);
    assert_int_equal(fake.dom[1].owned_frames, 8);
    assert_int_equal(frame_word(&frame_table[104]), FW_RAM | FW_REF);
    /* The same frame twice. */
    atomic_fetch_sub(&frame_table[106].word, FW_REF);
    list(LIST)[7] = 104;
    assert_int_equal(op(1, XENMEM_exchange), -EINVAL);
    assert_int_equal(fake.dom[1].owned_frames, 8);
    list(LIST)[7] = 107;
    assert_int_equal(op(1, XENMEM_exchange), 0);
    assert_int_equal(x->nr_exchanged, 8);
}

static void test_exchange_at_the_limit(void **state)
{
    (void)state;
    exchange(8, 0, 1, 3);
    fake_give(1, 100, 8);
    atomic_store(&fake.dom[1].max_frames, 8);
    for (uint64_t i = 0; i < 8; i++) {
        list(LIST)[i] = 100 + i;
    }
    assert_int_equal(op(1, XENMEM_exchange), 0);
    assert_int_equal(fake.dom[1].owned_frames, 8);
    assert_int_equal(fake.heap_reserved, 0);
}

static void test_exchange_yields(void **state)
{
    struct xen_memory_exchange *x = exchange(8, 0, 8, 0);
    uint64_t cmd = XENMEM_exchange;
    unsigned int rounds = 0;

    (void)state;
    fake_give(1, 100, 8);
    for (uint64_t i = 0; i < 8; i++) {
        list(LIST)[i] = 100 + i;
        list(OUT)[i] = i;
    }
    for (fake.preempt_at = 1; once(1, &cmd) == HC_AGAIN; fake.preempt_at = 1) {
        rounds++;
        assert_int_equal(x->nr_exchanged, rounds);
    }
    assert_int_equal(rounds, 7);
    assert_int_equal(x->nr_exchanged, 8);
}

static void test_exchange_refused(void **state)
{
    (void)state;
    fake_give(1, 100, 8);
    exchange(8, 0, 1, 2);
    assert_int_equal(op(1, XENMEM_exchange), -EINVAL); /* not as much out as in */
    exchange(1, 10, 1024, 0);
    assert_int_equal(op(1, XENMEM_exchange), -EPERM); /* too large for one step */
    assert_int_equal(op(0, XENMEM_exchange), -EPERM);
    exchange(UINT64_C(1) << 60, 4, 0, 0);
    assert_int_equal(op(1, XENMEM_exchange), -EINVAL); /* would wrap */
    exchange(2, 0, 2, 0)->nr_exchanged = 3;
    assert_int_equal(op(1, XENMEM_exchange), -EINVAL);
    exchange(8, 0, 1, 3)->nr_exchanged = 3;
    assert_int_equal(op(1, XENMEM_exchange), -EINVAL); /* in the middle of a chunk */
    exchange(1, 0, 1, 0)->in.domid = 0;
    assert_int_equal(op(1, XENMEM_exchange), -EINVAL); /* of two domains */
    struct xen_memory_exchange *x = exchange(1, 0, 1, 0);
    x->in.domid = x->out.domid = 0;
    assert_int_equal(op(1, XENMEM_exchange), -EPERM);
    x = exchange(1, 0, 1, 0);
    x->in.extent_start.va = 64;
    assert_int_equal(op(1, XENMEM_exchange), -EFAULT);
    assert_int_equal(x->nr_exchanged, 0);
    assert_int_equal(fake.dom[1].owned_frames, 8);
    atomic_store(&fake.dom[1].life, DL_DYING);
    exchange(1, 0, 1, 0);
    list(LIST)[0] = 100;
    assert_int_equal(op(1, XENMEM_exchange), -EINVAL);
    assert_int_equal(fake.dom[1].owned_frames, 8);
}

static void test_figures(void **state)
{
    struct xen_memory_domain target = { DOMID_SELF };

    (void)state;
    fake_give(1, 16, 5);
    fake.shared[1].arch.max_pfn = 500;
    fake_put(0, &target, sizeof(target));
    assert_int_equal(op(1, XENMEM_current_reservation), 5);
    assert_int_equal(op(1, XENMEM_maximum_reservation), 2048);
    atomic_store(&fake.dom[1].max_frames, UINT64_MAX);
    assert_int_equal(op(1, XENMEM_maximum_reservation), INT64_MAX); /* no error number */
    assert_int_equal(op(1, XENMEM_maximum_gpfn), 499);
    fake.shared[1].arch.max_pfn = UINT64_MAX;
    assert_int_equal(op(1, XENMEM_maximum_gpfn), 0);
    target.domid = 0;
    fake_put(0, &target, sizeof(target));
    assert_int_equal(op(1, XENMEM_current_reservation), -EPERM);
    target.domid = 4;
    fake_put(0, &target, sizeof(target));
    assert_int_equal(op(0, XENMEM_current_reservation), -ESRCH);
    assert_int_equal(op(0, XENMEM_maximum_ram_page), FAKE_FRAMES);
    assert_int_equal(op(0, XENMEM_get_sharing_freed_pages), 0);
    assert_int_equal(op(0, XENMEM_add_to_physmap), -EOPNOTSUPP);
    assert_int_equal(op(0, 8), -ENOSYS);
    assert_int_equal(op(0, 63), -ENOSYS);
}

static void test_claim(void **state)
{
    struct xen_memory_reservation r = { { 0 }, 500, 0, 0, 1 };

    (void)state;
    fake_put(0, &r, sizeof(r));
    assert_int_equal(op(0, XENMEM_claim_pages), 0);
    assert_int_equal(fake.claim, 500);
    assert_int_equal(op(1, XENMEM_claim_pages), -EPERM);
    r.extent_order = 1;
    fake_put(0, &r, sizeof(r));
    assert_int_equal(op(0, XENMEM_claim_pages), -EINVAL);
    r = (struct xen_memory_reservation){ { 0 }, 5000, 0, 0, 1 };
    fake_put(0, &r, sizeof(r));
    assert_int_equal(op(0, XENMEM_claim_pages), -ENOMEM);
}

static int64_t acquire(unsigned int caller, struct xen_mem_acquire_resource r)
{
    fake_put(0, &r, sizeof(r));
    return op(caller, XENMEM_acquire_resource);
}

static void test_acquire_resource(void **state)
{
    struct xen_mem_acquire_resource r = {
        .domid = 1, .type = 1, .nr_frames = 40, .frame = 2, .frame_list = { LIST }
    };
    struct xen_mem_acquire_resource bad = r;

    (void)state;
    fake.preempt_at = 1;
    assert_int_equal(acquire(0, r), 0);
    for (uint64_t i = 0; i < 40; i++) {
        assert_int_equal(list(LIST)[i], 3002 + i);
    }
    assert_int_equal(acquire(1, r), -EPERM);
    bad.domid = 0;
    assert_int_equal(acquire(1, bad), -EPERM);
    bad.domid = 4;
    assert_int_equal(acquire(0, bad), -ESRCH);
    bad = r;
    bad.nr_frames = 63;
    assert_int_equal(acquire(0, bad), -EINVAL);
    bad.frame = UINT64_MAX;
    assert_int_equal(acquire(0, bad), -EINVAL);
    bad = r;
    bad.pad = 1;
    assert_int_equal(acquire(0, bad), -EINVAL);
    bad = r;
    bad.id = 1;
    assert_int_equal(acquire(0, bad), -EINVAL);
    bad = r;
    bad.type = 0;
    assert_int_equal(acquire(0, bad), -EOPNOTSUPP);
    bad = (struct xen_mem_acquire_resource){ .domid = 1, .type = 1 };
    assert_int_equal(acquire(0, bad), 0);
    assert_int_equal(((struct xen_mem_acquire_resource *)fake_at(ARG))->nr_frames, 64);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_populate),
        TEST(test_populate_stops),
        TEST(test_untold),
        TEST(test_list_refused),
        TEST(test_populate_yields),
        TEST(test_increase),
        TEST(test_decrease),
        TEST(test_decrease_in_use),
        TEST(test_exchange_to_contiguous),
        TEST(test_exchange_to_scattered),
        TEST(test_exchange_undo),
        TEST(test_exchange_at_the_limit),
        TEST(test_exchange_yields),
        TEST(test_exchange_refused),
        TEST(test_figures),
        TEST(test_claim),
        TEST(test_acquire_resource),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
