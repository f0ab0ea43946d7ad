/* SPDX-License-Identifier: MIT */
/* A machine of a few lines for tests of the core's rooms. */
#include "core_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/event.h"
#include "abi/grant.h"
#include "base/log.h"
#include "base/panic.h"
#include "base/timer.h"
#include "irq/irq.h"
#include "mm/heap.h"
#include "port/console.h"
#include "port/copy.h"
#include "port/cpu.h"
#include "port/frame.h"
#include "port/grant_map.h"
#include "port/irq.h"
#include "port/mmu.h"
#include "port/power.h"
#include "port/time.h"
#include "port/vcpu.h"
#include "sched/sched.h"
#include "start/cmdline.h"

struct kit kit;
struct options options;
struct cpumask cpu_online_mask;
_Thread_local struct host_cpu *host_this_cpu;
unsigned char *host_ram;
uint64_t host_ticks = 1000000;

static struct host_cpu cpus[KIT_CPUS];
static unsigned int cpu_count;
static uint64_t free_at_start;

/* ---- the machine ------------------------------------------------------------------------------ */

void host_relax(void)
{
    fail_msg("a lock or a vcpu is waited for, but there is one thread only");
}

void port_cpu_raise(unsigned int cpu, uint32_t bits)
{
    assert_true(cpu < cpu_count);
    kit.work[cpu] |= bits;
}

uint32_t port_cpu_take_work(void)
{
    uint32_t work = kit.work[port_cpu_id()];
    kit.work[port_cpu_id()] = 0;
    return work;
}

bool port_cpu_work_pending(void)
{
    return kit.preempt_after != 0 && ++kit.preempt_seen % kit.preempt_after == 0;
}

unsigned int port_cpu_count(void)
{
    return cpu_count;
}

void port_cpu_idle_wait(void)
{
    fail_msg("nothing waits here");
}

uint64_t port_time_now(void)
{
    return host_ticks;
}

void port_time_set_deadline(uint64_t ns)
{
    kit.deadline[port_cpu_id()] = ns;
}

void port_time_scale(struct port_time_scale *s)
{
    *s = (struct port_time_scale){ .mul = 0x80000000u, .shift = 1, .ticks0 = host_ticks, .ns0 = host_ticks };
}

void port_time_wall_base(uint64_t *sec, uint32_t *nsec)
{
    *sec = 1000000000;
    *nsec = 500;
}

uint32_t port_tlb_stamp(void)
{
    return 0;
}

void port_tlb_flush_before(const struct cpumask *mask, uint32_t stamp)
{
    (void)mask;
    (void)stamp;
}

void port_tlb_flush(const struct cpumask *mask)
{
    (void)mask;
    kit.flushes++;
}

void port_m2p_set(mfn_t mfn, uint64_t pfn)
{
    (void)mfn;
    (void)pfn;
}

void port_frame_invalidate(struct frame *f, enum frame_type t)
{
    (void)f;
    (void)t;
}

void port_vcpu_switch(struct vcpu *prev, struct vcpu *next)
{
    assert_ptr_equal(prev, host_this_cpu->current);
    assert_false(port_irq_enabled());
    kit.switches++;
    host_this_cpu->current = next;
    sched_switched(prev);
}

int port_vcpu_init(struct vcpu *v)
{
    (void)v;
    return kit.vcpu_init_fail != 0 && --kit.vcpu_init_fail == 0 ? -ENOMEM : 0;
}

void port_vcpu_destroy(struct vcpu *v)
{
    (void)v;
}

int port_domain_init(struct domain *d)
{
    (void)d;
    return kit.domain_init_fail != 0 && --kit.domain_init_fail == 0 ? -ENOMEM : 0;
}

void port_domain_destroy(struct domain *d)
{
    (void)d;
}

int64_t port_domain_relinquish(struct domain *d)
{
    (void)d;
    if (kit.relinquish_again == 0) {
        return 0;
    }
    kit.relinquish_again--;
    return HC_AGAIN;
}

