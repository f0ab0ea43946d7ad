/* SPDX-License-Identifier: MIT */
/*
 * Control and memory calls on the whole core, on the host machine: the life of a domain as tools
 * make it, and memory that comes and goes, with the audit of all frames after each step, with
 * yields injected and with faults at every byte.
 */
#include "core_kit.h"

#include <string.h>

#include "abi/domctl.h"
#include "abi/memory.h"
#include "abi/sysctl.h"
#include "arch/host/machine.h"
#include "mm/audit.h"
#include "mm/heap.h"
#include "port/mmu.h"

static struct domain *d0;
static struct vcpu *v0;

static int setup(void **state)
{
    (void)state;
    d0 = kit_running(0, 1);
    v0 = d0->vcpu[0];
    return 0;
}

static int64_t domctl(struct xen_domctl *op, uint32_t cmd, domid_t id)
{
    struct hcall_args a = { { (uintptr_t)op } };
    int64_t rc;

    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = id;
    kit_as(v0);
    while ((rc = hc_domctl(v0, &a)) == HC_AGAIN) {
        kit_settle();
        kit_as(v0);
    }
    kit_as(NULL);
    return rc;
}

static int64_t memory(uint64_t cmd, void *arg)
{
    return kit_call(v0, hc_memory_op, cmd, arg, 0);
}

static domid_t create(uint32_t vcpus, uint64_t frames)
{
    struct xen_domctl op = { 0 };
    domid_t id;

    op.u.createdomain.max_vcpus = vcpus;
    op.u.createdomain.grant_opts = 1;
    op.u.createdomain.max_evtchn_port = 1023;
    op.u.createdomain.max_grant_frames = 4;
    op.u.createdomain.max_maptrack_frames = 2;
    assert_int_equal(domctl(&op, XEN_DOMCTL_createdomain, 0), 0);
    id = op.domain;
    op.u.max_vcpus.max = vcpus;
    assert_int_equal(domctl(&op, XEN_DOMCTL_max_vcpus, id), 0);
    op.u.max_mem.max_memkb = frames * 4;
    assert_int_equal(domctl(&op, XEN_DOMCTL_max_mem, id), 0);
    return id;
}

static int64_t info(domid_t id, struct xen_domctl_getdomaininfo *out)
{
    struct xen_domctl op = { 0 };
    int64_t rc = domctl(&op, XEN_DOMCTL_getdomaininfo, id);

    *out = op.u.getdomaininfo;
    return rc;
}

static void destroy(domid_t id)
{
    struct xen_domctl op = { 0 };

    assert_int_equal(domctl(&op, XEN_DOMCTL_destroydomain, id), 0);
    kit_settle();
}

