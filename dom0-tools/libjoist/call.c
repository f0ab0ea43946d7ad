/* SPDX-License-Identifier: MIT */
/* Control calls: hypercalls with bounce buffers, and the typed control operations. */

#include "libjoist/handle.h"

#include <string.h>

#include "abi/domctl.h"
#include "abi/errno.h"
#include "abi/hcall_nr.h"
#include "abi/sysctl.h"
#include "abi/xen.h"

long joist_hypercall(struct joist *h, unsigned int nr, const struct joist_args *args)
{
    int rc = joist_need_call(h);

    return rc < 0 ? rc : port_call(h->call, nr, args);
}

/* NULL when privcmd cannot be opened or memory is short. */
void *joist_buf_alloc(struct joist *h, size_t size)
{
    return joist_need_call(h) < 0 ? NULL : port_call_buf_alloc(h->call, size);
}

void joist_buf_free(struct joist *h, void *buf)
{
    if (buf) {
        port_call_buf_free(h->call, buf);
    }
}

/* Hypercall nr with first argument cmd (or the buffer itself when has_cmd is false) on a copy of
   arg; the copy goes back to the caller whether or not the call failed, as the ABI has it. */
static long call_bounced(struct joist *h, unsigned int nr, const unsigned int *cmd, void *arg,
                         size_t size)
{
    struct joist_args args = { { 0 } };
    int rc = joist_need_call(h);

    if (rc < 0) {
        return rc;
    }
    void *buf = joist_buf_alloc(h, size ? size : 1);
    if (!buf) {
        return -ENOMEM;
    }
    memcpy(buf, arg, size);
    if (cmd) {
        args.arg[0] = *cmd;
        args.arg[1] = (uintptr_t)buf;
    } else {
        args.arg[0] = (uintptr_t)buf;
    }
    long ret = port_call(h->call, nr, &args);
    memcpy(arg, buf, size);
    joist_buf_free(h, buf);
    return ret;
}

int joist_domctl(struct joist *h, struct xen_domctl *op)
{
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    return (int)call_bounced(h, __HYPERVISOR_domctl, NULL, op, sizeof(*op));
}

int joist_sysctl(struct joist *h, struct xen_sysctl *op)
{
    op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return (int)call_bounced(h, __HYPERVISOR_sysctl, NULL, op, sizeof(*op));
}

long joist_memory_op(struct joist *h, unsigned int cmd, void *arg, size_t size)
{
    return call_bounced(h, __HYPERVISOR_memory_op, &cmd, arg, size);
}

long joist_xen_version(struct joist *h, unsigned int cmd, void *arg, size_t size)
{
    return call_bounced(h, __HYPERVISOR_xen_version, &cmd, arg, size);
}

int joist_dominfo(struct joist *h, uint16_t domid, struct joist_dominfo *out)
{
    struct xen_domctl op = { .cmd = XEN_DOMCTL_getdomaininfo, .domain = domid };
    int rc = joist_domctl(h, &op);

    if (rc < 0) {
        return rc;
    }
    /* The hypervisor answers for the next higher domain when this one does not exist. */
    if (op.u.getdomaininfo.domain != domid) {
        return -ESRCH;
    }
    uint32_t flags = op.u.getdomaininfo.flags;
    out->domid = domid;
    out->is_dying = (flags & XEN_DOMINF_dying) != 0;
    out->is_shutdown = (flags & XEN_DOMINF_shutdown) != 0;
    out->shutdown_code = (uint8_t)((flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask);
    return 0;
}
