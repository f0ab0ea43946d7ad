/* SPDX-License-Identifier: MIT */
/* The machine of one process: the inline part of the port.  Each cpu is a thread (or all are one).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/addr.h"

struct vcpu;

#define HOST_MAX_CPUS 8u

/* What a cpu register would hold. */
struct host_cpu {
    unsigned int id;
    bool irq_on;
    struct vcpu *current;
};

extern _Thread_local struct host_cpu *host_this_cpu;
extern unsigned char *host_ram; /* frame n of the machine lies at host_ram + n * PAGE_SIZE */
extern uint64_t host_ticks;     /* virtual clock: 1 tick is 1 ns */

void host_relax(void); /* gives way to other threads */

static inline unsigned int port_cpu_id(void)
{
    return host_this_cpu->id;
}

static inline struct vcpu *port_current(void)
{
    return host_this_cpu->current;
}

static inline void port_cpu_relax(void)
{
    host_relax();
}

static inline unsigned long port_irq_save(void)
{
    bool on = host_this_cpu->irq_on;
    host_this_cpu->irq_on = false;
    return on;
}

static inline void port_irq_restore(unsigned long on)
{
    host_this_cpu->irq_on = on != 0;
}

static inline void port_irq_enable(void)
{
    host_this_cpu->irq_on = true;
}

static inline void port_irq_disable(void)
{
    host_this_cpu->irq_on = false;
}

static inline bool port_irq_enabled(void)
{
    return host_this_cpu->irq_on;
}

static inline void *port_frame_va(mfn_t mfn)
{
    return host_ram + (mfn.n << PAGE_SHIFT);
}

static inline mfn_t port_va_mfn(const void *va)
{
    return MFN((uint64_t)((const unsigned char *)va - host_ram) >> PAGE_SHIFT);
}

static inline uint64_t port_ticks(void)
{
    return __atomic_load_n(&host_ticks, __ATOMIC_RELAXED);
}
