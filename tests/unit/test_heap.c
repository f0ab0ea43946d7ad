/* SPDX-License-Identifier: MIT */
/* The heap, claims, pools and the boot allocator: sizes, alignment, limits, contents, and that all
 * comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "abi/errno.h"
#include "arch/host/machine.h"
#include "mm/audit.h"
#include "mm/heap.h"
#include "mm/pool.h"
#include "port/mmu.h"
#include "tests/unit/mm_kit.h"

#define FRAMES 4096u

/* All of memory in pieces of every size, and back: as much as before, and in one piece again. */
static void test_all_sizes(void **state)
{
    static void *got[FRAMES];
    uint64_t before = heap_free_frames();

    (void)state;
    for (unsigned int order = 0; order < 9; order++) {
        unsigned int n = 0;
        while ((got[n] = heap_alloc(order, HEAP_ANY)) != NULL) {
            uint64_t mfn = port_va_mfn(got[n]).n;
            assert_int_equal(mfn & ((1u << order) - 1), 0);
            for (unsigned int i = 0; i < 1u << order; i++) {
                assert_non_null(frame_of(MFN(mfn + i))); /* no holes */
            }
            memset(got[n], 0xaa, PAGE_SIZE << order);
            n++;
        }
        assert_int_equal(heap_free_frames() + ((uint64_t)n << order), before);
        assert_true(order > 0 || heap_free_frames() == 0);
        for (unsigned int odd = 0; odd < 2; odd++) {
            for (unsigned int i = odd; i < n; i += 2) {
                heap_free(got[i], order); /* with gaps between, then the gaps */
            }
        }
        assert_int_equal(heap_free_frames(), before);
        void *big = heap_alloc(10, HEAP_NOSCRUB);
        assert_non_null(big);
        heap_free(big, 10);
    }
    assert_null(heap_alloc(HEAP_MAX_ORDER, HEAP_ANY));
    assert_null(heap_alloc(HEAP_MAX_ORDER + 1, HEAP_ANY));
    assert_int_equal(heap_free_frames(), before);
}

static void test_cleared(void **state)
{
    unsigned char *p = heap_alloc(2, HEAP_ANY);

    (void)state;
    memset(p, 0x5a, 4 * PAGE_SIZE);
    heap_free(p, 2);
    for (unsigned int tries = 0; tries < 8; tries++) {
        p = heap_alloc(tries % 3, HEAP_ANY);
        assert_non_null(p);
        for (unsigned int i = 0; i < PAGE_SIZE << (tries % 3); i++) {
            assert_int_equal(p[i], 0);
        }
        memset(p, 0x5a, PAGE_SIZE << (tries % 3));
        heap_free(p, tries % 3);
    }
}

/* Addresses below a limit in bits; without one the top is taken first. */
static void test_below(void **state)
{
    void *low[16];

    (void)state;
    void *p = heap_alloc(0, HEAP_ANY);
    assert_true(port_va_mfn(p).n > FRAMES / 2);
    heap_free(p, 0);
    for (unsigned int bits = 13; bits < 24; bits++) {
        p = heap_alloc(0, HEAP_BELOW(bits));
        assert_non_null(p);
        assert_true(port_va_mfn(p).n < UINT64_C(1) << (bits - PAGE_SHIFT));
        heap_free(p, 0);
    }
    assert_null(heap_alloc(0, HEAP_BELOW(12)));
    assert_null(heap_alloc(4, HEAP_BELOW(16))); /* frames 1-15: no aligned block of 16 */
    unsigned int n = 0;
    while (n < 16 && (low[n] = heap_alloc(0, HEAP_BELOW(15))) != NULL) {
        n++;
    }
    assert_int_equal(n, 7); /* 1-7: frame 0 is never given out */
    while (n > 0) {
        heap_free(low[--n], 0);
    }
}

static void test_domain_limit(void **state)
{
    struct domain *d = host_domain(1, 10, false);
    struct frame *f;

    (void)state;
    assert_null(heap_alloc_domain(d, 4, HEAP_ANY, M2P_INVALID));
    assert_int_equal(d->owned_frames, 0);
    f = heap_alloc_domain(d, 3, HEAP_ANY, M2P_INVALID);
    assert_non_null(f);
    assert_int_equal(d->owned_frames, 8);
    for (unsigned int i = 0; i < 8; i++) {
        assert_ptr_equal(f[i].owner, d);
        assert_int_equal(kit_refs(&f[i]), 1);
    }
    assert_null(heap_alloc_domain(d, 2, HEAP_ANY, M2P_INVALID));
    assert_non_null(heap_alloc_domain(d, 1, HEAP_ANY, M2P_INVALID));
    assert_null(heap_alloc_domain(d, 0, HEAP_ANY, M2P_INVALID));
    atomic_store(&d->max_frames, 4);
    assert_null(heap_alloc_domain(d, 0, HEAP_ANY, M2P_INVALID)); /* a limit below what it has */
    audit_all(NULL);
    assert_int_equal(frame_release(&f[3], d), 0);
    assert_int_equal(d->owned_frames, 9);
    atomic_store(&d->max_frames, 10);
    atomic_store(&d->life, DL_DYING);
    assert_null(heap_alloc_domain(d, 0, HEAP_ANY, M2P_INVALID));
    atomic_store(&d->life, DL_ALIVE);
    host_domain_end(d);
    audit_all(NULL);
}

