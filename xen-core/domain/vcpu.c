/* SPDX-License-Identifier: MIT */
/* Virtual cpus: creation, up and down, pausing, run state, and the way to make one look at its
 * events. */
#include "domain/vcpu.h"

#include "port/copy.h"
#include "port/cpu.h"
#include "port/time.h"
#include "port/vcpu.h"

#include "abi/sched.h"
#include "base/nospec.h"
#include "base/panic.h"
#include "domain/domain.h"
#include "mm/pool.h"
#include "sched/sched.h"
#include "sched/systime.h"

static struct pool vcpu_pool = POOL("vcpu", struct vcpu);

/* What vcpus without a place of their own point at, of whatever domain: none of them may run. */
static struct vcpu_info dummy_info = { .evtchn_upcall_mask = 1 };

bool vcpu_has_info(const struct vcpu *v)
{
    return v->info != &dummy_info;
}

struct vcpu *vcpu_get(struct domain *d, uint64_t id)
{
    if (id >= d->max_vcpus) {
        return NULL;
    }
    return __atomic_load_n(&d->vcpu[index_nospec(id, d->max_vcpus)], __ATOMIC_ACQUIRE);
}

static void info_default(struct vcpu *v)
{
    v->info = &dummy_info;
    if (v->d->shared != NULL && v->id < XEN_LEGACY_MAX_VCPUS) {
        v->info = &v->d->shared->vcpu_info[v->id];
        v->info->evtchn_upcall_mask = 1;
    }
}

/* Down, not initialised, of d. NULL: no memory. locks: life held (or a domain nobody knows yet). */
struct vcpu *vcpu_create(struct domain *d, uint32_t id)
{
    bug_if(id >= d->max_vcpus || d->vcpu[id] != NULL);
    struct vcpu *v = pool_alloc(&vcpu_pool);
    if (v == NULL) {
        return NULL;
    }
    v->d = d;
    v->id = id;
    v->is_idle = d == dom_idle;
    atomic_init(&v->state, v->is_idle ? 0 : VS_DOWN);
    info_default(v);
    v->runstate = v->is_idle ? RUNSTATE_runnable : RUNSTATE_offline;
    v->runstate_entry = v->is_idle ? 0 : port_time_now(); /* idle ones: no clock yet */
    if (!v->is_idle && port_vcpu_init(v) != 0) {
        port_vcpu_destroy(v);
        pool_free(&vcpu_pool, v);
        return NULL;
    }
    systime_vcpu_init(v);
    sched_vcpu_init(v);
    __atomic_store_n(&d->vcpu[id], v, __ATOMIC_RELEASE);
    return v;
}

/* v has never run or will never run again, and nobody can look it up. */
void vcpu_destroy(struct vcpu *v)
{
    vcpu_areas_drop(v);
    sched_vcpu_destroy(v);
    port_vcpu_destroy(v);
    pool_free(&vcpu_pool, v);
}

void vcpu_areas_drop(struct vcpu *v)
{
    struct frame *f = v->info_frame;

    systime_vcpu_destroy(v); /* a timer that fires would write into the place that goes */
    v->runstate_area.va = 0;
    v->time_area.va = 0;
    v->info = &dummy_info;
    v->info_frame = NULL;
    if (f != NULL) {
        frame_put_writable(f);
    }
}

void vcpu_up(struct vcpu *v)
{
    v->initialised = true;
    if ((atomic_fetch_and(&v->state, ~VS_DOWN) & VS_DOWN) != 0) {
        sched_wake(v);
    }
}

void vcpu_down(struct vcpu *v)
{
    struct domain *d = v->d;
    bool any_up = false;

    if ((atomic_fetch_or(&v->state, VS_DOWN) & VS_DOWN) != 0) {
        return;
    }
    sched_sleep(v);
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        const struct vcpu *o = vcpu_get(d, i);
        any_up = any_up || (o != NULL && (atomic_load(&o->state) & VS_DOWN) == 0);
    }
    if (!any_up) {
        domain_shutdown(d, SHUTDOWN_poweroff);
    }
}

void vcpu_reset(struct vcpu *v)
{
    atomic_fetch_or(&v->state, VS_DOWN);
    v->initialised = false;
}

