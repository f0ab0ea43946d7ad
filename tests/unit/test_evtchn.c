/* SPDX-License-Identifier: MIT */
/* Event channels: every binding, every refusal, delivery, masks, polling, closing from either side.
 */
#include "core_kit.h"

#include "abi/event.h"
#include "abi/sched.h"
#include "arch/host/machine.h"
#include "evtchn/evtchn.h"
#include "port/cpu.h"
#include "port/time.h"

static struct domain *d0, *d1;
static struct vcpu *v0, *v1;

static int setup(void **state)
{
    (void)state;
    d0 = kit_domain(0, 2);
    d1 = kit_domain(1, 2);
    v0 = d0->vcpu[0];
    v1 = d1->vcpu[0];
    return 0;
}

static int64_t op(struct vcpu *v, unsigned int cmd, void *arg, size_t size)
{
    int64_t rc = kit_call(v, hc_event_channel_op, cmd, arg, 0);

    (void)size;
    evtchn_audit(v->d);
    return rc;
}

static bool pending(const struct domain *d, uint32_t port)
{
    return (d->shared->evtchn_pending[port / 64] >> (port % 64) & 1) != 0;
}

static void clear(struct domain *d, struct vcpu *v, uint32_t port)
{
    d->shared->evtchn_pending[port / 64] &= ~(UINT64_C(1) << (port % 64));
    v->info->evtchn_pending_sel = 0;
    v->info->evtchn_upcall_pending = 0;
}

static uint32_t unbound(struct vcpu *v, domid_t dom, domid_t remote)
{
    struct evtchn_alloc_unbound a = { .dom = dom, .remote_dom = remote };
    assert_int_equal(op(v, EVTCHNOP_alloc_unbound, &a, sizeof(a)), 0);
    return a.port;
}

static uint32_t bind(struct vcpu *v, domid_t remote, uint32_t rport)
{
    struct evtchn_bind_interdomain b = { .remote_dom = remote, .remote_port = rport };
    assert_int_equal(op(v, EVTCHNOP_bind_interdomain, &b, sizeof(b)), 0);
    return b.local_port;
}

static int64_t send(struct vcpu *v, uint32_t port)
{
    struct evtchn_send s = { port };
    return op(v, EVTCHNOP_send, &s, sizeof(s));
}

static int64_t close(struct vcpu *v, uint32_t port)
{
    struct evtchn_close c = { port };
    return op(v, EVTCHNOP_close, &c, sizeof(c));
}

static uint32_t ipi(struct vcpu *v, uint32_t vcpu)
{
    struct evtchn_bind_ipi b = { .vcpu = vcpu };
    assert_int_equal(op(v, EVTCHNOP_bind_ipi, &b, sizeof(b)), 0);
    return b.port;
}

static struct evtchn_status status(struct vcpu *v, domid_t dom, uint32_t port)
{
    struct evtchn_status s = { .dom = dom, .port = port };
    assert_int_equal(op(v, EVTCHNOP_status, &s, sizeof(s)), 0);
    return s;
}

static void test_interdomain(void **state)
{
    (void)state;
    uint32_t p1 = unbound(v1, DOMID_SELF, 0);
    assert_int_equal(p1, 1);
    assert_int_equal(send(v1, p1), 0); /* nobody there: dropped */
    assert_false(pending(d1, p1));
    uint32_t p0 = bind(v0, 1, p1);
    assert_true(pending(d0, p0)); /* what may have been missed */
    clear(d0, v0, p0);

    assert_int_equal(send(v0, p0), 0);
    assert_true(pending(d1, p1));
    assert_int_equal(v1->info->evtchn_pending_sel, 1);
    assert_int_equal(v1->info->evtchn_upcall_pending, 1);
    assert_int_equal(send(v1, p1), 0);
    assert_true(pending(d0, p0));

    struct evtchn_status s = status(v1, DOMID_SELF, p1);
    assert_int_equal(s.status, EVTCHNSTAT_interdomain);
    assert_int_equal(s.u.interdomain.dom, 0);
    assert_int_equal(s.u.interdomain.port, p0);

    /* Closed from one side, the other waits again. */
    assert_int_equal(close(v0, p0), 0);
    assert_false(pending(d0, p0));
    s = status(v0, 1, p1);
    assert_int_equal(s.status, EVTCHNSTAT_unbound);
    assert_int_equal(s.u.unbound.dom, 0);
    assert_int_equal(status(v0, DOMID_SELF, p0).status, EVTCHNSTAT_closed);
    p0 = bind(v0, 1, p1);
    assert_int_equal(close(v1, p1), 0);
    assert_int_equal(status(v0, DOMID_SELF, p0).status, EVTCHNSTAT_unbound);
    assert_int_equal(close(v0, p0), 0);
    assert_int_equal(close(v0, p0), -EINVAL);
}

