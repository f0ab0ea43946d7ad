/* SPDX-License-Identifier: MIT */
/* The ABI as the public headers of libxen-dev declare it. */

#define __XEN_TOOLS__ 1

#include <stddef.h>
#include <stdint.h>
#include <xenctrl.h>

#include <xen/callback.h>
#include <xen/domctl.h>
#include <xen/elfnote.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/io/blkif.h>
#include <xen/io/console.h>
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>
#include <xen/memory.h>
#include <xen/nmi.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/xen.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/arch-x86/xen-mca.h>

/* Two of the numbers are shown to the hypervisor itself only. */
#define __XEN__                1
#define XEN_ERRNO(name, value) ABI_##name = value,
enum {
#include <xen/errno.h>
};
#undef __XEN__

#include "abi/rows.h"
#include "abi/table.h"

#define ABI_ERRNO(name) { #name, (uint64_t)(ABI_##name), 0 },

const struct abi_entry abi_theirs[] = {
#include "abi/list.h"
    { NULL, 0, 0 },
};
