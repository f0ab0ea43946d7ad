/* SPDX-License-Identifier: MIT */
/* What the parts of the loader share: messages, files, memory, unpacking, the way into the
 * hypervisor. */
#pragma once

#include <efi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/bzimage.h"
#include "lib/fmt.h"
#include "lib/kv.h"
#include "start/boot_info.h"

#define PAGE_SIZE    UINT64_C(4096)
#define LARGE_PAGE   (UINT64_C(2) << 20)
#define NAME_MAX_LEN 256 /* characters of a file's path on the EFI partition */
#define LOW_LIMIT    (UINT64_C(4) << 30)

/* Memory from the firmware: whole pages; `size` is the number of bytes in use. */
struct blob {
    uint8_t *data;
    uint64_t size;
    uint64_t pages;
};

struct loader {
    EFI_HANDLE image;
    EFI_LOADED_IMAGE *loaded;
    EFI_FILE_HANDLE dir; /* directory that joist.efi lies in */
    struct blob config;
    struct blob kernel; /* ELF */
    struct blob ramdisk;
    struct blob hypervisor; /* flat, 2 MiB aligned */
    struct blob boot;       /* struct boot_info, handed-over stack and tables */
    uint64_t image_va;      /* link address of the hypervisor, and its entry point */
    uint64_t entry_va;
    struct boot_info *bi;
};

extern EFI_SYSTEM_TABLE *efi_st;
extern EFI_BOOT_SERVICES *efi_bs;

/* console.c */
void say(const char *format, ...) FMT_PRINTF(1, 2);
void warn(const char *format, ...) FMT_PRINTF(1, 2);
bool fail(const char *format, ...) FMT_PRINTF(1, 2);
const char *efi_words(EFI_STATUS status);

/* files.c */
bool pages_alloc(struct blob *blob, uint64_t size, const char *what);
bool pages_alloc_aligned(struct blob *blob, uint64_t size, uint64_t align, const char *what);
void pages_free(struct blob *blob);
void pages_trim(struct blob *blob);
uint64_t memory_free(void);
bool dir_open(struct loader *l, char *own_name, size_t size);
bool file_exists(const struct loader *l, const char *name);
bool file_read(const struct loader *l, const char *name, const char *what, struct blob *out);

/* unpack.c: on success *out is the ELF image, and *in is freed or has become *out */
bool unpack_kernel(const char *name, struct blob *in, struct blob *out);
bool unpack_begin(uint64_t heap_size);
void unpack_end(void);

/* machine.c */
void machine_collect(struct loader *l);
bool machine_leave(struct loader *l);
bool machine_memory(struct loader *l, uint64_t *usable);

/* x86_64/handover.c */
bool handover_prepare(struct loader *l);
void handover_enter(const struct loader *l) __attribute__((noreturn));
uint64_t cpu_ticks(void);
uint64_t cpu_fs_swap(uint64_t base);
