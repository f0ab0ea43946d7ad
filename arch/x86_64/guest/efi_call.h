/* SPDX-License-Identifier: MIT */
/* EFI runtime services for dom0. */
#pragma once

#include <stdint.h>

struct xenpf_efi_runtime_call;

/* Does the call; its EFI status is in op->status. 0 (a call was made), -ENOSYS, -EINVAL, -EFAULT,
 * -ENOMEM, -ENODEV. */
int64_t efi_call(struct xenpf_efi_runtime_call *op);
