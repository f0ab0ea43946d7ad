/* SPDX-License-Identifier: MIT */
/* vcpu_op: what a domain does to its vcpus. */
#include "hcall/hcall.h"

#include "port/copy.h"
#include "port/mmu.h"
#include "port/time.h"
#include "port/vcpu.h"

#include "abi/vcpu.h"
#include "domain/domain.h"
#include "evtchn/evtchn.h"
#include "lib/mem.h"
#include "mm/heap.h"
#include "sched/systime.h"

/* The vcpu named by the call's second argument; hc_vcpu_op() has made sure that there is one. */
static struct vcpu *target(struct vcpu *v, const struct hcall_args *a)
{
    return vcpu_get(v->d, (uint32_t)a->arg[1]);
}

/* fails: -EFAULT, -ENOMEM, -EEXIST (has one), -EINVAL (bad context, or no vcpu_info: ids from
 * XEN_LEGACY_MAX_VCPUS have none before one is registered), HC_AGAIN. locks: takes life. */
static int64_t vcpu_op_initialise(struct vcpu *v, void *arg, struct hcall_args *a)
{
    struct vcpu *t = target(v, a);
    uint64_t size = port_vcpu_context_size();
    unsigned int order = 0;

    (void)arg;
    while ((PAGE_SIZE << order) < size) {
        order++;
    }
    if (t->initialised) {
        return -EEXIST;
    }
    if (!vcpu_has_info(t)) {
        return -EINVAL;
    }
    void *ctx = heap_alloc(order, HEAP_ANY);
    if (ctx == NULL) {
        return -ENOMEM;
    }

    int64_t rc = -EFAULT;
    if (guest_read(ctx, gptr(a->arg[2]), size) == 0) {
        spin_lock(&v->d->life_lock);
        rc = t->initialised ? -EEXIST : port_vcpu_set_context(t, ctx);
        if (rc == 0) {
            t->initialised = true;
        }
        spin_unlock(&v->d->life_lock);
    }
    heap_free(ctx, order);
    return rc;
}

static int64_t vcpu_op_up(struct vcpu *v, void *arg, struct hcall_args *a)
{
    struct vcpu *t = target(v, a);

    (void)arg;
    if (!t->initialised) {
        return -EINVAL;
    }
    vcpu_up(t);
    return 0;
}

static int64_t vcpu_op_down(struct vcpu *v, void *arg, struct hcall_args *a)
{
    (void)arg;
    vcpu_down(target(v, a));
    return 0;
}

static int64_t vcpu_op_is_up(struct vcpu *v, void *arg, struct hcall_args *a)
{
    (void)arg;
    return (atomic_load(&target(v, a)->state) & VS_DOWN) == 0;
}

static int64_t vcpu_op_get_runstate_info(struct vcpu *v, void *arg, struct hcall_args *a)
{
    vcpu_runstate_get(target(v, a), arg);
    return 0;
}

/* Address 0 ends it. fails: -EFAULT if it cannot be written now. */
static int64_t vcpu_op_register_runstate_memory_area(struct vcpu *v, void *arg,
                                                     struct hcall_args *a)
{
    const struct vcpu_register_runstate_memory_area *r = arg;
    struct vcpu *t = target(v, a);
    struct vcpu_runstate_info info = { 0 };

    vcpu_runstate_get(t, &info);
    if (r->addr.h.va != 0 && guest_write(r->addr.h, &info, sizeof(info)) != 0) {
        return -EFAULT;
    }
    t->runstate_area = r->addr.h;
    return 0;
}

static int64_t vcpu_op_set_periodic_timer(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct vcpu_set_periodic_timer *r = arg;

    return systime_periodic_set(target(v, a), r->period_ns == 0 ? 1 : r->period_ns);
}

static int64_t vcpu_op_stop_periodic_timer(struct vcpu *v, void *arg, struct hcall_args *a)
{
    (void)arg;
    return systime_periodic_set(target(v, a), 0);
}

/* fails: -EINVAL for another vcpu's, -ETIME if asked for the future and it is past. */
static int64_t vcpu_op_set_singleshot_timer(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct vcpu_set_singleshot_timer *r = arg;

    if (target(v, a) != v) {
        return -EINVAL;
    }
    if ((r->flags & VCPU_SSHOTTMR_future) != 0 && r->timeout_abs_ns < port_time_now()) {
        return -ETIME;
    }
    systime_singleshot_set(v, r->timeout_abs_ns == 0 ? 1 : r->timeout_abs_ns);
    return 0;
}

static int64_t vcpu_op_stop_singleshot_timer(struct vcpu *v, void *arg, struct hcall_args *a)
{
    (void)arg;
    if (target(v, a) != v) {
        return -EINVAL;
    }
    systime_singleshot_set(v, 0);
    return 0;
}

/*
 * Moves a vcpu_info into a frame of the caller's choice, once.  Events that arrive in the old place
 * while it is copied are not lost: afterwards everything is marked pending. fails: -EINVAL (has
 * one, beyond the page, not its frame, runs now), -ENXIO (misaligned). locks: takes life.
 */
