/* SPDX-License-Identifier: MIT */
/* The test payload: what the loader handed over, in words, with checks that a wrong handover would
 * fail. */

#include "start/boot_info.h"
#include "lib/fmt.h"
#include "lib/elf.h"

void stub_main(const struct boot_info *bi);

static const uint64_t in_data = UINT64_C(0x1122334455667788);
static uint64_t in_bss[1024];

static void out8(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static void print(const char *format, ...)
{
    char line[2200];
    va_list args;

    va_start(args, format);
    fmt_vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    for (const char *p = line; *p != '\0'; p++) {
        while ((in8(0x3fd) & 0x20) == 0) {
        }
        out8(0x3f8, (uint8_t)*p);
    }
}

static uint64_t sum_of(const struct boot_module *m)
{
    uint64_t sum = 0;
    const uint8_t *p = (const uint8_t *)m->start;

    for (uint64_t i = 0; i < m->size; i++) {
        sum = (sum << 1 | sum >> 63) ^ p[i];
    }
    return sum;
}

void stub_main(const struct boot_info *bi)
{
    static struct image_info info;
    uint64_t usable = 0;
    unsigned int bad = bi->magic != BOOT_INFO_MAGIC || bi->size != sizeof(*bi) || in_data == 0;
    int rc;

    for (unsigned int i = 0; i < 1024; i++) {
        bad += in_bss[i] != 0;
        in_bss[i] = i;
    }
    bad += *(const uint8_t *)bi->image_phys != *(const uint8_t *)UINT64_C(0xffff82d040000000);
    for (uint32_t i = 0; i < bi->range_count; i++) {
        const struct boot_range *r = &bi->ranges[i];

        bad += r->end <= r->start || (i > 0 && r->start < r[-1].end) ||
               ((r->start | r->end) & 4095) != 0;
        usable += r->type == BOOT_USABLE ? r->end - r->start : 0;
        if (bi->options[0] == 'v') {
            print("STUB range %016lx-%016lx type %u efi %u attr %lx\r\n", r->start, r->end, r->type,
                  r->efi_type, r->efi_attr);
        }
    }
    rc = elf_parse((const void *)bi->kernel.start, bi->kernel.size, &info);
    print("STUB loader '%s' ranges %u usable %lu MiB bad %u\r\n", bi->loader_name, bi->range_count,
          usable >> 20, bad);
    print("STUB options '%s'\r\nSTUB cmdline '%s'\r\n", bi->options, bi->kernel_cmdline);
    print("STUB kernel %lu bytes sum %016lx elf %d entry %lx\r\n", bi->kernel.size,
          sum_of(&bi->kernel), rc, info.entry);
    print("STUB ramdisk %lu bytes sum %016lx\r\n", bi->ramdisk.size, sum_of(&bi->ramdisk));
    print("STUB rsdp %d smbios %d fb %ux%u runtime %d secure %u\r\n", bi->rsdp != 0,
          (bi->smbios | bi->smbios3) != 0, bi->fb.width, bi->fb.height, bi->efi_runtime != 0,
          bi->secure_boot);
    print("STUB load ticks %lu\r\nSTUB END\r\n", bi->time_exit - bi->time_entry);
    out8(0x604, 0);
    __asm__ volatile("outw %0, %1" : : "a"((uint16_t)0x2000), "Nd"((uint16_t)0x604));
}
