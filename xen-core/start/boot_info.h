/* SPDX-License-Identifier: MIT */
/*
 * The contract with the loader: the hypervisor's only input at boot.
 *
 * The loader (arch/efi) enters the image at its ELF entry with interrupts off, its own page tables
 * loaded (all memory below 4 GiB and all of boot_info, modules and image identity-mapped, the image
 * also at its link address), a stack of at least 16 KiB, and RDI = address of struct boot_info.
 */
#pragma once

#include <stdint.h>

#define BOOT_INFO_MAGIC   UINT64_C(0x31544f4f4254534a) /* "JSTBOOT1" */
#define BOOT_RANGES_MAX   512
#define BOOT_CMDLINE_SIZE 2048

enum boot_range_type {
    BOOT_USABLE = 1, /* free RAM (boot services memory included) */
    BOOT_RESERVED,   /* as the firmware says */
    BOOT_ACPI,       /* ACPI tables: RAM to be kept */
    BOOT_ACPI_NVS,
    BOOT_RUNTIME_CODE, /* EFI runtime services, called at its physical address */
    BOOT_RUNTIME_DATA,
    BOOT_MMIO,    /* EFI memory-mapped I/O with the runtime attribute */
    BOOT_IMAGE,   /* the hypervisor's image */
    BOOT_LOADER,  /* boot_info, loader's tables and stack: usable after start-up */
    BOOT_MODULE,  /* dom0's kernel (ELF, unpacked) and ramdisk: usable after dom0 is built */
    BOOT_UNUSABLE /* defective */
};

struct boot_range {
    uint64_t start; /* bytes, page-aligned */
    uint64_t end;   /* exclusive */
    uint32_t type;  /* enum boot_range_type */
    uint32_t efi_type;
    uint64_t efi_attr; /* EFI_MEMORY_* attributes as the firmware gave them */
};

struct boot_module {
    uint64_t start; /* physical address; page-aligned */
    uint64_t size;  /* bytes; 0 = absent */
};

/* A linear framebuffer as EFI's graphics output protocol describes it; base 0 = none. */
struct boot_fb {
    uint64_t base;
    uint64_t size;
    uint32_t width, height; /* pixels */
    uint32_t pitch;         /* bytes per line */
    uint8_t bpp;
    uint8_t red_pos, red_size, green_pos, green_size, blue_pos, blue_size, rsvd_size, rsvd_pos;
    uint8_t pad[7];
};

struct boot_info {
    uint64_t magic;
    uint64_t size;       /* sizeof(struct boot_info): catches a mismatched pair */
    uint64_t image_phys; /* where the image lies; its first byte is the link address's */
    uint64_t image_size; /* bytes in memory, bss included */
    uint64_t rsdp;       /* ACPI RSDP (2.0 preferred), 0 = none */
    uint64_t smbios;     /* SMBIOS entry points, 0 = none */
    uint64_t smbios3;
    uint64_t efi_system_table; /* physical address; 0 = not booted by EFI */
    uint64_t efi_runtime;      /* EFI_RUNTIME_SERVICES */
    uint64_t efi_config_table; /* and number of entries */
    uint32_t efi_config_count;
    uint32_t efi_version;
    uint64_t efi_fw_vendor;
    uint32_t efi_fw_revision;
    uint8_t secure_boot; /* 0 unknown, 1 off, 2 on */
    uint8_t pad[3];
    struct boot_fb fb;
    struct boot_module kernel; /* ELF image */
    struct boot_module ramdisk;
    uint64_t time_entry;                    /* TSC when the loader started, for the boot report */
    uint64_t time_exit;                     /* TSC when boot services ended */
    char options[BOOT_CMDLINE_SIZE];        /* hypervisor options, one string */
    char kernel_cmdline[BOOT_CMDLINE_SIZE]; /* dom0's */
    char loader_name[64];                   /* e.g. "joist.efi 0.1" */
    uint32_t range_count;
    uint32_t pad2;
    struct boot_range ranges[BOOT_RANGES_MAX]; /* sorted by start, not overlapping */
};
