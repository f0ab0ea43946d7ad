/* SPDX-License-Identifier: MIT */
/* What calls answer that nothing else asks for: refusals when ports, frames or rights have run
 * out, questions about what few use, and what the hypervisor tells a person at its console. */
#include "tests/unit/core_kit.h"

#include <string.h>

#include "abi/domctl.h"
#include "abi/errno.h"
#include "abi/event.h"
#include "abi/grant.h"
#include "abi/physdev.h"
#include "abi/sysctl.h"
#include "abi/vcpu.h"
#include "abi/xen.h"
#include "arch/host/machine.h"
#include "base/console.h"
#include "base/lock.h"
#include "guest/cpuid.h"
#include "guest/trap.h"
#include "lib/pvplan.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "port/irq.h"

#define LEAF UINT32_C(0x40000000)

static struct domain *d0, *d1;
static struct vcpu *v0, *v1;
static char said[1 << 15];
static size_t said_length;

static void keep(const char *text, size_t n)
{
    n = n < sizeof said - 1 - said_length ? n : sizeof said - 1 - said_length;
    memcpy(said + said_length, text, n);
    said_length += n;
}

static int begin(void **state)
{
    (void)state;
    d0 = kit_domain(0, 2);
    d1 = kit_running(1, 2);
    v0 = d0->vcpu[0];
    v1 = d1->vcpu[0];
    return 0;
}

static int64_t event(struct vcpu *v, unsigned int op, const void *arg)
{
    return kit_call(v, hc_event_channel_op, op, arg, 0);
}

static void test_ports(void **state)
{
    struct evtchn_bind_virq timer = { .virq = VIRQ_TIMER, .vcpu = 1 };
    struct evtchn_bind_ipi ipi = { .vcpu = 0 };
    struct evtchn_bind_pirq pirq = { .pirq = 9 };
    struct evtchn_alloc_unbound u = { .dom = DOMID_SELF, .remote_dom = 0 };
    struct evtchn_bind_vcpu move = { .port = 5000 };
    unsigned int made = 0;

    (void)state;
    assert_int_equal(event(v1, EVTCHNOP_bind_virq, &timer), 0);
    struct evtchn_status s = { .dom = DOMID_SELF, .port = timer.port };
    assert_int_equal(event(v1, EVTCHNOP_status, &s), 0);
    assert_int_equal(s.status, EVTCHNSTAT_virq);
    assert_int_equal(s.u.virq, VIRQ_TIMER);
    assert_int_equal(s.vcpu, 1);
    assert_int_equal(event(v1, EVTCHNOP_bind_vcpu, &move), -EINVAL);

    while (event(v1, EVTCHNOP_alloc_unbound, &u) == 0) {
        assert_true(++made < EVTCHN_2L_NR_CHANNELS);
    }
    assert_int_equal(event(v1, EVTCHNOP_alloc_unbound, &u), -ENOSPC);
    assert_int_equal(event(v1, EVTCHNOP_bind_ipi, &ipi), -ENOSPC);
    timer.vcpu = 0;
    assert_int_equal(event(v1, EVTCHNOP_bind_virq, &timer), -ENOSPC);
    struct evtchn_bind_interdomain b = { .remote_dom = DOMID_SELF, .remote_port = u.port };
    assert_int_equal(event(v1, EVTCHNOP_bind_interdomain, &b), -ENOSPC);
    made = 0;
    while (event(v0, EVTCHNOP_alloc_unbound, &u) == 0) {
        assert_true(++made < EVTCHN_2L_NR_CHANNELS);
    }
    assert_int_equal(event(v0, EVTCHNOP_bind_pirq, &pirq), -ENOSPC);

    /* For a domain that has died and is still held, nothing is given out. */
    domain_ref(d1);
    domid_t id = d1->id;
    kit_destroy(d1);
    u.dom = id;
    int64_t rc = event(v0, EVTCHNOP_alloc_unbound, &u);
    assert_true(rc == -EINVAL || rc == -ESRCH);
    domain_put(d1);
}

