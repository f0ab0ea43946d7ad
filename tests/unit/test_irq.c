/* SPDX-License-Identifier: MIT */
/* Interrupt lines: the hypervisor's own, a guest's edge and level lines, numbers for them, and
 * their end. */
#include "core_kit.h"

#include "abi/errno.h"
#include "abi/event.h"
#include "arch/host/machine.h"
#include "evtchn/evtchn.h"
#include "irq/irq.h"
#include "irq/pirq.h"
#include "port/cpu.h"
#include "port/irq.h"

static struct domain *d0, *d1;
static int was; /* the irq of the last number unmapped */
static unsigned int own_calls;

static int setup(void **state)
{
    (void)state;
    d0 = kit_domain(0, 2);
    d1 = kit_domain(1, 1);
    return 0;
}

static void own_fn(void *data)
{
    assert_ptr_equal(data, &own_calls);
    own_calls++;
}

static void fire(unsigned int irq)
{
    unsigned long flags = port_irq_save();
    irq_handle(irq);
    port_irq_restore(flags);
}

static bool pending(uint32_t port)
{
    bool is = (d0->shared->evtchn_pending[0] >> port & 1) != 0;
    d0->shared->evtchn_pending[0] = 0;
    return is;
}

static int64_t bind_pirq(struct vcpu *v, uint32_t pirq, uint32_t *port)
{
    struct evtchn_bind_pirq b = { .pirq = pirq };
    int64_t rc = kit_call(v, hc_event_channel_op, EVTCHNOP_bind_pirq, &b, 0);
    *port = b.port;
    evtchn_audit(v->d);
    return rc;
}

static int64_t close(uint32_t port)
{
    struct evtchn_close c = { port };
    return kit_call(d0->vcpu[0], hc_event_channel_op, EVTCHNOP_close, &c, 0);
}

static void test_own(void **state)
{
    (void)state;
    assert_int_equal(irq_own(4, own_fn, &own_calls, false, false), 0);
    assert_int_equal(irq_own(4, own_fn, &own_calls, false, false), -EBUSY);
    assert_int_equal(irq_own(IRQ_MAX, own_fn, &own_calls, false, false), -EINVAL);
    assert_int_equal(host_record.irq_started[4], 1);
    unsigned int acks = host_record.irq_acks;
    unsigned int eois = host_record.irq_eois;
    fire(4);
    assert_int_equal(own_calls, 1);
    assert_int_equal(host_record.irq_acks, acks + 1);
    assert_int_equal(host_record.irq_eois, eois);
    assert_int_equal(irq_own(17, own_fn, &own_calls, true, true), 0);
    fire(17);
    assert_int_equal(own_calls, 2);
    assert_int_equal(host_record.irq_eois, eois + 1); /* unmasked after the handler */
    /* A guest cannot have it. */
    uint32_t port;
    assert_int_equal(pirq_map(d0, 4, 4), 4);
    assert_int_equal(bind_pirq(d0->vcpu[0], 4, &port), -EBUSY);
    fire(IRQ_MAX + 5); /* no such line, and one of nobody */
    fire(9);
    assert_int_equal(own_calls, 2);
}

static void test_edge(void **state)
{
    uint32_t port;

    (void)state;
    assert_int_equal(bind_pirq(d0->vcpu[0], 3, &port), -EINVAL); /* not mapped */
    assert_int_equal(pirq_map(d0, -1, 3), 3);
    assert_int_equal(pirq_to_irq(d0, 3), 3);
    assert_false(pirq_needs_eoi(d0, 3));
    assert_int_equal(bind_pirq(d0->vcpu[0], 3, &port), 0);
    assert_int_equal(host_record.irq_started[3], 1);
    fire(3);
    assert_true(pending(port));
    fire(3);
    assert_true(pending(port));
    uint32_t other;
    assert_int_equal(bind_pirq(d0->vcpu[0], 3, &other), -EEXIST);
    assert_int_equal(pirq_unmap(d0, 3, &was), -EBUSY);
    struct evtchn_status s = { .dom = DOMID_SELF, .port = port };
    assert_int_equal(kit_call(d0->vcpu[0], hc_event_channel_op, EVTCHNOP_status, &s, 0), 0);
    assert_int_equal(s.status, EVTCHNSTAT_pirq);
    assert_int_equal(s.u.pirq, 3);
    struct evtchn_bind_vcpu m = { .port = port, .vcpu = 1 };
    assert_int_equal(kit_call(d0->vcpu[0], hc_event_channel_op, EVTCHNOP_bind_vcpu, &m, 0), 0);
    fire(3);
    assert_int_equal(d0->vcpu[1]->info->evtchn_upcall_pending, 1);
    assert_int_equal(close(port), 0);
    assert_int_equal(host_record.irq_started[3], 0);
    pending(port);
    fire(3); /* one that was on its way */
    assert_false(pending(port));
    assert_int_equal(pirq_unmap(d0, 3, &was), 0);
    assert_int_equal(pirq_unmap(d0, 3, &was), -EINVAL);
    assert_int_equal(pirq_to_irq(d0, 3), -EINVAL);
}

