/* SPDX-License-Identifier: MIT */
/* x86 parts of the control calls and of the version call: CPU policies, time-stamp counter,
 * hypercall page, topology. */

#include "abi/domctl.h"
#include "abi/features.h"
#include "abi/sysctl.h"
#include "abi/version.h"
#include "cpu/machine.h"
#include "cpu/msr.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/cpuid.h"
#include "guest/ctx.h"
#include "guest/x86_domain.h"
#include "hcall/hcall.h"
#include "lib/str.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "port/copy.h"
#include "port/ctl.h"
#include "port/mmu.h"
#include "port/time.h"

#define LEAF_TOPOLOGY 0xbU
#define TSC_DEFAULT   0U
#define TSC_NEVER     2U

const char port_capabilities[] = "xen-3.0-x86_64";

uint64_t port_hole_start(void)
{
    return HYPERVISOR_VIRT_START;
}

uint32_t port_vm_assist_valid(void)
{
    return VM_ASSIST_VALID;
}

uint32_t port_features(const struct domain *d)
{
    uint32_t f = (1U << XENFEAT_mmu_pt_update_preserve_ad) | (1U << XENFEAT_highmem_assist) |
                 (1U << XENFEAT_gnttab_map_avail_bits);

    if (d->vm_assist & (1U << VMASST_TYPE_pae_extended_cr3)) {
        f |= 1U << XENFEAT_pae_pgdir_above_4gb;
    }
    if (d->is_hw) {
        f |= 1U << XENFEAT_dom0;
    }
    return f;
}

/* ---- topology ---- */

/* Widths of the parts of an APIC id, from the leaf that enumerates them; without it every cpu is a
 * socket. */
static void topology(uint32_t *thread_bits, uint32_t *socket_shift)
{
    struct cpuid_leaf l;

    *thread_bits = 0;
    *socket_shift = 0;
    cpu_cpuid(0, 0, &l);
    if (l.a < LEAF_TOPOLOGY) {
        return;
    }
    cpu_cpuid(LEAF_TOPOLOGY, 0, &l);
    if (l.b == 0) {
        return;
    }
    *thread_bits = l.a & 31;
    cpu_cpuid(LEAF_TOPOLOGY, 1, &l);
    *socket_shift = l.b ? l.a & 31 : *thread_bits;
}

bool port_cpu_place(unsigned int cpu, struct port_cpu_place *place)
{
    uint32_t thread_bits;
    uint32_t socket_shift;
    uint32_t apic;
    uint32_t acpi;

    if (!cpu_ids(cpu, &apic, &acpi)) {
        return false;
    }
    topology(&thread_bits, &socket_shift);
    place->socket = apic >> socket_shift;
    place->core = (apic & ((1U << socket_shift) - 1)) >> thread_bits;
    return true;
}

void port_physinfo(struct xen_sysctl_physinfo *pi)
{
    uint32_t words[CPUID_FEATURE_WORDS];
    uint32_t threads = 1;
    uint32_t cores = 1;
    struct cpuid_leaf l;

    cpu_cpuid(0, 0, &l);
    if (l.a >= LEAF_TOPOLOGY) {
        cpu_cpuid(LEAF_TOPOLOGY, 0, &l);
        threads = l.b & 0xffff ? l.b & 0xffff : 1;
        cpu_cpuid(LEAF_TOPOLOGY, 1, &l);
        cores = (l.b & 0xffff) / threads ? (l.b & 0xffff) / threads : 1;
    }
    pi->threads_per_core = threads;
    pi->cores_per_socket = cores;
    cpuid_featureset(CPUID_HOST, words);
    _Static_assert(sizeof(pi->hw_cap) <= sizeof(words), "hw_cap is the first words of the host's");
    memcpy(pi->hw_cap, words, sizeof(pi->hw_cap));
}

/* ---- domctl ---- */

