/* SPDX-License-Identifier: MIT */
/*
 * Scalar types and reserved domain ids of the public interface.
 *
 * Facts: Xen 4.17 public interface, x86-64. Names of the interface are kept, so that a reader
 * who knows it needs no dictionary; the texts are ours. Every number, size and offset below
 * abi/ is compared with the headers of libxen-dev by tests/unit/abi/.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef uint16_t domid_t;
typedef uint32_t evtchn_port_t;
typedef uint32_t grant_ref_t;
typedef uint32_t grant_handle_t;
typedef uint64_t xen_pfn_t;
typedef uint64_t xen_ulong_t;
typedef uint64_t xen_callback_t;
typedef uint8_t xen_domain_handle_t[16];

/* An address in the caller's memory. Never a C pointer: only port/copy.h may follow it. */
typedef struct gptr {
    uint64_t va;
} gptr_t;
_Static_assert(sizeof(gptr_t) == 8, "a guest pointer is one register");

/* Ids from here on name no ordinary domain. */
#define DOMID_FIRST_RESERVED 0x7ff0U
#define DOMID_SELF           0x7ff0U /* the caller */
#define DOMID_IO             0x7ff1U /* owner of device memory */
#define DOMID_XEN            0x7ff2U /* owner of what the hypervisor shares */
#define DOMID_COW            0x7ff3U
#define DOMID_INVALID        0x7ff4U
#define DOMID_IDLE           0x7fffU
#define DOMID_MASK           0x7fffU
