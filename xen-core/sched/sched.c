/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: weighted virtual time.
 *
 * A vcpu's virtual time grows by the time it runs, divided by its weight; the one with the least
 * runs next.  A vcpu that slept starts a little behind the others (LAG), so it runs at once and
 * keeps the cpu for a moment: that is the boost of a wake-up, and it cannot be saved up.  Each cpu
 * has a queue; a cpu without work takes from others, and at the end of a slice a cpu gives its
 * first waiter to one whose running vcpu is far ahead, so that shares hold across cpus. There is no
 * periodic tick: a slice is timed only while somebody waits for its end, or a cap does.
 *
 * A vcpu that is loaded (on_cpu) is in no queue.  What another cpu wants of it meanwhile is settled
 * in sched_switched(). v->cpu says whose lock protects v; it changes only under that lock, and only
 * while v is neither loaded nor queued.
 */
#include "sched/sched.h"

#include "port/cpu.h"
#include "port/time.h"
#include "port/vcpu.h"

#include "abi/errno.h"
#include "abi/vcpu.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/panic.h"
#include "domain/domain.h"
#include "sched/runq.h"

#define MS    UINT64_C(1000000)
#define SLICE (10 * MS)
#define LAG   (10 * MS) /* how far behind the others a sleeper may start, weighted ns */
#define GRANULARITY \
    (1 * MS) /* a waiter this much behind preempts before the slice's end, weighted ns */
#define AHEAD       (100 * MS) /* how far ahead a newcomer from another cpu may start, own weight */
#define CAP_PERIOD  (50 * MS)
#define CAP_MIN_RUN (MS / 10)

static struct runq runqs[CONFIG_MAX_CPUS];
static struct cpumask idle_cpus;

/* The parameters may be changed by a control call at any time. */
static uint32_t weight_of(const struct domain *d)
{
    uint32_t weight = __atomic_load_n(&d->weight, __ATOMIC_RELAXED);

    return weight != 0 ? weight : 1;
}

static uint32_t cap_of(const struct domain *d)
{
    return __atomic_load_n(&d->cap, __ATOMIC_RELAXED);
}

static uint64_t weighted(const struct vcpu *v, uint64_t ns)
{
    return ns * SCHED_WEIGHT_DEFAULT / weight_of(v->d);
}

static bool allowed(const struct vcpu *v, unsigned int cpu)
{
    return cpumask_test(&v->hard, cpu) && cpumask_test(&cpu_online_mask, cpu);
}

/* ns of cpu time per cap period. */
static uint64_t cap_budget(const struct domain *d)
{
    return CAP_PERIOD / 100 * cap_of(d);
}

static bool cap_spent(const struct domain *d)
{
    return cap_of(d) != 0 &&
           atomic_load_explicit(&d->cap_used, memory_order_relaxed) >= cap_budget(d);
}

/*
 * Marks v as waiting for its domain's next cap period, if the cap is spent.  The end of the period
 * first lowers cap_used and then clears the marks: looking again after marking, one of the two sees
 * the other.
 */
static bool cap_mark(struct vcpu *v)
{
    if (!cap_spent(v->d)) {
        return false;
    }
    atomic_fetch_or(&v->state, VS_CAPPED);
    atomic_thread_fence(memory_order_seq_cst);
    if (cap_spent(v->d)) {
        return true;
    }
    atomic_fetch_and(&v->state, ~VS_CAPPED);
    return false;
}

/* Locks the queue that v belongs to now; what was done to v under its former lock is seen.
 * Interrupts off. */
static struct runq *lock_of(struct vcpu *v)
{
    for (;;) {
        uint32_t cpu = atomic_load_explicit(&v->cpu, memory_order_acquire);
        struct runq *q = &runqs[cpu];
        spin_lock(&q->lock);
        if (atomic_load_explicit(&v->cpu, memory_order_acquire) == cpu) {
            return q;
        }
        spin_unlock(&q->lock);
    }
}

/* How many wait: without the lock, a hint. */
static uint32_t waiting(const struct runq *q)
{
    return __atomic_load_n(&q->count, __ATOMIC_RELAXED);
}

static void lock_pair(struct runq *a, struct runq *b)
{
    spin_lock(a->cpu < b->cpu ? &a->lock : &b->lock);
    spin_lock(a->cpu < b->cpu ? &b->lock : &a->lock);
}