int64_t port_vcpu_set_context(struct vcpu *v, const void *ctx)
{
    (void)v;
    return *(const uint64_t *)ctx == 0 ? -EINVAL : 0;
}

uint64_t port_vcpu_context_size(void)
{
    return 5168;
}

unsigned int port_irq_gsi_count(void)
{
    return KIT_IRQS;
}

int port_irq_startup(unsigned int irq, bool level, bool active_low)
{
    (void)active_low;
    kit.irq_started[irq] = true;
    kit.irq_level[irq] = level;
    kit.irq_masked[irq] = false;
    return 0;
}

void port_irq_shutdown(unsigned int irq)
{
    kit.irq_started[irq] = false;
}

void port_irq_mask(unsigned int irq)
{
    kit.irq_masked[irq] = true;
}

void port_irq_unmask(unsigned int irq)
{
    kit.irq_masked[irq] = false;
}

void port_irq_ack(unsigned int irq)
{
    kit.irq_masked[irq] = kit.irq_level[irq];
}

void port_irq_eoi(unsigned int irq)
{
    kit.irq_masked[irq] = false;
    kit.irq_eois++;
}

int port_irq_set_cpu(unsigned int irq, unsigned int cpu)
{
    (void)irq;
    kit.irq_cpu = (int)cpu;
    return 0;
}

_Noreturn void port_power_off(void)
{
    kit.powered_off = true;
    longjmp(kit.end, 1);
}

_Noreturn void port_reboot(void)
{
    kit.rebooted = true;
    longjmp(kit.end, 1);
}

_Noreturn void port_halt(void)
{
    longjmp(kit.end, 1);
}

/* ---- guest memory ----------------------------------------------------------------------------- */

/* How much of n bytes at va can be copied now. */
static size_t reach(uint64_t va, size_t n)
{
    uint64_t base = (uint64_t)(uintptr_t)kit.guest;

    for (unsigned int cpu = 0; cpu < cpu_count; cpu++) {
        assert_true(cpus[cpu].irq_on || host_this_cpu != &cpus[cpu]);
    }
    if (va < base || va >= base + sizeof(kit.guest)) {
        return 0;
    }
    size_t there = (size_t)(base + sizeof(kit.guest) - va);
    n = n < there ? n : there;
    if (kit.copy_limit != SIZE_MAX) {
        n = n < kit.copy_limit ? n : kit.copy_limit;
        kit.copy_limit -= n;
    }
    return n;
}

size_t guest_read(void *dst, gptr_t src, size_t n)
{
    size_t k = reach(src.va, n);
    memcpy(dst, (const void *)(uintptr_t)src.va, k);
    return n - k;
}

size_t guest_write(gptr_t dst, const void *src, size_t n)
{
    size_t k = reach(dst.va, n);
    memcpy((void *)(uintptr_t)dst.va, src, k);
    return n - k;
}

size_t guest_clear(gptr_t dst, size_t n)
{
    size_t k = reach(dst.va, n);
    memset((void *)(uintptr_t)dst.va, 0, k);
    return n - k;
}

static struct kit_pte *pte_of(uint64_t host_addr)
{
    return host_addr % 8 == 0 && host_addr / 8 < KIT_PTES && host_addr != 0 ? &kit.pte[host_addr / 8]
                                                                             : NULL;
}

static void pte_drop(struct kit_pte *p)
{
    if (p->present && p->writable) {
        frame_put_writable(frame_of(p->mfn));
    } else if (p->present) {
        frame_put(frame_of(p->mfn));
    }
    p->present = false;
}

int port_grant_map(struct vcpu *v, uint64_t host_addr, uint32_t flags, mfn_t mfn)
{
    struct kit_pte *p = pte_of(host_addr);

    (void)v;
    if (p == NULL) {
        return -EINVAL;
    }
    pte_drop(p);
    *p = (struct kit_pte){ true, (flags & GNTMAP_readonly) == 0, mfn };
    return 0;
}

