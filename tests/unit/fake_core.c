/* SPDX-License-Identifier: MIT */
/* See fake_core.h. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_core.h"

#include "base/console.h"
#include "base/log.h"
#include "base/panic.h"
#include "domain/priv.h"
#include "gnttab/gnttab.h"
#include "irq/rights.h"
#include "mm/heap.h"
#include "port/copy.h"
#include "port/cpu.h"
#include "port/ctl.h"
#include "port/mmu.h"
#include "port/time.h"
#include "abi/sysctl.h"
#include "port/vcpu.h"
#include "sched/sched.h"
#include "sched/systime.h"
#include "start/cmdline.h"

struct fake fake;
static struct frame frames[FAKE_FRAMES];
static struct host_cpu this_cpu;

struct frame *frame_table = frames;
uint64_t frame_limit = FAKE_FRAMES;
struct cpumask cpu_online_mask;
_Thread_local struct host_cpu *host_this_cpu = &this_cpu;
unsigned char *host_ram;
uint64_t host_ticks;
char cmdline_raw[2048] = "com1=115200";

int fake_setup(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof(fake));
    memset(frames, 0, sizeof(frames));
    for (unsigned int i = 1; i < FAKE_FRAMES; i++) {
        atomic_store(&frames[i].word, FW_RAM);
    }
    memset(fake.m2p, 0xff, sizeof(fake.m2p));
    cpumask_zero(&cpu_online_mask);
    cpumask_set(&cpu_online_mask, 0);
    cpumask_set(&cpu_online_mask, 1);
    fake.next_frame = 1024;
    for (unsigned int i = 0; i < FAKE_DOMAINS; i++) {
        struct domain *d = &fake.dom[i];

        d->id = (domid_t)i;
        d->max_vcpus = i == 0 ? 2 : i == 1 ? 1 : FAKE_VCPUS;
        d->vcpu = fake.vcpup[i];
        d->is_ctl = d->is_hw = i == 0;
        d->weight = 256;
        d->shared = &fake.shared[i];
        d->shared_frame = &frames[i + 1];
        d->ctl_pause_count = i != 0;
        atomic_store(&d->life, DL_ALIVE);
        atomic_store(&d->max_frames, 2048);
        memset(d->handle, (int)(0x40 + i), sizeof(d->handle));
        spin_init(&d->life_lock, LOCK_life);
        for (unsigned int k = 0; k < FAKE_VCPUS; k++) {
            fake.vcpu[i][k].d = d;
            fake.vcpu[i][k].id = k;
            cpumask_copy(&fake.vcpu[i][k].hard, &cpu_online_mask);
            cpumask_copy(&fake.vcpu[i][k].soft, &cpu_online_mask);
        }
    }
    fake.present[0] = fake.present[1] = true;
    fake.vcpup[0][0] = &fake.vcpu[0][0];
    fake.vcpup[0][1] = &fake.vcpu[0][1];
    fake.vcpup[1][0] = &fake.vcpu[1][0];
    return 0;
}

int fake_teardown(void **state)
{
    (void)state;
    return fake.locks || fake.refs || fake.heap_out || fake.pauses;
}

struct vcpu *fake_caller(unsigned int domid)
{
    return &fake.vcpu[domid][0];
}

uint64_t fake_put(size_t at, const void *data, size_t n)
{
    memcpy(fake.guest + at, data, n);
    return FAKE_GUEST_VA + at;
}

void *fake_at(uint64_t va)
{
    return fake.guest + (va - FAKE_GUEST_VA);
}

void fake_give(unsigned int domid, uint64_t first, uint64_t n)
{
    for (uint64_t i = first; i < first + n; i++) {
        frames[i].owner = &fake.dom[domid];
        atomic_store(&frames[i].word, FW_RAM | FW_REF);
        fake.dom[domid].owned_frames++;
    }
}

/* ---- port/copy.h ---- */

static size_t copy_room(gptr_t p, size_t n)
{
    if (fake.locks) {
        fail_msg("guest memory is touched with a lock held");
    }
    if (p.va < FAKE_GUEST_VA || p.va >= FAKE_GUEST_VA + FAKE_GUEST_SIZE) {
        return 0;
    }
    uint64_t room = FAKE_GUEST_VA + FAKE_GUEST_SIZE - p.va;

    return n < room ? n : room;
}

