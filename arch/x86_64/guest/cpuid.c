/* SPDX-License-Identifier: MIT */
/*
 * CPUID for guests.
 *
 * The instruction itself cannot be intercepted in ring 3 on processors without CPUID faulting; PV
 * kernels ask through the forced emulation prefix, and get what stands here.  A bit is offered if
 * the processor has it and PV can honour it: the allow masks below are by feature word (SDM vol. 2A
 * CPUID; APM vol. 3 appendix E).
 */
#include "guest/cpuid.h"

#include "abi/errno.h"
#include "abi/hcall_nr.h"
#include "cpu/msr.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/trap.h"
#include "guest/x86_flags.h"
#include "lib/str.h"
#include "mm/heap.h"

#define BIT(n) (UINT32_C(1) << (n))

/* 1.edx without VME, PSE, MTRR, PGE, PSE36: paging and legacy modes that PV does not have. */
#define ALLOW_1D                                                                                 \
    (BIT(0) | BIT(2) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(9) | BIT(11) | BIT(14) | \
     BIT(15) | BIT(16) | BIT(19) | BIT(22) | BIT(23) | BIT(24) | BIT(25) | BIT(26) | BIT(27) |   \
     BIT(28))
/* 1.ecx without MONITOR, VMX, SMX, PCID, x2APIC, TSC deadline. */
#define ALLOW_1C                                                                            \
    (BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | \
     BIT(25) | BIT(26) | BIT(27) | BIT(28) | BIT(29) | BIT(30) | BIT(31))
/* 7.0.ebx without SMEP, INVPCID, SMAP, MPX, resource control, PT. */
#define ALLOW_7B0                                                                                  \
    (BIT(0) | BIT(3) | BIT(4) | BIT(5) | BIT(8) | BIT(9) | BIT(11) | BIT(13) | BIT(16) | BIT(17) | \
     BIT(18) | BIT(19) | BIT(21) | BIT(23) | BIT(24) | BIT(28) | BIT(29) | BIT(30) | BIT(31))
/* 7.0.ecx without UMIP, PKU, LA57, CET. */
#define ALLOW_7C0                                                                          \
    (BIT(1) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14) | BIT(22) | \
     BIT(25) | BIT(27) | BIT(28))
/* 7.0.edx: FSRM, MD_CLEAR, SERIALIZE; the speculation MSRs are not offered. */
#define ALLOW_7D0 (BIT(2) | BIT(3) | BIT(4) | BIT(10) | BIT(14))
#define ALLOW_7A1 (BIT(4) | BIT(5) | BIT(10) | BIT(11) | BIT(12))
/* 0x80000001.edx: SYSCALL, NX, MMXEXT, FFXSR, RDTSCP, LM, 3DNow and AMD's copies of leaf 1. */
#define COPY_1D UINT32_C(0x0183f3ff)
#define ALLOW_E1D                                                                    \
    (BIT(11) | BIT(20) | BIT(22) | BIT(25) | BIT(27) | BIT(29) | BIT(30) | BIT(31) | \
     (ALLOW_1D & COPY_1D))
/* 0x80000001.ecx without SVM, IBS, SKINIT, WDT, LWP, performance counters. */
#define ALLOW_E1C \
    (BIT(0) | BIT(1) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | BIT(16) | BIT(21) | BIT(22))
#define ALLOW_DA1 (BIT(0) | BIT(1) | BIT(2))
#define ALLOW_E7D BIT(8)
#define ALLOW_E8B (BIT(0) | BIT(2) | BIT(9))

#define BASIC_LAST    0xdu
#define EXTENDED_BASE 0x80000000u
#define EXTENDED_LAST 0x8000001cu
#define LEAF_CACHE    4u
#define LEAF_FEATURES 7u
#define LEAF_TOPOLOGY 0xbu
#define LEAF_XSTATE   0xdu

static struct x86_cpuid_policy system_policy[CPUID_SYSTEM_POLICIES];

static struct xen_cpuid_leaf *find(struct x86_cpuid_policy *p, uint32_t leaf, uint32_t subleaf)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->leaf[i].leaf == leaf &&
            (p->leaf[i].subleaf == subleaf || p->leaf[i].subleaf == XEN_CPUID_NO_SUBLEAF)) {
            return &p->leaf[i];
        }
    }
    return NULL;
}

