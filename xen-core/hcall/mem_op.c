/* SPDX-License-Identifier: MIT */
/*
 * memory_op: a domain's frames come and go.
 *
 * The list calls (increase, decrease, populate) work through an array of extents in the caller's
 * memory and return how many were done; where to go on is in the upper bits of the command, as the
 * ABI has it. exchange and acquire_resource keep their progress in the structure and the command. A
 * frame is given out only after it is fully accounted; a frame is taken back only by the owner's
 * own reference, so what others still map stays theirs until they drop it.
 */

#include "hcall/hcall.h"
#include "hcall/mem_op.h"

#include "abi/memory.h"
#include "abi/xen.h"
#include "base/nospec.h"
#include "domain/domain.h"
#include "domain/priv.h"
#include "domain/vcpu.h"
#include "gnttab/gnttab.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "port/copy.h"
#include "port/cpu.h"
#include "port/ctl.h"
#include "port/mmu.h"

/* The command: sub-operation below, extents already done above. */
#define CMD_BITS 6
#define CMD_MASK ((1U << CMD_BITS) - 1)
#define DONE_MAX (UINT32_MAX >> CMD_BITS)

/* Frames handled between two looks at whether to yield, in one extent. */
#define RESOURCE_CHUNK 32U

unsigned int mem_heap_flags(uint32_t mem_flags)
{
    unsigned int bits = XENMEMF_get_address_bits(mem_flags);

    return bits && bits < 64 ? HEAP_BELOW(bits) : HEAP_ANY;
}

/* ---- lists of extents ---- */

enum list_op { LIST_INCREASE, LIST_DECREASE, LIST_POPULATE };

struct list_job {
    struct domain *d;
    struct xen_memory_reservation r;
    enum list_op op;
};

static bool list_take(const struct list_job *j, uint64_t first)
{
    for (uint64_t i = 0; i < UINT64_C(1) << j->r.extent_order; i++) {
        struct frame *f = frame_of(MFN(first + i));

        if (!f || frame_get(f, j->d)) {
            return false;
        }
        /* Our reference keeps the frame from its next owner until the table is up to date. */
        if (frame_release(f, j->d)) {
            frame_put(f);
            return false;
        }
        port_m2p_set(frame_mfn(f), M2P_INVALID);
        frame_put(f);
    }
    return true;
}

static bool list_give(const struct list_job *j, uint64_t i, uint64_t gpfn)
{
    struct frame *f =
        heap_alloc_domain(j->d, j->r.extent_order, mem_heap_flags(j->r.mem_flags), gpfn);
    uint64_t mfn;

    if (!f) {
        return false;
    }
    mfn = frame_mfn(f).n;
    /* The caller may ask for no answer. An answer that cannot be written ends the list: frames that
     * nobody has been told of go back, unless another vcpu has guessed their number. */
    if ((j->op == LIST_INCREASE && j->r.extent_start.va == 0) ||
        guest_write(gptr_at(j->r.extent_start, i, sizeof(mfn)), &mfn, sizeof(mfn)) == 0) {
        return true;
    }
    (void)list_take(j, mfn);
    return false;
}

static bool list_one(const struct list_job *j, uint64_t i)
{
    uint64_t n = M2P_INVALID;
    uint64_t last;

    if (j->op != LIST_INCREASE &&
        guest_read(&n, gptr_at(j->r.extent_start, i, sizeof(n)), sizeof(n))) {
        return false;
    }
    if (j->op == LIST_INCREASE) {
        return list_give(j, i, M2P_INVALID);
    }
    if (__builtin_add_overflow(n, (UINT64_C(1) << j->r.extent_order) - 1, &last) ||
        last == M2P_INVALID) {
        return false;
    }
    return j->op == LIST_POPULATE ? list_give(j, i, n) : list_take(j, n);
}

/* The number of extents done, those of earlier rounds included. */
static int64_t list_run(struct list_job *j, uint64_t start, struct hcall_args *a)
{
    uint64_t i = start;

    if (j->r.extent_order > MEM_ORDER_MAX || (j->r.mem_flags & XENMEMF_populate_on_demand)) {
        return (int64_t)start;
    }
    while (i < j->r.nr_extents) {
        if (i != start && hcall_preempt_check()) {
            a->arg[0] = (a->arg[0] & CMD_MASK) | (i << CMD_BITS);
            return HC_AGAIN;
        }
        if (!list_one(j, i)) {
            break;
        }
        i++;
    }
    return (int64_t)i;
}

static int64_t list_call(struct vcpu *v, enum list_op op, struct hcall_args *a)
{
    uint64_t start = (uint32_t)a->arg[0] >> CMD_BITS;
    struct list_job j = { .op = op };
    int64_t rc;

    /* Whatever is wrong with the list as a whole, nothing more of it was done. */
    if (guest_read(&j.r, gptr(a->arg[1]), sizeof(j.r)) || j.r.nr_extents > DONE_MAX ||
        start >= j.r.nr_extents) {
        return (int64_t)start;
    }
    j.d = domain_get_self_or(v, j.r.domid);
    if (!j.d) {
        return (int64_t)start;
    }
    rc = priv_check_target(v, j.d) ? (int64_t)start : list_run(&j, start, a);
    domain_put(j.d);
    return rc;
}