static void test_loopback(void **state)
{
    (void)state;
    uint32_t a = unbound(v1, DOMID_SELF, DOMID_SELF);
    uint32_t b = bind(v1, DOMID_SELF, a);
    clear(d1, v1, b);
    assert_int_equal(send(v1, a), 0);
    assert_true(pending(d1, b));
    assert_false(pending(d1, a));
    /* Left open: the domain's death must not be held up by its references to itself. */
}

static void test_refusals(void **state)
{
    (void)state;
    struct evtchn_alloc_unbound a = { .dom = 0, .remote_dom = 1 };
    assert_int_equal(op(v1, EVTCHNOP_alloc_unbound, &a, sizeof(a)), -EPERM);
    a.dom = 77;
    assert_int_equal(op(v1, EVTCHNOP_alloc_unbound, &a, sizeof(a)), -ESRCH);

    uint32_t p = unbound(v0, 1, 0); /* on behalf of another */
    struct evtchn_bind_interdomain b = { .remote_dom = 1, .remote_port = 4095 };
    assert_int_equal(op(v0, EVTCHNOP_bind_interdomain, &b, sizeof(b)), -EINVAL);
    b.remote_port = UINT32_MAX;
    assert_int_equal(op(v0, EVTCHNOP_bind_interdomain, &b, sizeof(b)), -EINVAL);
    b.remote_port = p;
    b.remote_dom = 9;
    assert_int_equal(op(v0, EVTCHNOP_bind_interdomain, &b, sizeof(b)), -ESRCH);
    b.remote_dom = 1;
    assert_int_equal(op(v1, EVTCHNOP_bind_interdomain, &b, sizeof(b)), -EINVAL); /* waits for 0 */

    assert_int_equal(send(v0, 0), -EINVAL);
    assert_int_equal(send(v0, 4095), -EINVAL);
    assert_int_equal(send(v0, 4096), -EINVAL);
    assert_int_equal(send(v0, UINT32_MAX), -EINVAL);
    assert_int_equal(close(v0, 0), -EINVAL);
    assert_int_equal(close(v0, UINT32_MAX), -EINVAL);

    struct evtchn_status s = { .dom = 0, .port = 1 };
    assert_int_equal(op(v1, EVTCHNOP_status, &s, sizeof(s)), -EPERM);
    s = (struct evtchn_status){ .dom = DOMID_SELF, .port = 4096 };
    assert_int_equal(op(v1, EVTCHNOP_status, &s, sizeof(s)), -EINVAL);

    struct evtchn_bind_ipi i = { .vcpu = 2 };
    assert_int_equal(op(v1, EVTCHNOP_bind_ipi, &i, sizeof(i)), -ENOENT);
    struct evtchn_bind_pirq q = { .pirq = 3 };
    assert_int_equal(op(v1, EVTCHNOP_bind_pirq, &q, sizeof(q)), -EPERM);
    struct evtchn_init_control c = { .control_gfn = UINT64_MAX };
    assert_int_equal(op(v1, EVTCHNOP_init_control, &c, sizeof(c)), -EINVAL);
    for (unsigned int cmd = EVTCHNOP_expand_array; cmd < 20; cmd++) {
        assert_int_equal(op(v1, cmd, &s, sizeof(s)), -ENOSYS);
    }
    assert_int_equal(kit_call(v1, hc_event_channel_op, EVTCHNOP_send, (void *)KIT_BAD_VA, 0),
                     -EFAULT);
    assert_int_equal(kit_call(v1, hc_event_channel_op, EVTCHNOP_close, (void *)KIT_BAD_VA, 0),
                     -EFAULT);
}

