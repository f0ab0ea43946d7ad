/* SPDX-License-Identifier: MIT */
/* The hypervisor's keys: from the serial line when it has the input, and from `xl debug-keys`. */
#include "base/console.h"

#include <stddef.h>

#include "base/log.h"
#include "base/panic.h"
#include "base/timer.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "evtchn/evtchn.h"
#include "gnttab/gnttab.h"
#include "hcall/hcall.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "port/power.h"
#include "port/time.h"
#include "sched/sched.h"

static void key_help(void);

/* Calls fn for every domain. */
static void each_domain(void (*fn)(struct domain *d))
{
    for (struct domain *d = domain_get_next(0); d != NULL;) {
        fn(d);
        uint32_t next = d->id + 1u;
        domain_put(d);
        d = domain_get_next((domid_t)next);
    }
}

static void show_domain(struct domain *d)
{
    log_at(LOG_ERR, "domain %u: life %u, refs %u, pause %u, shutdown %u code %u", d->id,
           atomic_load(&d->life), atomic_load(&d->refs), atomic_load(&d->pause_count),
           atomic_load(&d->is_shut_down), d->shutdown_code);
    log_at(LOG_ERR, "  frames %lu of %lu, claimed %lu, vcpus %u, weight %u, cap %u",
           (unsigned long)d->owned_frames, (unsigned long)atomic_load(&d->max_frames),
           (unsigned long)d->claimed_frames, d->max_vcpus, d->weight, d->cap);
}

static void key_domains(void)
{
    each_domain(show_domain);
}

static void show_timer(const char *name, const struct timer *t, uint64_t now)
{
    if (timer_is_set(t)) {
        log_at(LOG_ERR, "    %s on cpu %u in %ld us", name, t->cpu,
               (long)(t->expires - now) / 1000);
    }
}

/* What each vcpu waits for: its events, and its timers. */
static void show_events(struct domain *d)
{
    uint64_t now = port_time_now();

    log_at(LOG_ERR, "domain %u:", d->id);
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        const struct vcpu *v = vcpu_get(d, i);
        if (v == NULL) {
            continue;
        }
        log_at(LOG_ERR, "  vcpu %u: cpu %u, %s%s, state %#x, upcall pending %u mask %u, words %#lx",
               i, atomic_load(&v->cpu), atomic_load(&v->on_cpu) ? "running" : "off",
               v->queued ? ", queued" : "", atomic_load(&v->state), v->info->evtchn_upcall_pending,
               v->info->evtchn_upcall_mask, (unsigned long)v->info->evtchn_pending_sel);
        show_timer("timer", &v->singleshot, now);
        show_timer("period", &v->periodic, now);
        show_timer("poll", &v->poll_timer, now);
    }
    evtchn_dump(d);
}

static void key_events(void)
{
    each_domain(show_events);
}

/* What a domain holds of others, and the frames of the two tables of it that grow with use and do
 * not shrink: the system tests compare them before and after guests. */
static void show_holdings(struct domain *d)
{
    log_at(LOG_ERR,
           "domain %u: %u event channels, %u grants mapped, %u of its own in use; "
           "tables: %u frames of ports, %u of handles",
           d->id, evtchn_count(d), gnttab_mapped(d), gnttab_pinned(d), evtchn_table_frames(d),
           gnttab_handle_frames(d));
}

static void key_holdings(void)
{
    each_domain(show_holdings);
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

static void key_panic(void)
{
    panic("asked for by key");
}

static void key_double_fault(void)
{
    port_double_fault();
}

static const struct {
    char key;
    void (*fn)(void);
    const char *help;
} keys[] = {
    { 'C', key_panic, "stop with a panic report" },
    { 'D', key_double_fault, "stop with a double fault" },
    { 'e', key_events, "vcpus, their timers, and pending events" },
    { 'g', key_holdings, "event channels and grants of each domain, counted" },
    { 'h', key_help, "this list" },
    { 'l', measure_show, "longest stretches between check points (CONFIG_PREEMPT_MEASURE)" },
    { 'm', key_memory, "memory of the heap" },
    { 'q', key_domains, "domains" },
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
