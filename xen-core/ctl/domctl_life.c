/* SPDX-License-Identifier: MIT */
/* domctl: domains come, pause, are looked at, and go. */

#include "ctl/ctl.h"

#include "domain/domain.h"
#include "domain/vcpu.h"
#include "lib/str.h"
#include "port/cpu.h"
#include "sched/systime.h"

#define VCPUS_MAX           512u
#define EVTCHN_PORT_MAX     (EVTCHN_2L_NR_CHANNELS - 1)
#define GRANT_FRAMES        64u /* if the builder leaves it open */
#define GRANT_FRAMES_MAX    4096u
#define MAPTRACK_FRAMES     1024u
#define MAPTRACK_FRAMES_MAX 16384u

/* What a paravirtualized domain may be asked to be. */
#define FLAGS_ALLOWED (XEN_DOMCTL_CDF_xs_domain)

/* 0, -EINVAL; -EOPNOTSUPP for emulated devices, -ESRCH for another pool of cpus. */
static int create_check(const struct xen_domctl_createdomain *c)
{
    if (c->flags & ~(uint32_t)FLAGS_ALLOWED || c->iommu_opts || c->vmtrace_size ||
        c->arch.misc_flags & ~XEN_X86_MISC_FLAGS_MAX) {
        return -EINVAL;
    }
    if (c->arch.emulation_flags) {
        return -EOPNOTSUPP;
    }
    if (c->max_vcpus < 1 || c->max_vcpus > VCPUS_MAX || c->grant_opts != 1) {
        return -EINVAL;
    }
    if (c->max_grant_frames == 0 || c->max_grant_frames > (int32_t)GRANT_FRAMES_MAX ||
        c->max_maptrack_frames > (int32_t)MAPTRACK_FRAMES_MAX) {
        return -EINVAL;
    }
    return c->cpupool_id == CTL_POOL_ID ? 0 : -ESRCH;
}

/* domain: the id wanted, 0 or reserved for any; out: the id given. 0, -EINVAL, -ESRCH, -EEXIST,
 * -ENOMEM. */
int64_t domctl_createdomain(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_createdomain *c = &op->u.createdomain;
    struct domain_config cfg = { .create_flags = c->flags, .ssidref = c->ssidref };
    domid_t id = op->domain;
    int rc = create_check(c);

    (void)v;
    (void)d;
    if (rc) {
        return rc;
    }
    memcpy(cfg.handle, c->handle, sizeof(cfg.handle));
    cfg.max_vcpus = c->max_vcpus;
    cfg.max_evtchn_port =
        c->max_evtchn_port < EVTCHN_PORT_MAX ? c->max_evtchn_port : EVTCHN_PORT_MAX;
    cfg.max_grant_frames = c->max_grant_frames < 0 ? GRANT_FRAMES : (uint32_t)c->max_grant_frames;
    cfg.max_maptrack_frames =
        c->max_maptrack_frames < 0 ? MAPTRACK_FRAMES : (uint32_t)c->max_maptrack_frames;
    if (id == 0 || id >= DOMID_FIRST_RESERVED) {
        id = DOMID_FIRST_RESERVED;
    }
    rc = domain_create(&id, &cfg, &d);
    if (rc == 0) {
        op->domain = id;
    }
    return rc;
}

/* 0, HC_AGAIN, -EINVAL (the control domain itself). */
int64_t domctl_destroydomain(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    (void)v;
    (void)op;
    return domain_kill(d);
}

/* Counted, as tools pause for a moment what a person may have paused already. 0, -EUSERS' stand-in
 * -E2BIG. */
int64_t domctl_pausedomain(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    bool fits;

    (void)v;
    (void)op;
    domain_pause(d); /* before it is counted: what is counted may be taken back at once */
    spin_lock(&d->life_lock);
    fits = d->ctl_pause_count < INT32_MAX;
    d->ctl_pause_count += fits;
    spin_unlock(&d->life_lock);
    if (!fits) {
        domain_unpause(d);
        return -E2BIG;
    }
    return 0;
}

/* 0, -EINVAL (not paused by a control call). */
int64_t domctl_unpausedomain(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    bool was;

    (void)v;
    (void)op;
    spin_lock(&d->life_lock);
    was = d->ctl_pause_count != 0;
    d->ctl_pause_count -= was;
    spin_unlock(&d->life_lock);
    if (!was) {
        return -EINVAL;
    }
    domain_unpause(d);
    return 0;
}