static void test_level(void **state)
{
    uint32_t port;

    (void)state;
    assert_int_equal(irq_set_gsi(20, true, true), 0);
    assert_int_equal(pirq_map(d0, 20, 20), 20);
    assert_true(pirq_needs_eoi(d0, 20));
    assert_int_equal(bind_pirq(d0->vcpu[0], 20, &port), 0);
    assert_int_equal(irq_set_gsi(20, true, true), 0);
    assert_int_equal(irq_set_gsi(20, false, true), -EBUSY);
    assert_int_equal(irq_set_gsi(port_irq_gsi_count(), true, true), -EINVAL);
    unsigned int eois = host_record.irq_eois;
    assert_int_equal(pirq_eoi(d0, 20), 0); /* nothing to acknowledge */
    assert_int_equal(host_record.irq_eois, eois);
    fire(20);
    assert_true(pending(port));
    assert_int_equal(host_record.irq_eois, eois);
    assert_int_equal(pirq_eoi(d0, 20), 0);
    assert_int_equal(host_record.irq_eois, eois + 1);
    assert_int_equal(pirq_eoi(d0, 20), 0); /* once */
    assert_int_equal(host_record.irq_eois, eois + 1);
    assert_int_equal(pirq_eoi(d0, 21), -EINVAL);
    assert_int_equal(pirq_eoi(d0, -1), -EINVAL);
    assert_int_equal(pirq_eoi(d0, 1 << 20), -EINVAL);
    assert_int_equal(pirq_eoi(d1, 20), -EINVAL); /* no hardware, no table */
    assert_false(pirq_needs_eoi(d1, 20));
    /* Left bound: it ends with the domain. */
}

static void test_numbers(void **state)
{
    (void)state;
    int irq = irq_alloc();
    assert_true(irq >= (int)port_irq_gsi_count());
    int pirq = pirq_map(d0, -1, (unsigned int)irq);
    assert_true(pirq >= (int)port_irq_gsi_count());
    assert_int_equal(pirq_map(d0, -1, (unsigned int)irq), pirq); /* it has one */
    assert_int_equal(pirq_map(d0, pirq, (unsigned int)irq), pirq);
    assert_int_equal(pirq_map(d0, pirq, 5), -EEXIST);
    assert_int_equal(pirq_map(d0, 40, (unsigned int)irq), -EEXIST);
    assert_int_equal(pirq_map(d0, 1 << 20, 5), -EINVAL);
    assert_int_equal(pirq_map(d0, INT32_MAX, 5), -EINVAL);
    assert_int_equal(pirq_map(d0, -1, IRQ_MAX), -EINVAL);
    assert_int_equal(pirq_map(d1, -1, 5), -EINVAL);
    uint32_t port;
    assert_int_equal(bind_pirq(d0->vcpu[0], (uint32_t)pirq, &port), 0);
    fire((unsigned int)irq);
    assert_true(pending(port));
    assert_int_equal(close(port), 0);
    assert_int_equal(pirq_unmap(d0, pirq, &was), 0);
    irq_free((unsigned int)irq);
    /* All of them, and back. */
    int first = irq_alloc();
    int n = 1;
    int last = first;
    for (int i = irq_alloc(); i >= 0; i = irq_alloc()) {
        last = i;
        n++;
    }
    assert_int_equal(n, (int)(IRQ_MAX - port_irq_gsi_count()));
    assert_int_equal(irq_alloc(), -ENOSPC);
    for (int i = first; i <= last; i++) {
        irq_free((unsigned int)i);
    }
    /* A machine that can deliver fewer: the next is refused, not silent. */
    host_irq_count = port_irq_gsi_count() + 1;
    irq = irq_alloc();
    assert_int_equal(irq, first);
    assert_int_equal(irq_alloc(), -ENOSPC);
    irq_free((unsigned int)irq);
    host_irq_count = IRQ_MAX;
    /* Reserved for later: nobody else gets it, it can be mapped or given back. */
    int line = pirq_reserve(d0, true);
    assert_in_range(line, 0, port_irq_gsi_count() - 1);
    int message = pirq_reserve(d0, false);
    assert_true(message >= (int)port_irq_gsi_count());
    assert_int_not_equal(pirq_reserve(d0, false), message);
    assert_int_equal(pirq_to_irq(d0, message), -EINVAL);
    assert_int_equal(pirq_eoi(d0, message), -EINVAL);
    uint32_t p;
    assert_int_equal(bind_pirq(d0->vcpu[0], (uint32_t)message, &p), -EINVAL);
    assert_int_equal(pirq_map(d0, message, 700), message);
    assert_int_equal(pirq_unmap(d0, message, &was), 0);
    assert_int_equal(pirq_unmap(d0, line, &was), 0);
    assert_int_equal(pirq_unmap(d0, line, &was), -EINVAL);
    assert_int_equal(pirq_reserve(d0, true), line);
    while (pirq_reserve(d0, false) >= 0) {
    }
    assert_int_equal(pirq_reserve(d0, false), -ENOSPC);
    assert_int_equal(pirq_reserve(d1, false), -EINVAL);
    assert_int_equal(bind_pirq(d0->vcpu[0], UINT32_MAX, &p), -EINVAL);
    assert_int_equal(evtchn_count(d0), 0);
}

int main(void)
{
    kit_start(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_own, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_edge, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_level, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_numbers, setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
