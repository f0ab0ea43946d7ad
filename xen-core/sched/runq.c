/* SPDX-License-Identifier: MIT */
/* Run queues: one per cpu, a list sorted by virtual time. */
#include "sched/runq.h"

#include "base/panic.h"

void runq_init(struct runq *q, unsigned int cpu)
{
    spin_init(&q->lock, LOCK_runq);
    q->cpu = cpu;
    q->floor = RUNQ_FIRST_FLOOR;
}

/* A preempted vcpu belongs near the tail, a woken one near the head: the head is tried first, then
 * back from the tail. */
void runq_insert(struct runq *q, struct vcpu *v)
{
    struct vcpu *before = q->tail; /* v goes behind this one */

    bug_if(v->queued);
    if (q->head != NULL && runq_key(v) < runq_key(q->head)) {
        before = NULL;
    }
    while (before != NULL && runq_key(before) > runq_key(v)) {
        before = before->rq_prev;
    }
    v->rq_prev = before;
    v->rq_next = before != NULL ? before->rq_next : q->head;
    if (v->rq_next != NULL) {
        v->rq_next->rq_prev = v;
    } else {
        q->tail = v;
    }
    if (before != NULL) {
        before->rq_next = v;
    } else {
        q->head = v;
    }
    v->queued = true;
    __atomic_store_n(&q->count, q->count + 1, __ATOMIC_RELAXED);
}

void runq_remove(struct runq *q, struct vcpu *v)
{
    bug_if(!v->queued);
    if (v->rq_prev != NULL) {
        v->rq_prev->rq_next = v->rq_next;
    } else {
        q->head = v->rq_next;
    }
    if (v->rq_next != NULL) {
        v->rq_next->rq_prev = v->rq_prev;
    } else {
        q->tail = v->rq_prev;
    }
    v->rq_next = NULL;
    v->rq_prev = NULL;
    v->queued = false;
    __atomic_store_n(&q->count, q->count - 1, __ATOMIC_RELAXED);
}

void runq_raise_floor(struct runq *q)
{
    const struct vcpu *c = q->curr != NULL && !q->curr->is_idle ? q->curr : NULL;
    const struct vcpu *least = q->head;

    if (c != NULL && (least == NULL || runq_key(c) < runq_key(least))) {
        least = c;
    }
    if (least != NULL && runq_key(least) > q->floor) {
        q->floor = runq_key(least);
    }
}

void runq_check(const struct runq *q)
{
    const struct vcpu *prev = NULL;
    uint32_t n = 0;

    for (const struct vcpu *v = q->head; v != NULL; v = v->rq_next) {
        bug_if(!v->queued || v->rq_prev != prev || v->cpu != q->cpu || v == q->curr || v->is_idle);
        bug_if(prev != NULL && runq_key(prev) > runq_key(v));
        bug_if(v->on_cpu != 0);
        prev = v;
        n++;
    }
    bug_if(q->tail != prev || q->count != n);
}
