/* SPDX-License-Identifier: MIT */
/*
 * multicall: a list of hypercalls in one.
 *
 * Entries are fetched several at a time, each exactly once, and each gets its result written back
 * on its own.  An entry that yields has its arguments written back, and the multicall itself starts
 * again at that entry; so a caller may see the arguments of an entry changed, as the ABI allows.
 */

#include <stdbool.h>

#include "hcall/hcall.h"

#include "abi/hcall_nr.h"
#include "abi/xen.h"
#include "base/nospec.h"
#include "port/copy.h"
#include "port/cpu.h"

#define BATCH 8u

_Static_assert(offsetof(struct multicall_entry, args) == 16, "args are written back alone");
_Static_assert(sizeof(((struct multicall_entry *)0)->args) == sizeof(struct hcall_args),
               "a handler's arguments are those of the entry");

/* One entry's result: the handler's, -ENOSYS for no such call or for those that do not return,
 * -EPERM. */
static int64_t run_entry(struct vcpu *v, struct multicall_entry *e)
{
    const struct hcall_row *row;

    if (e->op >= HCALL_COUNT || e->op == __HYPERVISOR_multicall) {
        return e->op == __HYPERVISOR_multicall ? -EINVAL : -ENOSYS;
    }
    row = &hcall_table[index_nospec(e->op, HCALL_COUNT)];
    if (!row->fn || (row->flags & HC_NORESULT)) {
        return -ENOSYS;
    }
    if (row->who != WHO_ANY && hcall_check_who(v, row->who)) {
        return -EPERM;
    }
    return row->fn(v, (struct hcall_args *)(void *)e->args);
}

/* Does the entry leave for where the frame on the caller's stack says? */
static bool leaves(const struct multicall_entry *e)
{
    return e->op == __HYPERVISOR_iret && (hcall_table[__HYPERVISOR_iret].flags & HC_NORESULT);
}

/*
 * arg 0: address of the list, arg 1: entries. 0, -EFAULT, HC_AGAIN, HC_LEFT. No lock is held. An
 * iret is the last of its list: what follows was the kernel's to ask for, and this may be user
 * mode.
 */
int64_t hc_multicall(struct vcpu *v, struct hcall_args *a)
{
    struct multicall_entry batch[BATCH];
    gptr_t list = gptr(a->arg[0]);
    uint64_t left = (uint32_t)a->arg[1];
    bool first = true;

    while (left > 0) {
        uint64_t n = left < BATCH ? left : BATCH;
        size_t missing = guest_read(batch, list, n * sizeof(batch[0]));

        n -= (missing + sizeof(batch[0]) - 1) / sizeof(batch[0]);
        for (uint64_t i = 0; i < n; i++) {
            struct multicall_entry *e = &batch[i];
            gptr_t at = gptr_at(list, i, sizeof(*e));
            int64_t rc;

            if (!first && hcall_preempt_check()) {
                a->arg[0] = at.va;
                a->arg[1] = left - i;
                return HC_AGAIN;
            }
            first = false;
            if (leaves(e)) {
                (void)hcall_table[__HYPERVISOR_iret].fn(v, a);
                return HC_LEFT;
            }
            rc = run_entry(v, e);
            if (rc == HC_AGAIN) {
                if (guest_write(gptr(at.va + offsetof(struct multicall_entry, args)), e->args,
                                sizeof(e->args))) {
                    return -EFAULT;
                }
                a->arg[0] = at.va;
                a->arg[1] = left - i;
                return HC_AGAIN;
            }
            e->result = (uint64_t)rc;
            if (guest_write(gptr(at.va + offsetof(struct multicall_entry, result)), &e->result,
                            sizeof(e->result))) {
                return -EFAULT;
            }
        }
        if (missing) {
            return -EFAULT;
        }
        list = gptr_at(list, n, sizeof(batch[0]));
        left -= n;
    }
    return 0;
}