bool port_context_online(const void *ctx)
{
    return (((const struct vcpu_guest_context *)ctx)->flags & VGCF_online) != 0;
}

/* 64-bit is what every domain has; the builder says so before it gives memory. */
int64_t port_domctl_set_address_size(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    (void)v;
    (void)d;
    return op->u.address_size.size == 64 ? 0 : -EINVAL;
}

int64_t port_domctl_get_address_size(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    (void)v;
    (void)d;
    op->u.address_size.size = 64;
    return 0;
}

/* Guests read the counter itself; a mode that would have to emulate it is refused. */
int64_t port_domctl_settscinfo(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_tsc_info *t = &op->u.tsc_info;

    (void)v;
    if (t->tsc_mode > 3) {
        return -EINVAL;
    }
    if (t->tsc_mode != TSC_DEFAULT && t->tsc_mode != TSC_NEVER) {
        return -EOPNOTSUPP;
    }
    d->arch.tsc_mode = t->tsc_mode;
    d->arch.tsc_incarnation = t->incarnation;
    return 0;
}

int64_t port_domctl_gettscinfo(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    (void)v;
    memset(&op->u.tsc_info, 0, sizeof(op->u.tsc_info));
    op->u.tsc_info.tsc_mode = d->arch.tsc_mode;
    op->u.tsc_info.gtsc_khz = d->arch.tsc_khz;
    op->u.tsc_info.incarnation = d->arch.tsc_incarnation;
    op->u.tsc_info.elapsed_nsec = port_time_now();
    return 0;
}

/* The policy's leaves are copied once and checked as a whole before any of them counts. No register
 * of ours is in one, so a list of them must be empty. err_ fields tell the record refused. */
int64_t port_domctl_set_cpu_policy(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    struct xen_domctl_cpu_policy *p = &op->u.cpu_policy;
    struct xen_cpuid_leaf *leaves;
    int64_t rc;

    (void)v;
    p->err_leaf = XEN_CPUID_INPUT_UNUSED;
    p->err_subleaf = XEN_CPUID_INPUT_UNUSED;
    p->err_msr = XEN_CPUID_INPUT_UNUSED;
    if (p->nr_leaves > PAGE_SIZE / sizeof(*leaves)) {
        return -E2BIG;
    }
    if (p->nr_msrs) {
        struct xen_msr_entry m;

        if (guest_read(&m, p->msrs, sizeof(m))) {
            return -EFAULT;
        }
        p->err_msr = m.idx;
        return -EINVAL;
    }
    leaves = heap_alloc(0, HEAP_NOSCRUB);
    if (!leaves) {
        return -ENOMEM;
    }
    if (guest_read(leaves, p->leaves, p->nr_leaves * sizeof(*leaves))) {
        rc = -EFAULT;
    } else {
        domain_pause(d);
        spin_lock(&d->life_lock); /* two at once would make a policy each */
        rc = cpuid_set(d, leaves, p->nr_leaves, &p->err_leaf, &p->err_subleaf);
        spin_unlock(&d->life_lock);
        domain_unpause(d);
    }
    heap_free(leaves, 0);
    return rc;
}

/* Copies a policy out; *count: room, then records. 0, -ENOBUFS, -EFAULT. A null address only asks
 * for the number. */
static int64_t policy_out(const struct x86_cpuid_policy *p, gptr_t to, uint32_t *count)
{
    uint32_t room = *count;

    *count = p->count;
    if (to.va == 0) {
        return 0;
    }
    if (room < p->count) {
        return -ENOBUFS;
    }
    return guest_write(to, p->leaf, p->count * sizeof(p->leaf[0])) ? -EFAULT : 0;
}

int64_t port_domctl_get_cpu_policy(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    struct xen_domctl_cpu_policy *p = &op->u.cpu_policy;

    (void)v;
    p->nr_msrs = 0;
    return policy_out(cpuid_domain(d), p->leaves, &p->nr_leaves);
}

