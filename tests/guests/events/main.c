/* SPDX-License-Identifier: MIT */
/* Event channels: binding, sending, masking, pending bits, upcalls, closing, status. */
#include "kit/kit.h"

const char kit_name[] = "events";

static volatile u32 hits;
static volatile evtchn_port_t last_port;

static void count(evtchn_port_t port)
{
    hits++;
    last_port = port;
}

static u16 status_of(evtchn_port_t port, struct evtchn_status *s)
{
    *s = (struct evtchn_status){ .dom = DOMID_SELF, .port = port };
    check_eq(event_op(EVTCHNOP_status, s), 0);
    return (u16)s->status;
}

static void test_ipi(void)
{
    struct evtchn_status s;
    long port = bind_ipi(0);

    check(port > 0);
    event_handler((evtchn_port_t)port, count);
    event_unmask_port((evtchn_port_t)port);
    check_eq(status_of((evtchn_port_t)port, &s), EVTCHNSTAT_ipi);
    check_eq(s.vcpu, 0);
    hits = 0;
    check_eq(event_send((evtchn_port_t)port), 0);
    check_eq(hits, 1);
    check_eq(last_port, port);
    for (u32 i = 0; i < 1000; i++) {
        event_send((evtchn_port_t)port);
    }
    check_eq(hits, 1001);

    /* a masked port collects, the unmask call delivers once */
    event_mask_port((evtchn_port_t)port);
    event_send((evtchn_port_t)port);
    event_send((evtchn_port_t)port);
    check_eq(hits, 1001);
    check(event_is_pending((evtchn_port_t)port));
    event_unmask_port((evtchn_port_t)port);
    check_eq(hits, 1002);
    check(!event_is_pending((evtchn_port_t)port));

    /* masked upcalls collect too */
    events_mask();
    event_send((evtchn_port_t)port);
    check_eq(hits, 1002);
    check_eq(vcpu_info()->evtchn_upcall_pending, 1);
    check_eq(vcpu_info()->evtchn_pending_sel, 1UL << port / 64);
    events_unmask();
    check_eq(hits, 1003);

    check_eq(event_close((evtchn_port_t)port), 0);
    check_eq(event_close((evtchn_port_t)port), -EINVAL);
    check_eq(event_send((evtchn_port_t)port), -EINVAL);
    check_eq(status_of((evtchn_port_t)port, &s), EVTCHNSTAT_closed);
}

/* Closing a port clears its pending bit; a new binding starts clean. */
static void test_reuse(void)
{
    long port = bind_ipi(0);

    event_mask_port((evtchn_port_t)port);
    event_send((evtchn_port_t)port);
    check(event_is_pending((evtchn_port_t)port));
    event_close((evtchn_port_t)port);
    check(!event_is_pending((evtchn_port_t)port));
    long again = bind_ipi(0);

    check_eq(again, port);
    check(!event_is_pending((evtchn_port_t)again));
    event_close((evtchn_port_t)again);
}

/* A channel between two ports of the same domain. */
static void test_interdomain(void)
{
    struct evtchn_alloc_unbound a = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
    struct evtchn_bind_interdomain b = { .remote_dom = DOMID_SELF };
    struct evtchn_status s;

    check_eq(event_op(EVTCHNOP_alloc_unbound, &a), 0);
    check_eq(status_of(a.port, &s), EVTCHNSTAT_unbound);
    b.remote_port = a.port;
    check_eq(event_op(EVTCHNOP_bind_interdomain, &b), 0);
    check(b.local_port != a.port);
    check_eq(status_of(b.local_port, &s), EVTCHNSTAT_interdomain);
    check_eq(s.u.interdomain.port, a.port);
    check_eq(status_of(a.port, &s), EVTCHNSTAT_interdomain);
    check_eq(s.u.interdomain.port, b.local_port);

    /* binding makes the local end pending, so that nothing sent before is lost */
    check(event_is_pending(b.local_port));
    event_clear(b.local_port);
    event_clear(a.port);
    event_handler(a.port, count);
    event_handler(b.local_port, count);
    event_unmask_port(a.port);
    event_unmask_port(b.local_port);
    hits = 0;
    check_eq(event_send(a.port), 0);
    check_eq(last_port, b.local_port);
    check_eq(event_send(b.local_port), 0);
    check_eq(last_port, a.port);
    check_eq(hits, 2);

    /* a port that is bound already cannot be bound again */
    check_eq(event_op(EVTCHNOP_bind_interdomain, &b), -EINVAL);
    check_eq(event_close(b.local_port), 0);
    check_eq(status_of(a.port, &s), EVTCHNSTAT_unbound);
    check_eq(event_send(a.port), 0); /* to an unbound port: nothing happens */
    check_eq(event_close(a.port), 0);
}

static void test_virq(void)
{
    struct evtchn_status s;
    struct evtchn_bind_virq bad = { .virq = 99 };
    long port = bind_virq(VIRQ_TIMER, 0);

    check(port > 0);
    check_eq(status_of((evtchn_port_t)port, &s), EVTCHNSTAT_virq);
    check_eq(s.u.virq, VIRQ_TIMER);
    check_eq(bind_virq(VIRQ_TIMER, 0), -EEXIST);
    check_eq(event_op(EVTCHNOP_bind_virq, &bad), -EINVAL);
    check_eq(bind_virq(VIRQ_TIMER, 500), -ENOENT);
    check_eq(event_close((evtchn_port_t)port), 0);
    port = bind_virq(VIRQ_DEBUG, 0);
    check(port > 0);
    check_eq(event_close((evtchn_port_t)port), 0);
}