static void test_grants(void **state)
{
    uint64_t frames[8];
    struct gnttab_setup_table s = { .dom = DOMID_SELF,
                                    .nr_frames = 1u << 20,
                                    .frame_list = { (uintptr_t)frames } };

    (void)state;
    assert_int_equal(kit_call(v1, hc_grant_table_op, GNTTABOP_setup_table, &s, 1), 0);
    assert_int_equal(s.status, GNTST_general_error);
    s.dom = 0;
    s.nr_frames = 1;
    assert_int_equal(kit_call(v1, hc_grant_table_op, GNTTABOP_setup_table, &s, 1), 0);
    assert_int_equal(s.status, GNTST_permission_denied);
    s.dom = 77;
    assert_int_equal(kit_call(v1, hc_grant_table_op, GNTTABOP_setup_table, &s, 1), 0);
    assert_int_equal(s.status, GNTST_bad_domain);
    struct gnttab_get_version g = { .dom = 77 };
    assert_int_equal(kit_call(v1, hc_grant_table_op, GNTTABOP_get_version, &g, 1), -ESRCH);
    g.dom = 0;
    assert_int_equal(kit_call(v1, hc_grant_table_op, GNTTABOP_get_version, &g, 1), -EPERM);
    assert_int_equal(kit_call(v1, hc_grant_table_op, GNTTABOP_get_version, &g, 2), -EINVAL);
    assert_int_equal(kit_call(v1, hc_grant_table_op, GNTTABOP_copy, &g, UINT64_C(0x80000000)),
                     -EINVAL);
}

/* A guest's question of the processor, at the leaves of our own and elsewhere. */
static struct cpuid_leaf leaf_of(struct vcpu *v, uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_leaf l = { 1, 2, 3, 4 };

    guest_cpuid(v, leaf, subleaf, &l);
    return l;
}

static void processor(uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *out)
{
    (void)subleaf;
    *out = (struct cpuid_leaf){ 0 };
    if (leaf == 0 || leaf == 1) {
        *out =
            leaf == 0 ? (struct cpuid_leaf){ .a = 1 } : (struct cpuid_leaf){ .c = ~0u, .d = ~0u };
    }
}

static void test_leaves(void **state)
{
    (void)state;
    host_hooks.cpuid = processor;
    cpuid_init();
    host_hooks.cpuid = NULL;
    assert_memory_equal(&(struct cpuid_leaf){ .b = leaf_of(v1, LEAF, 0).b }.b, "XenV", 4);
    assert_true(leaf_of(v1, LEAF, 0).a >= LEAF + 2);
    assert_int_equal(leaf_of(v1, LEAF + 1, 0).a, 4 << 16 | 17);
    assert_int_equal(leaf_of(v1, LEAF + 2, 0).b, LEAF);
    struct cpuid_leaf time = leaf_of(v1, LEAF + 3, 0);
    assert_int_equal(time.c, d1->arch.tsc_khz);
    assert_true((time.a & 3) == 1 || (time.a & 3) == 2);
    assert_int_equal(leaf_of(v1, LEAF + 3, 2).a, 0);
    assert_in_range(leaf_of(v1, LEAF + 5, 0).b, 12, 52); /* address bits of the machine */
    assert_int_equal(leaf_of(v1, LEAF + 5, 1).b, 0);
    assert_int_equal(leaf_of(v1, LEAF + 99, 0).a, 0);
    assert_int_equal(leaf_of(v1, 0x7fff0000, 0).a, 0);
    /* Who owns no hardware has no ACPI of the processor; vcpus look like cores of their own. */
    assert_int_equal(leaf_of(v1, 1, 0).d >> 22 & 1, 0);
    assert_int_equal(leaf_of(d1->vcpu[1], 1, 0).b >> 24, (leaf_of(v1, 1, 0).b >> 24) + 2);
}