size_t guest_read(void *dst, gptr_t src, size_t n)
{
    size_t some = copy_room(src, n);

    if (some) {
        memcpy(dst, fake_at(src.va), some);
    }
    return n - some;
}

size_t guest_write(gptr_t dst, const void *src, size_t n)
{
    size_t some = copy_room(dst, n);

    if (some) {
        memcpy(fake_at(dst.va), src, some);
    }
    return n - some;
}

size_t guest_clear(gptr_t dst, size_t n)
{
    size_t some = copy_room(dst, n);

    if (some) {
        memset(fake_at(dst.va), 0, some);
    }
    return n - some;
}

/* ---- locks, cpus, time ---- */

void lock_check_take(const struct spinlock *l)
{
    (void)l;
    fake.locks++;
}

void lock_check_drop(const struct spinlock *l)
{
    (void)l;
    fake.locks--;
}

void lock_wait(struct spinlock *l, uint32_t ticket)
{
    (void)l;
    (void)ticket;
    fail_msg("a lock is taken twice");
}

void host_relax(void)
{
}

void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

bool port_cpu_work_pending(void)
{
    return fake.preempt_at && --fake.preempt_at == 0;
}

unsigned int port_cpu_count(void)
{
    return 2;
}

uint64_t port_time_now(void)
{
    return fake.now;
}

uint64_t port_ticks_khz(void)
{
    return 2600000;
}

/* ---- domains ---- */

struct domain *domain_get(domid_t id)
{
    if (id >= FAKE_DOMAINS || !fake.present[id]) {
        return NULL;
    }
    fake.refs++;
    return &fake.dom[id];
}

struct domain *domain_get_self_or(struct vcpu *v, domid_t id)
{
    return domain_get(id == DOMID_SELF ? v->d->id : id);
}

struct domain *domain_get_next(domid_t id)
{
    for (domid_t i = id; i < FAKE_DOMAINS; i++) {
        if (fake.present[i]) {
            return domain_get(i);
        }
    }
    return NULL;
}

void domain_put(struct domain *d)
{
    (void)d;
    fake.refs--;
}

int priv_check_target(const struct vcpu *v, const struct domain *target)
{
    return v->d == target || v->d->is_ctl ? 0 : -EPERM;
}

int hcall_check_who(const struct vcpu *v, uint8_t who)
{
    return who == WHO_ANY || v->d->is_ctl ? 0 : -EPERM;
}

int domain_create(domid_t *id, const struct domain_config *cfg, struct domain **out)
{
    fake.created = *cfg;
    fake.created_id = *id;
    *id = fake.dom[2].id;
    /* The domain itself may be gone by now: nobody may look. */
    *out = NULL;
    return fake.create_rc;
}

int64_t domain_kill(struct domain *d)
{
    (void)d;
    return fake.kill_rc;
}

void domain_pause(struct domain *d)
{
    (void)d;
    fake.pauses++;
    fake.paused_calls++;
}

void domain_unpause(struct domain *d)
{
    (void)d;
    fake.pauses--;
}

void domain_resume(struct domain *d)
{
    (void)d;
    fake.resumed++;
}

struct vcpu *vcpu_get(struct domain *d, uint64_t id)
{
    return id < d->max_vcpus ? d->vcpu[id] : NULL;
}

struct vcpu *vcpu_create(struct domain *d, uint32_t id)
{
    if (fake.heap_fail && --fake.heap_fail == 0) {
        return NULL;
    }
    return d->vcpu[id] = &fake.vcpu[d->id][id];
}

void vcpu_pause(struct vcpu *v)
{
    (void)v;
    fake.pauses++;
    fake.paused_calls++;
}

void vcpu_unpause(struct vcpu *v)
{
    (void)v;
    fake.pauses--;
}

void vcpu_up(struct vcpu *v)
{
    (void)v;
    fake.up++;
}

void vcpu_reset(struct vcpu *v)
{
    v->initialised = false;
}

int64_t port_vcpu_relinquish(struct vcpu *v)
{
    if (!fake.pauses || v->initialised) {
        fail_msg("a vcpu that may run gives up its tables");
    }
    return fake.context_rc;
}