static unsigned int m2p_writes;

/* Nobody can give up a frame of the domain while its entry is being written. */
static void under_lock(mfn_t mfn)
{
    const struct domain *d = frame_table[mfn.n].owner;

    assert_non_null(d);
    assert_int_equal(atomic_load(&d->pages_lock.next), atomic_load(&d->pages_lock.now) + 1);
    m2p_writes++;
}

static void test_domain_m2p(void **state)
{
    struct domain *d = host_domain(1, 10, false);

    (void)state;
    m2p_writes = 0;
    host_hooks.m2p = under_lock;
    struct frame *f = heap_alloc_domain(d, 2, HEAP_ANY, 70);
    struct frame *none = heap_alloc_domain(d, 0, HEAP_ANY, M2P_INVALID);
    struct frame *late = heap_reserve(1, HEAP_ANY);
    assert_non_null(f);
    assert_non_null(none);
    assert_non_null(late);
    assert_int_equal(m2p_writes, 5);
    heap_own(late, 1, d, 80);
    d->owned_frames += 2;
    host_hooks.m2p = NULL;
    assert_int_equal(m2p_writes, 7);
    for (unsigned int i = 0; i < 4; i++) {
        assert_int_equal(port_m2p_get(frame_mfn(f + i)), 70 + i);
    }
    assert_int_equal(port_m2p_get(frame_mfn(none)), M2P_INVALID);
    assert_int_equal(port_m2p_get(frame_mfn(late)), 80);
    assert_int_equal(port_m2p_get(frame_mfn(late + 1)), 81);
    host_domain_end(d);
    assert_int_equal(port_m2p_get(frame_mfn(f)), M2P_INVALID);
    audit_all(NULL);
}

/* What a guest asks not to clear is cleared all the same. */
static void test_domain_contents(void **state)
{
    struct domain *d = host_domain(1, 10, false);
    unsigned char *p = heap_alloc(3, HEAP_ANY);

    (void)state;
    memset(p, 0x77, 8 * PAGE_SIZE);
    heap_free(p, 3);
    struct frame *f = heap_alloc_domain(d, 3, HEAP_NOSCRUB, M2P_INVALID);
    p = port_frame_va(frame_mfn(f));
    for (unsigned int i = 0; i < 8 * PAGE_SIZE; i++) {
        assert_int_equal(p[i], 0);
    }
    /* its number is nobody's any more once it is free */
    port_m2p_set(frame_mfn(f), 1234);
    assert_int_equal(frame_release(f, d), 0);
    assert_true(port_m2p_get(frame_mfn(f)) == M2P_INVALID);
    host_domain_end(d);
}

/* Domain 0 is built without clearing a gigabyte; from its first context on it is as any other. */
static void test_dom0_contents(void **state)
{
    struct domain *d = host_domain(1, 20, true);
    unsigned char *p = heap_alloc(3, HEAP_ANY);

    (void)state;
    memset(p, 0x77, 8 * PAGE_SIZE);
    heap_free(p, 3);
    d->is_loading = true;
    struct frame *f = heap_alloc_domain(d, 3, HEAP_NOSCRUB, M2P_INVALID);
    p = port_frame_va(frame_mfn(f));
    assert_int_equal(p[0], 0x77);
    assert_int_equal(p[8 * PAGE_SIZE - 1], 0x77);
    for (unsigned int i = 0; i < 8; i++) {
        assert_int_equal(frame_release(f + i, d), 0);
    }
    d->is_loading = false;
    f = heap_alloc_domain(d, 3, HEAP_NOSCRUB, M2P_INVALID);
    p = port_frame_va(frame_mfn(f));
    assert_int_equal(p[0], 0);
    assert_int_equal(p[8 * PAGE_SIZE - 1], 0);
    host_domain_end(d);
}