int64_t domctl_resumedomain(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    (void)v;
    (void)op;
    domain_resume(d);
    return 0;
}

static uint32_t info_flags(struct domain *d, bool blocked, bool running)
{
    /* To tools a domain is dying once nothing is left to be given up but what others hold of it. */
    uint32_t life = atomic_load_explicit(&d->life, memory_order_acquire);
    uint32_t f = life == DL_DEAD ? XEN_DOMINF_dying : 0;

    if (atomic_load_explicit(&d->is_shut_down, memory_order_acquire)) {
        f |= XEN_DOMINF_shutdown | (d->shutdown_code & XEN_DOMINF_shutdownmask)
                                       << XEN_DOMINF_shutdownshift;
    }
    f |= d->ctl_pause_count ? XEN_DOMINF_paused : 0;
    f |= blocked ? XEN_DOMINF_blocked : 0;
    f |= running ? XEN_DOMINF_running : 0;
    f |= d->create_flags & XEN_DOMCTL_CDF_xs_domain ? XEN_DOMINF_xs_domain : 0;
    return f;
}

void domctl_fill_info(struct domain *d, struct xen_domctl_getdomaininfo *info)
{
    const struct frame *shared = __atomic_load_n(&d->shared_frame, __ATOMIC_RELAXED);
    bool blocked = true;
    bool running = false;

    memset(info, 0, sizeof(*info));
    info->domain = d->id;
    info->max_vcpu_id = XEN_INVALID_MAX_VCPU_ID;
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        const struct vcpu *t = vcpu_get(d, i);
        uint32_t state;

        if (!t) {
            continue;
        }
        info->max_vcpu_id = i;
        info->cpu_time += ctl_vcpu_time(t);
        state = atomic_load_explicit(&t->state, memory_order_relaxed);
        if (state & VS_DOWN) {
            continue;
        }
        info->nr_online_vcpus++;
        blocked = blocked && (state & VS_BLOCKED);
        running = running || __atomic_load_n(&t->runstate, __ATOMIC_RELAXED) == RUNSTATE_running;
    }
    info->flags = info_flags(d, blocked, running);
    info->tot_pages = __atomic_load_n(&d->owned_frames, __ATOMIC_RELAXED);
    info->max_pages = atomic_load_explicit(&d->max_frames, memory_order_relaxed);
    info->outstanding_pages = __atomic_load_n(&d->claimed_frames, __ATOMIC_RELAXED);
    info->shared_info_frame = shared ? frame_mfn(shared).n : ~UINT64_C(0);
    info->ssidref = d->ssidref;
    spin_lock(&d->life_lock);
    memcpy(info->handle, d->handle, sizeof(info->handle));
    spin_unlock(&d->life_lock);
    info->cpupool = CTL_POOL_ID;
}

/* The first domain whose id is at least the one asked for; the id found is in the answer, both
 * times. 0, -ESRCH, -EINVAL. */
int64_t domctl_getdomaininfo(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    (void)v;
    domctl_fill_info(d, &op->u.getdomaininfo);
    op->domain = d->id;
    return 0;
}

/* Makes the vcpus that are not there yet, one at a time. 0, -EINVAL (not the number given at
 * creation), -ENOMEM, HC_AGAIN. */
int64_t domctl_max_vcpus(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    (void)v;
    if (op->u.max_vcpus.max != d->max_vcpus) {
        return -EINVAL;
    }
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        const struct vcpu *t;

        if (vcpu_get(d, i)) {
            continue;
        }
        spin_lock(&d->life_lock);
        t = vcpu_get(d, i) ? vcpu_get(d, i) : domain_is_dying(d) ? NULL : vcpu_create(d, i);
        spin_unlock(&d->life_lock);
        if (!t) {
            return -ENOMEM;
        }
        if (i + 1 < d->max_vcpus && hcall_preempt_check()) {
            return HC_AGAIN;
        }
    }
    return 0;
}

int64_t domctl_setdomainhandle(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    (void)v;
    spin_lock(&d->life_lock);
    memcpy(d->handle, op->u.setdomainhandle.handle, sizeof(d->handle));
    spin_unlock(&d->life_lock);
    return 0;
}

/* Seconds by which the domain's wall clock differs from ours. 0. */
int64_t domctl_settimeoffset(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    (void)v;
    d->time_offset = op->u.settimeoffset.time_offset_seconds;
    systime_wallclock_update(d);
    return 0;
}
