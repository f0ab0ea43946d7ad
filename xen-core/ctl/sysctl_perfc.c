/* SPDX-License-Identifier: MIT */
/* sysctl perfc_op: the counters, one value per cpu each. */

#include "ctl/ctl.h"

#include "base/counter.h"
#include "lib/mem.h"
#include "port/copy.h"
#include "port/cpu.h"

/* 0, -EFAULT. */
static int64_t write_descriptions(gptr_t to, uint32_t cpus)
{
    for (uint32_t i = 0; i < CNT_MAX; i++) {
        struct xen_sysctl_perfc_desc d = { .nr_vals = cpus };
        const char *name = counter_names[i];

        for (size_t k = 0; k < sizeof(d.name) - 1 && name[k] != '\0'; k++) {
            d.name[k] = name[k];
        }
        if (guest_write(gptr_at(to, i, sizeof(d)), &d, sizeof(d))) {
            return -EFAULT;
        }
    }
    return 0;
}

/* 0, -EFAULT. */
static int64_t write_values(gptr_t to, uint32_t cpus)
{
    for (uint32_t i = 0; i < CNT_MAX; i++) {
        for (uint32_t cpu = 0; cpu < cpus; cpu++) {
            uint32_t val = (uint32_t)counter_read(cpu, (enum counter)i);

            if (guest_write(gptr_at(to, (uint64_t)i * cpus + cpu, sizeof(val)), &val,
                            sizeof(val))) {
                return -EFAULT;
            }
        }
    }
    return 0;
}

/* A caller without room for descriptions or values gives null for them and learns how many there
 * are. 0, -EINVAL (sub-operation), -EFAULT. */
int64_t sysctl_perfc_op(struct vcpu *v, struct xen_sysctl *op)
{
    struct xen_sysctl_perfc_op *p = &op->u.perfc_op;
    uint32_t cpus = port_cpu_count();
    int64_t rc = 0;

    (void)v;
    switch (p->cmd) {
    case XEN_SYSCTL_PERFCOP_reset:
        counters_reset();
        break;
    case XEN_SYSCTL_PERFCOP_query:
        break;
    default:
        return -EINVAL;
    }
    p->nr_counters = CNT_MAX;
    p->nr_vals = CNT_MAX * cpus;
    if (p->desc.va != 0) {
        rc = write_descriptions(p->desc, cpus);
    }
    return rc == 0 && p->val.va != 0 ? write_values(p->val, cpus) : rc;
}
