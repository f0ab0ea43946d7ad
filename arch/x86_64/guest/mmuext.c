/* SPDX-License-Identifier: MIT */
/* mmuext_op: pins, base pointers, flushes, LDT, clearing and copying pages; and the end of a
 * domain's tables. */
#include "guest/mm_x86.h"

#include "port/copy.h"
#include "port/cpu.h"
#include "port/mmu.h"
#include "port/vcpu.h"
#include "abi/mmu.h"
#include "cpu/msr.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/mmu_target.h"
#include "guest/pt_l1.h"
#include "guest/pt_walk.h"
#include "lib/mem.h"
#include "mm/heap.h"

/* In the count argument: the call is being continued. */
#define CONTINUED (UINT64_C(1) << 31)

/* Result of an operation: it has taken effect, but a walk is pending. */
#define OP_DONE 1

#define LDT_ENTRIES_MAX 8192u

/*
 * Marks a table as pinned, once.  Not one that its owner has released: it has left the owner's
 * list, where the end of the domain looks for pins; frame_release() for its part refuses what is
 * pinned.
 */
static bool pin_set(struct frame *f)
{
    uint64_t w = frame_word(f);

    do {
        if ((w & (FW_PINNED | FW_RELEASED)) != 0) {
            return false;
        }
    } while (!frame_cas(f, &w, w | FW_PINNED));
    return true;
}

static bool pin_clear(struct frame *f)
{
    uint64_t old = atomic_fetch_and_explicit(&f->word, ~FW_PINNED, memory_order_acq_rel);

    return (old & FW_PINNED) != 0;
}

int64_t mm_pin(struct domain *d, mfn_t mfn, enum frame_type t)
{
    struct frame *f = frame_of(mfn);
    int64_t rc;

    if (f == NULL) {
        return -EINVAL;
    }
    spin_lock(&d->mm_lock);
    /* What is refused in the end must not be walked first: each call would walk it once more, and
     * one that stops on the way back would never come to its end.  Nor for a domain that dies: it
     * gives up held walks only once. */
    rc = domain_is_dying(d) || (frame_word(f) & (FW_PINNED | FW_RELEASED)) != 0
             ? -EINVAL
             : pt_get_valid(d, f, t);
    if (rc == 0 && (domain_is_dying(d) || !pin_set(f))) {
        /* It has its pin already, or may not have one. */
        rc = pt_put(d, f);
        rc = rc == 0 ? -EINVAL : rc;
    }
    spin_unlock(&d->mm_lock);
    return rc;
}

/* 0, -EINVAL (not pinned), HC_AGAIN (ask again), OP_DONE. */
static int64_t unpin(struct domain *d, mfn_t mfn)
{
    struct frame *f = frame_of(mfn);
    int64_t rc;

    spin_lock(&d->mm_lock);
    rc = pt_finish(d);
    if (rc == 0) {
        /* A pin holds a reference, so the owner stands. */
        bool is_ours = f != NULL && (frame_word(f) & FW_PINNED) != 0 && f->owner == d;
        rc = is_ours && pin_clear(f) ? pt_put(d, f) : -EINVAL;
        if (rc == HC_AGAIN) {
            spin_unlock(&d->mm_lock);
            return OP_DONE;
        }
    }
    spin_unlock(&d->mm_lock);
    return rc;
}

/*
 * Make mfn v's root for kernel or user mode.  Asked for again after HC_AGAIN it does the same thing
 * once more, so where it stopped makes no difference.  v is the current vcpu or does not run.
 */
int64_t mm_set_root(struct vcpu *v, mfn_t mfn, bool user)
{
    struct domain *d = v->d;
    struct frame **root = user ? &v->arch.root_user : &v->arch.root_kernel;
    struct frame *f = user && mfn.n == 0 ? NULL : frame_of(mfn);
    int64_t rc = 0;

    if (f == NULL && (!user || mfn.n != 0)) {
        return -EINVAL;
    }
    spin_lock(&d->mm_lock);
    rc = f == NULL ? pt_finish(d) : pt_get_valid(d, f, FT_PT4);
    if (rc == 0) {
        struct frame *old = *root;
        *root = f;
        if (!user && v == port_current()) {
            cpu_load_root(v, true);
        }
        rc = old == NULL ? 0 : pt_put(d, old);
    }
    spin_unlock(&d->mm_lock);
    return rc;
}