static int64_t vcpu_op_register_vcpu_info(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct vcpu_register_vcpu_info *r = arg;
    struct vcpu *t = target(v, a);
    int64_t rc = -EINVAL;

    if (r->offset % _Alignof(struct vcpu_info) != 0) {
        return -ENXIO;
    }
    if (r->offset > PAGE_SIZE - sizeof(struct vcpu_info)) {
        return -EINVAL;
    }
    struct frame *f = frame_of(MFN(r->mfn));
    if (f == NULL || frame_get_writable(f, v->d) != 0) {
        return -EINVAL;
    }

    spin_lock(&v->d->life_lock);
    if (t->info_frame == NULL && (t == v || (atomic_load(&t->state) & VS_DOWN) != 0)) {
        struct vcpu_info *info = (void *)((uint8_t *)port_frame_va(MFN(r->mfn)) + r->offset);
        if (vcpu_has_info(t)) {
            memcpy(info, t->info, sizeof(*info));
        } else {
            *info = (struct vcpu_info){ .evtchn_upcall_mask = 1 };
        }
        t->info_frame = f;
        __atomic_store_n(&t->info, info, __ATOMIC_SEQ_CST);
        f = NULL;
        rc = 0;
    }
    spin_unlock(&v->d->life_lock);

    if (f != NULL) {
        frame_put_writable(f);
    } else {
        evtchn_vcpu_info_moved(t);
    }
    return rc;
}

/* Address 0 ends it. fails: -EFAULT if it cannot be written now. */
static int64_t vcpu_op_register_time_memory_area(struct vcpu *v, void *arg, struct hcall_args *a)
{
    const struct vcpu_register_time_memory_area *r = arg;
    struct vcpu *t = target(v, a);

    if (r->addr.h.va != 0 && guest_write(r->addr.h, &t->info->time, sizeof(t->info->time)) != 0) {
        return -EFAULT;
    }
    t->time_area = r->addr.h;
    return 0;
}

/* A non-maskable interrupt, to the guest's handler of vector 2; one at a time is remembered. */
static int64_t vcpu_op_send_nmi(struct vcpu *v, void *arg, struct hcall_args *a)
{
    (void)arg;
    port_vcpu_nmi(target(v, a));
    return 0;
}

/* Where a vcpu runs may change at any time: there is no number to give. */
static int64_t vcpu_op_get_physid(struct vcpu *v, void *arg, struct hcall_args *a)
{
    (void)v;
    (void)arg;
    (void)a;
    return -EINVAL;
}

static const struct subop_row ops[] = {
    [VCPUOP_initialise] = { "initialise", vcpu_op_initialise, .who = WHO_ANY },
    [VCPUOP_up] = { "up", vcpu_op_up, .who = WHO_ANY },
    [VCPUOP_down] = { "down", vcpu_op_down, .who = WHO_ANY },
    [VCPUOP_is_up] = { "is_up", vcpu_op_is_up, .who = WHO_ANY },
    [VCPUOP_get_runstate_info] = { "get_runstate_info", vcpu_op_get_runstate_info,
                                   .out = sizeof(struct vcpu_runstate_info), .who = WHO_ANY },
    [VCPUOP_register_runstate_memory_area] = { "register_runstate_memory_area",
                                               vcpu_op_register_runstate_memory_area,
                                               .in = sizeof(
                                                   struct vcpu_register_runstate_memory_area),
                                               .who = WHO_ANY },
    [VCPUOP_set_periodic_timer] = { "set_periodic_timer", vcpu_op_set_periodic_timer,
                                    .in = sizeof(struct vcpu_set_periodic_timer), .who = WHO_ANY },
    [VCPUOP_stop_periodic_timer] = { "stop_periodic_timer", vcpu_op_stop_periodic_timer,
                                     .who = WHO_ANY },
    [VCPUOP_set_singleshot_timer] = { "set_singleshot_timer", vcpu_op_set_singleshot_timer,
                                      .in = sizeof(struct vcpu_set_singleshot_timer),
                                      .who = WHO_ANY },
    [VCPUOP_stop_singleshot_timer] = { "stop_singleshot_timer", vcpu_op_stop_singleshot_timer,
                                       .who = WHO_ANY },
    [VCPUOP_register_vcpu_info] = { "register_vcpu_info", vcpu_op_register_vcpu_info,
                                    .in = sizeof(struct vcpu_register_vcpu_info), .who = WHO_ANY },
    [VCPUOP_get_physid] = { "get_physid", vcpu_op_get_physid, .who = WHO_ANY },
    [VCPUOP_register_vcpu_time_memory_area] = { "register_vcpu_time_memory_area",
                                                vcpu_op_register_time_memory_area,
                                                .in = sizeof(struct vcpu_register_time_memory_area),
                                                .who = WHO_ANY },
    [VCPUOP_send_nmi] = { "send_nmi", vcpu_op_send_nmi, .who = WHO_ANY },
};

/*
 * vcpu_op(cmd, vcpu, argument).  A vcpu that is not there is answered before anything else: Linux
 * asks for 8192 of them. fails: -ENOENT, -ENOSYS, -EFAULT, or as above.
 */
int64_t hc_vcpu_op(struct vcpu *v, struct hcall_args *a)
{
    if (vcpu_get(v->d, (uint32_t)a->arg[1]) == NULL) {
        return -ENOENT;
    }
    return subop_dispatch(v, ops, sizeof(ops) / sizeof(ops[0]), (uint32_t)a->arg[0],
                          gptr(a->arg[2]), a);
}
