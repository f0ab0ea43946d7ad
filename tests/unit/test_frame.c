/* SPDX-License-Identifier: MIT */
/* References and types of frames: every pair of uses, owners, overflow, giving up, and what is
 * flushed when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "abi/errno.h"
#include "arch/host/machine.h"
#include "mm/audit.h"
#include "mm/heap.h"
#include "port/mmu.h"
#include "tests/unit/mm_kit.h"

static struct domain *d, *other;

static struct frame *fresh(void)
{
    struct frame *f = heap_alloc_domain(d, 0, HEAP_ANY, M2P_INVALID);

    assert_non_null(f);
    return f;
}

static void done(struct frame *f)
{
    assert_int_equal(frame_release(f, d), 0);
    audit_all(NULL);
}

static void test_references(void **state)
{
    struct frame *f = fresh();

    (void)state;
    assert_int_equal(kit_refs(f), 1);
    assert_int_equal(frame_get(f, other), -EINVAL);
    assert_int_equal(frame_get(f, NULL), -EINVAL);
    assert_int_equal(kit_refs(f), 1);
    assert_int_equal(frame_get(f, d), 0);
    assert_int_equal(kit_refs(f), 2);
    frame_put(f);
    assert_int_equal(frame_get_writable(f, other), -EINVAL);
    assert_int_equal(kit_type_refs(f), 0);
    assert_int_equal(frame_get_writable(f, d), 0);
    assert_int_equal(kit_refs(f), 2);
    assert_int_equal(kit_type_refs(f), 1);
    frame_put_writable(f);
    assert_int_equal(kit_refs(f), 1);
    assert_int_equal(kit_type_refs(f), 0);
    done(f);
    assert_int_equal(kit_refs(f), 0);
    assert_int_equal(frame_get(f, d), -EINVAL);
    assert_int_equal(frame_get_writable(f, d), -EINVAL);
    assert_int_equal(frame_release(f, d), -EINVAL);
}

/* Nobody can take a reference to what the hypervisor uses itself, not even for a moment. */
static void test_hypervisor_frame(void **state)
{
    void *va = heap_alloc(0, HEAP_ANY);
    struct frame *f = frame_of(port_va_mfn(va));

    (void)state;
    assert_int_equal(frame_word(f), FW_HYPERVISOR);
    assert_int_equal(frame_get(f, d), -EINVAL);
    assert_int_equal(frame_get_writable(f, d), -EINVAL);
    assert_int_equal(frame_get(f, NULL), -EINVAL); /* its count is full, whoever asks */
    assert_int_equal(frame_get_writable(f, NULL), -EINVAL);
    assert_int_equal(frame_word(f), FW_HYPERVISOR);
    heap_free(va, 0);
}

/* A count that is full takes no more, and does not run into its neighbour. */
static void test_overflow(void **state)
{
    struct frame *f = fresh();

    (void)state;
    atomic_fetch_add(&f->word, FW_REFS_MASK - 1);
    assert_int_equal(kit_refs(f), FW_REFS_MASK);
    assert_int_equal(frame_get(f, d), -EINVAL);
    assert_int_equal(frame_get_writable(f, d), -EINVAL);
    assert_int_equal(kit_type_refs(f), 0);
    assert_int_equal(kit_refs(f), FW_REFS_MASK);
    atomic_fetch_sub(&f->word, FW_REFS_MASK - 1);
    done(f);
}

