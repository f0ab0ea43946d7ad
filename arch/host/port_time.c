/* SPDX-License-Identifier: MIT */
/* Host port: a virtual clock that tests advance; one tick is one nanosecond. */
#include "port/time.h"

#include "port/cpu.h"
#include "arch/host/host_int.h"
#include "arch/host/machine.h"

uint64_t host_ticks = 1000000;
static uint64_t deadline[HOST_MAX_CPUS] = { [0 ... HOST_MAX_CPUS - 1] = ~UINT64_C(0) };

uint64_t port_time_now(void)
{
    return port_ticks();
}

uint64_t port_ticks_to_ns(uint64_t ticks)
{
    return ticks;
}

void port_time_scale(struct port_time_scale *s)
{
    /* ns = (ticks << 1) * 2^31 >> 32 */
    *s = (struct port_time_scale){
        .mul = 0x80000000u, .shift = 1, .ticks0 = port_ticks(), .ns0 = port_ticks()
    };
}

uint64_t port_ticks_khz(void)
{
    return 1000000;
}

void port_time_set_deadline(uint64_t ns)
{
    __atomic_store_n(&deadline[port_cpu_id()], ns, __ATOMIC_RELAXED);
    if (ns <= port_time_now()) {
        port_cpu_raise(port_cpu_id(), CW_TIMER);
    }
}

uint64_t host_deadline(unsigned int cpu)
{
    return __atomic_load_n(&deadline[cpu], __ATOMIC_RELAXED);
}

void host_advance(uint64_t ns)
{
    __atomic_fetch_add(&host_ticks, ns, __ATOMIC_RELAXED);
    for (unsigned int i = 0; i < host_cpu_count; i++) {
        uint64_t due = host_deadline(i);
        if (due <= port_time_now() &&
            __atomic_compare_exchange_n(&deadline[i], &due, ~UINT64_C(0), false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            port_cpu_raise(i, CW_TIMER);
        }
    }
}

void port_time_wall_base(uint64_t *sec, uint32_t *nsec)
{
    *sec = 1700000000;
    *nsec = 0;
}
