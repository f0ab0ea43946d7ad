/* SPDX-License-Identifier: MIT */
/* EFI runtime services: run on a page-table root of their own that maps only the runtime regions
 * and the hypervisor. */
#pragma once

#include <stdint.h>

struct boot_info;

void efi_rt_init(const struct boot_info *bi);
/* ResetSystem: type 0 cold, 1 warm, 2 shutdown. Returns only if there are no services or they fail.
 */
void efi_rt_reset(unsigned int type);
