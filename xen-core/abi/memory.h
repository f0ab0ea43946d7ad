/* SPDX-License-Identifier: MIT */
/*
 * Memory calls: reservations, exchange, maps, resources.
 *
 * Facts: Xen 4.17 public memory.h; the E820 record is the firmware's.
 */
#pragma once

#include "abi/types.h"

#define XENMEM_increase_reservation       0
#define XENMEM_decrease_reservation       1
#define XENMEM_maximum_ram_page           2 /* no argument; returns the last frame */
#define XENMEM_current_reservation        3 /* domid_t; returns frames */
#define XENMEM_maximum_reservation        4 /* domid_t; returns frames */
#define XENMEM_machphys_mfn_list          5
#define XENMEM_populate_physmap           6
#define XENMEM_add_to_physmap             7
#define XENMEM_memory_map                 9
#define XENMEM_machine_memory_map         10
#define XENMEM_exchange                   11
#define XENMEM_machphys_mapping           12
#define XENMEM_set_memory_map             13
#define XENMEM_maximum_gpfn               14 /* domid_t; returns the last pfn */
#define XENMEM_remove_from_physmap        15
#define XENMEM_set_pod_target             16
#define XENMEM_get_pod_target             17
#define XENMEM_get_sharing_freed_pages    18
#define XENMEM_get_sharing_shared_pages   19
#define XENMEM_paging_op                  20
#define XENMEM_access_op                  21
#define XENMEM_sharing_op                 22
#define XENMEM_add_to_physmap_batch       23
#define XENMEM_claim_pages                24
#define XENMEM_machphys_compat_mfn_list   25
#define XENMEM_get_vnumainfo              26
#define XENMEM_reserved_device_memory_map 27
#define XENMEM_acquire_resource           28

/* xen_memory_reservation.mem_flags: address bits in 7:0, node + 1 in 15:8, and */
#define XENMEMF_address_bits(x)     (x)
#define XENMEMF_get_address_bits(x) ((x)&0xffU)
#define XENMEMF_node(x)             (((x) + 1) << 8)
#define XENMEMF_get_node(x)         ((((x) >> 8) - 1) & 0xffU)
#define XENMEMF_populate_on_demand  (1 << 16)
#define XENMEMF_exact_node_request  (1 << 17)
#define XENMEMF_vnode               (1 << 18)

struct xen_memory_reservation {
    gptr_t extent_start; /* xen_pfn_t[nr_extents]; increase: out, decrease: in, populate: both */
    xen_ulong_t nr_extents;
    uint32_t extent_order;
    uint32_t mem_flags;
    domid_t domid;
};
_Static_assert(sizeof(struct xen_memory_reservation) == 32, "xen_memory_reservation");

struct xen_memory_exchange {
    struct xen_memory_reservation in;
    struct xen_memory_reservation out;
    xen_ulong_t nr_exchanged; /* in: 0; out: extents of in that are done */
};
_Static_assert(sizeof(struct xen_memory_exchange) == 72, "xen_memory_exchange");

struct xen_memory_domain {
    domid_t domid;
};
_Static_assert(sizeof(struct xen_memory_domain) == 2, "xen_memory_domain");

struct xen_machphys_mfn_list {
    uint32_t max_extents;
    gptr_t extent_start; /* xen_pfn_t[]: a frame for each 2 MiB of the table */
    uint32_t nr_extents; /* out */
};
_Static_assert(sizeof(struct xen_machphys_mfn_list) == 24, "xen_machphys_mfn_list");

struct xen_machphys_mapping {
    xen_ulong_t v_start; /* out, all */
    xen_ulong_t v_end;
    xen_ulong_t max_mfn;
};
_Static_assert(sizeof(struct xen_machphys_mapping) == 24, "xen_machphys_mapping");

#define XENMAPSPACE_shared_info  0
#define XENMAPSPACE_grant_table  1
#define XENMAPSPACE_gmfn         2
#define XENMAPSPACE_gmfn_range   3
#define XENMAPSPACE_gmfn_foreign 4
#define XENMAPSPACE_dev_mmio     5

struct xen_add_to_physmap {
    domid_t domid;
    uint16_t size;
    uint32_t space;
    xen_ulong_t idx;
    xen_pfn_t gpfn;
};
_Static_assert(sizeof(struct xen_add_to_physmap) == 24, "xen_add_to_physmap");

struct xen_remove_from_physmap {
    domid_t domid;
    xen_pfn_t gpfn;
};
_Static_assert(sizeof(struct xen_remove_from_physmap) == 16, "xen_remove_from_physmap");

struct xen_memory_map {
    uint32_t nr_entries; /* in: room; out: entries */
    gptr_t buffer;       /* struct e820entry[nr_entries] */
};
_Static_assert(sizeof(struct xen_memory_map) == 16, "xen_memory_map");

struct xen_foreign_memory_map {
    domid_t domid;
    struct xen_memory_map map;
};
_Static_assert(sizeof(struct xen_foreign_memory_map) == 24, "xen_foreign_memory_map");

/* e820entry.type */
#define E820_RAM      1
#define E820_RESERVED 2
#define E820_ACPI     3
#define E820_NVS      4
#define E820_UNUSABLE 5

struct e820entry {
    uint64_t addr;
    uint64_t size;
    uint32_t type;
} __attribute__((packed));
_Static_assert(sizeof(struct e820entry) == 20, "e820entry");

struct xen_pod_target {
    uint64_t target_pages;
    uint64_t tot_pages;
    uint64_t pod_cache_pages;
    uint64_t pod_entries;
    domid_t domid;
};
_Static_assert(sizeof(struct xen_pod_target) == 40, "xen_pod_target");

#define XENMEM_resource_ioreq_server          0
#define XENMEM_resource_grant_table           1
#define XENMEM_resource_vmtrace_buf           2
#define XENMEM_resource_grant_table_id_shared 0
#define XENMEM_resource_grant_table_id_status 1

struct xen_mem_acquire_resource {
    domid_t domid;
    uint16_t type;
    uint32_t id;
    uint32_t nr_frames; /* in; with a null frame_list out: how many there are */
    uint32_t pad;       /* must be 0 */
    uint64_t frame;     /* first one wanted */
    gptr_t frame_list;  /* xen_pfn_t[nr_frames] */
};
_Static_assert(sizeof(struct xen_mem_acquire_resource) == 32, "xen_mem_acquire_resource");

struct xen_vmemrange {
    uint64_t start;
    uint64_t end;
    uint32_t flags;
    uint32_t nid;
};
_Static_assert(sizeof(struct xen_vmemrange) == 24, "xen_vmemrange");

struct xen_vnuma_topology_info {
    domid_t domid;
    uint16_t pad;
    uint32_t nr_vnodes;
    uint32_t nr_vcpus;
    uint32_t nr_vmemranges;
    union {
        gptr_t h;
        uint64_t pad;
    } vdistance;
    union {
        gptr_t h;
        uint64_t pad;
    } vcpu_to_vnode;
    union {
        gptr_t h;
        uint64_t pad;
    } vmemrange;
};
_Static_assert(sizeof(struct xen_vnuma_topology_info) == 40, "xen_vnuma_topology_info");

#define XENMEM_RDM_ALL 1

struct xen_reserved_device_memory {
    xen_pfn_t start_pfn;
    xen_ulong_t nr_pages;
};
_Static_assert(sizeof(struct xen_reserved_device_memory) == 16, "xen_reserved_device_memory");