int port_grant_unmap(struct vcpu *v, uint64_t host_addr, uint32_t flags, mfn_t mfn, bool *writable)
{
    struct kit_pte *p = pte_of(host_addr);

    (void)v;
    (void)flags;
    if (p == NULL || !p->present || !mfn_eq(p->mfn, mfn)) {
        return -EINVAL;
    }
    *writable = p->writable;
    p->present = false;
    return 0;
}

int port_grant_replace(struct vcpu *v, uint64_t host_addr, uint64_t new_addr, mfn_t mfn, bool *writable)
{
    struct kit_pte *from = pte_of(new_addr);
    struct kit_pte *to = pte_of(host_addr);

    (void)v;
    if (from == NULL || !from->present || to == NULL || !to->present || !mfn_eq(to->mfn, mfn)) {
        return -EINVAL;
    }
    *writable = to->writable;
    *to = *from;
    from->present = false;
    return 0;
}

/* ---- log and panic ---------------------------------------------------------------------------- */

void log_at(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    (void)level;
    va_start(ap, fmt);
    vsnprintf(kit.log, sizeof(kit.log), fmt, ap);
    va_end(ap);
}

void log_guest(struct domain *d, enum log_level level, const char *fmt, ...)
{
    va_list ap;

    (void)d;
    (void)level;
    va_start(ap, fmt);
    vsnprintf(kit.log, sizeof(kit.log), fmt, ap);
    va_end(ap);
}

_Noreturn void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}

/* ---- the kit ---------------------------------------------------------------------------------- */

void kit_on(unsigned int cpu)
{
    assert_true(cpu < cpu_count);
    host_this_cpu = &cpus[cpu];
}

void kit_as(struct vcpu *v)
{
    host_this_cpu->current = v != NULL ? v : dom_idle->vcpu[port_cpu_id()];
}

static void memory_start(void)
{
    host_ram = aligned_alloc(PAGE_SIZE, KIT_FRAMES * PAGE_SIZE);
    frame_table = calloc(KIT_FRAMES, sizeof(*frame_table));
    frame_limit = KIT_FRAMES;
    if (host_ram == NULL || frame_table == NULL) {
        abort();
    }
    memset(host_ram, 0, KIT_FRAMES * PAGE_SIZE);
    frame_init();
    frame_reserve(MFN(1), MFN(KIT_FRAMES));
    heap_add(MFN(1), MFN(KIT_FRAMES));
}

void kit_start(unsigned int n)
{
    cpu_count = n;
    for (unsigned int cpu = 0; cpu < n; cpu++) {
        cpus[cpu].id = cpu;
        cpus[cpu].irq_on = true;
        kit.deadline[cpu] = UINT64_MAX;
        cpumask_set(&cpu_online_mask, cpu);
    }
    kit_on(0);
    kit.copy_limit = SIZE_MAX;
    memory_start();
    domain_init();
    irq_init();
    sched_init();
    for (unsigned int cpu = 0; cpu < n; cpu++) {
        kit_on(cpu);
        timer_cpu_init(cpu);
        if (cpu != 0) {
            sched_cpu_init(cpu);
        }
        host_this_cpu->current = dom_idle->vcpu[cpu];
    }
    kit_on(0);
    kit_settle();
    /* Pools keep what they once had: let them have it before anybody counts. */
    kit_destroy(kit_domain(1, 4));
    free_at_start = heap_free_frames();
}

int kit_setup(void **state)
{
    (void)state;
    kit.copy_limit = SIZE_MAX;
    kit.preempt_after = 0;
    kit.irq_cpu = -1;
    kit.irq_eois = 0;
    memset(kit.guest, 0, sizeof(kit.guest));
    kit_on(0);
    return 0;
}

