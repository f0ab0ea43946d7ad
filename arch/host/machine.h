/* SPDX-License-Identifier: MIT */
/*
 * The host machine: frames in an arena, cpus that are threads (or one thread that plays them), a
 * virtual clock, and a model of translation caches.  Everything that a test may turn or look at.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/machine.h"
#include "cpu/msr.h"
#include "guest/pte.h"
#include "mm/addr.h"

struct domain;
struct vcpu;

struct host_config {
    uint64_t frames;     /* of the machine, holes included */
    uint64_t hole_first; /* [first, end): no RAM there */
    uint64_t hole_end;
    unsigned int cpus; /* 1..HOST_MAX_CPUS */
};

/* Build the machine and start the core on it, up to where domains can be created; once per process.
 * This thread is cpu 0. */
void host_init(const struct host_config *c);
/* The first half of it, for a test that starts the core by start(): memory and cpus, nothing more.
 */
void host_memory(const struct host_config *c);
/* This thread plays that cpu from now on. */
void host_cpu_enter(unsigned int cpu);
/* Load v on this cpu without the scheduler (NULL: the idle vcpu). */
void host_load(struct vcpu *v);
/* A new domain, alive and unpaused, with that many vcpus and room for that many frames; it is v->d
 * of each. */
struct domain *host_domain(unsigned int vcpus, uint64_t frames, bool is_dom0);
/* Kill it and run what is deferred until it is gone. */
void host_domain_end(struct domain *d);

/* Lines of the hypervisor's log to stderr. */
extern bool host_verbose;
/* port_console_write() goes here too if not NULL. */
extern void (*host_console)(const char *text, size_t len);

/* Time. */
void host_advance(uint64_t ns); /* and raises CW_TIMER where a deadline has passed */
uint64_t host_deadline(unsigned int cpu);

/* Long operations are told to yield about once in `one_in` questions; 0 = only when there is work.
 */
void host_inject_yields(uint32_t one_in, uint32_t seed);
/* What port_irq_count() says; IRQ_MAX unless a test sets it. */
extern unsigned int host_irq_count;

/* Guest memory is the process's own (tools, unit tests) or the loaded vcpu's, through its tables.
 * Flat at the start. */
void host_guest_flat(bool flat);
/* The n-th byte from now that guest_read/write touch faults, once. 0 = never. */
void host_fault_at(uint64_t n);
/* The processor's view: an access of the loaded vcpu to a word; false: it faults. Goes through the
 * model of this cpu's cache. */
bool host_access(struct vcpu *v, uint64_t va, bool write, uint64_t *val);

/*
 * No cpu's cache may hold what could break isolation: a writable translation of a frame in use as
 * table or descriptor page, or any translation of a frame that has got another owner. Panics.
 */
void host_tlb_audit(void);
/* What a cpu's cache has for va: its frame and, as bit 63, that it may be written; ~0: nothing. */
uint64_t host_tlb_entry(unsigned int cpu, uint64_t va);
/* Counts of flushes of this machine so far. */
extern uint64_t host_flush_count;

/* What the last port calls did, for tests. */
struct host_record {
    uint32_t raised[8]; /* work bits raised, or-ed, per cpu */
    unsigned int
        power; /* 0, 'o' off, 'r' reboot: port_power_off() and port_reboot() do not return */
    unsigned int irq_started[1024];
    unsigned int irq_masked[1024];
    unsigned int irq_acks, irq_eois;
    unsigned int root_loads, gdt_loads, ldt_loads, wbinvds, msi_teardowns;
    bool ts;      /* CR0.TS of the loaded vcpu */
    uint64_t cr4; /* its arch.cr4, when it was last loaded */
};
extern struct host_record host_record;

/* What the machine answers, where a test wants to say it; NULL: as arch/host/prim.c does. */
struct host_hooks {
    bool (*rdmsr)(uint32_t msr, uint64_t *val);
    bool (*wrmsr)(uint32_t msr, uint64_t val);
    void (*cpuid)(uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *out);
    uint32_t (*in)(uint16_t port, unsigned int size);
    void (*out)(uint16_t port, unsigned int size, uint32_t val);
    uint32_t (*pci_read)(uint32_t cf8, unsigned int offset, unsigned int size);
    void (*pci_write)(uint32_t cf8, unsigned int offset, unsigned int size, uint32_t val);
    int (*msi_setup)(const struct msi_source *src, unsigned int irq);
    bool (*efi)(unsigned int offset, const uint64_t args[5], uint64_t *status);
    int (*sleep)(unsigned int state, uint16_t val_a, uint16_t val_b);
    void (*idle)(void);     /* a cpu has nothing to do */
    void (*m2p)(mfn_t mfn); /* an entry of the machine-to-physical table is about to be written */
    void (*stamp)(void);    /* the clock of translation caches has just been read */
};
extern struct host_hooks host_hooks;

/* After a panic or power-off tests continue here if it is set (a jump out), else the process ends.
 */
extern void (*host_halted)(int how); /* 'p' panic, 'o', 'r' */
