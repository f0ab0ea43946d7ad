/* SPDX-License-Identifier: MIT */
/* vCPU calls. Facts: Xen 4.17 public vcpu.h. */
#pragma once

#include "abi/types.h"

#define VCPUOP_initialise                     0
#define VCPUOP_up                             1
#define VCPUOP_down                           2
#define VCPUOP_is_up                          3
#define VCPUOP_get_runstate_info              4
#define VCPUOP_register_runstate_memory_area  5
#define VCPUOP_set_periodic_timer             6
#define VCPUOP_stop_periodic_timer            7
#define VCPUOP_set_singleshot_timer           8
#define VCPUOP_stop_singleshot_timer          9
#define VCPUOP_register_vcpu_info             10
#define VCPUOP_send_nmi                       11
#define VCPUOP_get_physid                     12
#define VCPUOP_register_vcpu_time_memory_area 13

/* vcpu_runstate_info.state, and the index into time */
#define RUNSTATE_running  0
#define RUNSTATE_runnable 1
#define RUNSTATE_blocked  2
#define RUNSTATE_offline  3

/* In state_entry_time while the area is written, if the guest has asked for it. */
#define XEN_RUNSTATE_UPDATE (1ULL << 63)

struct vcpu_runstate_info {
    int32_t state;
    uint32_t pad;              /* named, so that what fills it is not what a stack held */
    uint64_t state_entry_time; /* system time, ns */
    uint64_t time[4];          /* ns spent in each state */
};
_Static_assert(sizeof(struct vcpu_runstate_info) == 48, "vcpu_runstate_info");

struct vcpu_register_runstate_memory_area {
    union {
        gptr_t h; /* struct vcpu_runstate_info, a virtual address */
        uint64_t p;
    } addr;
};
_Static_assert(sizeof(struct vcpu_register_runstate_memory_area) == 8, "register_runstate");

struct vcpu_set_periodic_timer {
    uint64_t period_ns;
};
_Static_assert(sizeof(struct vcpu_set_periodic_timer) == 8, "vcpu_set_periodic_timer");

#define VCPU_SSHOTTMR_future (1U << 0) /* -ETIME when the time has passed */

struct vcpu_set_singleshot_timer {
    uint64_t timeout_abs_ns; /* system time */
    uint32_t flags;
};
_Static_assert(sizeof(struct vcpu_set_singleshot_timer) == 16, "vcpu_set_singleshot_timer");

struct vcpu_register_vcpu_info {
    uint64_t mfn;
    uint32_t offset; /* bytes into that frame */
    uint32_t rsvd;
};
_Static_assert(sizeof(struct vcpu_register_vcpu_info) == 16, "vcpu_register_vcpu_info");

struct vcpu_get_physid {
    uint64_t phys_id; /* APIC id; ACPI id in bits 63:32 */
};
_Static_assert(sizeof(struct vcpu_get_physid) == 8, "vcpu_get_physid");

struct vcpu_register_time_memory_area {
    union {
        gptr_t h; /* struct vcpu_time_info, a virtual address */
        uint64_t p;
    } addr;
};
_Static_assert(sizeof(struct vcpu_register_time_memory_area) == 8, "register_time");