bool vcpu_has_info(const struct vcpu *v)
{
    (void)v;
    return true;
}

void vcpu_kick(struct vcpu *v)
{
    (void)v;
    fake.kicked++;
}

int64_t port_vcpu_set_context(struct vcpu *v, const void *ctx)
{
    (void)v;
    (void)ctx;
    if (!fake.pauses) {
        fail_msg("a context is set while the vcpu may run");
    }
    return fake.context_rc;
}

void port_vcpu_get_context(struct vcpu *v, void *ctx)
{
    (void)v;
    if (!fake.pauses) {
        fail_msg("a context is read while the vcpu may run");
    }
    memset(ctx, 0x5a, sizeof(struct vcpu_guest_context));
}

/* ---- frames and heap ---- */

void frame_put(struct frame *f)
{
    uint64_t w = atomic_fetch_sub(&f->word, FW_REF) - FW_REF;

    if ((w & FW_REFS_MASK) == 0) {
        f->owner = NULL;
    }
}

int frame_release(struct frame *f, struct domain *d)
{
    uint64_t w = frame_word(f);

    if (f->owner != d || w & FW_RELEASED) {
        return -EINVAL;
    }
    if (w & FW_PINNED) {
        return -EBUSY;
    }
    atomic_fetch_or(&f->word, FW_RELEASED);
    d->owned_frames--;
    frame_put(f);
    return 0;
}

int frame_take(struct frame *f, struct domain *d)
{
    if (f->owner != d || frame_word(f) != (FW_RAM | FW_REF)) {
        return -EINVAL;
    }
    atomic_store(&f->word, FW_RAM | FW_RELEASED);
    return 0;
}

void frame_untake(struct frame *f, struct domain *d)
{
    (void)d;
    assert_int_equal(frame_word(f), FW_RAM | FW_RELEASED);
    atomic_store(&f->word, FW_RAM | FW_REF);
}

void frame_free_taken(struct frame *f, struct domain *d)
{
    (void)d;
    assert_int_equal(frame_word(f), FW_RAM | FW_RELEASED);
    atomic_store(&f->word, FW_RAM);
    f->owner = NULL;
}

static void fake_name(uint64_t first, uint64_t n, uint64_t gpfn)
{
    for (uint64_t i = 0; i < n; i++) {
        port_m2p_set(MFN(first + i), gpfn == M2P_INVALID ? gpfn : gpfn + i);
    }
}

struct frame *heap_alloc_domain(struct domain *d, unsigned int order, unsigned int flags,
                                uint64_t gpfn)
{
    uint64_t n = UINT64_C(1) << order;
    uint64_t first = (fake.next_frame + n - 1) & ~(n - 1);

    fake.heap_flags = flags;
    fake.heap_owned = d->owned_frames;
    if ((fake.heap_fail && --fake.heap_fail == 0) || first + n > FAKE_FRAMES ||
        d->owned_frames + n > atomic_load(&d->max_frames)) {
        return NULL;
    }
    fake.next_frame = first + n;
    fake_give(d->id, first, n);
    fake_name(first, n, gpfn);
    return &frames[first];
}

struct frame *heap_reserve(unsigned int order, unsigned int flags)
{
    uint64_t n = UINT64_C(1) << order;
    uint64_t first = (fake.next_frame + n - 1) & ~(n - 1);

    fake.heap_flags = flags;
    fake.heap_owned = fake.dom[1].owned_frames;
    if ((fake.heap_fail && --fake.heap_fail == 0) || first + n > FAKE_FRAMES) {
        return NULL;
    }
    fake.next_frame = first + n;
    fake.heap_reserved++;
    for (uint64_t i = first; i < first + n; i++) {
        assert_null(frames[i].owner);
        atomic_store(&frames[i].word, FW_HYPERVISOR);
    }
    return &frames[first];
}

void heap_own(struct frame *f, unsigned int order, struct domain *d, uint64_t gpfn)
{
    uint64_t n = UINT64_C(1) << order;

    assert_int_equal(frame_word(f), FW_HYPERVISOR);
    fake.heap_reserved--;
    fake_give(d->id, (uint64_t)(f - frames), n);
    fake_name((uint64_t)(f - frames), n, gpfn);
    d->owned_frames -= n;
}