int kit_teardown(void **state)
{
    (void)state;
    kit.preempt_after = 0;
    kit_settle();
    kit_on(0);
    for (struct domain *d = domain_get_next(0); d != NULL; d = domain_get_next(0)) {
        domain_put(d);
        kit_destroy(d);
    }
    kit_settle();
    domain_audit();
    sched_audit();
    for (unsigned int cpu = 0; cpu < cpu_count; cpu++) {
        assert_true(cpus[cpu].irq_on);
    }
    assert_int_equal(heap_free_frames(), free_at_start);
    return 0;
}

struct domain *kit_domain(domid_t id, unsigned int vcpus)
{
    struct domain_config cfg = {
        .max_vcpus = vcpus,
        .max_evtchn_port = EVTCHN_2L_NR_CHANNELS - 1,
        .max_grant_frames = 4,
        .max_maptrack_frames = 2,
        .is_hw = id == 0,
        .is_ctl = id == 0,
    };
    struct domain *d = NULL;

    assert_int_equal(domain_create(id, &cfg, &d), 0);
    atomic_store(&d->max_frames, 1024);
    for (unsigned int i = 0; i < vcpus; i++) {
        assert_non_null(vcpu_create(d, i));
    }
    if (id == 0) {
        dom0 = d;
    }
    return d;
}

struct domain *kit_running(domid_t id, unsigned int vcpus)
{
    struct domain *d = kit_domain(id, vcpus);

    for (unsigned int i = 0; i < vcpus; i++) {
        vcpu_up(d->vcpu[i]);
    }
    domain_unpause(d);
    kit_settle();
    return d;
}

void kit_destroy(struct domain *d)
{
    if (d == dom0) {
        dom0 = NULL;
    }
    kit_as(NULL);
    /* Stopped first: in one thread nobody waits for another cpu. */
    domain_pause_nosync(d);
    kit_settle();
    domain_ref(d);
    while (domain_kill(d) == HC_AGAIN) {
    }
    domain_put(d);
    kit_settle();
}

static bool cpu_step(unsigned int cpu)
{
    struct host_cpu *was = host_this_cpu;

    kit_on(cpu);
    if (kit.deadline[cpu] <= host_ticks) {
        kit.deadline[cpu] = UINT64_MAX;
        kit.work[cpu] |= CW_TIMER;
    }
    uint32_t work = port_cpu_take_work();
    if ((work & CW_TIMER) != 0) {
        timer_run();
    }
    if ((work & CW_DEFERRED) != 0) {
        domain_deferred_run();
    }
    if ((work & CW_SCHED) != 0) {
        sched_run();
    }
    host_this_cpu = was;
    return work != 0;
}

void kit_settle(void)
{
    bool any = true;

    for (unsigned int n = 0; any; n++) {
        assert_true(n < 1000);
        any = false;
        for (unsigned int cpu = 0; cpu < cpu_count; cpu++) {
            any = cpu_step(cpu) || any;
        }
    }
}

void kit_advance(uint64_t ns)
{
    uint64_t end = host_ticks + ns;

    while (host_ticks < end) {
        uint64_t next = host_ticks + 1000000 < end ? host_ticks + 1000000 : end;
        for (unsigned int cpu = 0; cpu < cpu_count; cpu++) {
            if (kit.deadline[cpu] > host_ticks && kit.deadline[cpu] < next) {
                next = kit.deadline[cpu];
            }
        }
        host_ticks = next;
        kit_settle();
    }
}

uint64_t kit_guest(size_t offset, const void *data, size_t n)
{
    if (data != NULL) {
        memcpy(kit.guest + offset, data, n);
    }
    return (uint64_t)(uintptr_t)(kit.guest + offset);
}

int64_t kit_call(struct vcpu *v, hcall_fn *fn, uint64_t a0, uint64_t a1, uint64_t a2)
{
    struct hcall_args a = { { a0, a1, a2 } };
    struct vcpu *was = host_this_cpu->current;
    int64_t rc;

    kit_as(v);
    do {
        rc = fn(v, &a);
    } while (rc == HC_AGAIN);
    host_this_cpu->current = was;
    return rc;
}