static void unlock_pair(struct runq *a, struct runq *b)
{
    spin_unlock(a->cpu < b->cpu ? &b->lock : &a->lock);
    spin_unlock(a->cpu < b->cpu ? &a->lock : &b->lock);
}

/* Books the time that v has run. locks: its queue's held; v is curr. */
static void charge(struct vcpu *v, uint64_t now)
{
    if (v->is_idle || now <= v->ran_from) {
        return;
    }
    uint64_t ns = now - v->ran_from;

    v->ran_from = now;
    uint64_t w = weighted(v, ns);
    v->vtime += w;
    v->boost -= w < v->boost ? w : v->boost;
    if (cap_of(v->d) != 0) {
        atomic_fetch_add_explicit(&v->d->cap_used, ns, memory_order_relaxed);
        if (!timer_is_set(&v->d->cap_timer)) {
            timer_set(&v->d->cap_timer, now + CAP_PERIOD);
        }
    }
}

/*
 * The queue as of now: one that runs alone is not charged before somebody asks.  Done before any
 * comparison with a newcomer, who would else be as far behind as the lone one has run.  locks: q's
 * held.
 */
static void refresh(struct runq *q, uint64_t now)
{
    charge(q->curr, now);
    runq_raise_floor(q);
}

/* The first idle cpu of hard and online (and soft), from v's own on. CONFIG_MAX_CPUS: none. */
static unsigned int find_idle(const struct vcpu *v, bool soft)
{
    unsigned int own = atomic_load_explicit(&v->cpu, memory_order_relaxed);

    if (cpumask_test(&idle_cpus, own) && allowed(v, own) &&
        (!soft || cpumask_test(&v->soft, own))) {
        return own;
    }
    cpumask_for_each(cpu, &idle_cpus)
    {
        if (allowed(v, cpu) && (!soft || cpumask_test(&v->soft, cpu))) {
            return cpu;
        }
    }
    return CONFIG_MAX_CPUS;
}

/* Where v should wait: an idle cpu, else where it was, else the shortest queue. */
static unsigned int pick_cpu(const struct vcpu *v)
{
    unsigned int own = atomic_load_explicit(&v->cpu, memory_order_relaxed);
    unsigned int cpu = CONFIG_MAX_CPUS;
    uint32_t least = UINT32_MAX;

    if (!cpumask_empty(&idle_cpus)) {
        cpu = find_idle(v, true);
        cpu = cpu < CONFIG_MAX_CPUS ? cpu : find_idle(v, false);
    }
    if (cpu < CONFIG_MAX_CPUS) {
        return cpu;
    }
    if (allowed(v, own)) {
        return own;
    }
    cpu = own;
    cpumask_for_each(other, &cpu_online_mask)
    {
        if (allowed(v, other) && waiting(&runqs[other]) < least) {
            least = waiting(&runqs[other]);
            cpu = other;
        }
    }
    return cpu;
}

/*
 * v has slept.  What it did not use meanwhile is lost but for LAG.  If it has had no more than the
 * others here (less than the middle between the one furthest behind and the one furthest ahead), it
 * goes first for a moment.
 */
static void wake_up(const struct runq *q, struct vcpu *v)
{
    uint64_t far = q->floor;

    if (v->vtime + LAG < q->floor) {
        v->vtime = q->floor - LAG;
    }
    if (q->tail != NULL && runq_key(q->tail) > far) {
        far = runq_key(q->tail);
    }
    if (q->curr != q->idle && runq_key(q->curr) > far) {
        far = runq_key(q->curr);
    }
    v->boost = v->vtime <= q->floor + (far - q->floor) / 2 ? LAG : 0;
}

/* A newcomer's virtual time counts for little on a cpu that has run at another pace. locks: q's
 * held. */
static void adopt(const struct runq *q, struct vcpu *v)
{
    uint64_t most = q->floor + weighted(v, AHEAD);

    if (v->vtime > most) {
        v->vtime = most;
    } else if (v->vtime + AHEAD < q->floor) {
        v->vtime = q->floor - AHEAD;
    }
}

/*
 * Puts v, which is not loaded, into q and has the cpu choose again if that may change anything.
 * locks: q's held, and v's former one if it comes from another.
 */