void heap_unreserve(struct frame *f, unsigned int order)
{
    fake.heap_reserved--;
    for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
        assert_int_equal(frame_word(f + i), FW_HYPERVISOR);
        atomic_store(&f[i].word, FW_RAM);
    }
}

void *heap_alloc(unsigned int order, unsigned int flags)
{
    (void)flags;
    fake.heap_out++;
    return calloc(1, PAGE_SIZE << order);
}

void heap_free(void *va, unsigned int order)
{
    (void)order;
    fake.heap_out--;
    free(va);
}

int heap_claim(struct domain *d, uint64_t n)
{
    (void)d;
    fake.claim = (uint32_t)n;
    return n > 1000 ? -ENOMEM : 0;
}

uint64_t heap_claimed_frames(void)
{
    return 7;
}

uint64_t heap_free_frames(void)
{
    return FAKE_FRAMES - fake.next_frame;
}

int frame_retype_writable(struct frame *f, const struct domain *owner)
{
    (void)f;
    (void)owner;
    return -EINVAL;
}

void frame_put_writable_last(struct frame *f)
{
    (void)f;
}

void port_m2p_set(mfn_t mfn, uint64_t pfn)
{
    fake.m2p[mfn.n] = pfn;
}

/* ---- the rest ---- */

int gnttab_table_frame(struct domain *d, uint32_t idx, mfn_t *mfn)
{
    (void)d;
    *mfn = MFN(3000 + idx);
    return idx < gnttab_max_frames(d) ? 0 : -EINVAL;
}

uint32_t gnttab_max_frames(struct domain *d)
{
    (void)d;
    return 64;
}

int sched_set_affinity(struct vcpu *v, const struct cpumask *hard, const struct cpumask *soft)
{
    (void)v;
    if (cpumask_empty(hard)) {
        return -EINVAL;
    }
    cpumask_copy(&fake.hard, hard);
    cpumask_copy(&fake.soft, soft);
    return 0;
}

void sched_params_changed(struct domain *d)
{
    (void)d;
    fake.params_changed++;
}

uint64_t sched_idle_time(unsigned int cpu)
{
    return 1000 + cpu;
}

void systime_wallclock_update(struct domain *d)
{
    (void)d;
    fake.wallclock++;
}

void systime_singleshot_set(struct vcpu *v, uint64_t when)
{
    (void)v;
    fake.timer_set = when;
}

void log_raw(const char *text, size_t len)
{
    memcpy(fake.log + fake.log_len, text, len);
    fake.log_len += len;
}

size_t log_read(char *dst, size_t size, uint32_t *index, bool incremental, bool clear)
{
    uint32_t from = incremental ? *index : 0;
    size_t n = fake.log_len > from ? fake.log_len - from : 0;

    n = n < size ? n : size;
    memcpy(dst, fake.log + from, n);
    *index = from + (uint32_t)n;
    if (clear) {
        fake.log_len = 0;
    }
    return n;
}

size_t console_read(char *to, size_t size)
{
    size_t n = fake.input ? strlen(fake.input) : 0;

    n = n < size ? n : size;
    memcpy(to, fake.input ? fake.input : "", n);
    fake.input = fake.input ? fake.input + n : NULL;
    return n;
}

void console_key(char key)
{
    fake.keys[fake.key_count++] = key;
}

static int rights_change(enum rights_kind k, uint64_t first, uint64_t last, int allowed)
{
    fake.rights_kind = k;
    fake.rights_first = (uint32_t)first;
    fake.rights_last = (uint32_t)last;
    fake.rights_allowed = allowed;
    return 0;
}

int rights_allow(struct domain *d, enum rights_kind k, uint64_t first, uint64_t last)
{
    (void)d;
    return rights_change(k, first, last, 1);
}

int rights_deny(struct domain *d, enum rights_kind k, uint64_t first, uint64_t last)
{
    (void)d;
    return rights_change(k, first, last, 0);
}

bool rights_check(struct domain *d, enum rights_kind k, uint64_t first, uint64_t last)
{
    (void)d;
    (void)k;
    (void)first;
    (void)last;
    return !fake.rights_refuse;
}
