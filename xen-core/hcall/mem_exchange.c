/* SPDX-License-Identifier: MIT */
/*
 * XENMEM_exchange: a domain swaps frames of its own for others, for instance scattered ones for a
 * contiguous block that a device can reach.
 *
 * Work goes by chunks: the smallest number of extents on either side that cover the same number of
 * frames. Each chunk is all or nothing: take the old frames (only the owner's reference may be on
 * them), allocate the new ones, read where they are to go; from there on nothing fails but the
 * answer to the caller.
 */

#include "hcall/mem_op.h"

#include "abi/errno.h"
#include "abi/memory.h"
#include "domain/domain.h"
#include "domain/priv.h"
#include "domain/vcpu.h"
#include "hcall/hcall.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "port/copy.h"
#include "port/cpu.h"
#include "port/mmu.h"

struct exchange {
    struct domain *d;
    struct xen_memory_exchange x;
    unsigned int in_order;  /* extents of the in list per chunk, as a power of 2 */
    unsigned int out_order; /* extents of the out list per chunk */
};

/* The frames of one in extent, from the first: taken back if one refuses. */
static int take_extent(struct exchange *e, uint64_t first)
{
    uint64_t n = UINT64_C(1) << e->x.in.extent_order;

    for (uint64_t i = 0; i < n; i++) {
        struct frame *f = frame_of(MFN(first + i));

        if (!f || frame_take(f, e->d)) {
            while (i-- > 0) {
                frame_untake(frame_of(MFN(first + i)), e->d);
            }
            return -EINVAL;
        }
    }
    return 0;
}

static void untake_extent(struct exchange *e, uint64_t first)
{
    for (uint64_t i = 0; i < UINT64_C(1) << e->x.in.extent_order; i++) {
        frame_untake(frame_of(MFN(first + i)), e->d);
    }
}

static void free_extent(struct exchange *e, uint64_t first)
{
    for (uint64_t i = 0; i < UINT64_C(1) << e->x.in.extent_order; i++) {
        struct frame *f = frame_of(MFN(first + i));

        port_m2p_set(frame_mfn(f), M2P_INVALID);
        frame_free_taken(f, e->d);
    }
}

/* New extents [0, n) into out[], which nobody can name yet; none on failure. */
static int reserve_extents(struct exchange *e, struct frame **out, uint64_t n)
{
    unsigned int order = e->x.out.extent_order;

    for (uint64_t i = 0; i < n; i++) {
        out[i] = heap_reserve(order, mem_heap_flags(e->x.out.mem_flags));
        if (!out[i]) {
            while (i-- > 0) {
                heap_unreserve(out[i], order);
            }
            return -ENOMEM;
        }
    }
    return 0;
}

/* What a chunk reads, from the caller's arrays, and what it allocates: at most 2^MEM_ORDER_MAX of
 * each, a page. One of the two is a single extent. */
struct chunk {
    uint64_t *in;       /* first frame of each in extent */
    uint64_t *gpfn;     /* where each out extent is to go */
    struct frame **out; /* the new extents */
};

static int chunk_read(struct exchange *e, const struct chunk *c, uint64_t index)
{
    uint64_t nin = UINT64_C(1) << e->in_order;
    uint64_t nout = UINT64_C(1) << e->out_order;

    if (guest_read(c->in, gptr_at(e->x.in.extent_start, index << e->in_order, 8), nin * 8) ||
        guest_read(c->gpfn, gptr_at(e->x.out.extent_start, index << e->out_order, 8), nout * 8)) {
        return -EFAULT;
    }
    for (uint64_t i = 0; i < nin; i++) {
        uint64_t last;

        if (__builtin_add_overflow(c->in[i], (UINT64_C(1) << e->x.in.extent_order) - 1, &last)) {
            return -EINVAL;
        }
    }
    for (uint64_t i = 0; i < nout; i++) {
        uint64_t last;

        if (__builtin_add_overflow(c->gpfn[i], (UINT64_C(1) << e->x.out.extent_order) - 1, &last) ||
            last == M2P_INVALID) {
            return -EINVAL;
        }
    }
    return 0;
}

/*
 * The frames change hands, all or none; c->gpfn becomes the new frames' numbers. With `life` held,
 * as a domain that dies meanwhile would not find what is taken off its list, and must not get it
 * back.
 */
