/* SPDX-License-Identifier: MIT */
/* The longest stretch of each call between two check points, in ticks of the counter (under an
 * emulator that counts instructions: in instructions), and where it ended. Builds with
 * CONFIG_PREEMPT_MEASURE only. */

#include "hcall/hcall.h"

#include "abi/hcall_nr.h"
#include "base/log.h"
#include "base/nospec.h"
#include "lib/mem.h"
#include "port/cpu.h"
#include "port/time.h"

#define OPS  96u
#define ROWS (CONFIG_PREEMPT_MEASURE ? HCALL_COUNT * OPS : 1u)

static struct {
    uint64_t longest;
    const char *where;
} stretch[ROWS];

/* Of the first cpu, which alone is measured. */
static struct {
    uint64_t since;
    uint32_t nr;
    uint32_t op;
    bool active;
} at;

/* The first argument of these calls says which sub-operation; upper bits of a continued one say how
 * far it is. */
static uint64_t op_mask(uint64_t nr)
{
    switch (nr) {
    case __HYPERVISOR_memory_op:
        return 63;
    case __HYPERVISOR_xen_version:
    case __HYPERVISOR_console_io:
    case __HYPERVISOR_grant_table_op:
    case __HYPERVISOR_vcpu_op:
    case __HYPERVISOR_sched_op:
    case __HYPERVISOR_event_channel_op:
    case __HYPERVISOR_physdev_op:
        return 127;
    default:
        return 0;
    }
}

void measure_begin(uint64_t nr, uint64_t op)
{
    if (port_cpu_id() != 0) {
        return;
    }
    at.nr = (uint32_t)index_nospec(nr, HCALL_COUNT);
    at.active = nr < HCALL_COUNT;
    measure_op_set(op & op_mask(nr));
    at.since = port_ticks();
}

void measure_op_set(uint64_t op)
{
    if (port_cpu_id() == 0) {
        at.op = op < OPS ? (uint32_t)op : OPS - 1;
    }
}

bool measure_check(const char *where)
{
    uint64_t now = port_ticks();

    if (port_cpu_id() == 0 && at.active) {
        uint32_t i = (at.nr * OPS + at.op) % ROWS;

        if (now - at.since > stretch[i].longest) {
            stretch[i].longest = now - at.since;
            stretch[i].where = where;
        }
        at.since = port_ticks();
    }
    return false;
}

void measure_end(void)
{
    (void)measure_check("its end");
    if (port_cpu_id() == 0) {
        at.active = false;
    }
}

void measure_show(void)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        if (stretch[i].longest != 0) {
            log_at(LOG_ERR, "longest %s %u: %lu to %s", hcall_table[i / OPS].name, i % OPS,
                   (unsigned long)stretch[i].longest, stretch[i].where);
        }
    }
}
