/* SPDX-License-Identifier: MIT */
/* Hypervisor options: one table in cmdline.c, parsed once at boot. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct options {
    char console[32]; /* console=com1,vga,none */
    char com1[64];    /* com1=115200,8n1[,io-base[,irq]] */
    uint32_t
        conswitch; /* control character that switches input, 1..26; 0 = off; default 1 (Ctrl-A) */
    bool conswitch_keep; /* conswitch=<c>x: input stays with the hypervisor at boot */
    uint32_t loglvl;     /* enum log_level shown */
    uint32_t guest_loglvl;
    uint64_t dom0_mem; /* bytes; 0 = default (all but a reserve) */
    uint64_t dom0_mem_min;
    uint64_t dom0_mem_max;
    uint32_t dom0_max_vcpus; /* 0 = as many as cpus */
    uint32_t maxcpus;        /* 0 = all */
    bool noreboot;
    bool smep, smap, x2apic; /* false = switched off by option */
    int32_t xpti;            /* -1 = as the cpu needs, 0 off, 1 on */
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
