/* SPDX-License-Identifier: MIT */
/* vcpu_guest_context: what the ABI's fields allow. */
#pragma once

#include "abi/xen.h"

/* vm_assist bits that a 64-bit guest may have set (abi xen.h: VMASST_TYPE_*). */
#define VM_ASSIST_VALID                                                              \
    ((1u << VMASST_TYPE_4gb_segments) | (1u << VMASST_TYPE_writable_pagetables) |    \
     (1u << VMASST_TYPE_pae_extended_cr3) | (1u << VMASST_TYPE_architectural_iopl) | \
     (1u << VMASST_TYPE_runstate_update_flag))
