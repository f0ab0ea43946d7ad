/* SPDX-License-Identifier: MIT */
/* Registration of the guest kernel's entry points. Facts: Xen 4.17 public callback.h. */
#pragma once

#include "abi/types.h"

#define CALLBACKOP_register   0
#define CALLBACKOP_unregister 1

#define CALLBACKTYPE_event               0
#define CALLBACKTYPE_failsafe            1
#define CALLBACKTYPE_syscall             2
#define CALLBACKTYPE_sysenter_deprecated 3
#define CALLBACKTYPE_nmi                 4
#define CALLBACKTYPE_sysenter            5
#define CALLBACKTYPE_syscall32           7

#define CALLBACKF_mask_events (1U << 0) /* events are masked when the entry point is reached */

struct callback_register {
    uint16_t type;
    uint16_t flags;
    xen_callback_t address;
};
_Static_assert(sizeof(struct callback_register) == 16, "callback_register");

struct callback_unregister {
    uint16_t type;
    uint16_t _unused;
};
_Static_assert(sizeof(struct callback_unregister) == 4, "callback_unregister");