/* Both, valid: the kernel's in root_next, where it stays while the user's is walked. locks: mm(d)
 * held. 0, -EINVAL (nothing is kept), HC_AGAIN. */
static int64_t roots_get(struct vcpu *v, mfn_t kernel, mfn_t user, struct frame **user_frame)
{
    struct domain *d = v->d;
    struct frame *next = v->arch.root_next;
    struct frame *f = frame_of(kernel);
    int64_t rc = pt_finish(d);

    if (rc == 0 && next != NULL && next != f) {
        v->arch.root_next = NULL;
        rc = pt_put(d, next);
    }
    if (rc == 0 && v->arch.root_next == NULL) {
        rc = f == NULL ? -EINVAL : pt_get_valid(d, f, FT_PT4);
        v->arch.root_next = rc == 0 ? f : NULL;
    }
    *user_frame = NULL;
    if (rc == 0 && user.n != 0) {
        *user_frame = frame_of(user);
        rc = *user_frame == NULL ? -EINVAL : pt_get_valid(d, *user_frame, FT_PT4);
        if (rc != 0 && rc != HC_AGAIN) {
            next = v->arch.root_next;
            v->arch.root_next = NULL;
            (void)!pt_put(d, next); /* if a walk is left, who comes next finishes it */
        }
    }
    return rc;
}

int64_t mm_set_roots(struct vcpu *v, mfn_t kernel, mfn_t user)
{
    struct domain *d = v->d;
    struct frame *user_frame;

    spin_lock(&d->mm_lock);
    int64_t rc = roots_get(v, kernel, user, &user_frame);
    if (rc == 0) {
        struct frame *old = v->arch.root_kernel;
        struct frame *old_user = v->arch.root_user;
        v->arch.root_kernel = v->arch.root_next;
        v->arch.root_user = user_frame;
        v->arch.root_next = NULL;
        if (v == port_current()) {
            cpu_load_root(v, true);
        }
        /* One walk may be pending, not two: then the other waits for the next context, or the end.
         */
        bool pending = old != NULL && pt_put(d, old) != 0;
        if (old_user != NULL && pending) {
            v->arch.root_next = old_user;
        } else if (old_user != NULL) {
            (void)!pt_put(d, old_user);
        }
    }
    spin_unlock(&d->mm_lock);
    return rc;
}

/* v never runs again: one of its roots, if it has any. 0 or HC_AGAIN. */
static int64_t drop_root(struct vcpu *v, struct frame **root)
{
    struct domain *d = v->d;
    int64_t rc;

    spin_lock(&d->mm_lock);
    rc = pt_finish(d);
    if (rc == 0 && *root != NULL) {
        struct frame *old = *root;
        *root = NULL;
        rc = pt_put(d, old);
    }
    spin_unlock(&d->mm_lock);
    return rc;
}

static int64_t clear_page(struct domain *d, mfn_t mfn)
{
    struct frame *f = frame_of(mfn);

    if (f == NULL || frame_get_writable(f, d) != 0) {
        return -EINVAL;
    }
    memset(port_frame_va(mfn), 0, PAGE_SIZE);
    frame_put_writable(f);
    return 0;
}

static int64_t copy_page(struct domain *d, mfn_t to, mfn_t from)
{
    struct frame *src = frame_of(from);
    struct frame *dst = frame_of(to);

    if (src == NULL || dst == NULL || frame_get(src, d) != 0) {
        return -EINVAL;
    }
    if (frame_get_writable(dst, d) != 0) {
        frame_put(src);
        return -EINVAL;
    }
    memcpy(port_frame_va(to), port_frame_va(from), PAGE_SIZE);
    frame_put_writable(dst);
    frame_put(src);
    return 0;
}

static int64_t set_ldt(struct vcpu *v, uint64_t base, uint32_t entries)
{
    if ((base & ~PAGE_MASK) != 0 || entries > LDT_ENTRIES_MAX || !va_guest_ok(base) ||
        !va_guest_ok(base + (uint64_t)entries * 8)) {
        return -EINVAL;
    }
    desc_drop_ldt(v);
    v->arch.ldt_base = base;
    v->arch.ldt_entries = entries;
    cpu_load_ldt(v);
    return 0;
}

