/* SPDX-License-Identifier: MIT */
/*
 * Port: what the machine adds to control calls, memory calls and version queries.
 *
 * The sub-operation handlers stand in the literal tables of ctl/ctl.c and hcall/mem_op.c under
 * these names; a machine without one answers -ENOSYS.  They are called with no lock held and may
 * read and write the caller's memory.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"

struct boot_info;
struct domain;
struct hcall_args;
struct vcpu;
struct xen_domctl;
struct xen_sysctl;
struct xen_sysctl_physinfo;

/* Start of day: keep the firmware's memory map for machine_memory_map and physinfo. */
void port_memory_map_init(const struct boot_info *bi);
/* Frames of RAM that the machine has, ours included. */
uint64_t port_ram_frames(void);

/* Where a cpu sits; false if it does not run. */
struct port_cpu_place {
    uint32_t core;
    uint32_t socket;
};
bool port_cpu_place(unsigned int cpu, struct port_cpu_place *place);
/* Fills threads_per_core, cores_per_socket, arch_capabilities and hw_cap. */
void port_physinfo(struct xen_sysctl_physinfo *pi);

/* XENVER_capabilities, platform_parameters and get_features (submap 0). */
extern const char port_capabilities[];
uint64_t port_hole_start(void);
uint32_t port_features(const struct domain *d);
/* Bits of d->vm_assist that exist on this machine. */
uint32_t port_vm_assist_valid(void);

/* Does a context that was set say that the vcpu is to run at once? */
bool port_context_online(const void *ctx);

/* domctl: d is referenced and not the caller's where the table says so. */
int64_t port_domctl_set_address_size(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t port_domctl_get_address_size(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t port_domctl_settscinfo(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t port_domctl_gettscinfo(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t port_domctl_set_cpu_policy(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t port_domctl_get_cpu_policy(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t port_domctl_sendtrigger(struct vcpu *v, struct domain *d, struct xen_domctl *op);
int64_t port_domctl_hypercall_init(struct vcpu *v, struct domain *d, struct xen_domctl *op);

/* sysctl */
int64_t port_sysctl_get_cpu_levelling_caps(struct vcpu *v, struct xen_sysctl *op);
int64_t port_sysctl_get_cpu_featureset(struct vcpu *v, struct xen_sysctl *op);
int64_t port_sysctl_get_cpu_policy(struct vcpu *v, struct xen_sysctl *op);

/* memory_op: arg is the sub-operation's structure. */
int64_t port_memory_map(struct vcpu *v, gptr_t arg, struct hcall_args *a);
int64_t port_machine_memory_map(struct vcpu *v, gptr_t arg, struct hcall_args *a);
int64_t port_set_memory_map(struct vcpu *v, gptr_t arg, struct hcall_args *a);
int64_t port_machphys_mfn_list(struct vcpu *v, gptr_t arg, struct hcall_args *a);
int64_t port_machphys_mapping(struct vcpu *v, gptr_t arg, struct hcall_args *a);
