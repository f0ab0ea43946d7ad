/* SPDX-License-Identifier: MIT */
/* Port: what start/main.c asks of the machine, in that order.  Each panics with advice if it
 * cannot. */
#pragma once

#include <stdint.h>

#include "mm/addr.h"

struct boot_info;
struct domain;
struct vcpu;
struct image_info;

/* The uart (and screen) that `console=` and `com1=` name: first visible line. Options are parsed.
 */
void port_console_early(const struct boot_info *bi);
/* This cpu: descriptor tables, traps, features, xstate. */
void port_cpu_init(const struct boot_info *bi);
/* Own page tables: image W^X, direct map, frame_table and M2P backed for all RAM (from
 * mm/boot_alloc.h). */
void port_mmu_init(const struct boot_info *bi);
/* ACPI tables, interrupt controllers, console input. */
void port_irq_init(const struct boot_info *bi);
/* Counters calibrated, wall clock read, timer interrupt running. */
void port_time_init(const struct boot_info *bi);
/* After all cpus run: firmware runtime services, PCI, what dom0 is told of the machine. */
void port_late_init(const struct boot_info *bi);

/*
 * Put dom0's kernel and ramdisk into d's memory by the plan, make and pin its page tables, and set
 * v0's first context. The modules are in the direct map. Panics with advice if the image cannot be
 * a control domain.
 */
void port_dom0_load(struct domain *d, struct vcpu *v0, const struct boot_info *bi, uint64_t frames);
