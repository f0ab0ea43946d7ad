/* SPDX-License-Identifier: MIT */
/* Mapping of pages that another domain granted. */

#include "libjoist/handle.h"

void *joist_grant_map(struct joist *h, uint16_t domid, uint32_t ref, int *rc)
{
    *rc = joist_need_gnttab(h);
    return *rc < 0 ? NULL : port_gnttab_map(h->gnttab, domid, ref, rc);
}

int joist_grant_unmap(struct joist *h, void *page)
{
    int rc = joist_need_gnttab(h);

    return rc < 0 ? rc : port_gnttab_unmap(h->gnttab, page);
}
