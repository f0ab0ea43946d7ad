/* SPDX-License-Identifier: MIT */
/* Changes of page-table entries: mmu_update, update_va_mapping, and the entries of grants. */
#include "guest/mm_x86.h"

#include "port/copy.h"
#include "port/cpu.h"
#include "port/mmu.h"
#include "abi/mmu.h"
#include "base/nospec.h"
#include "domain/domain.h"
#include "domain/priv.h"
#include "domain/vcpu.h"
#include "guest/mmu_target.h"
#include "guest/pt_l1.h"
#include "guest/pt_walk.h"
#include "guest/x86_slots.h"

/* Requests copied at a time. */
#define BATCH 16u

/* In the count argument: the call is being continued. */
#define CONTINUED (UINT64_C(1) << 31)

#define MMU_CMD_MASK 7u

static int foreign_get(struct vcpu *v, domid_t id, struct domain **out, bool *put)
{
    struct domain *d = domain_get(id);

    if (d == NULL) {
        return -ESRCH;
    }
    int rc = d == v->d ? 0 : priv_check_target(v, d);
    if (rc == 0 && domain_is_dying(d)) {
        rc = -EINVAL;
    }
    if (rc != 0) {
        domain_put(d);
        return rc;
    }
    *out = d;
    *put = true;
    return 0;
}

int mmu_target_get(struct vcpu *v, uint64_t foreigndom, struct mmu_target *t)
{
    domid_t frames = (domid_t)foreigndom;
    uint64_t tables = (foreigndom >> 16) & 0xffff;
    int rc = 0;

    *t = (struct mmu_target){ .tables = v->d, .frames = v->d };
    if (tables != 0) {
        rc = foreign_get(v, (domid_t)(tables - 1), &t->tables, &t->put_tables);
        if (rc != 0) {
            return rc;
        }
        if (frames == DOMID_SELF) {
            t->frames = v->d;
        }
    }
    switch (frames) {
    case DOMID_SELF:
        break;
    case DOMID_IO:
    case DOMID_XEN:
        t->frames = frames == DOMID_IO ? dom_io : dom_xen;
        rc = v->d->is_ctl || v->d->is_hw ? 0 : -EPERM;
        break;
    default:
        rc = foreign_get(v, frames, &t->frames, &t->put_frames);
        break;
    }
    if (rc != 0) {
        mmu_target_put(t);
    }
    return rc;
}

void mmu_target_put(const struct mmu_target *t)
{
    if (t->put_tables) {
        domain_put(t->tables);
    }
    if (t->put_frames) {
        domain_put(t->frames);
    }
}

/* A vcpu that is not loaded now, and whose space no idle cpu keeps, flushes when it is loaded. */
static void add_cpu_of(struct vcpu *v, struct cpumask *cpus)
{
    uint32_t space = atomic_load_explicit(&v->arch.space_cpu, memory_order_acquire);

    if (space != 0) {
        cpumask_set(cpus, space - 1);
    }
    if (atomic_load_explicit(&v->on_cpu, memory_order_acquire) != 0) {
        cpumask_set(cpus, atomic_load_explicit(&v->cpu, memory_order_relaxed));
    }
}

int mmu_vcpus_to_cpus(struct vcpu *v, gptr_t bitmap, struct cpumask *cpus)
{
    struct domain *d = v->d;

    cpumask_zero(cpus);
    for (uint32_t first = 0; first < d->max_vcpus; first += 64) {
        uint64_t bits = 0;
        size_t n = d->max_vcpus - first >= 64 ? 8 : (d->max_vcpus - first + 7) / 8;
        if (guest_read(&bits, gptr_at(bitmap, first / 64, 8), n) != 0) {
            return -EFAULT;
        }
        for (; bits != 0; bits &= bits - 1) {
            uint32_t id = first + (uint32_t)__builtin_ctzll(bits);
            struct vcpu *other = id < d->max_vcpus ? d->vcpu[index_nospec(id, d->max_vcpus)] : NULL;
            if (other != NULL) {
                add_cpu_of(other, cpus);
            }
        }
    }
    return 0;
}

