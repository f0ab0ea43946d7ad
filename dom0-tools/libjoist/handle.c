/* SPDX-License-Identifier: MIT */
/* Opening and closing of library handles. */

#include "libjoist/handle.h"

#include <errno.h>
#include <stdlib.h>

/* Makes a handle; no device is opened yet, so this fails for want of memory only. */
int joist_open(struct joist **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? 0 : -ENOMEM;
}

/* Closes every device that was opened. Mappings made through the handle are gone afterwards. */
void joist_close(struct joist *h)
{
    if (!h) {
        return;
    }
    if (h->call) {
        port_call_close(h->call);
    }
    if (h->evtchn) {
        port_evtchn_close(h->evtchn);
    }
    if (h->gnttab) {
        port_gnttab_close(h->gnttab);
    }
    if (h->foreign) {
        port_foreign_close(h->foreign);
    }
    free(h);
}

int joist_open_devices(struct joist *h)
{
    int rc = joist_need_call(h);

    rc = rc < 0 ? rc : joist_need_evtchn(h);
    rc = rc < 0 ? rc : joist_need_gnttab(h);
    return rc < 0 ? rc : joist_need_foreign(h);
}

int joist_restrict(struct joist *h, uint16_t domid)
{
    int rc = joist_need_evtchn(h);

    rc = rc < 0 ? rc : joist_need_foreign(h);
    if (h->call) {
        port_call_close(h->call);
        h->call = NULL;
    }
    if (h->gnttab) {
        port_gnttab_close(h->gnttab);
        h->gnttab = NULL;
    }
    rc = rc < 0 ? rc : port_evtchn_restrict(h->evtchn, domid);
    return rc < 0 ? rc : port_foreign_restrict(h->foreign, domid);
}

bool joist_has_hypervisor(void)
{
    return port_has_hypervisor();
}

int joist_need_call(struct joist *h)
{
    return h->call ? 0 : port_call_open(&h->call);
}

int joist_need_evtchn(struct joist *h)
{
    return h->evtchn ? 0 : port_evtchn_open(&h->evtchn);
}

int joist_need_gnttab(struct joist *h)
{
    return h->gnttab ? 0 : port_gnttab_open(&h->gnttab);
}

int joist_need_foreign(struct joist *h)
{
    return h->foreign ? 0 : port_foreign_open(&h->foreign);
}