static int64_t flush_page(struct vcpu *v, const struct mmuext_op *op)
{
    uint64_t va = op->arg1.linear_addr;
    struct cpumask cpus;
    int rc = 0;

    if (op->cmd == MMUEXT_INVLPG_ALL) {
        cpumask_copy(&cpus, &v->d->dirty_cpus);
    } else {
        rc = mmu_vcpus_to_cpus(v, op->arg2.vcpumask, &cpus);
    }
    if (rc == 0 && va_guest_ok(va)) {
        port_tlb_flush_page(&cpus, va);
    }
    return rc;
}

static int64_t flush_all(struct vcpu *v, const struct mmuext_op *op)
{
    struct cpumask cpus;
    int rc = 0;

    if (op->cmd == MMUEXT_TLB_FLUSH_ALL) {
        cpumask_copy(&cpus, &v->d->dirty_cpus);
    } else {
        rc = mmu_vcpus_to_cpus(v, op->arg2.vcpumask, &cpus);
    }
    if (rc == 0) {
        port_tlb_flush(&cpus);
    }
    return rc;
}

/* Operations on tables and pages, which may be another domain's. */
static int64_t frame_op(struct domain *d, const struct mmuext_op *op)
{
    mfn_t mfn = MFN(op->arg1.mfn);

    if (d->is_pseudo) {
        return -EPERM; /* the M2P is for reading */
    }
    switch (op->cmd) {
    case MMUEXT_PIN_L1_TABLE:
    case MMUEXT_PIN_L2_TABLE:
    case MMUEXT_PIN_L3_TABLE:
    case MMUEXT_PIN_L4_TABLE:
        return mm_pin(d, mfn, (enum frame_type)(FT_PT1 + op->cmd - MMUEXT_PIN_L1_TABLE));
    case MMUEXT_UNPIN_TABLE:
        return unpin(d, mfn);
    case MMUEXT_CLEAR_PAGE:
        return clear_page(d, mfn);
    case MMUEXT_COPY_PAGE:
        return copy_page(d, mfn, MFN(op->arg2.src_mfn));
    case MMUEXT_MARK_SUPER:
    case MMUEXT_UNMARK_SUPER:
        return -EOPNOTSUPP;
    default:
        return -ENOSYS;
    }
}

/*
 * One operation. 0, an error, HC_AGAIN (ask again), OP_DONE: done, but a walk is pending.
 */
static int64_t one_op(struct vcpu *v, struct domain *d, const struct mmuext_op *op)
{
    bool is_own = d == v->d;

    switch (op->cmd) {
    case MMUEXT_NEW_BASEPTR:
        return is_own ? mm_set_root(v, MFN(op->arg1.mfn), false) : -EPERM;
    case MMUEXT_NEW_USER_BASEPTR:
        return is_own ? mm_set_root(v, MFN(op->arg1.mfn), true) : -EPERM;
    case MMUEXT_TLB_FLUSH_LOCAL:
        if (is_own) {
            port_tlb_flush_local();
        }
        return is_own ? 0 : -EPERM;
    case MMUEXT_INVLPG_LOCAL:
        if (is_own && va_guest_ok(op->arg1.linear_addr)) {
            port_tlb_flush_page_local(op->arg1.linear_addr);
        }
        return is_own ? 0 : -EPERM;
    case MMUEXT_TLB_FLUSH_MULTI:
    case MMUEXT_TLB_FLUSH_ALL:
        return is_own ? flush_all(v, op) : -EPERM;
    case MMUEXT_INVLPG_MULTI:
    case MMUEXT_INVLPG_ALL:
        return is_own ? flush_page(v, op) : -EPERM;
    case MMUEXT_FLUSH_CACHE:
    case MMUEXT_FLUSH_CACHE_GLOBAL:
        if (!is_own || !v->d->is_hw) {
            return is_own ? -EACCES : -EPERM;
        }
        if (op->cmd == MMUEXT_FLUSH_CACHE) {
            cpu_wbinvd();
        } else {
            cpu_wbinvd_all();
        }
        return 0;
    case MMUEXT_SET_LDT:
        return is_own ? set_ldt(v, op->arg1.linear_addr, op->arg2.nr_ents) : -EPERM;
    default:
        return frame_op(d, op);
    }
}

