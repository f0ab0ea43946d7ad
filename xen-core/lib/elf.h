/* SPDX-License-Identifier: MIT */
/* What a PV kernel's ELF file says about itself: a pure reading of program headers and Xen notes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_NONE         UINT64_MAX /* an address or number that the image does not give */
#define IMAGE_SEGMENTS_MAX 16

/* One loadable segment: `file_size` bytes at `file_offset` go to `va`; the rest up to `mem_size` is
 * zeroed. */
struct image_segment {
    uint64_t va; /* where the guest sees it: the physical address of the header plus the image's
                    offset */
    uint64_t file_offset; /* bytes */
    uint64_t file_size;   /* bytes, inside the file */
    uint64_t mem_size;    /* bytes, >= file_size */
};

struct image_info {
    uint64_t entry;        /* first instruction, virtual */
    uint64_t virt_base;    /* virtual address of pseudo-physical 0 (plus paddr_offset) */
    uint64_t paddr_offset; /* what the headers' physical addresses are relative to */
    uint64_t virt_start;   /* loaded range, virtual; virt_end is exclusive */
    uint64_t virt_end;
    uint64_t hypercall_page; /* virtual, inside the loaded range and page-aligned, or IMAGE_NONE */
    uint64_t init_p2m;       /* virtual address wanted for the P2M list, or IMAGE_NONE */
    uint64_t hv_start_low;   /* lowest address the hypervisor may use, or IMAGE_NONE */
    uint64_t l1_mfn_mask;    /* L1_MFN_VALID pair, 0 if absent */
    uint64_t l1_mfn_value;
    bool mod_start_pfn; /* the ramdisk may be left unmapped, named by frame number */
    bool suspend_cancel;
    uint64_t features;          /* bit per XENFEAT_: the kernel can make use of it */
    uint64_t features_required; /* bit per XENFEAT_: it does not run without */
    char guest_os[24];
    char guest_version[24];
    char loader[24];
    char xen_version[24];
    uint32_t segment_count;
    struct image_segment segments[IMAGE_SEGMENTS_MAX]; /* in the order of the file */
};

/* Results of elf_parse(): 0 or one of these, negative. elf_strerror() has the words. */
enum elf_error {
    ELF_ERR_NONE = 0,
    ELF_ERR_SHORT = -1,   /* not even a header */
    ELF_ERR_MAGIC = -2,   /* no ELF file */
    ELF_ERR_CLASS = -3,   /* not 64-bit little-endian */
    ELF_ERR_TYPE = -4,    /* not an executable */
    ELF_ERR_MACHINE = -5, /* for another machine */
    ELF_ERR_PHDR = -6,    /* program headers outside the file or of a wrong size */
    ELF_ERR_SEGMENT = -7, /* a segment outside the file, or longer in the file than in memory */
    ELF_ERR_SEGMENT_COUNT = -8, /* none, or more than IMAGE_SEGMENTS_MAX */
    ELF_ERR_OVERLAP = -9,       /* segments overlap */
    ELF_ERR_ADDRESS = -10, /* addresses wrap, are not canonical or lie in the hypervisor's hole */
    ELF_ERR_NOTE = -11,    /* a note runs out of its section */
    ELF_ERR_NO_XEN = -12,  /* no Xen notes: no PV kernel */
    ELF_ERR_LEGACY = -13,  /* only a __xen_guest section: a kernel older than the notes */
    ELF_ERR_XEN_VERSION = -14, /* not for xen-3.0 */
    ELF_ERR_NOT_PV = -15,      /* Xen notes, but no PV entry point (PVH only) */
    ELF_ERR_FEATURE = -16,     /* requires a feature that is unknown or not offered */
    ELF_ERR_NOTE_VALUE = -17,  /* a note with an impossible value */
    ELF_ERR_ENTRY = -18,       /* entry point outside the loaded range */
    ELF_ERR_HYPERCALL = -19,   /* hypercall page outside the loaded range or unaligned */
};

int elf_parse(const void *file, size_t size, struct image_info *out);
const char *elf_strerror(int rc);