static void enqueue(struct runq *q, struct vcpu *v, uint64_t now)
{
    refresh(q, now);
    if (v->runstate != RUNSTATE_runnable) {
        vcpu_runstate_change(v, RUNSTATE_runnable, now);
        wake_up(q, v);
    } else {
        adopt(q, v);
    }
    runq_insert(q, v);
    if (q->curr == q->idle || runq_key(v) + GRANULARITY < runq_key(q->curr) ||
        !timer_is_set(&q->slice)) {
        port_cpu_raise(q->cpu, CW_SCHED);
    }
}

static bool placeable(const struct vcpu *v)
{
    return !v->queued && atomic_load(&v->on_cpu) == 0 && vcpu_runnable(v);
}

/* Queues v if it is runnable, not loaded and not queued yet. Interrupts off. */
static void place(struct vcpu *v)
{
    struct runq *q = lock_of(v);

    if (placeable(v)) {
        unsigned int cpu = pick_cpu(v);
        if (cpu != q->cpu) {
            atomic_store_explicit(&v->cpu, cpu, memory_order_release);
            spin_unlock(&q->lock);
            q = lock_of(v); /* where it is now, which others may have changed again */
        }
        if (placeable(v)) {
            enqueue(q, v, port_time_now());
        }
    }
    spin_unlock(&q->lock);
}

void sched_wake(struct vcpu *v)
{
    unsigned long flags = port_irq_save();

    place(v);
    port_irq_restore(flags);
}

void sched_sleep(struct vcpu *v)
{
    unsigned long flags = port_irq_save();
    struct runq *q = lock_of(v);

    if (v->queued && !vcpu_runnable(v)) {
        runq_remove(q, v);
        vcpu_runstate_change(
            v, (atomic_load(&v->state) & VS_BLOCKED) != 0 ? RUNSTATE_blocked : RUNSTATE_offline,
            port_time_now());
    } else if (atomic_load(&v->on_cpu) != 0) {
        port_cpu_raise(q->cpu, CW_SCHED);
    }
    spin_unlock(&q->lock);
    port_irq_restore(flags);
}

/* context: interrupts on, not v itself. */
void sched_wait_off_cpu(struct vcpu *v)
{
    while (atomic_load_explicit(&v->on_cpu, memory_order_acquire) != 0 ||
           atomic_load_explicit(&v->leaving, memory_order_acquire) != 0) {
        port_cpu_relax();
    }
}

void sched_yield(struct vcpu *v)
{
    struct runq *q = &runqs[port_cpu_id()];

    if (waiting(q) == 0) {
        return;
    }
    unsigned long flags = spin_lock_irqsave(&q->lock);
    uint64_t now = port_time_now();

    charge(v, now);
    v->boost = 0;
    if (q->head != NULL && v->vtime < runq_key(q->head)) {
        v->vtime = runq_key(q->head);
    }
    q->slice_end = now;
    port_cpu_raise(q->cpu, CW_SCHED);
    spin_unlock_irqrestore(&q->lock, flags);
}

/* Takes one vcpu that may run on q's cpu from the queue of `from`. Interrupts off, no lock held. */
static bool pull_from(struct runq *q, struct runq *from)
{
    bool found = false;

    lock_pair(q, from);
    for (struct vcpu *v = from->head; v != NULL; v = v->rq_next) {
        if (!allowed(v, q->cpu)) {
            continue;
        }
        runq_remove(from, v);
        atomic_store_explicit(&v->cpu, q->cpu, memory_order_release);
        adopt(q, v);
        runq_insert(q, v);
        found = true;
        break;
    }
    unlock_pair(q, from);
    return found;
}

static void pull(struct runq *q)
{
    cpumask_for_each(cpu, &cpu_online_mask)
    {
        if (cpu != q->cpu && waiting(&runqs[cpu]) != 0 && pull_from(q, &runqs[cpu])) {
            return;
        }
    }
}

/* How far what runs on cpu has come, by what it has published; 0 if it is idle. */
static uint64_t published_vtime(unsigned int cpu, uint64_t now)
{
    const struct runq *q = &runqs[cpu];
    uint32_t weight = atomic_load_explicit(&q->curr_weight, memory_order_relaxed);
    uint64_t since = atomic_load_explicit(&q->curr_since, memory_order_relaxed);

    if (weight == 0) {
        return 0;
    }
    return atomic_load_explicit(&q->curr_vtime, memory_order_relaxed) +
           (now > since ? (now - since) * SCHED_WEIGHT_DEFAULT / weight : 0);
}

