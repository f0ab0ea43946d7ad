/* SPDX-License-Identifier: MIT */
/*
 * What hypervisor and guest share from the first instruction: the shared page, time, the start
 * page, multicalls, virtual interrupts, and the calls too small for a header of their own.
 *
 * Facts: Xen 4.17 public xen.h.
 */
#pragma once

#include "abi/arch.h"
#include "abi/hcall_nr.h"
#include "abi/types.h"

/* Virtual interrupts. V: one port per vCPU; the others one per domain (G) or per host. */
#define VIRQ_TIMER      0 /* V */
#define VIRQ_DEBUG      1 /* V */
#define VIRQ_CONSOLE    2 /* host: input is there */
#define VIRQ_DOM_EXC    3 /* host: a domain has changed state */
#define VIRQ_TBUF       4
#define VIRQ_DEBUGGER   6
#define VIRQ_XENOPROF   7 /* V */
#define VIRQ_CON_RING   8
#define VIRQ_PCPU_STATE 9
#define VIRQ_MEM_EVENT  10
#define VIRQ_ARGO       11 /* G */
#define VIRQ_ENOMEM     12
#define VIRQ_XENPMU     13 /* V */
#define VIRQ_ARCH_0     16
#define VIRQ_MCA        VIRQ_ARCH_0
#define VIRQ_ARCH_1     17
#define VIRQ_ARCH_2     18
#define VIRQ_ARCH_3     19
#define VIRQ_ARCH_4     20
#define VIRQ_ARCH_5     21
#define VIRQ_ARCH_6     22
#define VIRQ_ARCH_7     23
#define NR_VIRQS        24

/* console_io */
#define CONSOLEIO_write 0
#define CONSOLEIO_read  1

/* vm_assist */
#define VMASST_CMD_enable                0
#define VMASST_CMD_disable               1
#define VMASST_TYPE_4gb_segments         0
#define VMASST_TYPE_4gb_segments_notify  1
#define VMASST_TYPE_writable_pagetables  2
#define VMASST_TYPE_pae_extended_cr3     3
#define VMASST_TYPE_architectural_iopl   4
#define VMASST_TYPE_runstate_update_flag 5
#define VMASST_TYPE_m2p_strict           32

struct multicall_entry {
    xen_ulong_t op;
    xen_ulong_t result;
    xen_ulong_t args[6];
};
_Static_assert(sizeof(struct multicall_entry) == 64, "multicall_entry");

/* vcpu_time_info.flags */
#define XEN_PVCLOCK_TSC_STABLE_BIT (1 << 0)
#define XEN_PVCLOCK_GUEST_STOPPED  (1 << 1)

/* now = system_time + (((tsc - tsc_timestamp) << tsc_shift) * tsc_to_system_mul >> 32) */
struct vcpu_time_info {
    uint32_t version; /* odd while it is being written */
    uint32_t pad0;
    uint64_t tsc_timestamp;
    uint64_t system_time; /* ns since boot, at tsc_timestamp */
    uint32_t tsc_to_system_mul;
    int8_t tsc_shift; /* negative: to the right */
    uint8_t flags;
    uint8_t pad1[2];
};
_Static_assert(sizeof(struct vcpu_time_info) == 32, "vcpu_time_info");

struct vcpu_info {
    uint8_t evtchn_upcall_pending;
    uint8_t evtchn_upcall_mask;
    xen_ulong_t evtchn_pending_sel; /* one bit per word of shared_info.evtchn_pending */
    struct arch_vcpu_info arch;
    struct vcpu_time_info time;
};
_Static_assert(sizeof(struct vcpu_info) == 64, "vcpu_info is one cache line");
_Static_assert(offsetof(struct vcpu_info, evtchn_pending_sel) == 8, "vcpu_info.pending_sel");

