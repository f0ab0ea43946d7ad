/* SPDX-License-Identifier: MIT */
/* event_channel_op: from the ABI's structures to evtchn.c. */
#include "hcall/hcall.h"

#include "port/copy.h"

#include "domain/priv.h"
#include "evtchn/evtchn.h"
#include "evtchn/evtchn_priv.h"

/* The domain that a structure names, which the caller must be or control; referenced. */
static int64_t named_domain(struct vcpu *v, domid_t id, struct domain **out)
{
    struct domain *d = domain_get_self_or(v, id);

    if (d == NULL) {
        return -ESRCH;
    }
    if (priv_check_target(v, d) != 0) {
        domain_put(d);
        return -EPERM;
    }
    *out = d;
    return 0;
}

/* fails: -ESRCH, -EPERM (dom), and as evtchn_alloc_unbound(). */
static int64_t evtchn_op_alloc_unbound(struct vcpu *v, void *arg, struct hcall_args *a)
{
    struct evtchn_alloc_unbound *r = arg;
    struct domain *d = NULL;
    int64_t rc = named_domain(v, r->dom, &d);

    (void)a;
    if (rc == 0) {
        rc = evtchn_alloc_unbound(d, r->remote_dom == DOMID_SELF ? v->d->id : r->remote_dom,
                                  &r->port);
        domain_put(d);
    }
    return rc;
}

/* fails: -ESRCH, and as evtchn_bind_interdomain(). */
static int64_t evtchn_op_bind_interdomain(struct vcpu *v, void *arg, struct hcall_args *a)
{
    struct evtchn_bind_interdomain *r = arg;
    struct domain *rd = domain_get_self_or(v, r->remote_dom);

    (void)a;
    if (rd == NULL) {
        return -ESRCH;
    }
    int64_t rc = evtchn_bind_interdomain(v->d, rd, r->remote_port, &r->local_port);
    domain_put(rd);
    return rc;
}

static int64_t evtchn_op_bind_virq(struct vcpu *v, void *arg, struct hcall_args *a)
{
    struct evtchn_bind_virq *r = arg;

    (void)a;
    return evtchn_bind_virq(v->d, r->virq, r->vcpu, &r->port);
}

static int64_t evtchn_op_bind_pirq(struct vcpu *v, void *arg, struct hcall_args *a)
{
    struct evtchn_bind_pirq *r = arg;

    (void)a;
    return evtchn_bind_pirq(v->d, r->pirq, (r->flags & BIND_PIRQ__WILL_SHARE) != 0, &r->port);
}

static int64_t evtchn_op_bind_ipi(struct vcpu *v, void *arg, struct hcall_args *a)
{
    struct evtchn_bind_ipi *r = arg;

    (void)a;
    return evtchn_bind_ipi(v->d, r->vcpu, &r->port);
}

static int64_t evtchn_op_close(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct evtchn_close *r = arg;

    (void)a;
    return evtchn_close(v->d, r->port);
}

/* fails: -ESRCH, -EPERM, -EINVAL. */
static int64_t evtchn_op_status(struct vcpu *v, void *arg, struct hcall_args *a)
{
    struct evtchn_status *r = arg;
    struct domain *d = NULL;
    int64_t rc = named_domain(v, r->dom, &d);

    (void)a;
    if (rc == 0) {
        rc = evtchn_status(d, r);
        domain_put(d);
    }
    return rc;
}

static int64_t evtchn_op_bind_vcpu(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct evtchn_bind_vcpu *r = arg;

    (void)a;
    return evtchn_bind_vcpu(v->d, r->port, r->vcpu);
}

static int64_t evtchn_op_unmask(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct evtchn_unmask *r = arg;

    (void)a;
    return evtchn_unmask(v->d, r->port);
}

/* Progress is in the domain. fails: -ESRCH, -EPERM, -EINVAL (dying), HC_AGAIN. locks: takes life.
 */
static int64_t evtchn_op_reset(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct evtchn_reset *r = arg;
    struct domain *d = NULL;
    int64_t rc = named_domain(v, r->dom, &d);

    (void)a;
    if (rc == 0) {
        spin_lock(&d->life_lock); /* its end closes all ports, too */
        rc = domain_is_dying(d) ? -EINVAL : evtchn_reset(d);
        spin_unlock(&d->life_lock);
        domain_put(d);
    }
    return rc;
}

