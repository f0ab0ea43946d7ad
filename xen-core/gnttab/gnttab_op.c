/* SPDX-License-Identifier: MIT */
/*
 * grant_table_op: batches of operations, each with a status of its own.
 *
 * An element is copied in once, done, and its result written back before the next one is looked at;
 * the result of the call is 0 whatever the statuses are.  A batch gives way between elements: its
 * arguments then tell what is left.
 */
#include "hcall/hcall.h"

#include "port/copy.h"
#include "port/cpu.h"
#include "port/grant_map.h"
#include "port/mmu.h"

#include "base/counter.h"
#include "base/nospec.h"
#include "base/panic.h"
#include "domain/domain.h"
#include "domain/priv.h"
#include "gnttab/gnttab.h"
#include "gnttab/gnttab_priv.h"

#define UNMAP_BATCH   256u /* mappings cleared for one flush: what a back end gives back at most */
#define UNMAP_STRETCH 32u  /* of them between two looks whether to give way */
#define OP_MAX_SIZE   48u

/* ---- map --------------------------------------------------------------------------------------
 */

/* References that a page-table entry holds on the frame of a grant. */
static int entry_get(mfn_t mfn, const struct domain *granter, bool write)
{
    struct frame *f = frame_of(mfn);

    return write ? frame_get_writable(f, granter) : frame_get(f, granter);
}

static void entry_put(mfn_t mfn, bool write)
{
    struct frame *f = frame_of(mfn);

    if (write) {
        frame_put_writable(f);
    } else {
        frame_put(f);
    }
}

/* The host part: an entry in the caller's tables. The pin for it is held. */
static int16_t map_host(struct vcpu *v, const struct gnttab_map_grant_ref *op, struct domain *rd,
                        mfn_t mfn)
{
    bool write = (op->flags & GNTMAP_readonly) == 0;

    if (entry_get(mfn, rd, write) != 0) {
        return GNTST_general_error;
    }
    if (port_grant_map(v, op->host_addr, op->flags, mfn) != 0) {
        entry_put(mfn, write);
        return GNTST_general_error;
    }
    return GNTST_okay;
}

static int16_t map_pinned(struct vcpu *v, struct gnttab_map_grant_ref *op, struct domain *rd,
                          mfn_t mfn)
{
    uint32_t handle;
    int16_t status = maptrack_alloc(v->d, rd, op->ref, op->flags & MT_KEEP, &handle);

    if (status != GNTST_okay) {
        return status;
    }
    if ((op->flags & GNTMAP_host_map) != 0) {
        status = map_host(v, op, rd, mfn);
    }
    if (status != GNTST_okay) {
        (void)!maptrack_end(v->d, handle, GNTMAP_host_map | GNTMAP_device_map);
        domain_put(rd);
        return status;
    }
    (void)!maptrack_end(v->d, handle, 0);
    op->handle = handle;
    op->dev_bus_addr = mfn_to_paddr(mfn);
    return GNTST_okay;
}

/* One pin for each of the two ways to map; what fails leaves nothing behind. */
static int16_t map_from(struct vcpu *v, struct gnttab_map_grant_ref *op, struct domain *rd)
{
    bool write = (op->flags & GNTMAP_readonly) == 0;
    bool both = (op->flags & GNTMAP_host_map) != 0 && (op->flags & GNTMAP_device_map) != 0;
    mfn_t mfn;

    int16_t status = gnttab_pin(rd, op->ref, v->d->id, write, &mfn);
    if (status != GNTST_okay) {
        return status;
    }
    if (both) {
        status = gnttab_pin(rd, op->ref, v->d->id, write, &mfn);
        if (status != GNTST_okay) {
            gnttab_unpin(rd, op->ref, write);
            return status;
        }
    }
    status = map_pinned(v, op, rd, mfn);
    if (status != GNTST_okay) {
        gnttab_unpin(rd, op->ref, write);
        if (both) {
            gnttab_unpin(rd, op->ref, write);
        }
    }
    return status;
}

static int64_t gnttab_op_map_grant_ref(struct vcpu *v, void *arg)
{
    struct gnttab_map_grant_ref *op = arg;
    struct domain *rd;

    if ((op->flags & (GNTMAP_host_map | GNTMAP_device_map)) == 0) {
        op->status = GNTST_bad_gntref;
        return 0;
    }
    rd = domain_get(op->dom);
    if (rd == NULL) {
        op->status = GNTST_bad_domain;
        return 0;
    }
    op->status = domain_is_dying(rd) ? GNTST_bad_domain : map_from(v, op, rd);
    count(CNT_GRANT_MAP, op->status == GNTST_okay);
    domain_put(rd);
    return 0;
}

