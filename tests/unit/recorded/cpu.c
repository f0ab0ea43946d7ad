/* SPDX-License-Identifier: MIT */
/* arch/x86_64/hw/cpu.c with recorded instructions. */
#include "arch/x86_64/hw/cpu.c"