/* The result of a level-1 change after the walk that was in its way, of the owner of what is mapped
 * (DOMID_IO names the table's own frames, too): 0 = try again. */
static int64_t retry_after_walk(struct mmu_target *t)
{
    return pt_finish_unlocked(t->frames->is_pseudo ? t->tables : t->frames);
}

/* Is this a valid table of d of level 2-4, and the slot the guest's? */
static bool is_upper(const struct domain *d, const struct frame *table, enum frame_type t,
                     unsigned int index)
{
    uint64_t w = frame_word(table);

    return (w & (FW_TYPE_MASK | FW_VALID)) == (FW_TYPE(t) | FW_VALID) && frame_owner(table) == d &&
           !pt_slot_is_hv(t - FT_PT1 + 1u, index);
}

/*
 * Change an entry of level 2-4.  The new subtree is made valid first; giving up the old one may go
 * on after the entry is written (HC_AGAIN with *done set).  The table is looked at after that: what
 * gets the subtree ready may give up what an earlier request has left behind, and that may have
 * been all that kept this table one. The caller holds mm(d), and a reference to the table if it is
 * d's.
 */
static int64_t upper_update(struct domain *d, struct frame *table, unsigned int index, pte_t e,
                            unsigned int flags, bool *done)
{
    enum frame_type t = frame_word_type(frame_word(table));
    struct frame *child = NULL;
    int64_t rc = pt_finish(d);

    if (rc != 0) {
        return rc;
    }
    /* A domain that dies gives up held walks only once: none may begin. */
    if (domain_is_dying(d) || t < FT_PT2 || t > FT_PT4 || !is_upper(d, table, t, index)) {
        return -EINVAL;
    }
    if ((e & PTE_P) != 0) {
        child = frame_of(pte_mfn(e));
        if (pt_upper_check(e) != 0 || child == NULL) {
            return -EINVAL;
        }
        rc = pt_get_valid(d, child, (enum frame_type)(t - 1));
        if (rc != 0) {
            return rc;
        }
        if (!is_upper(d, table, t, index)) {
            rc = pt_put(d, child);
            return rc == 0 ? -EINVAL : rc;
        }
        e = pt_upper_adjust(e);
    } else if (pt_absent_leaks(d, e)) {
        return -EINVAL;
    }
    /* commit */
    pte_t *p = &pt_entries(table)[index];
    pte_t old = pt_read(p);
    if ((flags & PT_KEEP_AD) != 0) {
        pt_write_keep_ad(p, e);
    } else {
        pt_write(p, e);
    }
    *done = true;
    if (t == FT_PT4) {
        x86_root_changed();
    }
    return (old & PTE_P) != 0 ? pt_put(d, frame_of(pte_mfn(old))) : 0;
}

/* A store of 8 bytes into an ordinary page of d. */
static int64_t plain_store(struct domain *d, struct frame *f, unsigned int index, uint64_t val)
{
    int rc = frame_get_writable(f, d);

    if (rc != 0) {
        return rc == -EAGAIN ? -EAGAIN : -EINVAL;
    }
    pt_write(&pt_entries(f)[index], val);
    frame_put_writable(f);
    return 0;
}

/* The request is not a level-1 change. */
static int64_t other_update(struct mmu_target *t, struct frame *f, const struct mmu_update *u,
                            unsigned int flags, bool *done)
{
    unsigned int index = (unsigned int)(u->ptr & ~PAGE_MASK) / 8;
    enum frame_type type = frame_word_type(frame_word(f));
    int64_t rc;

    if (type >= FT_PT1 && type <= FT_PT4 && (frame_word(f) & FW_TREFS_MASK) != 0) {
        spin_lock(&t->tables->mm_lock);
        /* With a reference the table stays its owner's: what is read of it belongs together. */
        rc = frame_get(f, t->tables);
        if (rc == 0) {
            rc = upper_update(t->tables, f, index, u->val, flags, done);
            frame_put(f);
        }
        spin_unlock(&t->tables->mm_lock);
        return rc;
    }
    rc = plain_store(t->tables, f, index, u->val);
    if (rc == -EAGAIN) {
        rc = pt_finish_unlocked(t->tables);
        rc = rc == 0 ? -EAGAIN : rc;
    }
    return rc;
}