/* An NMI is all that a paravirtualized vcpu can be sent. 0, -EINVAL, -ESRCH (not made yet). */
int64_t port_domctl_sendtrigger(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_sendtrigger *s = &op->u.sendtrigger;
    struct vcpu *t = vcpu_get(d, s->vcpu);

    (void)v;
    if (s->vcpu >= d->max_vcpus || s->trigger != XEN_DOMCTL_SENDTRIGGER_NMI) {
        return -EINVAL;
    }
    if (!t) {
        return -ESRCH;
    }
    __atomic_store_n(&t->arch.nmi_pending, true, __ATOMIC_RELEASE);
    vcpu_kick(t);
    return 0;
}

/* Fills a page of d's with the call stubs. -EINVAL: not a page that d could write itself. */
int64_t port_domctl_hypercall_init(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    struct frame *f = frame_of(MFN(op->u.hypercall_init.gmfn));

    (void)v;
    if (!f || frame_get_writable(f, d)) {
        return -EINVAL;
    }
    x86_hypercall_page_fill(port_frame_va(frame_mfn(f)));
    frame_put_writable(f);
    return 0;
}

/* ---- sysctl ---- */

/* No masking of CPUID for user space: guests see what the processor shows. */
int64_t port_sysctl_get_cpu_levelling_caps(struct vcpu *v, struct xen_sysctl *op)
{
    (void)v;
    op->u.cpu_levelling_caps.caps = 0;
    return 0;
}

int64_t port_sysctl_get_cpu_featureset(struct vcpu *v, struct xen_sysctl *op)
{
    struct xen_sysctl_cpu_featureset *s = &op->u.cpu_featureset;
    uint32_t words[CPUID_FEATURE_WORDS];
    enum cpuid_system_policy which;
    uint32_t n;

    (void)v;
    switch (s->index) {
    case XEN_SYSCTL_cpu_featureset_raw:
        which = CPUID_RAW;
        break;
    case XEN_SYSCTL_cpu_featureset_host:
        which = CPUID_HOST;
        break;
    case XEN_SYSCTL_cpu_featureset_pv:
    case XEN_SYSCTL_cpu_featureset_pv_max:
        which = CPUID_PV_MAX;
        break;
    default:
        return s->index <= XEN_SYSCTL_cpu_featureset_hvm_max ? -EOPNOTSUPP : -EINVAL;
    }
    n = s->nr_features;
    s->nr_features = CPUID_FEATURE_WORDS;
    if (s->features.va == 0) {
        return 0;
    }
    s->nr_features = n < CPUID_FEATURE_WORDS ? n : CPUID_FEATURE_WORDS;
    cpuid_featureset(which, words);
    if (guest_write(s->features, words, s->nr_features * sizeof(words[0]))) {
        return -EFAULT;
    }
    return n < CPUID_FEATURE_WORDS ? -ENOBUFS : 0;
}

int64_t port_sysctl_get_cpu_policy(struct vcpu *v, struct xen_sysctl *op)
{
    struct xen_sysctl_cpu_policy *p = &op->u.cpu_policy;
    enum cpuid_system_policy which;

    (void)v;
    if (p->_rsvd) {
        return -EINVAL;
    }
    switch (p->index) {
    case XEN_SYSCTL_cpu_policy_raw:
        which = CPUID_RAW;
        break;
    case XEN_SYSCTL_cpu_policy_host:
        which = CPUID_HOST;
        break;
    case XEN_SYSCTL_cpu_policy_pv_max:
    case XEN_SYSCTL_cpu_policy_pv_default:
        which = CPUID_PV_MAX;
        break;
    default:
        return p->index <= XEN_SYSCTL_cpu_policy_hvm_default ? -EOPNOTSUPP : -EINVAL;
    }
    p->nr_msrs = 0;
    return policy_out(cpuid_system(which), p->leaves, &p->nr_leaves);
}
