/* SPDX-License-Identifier: MIT */
/* Mapping of another domain's frames by control right, and the control domain's store ring. */

#include "libjoist/handle.h"

void *joist_foreign_map(struct joist *h, const struct joist_foreign *req, int *rc)
{
    *rc = joist_need_foreign(h);
    return *rc < 0 ? NULL : port_foreign_map(h->foreign, req, rc);
}

int joist_foreign_unmap(struct joist *h, void *addr, size_t pfn_count)
{
    int rc = joist_need_foreign(h);

    return rc < 0 ? rc : port_foreign_unmap(h->foreign, addr, pfn_count);
}

int joist_resource_map(struct joist *h, struct joist_resource *res)
{
    int rc = joist_need_foreign(h);

    return rc < 0 ? rc : port_resource_map(h->foreign, res);
}

int joist_resource_unmap(struct joist *h, struct joist_resource *res)
{
    int rc = joist_need_foreign(h);

    return rc < 0 ? rc : port_resource_unmap(h->foreign, res);
}

void *joist_xsd_map(uint32_t *port, int *rc)
{
    return port_xsd_map(port, rc);
}

void joist_xsd_unmap(void *page)
{
    port_xsd_unmap(page);
}
