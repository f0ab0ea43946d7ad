/* SPDX-License-Identifier: MIT */
/* The machine's part of control and memory calls, for tests of the common part: handlers fail and
 * leave a mark. */

#include "fake_core.h"

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
PORT_DOMCTL(sendtrigger)

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

const char port_capabilities[] = "test-caps";

bool port_context_online(const void *ctx)
{
    return ((const struct vcpu_guest_context *)ctx)->flags & VGCF_online;
}

uint64_t port_ram_frames(void)
{
    return FAKE_FRAMES;
}

int64_t port_memory_map(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    (void)v;
    (void)arg;
    (void)a;
    return -ENOSYS;
}

int64_t port_machine_memory_map(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    return port_memory_map(v, arg, a);
}

int64_t port_set_memory_map(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    return port_memory_map(v, arg, a);
}

int64_t port_machphys_mfn_list(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    return port_memory_map(v, arg, a);
}

int64_t port_machphys_mapping(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    return port_memory_map(v, arg, a);
}

uint64_t port_hole_start(void)
{
    return 0xffff800000000000;
}

uint32_t port_features(const struct domain *d)
{
    return d->is_hw ? 0x800 : 0x1;
}

uint32_t port_vm_assist_valid(void)
{
    return 0x5;
}

bool port_cpu_place(unsigned int cpu, struct port_cpu_place *place)
{
    *place = (struct port_cpu_place){ .core = cpu, .socket = 0 };
    return cpumask_test(&cpu_online_mask, cpu);
}

void port_physinfo(struct xen_sysctl_physinfo *pi)
{
    (void)pi;
}
