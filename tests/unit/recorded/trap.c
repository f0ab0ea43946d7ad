/* SPDX-License-Identifier: MIT */
/* arch/x86_64/hw/trap.c on a cpu of the test's. */
#include "arch/x86_64/hw/trap.c"
