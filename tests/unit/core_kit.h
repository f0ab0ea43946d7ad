/* SPDX-License-Identifier: MIT */
/*
 * The core's own rooms (domain, sched, evtchn, gnttab, irq, hcall, mm) on a machine of a few lines:
 * cpus that take turns in one thread, a clock that tests advance, guest memory that is a buffer of
 * this process, and a handful of page-table entries for grants.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "domain/domain.h"
#include "domain/vcpu.h"
#include "hcall/hcall.h"
#include "mm/frame.h"

#define KIT_CPUS   4u
#define KIT_PTES   64u
#define KIT_FRAMES 8192u
#define KIT_IRQS   64u /* lines of the machine; above them MSIs */

struct kit_pte {
    bool present;
    bool writable;
    mfn_t mfn;
};

struct kit {
    uint32_t work[KIT_CPUS];
    uint64_t deadline[KIT_CPUS];
    struct kit_pte pte[KIT_PTES]; /* host_addr i * 8 */
    uint8_t guest[65536];         /* guest memory: these addresses, all else faults */
    size_t copy_limit;            /* bytes until copies fault; ~0: never */
    unsigned int flushes;         /* calls of port_tlb_flush() */
    unsigned int preempt_after;   /* every n-th look finds work; 0: never */
    unsigned int preempt_seen;
    unsigned int switches;
    bool irq_started[1024], irq_masked[1024], irq_level[1024];
    unsigned int irq_eois;
    int irq_cpu;
    bool powered_off, rebooted;
    unsigned int vcpu_init_fail; /* the n-th port_vcpu_init() fails; 0: none */
    unsigned int domain_init_fail;
    unsigned int relinquish_again; /* so many times port_domain_relinquish() yields */
    char log[256];                 /* last line */
    jmp_buf end;                   /* port_power_off(), port_reboot() go there */
};
extern struct kit kit;

/* Once per program: `cpus` cpus, memory, the core's start of day. */
void kit_start(unsigned int cpus);
/* cmocka's setup and teardown: afterwards nothing may be left: memory, domains, locks. */
int kit_setup(void **state);
int kit_teardown(void **state);

/* From here on the code runs on this cpu. */
void kit_on(unsigned int cpu);
/* From here on the code runs as v, without scheduling. NULL: the cpu's idle vcpu. */
void kit_as(struct vcpu *v);
/* A domain with so many vcpus, down; dom0 is id 0 and may do everything. */
struct domain *kit_domain(domid_t id, unsigned int vcpus);
/* Unpaused, all vcpus up. */
struct domain *kit_running(domid_t id, unsigned int vcpus);
/* Kill and release. */
void kit_destroy(struct domain *d);
/* Do the work of all cpus until there is none. */
void kit_settle(void);
/* The clock moves on; what falls due is done on time, in steps of at most a millisecond. */
void kit_advance(uint64_t ns);
/* Guest memory: an address to hand to hypercalls, filled with n bytes of `data`. */
uint64_t kit_guest(size_t offset, const void *data, size_t n);
/* A hypercall as v; HC_AGAIN is followed up, with the arguments it left. */
int64_t kit_call(struct vcpu *v, hcall_fn *fn, uint64_t a0, uint64_t a1, uint64_t a2);