/* Gives q's first waiter to a cpu whose running vcpu is far ahead of it. Interrupts off, no lock
 * held. */
static void push(struct runq *q, uint64_t now)
{
    struct runq *to = NULL;
    uint64_t most;

    spin_lock(&q->lock);
    const struct vcpu *v = q->head;
    most = v != NULL ? runq_key(v) + 2 * SLICE : UINT64_MAX;
    if (v != NULL) {
        cpumask_for_each(cpu, &cpu_online_mask)
        {
            uint64_t there = published_vtime(cpu, now);
            if (cpu != q->cpu && there > most && allowed(v, cpu)) {
                most = there;
                to = &runqs[cpu];
            }
        }
    }
    spin_unlock(&q->lock);
    if (to == NULL) {
        return;
    }

    lock_pair(q, to);
    struct vcpu *first = q->head;
    if (first != NULL && first == v && allowed(first, to->cpu)) {
        runq_remove(q, first);
        atomic_store_explicit(&first->cpu, to->cpu, memory_order_release);
        enqueue(to, first, now);
    }
    unlock_pair(q, to);
}

/* The waiter that would run next; those whose domain has used up its cap leave the queue. locks:
 * q's held. */
static struct vcpu *first_waiter(struct runq *q)
{
    struct vcpu *v = q->head;

    while (v != NULL && cap_mark(v)) {
        runq_remove(q, v);
        v = q->head;
    }
    return v;
}

/* Who runs next here: `prev` as long as it may, is allowed here, and is not behind its turn. locks:
 * q's held. */
static struct vcpu *choose(struct runq *q, struct vcpu *prev, uint64_t now)
{
    struct vcpu *v = first_waiter(q);
    bool stay = !prev->is_idle && !cap_mark(prev) && vcpu_runnable(prev) && allowed(prev, q->cpu);

    if (!stay) {
        return v != NULL ? v : q->idle;
    }
    if (v == NULL) {
        return prev;
    }
    if (now >= q->slice_end) {
        return runq_key(v) <= runq_key(prev) ? v : prev;
    }
    return runq_key(v) + GRANULARITY < runq_key(prev) ? v : prev;
}

/* Times the end of next's slice if anybody waits for it, or its cap would be passed. locks: q's
 * held. */
static void arm_slice(struct runq *q, const struct vcpu *next, bool waiters, uint64_t now)
{
    uint64_t end = UINT64_MAX;

    if (!next->is_idle) {
        if (waiters) {
            end = q->slice_end;
        }
        if (cap_of(next->d) != 0) {
            uint64_t used = atomic_load_explicit(&next->d->cap_used, memory_order_relaxed);
            uint64_t budget = cap_budget(next->d);
            uint64_t left = used < budget ? budget - used : 0;
            left = left > CAP_MIN_RUN ? left : CAP_MIN_RUN;
            end = now + left < end ? now + left : end;
        }
    }
    if (end != UINT64_MAX) {
        if (!timer_is_set(&q->slice) || q->slice.expires != end) {
            timer_set(&q->slice, end);
        }
    } else if (timer_is_set(&q->slice)) {
        timer_stop(&q->slice);
    }
}

/* What prev is while it does not run. */
static uint32_t rest_state(const struct vcpu *prev)
{
    uint32_t state = atomic_load(&prev->state);

    if (prev->is_idle || vcpu_runnable(prev) || (state & VS_CAPPED) != 0) {
        return RUNSTATE_runnable;
    }
    return (state & VS_BLOCKED) != 0 ? RUNSTATE_blocked : RUNSTATE_offline;
}

static void publish(struct runq *q, const struct vcpu *next, uint64_t now)
{
    atomic_store_explicit(&q->curr_vtime, runq_key(next), memory_order_relaxed);
    atomic_store_explicit(&q->curr_since, now, memory_order_relaxed);
    atomic_store_explicit(&q->curr_weight, next->is_idle ? 0 : weight_of(next->d),
                          memory_order_relaxed);
    if (next->is_idle) {
        cpumask_set(&idle_cpus, q->cpu);
    } else if (cpumask_test(&idle_cpus, q->cpu)) {
        cpumask_clear(&idle_cpus, q->cpu);
    }
}