/* Every key that does not end the machine; each says something. */
static void test_keys(void **state)
{
    static const char keys[] = "eghlmqr";
    struct evtchn_alloc_unbound u = { .dom = DOMID_SELF, .remote_dom = 0 };
    struct vcpu_set_singleshot_timer once = { .timeout_abs_ns = UINT64_C(1) << 40 };

    (void)state;
    assert_int_equal(event(v1, EVTCHNOP_alloc_unbound, &u), 0);
    d1->shared->evtchn_pending[u.port / 64] |= UINT64_C(1) << (u.port % 64);
    d1->shared->evtchn_mask[u.port / 64] |= UINT64_C(1) << (u.port % 64);
    assert_int_equal(kit_call(v1, hc_vcpu_op, VCPUOP_set_singleshot_timer, NULL, (uintptr_t)&once),
                     0);
    host_console = keep;
    for (const char *k = keys; *k != '\0'; k++) {
        size_t before = said_length;
        /* from an interrupt: without a lock that what was interrupted may hold */
        lock_check_up();
        port_irq_disable();
        console_key(*k);
        port_irq_enable();
        assert_true(said_length > before);
    }
    host_console = NULL;
    assert_non_null(strstr(said, "pending, masked"));
    assert_non_null(strstr(said, "timer on cpu"));
    assert_non_null(strstr(said, "1 event channels, 0 grants mapped, 0 of its own in use; "
                                 "tables: 1 frames of ports, 0 of handles"));
}

static void press_restart(void)
{
    console_key('R');
}

static void press_panic(void)
{
    console_key('C');
}

static void test_last_keys(void **state)
{
    (void)state;
    assert_int_equal(kit_ends(press_restart), 'r');
    assert_int_equal(kit_ends(press_panic), 'p');
    port_irq_enable(); /* it ended with them off */
}

static void test_devices(void **state)
{
    struct physdev_pci_device dev = { 0 };
    struct physdev_map_pirq map = { .domid = 1, .type = MAP_PIRQ_TYPE_GSI, .index = 5, .pirq = 5 };

    (void)state;
    assert_int_equal(kit_call(v0, hc_physdev_op, PHYSDEVOP_prepare_msix, &dev, 0), 0);
    assert_int_equal(kit_call(v0, hc_physdev_op, PHYSDEVOP_release_msix, &dev, 0), 0);
    assert_int_equal(kit_call(v1, hc_physdev_op, PHYSDEVOP_prepare_msix, &dev, 0), -EPERM);
    int64_t rc = kit_call(v0, hc_physdev_op, PHYSDEVOP_restore_msi_ext, &dev, 0);
    assert_true(rc <= 0);
    assert_int_equal(kit_call(v1, hc_physdev_op, PHYSDEVOP_restore_msi_ext, &dev, 0), -EPERM);
    assert_int_equal(kit_call(v0, hc_physdev_op, PHYSDEVOP_map_pirq, &map, 0), -EPERM);
}

static void test_vcpus(void **state)
{
    (void)state;
    assert_int_equal(kit_call(v1, hc_vcpu_op, VCPUOP_send_nmi, (void *)(uintptr_t)1, 0), 0);
    assert_true(d1->vcpu[1]->arch.nmi_pending);
    assert_int_equal(kit_call(v1, hc_vcpu_op, VCPUOP_send_nmi, (void *)(uintptr_t)2, 0), -ENOENT);

    /* Without a context: as before the first one. */
    struct domain *d2 = kit_domain(2, 2);
    struct xen_domctl op = { .cmd = XEN_DOMCTL_setvcpucontext,
                             .interface_version = XEN_DOMCTL_INTERFACE_VERSION,
                             .domain = 2 };
    op.u.vcpucontext.vcpu = 1;
    d2->vcpu[1]->initialised = true;
    assert_int_equal(kit_call(v0, hc_domctl, (uintptr_t)&op, NULL, 0), 0);
    assert_false(d2->vcpu[1]->initialised);
}

static void test_words(void **state)
{
    (void)state;
    for (int rc = PVPLAN_ERR_NONE; rc >= PVPLAN_ERR_SIZE; rc--) {
        assert_string_not_equal(pvplan_strerror(rc), "unknown error");
    }
    assert_string_equal(pvplan_strerror(-99), "unknown error");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_ports),     T(test_grants),  T(test_leaves), T(test_keys),
        T(test_last_keys), T(test_devices), T(test_vcpus),  T(test_words),
    };

    kit_start(2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