static void test_virq(void **state)
{
    (void)state;
    struct evtchn_bind_virq b = { .virq = VIRQ_TIMER, .vcpu = 1 };
    assert_int_equal(op(v1, EVTCHNOP_bind_virq, &b, sizeof(b)), 0);
    uint32_t timer = b.port;
    assert_int_equal(op(v1, EVTCHNOP_bind_virq, &b, sizeof(b)), -EEXIST);
    virq_raise(d1->vcpu[0], VIRQ_TIMER); /* not bound there */
    assert_int_equal(d1->vcpu[0]->info->evtchn_upcall_pending, 0);
    virq_raise(d1->vcpu[1], VIRQ_TIMER);
    assert_true(pending(d1, timer));
    assert_int_equal(d1->vcpu[1]->info->evtchn_upcall_pending, 1);
    assert_int_equal(send(v1, timer), -EINVAL); /* only the hypervisor sends there */

    b = (struct evtchn_bind_virq){ .virq = VIRQ_DOM_EXC, .vcpu = 1 };
    assert_int_equal(op(v0, EVTCHNOP_bind_virq, &b, sizeof(b)), -EINVAL);
    b.vcpu = 0;
    assert_int_equal(op(v0, EVTCHNOP_bind_virq, &b, sizeof(b)), 0);
    struct evtchn_bind_vcpu m = { .port = b.port, .vcpu = 1 };
    assert_int_equal(op(v0, EVTCHNOP_bind_vcpu, &m, sizeof(m)), 0);
    virq_raise_global(d0, VIRQ_DOM_EXC);
    assert_int_equal(d0->vcpu[1]->info->evtchn_upcall_pending, 1);
    assert_int_equal(d0->vcpu[0]->info->evtchn_upcall_pending, 0);
    m = (struct evtchn_bind_vcpu){ .port = timer, .vcpu = 0 };
    assert_int_equal(op(v1, EVTCHNOP_bind_vcpu, &m, sizeof(m)), -EINVAL);
    m = (struct evtchn_bind_vcpu){ .port = timer, .vcpu = 7 };
    assert_int_equal(op(v1, EVTCHNOP_bind_vcpu, &m, sizeof(m)), -ENOENT);

    b = (struct evtchn_bind_virq){ .virq = 24 };
    assert_int_equal(op(v1, EVTCHNOP_bind_virq, &b, sizeof(b)), -EINVAL);
    b = (struct evtchn_bind_virq){ .virq = VIRQ_TIMER, .vcpu = 9 };
    assert_int_equal(op(v1, EVTCHNOP_bind_virq, &b, sizeof(b)), -ENOENT);
    assert_int_equal(close(v1, timer), 0);
    virq_raise(d1->vcpu[1], VIRQ_TIMER);
    assert_false(pending(d1, timer));
}

static void test_masks(void **state)
{
    (void)state;
    uint32_t p = ipi(v1, 1);
    d1->shared->evtchn_mask[0] = UINT64_C(1) << p;
    assert_int_equal(send(v1, p), 0);
    assert_true(pending(d1, p));
    assert_int_equal(d1->vcpu[1]->info->evtchn_pending_sel, 0);

    struct evtchn_unmask u = { p };
    assert_int_equal(op(v1, EVTCHNOP_unmask, &u, sizeof(u)), 0);
    assert_int_equal(d1->shared->evtchn_mask[0], 0);
    assert_int_equal(d1->vcpu[1]->info->evtchn_upcall_pending, 1);
    u.port = 4096;
    assert_int_equal(op(v1, EVTCHNOP_unmask, &u, sizeof(u)), -EINVAL);

    /* The last word. */
    struct evtchn_bind_ipi b = { 0 };
    while (b.port < 4095) {
        assert_int_equal(kit_call(v1, hc_event_channel_op, EVTCHNOP_bind_ipi, &b, 0), 0);
    }
    clear(d1, v1, p);
    assert_int_equal(send(v1, 4095), 0);
    assert_int_equal(v1->info->evtchn_pending_sel, UINT64_C(1) << 63);
}

/* Port numbers are used up, then every other call still answers; the lowest free one is given next.
 */
static void test_exhaustion(void **state)
{
    (void)state;
    struct evtchn_alloc_unbound a = { .dom = DOMID_SELF, .remote_dom = 0 };
    for (uint32_t i = 1; i < 4096; i++) {
        assert_int_equal(kit_call(v1, hc_event_channel_op, EVTCHNOP_alloc_unbound, &a, 0), 0);
    }
    evtchn_audit(d1);
    assert_int_equal(evtchn_count(d1), 4095);
    assert_int_equal(op(v1, EVTCHNOP_alloc_unbound, &a, sizeof(a)), -ENOSPC);
    struct evtchn_bind_virq q = { .virq = VIRQ_TIMER };
    assert_int_equal(op(v1, EVTCHNOP_bind_virq, &q, sizeof(q)), -ENOSPC);
    virq_raise(v1, VIRQ_TIMER);
    struct evtchn_bind_ipi i = { 0 };
    assert_int_equal(op(v1, EVTCHNOP_bind_ipi, &i, sizeof(i)), -ENOSPC);
    struct evtchn_bind_interdomain b = { .remote_dom = 1, .remote_port = 5 };
    assert_int_equal(op(v1, EVTCHNOP_bind_interdomain, &b, sizeof(b)), -ENOSPC);

    assert_int_equal(close(v1, 3000), 0);
    assert_int_equal(close(v1, 17), 0);
    assert_int_equal(unbound(v1, DOMID_SELF, 0), 17);
    assert_int_equal(unbound(v1, DOMID_SELF, 0), 3000);
    /* A reset with a yield at every look. */
    host_inject_yields(1, 1);
    struct evtchn_reset r = { DOMID_SELF };
    assert_int_equal(op(v1, EVTCHNOP_reset, &r, sizeof(r)), 0);
    assert_int_equal(evtchn_count(d1), 0);
    assert_int_equal(unbound(v1, DOMID_SELF, 0), 1);
    r.dom = 0;
    assert_int_equal(op(v1, EVTCHNOP_reset, &r, sizeof(r)), -EPERM);
}