static void test_life(void **state)
{
    struct xen_domctl_getdomaininfo i;
    struct xen_domctl op = { 0 };
    uint64_t map[64];
    struct xen_memory_reservation r = { { (uintptr_t)map }, 64, 0, 0, 0 };
    uint8_t bits = 1;
    domid_t id;

    (void)state;
    host_inject_yields(3, 1);
    id = create(3, 128);
    assert_int_equal(info(id, &i), 0);
    assert_int_equal(i.domain, id);
    assert_int_equal(i.max_vcpu_id, 2);
    assert_int_equal(i.nr_online_vcpus, 0);
    assert_true(i.flags & XEN_DOMINF_paused);

    for (unsigned int k = 0; k < 64; k++) {
        map[k] = k;
    }
    r.domid = id;
    assert_int_equal(memory(XENMEM_claim_pages,
                            &(struct xen_memory_reservation){ .nr_extents = 100, .domid = id }),
                     0);
    assert_int_equal(memory(XENMEM_populate_physmap, &r), 64);
    audit_all(NULL);
    for (unsigned int k = 0; k < 64; k++) {
        assert_int_equal(port_m2p_get(MFN(map[k])), k);
    }
    assert_int_equal(info(id, &i), 0);
    assert_int_equal(i.outstanding_pages, 100 - i.tot_pages);

    /* What is refused does not cost the promise. */
    r.nr_extents = 1;
    r.extent_order = 7;
    assert_int_equal(memory(XENMEM_populate_physmap, &r), 0);
    assert_int_equal(info(id, &i), 0);
    assert_int_equal(i.outstanding_pages, 100 - i.tot_pages);

    op.u.vcpuaffinity = (struct xen_domctl_vcpuaffinity){
        .vcpu = 1, .flags = XEN_VCPUAFFINITY_HARD, .cpumap_hard = { { (uintptr_t)&bits }, 8 }
    };
    assert_int_equal(domctl(&op, XEN_DOMCTL_setvcpuaffinity, id), 0);
    op.u.scheduler_op = (struct xen_domctl_scheduler_op){ XEN_SCHEDULER_CREDIT2,
                                                          XEN_DOMCTL_SCHEDOP_getinfo,
                                                          { { 0 } } };
    assert_int_equal(domctl(&op, XEN_DOMCTL_scheduler_op, id), 0);
    assert_int_equal(op.u.scheduler_op.u.credit2.weight, 256);

    /* Tools pause what may be paused already; only the last one lets it go. */
    assert_int_equal(domctl(&op, XEN_DOMCTL_pausedomain, id), 0);
    assert_int_equal(domctl(&op, XEN_DOMCTL_unpausedomain, id), 0);
    assert_int_equal(info(id, &i), 0);
    assert_true(i.flags & XEN_DOMINF_paused);
    assert_int_equal(domctl(&op, XEN_DOMCTL_unpausedomain, id), 0);
    assert_int_equal(domctl(&op, XEN_DOMCTL_unpausedomain, id), -EINVAL);
    assert_int_equal(info(id, &i), 0);
    assert_false(i.flags & XEN_DOMINF_paused);

    destroy(id);
    audit_all(NULL);
    assert_int_equal(info(id, &i), -ESRCH);
    assert_int_equal(heap_claimed_frames(), 0);
}

static void test_list(void **state)
{
    static struct xen_domctl_getdomaininfo list[8];
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_getdomaininfolist,
                             .interface_version = XEN_SYSCTL_INTERFACE_VERSION };
    domid_t a = create(1, 16);
    domid_t b = create(2, 16);

    (void)state;
    op.u.getdomaininfolist.max_domains = 8;
    op.u.getdomaininfolist.buffer.va = (uintptr_t)list;
    assert_int_equal(kit_call(v0, hc_sysctl, (uintptr_t)&op, NULL, 0), 0);
    assert_int_equal(op.u.getdomaininfolist.num_domains, 3);
    assert_int_equal(list[0].domain, 0);
    assert_int_equal(list[1].domain, a < b ? a : b);
    assert_int_equal(list[2].domain, a < b ? b : a);
}

/* The same id cannot be had twice, and there is no domain left over when a step fails. */
static void test_create_conflict(void **state)
{
    struct xen_domctl op = { 0 };
    struct xen_domctl_getdomaininfo i;
    domid_t id = create(1, 16);

    (void)state;
    op.u.createdomain.max_vcpus = 1;
    op.u.createdomain.grant_opts = 1;
    op.u.createdomain.max_grant_frames = 4;
    op.u.createdomain.max_maptrack_frames = 2;
    assert_int_equal(domctl(&op, XEN_DOMCTL_createdomain, id), -EEXIST);
    assert_int_equal(domctl(&op, XEN_DOMCTL_createdomain, (domid_t)(id + 10)), 0);
    assert_int_equal(op.domain, id + 10);
    assert_int_equal(info((domid_t)(id + 11), &i), -ESRCH);
}

/* dom0 swaps frames as Linux does for its bounce buffers, and back. */
static void swap(uint64_t *scattered, uint64_t *block, bool to_block)
{
    struct xen_memory_reservation many = { { (uintptr_t)scattered }, 32, 0, 0, DOMID_SELF };
    struct xen_memory_reservation one = { { (uintptr_t)block }, 1, 5, 0, DOMID_SELF };
    struct xen_memory_exchange x = { .in = to_block ? many : one, .out = to_block ? one : many };

    assert_int_equal(memory(XENMEM_exchange, &x), 0);
    assert_int_equal(x.nr_exchanged, x.in.nr_extents);
}

