/* SPDX-License-Identifier: MIT */
/*
 * A flat stand-in for the core, for tests of handlers of control and memory calls: one piece of
 * guest memory with ends that fault, a few domains, a few frames. It checks what handlers must
 * keep: no lock held while guest memory is touched, and every reference to a domain put back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/types.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "hcall/hcall.h"
#include "mm/frame.h"

#define FAKE_GUEST_VA   UINT64_C(0x100000)
#define FAKE_GUEST_SIZE 65536u
#define FAKE_FRAMES     4096u
#define FAKE_DOMAINS    6u
#define FAKE_VCPUS      4u

struct fake {
    uint8_t guest[FAKE_GUEST_SIZE]; /* guest memory at FAKE_GUEST_VA; all else faults */
    struct domain dom[FAKE_DOMAINS];
    bool present[FAKE_DOMAINS];
    struct vcpu vcpu[FAKE_DOMAINS][FAKE_VCPUS];
    struct vcpu *vcpup[FAKE_DOMAINS][FAKE_VCPUS];
    struct shared_info shared[FAKE_DOMAINS];
    uint64_t m2p[FAKE_FRAMES];
    uint64_t next_frame;        /* the heap gives frames in order from here */
    unsigned int heap_fail;     /* the n-th allocation for a domain fails; 0: none */
    unsigned int preempt_at;    /* the n-th look finds work; 0: never */
    unsigned int heap_flags;    /* of the last allocation */
    uint64_t heap_owned;        /* frames that domain 1 had before it */
    unsigned int heap_reserved; /* blocks reserved, and neither owned nor given back */
    int locks;
    int refs;     /* domain references out */
    int heap_out; /* hypervisor's own allocations out */
    int pauses;   /* domain_pause less domain_unpause */
    unsigned int paused_calls;
    struct domain_config created;
    domid_t created_id;
    int create_rc;
    int64_t kill_rc;
    int64_t context_rc;
    uint64_t timer_set;
    char log[512];
    size_t log_len;
    const char *input;
    char keys[16];
    size_t key_count;
    uint32_t claim;
    unsigned int up;
    unsigned int kicked;
    unsigned int params_changed;
    unsigned int resumed;
    unsigned int wallclock;
    struct cpumask hard, soft;
    uint64_t now;
    uint32_t rights_first, rights_last;
    unsigned int rights_kind;
    int rights_allowed;
    bool rights_refuse;
};

extern struct fake fake;

/* A clean start; domain 0 is the control domain and the caller is its vcpu 0. Domain 1 has one
 * vcpu, others are not there. */
int fake_setup(void **state);
/* Fails the test if a lock or a reference is left. */
int fake_teardown(void **state);
struct vcpu *fake_caller(unsigned int domid);
/* Put n bytes at offset `at` of guest memory; their address. */
uint64_t fake_put(size_t at, const void *data, size_t n);
void *fake_at(uint64_t va);
/* Give frames [first, first + n) to a domain, as the heap would. */
void fake_give(unsigned int domid, uint64_t first, uint64_t n);