/* ---- unmap ------------------------------------------------------------------------------------
 */

/* An unmapping between its two halves: entries are cleared, but may still live in translation
 * caches. */
struct unmapping {
    uint32_t handle; /* claimed: the mapping that it stands for stays as it is */
    uint8_t gone;    /* GNTMAP_host_map, GNTMAP_device_map; 0: nothing to finish */
    struct port_grant_was was;
};

struct unmap_args {
    uint64_t host_addr;
    uint64_t new_addr; /* unmap_and_replace; else 0 */
    uint64_t dev_bus_addr;
    uint32_t handle;
};

static int16_t unmap_clear(struct vcpu *v, const struct unmap_args *r, const struct maptrack *m,
                           struct unmapping *u)
{
    bool host = r->host_addr != 0 && (m->flags & GNTMAP_host_map) != 0;
    bool device = r->dev_bus_addr != 0 && (m->flags & GNTMAP_device_map) != 0;
    mfn_t mfn = gnttab_pinned_mfn(m->granter, m->ref);
    int rc = 0;

    if (device && r->dev_bus_addr != mfn_to_paddr(mfn)) {
        return GNTST_bad_dev_addr;
    }
    if (host && r->new_addr == 0) {
        rc = port_grant_unmap(v, r->host_addr, m->flags, mfn, &u->was);
    } else if (host && (m->flags & GNTMAP_contains_pte) != 0) {
        rc = -EINVAL; /* only what lies at a virtual address has one to be moved to */
    } else if (host) {
        rc = port_grant_replace(v, r->host_addr, r->new_addr, mfn, &u->was);
    }
    if (rc != 0) {
        return GNTST_general_error;
    }
    u->gone = (uint8_t)((host ? GNTMAP_host_map : 0) | (device ? GNTMAP_device_map : 0));
    return GNTST_okay;
}

/* First half. The handle is claimed, so that of two who unmap it only one gets here. */
static int16_t unmap_begin(struct vcpu *v, const struct unmap_args *r, struct unmapping *u)
{
    struct maptrack m;

    *u = (struct unmapping){ .handle = r->handle };
    if (!maptrack_claim(v->d, r->handle, &m)) {
        return GNTST_bad_handle;
    }
    int16_t status = unmap_clear(v, r, &m, u);
    if (u->gone == 0) {
        (void)!maptrack_end(v->d, u->handle, 0);
    }
    return status;
}

/* Second half, after the flush: frame first, then the pin and with it the bits that the granter
 * sees. */
static void unmap_finish(struct vcpu *v, const struct unmapping *u)
{
    struct maptrack m = maptrack_claimed(v->d, u->handle);
    bool write = (m.flags & GNTMAP_readonly) == 0;

    if ((u->gone & GNTMAP_host_map) != 0) {
        entry_put(gnttab_pinned_mfn(m.granter, m.ref), u->was.writable);
        gnttab_unpin(m.granter, m.ref, write);
    }
    if ((u->gone & GNTMAP_device_map) != 0) {
        gnttab_unpin(m.granter, m.ref, write);
    }
    if (maptrack_end(v->d, u->handle, u->gone)) {
        domain_put(m.granter);
    }
}

/* Of what was cleared nothing may be left in a translation cache when its references go. */
static bool needs_flush(const struct unmapping *u)
{
    return (u->gone & GNTMAP_host_map) != 0 && u->was.used;
}

static int64_t write_status(gptr_t uop, size_t offset, int16_t status)
{
    return guest_write(gptr_at(uop, 1, offset), &status, sizeof(status)) != 0 ? -EFAULT : 0;
}

/* Up to UNMAP_BATCH elements from `uop` on, fewer when it is time to give way; *done counts those
 * that need not be done again. fails: -EFAULT. */
