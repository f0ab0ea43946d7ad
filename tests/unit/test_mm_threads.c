/* SPDX-License-Identifier: MIT */
/*
 * The vcpus of one domain and a control domain at work on the same tables and frames at once, each
 * a thread: level-1 entries under the table's lock bit, walks under the domain's lock, frames that
 * come and go, and memory accesses that look, each time, whether what the translation cache still
 * holds may be used.  In the end all counts must be right.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "abi/errno.h"
#include "arch/host/machine.h"
#include "mm/heap.h"
#include "port/mmu.h"
#include "port/cpu.h"
#include "tests/unit/mm_kit.h"

#define THREADS 4u
#define POOL    12u
#define ROUNDS  (300000u / THREAD_SHARE)

static struct kit_guest g, control;
static _Atomic(struct frame *) pool[POOL];
static struct frame *l4[2], *l3, *l2, *l1; /* a second tree, shared below two roots */
static _Atomic uint64_t good;

static uint32_t next(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 8;
}

static struct frame *any(uint32_t *x)
{
    uint32_t r = next(x) % (POOL + 4);
    struct frame *const tables[4] = { g.l1, l1, l2, l4[0] };

    return r < POOL ? atomic_load(&pool[r]) : tables[r - POOL];
}

static void map_something(uint32_t *x, uint64_t va)
{
    static const uint64_t flags[] = { K_RW, K_RO, U_RW, 0 };
    struct frame *f = any(x);

    good += kit_update_va(va, kit_pte(f, flags[next(x) & 3]), next(x) & UVMF_INVLPG) == 0;
}

static void table_something(uint32_t *x)
{
    static const uint32_t cmds[] = { MMUEXT_PIN_L2_TABLE,     MMUEXT_UNPIN_TABLE,
                                     MMUEXT_PIN_L1_TABLE,     MMUEXT_UNPIN_TABLE,
                                     MMUEXT_NEW_USER_BASEPTR, MMUEXT_PIN_L3_TABLE };
    unsigned int what = next(x) % 6;
    struct frame *f = what == 4 ? l4[next(x) & 1] : what == 0 ? l2 : what == 5 ? l3 : any(x);

    good += kit_mmuext(cmds[what], frame_mfn(f).n, 0) == 0;
    if (what == 4 && (next(x) & 1) != 0) {
        good += kit_mmuext(MMUEXT_NEW_USER_BASEPTR, 0, 0) == 0;
    }
}

/* A table of the pool below a level-2 entry, and away again. */
static void link_something(uint32_t *x)
{
    struct frame *f = any(x);
    unsigned int slot = 20 + next(x) % 4;

    good += kit_mmu_update(kit_maddr(g.l2, slot), next(x) & 1 ? kit_pte(f, TAB) : 0) == 0;
    good += kit_mmu_update(kit_maddr(f, 200 + slot), kit_pte(any(x), K_RW)) == 0;
}

static void swap_frame(uint32_t *x)
{
    unsigned int i = next(x) % POOL;
    struct frame *f = atomic_load(&pool[i]);
    struct frame *fresh = heap_alloc_domain(g.d, 0, HEAP_ANY, M2P_INVALID);

    if (fresh == NULL) {
        return;
    }
    if (!atomic_compare_exchange_strong(&pool[i], &f, fresh)) {
        f = fresh;
    }
    if (frame_release(f, g.d) == -EBUSY) {
        /* Pinned: somebody unpins it, or the domain's end does. */
        good++;
    }
}

static void touch(uint32_t *x, struct vcpu *v, uint64_t base)
{
    uint64_t val = 0; /* never a present entry, should it land in a table to be */

    for (unsigned int i = 0; i < 4; i++) {
        (void)host_access(v, base + (next(x) % 8) * PAGE_SIZE + 2048, next(x) & 1, &val);
    }
}