static int chunk_trade(struct exchange *e, const struct chunk *c)
{
    uint64_t nin = UINT64_C(1) << e->in_order;
    uint64_t nout = UINT64_C(1) << e->out_order;
    uint64_t taken = 0;
    int rc = domain_is_dying(e->d) ? -EINVAL : 0;

    while (rc == 0 && taken < nin) {
        rc = take_extent(e, c->in[taken]);
        taken += rc == 0;
    }
    if (rc == 0) {
        rc = reserve_extents(e, c->out, nout);
    }
    if (rc) {
        while (taken-- > 0) {
            untake_extent(e, c->in[taken]);
        }
        return rc;
    }

    /* commit */
    for (uint64_t i = 0; i < nin; i++) {
        free_extent(e, c->in[i]);
    }
    for (uint64_t i = 0; i < nout; i++) {
        heap_own(c->out[i], e->x.out.extent_order, e->d, c->gpfn[i]);
        c->gpfn[i] = frame_mfn(c->out[i]).n;
    }
    return 0;
}

/* *swapped says whether the frames have changed hands, whatever became of the answer. */
static int chunk_swap(struct exchange *e, const struct chunk *c, uint64_t index, bool *swapped)
{
    uint64_t nout = UINT64_C(1) << e->out_order;
    int rc = chunk_read(e, c, index);

    if (rc) {
        return rc;
    }
    spin_lock(&e->d->life_lock);
    rc = chunk_trade(e, c);
    spin_unlock(&e->d->life_lock);
    *swapped = rc == 0;
    if (rc == 0 &&
        guest_write(gptr_at(e->x.out.extent_start, index << e->out_order, 8), c->gpfn, nout * 8)) {
        rc = -EFAULT;
    }
    return rc;
}

/* All chunks from where the structure says; it says on return how far they went. */
static int64_t exchange_run(struct exchange *e, const struct chunk *c)
{
    uint64_t index = e->x.nr_exchanged >> e->in_order;
    uint64_t end = e->x.in.nr_extents >> e->in_order;
    int64_t rc = 0;

    for (uint64_t first = index; index < end && rc == 0;) {
        if (index != first && hcall_preempt_check()) {
            rc = HC_AGAIN;
            break;
        }
        bool swapped = false;

        rc = chunk_swap(e, c, index, &swapped);
        index += swapped;
    }
    e->x.nr_exchanged = index << e->in_order;
    return rc;
}

static int64_t exchange_alloc_run(struct exchange *e)
{
    struct chunk c = {
        .in = heap_alloc(0, HEAP_NOSCRUB),
        .gpfn = heap_alloc(0, HEAP_NOSCRUB),
        .out = heap_alloc(0, HEAP_NOSCRUB),
    };
    int64_t rc = c.in && c.gpfn && c.out ? exchange_run(e, &c) : -ENOMEM;

    if (c.in) {
        heap_free(c.in, 0);
    }
    if (c.gpfn) {
        heap_free(c.gpfn, 0);
    }
    if (c.out) {
        heap_free(c.out, 0);
    }
    return rc;
}

/* Shape of the request: both sides the same number of frames, in whole chunks. 0, -EPERM, -EINVAL.
 */
static int exchange_check(struct exchange *e)
{
    const struct xen_memory_reservation *in = &e->x.in;
    const struct xen_memory_reservation *out = &e->x.out;
    unsigned int larger =
        in->extent_order > out->extent_order ? in->extent_order : out->extent_order;

    if (larger > MEM_ORDER_MAX) {
        return -EPERM;
    }
    if (in->nr_extents > UINT32_MAX || out->nr_extents > UINT32_MAX || in->domid != out->domid ||
        in->nr_extents << in->extent_order != out->nr_extents << out->extent_order ||
        e->x.nr_exchanged > in->nr_extents) {
        return -EINVAL;
    }
    e->in_order = larger - in->extent_order;
    e->out_order = larger - out->extent_order;
    if (in->nr_extents & ((UINT64_C(1) << e->in_order) - 1) ||
        e->x.nr_exchanged & ((UINT64_C(1) << e->in_order) - 1)) {
        return -EINVAL;
    }
    return 0;
}

/* arg: struct xen_memory_exchange. 0, -EFAULT, -EPERM, -EINVAL, -ESRCH, -ENOMEM, HC_AGAIN;
 * nr_exchanged always written back. */
int64_t mem_op_exchange(struct vcpu *v, gptr_t arg, struct hcall_args *a)
{
    struct exchange e = { 0 };
    int64_t rc;

    (void)a;
    if (guest_read(&e.x, arg, sizeof(e.x))) {
        return -EFAULT;
    }
    rc = exchange_check(&e);
    if (rc) {
        return rc;
    }
    e.d = domain_get_self_or(v, e.x.in.domid);
    if (!e.d) {
        return -ESRCH;
    }
    rc = priv_check_target(v, e.d);
    if (rc == 0) {
        rc = exchange_alloc_run(&e);
        if (guest_write(gptr(arg.va + offsetof(struct xen_memory_exchange, nr_exchanged)),
                        &e.x.nr_exchanged, sizeof(e.x.nr_exchanged))) {
            rc = -EFAULT;
        }
    }
    domain_put(e.d);
    return rc;
}