static int64_t unmap_batch(struct vcpu *v, gptr_t uop, uint64_t n, uint64_t *done)
{
    struct unmapping u[UNMAP_BATCH];
    bool flush = false;
    int64_t rc = 0;
    uint64_t i;

    for (i = 0; i < n && rc == 0; i++) {
        if (i != 0 && i % UNMAP_STRETCH == 0 && hcall_preempt_check()) {
            break;
        }
        struct gnttab_unmap_grant_ref op;
        gptr_t at = gptr_at(uop, i, sizeof(op));
        u[i].gone = 0;
        if (guest_read(&op, at, sizeof(op)) != 0) {
            rc = -EFAULT;
            continue;
        }
        struct unmap_args r = { .host_addr = op.host_addr,
                                .dev_bus_addr = op.dev_bus_addr,
                                .handle = op.handle };
        int16_t status = unmap_begin(v, &r, &u[i]);
        flush = flush || needs_flush(&u[i]);
        rc = write_status(at, offsetof(struct gnttab_unmap_grant_ref, status), status);
    }
    *done = i;

    if (flush) {
        port_tlb_flush(&v->d->dirty_cpus);
        count(CNT_GRANT_FLUSH, 1);
    }
    for (uint64_t k = 0; k < i; k++) {
        if (u[k].gone != 0) {
            unmap_finish(v, &u[k]);
            count(CNT_GRANT_UNMAP, 1);
        }
    }
    return rc;
}

static int64_t gnttab_op_unmap_and_replace(struct vcpu *v, void *arg)
{
    struct gnttab_unmap_and_replace *op = arg;
    struct unmap_args r = { .host_addr = op->host_addr,
                            .new_addr = op->new_addr,
                            .handle = op->handle };
    struct unmapping u;

    if (op->new_addr == 0 || op->host_addr == 0) {
        op->status = GNTST_bad_virt_addr;
        return 0;
    }
    op->status = unmap_begin(v, &r, &u);
    if (u.gone != 0) {
        port_tlb_flush(&v->d->dirty_cpus);
        unmap_finish(v, &u);
        count(CNT_GRANT_CALL, 1);
        count(CNT_GRANT_FLUSH, 1);
        count(CNT_GRANT_UNMAP, 1);
    }
    return 0;
}

/* ---- tables -----------------------------------------------------------------------------------
 */

/* The domain whose table is meant, referenced: the caller's own, or any for a control domain. A
 * GNTST_ status. */
static int16_t table_domain(struct vcpu *v, domid_t id, struct domain **out)
{
    struct domain *d = domain_get_self_or(v, id);

    if (d == NULL) {
        return GNTST_bad_domain;
    }
    if (priv_check_target(v, d) != 0) {
        domain_put(d);
        return GNTST_permission_denied;
    }
    *out = d;
    return GNTST_okay;
}

/* fails: -EFAULT (the list of frames). */
static int64_t gnttab_op_setup_table(struct vcpu *v, void *arg)
{
    struct gnttab_setup_table *op = arg;
    struct domain *d = NULL;
    int64_t rc = 0;

    op->status = table_domain(v, op->dom, &d);
    if (op->status != GNTST_okay) {
        return 0;
    }
    if (gnttab_grow(d, op->nr_frames) != 0) {
        op->status = GNTST_general_error;
    }
    for (uint32_t i = 0; op->status == GNTST_okay && rc == 0 && i < op->nr_frames; i++) {
        mfn_t mfn;
        uint64_t gmfn;
        if (gnttab_table_frame(d, i, &mfn) != 0) {
            op->status = GNTST_general_error;
            break;
        }
        gmfn = mfn.n;
        rc = guest_write(gptr_at(op->frame_list, i, sizeof(gmfn)), &gmfn, sizeof(gmfn)) != 0
                 ? -EFAULT
                 : 0;
    }
    domain_put(d);
    return rc;
}

static int64_t gnttab_op_query_size(struct vcpu *v, void *arg)
{
    struct gnttab_query_size *op = arg;
    struct domain *d = NULL;

    op->status = table_domain(v, op->dom, &d);
    if (op->status == GNTST_okay) {
        op->nr_frames = gnttab_table_frames(d);
        op->max_nr_frames = gnttab_max_frames(d);
        domain_put(d);
    }
    return 0;
}

/* Version 1 is all there is. fails: -ENOSYS for 2, -EINVAL. */
static int64_t gnttab_op_set_version(struct vcpu *v, void *arg)
{
    const struct gnttab_set_version *op = arg;

    (void)v;
    if (op->version == 1) {
        return 0;
    }
    return op->version == 2 ? -ENOSYS : -EINVAL;
}