static void append(struct x86_cpuid_policy *p, uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_leaf l;

    if (p->count == CPUID_LEAVES_MAX) {
        return;
    }
    cpu_cpuid(leaf, subleaf == XEN_CPUID_NO_SUBLEAF ? 0 : subleaf, &l);
    p->leaf[p->count++] = (struct xen_cpuid_leaf){
        .leaf = leaf, .subleaf = subleaf, .a = l.a, .b = l.b, .c = l.c, .d = l.d
    };
}

/* Number of subleaves of a leaf that has them; 0 for one that has none. */
static uint32_t subleaves(uint32_t leaf)
{
    struct cpuid_leaf l;

    switch (leaf) {
    case LEAF_CACHE:
        return 6;
    case LEAF_FEATURES:
        cpu_cpuid(leaf, 0, &l);
        return l.a < 2 ? l.a + 1 : 3;
    case LEAF_TOPOLOGY:
        return 2;
    case LEAF_XSTATE:
        return 20;
    default:
        return 0;
    }
}

static void read_range(struct x86_cpuid_policy *p, uint32_t first, uint32_t limit)
{
    struct cpuid_leaf l;

    cpu_cpuid(first, 0, &l);
    uint32_t last = l.a < first ? first : l.a;
    if (last > limit) {
        last = limit;
    }
    for (uint32_t leaf = first; leaf <= last; leaf++) {
        uint32_t n = subleaves(leaf);
        if (n == 0) {
            append(p, leaf, XEN_CPUID_NO_SUBLEAF);
        }
        for (uint32_t s = 0; s < n; s++) {
            append(p, leaf, s);
        }
    }
}

/* What remains of a leaf for PV. */
static void cut(struct xen_cpuid_leaf *l)
{
    uint64_t xcr0 = cpu_xstate_features();

    switch (l->leaf) {
    case 0:
        l->a = l->a > BASIC_LAST ? BASIC_LAST : l->a;
        break;
    case 1:
        l->b &= 0x00ffffff;
        l->c = (l->c & ALLOW_1C) | BIT(31);
        l->d &= ALLOW_1D;
        if (xcr0 == 0) {
            l->c &= ~(BIT(26) | BIT(27) | BIT(28) | BIT(12) | BIT(29));
        }
        break;
    case LEAF_FEATURES:
        l->b &= l->subleaf == 0 ? ALLOW_7B0 : 0;
        l->c &= l->subleaf == 0 ? ALLOW_7C0 : 0;
        l->d &= l->subleaf == 0 ? ALLOW_7D0 : 0;
        l->a = l->subleaf == 0 ? (l->a > 2 ? 2 : l->a) : l->subleaf == 1 ? l->a & ALLOW_7A1 : 0;
        break;
    case LEAF_XSTATE:
        if (l->subleaf == 0) {
            l->a &= (uint32_t)xcr0;
            l->d &= (uint32_t)(xcr0 >> 32);
            l->c = cpu_xstate_size();
            l->b = cpu_xstate_size();
        } else if (l->subleaf == 1) {
            l->a &= ALLOW_DA1;
            l->b = 0;
            l->c = 0;
            l->d = 0;
        } else if (l->subleaf < 63 && !(xcr0 >> l->subleaf & 1)) {
            l->a = l->b = l->c = l->d = 0;
        }
        break;
    case 5: /* MWAIT, power, performance monitoring, topology: the hypervisor's business */
    case 6:
    case 0xa:
    case LEAF_TOPOLOGY:
        l->a = l->b = l->c = l->d = 0;
        break;
    case EXTENDED_BASE:
        l->a = l->a > EXTENDED_LAST ? EXTENDED_LAST : l->a;
        break;
    case EXTENDED_BASE + 1:
        l->c &= ALLOW_E1C;
        l->d &= ALLOW_E1D;
        break;
    case EXTENDED_BASE + 7:
        l->a = l->b = l->c = 0;
        l->d &= ALLOW_E7D;
        break;
    case EXTENDED_BASE + 8:
        l->b &= ALLOW_E8B;
        l->c = 0;
        l->d = 0;
        break;
    default:
        if (l->leaf >= EXTENDED_BASE + 0xa) {
            l->a = l->b = l->c = l->d = 0;
        }
        break;
    }
}