static void test_errors(void)
{
    struct evtchn_close close = { .port = 0 };
    struct evtchn_send send = { .port = 4095 };
    struct evtchn_bind_vcpu bv = { .port = 4095, .vcpu = 0 };
    struct evtchn_bind_interdomain bi = { .remote_dom = DOMID_SELF, .remote_port = 4000 };
    struct evtchn_alloc_unbound au = { .dom = 4321, .remote_dom = 0 };
    struct evtchn_unmask un = { .port = 1000000 };
    struct evtchn_status st = { .dom = DOMID_SELF, .port = 1000000 };
    long port;

    check_eq(event_op(EVTCHNOP_close, &close), -EINVAL);
    close.port = 1000000;
    check_eq(event_op(EVTCHNOP_close, &close), -EINVAL);
    check_eq(event_op(EVTCHNOP_send, &send), -EINVAL);
    send.port = ~0U;
    check_eq(event_op(EVTCHNOP_send, &send), -EINVAL);
    check_eq(event_op(EVTCHNOP_bind_vcpu, &bv), -EINVAL);
    bv.vcpu = 700;
    check_eq(event_op(EVTCHNOP_bind_vcpu, &bv), -ENOENT);
    check_eq(event_op(EVTCHNOP_bind_interdomain, &bi), -EINVAL);
    bi.remote_dom = 4321;
    check_eq(event_op(EVTCHNOP_bind_interdomain, &bi), -ESRCH);
    check_eq(event_op(EVTCHNOP_alloc_unbound, &au), -ESRCH);
    check_eq(event_op(EVTCHNOP_unmask, &un), -EINVAL);
    check_eq(event_op(EVTCHNOP_status, &st), -EINVAL);
    st.dom = 4321;
    check_eq(event_op(EVTCHNOP_status, &st), -ESRCH);
    check_eq(event_op(99, &st), -ENOSYS);
    check_eq(hc2(__HYPERVISOR_event_channel_op, EVTCHNOP_send, 8), -EFAULT);
    check_eq(hc2(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, 0x800000000000), -EFAULT);
    check_eq(bind_ipi(77), -ENOENT);
    port = bind_ipi(0);
    bv = (struct evtchn_bind_vcpu){ .port = (evtchn_port_t)port, .vcpu = 0 };
    check_eq(event_op(EVTCHNOP_bind_vcpu, &bv), -EINVAL); /* IPIs keep their vCPU */
    event_close((evtchn_port_t)port);
}

/* Ports are given out from the lowest free one; many can be bound and closed again. */
static void test_many(void)
{
    static evtchn_port_t ports[600];
    u32 n, bad = 0;

    for (n = 0; n < ARRAY(ports); n++) {
        long p = bind_ipi(0);

        if (p <= 0) {
            break;
        }
        ports[n] = (evtchn_port_t)p;
        event_handler(ports[n], count);
        event_unmask_port(ports[n]);
    }
    check_eq(n, ARRAY(ports));
    hits = 0;
    for (u32 i = 0; i < n; i++) {
        event_send(ports[i]);
        bad += last_port != ports[i];
    }
    check_eq(bad, 0);
    check_eq(hits, n);
    for (u32 i = 0; i < n; i++) {
        bad += event_close(ports[i]) != 0;
    }
    check_eq(bad, 0);
    long p = bind_ipi(0);

    check_eq(p, ports[0]);
    event_close((evtchn_port_t)p);
}

/* block returns at once while an event is pending; poll waits for ports that are masked. */
static void test_block_poll(void)
{
    evtchn_port_t port = (evtchn_port_t)bind_ipi(0);
    struct sched_poll poll = { .nr_ports = 1, .ports = gptr(&port) };

    event_handler(port, count);
    event_unmask_port(port);
    hits = 0;
    events_mask();
    event_send(port);
    check_eq(sched_op(SCHEDOP_block, NULL), 0); /* unmasks, takes the upcall, returns */
    check_eq(hits, 1);
    check_eq(vcpu_info()->evtchn_upcall_mask, 0);
    event_mask_port(port);
    event_send(port);
    check_eq(sched_op(SCHEDOP_poll, &poll), 0);
    event_clear(port);
    poll.timeout = now() + 20000000;
    check_eq(sched_op(SCHEDOP_poll, &poll), 0);
    check(now() >= poll.timeout);
    poll.nr_ports = 129;
    check_eq(sched_op(SCHEDOP_poll, &poll), -EINVAL);
    poll.nr_ports = 1;
    poll.ports = gptr((void *)8);
    check_eq(sched_op(SCHEDOP_poll, &poll), -EFAULT);
    event_close(port);
}

/* The FIFO form is not offered by Joist: Linux then uses the 2-level form. */
static void test_fifo_absent(void)
{
    struct evtchn_init_control init = { .control_gfn = ~0UL, .offset = 1, .vcpu = 0 };
    struct evtchn_set_priority prio = { .port = 1, .priority = 0 };

    check_eq(event_op(EVTCHNOP_init_control, &init), -EINVAL);
    if (on_joist) {
        init.control_gfn = mfn_of((void *)si->pt_base);
        check_eq(event_op(EVTCHNOP_init_control, &init), -ENOSYS);
        check_eq(event_op(EVTCHNOP_set_priority, &prio), -ENOSYS);
        check_eq(event_op(EVTCHNOP_expand_array, &init), -ENOSYS);
    }
}

void test_main(void)
{
    test_ipi();
    test_reuse();
    test_interdomain();
    test_virq();
    test_errors();
    test_many();
    test_block_poll();
    test_fifo_absent();
}
