/* SPDX-License-Identifier: MIT */
/*
 * Types of the ELF notes, of owner "Xen", by which a kernel says how it wants to be started.
 * Literals only: assembly includes this file. Facts: Xen 4.17 public elfnote.h.
 */
#pragma once

#define XEN_ELFNOTE_INFO               0
#define XEN_ELFNOTE_ENTRY              1  /* address */
#define XEN_ELFNOTE_HYPERCALL_PAGE     2  /* address */
#define XEN_ELFNOTE_VIRT_BASE          3  /* address at which pseudo-physical 0 is mapped */
#define XEN_ELFNOTE_PADDR_OFFSET       4  /* of the image's p_paddr against 0 */
#define XEN_ELFNOTE_XEN_VERSION        5  /* string "xen-3.0" */
#define XEN_ELFNOTE_GUEST_OS           6  /* string */
#define XEN_ELFNOTE_GUEST_VERSION      7  /* string */
#define XEN_ELFNOTE_LOADER             8  /* string */
#define XEN_ELFNOTE_PAE_MODE           9  /* string */
#define XEN_ELFNOTE_FEATURES           10 /* string, names by | */
#define XEN_ELFNOTE_BSD_SYMTAB         11 /* string */
#define XEN_ELFNOTE_HV_START_LOW       12 /* address */
#define XEN_ELFNOTE_L1_MFN_VALID       13 /* mask and value pairs */
#define XEN_ELFNOTE_SUSPEND_CANCEL     14
#define XEN_ELFNOTE_INIT_P2M           15 /* address for the P2M, out of the first mapping */
#define XEN_ELFNOTE_MOD_START_PFN      16 /* not 0: ramdisk may stay unmapped */
#define XEN_ELFNOTE_SUPPORTED_FEATURES 17 /* bits of abi/features.h */
#define XEN_ELFNOTE_PHYS32_ENTRY       18
#define XEN_ELFNOTE_MAX                18

#define XEN_ELFNOTE_CRASH_INFO 0x1000001
#define XEN_ELFNOTE_CRASH_REGS 0x1000002

#define XEN_ELFNOTE_DUMPCORE_NONE           0x2000000
#define XEN_ELFNOTE_DUMPCORE_HEADER         0x2000001
#define XEN_ELFNOTE_DUMPCORE_XEN_VERSION    0x2000002
#define XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION 0x2000003