static int64_t mem_op_increase(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    (void)arg;
    return list_call(v, LIST_INCREASE, a);
}

static int64_t mem_op_decrease(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    (void)arg;
    return list_call(v, LIST_DECREASE, a);
}

static int64_t mem_op_populate(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    (void)arg;
    return list_call(v, LIST_POPULATE, a);
}

/* ---- figures ---- */

static int64_t mem_op_maximum_ram_page(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    (void)v;
    (void)arg;
    (void)a;
    return (int64_t)frame_limit;
}

/* A number that the guest itself keeps; only passed on, never used. */
static int64_t last_gpfn(struct domain *d)
{
    uint64_t max = 0;

    spin_lock(&d->life_lock); /* keeps the page if it is still there */
    if (d->shared_frame) {
        max = __atomic_load_n(&d->shared->arch.max_pfn, __ATOMIC_RELAXED);
    }
    spin_unlock(&d->life_lock);
    return max && max <= INT64_MAX ? (int64_t)(max - 1) : 0;
}

enum figure { FIG_CURRENT, FIG_MAXIMUM, FIG_GPFN };

static int64_t figure(struct vcpu *v, gptr_t arg, enum figure what)
{
    struct xen_memory_domain target;
    struct domain *d;
    int64_t rc;

    if (guest_read(&target, arg, sizeof(target))) {
        return -EFAULT;
    }
    d = domain_get_self_or(v, target.domid);
    if (!d) {
        return -ESRCH;
    }
    rc = priv_check_target(v, d);
    if (rc == 0 && what == FIG_CURRENT) {
        rc = (int64_t)__atomic_load_n(&d->owned_frames, __ATOMIC_RELAXED);
    } else if (rc == 0 && what == FIG_MAXIMUM) {
        uint64_t max = atomic_load_explicit(&d->max_frames, memory_order_relaxed);

        rc = max < INT64_MAX ? (int64_t)max : INT64_MAX;
    } else if (rc == 0) {
        rc = last_gpfn(d);
    }
    domain_put(d);
    return rc;
}

static int64_t mem_op_current_reservation(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    (void)a;
    return figure(v, arg, FIG_CURRENT);
}

static int64_t mem_op_maximum_reservation(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    (void)a;
    return figure(v, arg, FIG_MAXIMUM);
}

static int64_t mem_op_maximum_gpfn(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    (void)a;
    return figure(v, arg, FIG_GPFN);
}

/* There is no sharing of memory: nothing is shared, nothing is saved by it. */
static int64_t mem_op_no_sharing(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    (void)v;
    (void)arg;
    (void)a;
    return 0;
}

static int64_t mem_op_claim_pages(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    struct xen_memory_reservation r;
    struct domain *d;
    int64_t rc;

    (void)a;
    if (!v->d->is_ctl) {
        return -EPERM;
    }
    if (guest_read(&r, arg, sizeof(r))) {
        return -EFAULT;
    }
    if (r.extent_start.va || r.extent_order || r.mem_flags) {
        return -EINVAL;
    }
    d = domain_get(r.domid);
    if (!d) {
        return -EINVAL;
    }
    rc = heap_claim(d, r.nr_extents);
    domain_put(d);
    return rc;
}

/* ---- acquire_resource: frames that the hypervisor shares with a domain, for its controller to map
 * ---- */

static int64_t resource_frames(struct domain *d, const struct xen_mem_acquire_resource *r,
                               gptr_t list, uint32_t first, struct hcall_args *a)
{
    uint64_t mfns[RESOURCE_CHUNK];
    uint32_t done = first;

    while (done < r->nr_frames) {
        uint32_t n = r->nr_frames - done;

        if (done != first && hcall_preempt_check()) {
            a->arg[0] = (a->arg[0] & CMD_MASK) | ((uint64_t)done << CMD_BITS);
            return HC_AGAIN;
        }
        n = n < RESOURCE_CHUNK ? n : RESOURCE_CHUNK;
        for (uint32_t i = 0; i < n; i++) {
            mfn_t mfn;
            int rc = gnttab_table_frame(d, (uint32_t)r->frame + done + i, &mfn);

            if (rc) {
                return rc;
            }
            mfns[i] = mfn.n;
        }
        if (guest_write(gptr_at(list, done, sizeof(mfns[0])), mfns, n * sizeof(mfns[0]))) {
            return -EFAULT;
        }
        done += n;
    }
    return 0;
}