/* For every type in use: writable only if it is writable. */
static void test_conflicts(void **state)
{
    (void)state;
    for (unsigned int t = FT_PT1; t <= FT_DESC; t++) {
        struct frame *f = fresh();
        uint64_t was = frame_word(f);
        uint64_t typed = was | FW_TYPE(t) | FW_VALID;

        atomic_store(&f->word, typed + FW_TREF + FW_REF);
        assert_int_equal(frame_get_writable(f, d), -EBUSY);
        assert_int_equal(frame_word(f), typed + FW_TREF + FW_REF);
        atomic_store(&f->word, ((typed & ~FW_VALID) | FW_PARTIAL) + FW_TREF + FW_REF);
        assert_int_equal(frame_get_writable(f, d), -EAGAIN);
        assert_int_equal(frame_get(f, d), 0); /* to look at it is always allowed */
        frame_put(f);
        /* the last use is gone: it may become writable, and caches are flushed first */
        atomic_store(&f->word, was | FW_TYPE(t));
        f->stamp = port_tlb_stamp();
        uint64_t flushes = host_flush_count;
        assert_int_equal(frame_get_writable(f, d), 0);
        assert_true(host_flush_count > flushes);
        assert_int_equal(frame_word_type(frame_word(f)), FT_WRITABLE);
        assert_int_equal(frame_word(f) & FW_SETTLING, 0);
        frame_put_writable(f);
        /* writable again at once: nothing to flush */
        flushes = host_flush_count;
        assert_int_equal(frame_get_writable(f, d), 0);
        assert_int_equal(host_flush_count, flushes);
        frame_put_writable(f);
        done(f);
    }
}

static struct frame *meant;
static bool was_writable;
static uint32_t gone_at; /* clock when the other use of `meant` ended; 0: it did not come about */

/* Another cpu, just after the clock was read: flushes, maps the frame and unmaps it again. */
static void use_meanwhile(void)
{
    host_hooks.stamp = NULL;
    gone_at = 0;
    port_tlb_flush_local();
    if ((frame_word(meant) & FW_SETTLING) != 0) {
        return; /* it waits until that is over */
    }
    if (was_writable ? frame_get_writable(meant, d) == 0 : frame_get(meant, d) == 0) {
        gone_at = port_tlb_stamp();
        (was_writable ? frame_put_writable : frame_put)(meant);
    }
}

/*
 * The stamp of a use that ends is not older than the end of any other, though another cpu takes
 * and drops one between the reading of the clock and the drop, and leaves the word as it was.
 */
static void test_stamps(void **state)
{
    (void)state;
    for (unsigned int writable = 0; writable < 2; writable++) {
        for (unsigned int how = 0; how < 2; how++) {
            struct frame *f = fresh();
            bool is_taken = how == 1 && writable == 0;

            meant = f;
            was_writable = writable != 0;
            if (writable != 0) {
                assert_int_equal(frame_get_writable(f, d), 0);
                /* one holder of the reference for each use, so that only types come and go */
                assert_int_equal(frame_get(f, d), 0);
            }
            host_hooks.stamp = use_meanwhile;
            if (writable != 0) {
                (how == 0 ? frame_put_writable : frame_put_writable_last)(f);
                frame_put(f);
                assert_int_equal(frame_release(f, d), 0);
            } else {
                assert_int_equal(is_taken ? frame_take(f, d) : frame_release(f, d), 0);
            }
            assert_null(host_hooks.stamp);
            assert_true(f->stamp >= gone_at);
            if (is_taken) {
                frame_free_taken(f, d);
            }
            audit_all(NULL);
        }
    }
}

static void test_release(void **state)
{
    struct frame *f = fresh();
    uint64_t owned = d->owned_frames;

    (void)state;
    assert_int_equal(frame_release(f, other), -EINVAL);
    assert_int_equal(frame_get(f, d), 0);
    assert_int_equal(frame_release(f, d), 0);
    assert_int_equal(frame_release(f, d), -EINVAL); /* only once */
    assert_int_equal(frame_take(f, d), -EINVAL);
    assert_int_equal(d->owned_frames, owned); /* counted as long as it is used */
    assert_ptr_equal(f->owner, d);
    frame_put(f);
    assert_null(f->owner);
    assert_int_equal(d->owned_frames, owned - 1);

    f = fresh();
    atomic_fetch_or(&f->word, FW_PINNED);
    assert_int_equal(frame_release(f, d), -EBUSY);
    atomic_fetch_and(&f->word, ~FW_PINNED);
    done(f);
}