static int64_t all_ops(struct vcpu *v, struct domain *d, gptr_t ops, uint64_t count, uint64_t *i)
{
    struct mmuext_op op;

    while (*i < count) {
        if (guest_read(&op, gptr_at(ops, *i, sizeof op), sizeof op) != 0) {
            return -EFAULT;
        }
        measure_op(op.cmd);
        int64_t rc = one_op(v, d, &op);
        if (__builtin_expect(rc != 0, 0)) {
            *i += rc == OP_DONE;
            return rc == OP_DONE ? HC_AGAIN : rc;
        }
        (*i)++;
        if (*i < count && hcall_preempt_check()) {
            return HC_AGAIN;
        }
    }
    return 0;
}

/* arg: array of struct mmuext_op, count, where to put the number done (or 0), foreigndom. See
 * hc_mmu_update(). */
int64_t hc_mmuext_op(struct vcpu *v, struct hcall_args *a)
{
    gptr_t pdone = gptr(a->arg[2]);
    uint64_t count = (uint32_t)a->arg[1];
    struct mmu_target t = { .tables = v->d, .frames = v->d };
    uint32_t done = 0;
    uint64_t i = 0;
    int64_t rc = 0;

    if (__builtin_expect(a->arg[3] != DOMID_SELF, 0)) {
        rc = mmu_target_get(v, a->arg[3] & 0xffff, &t);
        if (rc != 0) {
            return rc;
        }
    }
    if (__builtin_expect((count & CONTINUED) != 0, 0)) {
        count &= ~CONTINUED;
        if (pdone.va != 0 && guest_read(&done, pdone, sizeof done) != 0) {
            rc = -EFAULT;
        } else {
            rc = pt_finish_unlocked(t.frames);
        }
    }
    if (rc == 0) {
        rc = all_ops(v, t.frames, gptr(a->arg[0]), count, &i);
    }
    mmu_target_put(&t);
    done += (uint32_t)i;
    if (pdone.va != 0 && guest_write(pdone, &done, sizeof done) != 0) {
        return -EFAULT;
    }
    if (rc == HC_AGAIN) {
        a->arg[0] += i * sizeof(struct mmuext_op);
        a->arg[1] = (count - i) | CONTINUED;
    }
    return rc;
}

/* Frames of a dying domain, one by one: pins go before the owner's own reference. 0 or HC_AGAIN. */
static int64_t relinquish_frames(struct domain *d)
{
    for (;;) {
        int64_t rc = pt_finish_unlocked(d);
        if (rc != 0) {
            return rc;
        }
        spin_lock(&d->pages_lock);
        uint32_t head = d->page_head;
        spin_unlock(&d->pages_lock);
        if (head == 0) {
            return 0;
        }
        struct frame *f = &frame_table[head];
        if ((frame_word(f) & FW_PINNED) != 0) {
            rc = unpin(d, frame_mfn(f));
            if (rc == HC_AGAIN || rc == OP_DONE) {
                return HC_AGAIN;
            }
        }
        rc = frame_release(f, d);
        if (rc == 0 && hcall_preempt_check()) {
            return HC_AGAIN;
        }
    }
}

int64_t port_vcpu_relinquish(struct vcpu *v)
{
    cpu_drop_space(v);
    desc_drop_gdt(v);
    desc_drop_ldt(v);
    int64_t rc = drop_root(v, &v->arch.root_kernel);

    rc = rc != 0 ? rc : drop_root(v, &v->arch.root_user);
    return rc != 0 ? rc : drop_root(v, &v->arch.root_next);
}

int64_t port_domain_relinquish(struct domain *d)
{
    spin_lock(&d->mm_lock);
    int64_t rc = pt_drop_holds(d);
    spin_unlock(&d->mm_lock);
    if (rc != 0) {
        return rc;
    }
    for (uint32_t i = 0; i < d->max_vcpus && rc == 0; i++) {
        rc = d->vcpu[i] != NULL ? port_vcpu_relinquish(d->vcpu[i]) : 0;
    }
    return rc != 0 ? rc : relinquish_frames(d);
}
