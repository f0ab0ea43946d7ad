/* SPDX-License-Identifier: MIT */
/* Event channels of this process. */

#include "libjoist/handle.h"

/* A descriptor that polls readable while a port is pending. */
int joist_evtchn_fd(struct joist *h)
{
    int rc = joist_need_evtchn(h);

    return rc < 0 ? rc : port_evtchn_fd(h->evtchn);
}

int joist_evtchn_bind_virq(struct joist *h, unsigned int virq)
{
    int rc = joist_need_evtchn(h);

    return rc < 0 ? rc : port_evtchn_bind_virq(h->evtchn, virq);
}

int joist_evtchn_bind_interdomain(struct joist *h, uint16_t domid, uint32_t remote_port)
{
    int rc = joist_need_evtchn(h);

    return rc < 0 ? rc : port_evtchn_bind_interdomain(h->evtchn, domid, remote_port);
}

int joist_evtchn_bind_unbound(struct joist *h, uint16_t domid)
{
    int rc = joist_need_evtchn(h);

    return rc < 0 ? rc : port_evtchn_bind_unbound(h->evtchn, domid);
}

int joist_evtchn_unbind(struct joist *h, uint32_t port)
{
    int rc = joist_need_evtchn(h);

    return rc < 0 ? rc : port_evtchn_unbind(h->evtchn, port);
}

int joist_evtchn_notify(struct joist *h, uint32_t port)
{
    int rc = joist_need_evtchn(h);

    return rc < 0 ? rc : port_evtchn_notify(h->evtchn, port);
}

int joist_evtchn_pending(struct joist *h)
{
    int rc = joist_need_evtchn(h);

    return rc < 0 ? rc : port_evtchn_pending(h->evtchn);
}

int joist_evtchn_unmask(struct joist *h, uint32_t port)
{
    int rc = joist_need_evtchn(h);

    return rc < 0 ? rc : port_evtchn_unmask(h->evtchn, port);
}