/* fails: -ESRCH, -EPERM. */
static int64_t gnttab_op_get_version(struct vcpu *v, void *arg)
{
    struct gnttab_get_version *op = arg;
    struct domain *d = NULL;
    int16_t status = table_domain(v, op->dom, &d);

    if (status != GNTST_okay) {
        return status == GNTST_bad_domain ? -ESRCH : -EPERM;
    }
    op->version = 1;
    domain_put(d);
    return 0;
}

static int64_t gnttab_op_swap_grant_ref(struct vcpu *v, void *arg)
{
    struct gnttab_swap_grant_ref *op = arg;

    op->status = gnttab_swap(v->d, op->ref_a, op->ref_b);
    return 0;
}

static int64_t gnttab_op_copy(struct vcpu *v, void *arg)
{
    struct gnttab_copy *op = arg;

    op->status = gnttab_copy_one(v->d, op);
    count(CNT_GRANT_COPY, op->status == GNTST_okay);
    return 0;
}

/* ---- dispatch ---------------------------------------------------------------------------------
 */

struct gnttab_row {
    const char *name;
    int64_t (*fn)(struct vcpu *v, void *op); /* 0, or an error that ends the batch */
    uint16_t size;
    bool single; /* only one element makes sense */
};

#define OP(nm, one) [GNTTABOP_##nm] = { #nm, gnttab_op_##nm, sizeof(struct gnttab_##nm), one }

/* unmap_grant_ref has no row: it is done by unmap_batch(). What belongs to version 2, or to
 * transfer, has none: -ENOSYS. */
static const struct gnttab_row ops[] = {
    OP(map_grant_ref, false), OP(setup_table, true),        OP(copy, false),
    OP(query_size, true),     OP(unmap_and_replace, false), OP(set_version, true),
    OP(get_version, true),    OP(swap_grant_ref, false),
};

/* What is left of the batch goes into the arguments. */
static int64_t again(struct hcall_args *a, uint64_t done, size_t size)
{
    a->arg[1] += done * size;
    a->arg[2] -= done;
    return HC_AGAIN;
}

static int64_t unmap_all(struct vcpu *v, struct hcall_args *a, uint32_t n_ops)
{
    uint64_t done = 0;

    count(CNT_GRANT_CALL, 1);
    while (done < n_ops) {
        uint64_t n = n_ops - done < UNMAP_BATCH ? n_ops - done : UNMAP_BATCH;
        uint64_t finished = 0;
        int64_t rc = unmap_batch(
            v, gptr_at(gptr(a->arg[1]), done, sizeof(struct gnttab_unmap_grant_ref)), n, &finished);
        done += finished;
        if (rc != 0) {
            return rc;
        }
        if (done < n_ops && hcall_preempt_check()) {
            return again(a, done, sizeof(struct gnttab_unmap_grant_ref));
        }
    }
    return 0;
}

static int64_t run_batch(struct vcpu *v, const struct gnttab_row *row, struct hcall_args *a,
                         uint32_t count)
{
    _Alignas(8) uint8_t op[OP_MAX_SIZE];

    for (uint32_t i = 0; i < count; i++) {
        gptr_t at = gptr_at(gptr(a->arg[1]), i, row->size);
        if (guest_read(op, at, row->size) != 0) {
            return -EFAULT;
        }
        int64_t rc = row->fn(v, op);
        if (rc != 0) {
            return rc;
        }
        if (guest_write(at, op, row->size) != 0) {
            return -EFAULT;
        }
        if (i + 1 < count && hcall_preempt_check()) {
            return again(a, i + 1, row->size);
        }
    }
    return 0;
}

/* grant_table_op(cmd, elements, count). fails: -ENOSYS, -EINVAL (count), -EFAULT, HC_AGAIN, or as
 * above. */
int64_t hc_grant_table_op(struct vcpu *v, struct hcall_args *a)
{
    uint32_t cmd = (uint32_t)a->arg[0];
    uint32_t count = (uint32_t)a->arg[2];

    if (count > INT32_MAX) {
        return -EINVAL;
    }
    if (cmd == GNTTABOP_unmap_grant_ref) {
        return unmap_all(v, a, count);
    }
    const struct gnttab_row *row = &ops[index_nospec(cmd, sizeof(ops) / sizeof(ops[0]))];
    if (cmd >= sizeof(ops) / sizeof(ops[0]) || row->fn == NULL) {
        return -ENOSYS;
    }
    if (row->single && count != 1) {
        return -EINVAL;
    }
    bug_if(row->size > OP_MAX_SIZE);
    return run_batch(v, row, a, count);
}
