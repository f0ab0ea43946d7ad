/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls: number -> row -> handler.
 *
 * A handler gets the caller and its arguments in place: `a` points at the saved registers (or at
 * the multicall entry's copy), in ABI order.  It returns the result, a negative errno, or HC_AGAIN
 * after having stored its progress in a->arg[], in the copied structure or in the object; the
 * dispatcher then arranges that the guest issues the call again with those arguments.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/errno.h"
#include "abi/hcall_nr.h"
#include "abi/types.h"
#include "config.h"

struct vcpu;
struct domain;

/* Six consecutive words in struct regs and in struct multicall_entry. */
struct hcall_args {
    uint64_t arg[6];
};

#define HC_AGAIN INT64_MIN       /* never a result */
#define HC_LEFT  (INT64_MIN + 1) /* nor this: the caller's registers are loaded, rax with them */

enum hc_who {
    WHO_ANY, /* any domain */
    WHO_HW,  /* dom0 as owner of the hardware */
    WHO_CTL  /* dom0 as the control domain */
};

#define HC_RESTART  1u /* may return HC_AGAIN */
#define HC_NORESULT 2u /* iret: rax is not a result */

typedef int64_t hcall_fn(struct vcpu *v, struct hcall_args *a);

struct hcall_row {
    const char *name;
    hcall_fn *fn;
    uint8_t nargs;
    uint8_t who; /* enum hc_who */
    uint16_t flags;
};

#define HCALL_COUNT 64u /* rows; numbers above the highest call are empty */
/* THE table: arch/<a>/guest/hcall_table.c */
extern const struct hcall_row hcall_table[HCALL_COUNT];

/* Family with sub-operations. `in` bytes are copied from `ptr`, handed over, and `out` bytes copied
 * back if rc >= 0 (or HC_AGAIN with SUB_BACK). */
typedef int64_t subop_fn(struct vcpu *v, void *arg, struct hcall_args *a);
struct subop_row {
    const char *name;
    subop_fn *fn;
    uint16_t in;
    uint16_t out;
    uint8_t who;
    uint8_t flags;
};
#define SUB_BACK       1u /* copy out also on HC_AGAIN: progress is in the structure */
#define SUB_ALWAYS     2u /* copy out whatever the result */
#define SUBOP_MAX_SIZE 256

/* -ENOSYS for no row, -EPERM, -EFAULT, else the handler's result. */
int64_t subop_dispatch(struct vcpu *v, const struct subop_row *table, size_t rows, uint64_t op,
                       gptr_t ptr, struct hcall_args *a);

/* May the domain of v do what `who` asks? 0 or -EPERM. */
int hcall_check_who(const struct vcpu *v, uint8_t who);

/* From entry.S (through guest/trap.c): number and arguments are in the registers. Returns the value
 * for rax; HC_AGAIN = rewind. */
int64_t hcall_dispatch(struct vcpu *v, uint64_t nr, struct hcall_args *a);

/* Should a long operation stop here and return HC_AGAIN? It has made progress since it was called.
 */
#define hcall_preempt_check()                            \
    (CONFIG_PREEMPT_ALWAYS || port_cpu_work_pending() || \
     (CONFIG_PREEMPT_MEASURE && measure_check(__func__)))

/* measure.c, for builds with CONFIG_PREEMPT_MEASURE: how long the first cpu goes from the start of
 * a call, or from one check point, to the next or to the call's end. All of it is constant-folded
 * away in other builds. */
void measure_begin(uint64_t nr, uint64_t op);
bool measure_check(const char *where); /* false: nobody stops for it */
void measure_end(void);
void measure_op_set(uint64_t op);
void measure_show(void); /* to the log, one line a call that was made */

/* What follows belongs to another sub-operation than the call's first argument says. */
static inline void measure_op(uint64_t op)
{
    if (CONFIG_PREEMPT_MEASURE) {
        measure_op_set(op);
    }
}

/* The handlers that xen-core implements for every machine. */
int64_t hc_multicall(struct vcpu *v, struct hcall_args *a);
int64_t hc_xen_version(struct vcpu *v, struct hcall_args *a);
int64_t hc_vm_assist(struct vcpu *v, struct hcall_args *a);
int64_t hc_console_io(struct vcpu *v, struct hcall_args *a);
int64_t hc_set_timer_op(struct vcpu *v, struct hcall_args *a);
int64_t hc_memory_op(struct vcpu *v, struct hcall_args *a);
int64_t hc_event_channel_op(struct vcpu *v, struct hcall_args *a);
int64_t hc_grant_table_op(struct vcpu *v, struct hcall_args *a);
int64_t hc_sched_op(struct vcpu *v, struct hcall_args *a);
int64_t hc_vcpu_op(struct vcpu *v, struct hcall_args *a);
int64_t hc_domctl(struct vcpu *v, struct hcall_args *a);
int64_t hc_sysctl(struct vcpu *v, struct hcall_args *a);