struct shared_info {
    struct vcpu_info vcpu_info[XEN_LEGACY_MAX_VCPUS];
    xen_ulong_t evtchn_pending[64];
    xen_ulong_t evtchn_mask[64];
    uint32_t wc_version; /* odd while it is being written */
    uint32_t wc_sec;     /* wall clock at system time 0 */
    uint32_t wc_nsec;
    uint32_t wc_sec_hi;
    struct arch_shared_info arch;
};
_Static_assert(sizeof(struct shared_info) == 3136, "shared_info");
_Static_assert(offsetof(struct shared_info, evtchn_pending) == 2048, "shared_info.pending");
_Static_assert(offsetof(struct shared_info, wc_version) == 3072, "shared_info.wc");

/* start_info.flags */
#define SIF_PRIVILEGED      (1 << 0)
#define SIF_INITDOMAIN      (1 << 1)
#define SIF_MULTIBOOT_MOD   (1 << 2)
#define SIF_MOD_START_PFN   (1 << 3) /* mod_start is a page number, not an address */
#define SIF_VIRT_P2M_4TOOLS (1 << 4)
#define SIF_PM_MASK         (0xff << 8)
#define MAX_GUEST_CMDLINE   1024

/* The page to which the first register (rsi) points when a PV guest starts. */
struct start_info {
    char magic[32]; /* "xen-3.0-x86_64" */
    uint64_t nr_pages;
    uint64_t shared_info; /* machine address */
    uint32_t flags;
    xen_pfn_t store_mfn;
    uint32_t store_evtchn;
    union {
        struct {
            xen_pfn_t mfn;
            uint32_t evtchn;
        } domU;
        struct {
            uint32_t info_off; /* of a dom0_vga_console_info, from here */
            uint32_t info_size;
        } dom0;
    } console;
    uint64_t pt_base; /* address of the root table */
    uint64_t nr_pt_frames;
    uint64_t mfn_list; /* address of the P2M */
    uint64_t mod_start;
    uint64_t mod_len; /* bytes */
    int8_t cmd_line[MAX_GUEST_CMDLINE];
    uint64_t first_p2m_pfn; /* where the P2M lies outside the first mapping */
    uint64_t nr_p2m_frames;
};
_Static_assert(sizeof(struct start_info) == 1168, "start_info");
_Static_assert(offsetof(struct start_info, console) == 72, "start_info.console");
_Static_assert(offsetof(struct start_info, cmd_line) == 128, "start_info.cmd_line");

/* dom0_vga_console_info.video_type */
#define XEN_VGATYPE_TEXT_MODE_3 0x03
#define XEN_VGATYPE_VESA_LFB    0x23
#define XEN_VGATYPE_EFI_LFB     0x70

struct dom0_vga_console_info {
    uint8_t video_type;
    union {
        struct {
            uint16_t font_height;
            uint16_t cursor_x;
            uint16_t cursor_y;
            uint16_t rows;
            uint16_t columns;
        } text_mode_3;
        struct {
            uint16_t width; /* pixels */
            uint16_t height;
            uint16_t bytes_per_line;
            uint16_t bits_per_pixel;
            uint32_t lfb_base;
            uint32_t lfb_size; /* in 64 KiB */
            uint8_t red_pos;
            uint8_t red_size;
            uint8_t green_pos;
            uint8_t green_size;
            uint8_t blue_pos;
            uint8_t blue_size;
            uint8_t rsvd_pos;
            uint8_t rsvd_size;
            uint32_t gbl_caps; /* 2: ext_lfb_base counts */
            uint16_t mode_attrs;
            uint16_t pad;
            uint32_t ext_lfb_base; /* bits 63:32 of the base */
        } vesa_lfb;
    } u;
};
_Static_assert(sizeof(struct dom0_vga_console_info) == 40, "dom0_vga_console_info");

/* A bitmap in the caller's memory, least significant bit of the first byte first. */
struct xenctl_bitmap {
    gptr_t bitmap;
    uint32_t nr_bits;
};
_Static_assert(sizeof(struct xenctl_bitmap) == 16, "xenctl_bitmap");
