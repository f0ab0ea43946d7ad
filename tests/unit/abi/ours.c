/* SPDX-License-Identifier: MIT */
/* The ABI as xen-core/abi declares it. */

#include "abi/callback.h"
#include "abi/domctl.h"
#include "abi/elfnote.h"
#include "abi/errno.h"
#include "abi/event.h"
#include "abi/features.h"
#include "abi/grant.h"
#include "abi/hcall_nr.h"
#include "abi/io.h"
#include "abi/memory.h"
#include "abi/mmu.h"
#include "abi/nmi.h"
#include "abi/physdev.h"
#include "abi/platform.h"
#include "abi/sched.h"
#include "abi/sysctl.h"
#include "abi/vcpu.h"
#include "abi/version.h"
#include "abi/xen.h"

#include "abi/rows.h"
#include "abi/table.h"

#define ABI_ERRNO(name) { #name, (uint64_t)(name), 0 },

const struct abi_entry abi_ours[] = {
#include "abi/list.h"
    { NULL, 0, 0 },
};
