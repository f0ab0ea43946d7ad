/* SPDX-License-Identifier: MIT */
/* What the loader said, kept: its own copy lies in memory that is given away. */
#include "start/boot_info.h"

#include "lib/mem.h"
#include "start/start.h"

static struct boot_info kept;

const struct boot_info *boot_info_keep(const struct boot_info *bi)
{
    memcpy(&kept, bi, sizeof(kept));
    return &kept;
}

const struct boot_info *boot_info_get(void)
{
    return &kept;
}