static int64_t m2p_update(struct mmu_target *t, const struct mmu_update *u)
{
    mfn_t mfn = paddr_to_mfn(u->ptr);
    struct frame *f = frame_of(mfn);

    if (f == NULL || frame_get(f, t->frames) != 0) {
        return -EINVAL;
    }
    port_m2p_set(mfn, u->val);
    frame_put(f);
    return 0;
}

/*
 * One request. 0, an error, HC_AGAIN; then *done says whether it has taken effect and only a walk
 * is left.
 */
static int64_t one_update(struct mmu_target *t, const struct mmu_update *u, bool *done)
{
    unsigned int cmd = (unsigned int)u->ptr & MMU_CMD_MASK;
    unsigned int flags = cmd == MMU_PT_UPDATE_PRESERVE_AD ? PT_KEEP_AD : 0;
    unsigned int index = (unsigned int)(u->ptr & ~PAGE_MASK) / 8;
    int64_t rc;

    if (__builtin_expect(cmd == MMU_MACHPHYS_UPDATE, 0)) {
        return m2p_update(t, u);
    }
    if (__builtin_expect(cmd > MMU_PT_UPDATE_NO_TRANSLATE, 0)) {
        return -ENOSYS;
    }
    struct frame *f = frame_of(paddr_to_mfn(u->ptr));
    if (f == NULL) {
        return -EINVAL;
    }
    for (;;) {
        rc = pt_l1_update(t->tables, t->frames, f, index, u->val, flags);
        if (__builtin_expect(rc == 0, 1)) {
            return 0;
        }
        if (rc == -ENOENT) {
            rc = other_update(t, f, u, flags, done);
        } else if (rc == -EAGAIN) {
            rc = retry_after_walk(t);
            rc = rc == 0 ? -EAGAIN : rc;
        }
        if (rc != -EAGAIN) {
            return rc;
        }
    }
}

/* The requests of one call; *i counts what is done. 0, an error, HC_AGAIN. */
static int64_t update_all(struct mmu_target *t, gptr_t reqs, uint64_t count, uint64_t *i)
{
    struct mmu_update u[BATCH];
    int64_t rc;

    while (*i < count) {
        uint64_t n = count - *i < BATCH ? count - *i : BATCH;
        gptr_t from = gptr_at(reqs, *i, sizeof u[0]);
        /* Nearly all calls have one request: a copy of known size is the fast one. */
        size_t left =
            n == 1 ? guest_read(u, from, sizeof u[0]) : guest_read(u, from, n * sizeof u[0]);

        if (left != 0) {
            return -EFAULT;
        }
        for (uint64_t k = 0; k < n; k++) {
            bool done = false;
            rc = one_update(t, &u[k], &done);
            if (__builtin_expect(rc != 0, 0)) {
                *i += done;
                return rc;
            }
            (*i)++;
        }
        if (*i < count && hcall_preempt_check()) {
            return HC_AGAIN;
        }
    }
    return 0;
}

/* Number of requests done, over all passes of the call, where the caller wants to know it. */
static int64_t report(gptr_t pdone, uint32_t done, int64_t rc)
{
    if (pdone.va != 0 && guest_write(pdone, &done, sizeof done) != 0) {
        return -EFAULT;
    }
    return rc;
}

/*
 * arg: array of struct mmu_update, count, where to put the number done (or 0), foreigndom.
 * On HC_AGAIN the arguments name the rest; CONTINUED says that *pdone counts earlier passes and
 * that a walk may be pending.
 */
