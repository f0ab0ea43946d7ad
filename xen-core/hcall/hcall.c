/* SPDX-License-Identifier: MIT */
/* From a hypercall's number, and from a sub-operation's, to its handler: rights first, arguments
 * copied once. */
#include "hcall/hcall.h"

#include "port/copy.h"

#include "base/nospec.h"
#include "base/panic.h"
#include "domain/domain.h"
#include "lib/mem.h"

/* Rights by row, before any lock and before any guest memory is read. fails: -EPERM. */
int hcall_check_who(const struct vcpu *v, uint8_t who)
{
    if (who == WHO_ANY) {
        return 0;
    }
    if (who == WHO_HW) {
        return v->d->is_hw ? 0 : -EPERM;
    }
    return v->d->is_ctl ? 0 : -EPERM;
}

/* The one dispatcher of hypercalls. fails: -ENOSYS no such call, -EPERM, or what the handler says.
 * locks: none held. */
int64_t hcall_dispatch(struct vcpu *v, uint64_t nr, struct hcall_args *a)
{
    const struct hcall_row *row = &hcall_table[index_nospec(nr, HCALL_COUNT)];

    if (nr >= HCALL_COUNT || row->fn == NULL) {
        return -ENOSYS;
    }
    if (row->who != WHO_ANY && hcall_check_who(v, row->who) != 0) {
        return -EPERM;
    }
    if (CONFIG_PREEMPT_MEASURE) {
        measure_begin(nr, a->arg[0]);
        int64_t rc = row->fn(v, a);
        measure_end();
        return rc;
    }
    return row->fn(v, a);
}

/*
 * One sub-operation of a family: its argument is copied in once, handed over, and copied out if the
 * row says so. A failed copy out after success is -EFAULT: the operation itself has happened, as
 * the ABI has it. fails: -ENOSYS, -EPERM, -EFAULT, or what the handler says. locks: none held.
 */
int64_t subop_dispatch(struct vcpu *v, const struct subop_row *table, size_t rows, uint64_t op,
                       gptr_t ptr, struct hcall_args *a)
{
    _Alignas(16) uint8_t copy[SUBOP_MAX_SIZE];
    const struct subop_row *row = &table[index_nospec(op, rows)];

    if (op >= rows || row->fn == NULL) {
        return -ENOSYS;
    }
    if (row->who != WHO_ANY && hcall_check_who(v, row->who) != 0) {
        return -EPERM;
    }
    bug_if(row->in > SUBOP_MAX_SIZE || row->out > SUBOP_MAX_SIZE);
    if (row->in != 0 && guest_read(copy, ptr, row->in) != 0) {
        return -EFAULT;
    }
    if (row->out > row->in) {
        memset(copy + row->in, 0, (size_t)(row->out - row->in));
    }

    int64_t rc = row->fn(v, copy, a);

    bool back = rc >= 0 || (row->flags & SUB_ALWAYS) != 0;
    if (rc == HC_AGAIN) {
        back = (row->flags & SUB_BACK) != 0;
    }
    if (row->out != 0 && back && guest_write(ptr, copy, row->out) != 0) {
        return -EFAULT;
    }
    return rc;
}
