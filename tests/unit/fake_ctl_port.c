/* SPDX-License-Identifier: MIT */
/* The machine's handlers of control calls, for tests of the entry: they fail, and leave a mark. */

#include "ctl/ctl.h"
#include "port/ctl.h"

#define PORT_DOMCTL(name)                                                               \
    int64_t port_domctl_##name(struct vcpu *v, struct domain *d, struct xen_domctl *op) \
    {                                                                                   \
        (void)v;                                                                        \
        (void)d;                                                                        \
        op->u.pad[100] = 0x77;                                                          \
        return -E2BIG;                                                                  \
    }
PORT_DOMCTL(set_address_size)
PORT_DOMCTL(get_address_size)
PORT_DOMCTL(settscinfo)
PORT_DOMCTL(gettscinfo)
PORT_DOMCTL(set_cpu_policy)
PORT_DOMCTL(get_cpu_policy)
PORT_DOMCTL(hypercall_init)

#define PORT_SYSCTL(name)                                             \
    int64_t port_sysctl_##name(struct vcpu *v, struct xen_sysctl *op) \
    {                                                                 \
        (void)v;                                                      \
        (void)op;                                                     \
        return -E2BIG;                                                \
    }
PORT_SYSCTL(get_cpu_levelling_caps)
PORT_SYSCTL(get_cpu_featureset)
PORT_SYSCTL(get_cpu_policy)
