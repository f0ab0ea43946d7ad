/* SPDX-License-Identifier: MIT */
/* The boot order (main.c), and dom0 (dom0.c). */
#pragma once

struct boot_info;

/* Entered from head.S on the boot cpu, on the loader's tables, interrupts off. */
_Noreturn void start(const struct boot_info *bi);
/* Builds domain 0 from the loader's modules; panics with advice if that cannot be. */
void dom0_build(const struct boot_info *bi);
/* Give the memory that held loader data and modules to the heap. */
void start_release_boot_memory(const struct boot_info *bi);
