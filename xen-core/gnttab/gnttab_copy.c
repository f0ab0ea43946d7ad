/* SPDX-License-Identifier: MIT */
/* GNTTABOP_copy: bytes between two frames, each the caller's own or granted to it. */
#include "gnttab/gnttab_priv.h"

#include "port/mmu.h"

#include "domain/domain.h"
#include "gnttab/gnttab.h"
#include "lib/mem.h"

/* One side of a copy, held. */
struct side {
    struct domain *granter; /* NULL: the caller's own frame */
    uint32_t ref;
    struct frame *f;
    mfn_t mfn;
    bool write;
};

static int16_t side_get_own(struct domain *d, const struct gnttab_copy_ptr *p, struct side *s)
{
    if (p->domid != DOMID_SELF) {
        return GNTST_permission_denied;
    }
    s->mfn = MFN(p->u.gmfn);
    s->f = frame_of(s->mfn);
    if (s->f == NULL) {
        return GNTST_bad_page;
    }
    if (frame_get(s->f, d) != 0) {
        return GNTST_bad_page;
    }
    /* Its own, but perhaps a page table now. */
    if (s->write && frame_get_type(s->f, FT_WRITABLE) != 0) {
        frame_put(s->f);
        return GNTST_general_error;
    }
    return GNTST_okay;
}

static int16_t side_get_grant(struct domain *d, const struct gnttab_copy_ptr *p, struct side *s)
{
    struct domain *rd = domain_get(p->domid == DOMID_SELF ? d->id : p->domid);

    if (rd == NULL) {
        return GNTST_bad_domain;
    }
    int16_t status =
        domain_is_dying(rd) ? GNTST_bad_domain : gnttab_pin(rd, p->u.ref, d->id, s->write, &s->mfn);
    if (status != GNTST_okay) {
        domain_put(rd);
        return status;
    }
    s->granter = rd;
    s->ref = p->u.ref;
    return GNTST_okay;
}

static int16_t side_get(struct domain *d, const struct gnttab_copy_ptr *p, bool gref,
                        struct side *s)
{
    return gref ? side_get_grant(d, p, s) : side_get_own(d, p, s);
}

static void side_put(const struct side *s)
{
    if (s->granter != NULL) {
        gnttab_unpin(s->granter, s->ref, s->write);
        domain_put(s->granter);
    } else if (s->write) {
        frame_put_writable(s->f);
    } else {
        frame_put(s->f);
    }
}

/* One element; a GNTST_ status. locks: takes gnttab of the granters, one after the other. */
int16_t gnttab_copy_one(struct domain *d, const struct gnttab_copy *op)
{
    struct side src = { .write = false };
    struct side dst = { .write = true };

    if ((op->flags & ~(GNTCOPY_source_gref | GNTCOPY_dest_gref)) != 0 ||
        (uint64_t)op->source.offset + op->len > PAGE_SIZE ||
        (uint64_t)op->dest.offset + op->len > PAGE_SIZE) {
        return GNTST_bad_copy_arg;
    }
    int16_t status = side_get(d, &op->source, (op->flags & GNTCOPY_source_gref) != 0, &src);
    if (status != GNTST_okay) {
        return status;
    }
    status = side_get(d, &op->dest, (op->flags & GNTCOPY_dest_gref) != 0, &dst);
    if (status == GNTST_okay) {
        memmove((uint8_t *)port_frame_va(dst.mfn) + op->dest.offset,
                (const uint8_t *)port_frame_va(src.mfn) + op->source.offset, op->len);
        side_put(&dst);
    }
    side_put(&src);
    return status;
}
