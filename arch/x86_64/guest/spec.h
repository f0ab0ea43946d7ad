/* SPDX-License-Identifier: MIT */
/* Speculation: what this processor needs, what we do about it, and what is left. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct domain;
struct vcpu;

/* What the decision is made from: CPUID and IA32_ARCH_CAPABILITIES. */
struct spec_cpu {
    bool is_intel;
    bool is_amd;   /* and Hygon */
    bool emulated; /* QEMU's TCG: nothing is executed that was not meant to be */
    bool smep;     /* and it is used */
    uint32_t family, model, stepping;
    uint32_t leaf7_ebx;
    uint32_t leaf7_edx;
    uint32_t leaf7_2_edx;
    uint32_t ext8_ebx;  /* 0x80000008 */
    uint32_t ext21_eax; /* 0x80000021 */
    uint64_t arch_caps; /* 0 if the register is not there */
};

/* Flaws of processors. */
enum {
    SPEC_V2 = 1u << 0,        /* indirect branches go where another trained them to */
    SPEC_MELTDOWN = 1u << 1,  /* supervisor memory is read before the fault */
    SPEC_L1TF = 1u << 2,      /* a not-present entry reads the cache */
    SPEC_MDS = 1u << 3,       /* buffers of loads and stores are read */
    SPEC_TAA = 1u << 4,       /* the same by a transaction that ends */
    SPEC_MMIO = 1u << 5,      /* the same of the fill buffers of devices */
    SPEC_RFDS = 1u << 6,      /* the same of registers (Atom) */
    SPEC_RETBLEED = 1u << 7,  /* returns are mispredicted like branches */
    SPEC_SRSO = 1u << 8,      /* AMD: returns, by a trained call that is none */
    SPEC_GDS = 1u << 9,       /* gathers read old vector registers */
    SPEC_SRBDS = 1u << 10,    /* RDRAND's buffer is read */
    SPEC_ZENBLEED = 1u << 11, /* Zen 2: upper halves of vector registers */
    SPEC_DIV0 = 1u << 12,     /* Zen 1: the last quotient */
    SPEC_BHI = 1u << 13,      /* the history of branches chooses the target */
    SPEC_FLAWS = 14
};

/* How the hypervisor's indirect branches are made. */
enum spec_thunk { THUNK_PLAIN, THUNK_LFENCE, THUNK_RETPOLINE };

struct spec_plan {
    uint32_t flaws; /* what it needs: options do not change that */
    uint32_t open;  /* flaws that nothing done here closes */
    enum spec_thunk thunk;
    uint64_t spec_ctrl; /* for MSR_SPEC_CTRL of every cpu, once; 0 = leave it */
    bool auto_ibrs;     /* AMD: EFER.AIBRSE */
    bool zen_chicken;   /* AMD: the bit against Zenbleed */
    bool ibrs_entry;    /* write SPEC_CTRL anew at each entry from a guest */
    bool ibpb_entry;    /* flush branch predictions at each entry from a guest */
    bool rsb_entry;     /* overwrite the return predictions at each entry from a guest */
    bool verw_exit;     /* overwrite buffers on the way to a guest */
    bool div_exit;      /* divide something of no interest on the way to a guest */
    bool ibpb_switch;   /* flush branch predictions when a cpu goes to another domain */
    bool l1d_switch;    /* and the level-1 cache */
    bool l1tf_entries;  /* refuse guests' entries that are not present and name memory */
    bool xpti_dom0;     /* page-table isolation */
    bool xpti_domu;
    bool fpu_pointers; /* AMD: the x87's pointers are not loaded with its state; overwrite them */
};

/* The command line's say. */
struct spec_options {
    const char *spec_ctrl; /* text of `spec-ctrl=`, "" = default */
    int32_t xpti_dom0;     /* -1 = as the processor needs */
    int32_t xpti_domu;
};

/* Pure: the plan for a processor. */
void spec_decide(const struct spec_cpu *cpu, const struct spec_options *o, struct spec_plan *plan);
/* Name of the flaw 1 << n. */
const char *spec_flaw_name(unsigned int n);

/* Boot cpu: decide, and say what is done and what guests are not protected from. */
void spec_init(void);
/* Start of day, once all memory is known and before there is a guest: what entries that are not
 * present may name. */
void spec_late_init(void);
/* Every cpu at its start: the registers of the plan. After spec_init(). */
void spec_cpu_init(void);
const struct spec_plan *spec_plan(void);
/* v has been loaded on this cpu. */
void spec_loaded(const struct vcpu *v);
/* d ends: its structure may become another domain's. */
void spec_forget(const struct domain *d);