static void *work(void *arg)
{
    unsigned int cpu = (unsigned int)(uintptr_t)arg;
    struct vcpu *v = cpu == 3 ? control.v : g.d->vcpu[cpu];
    uint64_t base = KIT_VA + 100 * PAGE_SIZE;
    uint32_t x = cpu * 7919 + 1;

    host_cpu_enter(cpu);
    for (unsigned int i = 0; i < ROUNDS; i++) {
        if (cpu == 3) {
            /* The control domain maps and unmaps the guest's frames. */
            struct mmu_update u = { kit_maddr(control.l1, 100 + next(&x) % 8),
                                    next(&x) & 3 ? kit_pte(any(&x), next(&x) & 1 ? K_RW : K_RO)
                                                 : 0 };
            good += kit_call(hc_mmu_update, (uintptr_t)&u, 1, 0, g.d->id) == 0;
        } else {
            switch (next(&x) % 8) {
            case 0:
                table_something(&x);
                break;
            case 1:
                link_something(&x);
                break;
            case 2:
                swap_frame(&x);
                break;
            default:
                map_something(&x, base + (next(&x) % 8) * PAGE_SIZE);
                break;
            }
        }
        touch(&x, v, base);
    }
    return NULL;
}

static void test_all_at_once(void **state)
{
    pthread_t thread[THREADS];

    (void)state;
    kit_guest(&control, true, 1);
    host_load(NULL);
    kit_guest(&g, false, 3);
    for (unsigned int i = 0; i < POOL; i++) {
        pool[i] = kit_frame(&g);
    }
    /* Pinned frames leave the pool without being free: room must remain for the audit. */
    atomic_store(&g.d->max_frames, 600);
    l3 = kit_frame(&g);
    l2 = kit_frame(&g);
    l1 = kit_frame(&g);
    kit_poke(l3, 1, kit_pte(l2, TAB));
    kit_poke(l2, 1, kit_pte(l1, TAB));
    kit_poke(l1, 1, kit_pte(g.data[0], K_RW));
    for (unsigned int i = 0; i < 2; i++) {
        l4[i] = kit_frame(&g);
        kit_poke(l4[i], 1, kit_pte(l3, TAB));
    }
    host_load(NULL);
    for (unsigned int cpu = 0; cpu < THREADS; cpu++) {
        host_cpu_enter(cpu);
        host_load(cpu == 3 ? control.v : g.d->vcpu[cpu]);
        if (cpu < 3) {
            assert_int_equal(mm_set_root(g.d->vcpu[cpu], frame_mfn(g.l4), false), 0);
        }
    }
    host_inject_yields(5, 3);
    for (unsigned int cpu = 0; cpu < THREADS; cpu++) {
        assert_int_equal(pthread_create(&thread[cpu], NULL, work, (void *)(uintptr_t)cpu), 0);
    }
    for (unsigned int cpu = 0; cpu < THREADS; cpu++) {
        assert_int_equal(pthread_join(thread[cpu], NULL), 0);
    }
    host_inject_yields(0, 1);
    kit_audit();
    assert_true(good > ROUNDS / 4);
    for (unsigned int cpu = 0; cpu < THREADS; cpu++) {
        host_cpu_enter(cpu);
        host_load(NULL);
    }
    host_cpu_enter(0);
    host_domain_end(g.d);
    host_domain_end(control.d);
    kit_audit();
}

/* ---- a stranger's calls name frames that are not its own ---- */

#define STRANGER_ROUNDS (100000u / THREAD_SHARE)

static struct kit_guest owner, stranger;
static struct frame *table, *unused; /* of the owner: one is a page table now and then */
static atomic_bool is_over;
static _Atomic int wrong_line;
static _Atomic int64_t wrong_value;

/* In a thread nothing can be asserted: the first that is wrong is kept. */
static void must_be(int line, int64_t got, int64_t want)
{
    int none = 0;

    if (got != want && atomic_compare_exchange_strong(&wrong_line, &none, line)) {
        atomic_store(&wrong_value, got);
        atomic_store(&is_over, true);
    }
}

