/* SPDX-License-Identifier: MIT */
/* Names of file systems and containers by their magic numbers, and the words of bootloader_args. */
#include "boot/boot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OFFSET_MOST (UINT64_C(1) << 44) /* 16 TiB */

const char *boot_identify(const uint8_t *head, size_t size)
{
    /* in this order: a boot sector's end mark also closes other things */
    static const struct {
        size_t at;
        const char *magic;
        size_t length;
        const char *name;
    } rows[] = {
        { 1024 + 56, "\x53\xef", 2, "ext4" },
        { 0, "XFSB", 4, "XFS" },
        { 65536 + 64, "_BHRfS_M", 8, "Btrfs" },
        { 0, "LUKS\xba\xbe", 6, "a LUKS container" },
        { 0, "QFI\xfb", 4, "a qcow2 image" },
        { 512, "LABELONE", 8, "an LVM physical volume" },
        { 32769, "CD001", 5, "ISO 9660" },
        { 0, "hsqs", 4, "SquashFS" },
        { 1024, "\x10\x20\xf5\xf2", 4, "F2FS" },
        { 4086, "SWAPSPACE2", 10, "swap space" },
        { 3, "NTFS    ", 8, "NTFS" },
        { 82, "FAT32   ", 8, "FAT" },
        { 54, "FAT1", 4, "FAT" },
        { 512, "EFI PART", 8, "a GPT partition table" },
        { 510, "\x55\xaa", 2, "an MBR partition table" },
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].at + rows[i].length <= size &&
            memcmp(head + rows[i].at, rows[i].magic, rows[i].length) == 0) {
            return rows[i].name;
        }
    }
    return "nothing known";
}

static int set_path(char *to, const char *text)
{
    size_t n = strlen(text);
    size_t i;

    if (n == 0 || n > BOOT_TEXT_MOST) {
        return -EINVAL;
    }
    for (i = 0; i < n; i++) {
        if (text[i] < ' ' || text[i] == 0x7f) {
            return -EINVAL;
        }
    }
    memcpy(to, text, n + 1);
    return 0;
}

int boot_wish_word(struct boot_wish *wish, const char *word)
{
    unsigned long long offset;
    char *end;

    if (strncmp(word, "--kernel=", 9) == 0) {
        return set_path(wish->kernel, word + 9);
    }
    if (strncmp(word, "--ramdisk=", 10) == 0) {
        return set_path(wish->ramdisk, word + 10);
    }
    if (strncmp(word, "--offset=", 9) == 0 && word[9] >= '0' && word[9] <= '9') {
        errno = 0;
        offset = strtoull(word + 9, &end, 10);
        if (*end == '\0' && errno == 0 && offset < OFFSET_MOST && offset % 512 == 0) {
            wish->offset = offset;
            return 0;
        }
    }
    return -EINVAL;
}
