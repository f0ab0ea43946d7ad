/* SPDX-License-Identifier: MIT */
/* Domain 0: how much memory, how many vcpus; the machine's part loads its kernel. */
#include "start/start.h"

#include "abi/types.h"
#include "abi/xen.h"
#include "base/log.h"
#include "base/panic.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "mm/heap.h"
#include "port/cpu.h"
#include "port/start.h"
#include "sched/sched.h"
#include "start/boot_info.h"
#include "start/cmdline.h"

#define DOM0_EVTCHN_MAX   4095u
#define DOM0_GRANT_FRAMES 64u
#define DOM0_MAPTRACK     1024u
#define FRAMES_PER_MIB    256u

/* Kept back for the hypervisor and guests' structures when dom0 gets "all": a sixteenth, at most
 * 128 MiB. */
static uint64_t reserve_frames(uint64_t free)
{
    uint64_t sixteenth = free / 16;
    uint64_t most = UINT64_C(128) * FRAMES_PER_MIB;

    return sixteenth < most ? sixteenth : most;
}

static bool is_said(const struct mem_amount *a)
{
    return a->bytes != 0 || a->percent != 0 || a->all_but;
}

/* The ceiling of dom0_mem= where `free` frames are there; UINT64_MAX: none. */
static uint64_t dom0_max_frames(uint64_t free)
{
    return is_said(&options.dom0_mem_max)
               ? mem_amount_of(&options.dom0_mem_max, free << PAGE_SHIFT) >> PAGE_SHIFT
               : UINT64_MAX;
}

/* How much dom0 gets at once of `free` frames: at least min:, at most max:, in that order. */
static uint64_t dom0_frames(uint64_t free)
{
    uint64_t frames = free - reserve_frames(free);
    uint64_t min = mem_amount_of(&options.dom0_mem_min, free << PAGE_SHIFT) >> PAGE_SHIFT;
    uint64_t max = dom0_max_frames(free);

    if (is_said(&options.dom0_mem)) {
        frames = mem_amount_of(&options.dom0_mem, free << PAGE_SHIFT) >> PAGE_SHIFT;
    }
    if (frames < min) {
        frames = min;
    }
    if (frames > max) {
        frames = max;
    }
    if (frames > free) {
        panic("dom0_mem: %lu MiB wanted, %lu MiB free; give less (dom0_mem=) or more memory",
              (unsigned long)(frames / FRAMES_PER_MIB), (unsigned long)(free / FRAMES_PER_MIB));
    }
    return frames;
}

void dom0_build(const struct boot_info *bi)
{
    uint32_t vcpus = options.dom0_max_vcpus != 0 ? options.dom0_max_vcpus : port_cpu_count();
    struct domain *d;

    if (bi->kernel.size == 0) {
        panic("no kernel for domain 0: the configuration file names none");
    }
    struct domain_config cfg = {
        .max_vcpus = vcpus,
        .max_evtchn_port = DOM0_EVTCHN_MAX,
        .max_grant_frames = DOM0_GRANT_FRAMES,
        .max_maptrack_frames = DOM0_MAPTRACK,
        .is_hw = true,
        .is_ctl = true,
    };
    int rc = domain_create(&(domid_t){ 0 }, &cfg, &d);
    if (rc != 0) {
        panic("domain 0 cannot be created: error %d", rc);
    }
    dom0 = d;

    spin_lock(&d->life_lock);
    for (uint32_t i = 0; i < vcpus; i++) {
        if (vcpu_get(d, i) == NULL && vcpu_create(d, i) == NULL) {
            panic("domain 0: no memory for vcpu %u", i);
        }
    }
    spin_unlock(&d->life_lock);

    uint64_t free = heap_free_frames();
    uint64_t frames = dom0_frames(free);
    uint64_t max = dom0_max_frames(free);
    atomic_store(&d->max_frames, max < UINT32_MAX ? max : UINT32_MAX);
    log_info("domain 0: %u vcpus, %lu MiB", vcpus, (unsigned long)(frames / FRAMES_PER_MIB));
    d->is_loading = true;
    port_dom0_load(d, d->vcpu[0], bi, frames);
    d->is_loading = false;
    atomic_store(&d->life, DL_ALIVE);
    d->ctl_pause_count = 0; /* the pause of creation ends here; nobody else will end it */
    domain_unpause(d);
    vcpu_up(d->vcpu[0]);
}