static void *own_work(void *arg)
{
    (void)arg;
    host_cpu_enter(0);
    for (unsigned int i = 0; i < STRANGER_ROUNDS && !atomic_load(&is_over); i++) {
        /* Nobody else uses these frames, so nothing is in the way, not even for a moment. */
        must_be(__LINE__, kit_mmuext(MMUEXT_PIN_L1_TABLE, frame_mfn(table).n, 0), 0);
        must_be(__LINE__, kit_mmuext(MMUEXT_UNPIN_TABLE, frame_mfn(table).n, 0), 0);
        must_be(__LINE__, kit_update_va(KIT_VA + 100 * PAGE_SIZE, kit_pte(table, K_RW), 0), 0);
        must_be(__LINE__, kit_update_va(KIT_VA + 100 * PAGE_SIZE, 0, UVMF_INVLPG), 0);
        must_be(__LINE__, frame_take(unused, owner.d), 0);
        frame_untake(unused, owner.d);
    }
    atomic_store(&is_over, true);
    return NULL;
}

static void *hypervisor_work(void *arg)
{
    (void)arg;
    host_cpu_enter(1);
    while (!atomic_load(&is_over)) {
        void *one = heap_alloc(0, HEAP_NOSCRUB);
        void *two = heap_alloc(1, HEAP_NOSCRUB);

        heap_free(one, 0);
        heap_free(two, 1);
    }
    return NULL;
}

static void *strange_work(void *arg)
{
    const uint64_t targets[] = { frame_mfn(table).n, frame_mfn(unused).n };
    uint32_t x = 7;

    (void)arg;
    host_cpu_enter(2);
    while (!atomic_load(&is_over)) {
        uint32_t r = next(&x);
        uint64_t mfn = r & 1 ? targets[(r >> 1) & 1] : 1 + (r >> 2) % (frame_limit - 1);
        struct frame *f = frame_of(MFN(mfn));
        if (f == NULL || frame_owner(f) == stranger.d) {
            continue;
        }
        struct mmu_update u[3] = { { mfn << PAGE_SHIFT | MMU_MACHPHYS_UPDATE, 1 },
                                   { mfn << PAGE_SHIFT, 1 },
                                   { kit_maddr(stranger.l1, 100), mfn << PAGE_SHIFT | K_RW } };
        for (unsigned int i = 0; i < 3; i++) {
            must_be(__LINE__, kit_call(hc_mmu_update, (uintptr_t)&u[i], 1, 0, DOMID_SELF) < 0, 1);
        }
        must_be(__LINE__, kit_mmuext(MMUEXT_CLEAR_PAGE, mfn, 0) < 0, 1);
        must_be(__LINE__, kit_mmuext(MMUEXT_PIN_L1_TABLE, mfn, 0) < 0, 1);
    }
    return NULL;
}

/* What a domain asks for frames of others, or of the hypervisor, is refused and disturbs nobody. */
static void test_strangers(void **state)
{
    static void *(*const work_of[3])(void *) = { own_work, hypervisor_work, strange_work };
    pthread_t thread[3];

    (void)state;
    kit_guest(&owner, false, 1);
    host_load(NULL);
    kit_guest(&stranger, false, 1);
    host_load(NULL);
    table = kit_frame(&owner);
    unused = kit_frame(&owner);
    host_load(owner.v);
    assert_int_equal(mm_set_root(owner.v, frame_mfn(owner.l4), false), 0);
    host_cpu_enter(2);
    host_load(stranger.v);
    assert_int_equal(mm_set_root(stranger.v, frame_mfn(stranger.l4), false), 0);
    atomic_store(&is_over, false);
    for (unsigned int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, work_of[i], NULL), 0);
    }
    for (unsigned int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    }
    if (wrong_line != 0) {
        fail_msg("line %d: %ld", wrong_line, (long)wrong_value);
    }
    host_load(NULL);
    host_cpu_enter(0);
    kit_audit();
    host_load(NULL);
    host_domain_end(owner.d);
    host_domain_end(stranger.d);
    kit_audit();
}

static int setup(void **state)
{
    (void)state;
    kit_machine(2048, THREADS);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_all_at_once),
                                        cmocka_unit_test(test_strangers) };

    return cmocka_run_group_tests(tests, setup, NULL);
}