int64_t hc_mmu_update(struct vcpu *v, struct hcall_args *a)
{
    gptr_t pdone = gptr(a->arg[2]);
    uint64_t count = (uint32_t)a->arg[1];
    struct mmu_target t = { .tables = v->d, .frames = v->d };
    uint32_t before = 0;
    uint64_t i = 0;
    int64_t rc = 0;

    if (__builtin_expect(a->arg[3] != DOMID_SELF, 0)) {
        rc = mmu_target_get(v, a->arg[3], &t);
        if (rc != 0) {
            return rc;
        }
    }
    if (__builtin_expect((count & CONTINUED) != 0, 0)) {
        count &= ~CONTINUED;
        if (pdone.va != 0 && guest_read(&before, pdone, sizeof before) != 0) {
            rc = -EFAULT;
        } else {
            rc = pt_finish_unlocked(t.tables);
        }
    }
    if (rc == 0) {
        rc = update_all(&t, gptr(a->arg[0]), count, &i);
    }
    mmu_target_put(&t);
    int64_t done_rc = report(pdone, before + (uint32_t)i, rc);
    if (done_rc == HC_AGAIN) {
        a->arg[0] += i * sizeof(struct mmu_update);
        a->arg[1] = (count - i) | CONTINUED;
    }
    return done_rc;
}

/* The flush that update_va_mapping asks for. */
static int64_t va_flush(struct vcpu *v, uint64_t va, uint64_t flags)
{
    bool whole = (flags & UVMF_FLUSHTYPE_MASK) == UVMF_TLB_FLUSH;
    uint64_t where = flags & ~(uint64_t)UVMF_FLUSHTYPE_MASK;
    struct cpumask cpus;

    if ((flags & UVMF_FLUSHTYPE_MASK) > UVMF_INVLPG) {
        return 0;
    }
    if (where == UVMF_LOCAL) {
        if (whole) {
            port_tlb_flush_local();
        } else {
            port_tlb_flush_page_local(va);
        }
        return 0;
    }
    if (where == UVMF_ALL) {
        cpumask_copy(&cpus, &v->d->dirty_cpus);
    } else {
        int rc = mmu_vcpus_to_cpus(v, gptr(where), &cpus);
        if (rc != 0) {
            return rc;
        }
    }
    if (whole) {
        port_tlb_flush(&cpus);
    } else {
        port_tlb_flush_page(&cpus, va);
    }
    return 0;
}

static int64_t update_va(struct vcpu *v, struct mmu_target *t, uint64_t va, pte_t e, uint64_t flags)
{
    int64_t rc;

    if (__builtin_expect(!va_guest_ok(va), 0)) {
        return -EINVAL;
    }
    do {
        struct frame *f = pt_l1_find(v->arch.root_kernel, va);
        rc = f == NULL ? -ENOENT : pt_l1_update(v->d, t->frames, f, pt_index(va, 1), e, 0);
        if (__builtin_expect(rc == -EAGAIN, 0)) {
            int64_t walk = retry_after_walk(t);
            rc = walk == 0 ? -EAGAIN : walk;
        }
    } while (rc == -EAGAIN);
    if (__builtin_expect(rc != 0, 0)) {
        return rc == -ENOENT ? -EINVAL : rc;
    }
    return (flags & UVMF_FLUSHTYPE_MASK) == UVMF_NONE ? 0 : va_flush(v, va, flags);
}

/* arg: address, new level-1 entry, flags UVMF_*. */
int64_t hc_update_va_mapping(struct vcpu *v, struct hcall_args *a)
{
    struct mmu_target t = { .tables = v->d, .frames = v->d };

    return update_va(v, &t, a->arg[0], a->arg[1], a->arg[2]);
}

/* The same with the owner of the frame as fourth argument. */
int64_t hc_update_va_mapping_otherdomain(struct vcpu *v, struct hcall_args *a)
{
    struct mmu_target t;
    int64_t rc = mmu_target_get(v, a->arg[3] & 0xffff, &t);

    if (rc == 0) {
        rc = update_va(v, &t, a->arg[0], a->arg[1], a->arg[2]);
        mmu_target_put(&t);
    }
    return rc;
}
