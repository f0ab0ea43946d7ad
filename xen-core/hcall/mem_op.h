/* SPDX-License-Identifier: MIT */
/* Between the two files of memory_op: what lists of extents and exchange share. */
#pragma once

#include <stdint.h>

#include "abi/types.h"

struct frame;
struct hcall_args;
struct vcpu;

/* Largest order of extents: each is one step, as long as it may be between two check points. */
#define MEM_ORDER_MAX 9U

/* mem_flags of a reservation -> flags of the heap. */
unsigned int mem_heap_flags(uint32_t mem_flags);
/* 2^order frames from f on are the guest's gpfn...; M2P_INVALID: nobody's. */
void mem_set_m2p(struct frame *f, unsigned int order, uint64_t gpfn);

/* mem_exchange.c */
int64_t mem_op_exchange(struct vcpu *v, gptr_t arg, struct hcall_args *a);
