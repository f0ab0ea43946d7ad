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

/* mem_exchange.c */
int64_t mem_op_exchange(struct vcpu *v, gptr_t arg, struct hcall_args *a);