static int64_t resource_grant_table(struct domain *d, struct xen_mem_acquire_resource *r,
                                    gptr_t arg, struct hcall_args *a)
{
    uint32_t start = (uint32_t)a->arg[0] >> CMD_BITS;
    uint32_t max = gnttab_max_frames(d);

    if (r->id != XENMEM_resource_grant_table_id_shared) {
        return -EINVAL;
    }
    if (r->frame_list.va == 0) {
        if (r->nr_frames || start) {
            return -EINVAL;
        }
        r->nr_frames = max;
        return guest_write(arg, r, sizeof(*r)) ? -EFAULT : 0;
    }
    if (r->frame > max || r->nr_frames > max - r->frame || start > r->nr_frames) {
        return -EINVAL;
    }
    return resource_frames(d, r, r->frame_list, start, a);
}

static int64_t mem_op_acquire_resource(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    struct xen_mem_acquire_resource r;
    struct domain *d;
    int64_t rc;

    if (guest_read(&r, arg, sizeof(r))) {
        return -EFAULT;
    }
    if (r.pad) {
        return -EINVAL;
    }
    d = domain_get(r.domid);
    if (!d) {
        return -ESRCH;
    }
    rc = d == v->d ? -EPERM : priv_check_target(v, d);
    if (rc == 0) {
        rc = r.type == XENMEM_resource_grant_table ? resource_grant_table(d, &r, arg, a)
                                                   : -EOPNOTSUPP;
    }
    domain_put(d);
    return rc;
}

/* ---- the table ---- */

typedef int64_t mem_fn(struct vcpu *v, gptr_t arg, struct hcall_args *a);

struct mem_row {
    const char *name;
    mem_fn *fn; /* NULL: known, and not for paravirtualized domains: -EOPNOTSUPP */
};

static const struct mem_row mem_rows[] = {
    [XENMEM_increase_reservation] = { "increase_reservation", mem_op_increase },
    [XENMEM_decrease_reservation] = { "decrease_reservation", mem_op_decrease },
    [XENMEM_maximum_ram_page] = { "maximum_ram_page", mem_op_maximum_ram_page },
    [XENMEM_current_reservation] = { "current_reservation", mem_op_current_reservation },
    [XENMEM_maximum_reservation] = { "maximum_reservation", mem_op_maximum_reservation },
    [XENMEM_machphys_mfn_list] = { "machphys_mfn_list", port_machphys_mfn_list },
    [XENMEM_populate_physmap] = { "populate_physmap", mem_op_populate },
    [XENMEM_add_to_physmap] = { "add_to_physmap", NULL },
    [XENMEM_memory_map] = { "memory_map", port_memory_map },
    [XENMEM_machine_memory_map] = { "machine_memory_map", port_machine_memory_map },
    [XENMEM_exchange] = { "exchange", mem_op_exchange },
    [XENMEM_machphys_mapping] = { "machphys_mapping", port_machphys_mapping },
    [XENMEM_set_memory_map] = { "set_memory_map", port_set_memory_map },
    [XENMEM_maximum_gpfn] = { "maximum_gpfn", mem_op_maximum_gpfn },
    [XENMEM_remove_from_physmap] = { "remove_from_physmap", NULL },
    [XENMEM_set_pod_target] = { "set_pod_target", NULL },
    [XENMEM_get_pod_target] = { "get_pod_target", NULL },
    [XENMEM_get_sharing_freed_pages] = { "get_sharing_freed_pages", mem_op_no_sharing },
    [XENMEM_get_sharing_shared_pages] = { "get_sharing_shared_pages", mem_op_no_sharing },
    [XENMEM_paging_op] = { "paging_op", NULL },
    [XENMEM_access_op] = { "access_op", NULL },
    [XENMEM_sharing_op] = { "sharing_op", NULL },
    [XENMEM_add_to_physmap_batch] = { "add_to_physmap_batch", NULL },
    [XENMEM_claim_pages] = { "claim_pages", mem_op_claim_pages },
    [XENMEM_get_vnumainfo] = { "get_vnumainfo", NULL },
    [XENMEM_reserved_device_memory_map] = { "reserved_device_memory_map", NULL },
    [XENMEM_acquire_resource] = { "acquire_resource", mem_op_acquire_resource },
};

/* arg 0: command, arg 1: address of its structure. Results and errors by sub-operation; -ENOSYS for
 * none. No lock held. */
int64_t hc_memory_op(struct vcpu *v, struct hcall_args *a)
{
    uint32_t op = (uint32_t)a->arg[0] & CMD_MASK;
    const struct mem_row *row;

    row = &mem_rows[index_nospec(op, sizeof(mem_rows) / sizeof(mem_rows[0]))];
    if (op >= sizeof(mem_rows) / sizeof(mem_rows[0]) || !row->name) {
        return -ENOSYS;
    }
    return row->fn ? row->fn(v, gptr(a->arg[1]), a) : -EOPNOTSUPP;
}
