/* SPDX-License-Identifier: MIT */
/*
 * Rings and wire formats between domains: console, store, block and net names.
 *
 * Facts: Xen 4.17 public io/console.h, io/xs_wire.h, io/ring.h, io/xenbus.h, io/blkif.h.
 */
#pragma once

#include "abi/types.h"

typedef uint32_t XENCONS_RING_IDX;
typedef uint32_t XENSTORE_RING_IDX;
typedef uint32_t RING_IDX;

#define MASK_XENCONS_IDX(idx, ring) ((idx) & (sizeof(ring) - 1))

/* One page. The indices run freely; the guest writes out and reads in. */
struct xencons_interface {
    char in[1024];
    char out[2048];
    XENCONS_RING_IDX in_cons;
    XENCONS_RING_IDX in_prod;
    XENCONS_RING_IDX out_cons;
    XENCONS_RING_IDX out_prod;
};
_Static_assert(sizeof(struct xencons_interface) == 3088, "xencons_interface");

/* xsd_sockmsg.type */
enum xsd_sockmsg_type {
    XS_CONTROL = 0,
    XS_DIRECTORY = 1,
    XS_READ = 2,
    XS_GET_PERMS = 3,
    XS_WATCH = 4,
    XS_UNWATCH = 5,
    XS_TRANSACTION_START = 6,
    XS_TRANSACTION_END = 7,
    XS_INTRODUCE = 8,
    XS_RELEASE = 9,
    XS_GET_DOMAIN_PATH = 10,
    XS_WRITE = 11,
    XS_MKDIR = 12,
    XS_RM = 13,
    XS_SET_PERMS = 14,
    XS_WATCH_EVENT = 15,
    XS_ERROR = 16,
    XS_IS_DOMAIN_INTRODUCED = 17,
    XS_RESUME = 18,
    XS_SET_TARGET = 19,
    XS_RESET_WATCHES = 21,
    XS_DIRECTORY_PART = 22,
    XS_TYPE_COUNT = 23,
    XS_INVALID = 0xffff
};

#define XS_WATCH_PATH  0 /* strings of a watch event, in this order */
#define XS_WATCH_TOKEN 1

/* Header of every message of the store, on a ring or a socket. */
struct xsd_sockmsg {
    uint32_t type;
    uint32_t req_id; /* echoed */
    uint32_t tx_id;  /* 0: outside of transactions */
    uint32_t len;    /* bytes after this header */
};
_Static_assert(sizeof(struct xsd_sockmsg) == 16, "xsd_sockmsg");

#define XENSTORE_RING_SIZE     1024
#define MASK_XENSTORE_IDX(idx) ((idx) & (XENSTORE_RING_SIZE - 1))
#define XENSTORE_PAYLOAD_MAX   4096
#define XENSTORE_ABS_PATH_MAX  3072
#define XENSTORE_REL_PATH_MAX  2048

/* server_features */
#define XENSTORE_SERVER_FEATURE_RECONNECTION 1
#define XENSTORE_SERVER_FEATURE_ERROR        2

/* connection */
#define XENSTORE_CONNECTED 0
#define XENSTORE_RECONNECT 1 /* the guest asks; the server clears it */

/* error */
#define XENSTORE_ERROR_NONE    0
#define XENSTORE_ERROR_COMM    1
#define XENSTORE_ERROR_RINGIDX 2
#define XENSTORE_ERROR_PROTO   3

/* One page. */
struct xenstore_domain_interface {
    char req[XENSTORE_RING_SIZE];
    char rsp[XENSTORE_RING_SIZE];
    XENSTORE_RING_IDX req_cons;
    XENSTORE_RING_IDX req_prod;
    XENSTORE_RING_IDX rsp_cons;
    XENSTORE_RING_IDX rsp_prod;
    uint32_t server_features;
    uint32_t connection;
    uint32_t error;
};
_Static_assert(sizeof(struct xenstore_domain_interface) == 2076, "xenstore_domain_interface");

/* The state node of a device's front and back end. */
enum xenbus_state {
    XenbusStateUnknown = 0,
    XenbusStateInitialising = 1,
    XenbusStateInitWait = 2,
    XenbusStateInitialised = 3,
    XenbusStateConnected = 4,
    XenbusStateClosing = 5,
    XenbusStateClosed = 6,
    XenbusStateReconfiguring = 7,
    XenbusStateReconfigured = 8
};

#define BLKIF_OP_READ                        0
#define BLKIF_OP_WRITE                       1
#define BLKIF_OP_FLUSH_DISKCACHE             3
#define BLKIF_OP_DISCARD                     5
#define BLKIF_OP_INDIRECT                    6
#define BLKIF_MAX_SEGMENTS_PER_REQUEST       11
#define BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST 8
#define BLKIF_RSP_EOPNOTSUPP                 (-2)
#define BLKIF_RSP_ERROR                      (-1)
#define BLKIF_RSP_OKAY                       0
#define VDISK_CDROM                          0x1
#define VDISK_REMOVABLE                      0x2
#define VDISK_READONLY                       0x4

struct blkif_request_segment {
    grant_ref_t gref;
    uint8_t first_sect; /* of 512 bytes, inclusive */
    uint8_t last_sect;
};
_Static_assert(sizeof(struct blkif_request_segment) == 8, "blkif_request_segment");

struct blkif_request {
    uint8_t operation;
    uint8_t nr_segments;
    uint16_t handle;
    uint64_t id; /* echoed */
    uint64_t sector_number;
    struct blkif_request_segment seg[BLKIF_MAX_SEGMENTS_PER_REQUEST];
};
_Static_assert(sizeof(struct blkif_request) == 112, "blkif_request");

struct blkif_response {
    uint64_t id;
    uint8_t operation;
    int16_t status;
};
_Static_assert(sizeof(struct blkif_response) == 16, "blkif_response");

union blkif_sring_entry {
    struct blkif_request req;
    struct blkif_response rsp;
};
_Static_assert(sizeof(union blkif_sring_entry) == 112, "blkif_sring_entry");

/* One page: 32 entries. The indices run freely. */
struct blkif_sring {
    RING_IDX req_prod;
    RING_IDX req_event;
    RING_IDX rsp_prod;
    RING_IDX rsp_event;
    union {
        uint8_t pvt_pad[4];
    } pvt;
    uint8_t __pad[44];
    union blkif_sring_entry ring[1];
};
_Static_assert(sizeof(struct blkif_sring) == 176, "blkif_sring");
