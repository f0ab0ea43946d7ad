/* SPDX-License-Identifier: MIT */
/* The boot order (main.c), and dom0 (dom0.c). */
#pragma once

struct boot_info;

/* Entered from head.S on the boot cpu, on the loader's tables, interrupts off. */
_Noreturn void start(const struct boot_info *bi);
/* The loader's word, kept for as long as the machine runs. */
const struct boot_info *boot_info_get(void);
/* Makes that copy; returns it. */
const struct boot_info *boot_info_keep(const struct boot_info *bi);
/* Builds domain 0 from the loader's modules; panics with advice if that cannot be. */
void dom0_build(const struct boot_info *bi);
/* Give the memory that held loader data and modules to the heap. */
void start_release_boot_memory(const struct boot_info *bi);
