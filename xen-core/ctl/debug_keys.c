/* SPDX-License-Identifier: MIT */
/* The hypervisor's keys: from the serial line when it has the input, and from `xl debug-keys`. */
#include "base/console.h"

#include <stddef.h>

#include "base/log.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "port/power.h"
#include "port/time.h"
#include "sched/sched.h"

static void key_help(void);

static void key_domains(void)
{
    for (struct domain *d = domain_get_next(0); d != NULL;) {
        log_at(LOG_ERR, "domain %u: life %u, refs %u, pause %u, shutdown %u code %u", d->id,
               atomic_load(&d->life), atomic_load(&d->refs), atomic_load(&d->pause_count),
               atomic_load(&d->is_shut_down), d->shutdown_code);
        log_at(LOG_ERR, "  frames %lu of %lu, claimed %lu, vcpus %u, weight %u, cap %u",
               (unsigned long)d->owned_frames, (unsigned long)atomic_load(&d->max_frames),
               (unsigned long)d->claimed_frames, d->max_vcpus, d->weight, d->cap);
        for (uint32_t i = 0; i < d->max_vcpus; i++) {
            const struct vcpu *v = vcpu_get(d, i);
            if (v != NULL) {
                log_at(LOG_ERR, "  vcpu %u: cpu %u, %s, state %#x, upcall pending %u mask %u", i,
                       atomic_load(&v->cpu), atomic_load(&v->on_cpu) ? "running" : "off",
                       atomic_load(&v->state), v->info->evtchn_upcall_pending,
                       v->info->evtchn_upcall_mask);
            }
        }
        uint32_t next = d->id + 1u;
        domain_put(d);
        d = domain_get_next((domid_t)next);
    }
}

static void key_memory(void)
{
    log_at(LOG_ERR, "heap: %lu of %lu frames free, %lu claimed", (unsigned long)heap_free_frames(),
           (unsigned long)heap_total_frames(), (unsigned long)heap_claimed_frames());
}

static void key_cpus(void)
{
    cpumask_for_each(cpu, &cpu_online_mask)
    {
        log_at(LOG_ERR, "cpu %u: idle %lu ms of %lu", cpu,
               (unsigned long)(sched_idle_time(cpu) / 1000000),
               (unsigned long)(port_time_now() / 1000000));
    }
}

static void key_reboot(void)
{
    port_reboot();
}

static const struct {
    char key;
    void (*fn)(void);
    const char *help;
} keys[] = {
    { 'h', key_help, "this list" },
    { 'm', key_memory, "memory of the heap" },
    { 'q', key_domains, "domains and their vcpus" },
    { 'r', key_cpus, "cpus and their idle time" },
    { 'R', key_reboot, "restart the machine at once" },
};

static void key_help(void)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        log_at(LOG_ERR, "  %c  %s", keys[i].key, keys[i].help);
    }
}

void console_key(char key)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (keys[i].key == key) {
            log_at(LOG_ERR, "'%c' pressed: %s", key, keys[i].help);
            keys[i].fn();
            return;
        }
    }
}
