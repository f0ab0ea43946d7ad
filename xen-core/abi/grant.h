/* SPDX-License-Identifier: MIT */
/*
 * Grant tables, version 1: shared entries, sub-operations and status codes.
 *
 * Facts: Xen 4.17 public grant_table.h. The structures of version 2 and of transfer are absent,
 * as those calls are refused before anything is read.
 */
#pragma once

#include "abi/types.h"

/* One entry of the shared table. */
struct grant_entry_v1 {
    uint16_t flags;
    domid_t domid; /* who may use it */
    uint32_t frame;
};
_Static_assert(sizeof(struct grant_entry_v1) == 8, "grant_entry_v1");

#define GNTTAB_NR_RESERVED_ENTRIES 8
#define GNTTAB_RESERVED_CONSOLE    0
#define GNTTAB_RESERVED_XENSTORE   1

/* grant_entry_v1.flags; the first four are values of the type field */
#define GTF_invalid         (0U << 0)
#define GTF_permit_access   (1U << 0)
#define GTF_accept_transfer (2U << 0)
#define GTF_transitive      (3U << 0)
#define GTF_type_mask       (3U << 0)
#define GTF_readonly        (1U << 2) /* the granter's */
#define GTF_reading         (1U << 3) /* the hypervisor's: mapped or being read */
#define GTF_writing         (1U << 4) /* the hypervisor's: mapped writable or being written */
#define GTF_PWT             (1U << 5)
#define GTF_PCD             (1U << 6)
#define GTF_PAT             (1U << 7)
#define GTF_sub_page        (1U << 8) /* version 2 only */

#define GNTTABOP_map_grant_ref     0
#define GNTTABOP_unmap_grant_ref   1
#define GNTTABOP_setup_table       2
#define GNTTABOP_dump_table        3
#define GNTTABOP_transfer          4
#define GNTTABOP_copy              5
#define GNTTABOP_query_size        6
#define GNTTABOP_unmap_and_replace 7
#define GNTTABOP_set_version       8
#define GNTTABOP_get_status_frames 9
#define GNTTABOP_get_version       10
#define GNTTABOP_swap_grant_ref    11
#define GNTTABOP_cache_flush       12

/* gnttab_map_grant_ref.flags */
#define GNTMAP_device_map       (1 << 0)
#define GNTMAP_host_map         (1 << 1)
#define GNTMAP_readonly         (1 << 2)
#define GNTMAP_application_map  (1 << 3) /* user-mode access */
#define GNTMAP_contains_pte     (1 << 4) /* host_addr is the machine address of an entry */
#define GNTMAP_guest_avail_mask 0xffff0000U

struct gnttab_map_grant_ref {
    uint64_t host_addr;
    uint32_t flags;
    grant_ref_t ref;
    domid_t dom;           /* the granter */
    int16_t status;        /* out: GNTST_ */
    grant_handle_t handle; /* out */
    uint64_t dev_bus_addr; /* out */
};
_Static_assert(sizeof(struct gnttab_map_grant_ref) == 32, "gnttab_map_grant_ref");

struct gnttab_unmap_grant_ref {
    uint64_t host_addr;
    uint64_t dev_bus_addr;
    grant_handle_t handle;
    int16_t status; /* out */
};
_Static_assert(sizeof(struct gnttab_unmap_grant_ref) == 24, "gnttab_unmap_grant_ref");

struct gnttab_setup_table {
    domid_t dom;
    uint32_t nr_frames;
    int16_t status;    /* out */
    gptr_t frame_list; /* out: xen_pfn_t[nr_frames] */
};
_Static_assert(sizeof(struct gnttab_setup_table) == 24, "gnttab_setup_table");

struct gnttab_dump_table {
    domid_t dom;
    int16_t status; /* out */
};
_Static_assert(sizeof(struct gnttab_dump_table) == 4, "gnttab_dump_table");

/* gnttab_copy.flags */
#define GNTCOPY_source_gref (1 << 0)
#define GNTCOPY_dest_gref   (1 << 1)

struct gnttab_copy_ptr {
    union {
        grant_ref_t ref;
        xen_pfn_t gmfn;
    } u;
    domid_t domid;
    uint16_t offset;
};
_Static_assert(sizeof(struct gnttab_copy_ptr) == 16, "gnttab_copy_ptr");

struct gnttab_copy {
    struct gnttab_copy_ptr source;
    struct gnttab_copy_ptr dest;
    uint16_t len;
    uint16_t flags;
    int16_t status; /* out */
};
_Static_assert(sizeof(struct gnttab_copy) == 40, "gnttab_copy");

struct gnttab_query_size {
    domid_t dom;
    uint32_t nr_frames;     /* out */
    uint32_t max_nr_frames; /* out */
    int16_t status;         /* out */
};
_Static_assert(sizeof(struct gnttab_query_size) == 16, "gnttab_query_size");

struct gnttab_unmap_and_replace {
    uint64_t host_addr;
    uint64_t new_addr; /* its entry moves to host_addr */
    grant_handle_t handle;
    int16_t status; /* out */
};
_Static_assert(sizeof(struct gnttab_unmap_and_replace) == 24, "gnttab_unmap_and_replace");

struct gnttab_set_version {
    uint32_t version; /* in and out */
};
_Static_assert(sizeof(struct gnttab_set_version) == 4, "gnttab_set_version");

struct gnttab_get_status_frames {
    uint32_t nr_frames;
    domid_t dom;
    int16_t status; /* out */
    gptr_t frame_list;
};
_Static_assert(sizeof(struct gnttab_get_status_frames) == 16, "gnttab_get_status_frames");

struct gnttab_get_version {
    domid_t dom;
    uint16_t pad;
    uint32_t version; /* out */
};
_Static_assert(sizeof(struct gnttab_get_version) == 8, "gnttab_get_version");

struct gnttab_swap_grant_ref {
    grant_ref_t ref_a;
    grant_ref_t ref_b;
    int16_t status; /* out */
};
_Static_assert(sizeof(struct gnttab_swap_grant_ref) == 12, "gnttab_swap_grant_ref");

#define GNTTAB_CACHE_CLEAN       (1U << 0)
#define GNTTAB_CACHE_INVAL       (1U << 1)
#define GNTTAB_CACHE_SOURCE_GREF (1U << 31)

struct gnttab_cache_flush {
    union {
        uint64_t dev_bus_addr;
        grant_ref_t ref;
    } a;
    uint16_t offset;
    uint16_t length;
    uint32_t op;
};
_Static_assert(sizeof(struct gnttab_cache_flush) == 16, "gnttab_cache_flush");

/* status fields */
#define GNTST_okay              0
#define GNTST_general_error     (-1)
#define GNTST_bad_domain        (-2)
#define GNTST_bad_gntref        (-3)
#define GNTST_bad_handle        (-4)
#define GNTST_bad_virt_addr     (-5)
#define GNTST_bad_dev_addr      (-6)
#define GNTST_no_device_space   (-7)
#define GNTST_permission_denied (-8)
#define GNTST_bad_page          (-9)
#define GNTST_bad_copy_arg      (-10)
#define GNTST_address_too_big   (-11)
#define GNTST_eagain            (-12)
#define GNTST_no_space          (-13)