static void test_take(void **state)
{
    struct frame *f = fresh();
    uint64_t owned = d->owned_frames;

    (void)state;
    assert_int_equal(frame_take(f, other), -EINVAL);
    assert_int_equal(frame_get(f, d), 0);
    assert_int_equal(frame_take(f, d), -EINVAL); /* somebody uses it */
    frame_put(f);
    assert_int_equal(frame_take(f, d), 0);
    assert_int_equal(d->owned_frames, owned);   /* its place is kept for what replaces it */
    assert_int_equal(frame_get(f, d), -EINVAL); /* nobody can get at it */
    assert_int_equal(frame_release(f, d), -EINVAL);
    assert_int_equal(frame_take(f, d), -EINVAL);
    frame_untake(f, d);
    assert_int_equal(d->owned_frames, owned);
    audit_all(NULL);
    assert_int_equal(frame_take(f, d), 0);
    uint64_t max = atomic_load(&d->max_frames);
    atomic_store(&d->max_frames, d->owned_frames);
    assert_null(heap_alloc_domain(d, 0, HEAP_ANY, M2P_INVALID));
    struct frame *instead = heap_reserve(0, HEAP_ANY);
    assert_non_null(instead);
    assert_int_equal(frame_get(instead, NULL), -EINVAL); /* nobody can name it yet */
    assert_int_equal(frame_get(instead, d), -EINVAL);
    heap_own(instead, 0, d, M2P_INVALID);
    assert_int_equal(frame_get(instead, d), 0);
    frame_put(instead);
    atomic_store(&d->max_frames, max);
    uint64_t free = heap_free_frames();
    frame_free_taken(f, d);
    assert_int_equal(heap_free_frames(), free + 1);
    assert_int_equal(d->owned_frames, owned);
    done(instead);
}

/* The last frame of a domain: its list empties and fills again, and the domain lives on. */
static void test_empty_list(void **state)
{
    struct domain *e = host_domain(1, 2, false);

    (void)state;
    assert_non_null(e);
    struct frame *f = heap_alloc_domain(e, 0, HEAP_ANY, M2P_INVALID);
    assert_non_null(f);
    uint32_t refs = atomic_load(&e->refs);
    assert_int_equal(frame_take(f, e), 0);
    assert_int_equal(e->page_head, 0);
    assert_int_equal(atomic_load(&e->refs), refs);
    frame_untake(f, e);
    assert_int_equal(atomic_load(&e->refs), refs);
    assert_int_equal(frame_release(f, e), 0);
    assert_int_equal(atomic_load(&e->refs), refs - 1);
    host_domain_end(e);
    audit_all(NULL);
}

/* Numbers that are no RAM have no frame. */
static void test_numbers(void **state)
{
    (void)state;
    assert_null(frame_of(INVALID_MFN));
    assert_null(frame_of(MFN(frame_limit)));
    assert_null(frame_of(MFN(frame_limit - frame_limit / 8)));
    assert_null(frame_of(MFN(frame_limit - frame_limit / 16 - 1)));
    assert_non_null(frame_of(MFN(frame_limit - frame_limit / 16)));
    assert_non_null(frame_of(MFN(frame_limit - 1)));
    assert_non_null(frame_of(MFN(1)));
}

static int setup(void **state)
{
    (void)state;
    kit_machine(2048, 2);
    d = host_domain(1, 64, false);
    other = host_domain(1, 64, false);
    if (d == NULL || other == NULL) {
        return 1;
    }
    host_load(d->vcpu[0]); /* its translations are in this cpu's cache */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_hypervisor_frame),
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_stamps),
        cmocka_unit_test(test_release),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_empty_list),
        cmocka_unit_test(test_numbers),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