void cpuid_init(void)
{
    struct x86_cpuid_policy *raw = &system_policy[CPUID_RAW];

    raw->count = 0;
    read_range(raw, 0, BASIC_LAST);
    read_range(raw, EXTENDED_BASE, EXTENDED_LAST);
    system_policy[CPUID_HOST] = *raw;
    system_policy[CPUID_PV_MAX] = *raw;
    struct x86_cpuid_policy *pv = &system_policy[CPUID_PV_MAX];
    for (uint32_t i = 0; i < pv->count; i++) {
        cut(&pv->leaf[i]);
    }
}

const struct x86_cpuid_policy *cpuid_system(enum cpuid_system_policy which)
{
    return &system_policy[which];
}

const struct x86_cpuid_policy *cpuid_domain(const struct domain *d)
{
    return d->arch.policy != NULL ? d->arch.policy : &system_policy[CPUID_PV_MAX];
}

/* Leaves whose registers are sets of features: a policy may only take bits away. */
static bool is_feature_leaf(const struct xen_cpuid_leaf *l)
{
    return l->leaf == EXTENDED_BASE + 1 || (l->leaf == LEAF_FEATURES && l->subleaf == 0) ||
           l->leaf == 1;
}

static bool within(const struct xen_cpuid_leaf *want, const struct xen_cpuid_leaf *max)
{
    if (!is_feature_leaf(want)) {
        return true;
    }
    if ((want->c & ~max->c) != 0 || (want->d & ~max->d) != 0) {
        return false;
    }
    return want->leaf != LEAF_FEATURES || (want->b & ~max->b) == 0;
}

int cpuid_set(struct domain *d, const struct xen_cpuid_leaf *leaves, uint32_t count,
              uint32_t *bad_leaf, uint32_t *bad_subleaf)
{
    struct x86_cpuid_policy *max = &system_policy[CPUID_PV_MAX];

    for (uint32_t i = 0; i < count; i++) {
        const struct xen_cpuid_leaf *l = &leaves[i];
        const struct xen_cpuid_leaf *m = find(max, l->leaf, l->subleaf);
        bool zero = (l->a | l->b | l->c | l->d) == 0;
        bool hypervisor = l->leaf >= XEN_CPUID_FIRST_LEAF && l->leaf < XEN_CPUID_FIRST_LEAF + 0x100;
        if (!zero && !hypervisor && (m == NULL || !within(l, m))) {
            *bad_leaf = l->leaf;
            *bad_subleaf = l->subleaf;
            return -EINVAL;
        }
    }
    if (d->arch.policy == NULL) {
        struct x86_cpuid_policy *p = heap_alloc(0, HEAP_ANY);
        if (p == NULL) {
            return -ENOMEM;
        }
        *p = *max;
        d->arch.policy = p;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct xen_cpuid_leaf *p = find(d->arch.policy, leaves[i].leaf, leaves[i].subleaf);
        if (p != NULL) {
            uint32_t subleaf = p->subleaf;
            *p = leaves[i];
            p->subleaf = subleaf;
        }
    }
    return 0;
}
_Static_assert(sizeof(struct x86_cpuid_policy) <= PAGE_SIZE, "a policy is one frame");

void cpuid_destroy(struct domain *d)
{
    if (d->arch.policy != NULL) {
        heap_free(d->arch.policy, 0);
        d->arch.policy = NULL;
    }
}

