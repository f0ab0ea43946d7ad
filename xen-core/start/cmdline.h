/* SPDX-License-Identifier: MIT */
/* Hypervisor options: one table in cmdline.c, parsed once at boot. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* An amount of memory: bytes and a part of what there is; or all but that. */
struct mem_amount {
    uint64_t bytes;
    uint32_t percent; /* 0 to 99 */
    bool all_but;
};

struct options {
    char console[32]; /* console=com1,vga,none */
    char com1[64];    /* com1=115200,8n1[,io-base[,irq]] */
    uint32_t
        conswitch; /* control character that switches input, 1..26; 0 = off; default 1 (Ctrl-A) */
    bool conswitch_keep; /* conswitch=<c>x: input stays with the hypervisor at boot */
    uint32_t loglvl;     /* enum log_level shown */
    uint32_t guest_loglvl;
    struct mem_amount dom0_mem; /* nothing: the default, all but a reserve */
    struct mem_amount dom0_mem_min;
    struct mem_amount dom0_mem_max; /* nothing: no ceiling */
    uint32_t dom0_max_vcpus;        /* 0 = as many as cpus */
    uint32_t maxcpus;               /* 0 = all */
    bool noreboot;
    bool smep, smap, x2apic; /* false = switched off by option */
    int32_t xpti;            /* -1 = as the cpu needs, 0 off, 1 on: guests */
    int32_t xpti_dom0;       /* the same for domain 0 */
    char spec_ctrl[64];
    bool sync_console;
    bool dom0_vcpus_pin;
    uint64_t reserved[4];
};

extern struct options options;
/* The raw string, for XENVER_commandline. */
extern char cmdline_raw[2048];

/* Parse; unknown options and bad values are warned of, each by name. */
void cmdline_parse(const char *text);

/* The bytes that an amount comes to where `avail` bytes are there; 0 if it is "all but" more than
 * that. */
uint64_t mem_amount_of(const struct mem_amount *a, uint64_t avail);