static void test_few_ports(void **state)
{
    (void)state;
    struct domain_config cfg = { .max_vcpus = 1, .max_evtchn_port = 3, .max_grant_frames = 1 };
    struct domain *d = NULL;
    assert_int_equal(domain_create(&(domid_t){ 5 }, &cfg, &d), 0);
    struct vcpu *v = vcpu_create(d, 0);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(unbound(v, DOMID_SELF, 0), i);
    }
    struct evtchn_alloc_unbound a = { .dom = DOMID_SELF };
    assert_int_equal(op(v, EVTCHNOP_alloc_unbound, &a, sizeof(a)), -ENOSPC);
    assert_int_equal(send(v, 4), -EINVAL);
}

/* The peer dies: its end goes, ours waits for a domain that will not come, and nothing is left. */
static void test_death(void **state)
{
    (void)state;
    uint32_t p1 = unbound(v1, DOMID_SELF, 0);
    uint32_t p0 = bind(v0, 1, p1);
    host_inject_yields(1, 1);
    kit_destroy(d1);
    assert_null(domain_get(1));
    assert_int_equal(send(v0, p0), 0);
    assert_int_equal(status(v0, DOMID_SELF, p0).status, EVTCHNSTAT_unbound);
}

static void test_moved_info(void **state)
{
    (void)state;
    v1->info->evtchn_pending_sel = 0;
    evtchn_vcpu_info_moved(v1);
    assert_int_equal(v1->info->evtchn_pending_sel, UINT64_MAX);
    assert_int_equal(v1->info->evtchn_upcall_pending, 1);
}

/* Polling: any state of the mask; woken by the port, by another event, by the clock, or not at all
 * if it is pending. */
static void test_poll(void **state)
{
    (void)state;
    uint32_t p = ipi(v1, 0);
    uint32_t other = ipi(v1, 0);
    d1->shared->evtchn_mask[0] = UINT64_MAX;
    vcpu_up(v1);
    domain_unpause(d1);
    kit_settle();
    assert_ptr_equal(port_current(), v1);

    uint32_t ports[2] = { p, other };
    struct sched_poll r = { .ports = { (uint64_t)(uintptr_t)ports }, .nr_ports = 1 };
    assert_int_equal(kit_call(v1, hc_sched_op, SCHEDOP_poll, &r, 0), 0);
    kit_settle();
    assert_int_equal(atomic_load(&v1->state), VS_BLOCKED | VS_POLLING);
    assert_int_equal(send(v1, other), 0); /* not this one */
    kit_settle();
    assert_int_not_equal(atomic_load(&v1->state), 0);
    assert_int_equal(send(v1, p), 0);
    kit_settle();
    assert_int_equal(atomic_load(&v1->state), 0);
    assert_ptr_equal(port_current(), v1);

    /* Pending already. */
    assert_int_equal(kit_call(v1, hc_sched_op, SCHEDOP_poll, &r, 0), 0);
    assert_int_equal(atomic_load(&v1->state), 0);
    clear(d1, v1, p);
    clear(d1, v1, other);

    /* The clock. */
    r.timeout = port_time_now() + 5000000;
    assert_int_equal(kit_call(v1, hc_sched_op, SCHEDOP_poll, &r, 0), 0);
    kit_advance(4000000);
    assert_int_not_equal(atomic_load(&v1->state), 0);
    kit_advance(2000000);
    assert_int_equal(atomic_load(&v1->state), 0);
    assert_int_equal(kit_call(v1, hc_sched_op, SCHEDOP_poll, &r, 0), 0);
    assert_int_equal(atomic_load(&v1->state), 0); /* a time in the past */

    /* Several ports: any of them. */
    r.timeout = 0;
    r.nr_ports = 2;
    assert_int_equal(kit_call(v1, hc_sched_op, SCHEDOP_poll, &r, 0), 0);
    kit_settle();
    assert_int_equal(send(v1, other), 0);
    assert_int_equal(atomic_load(&v1->state), 0);

    r.nr_ports = 129;
    assert_int_equal(kit_call(v1, hc_sched_op, SCHEDOP_poll, &r, 0), -EINVAL);
    r.nr_ports = 1;
    ports[0] = 4096;
    assert_int_equal(kit_call(v1, hc_sched_op, SCHEDOP_poll, &r, 0), -EINVAL);
    r.ports.va = KIT_BAD_VA;
    assert_int_equal(kit_call(v1, hc_sched_op, SCHEDOP_poll, &r, 0), -EFAULT);
}

int main(void)
{
    kit_start(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_interdomain, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_loopback, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_virq, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_masks, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_exhaustion, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_few_ports, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_death, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_moved_info, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_poll, setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