/* Makes next the one that runs. locks: q's held. */
static void take_over(struct runq *q, struct vcpu *prev, struct vcpu *next, uint64_t now)
{
    if (next->queued) {
        runq_remove(q, next);
    }
    vcpu_runstate_change(prev, rest_state(prev), now);
    vcpu_runstate_change(next, RUNSTATE_running, now);
    next->ran_from = now;
    atomic_store(&next->on_cpu, 1);
    q->curr = next;
    q->slice_end = now + SLICE;
}

/* context: base of the stack, no lock held. On hardware it does not return if another vcpu runs
 * next. */
void sched_run(void)
{
    unsigned long flags = port_irq_save();
    struct runq *q = &runqs[port_cpu_id()];
    struct vcpu *prev = q->curr;

    if (waiting(q) == 0 && (prev->is_idle || !vcpu_runnable(prev))) {
        pull(q);
    }

    uint64_t now = port_time_now();
    bool slice_over = now >= q->slice_end;
    if (slice_over && waiting(q) != 0) {
        push(q, now);
    }
    spin_lock(&q->lock);
    charge(prev, now);
    struct vcpu *next = choose(q, prev, now);
    if (next != prev) {
        take_over(q, prev, next, now);
    } else if (slice_over) {
        q->slice_end = now + SLICE;
    }
    runq_raise_floor(q);
    bool waiters = q->count != 0 || (next != prev && !prev->is_idle && vcpu_runnable(prev));
    arm_slice(q, next, waiters, now);
    publish(q, next, now);
    spin_unlock(&q->lock);

    if (next != prev) {
        count(CNT_SWITCH, 1);
        port_vcpu_switch(prev, next);
    }
    port_irq_restore(flags);
}

/* From port_vcpu_switch(): prev's state is saved. Interrupts off. */
void sched_switched(struct vcpu *prev)
{
    if (prev->is_idle) {
        atomic_store_explicit(&prev->on_cpu, 0, memory_order_seq_cst);
        return;
    }
    atomic_fetch_add_explicit(&prev->leaving, 1, memory_order_relaxed);
    atomic_store_explicit(&prev->on_cpu, 0, memory_order_seq_cst);
    place(prev);
    /* From now on it may be gone: who ends it has waited for this. */
    atomic_fetch_sub_explicit(&prev->leaving, 1, memory_order_release);
}

_Noreturn void sched_idle(void)
{
    if (port_lock_check()) {
        lock_check_up();
    }
    for (;;) {
        port_irq_disable();
        uint32_t work = port_cpu_take_work();
        port_irq_enable();

        if ((work & CW_TIMER) != 0) {
            timer_run();
        }
        if ((work & CW_DEFERRED) != 0) {
            domain_deferred_run();
        }
        if ((work & CW_SCHED) != 0) {
            sched_run();
        }
        if (work == 0) {
            port_cpu_idle_wait();
        }
    }
}

/* fails: -EINVAL if no online cpu is in `hard`. locks: takes runq. */
int sched_set_affinity(struct vcpu *v, const struct cpumask *hard, const struct cpumask *soft)
{
    bool any = false;

    cpumask_for_each(cpu, hard)
    {
        any = any || cpumask_test(&cpu_online_mask, cpu);
    }
    if (!any) {
        return -EINVAL;
    }

    unsigned long flags = port_irq_save();
    struct runq *q = lock_of(v);
    cpumask_copy(&v->hard, hard);
    cpumask_copy(&v->soft, soft);
    bool move = !allowed(v, q->cpu);
    if (move && v->queued) {
        runq_remove(q, v);
    } else if (move && atomic_load(&v->on_cpu) != 0) {
        port_cpu_raise(q->cpu, CW_SCHED);
    }
    spin_unlock(&q->lock);
    if (move) {
        place(v);
    }
    port_irq_restore(flags);
    return 0;
}

static void uncap(struct domain *d)
{
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = vcpu_get(d, i);
        if (v != NULL && (atomic_fetch_and(&v->state, ~VS_CAPPED) & VS_CAPPED) != 0) {
            sched_wake(v);
        }
    }
}