static void test_claims(void **state)
{
    struct domain *a = host_domain(1, FRAMES, false);
    struct domain *b = host_domain(1, FRAMES, false);
    uint64_t free = heap_free_frames();

    (void)state;
    assert_int_equal(heap_claim(a, free + 1), -ENOMEM);
    assert_int_equal(heap_claim(a, 100), 0);
    assert_int_equal(heap_claim(a, 200), -EINVAL); /* one at a time */
    assert_int_equal(heap_claimed_frames(), 100);
    assert_int_equal(heap_free_frames(), free);
    assert_int_equal(heap_claim(b, free - 99), -ENOMEM);
    assert_int_equal(heap_claim(b, free - 100), 0);
    assert_null(heap_alloc(0, HEAP_ANY)); /* all is promised */
    assert_non_null(heap_alloc_domain(a, 3, HEAP_ANY, M2P_INVALID));
    assert_int_equal(heap_claimed_frames(), free - 8);
    assert_int_equal(heap_claim(b, 0), 0);
    assert_int_equal(heap_claimed_frames(), 92);
    assert_int_equal(heap_claim(b, 0), 0);
    assert_int_equal(heap_claim(a, 0), 0);
    assert_int_equal(heap_claim(a, 8), -EINVAL); /* has them already */
    atomic_store(&a->max_frames, 20);
    assert_int_equal(heap_claim(a, 21), -EINVAL);
    assert_int_equal(heap_claimed_frames(), 0);
    host_domain_end(a);
    host_domain_end(b);
    audit_all(NULL);
}

/* The hypervisor's frame in a guest: it lives until both have let go. */
static void test_shared(void **state)
{
    struct domain *d = host_domain(1, 10, false);
    uint64_t owned = d->owned_frames;
    struct frame *f = heap_alloc_shared(d);

    (void)state;
    assert_int_equal(d->owned_frames, owned);
    audit_all(NULL);
    assert_int_equal(frame_release(f, d), -EINVAL); /* not the guest's to give up */
    assert_int_equal(frame_take(f, d), -EINVAL);
    assert_int_equal(frame_get_writable(f, d), 0);
    uint64_t free = heap_free_frames();
    heap_free_shared(f);
    assert_int_equal(heap_free_frames(), free);
    frame_put_writable(f);
    assert_int_equal(heap_free_frames(), free + 1);
    assert_int_equal(d->owned_frames, owned);
    host_domain_end(d);
    audit_all(NULL);
}

struct thing {
    uint64_t a[5];
};

static void test_pool(void **state)
{
    static struct pool p = POOL("things", struct thing);
    static struct thing *got[1000];
    uint64_t free = heap_free_frames();

    (void)state;
    for (unsigned int i = 0; i < 1000; i++) {
        got[i] = pool_alloc(&p);
        assert_non_null(got[i]);
        assert_int_equal((uintptr_t)got[i] % 16, 0);
        assert_int_equal(got[i]->a[0] | got[i]->a[4], 0);
        memset(got[i], 0xff, sizeof *got[i]);
    }
    assert_int_equal(p.live, 1000);
    for (unsigned int i = 1; i < 1000; i++) {
        for (unsigned int k = 0; k < 5; k++) {
            assert_true(got[i]->a[k] == ~UINT64_C(0));
        }
    }
    for (unsigned int i = 0; i < 1000; i++) {
        pool_free(&p, got[i]);
    }
    assert_int_equal(p.live, 0);
    assert_int_equal(heap_free_frames(), free); /* all frames are back */
    for (unsigned int i = 0; i < 1000; i++) {
        got[i] = pool_alloc(&p);
        assert_int_equal(got[i]->a[0] | got[i]->a[1], 0);
    }
    /* Whatever the order in which they come back, and however often a frame fills and empties. */
    for (unsigned int n = 0; n < 5000; n++) {
        unsigned int i = (n * 7919u) % 1000;
        pool_free(&p, got[i]);
        got[i] = NULL;
        if (n % 3 == 0) {
            unsigned int k = (n * 104729u + 5) % 1000;
            if (got[k] != NULL) {
                pool_free(&p, got[k]);
            }
            got[k] = pool_alloc(&p);
        }
        got[i] = got[i] != NULL ? got[i] : pool_alloc(&p);
        assert_non_null(got[i]);
    }
    assert_int_equal(p.live, 1000);
    for (unsigned int i = 0; i < 1000; i++) {
        pool_free(&p, got[i]);
    }
    assert_int_equal(heap_free_frames(), free);
}

static int setup(void **state)
{
    (void)state;
    kit_machine(FRAMES, 1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_sizes),     cmocka_unit_test(test_cleared),
        cmocka_unit_test(test_below),         cmocka_unit_test(test_domain_limit),
        cmocka_unit_test(test_domain_m2p),    cmocka_unit_test(test_domain_contents),
        cmocka_unit_test(test_dom0_contents), cmocka_unit_test(test_claims),
        cmocka_unit_test(test_shared),        cmocka_unit_test(test_pool),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