void cpuid_featureset(enum cpuid_system_policy which, uint32_t w[CPUID_FEATURE_WORDS])
{
    static const struct xen_cpuid_leaf none;
    struct x86_cpuid_policy *p = &system_policy[which];
    const struct xen_cpuid_leaf *l1 = find(p, 1, 0);
    const struct xen_cpuid_leaf *e1 = find(p, EXTENDED_BASE + 1, 0);
    const struct xen_cpuid_leaf *d1 = find(p, LEAF_XSTATE, 1);
    const struct xen_cpuid_leaf *f0 = find(p, LEAF_FEATURES, 0);
    const struct xen_cpuid_leaf *f1 = find(p, LEAF_FEATURES, 1);
    const struct xen_cpuid_leaf *f2 = find(p, LEAF_FEATURES, 2);
    const struct xen_cpuid_leaf *e7 = find(p, EXTENDED_BASE + 7, 0);
    const struct xen_cpuid_leaf *e8 = find(p, EXTENDED_BASE + 8, 0);

    l1 = l1 ? l1 : &none;
    e1 = e1 ? e1 : &none;
    d1 = d1 ? d1 : &none;
    f0 = f0 ? f0 : &none;
    f1 = f1 ? f1 : &none;
    f2 = f2 ? f2 : &none;
    e7 = e7 ? e7 : &none;
    e8 = e8 ? e8 : &none;
    const uint32_t words[CPUID_FEATURE_WORDS] = { l1->d, l1->c, e1->d, e1->c, d1->a, f0->b,
                                                  f0->c, e7->d, e8->b, f0->d, f1->a, 0,
                                                  f1->b, f2->d, f1->c, f1->d };
    memcpy(w, words, sizeof words);
}

/* The hypervisor's own leaves: identity, version, what PV offers (abi: arch-x86/cpuid.h). */
static void hypervisor_leaf(struct vcpu *v, uint32_t index, uint32_t subleaf,
                            struct cpuid_leaf *out)
{
    const struct domain *d = v->d;

    *out = (struct cpuid_leaf){ 0 };
    switch (index) {
    case 0:
        out->a = XEN_CPUID_FIRST_LEAF + XEN_CPUID_MAX_NUM_LEAVES;
        out->b = XEN_CPUID_SIGNATURE_EBX;
        out->c = XEN_CPUID_SIGNATURE_ECX;
        out->d = XEN_CPUID_SIGNATURE_EDX;
        break;
    case 1:
        out->a = UINT32_C(4) << 16 | 17;
        break;
    case 2:
        out->a = 1;
        out->b = XEN_CPUID_FIRST_LEAF;
        out->c = XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD;
        break;
    case 3:
        if (subleaf == 0) {
            out->a = (d->arch.vtsc ? BIT(0) : BIT(1)) | BIT(2);
            out->b = d->arch.tsc_mode;
            out->c = d->arch.tsc_khz;
            out->d = d->arch.tsc_incarnation;
        }
        break;
    case 5:
        if (subleaf == 0) {
            uint64_t top = frame_limit << PAGE_SHIFT;
            out->b = top <= 1 ? 0 : 64u - (uint32_t)__builtin_clzll(top - 1);
        }
        break;
    default:
        break;
    }
}

void guest_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *out)
{
    if (leaf >= XEN_CPUID_FIRST_LEAF && leaf < XEN_CPUID_FIRST_LEAF + 0x100) {
        hypervisor_leaf(v, leaf - XEN_CPUID_FIRST_LEAF, subleaf, out);
        return;
    }
    struct x86_cpuid_policy *p =
        v->d->arch.policy != NULL ? v->d->arch.policy : &system_policy[CPUID_PV_MAX];
    const struct xen_cpuid_leaf *l = find(p, leaf, subleaf);
    if (l == NULL) {
        *out = (struct cpuid_leaf){ 0 };
        return;
    }
    *out = (struct cpuid_leaf){ .a = l->a, .b = l->b, .c = l->c, .d = l->d };
    if (leaf == 1) {
        /* Two per vcpu, so that no two look like threads of one core. */
        out->b |= v->id << 25;
        /* OSXSAVE is the processor's, on for all: PV kernels take it as the leave to use XSAVE. */
        if (out->c & BIT(26)) {
            out->c |= BIT(27);
        }
        if (!v->d->is_hw) {
            out->d &= ~BIT(22);
        }
    }
    if (leaf == LEAF_XSTATE && subleaf == 0) {
        /* ebx is the size for what is enabled now: the processor knows. */
        struct cpuid_leaf hw;
        cpu_cpuid(leaf, 0, &hw);
        out->b = hw.b;
    }
}

uint64_t guest_cr4(struct vcpu *v, uint64_t val)
{
    struct cpuid_leaf l;

    guest_cpuid(v, 7, 0, &l);
    return val & (CR4_TSD | CR4_DE | CR4_OSXSAVE | ((l.b & BIT(0)) != 0 ? CR4_FSGSBASE : 0));
}
