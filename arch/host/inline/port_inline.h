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

static inline bool port_lock_check(void)
{
    return true;
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

/* The window on guest memory of port/copy.h: each word goes through the same model of memory as
 * copies do. */
bool host_guest_load(uint64_t *to, uint64_t va);
bool host_guest_store(uint64_t va, uint64_t val);

static inline bool guest_window_ok(uint64_t va, uint64_t n)
{
    return va + UINT64_C(0x780000000000) <= UINT64_C(0xf80000000000) - n;
}

static inline void guest_window_begin(void)
{
}

static inline void guest_window_end(void)
{
}

static inline bool guest_load(uint64_t *to, uint64_t va)
{
    return host_guest_load(to, va);
}

static inline bool guest_store(uint64_t va, uint64_t val)
{
    return host_guest_store(va, val);
}