void vcpu_pause_nosync(struct vcpu *v)
{
    bug_if(atomic_fetch_add(&v->pause_count, 1) == UINT32_MAX);
    sched_sleep(v);
}

void vcpu_pause(struct vcpu *v)
{
    vcpu_pause_nosync(v);
    if (v != port_current()) {
        sched_wait_off_cpu(v);
    }
}

void vcpu_unpause(struct vcpu *v)
{
    uint32_t old = atomic_fetch_sub(&v->pause_count, 1);

    bug_if(old == 0);
    if (old == 1) {
        sched_wake(v);
    }
}

bool vcpu_runnable(const struct vcpu *v)
{
    return atomic_load(&v->state) == 0 && atomic_load(&v->pause_count) == 0 &&
           atomic_load(&v->d->pause_count) == 0;
}

/* locks: runq of its cpu held. */
void vcpu_runstate_change(struct vcpu *v, uint32_t state, uint64_t now)
{
    if (now > v->runstate_entry) {
        v->runstate_time[v->runstate] += now - v->runstate_entry;
        v->runstate_entry = now;
    }
    v->runstate = state;
}

/* Read without the lock: a reader on another cpu may see a change half made, which the ABI allows
 * it to. */
void vcpu_runstate_get(struct vcpu *v, struct vcpu_runstate_info *out)
{
    uint64_t now = port_time_now();

    /* A vcpu that is being taken down counts as offline from then on. */
    out->state = (atomic_load(&v->state) & VS_DOWN) != 0 ? RUNSTATE_offline : (int32_t)v->runstate;
    out->state_entry_time = v->runstate_entry;
    for (unsigned int i = 0; i < 4; i++) {
        out->time[i] = v->runstate_time[i];
    }
    if (now > out->state_entry_time) {
        out->time[out->state] += now - out->state_entry_time;
    }
}

/*
 * The run state as the guest reads it: if it has asked for that, the entry time carries a mark
 * while the rest is being written. An area that is not mapped now is left alone; it is written
 * again at the next switch.
 */
static void runstate_area_update(struct vcpu *v)
{
    struct vcpu_runstate_info info = {
        .state = (int32_t)v->runstate,
        .state_entry_time = v->runstate_entry,
        .time = { v->runstate_time[0], v->runstate_time[1], v->runstate_time[2],
                  v->runstate_time[3] },
    };
    gptr_t entry =
        gptr_at(v->runstate_area, 1, offsetof(struct vcpu_runstate_info, state_entry_time));

    if ((v->d->vm_assist & (1u << VMASST_TYPE_runstate_update_flag)) == 0) {
        (void)!guest_write(v->runstate_area, &info, sizeof(info));
        return;
    }
    info.state_entry_time |= XEN_RUNSTATE_UPDATE;
    if (guest_write(entry, &info.state_entry_time, sizeof(info.state_entry_time)) != 0) {
        return;
    }
    atomic_thread_fence(memory_order_release);
    if (guest_write(v->runstate_area, &info, sizeof(info)) != 0) {
        return;
    }
    atomic_thread_fence(memory_order_release);
    info.state_entry_time &= ~XEN_RUNSTATE_UPDATE;
    (void)!guest_write(entry, &info.state_entry_time, sizeof(info.state_entry_time));
}

/* context: v loaded on this cpu, no lock held. The clock's copy is systime_update()'s. */
void vcpu_areas_update(struct vcpu *v)
{
    if (v->runstate_area.va != 0) {
        runstate_area_update(v);
    }
}

/* Any context.  The caller has made the event pending with a full barrier, so either v sees it or
 * is seen asleep here. */
void vcpu_kick(struct vcpu *v)
{
    if ((atomic_load(&v->state) & VS_BLOCKED) != 0) {
        atomic_fetch_and(&v->state, ~(VS_BLOCKED | VS_POLLING));
        sched_wake(v);
        return;
    }
    if (v != port_current() && atomic_load(&v->on_cpu) != 0) {
        port_cpu_raise(atomic_load_explicit(&v->cpu, memory_order_relaxed), CW_UPCALL);
    }
}