static void test_exchange(void **state)
{
    uint64_t scattered[32];
    uint64_t block = 7;
    struct xen_memory_reservation r = { { (uintptr_t)scattered }, 32, 0, 0, DOMID_SELF };
    uint64_t owned;

    (void)state;
    for (unsigned int k = 0; k < 32; k++) {
        scattered[k] = 100 + k;
    }
    assert_int_equal(memory(XENMEM_populate_physmap, &r), 32);
    owned = d0->owned_frames;
    for (unsigned int round = 0; round < 20; round++) {
        host_inject_yields(round % 4, round);
        block = 100;
        swap(scattered, &block, true);
        audit_all(NULL);
        assert_int_equal(port_m2p_get(MFN(block + 31)), 131);
        assert_int_equal(d0->owned_frames, owned);
        for (unsigned int k = 0; k < 32; k++) {
            scattered[k] = 200 + k;
        }
        swap(scattered, &block, false);
        audit_all(NULL);
        assert_int_equal(port_m2p_get(MFN(scattered[31])), 231);
        assert_int_equal(port_m2p_get(MFN(block)) == M2P_INVALID, block != scattered[0]);
        assert_int_equal(d0->owned_frames, owned);
    }
    assert_int_equal(memory(XENMEM_decrease_reservation, &r), 32);
    audit_all(NULL);
    assert_int_equal(d0->owned_frames, owned - 32);
}

/* Wherever guest memory faults in an exchange, no frame is lost, doubled or left half taken. */
static void test_exchange_faults(void **state)
{
    uint64_t in[4] = { 1, 2, 3, 4 };
    struct xen_memory_reservation r = { { (uintptr_t)in }, 4, 0, 0, DOMID_SELF };
    uint64_t owned;
    unsigned int n = 0;

    (void)state;
    assert_int_equal(memory(XENMEM_populate_physmap, &r), 4);
    owned = d0->owned_frames;
    for (int64_t rc = -EFAULT; rc; n++) {
        uint64_t out[4] = { 9, 10, 11, 12 };
        struct xen_memory_exchange x = { .in = r, .out = r };

        x.out.extent_start.va = (uintptr_t)out;
        host_fault_at(n + 1);
        rc = memory(XENMEM_exchange, &x);
        host_fault_at(0);
        assert_true(rc == 0 || rc == -EFAULT);
        audit_all(NULL);
        assert_int_equal(d0->owned_frames, owned);
        /* What has been swapped is told; an answer lost in a fault is to be found by the table. */
        for (unsigned int k = 0; k < 4; k++) {
            uint64_t at = port_m2p_get(MFN(in[k]));

            if (frame_of(MFN(in[k]))->owner == d0 && (at == 1 + k || at == 9 + k)) {
                continue;
            }
            for (uint64_t m = 1; m < frame_limit; m++) {
                if (frame_of(MFN(m)) && frame_of(MFN(m))->owner == d0 &&
                    port_m2p_get(MFN(m)) == 9 + k) {
                    in[k] = m;
                }
            }
        }
    }
    assert_true(n > 72);
}

static void test_not_for_others(void **state)
{
    struct domain *d1 = kit_domain(1, 1);
    struct xen_domctl op = { .cmd = XEN_DOMCTL_getdomaininfo,
                             .interface_version = XEN_DOMCTL_INTERFACE_VERSION };
    struct hcall_args a = { { (uintptr_t)&op } };

    (void)state;
    kit_as(d1->vcpu[0]);
    assert_int_equal(hcall_dispatch(d1->vcpu[0], 36, &a), -EPERM);
    assert_int_equal(hcall_dispatch(d1->vcpu[0], 35, &a), -EPERM);
    kit_as(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_life),
        TEST(test_list),
        TEST(test_create_conflict),
        TEST(test_exchange),
        TEST(test_exchange_faults),
        TEST(test_not_for_others),
    };

    kit_start(2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