/* There are no FIFO events, but a frame that is not the caller's is told first: programs look for
 * that (XSA-188). fails: -EINVAL, -ENOSYS. */
static int64_t evtchn_op_init_control(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct evtchn_init_control *r = arg;
    struct frame *f = frame_of(MFN(r->control_gfn));

    (void)a;
    if (f == NULL || frame_get(f, v->d) != 0) {
        return -EINVAL;
    }
    frame_put(f);
    return -ENOSYS;
}

/* EVTCHNOP_send is not here: hc_event_channel_op() does it. The other calls of FIFO events have no
 * rows: -ENOSYS. */
static const struct subop_row ops[] = {
    [EVTCHNOP_bind_interdomain] = { "bind_interdomain", evtchn_op_bind_interdomain,
                                    .in = sizeof(struct evtchn_bind_interdomain),
                                    .out = sizeof(struct evtchn_bind_interdomain), .who = WHO_ANY },
    [EVTCHNOP_bind_virq] = { "bind_virq", evtchn_op_bind_virq,
                             .in = sizeof(struct evtchn_bind_virq),
                             .out = sizeof(struct evtchn_bind_virq), .who = WHO_ANY },
    [EVTCHNOP_bind_pirq] = { "bind_pirq", evtchn_op_bind_pirq,
                             .in = sizeof(struct evtchn_bind_pirq),
                             .out = sizeof(struct evtchn_bind_pirq), .who = WHO_HW },
    [EVTCHNOP_close] = { "close", evtchn_op_close, .in = sizeof(struct evtchn_close),
                         .who = WHO_ANY },
    [EVTCHNOP_status] = { "status", evtchn_op_status, .in = sizeof(struct evtchn_status),
                          .out = sizeof(struct evtchn_status), .who = WHO_ANY },
    [EVTCHNOP_alloc_unbound] = { "alloc_unbound", evtchn_op_alloc_unbound,
                                 .in = sizeof(struct evtchn_alloc_unbound),
                                 .out = sizeof(struct evtchn_alloc_unbound), .who = WHO_ANY },
    [EVTCHNOP_bind_ipi] = { "bind_ipi", evtchn_op_bind_ipi, .in = sizeof(struct evtchn_bind_ipi),
                            .out = sizeof(struct evtchn_bind_ipi), .who = WHO_ANY },
    [EVTCHNOP_bind_vcpu] = { "bind_vcpu", evtchn_op_bind_vcpu,
                             .in = sizeof(struct evtchn_bind_vcpu), .who = WHO_ANY },
    [EVTCHNOP_unmask] = { "unmask", evtchn_op_unmask, .in = sizeof(struct evtchn_unmask),
                          .who = WHO_ANY },
    [EVTCHNOP_reset] = { "reset", evtchn_op_reset, .in = sizeof(struct evtchn_reset),
                         .who = WHO_ANY },
    [EVTCHNOP_init_control] = { "init_control", evtchn_op_init_control,
                                .in = sizeof(struct evtchn_init_control), .who = WHO_ANY },
};

/* By far the most frequent one: no lock unless the port leads to another domain. fails: -EINVAL. */
static int64_t send(struct domain *d, uint32_t port)
{
    struct evtchn *e = evtchn_of(d->evtchn, port);

    if (e == NULL) {
        return -EINVAL;
    }
    uint64_t w = evtchn_word(e);
    switch (ew_state(w)) {
    case ES_IPI:
        evtchn_set_pending(d, port, ew_vcpu(w));
        return 0;
    case ES_INTERDOMAIN:
        return evtchn_send_interdomain(e);
    case ES_UNBOUND:
        return 0; /* nobody there yet: dropped without a word */
    default:
        return -EINVAL;
    }
}

/* event_channel_op(cmd, argument). fails: -ENOSYS, -EPERM, -EFAULT, or as above. */
int64_t hc_event_channel_op(struct vcpu *v, struct hcall_args *a)
{
    uint32_t op = (uint32_t)a->arg[0];

    if (__builtin_expect(op == EVTCHNOP_send, 1)) {
        struct evtchn_send r;
        if (guest_read(&r, gptr(a->arg[1]), sizeof(r)) != 0) {
            return -EFAULT;
        }
        return send(v->d, r.port);
    }
    return subop_dispatch(v, ops, sizeof(ops) / sizeof(ops[0]), op, gptr(a->arg[1]), a);
}