/* End of a domain's cap period: what it used beyond its budget counts in the next one. Without a
 * cap nothing is carried over: nobody would end that period, and a later cap might be spent by it
 * already. */
static void cap_period_over(void *data)
{
    struct domain *d = data;
    const bool is_capped = cap_of(d) != 0;
    uint64_t budget = is_capped ? cap_budget(d) : UINT64_MAX;
    uint64_t used = atomic_load(&d->cap_used);
    uint64_t left;

    do {
        left = used > budget ? used - budget : 0;
    } while (!atomic_compare_exchange_weak(&d->cap_used, &used, left));
    if (left != 0) {
        timer_set(&d->cap_timer, port_time_now() + CAP_PERIOD);
    }
    if (!cap_spent(d)) {
        uncap(d);
    }
}

void sched_params_changed(struct domain *d)
{
    /* What a new cap finds used is given back at the end of a period, whoever runs meanwhile. */
    if (cap_of(d) != 0 && atomic_load(&d->cap_used) != 0 && !timer_is_set(&d->cap_timer)) {
        timer_set(&d->cap_timer, port_time_now() + CAP_PERIOD);
    }
    if (!cap_spent(d)) {
        uncap(d);
    }
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = vcpu_get(d, i);
        if (v != NULL && atomic_load(&v->on_cpu) != 0) {
            port_cpu_raise(atomic_load(&v->cpu), CW_SCHED); /* it may have a cap to be timed now */
        }
    }
}

void sched_domain_init(struct domain *d)
{
    timer_init(&d->cap_timer, cap_period_over, d, port_cpu_id());
}

void sched_domain_destroy(struct domain *d)
{
    timer_stop(&d->cap_timer);
}

void sched_vcpu_init(struct vcpu *v)
{
    static _Atomic uint32_t turn;
    unsigned int cpu = v->id;

    for (unsigned int i = 0; i < CONFIG_MAX_CPUS; i++) {
        cpumask_set(&v->hard, i);
        cpumask_set(&v->soft, i);
    }
    if (!v->is_idle) {
        cpu = cpumask_next(&cpu_online_mask, atomic_fetch_add(&turn, 1) % CONFIG_MAX_CPUS);
        if (cpu >= CONFIG_MAX_CPUS) {
            cpu = cpumask_next(&cpu_online_mask, 0);
        }
        v->vtime = runqs[cpu].floor;
    }
    atomic_init(&v->cpu, cpu);
}

void sched_vcpu_destroy(struct vcpu *v)
{
    bug_if(v->queued || atomic_load(&v->on_cpu) != 0);
}

static void slice_over(void *data)
{
    const struct runq *q = data;

    port_cpu_raise(q->cpu, CW_SCHED);
}

void sched_init(void)
{
    for (unsigned int cpu = 0; cpu < CONFIG_MAX_CPUS; cpu++) {
        runq_init(&runqs[cpu], cpu);
    }
}

/* The cpu runs its idle vcpu from now on; called by itself, interrupts off. */
void sched_cpu_init(unsigned int cpu)
{
    struct runq *q = &runqs[cpu];
    struct vcpu *idle = dom_idle->vcpu[cpu];

    timer_init(&q->slice, slice_over, q, cpu);
    q->idle = idle;
    q->curr = idle;
    atomic_store(&idle->on_cpu, 1);
    vcpu_runstate_change(idle, RUNSTATE_running, port_time_now());
    cpumask_set(&idle_cpus, cpu);
}

uint64_t sched_idle_time(unsigned int cpu)
{
    struct vcpu_runstate_info info;

    if (cpu >= CONFIG_MAX_CPUS || runqs[cpu].idle == NULL) {
        return 0;
    }
    vcpu_runstate_get(runqs[cpu].idle, &info);
    return info.time[RUNSTATE_running];
}

void sched_audit(void)
{
    cpumask_for_each(cpu, &cpu_online_mask)
    {
        struct runq *q = &runqs[cpu];
        unsigned long flags = spin_lock_irqsave(&q->lock);
        runq_check(q);
        bug_if(q->curr == NULL || q->curr->on_cpu == 0);
        spin_unlock_irqrestore(&q->lock, flags);
    }
}
