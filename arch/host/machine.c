/* SPDX-License-Identifier: MIT */
/* Builds the host machine and brings the core up on it. */
#include "arch/host/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/cpumask.h"
#include "base/timer.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "arch/host/host_int.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "sched/sched.h"

struct host_cpu host_cpus[HOST_MAX_CPUS];
_Thread_local struct host_cpu *host_this_cpu = &host_cpus[0];
unsigned int host_cpu_count = 1;
unsigned char *host_ram;
uint64_t host_frames;
struct cpumask cpu_online_mask;
struct host_record host_record;

void host_memory(const struct host_config *c)
{
    size_t size = c->frames * PAGE_SIZE;

    host_frames = c->frames;
    host_ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
    frame_table = calloc(c->frames, sizeof *frame_table);
    if (host_ram == MAP_FAILED || frame_table == NULL) {
        perror("host machine");
        exit(2);
    }
    if (c->hole_end > c->hole_first) {
        (void)mprotect(host_ram + c->hole_first * PAGE_SIZE,
                       (c->hole_end - c->hole_first) * PAGE_SIZE, PROT_NONE);
    }
    frame_limit = c->frames;
    host_cpu_count = c->cpus;
    for (unsigned int i = 0; i < HOST_MAX_CPUS; i++) {
        host_cpus[i] = (struct host_cpu){ .id = i, .irq_on = true };
    }
    for (unsigned int i = 0; i < c->cpus; i++) {
        cpumask_set(&cpu_online_mask, i);
    }
    host_tlb_init();
}

void host_cpu_enter(unsigned int cpu)
{
    host_this_cpu = &host_cpus[cpu];
}

void host_init(const struct host_config *c)
{
    host_memory(c);
    frame_init();
    if (c->hole_end > c->hole_first) {
        heap_add(MFN(0), MFN(c->hole_first));
        heap_add(MFN(c->hole_end), MFN(c->frames));
    } else {
        heap_add(MFN(0), MFN(c->frames));
    }
    domain_init();
    for (unsigned int i = 0; i < c->cpus; i++) {
        host_cpu_enter(i);
        timer_cpu_init(i);
        host_this_cpu->current = dom_idle->vcpu[i];
        if (i == 0) {
            sched_init();
        }
        sched_cpu_init(i);
    }
    host_cpu_enter(0);
}

void host_load(struct vcpu *v)
{
    struct vcpu *prev = port_current();

    if (!prev->is_idle) {
        atomic_store(&prev->on_cpu, 0);
        cpumask_clear(&prev->d->dirty_cpus, port_cpu_id());
    }
    host_this_cpu->current = v != NULL ? v : dom_idle->vcpu[port_cpu_id()];
    if (v != NULL) {
        atomic_store(&v->cpu, port_cpu_id());
        atomic_store(&v->on_cpu, 1);
        cpumask_set(&v->d->dirty_cpus, port_cpu_id());
    }
    host_tlb_clear(port_cpu_id());
}

struct domain *host_domain(unsigned int vcpus, uint64_t frames, bool is_dom0)
{
    struct domain_config cfg = { .max_vcpus = vcpus,
                                 .max_evtchn_port = 1023,
                                 .max_grant_frames = 4,
                                 .max_maptrack_frames = 4,
                                 .is_hw = is_dom0,
                                 .is_ctl = is_dom0 };
    struct domain *d;
    int rc = domain_create(&(domid_t){ is_dom0 ? 0 : DOMID_FIRST_RESERVED }, &cfg, &d);

    if (rc != 0) {
        return NULL;
    }
    spin_lock(&d->life_lock);
    for (unsigned int i = 0; i < vcpus; i++) {
        if (vcpu_get(d, i) == NULL && vcpu_create(d, i) == NULL) {
            spin_unlock(&d->life_lock);
            return NULL;
        }
        d->vcpu[i]->arch.kernel_mode = true;
    }
    spin_unlock(&d->life_lock);
    atomic_store(&d->max_frames, frames);
    atomic_store(&d->life, DL_ALIVE);
    return d;
}

void host_domain_end(struct domain *d)
{
    domain_ref(d);
    while (domain_kill(d) != 0) {
        (void)port_cpu_take_work();
    }
    domain_put(d);
    domain_deferred_run();
}
