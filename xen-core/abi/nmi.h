/* SPDX-License-Identifier: MIT */
/* NMIs for the control domain. Facts: Xen 4.17 public nmi.h. */
#pragma once

#include "abi/types.h"

#define XENNMI_register_callback   0
#define XENNMI_unregister_callback 1

/* arch_shared_info.nmi_reason */
#define XEN_NMIREASON_io_error (1UL << 0)
#define XEN_NMIREASON_pci_serr (1UL << 1)
#define XEN_NMIREASON_unknown  (1UL << 2)

struct xennmi_callback {
    uint64_t handler_address;
    uint64_t pad;
};
_Static_assert(sizeof(struct xennmi_callback) == 16, "xennmi_callback");
