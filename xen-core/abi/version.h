/* SPDX-License-Identifier: MIT */
/* Version and feature queries. Facts: Xen 4.17 public version.h. */
#pragma once

#include "abi/types.h"

#define XENVER_version             0 /* returns major << 16 | minor */
#define XENVER_extraversion        1 /* char[XEN_EXTRAVERSION_LEN] */
#define XENVER_compile_info        2
#define XENVER_capabilities        3 /* char[XEN_CAPABILITIES_INFO_LEN] */
#define XENVER_changeset           4 /* char[XEN_CHANGESET_INFO_LEN] */
#define XENVER_platform_parameters 5
#define XENVER_get_features        6
#define XENVER_pagesize            7
#define XENVER_guest_handle        8 /* xen_domain_handle_t */
#define XENVER_commandline         9 /* xen_commandline_t */
#define XENVER_build_id            10

#define XEN_EXTRAVERSION_LEN      16
#define XEN_CAPABILITIES_INFO_LEN 1024
#define XEN_CHANGESET_INFO_LEN    64

typedef char xen_extraversion_t[XEN_EXTRAVERSION_LEN];
typedef char xen_capabilities_info_t[XEN_CAPABILITIES_INFO_LEN];
typedef char xen_changeset_info_t[XEN_CHANGESET_INFO_LEN];
typedef char xen_commandline_t[1024];

struct xen_compile_info {
    char compiler[64];
    char compile_by[16];
    char compile_domain[32];
    char compile_date[32];
};
_Static_assert(sizeof(struct xen_compile_info) == 144, "xen_compile_info");

struct xen_platform_parameters {
    xen_ulong_t virt_start; /* of the hypervisor hole */
};
_Static_assert(sizeof(struct xen_platform_parameters) == 8, "xen_platform_parameters");

struct xen_feature_info {
    uint32_t submap_idx;
    uint32_t submap; /* out: bits of abi/features.h */
};
_Static_assert(sizeof(struct xen_feature_info) == 8, "xen_feature_info");

struct xen_build_id {
    uint32_t len; /* of buf; a null pointer instead of the structure asks for it */
    unsigned char buf[];
};
_Static_assert(sizeof(struct xen_build_id) == 4, "xen_build_id");
