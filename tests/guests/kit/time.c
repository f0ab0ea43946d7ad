/* SPDX-License-Identifier: MIT */
/* System time as the hypervisor publishes it. */
#include "kit/kit.h"

u64 rdtsc(void)
{
    u32 lo, hi;

    __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
    return (u64)hi << 32 | lo;
}

u64 now(void)
{
    volatile struct vcpu_time_info *t = &vcpu_info()->time;
    u32 version;
    u64 ns;

    do {
        version = t->version;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        u64 delta = rdtsc() - t->tsc_timestamp;

        delta = t->tsc_shift >= 0 ? delta << t->tsc_shift : delta >> -t->tsc_shift;
        ns = t->system_time + (u64)((unsigned __int128)delta * t->tsc_to_system_mul >> 32);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while ((version & 1) || version != t->version);
    return ns;
}

void spin_ns(u64 ns)
{
    u64 end = now() + ns;

    while (now() < end) {
        __asm__ volatile("pause");
    }
}
