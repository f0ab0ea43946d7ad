/* SPDX-License-Identifier: MIT */
/* x86 parts of control and memory calls: policies, maps, topology, features. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fake_core.h"

#include "abi/domctl.h"
#include "abi/features.h"
#include "abi/memory.h"
#include "abi/sysctl.h"
#include "cpu/machine.h"
#include "cpu/msr.h"
#include "guest/cpuid.h"
#include "guest/x86_domain.h"
#include "mm/heap.h"
#include "port/copy.h"
#include "port/ctl.h"
#include "start/boot_info.h"

#define ARG FAKE_GUEST_VA
#define BUF (FAKE_GUEST_VA + 8192)

static struct hcall_args none;
static bool has_topology;

/* A processor of two threads on each of four cores, with all features that can be. */
void cpu_cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *out)
{
    *out = (struct cpuid_leaf){ 0 };
    switch (leaf) {
    case 0:
        out->a = has_topology ? 0xd : 7;
        break;
    case 0x80000000:
        out->a = 0x80000008;
        break;
    case 7:
        out->b = out->c = out->d = subleaf ? 0 : UINT32_MAX;
        break;
    case 0xb:
        out->a = subleaf ? 3 : 1;
        out->b = subleaf ? 8 : 2;
        break;
    case 1:
    case 0x80000001:
        out->c = out->d = UINT32_MAX;
        break;
    default:
        break;
    }
}

uint64_t cpu_xstate_features(void)
{
    return 7;
}

uint32_t cpu_xstate_size(void)
{
    return 832;
}

bool cpu_ids(unsigned int cpu, uint32_t *apic_id, uint32_t *acpi_id)
{
    *apic_id = cpu;
    *acpi_id = cpu + 100;
    return cpu < 16;
}

/* Four pieces, the third of them a hole. */
bool cpu_m2p_extent(uint64_t n, mfn_t *mfn)
{
    *mfn = n == 2 ? INVALID_MFN : MFN(1000 + n * 512);
    return n < 4;
}

void x86_hypercall_page_fill(void *page)
{
    memset(page, 0xc3, PAGE_SIZE);
}

static int setup(void **state)
{
    fake_setup(state);
    has_topology = true;
    cpuid_init();
    return 0;
}

static int teardown(void **state)
{
    cpuid_destroy(&fake.dom[1]);
    for (unsigned int i = 0; i < FAKE_DOMAINS; i++) {
        if (fake.dom[i].arch.e820) {
            heap_free(fake.dom[i].arch.e820, 0);
        }
    }
    return fake_teardown(state);
}

static void test_machine_map(void **state)
{
    static struct boot_info bi;
    struct xen_memory_map *m = fake_at(ARG);
    struct e820entry *e = fake_at(BUF);

    (void)state;
    bi.range_count = 6;
    bi.ranges[0] = (struct boot_range){ 0, 0x80000, BOOT_USABLE, 0, 0 };
    bi.ranges[1] = (struct boot_range){ 0x80000, 0xa0000, BOOT_LOADER, 0, 0 };
    bi.ranges[2] = (struct boot_range){ 0xa0000, 0xb0000, BOOT_RUNTIME_CODE, 0, 0 };
    bi.ranges[3] = (struct boot_range){ 0x100000, 0x200000, BOOT_IMAGE, 0, 0 };
    bi.ranges[4] = (struct boot_range){ 0x200000, 0x300000, BOOT_ACPI, 0, 0 };
    bi.ranges[5] = (struct boot_range){ 0x300000, 0x400000, BOOT_ACPI_NVS, 0, 0 };
    port_memory_map_init(&bi);
    assert_int_equal(port_ram_frames(), 0xa0 + 0x100);
    *m = (struct xen_memory_map){ 10, { BUF } };
    assert_int_equal(port_machine_memory_map(fake_caller(1), gptr(ARG), &none), -EPERM);
    assert_int_equal(port_machine_memory_map(fake_caller(0), gptr(ARG), &none), 0);
    assert_int_equal(m->nr_entries, 5);
    assert_int_equal(e[0].size, 0xa0000);
    assert_int_equal(e[0].type, E820_RAM);
    assert_int_equal(e[1].type, E820_RESERVED);
    assert_int_equal(e[2].addr, 0x100000);
    assert_int_equal(e[3].type, E820_ACPI);
    assert_int_equal(e[4].type, E820_NVS);
    *m = (struct xen_memory_map){ 4, { BUF } };
    assert_int_equal(port_machine_memory_map(fake_caller(0), gptr(ARG), &none), -EINVAL);
    assert_int_equal(m->nr_entries, 4);
    assert_int_equal(port_machine_memory_map(fake_caller(0), gptr(64), &none), -EFAULT);
    *m = (struct xen_memory_map){ 5, { 64 } };
    assert_int_equal(port_machine_memory_map(fake_caller(0), gptr(ARG), &none), -EFAULT);
}

static int64_t set_map(unsigned int caller, domid_t id, uint32_t n, uint64_t from)
{
    struct xen_foreign_memory_map fm = { id, { n, { from } } };

    fake_put(0, &fm, sizeof(fm));
    return port_set_memory_map(fake_caller(caller), gptr(ARG), &none);
}

static void test_domain_map(void **state)
{
    struct e820entry map[2] = { { 0, 0x10000, E820_RAM }, { 0x100000, 0x5000, E820_RAM } };
    struct xen_memory_map *m = fake_at(ARG);

    (void)state;
    *m = (struct xen_memory_map){ 10, { BUF } };
    assert_int_equal(port_memory_map(fake_caller(1), gptr(ARG), &none), -ENOSYS);
    fake_put(16384, map, sizeof(map));
    assert_int_equal(set_map(0, 1, 2, FAKE_GUEST_VA + 16384), 0);
    assert_int_equal(set_map(0, 1, 1, FAKE_GUEST_VA + 16384), 0);
    assert_int_equal(set_map(0, 1, 2, 64), -EFAULT);
    assert_int_equal(set_map(0, 1, 205, FAKE_GUEST_VA), -EINVAL);
    assert_int_equal(set_map(0, 4, 1, FAKE_GUEST_VA), -ESRCH);
    assert_int_equal(set_map(1, 1, 1, FAKE_GUEST_VA), -EPERM);
    *m = (struct xen_memory_map){ 10, { BUF } };
    assert_int_equal(port_memory_map(fake_caller(1), gptr(ARG), &none), 0);
    assert_int_equal(m->nr_entries, 1);
    assert_memory_equal(fake_at(BUF), map, sizeof(map[0]));
    assert_int_equal(port_machphys_mapping(fake_caller(1), gptr(BUF), &none), 0);
    assert_int_equal(((struct xen_machphys_mapping *)fake_at(BUF))->v_start, 0xffff800000000000);

    struct xen_machphys_mfn_list *list = fake_at(ARG);
    const uint64_t *got = fake_at(BUF);
    *list = (struct xen_machphys_mfn_list){ 10, { BUF }, 0 };
    assert_int_equal(port_machphys_mfn_list(fake_caller(1), gptr(ARG), &none), 0);
    assert_int_equal(list->nr_extents, 4);
    assert_int_equal(got[1], 1512);
    assert_int_equal(got[2], 1512); /* a hole repeats its neighbour */
    assert_int_equal(got[3], 2536);
    list->max_extents = 2;
    assert_int_equal(port_machphys_mfn_list(fake_caller(1), gptr(ARG), &none), 0);
    assert_int_equal(list->nr_extents, 2);
    list->extent_start = gptr(64);
    assert_int_equal(port_machphys_mfn_list(fake_caller(1), gptr(ARG), &none), -EFAULT);
}

static void test_topology(void **state)
{
    struct xen_sysctl_physinfo pi = { 0 };
    struct port_cpu_place place;

    (void)state;
    assert_true(port_cpu_place(13, &place));
    assert_int_equal(place.socket, 1);
    assert_int_equal(place.core, 2);
    assert_false(port_cpu_place(16, &place));
    port_physinfo(&pi);
    assert_int_equal(pi.threads_per_core, 2);
    assert_int_equal(pi.cores_per_socket, 4);
    assert_int_equal(pi.hw_cap[0], UINT32_MAX);
    has_topology = false;
    assert_true(port_cpu_place(3, &place));
    assert_int_equal(place.socket, 3);
    assert_int_equal(place.core, 0);
}

static void test_features(void **state)
{
    (void)state;
    assert_true(port_features(&fake.dom[0]) >> XENFEAT_dom0 & 1);
    assert_false(port_features(&fake.dom[1]) >> XENFEAT_dom0 & 1);
    assert_true(port_features(&fake.dom[1]) >> XENFEAT_mmu_pt_update_preserve_ad & 1);
    assert_false(port_features(&fake.dom[1]) >> XENFEAT_writable_page_tables & 1);
    fake.dom[1].vm_assist = 1U << VMASST_TYPE_pae_extended_cr3;
    assert_true(port_features(&fake.dom[1]) >> XENFEAT_pae_pgdir_above_4gb & 1);
}

static void test_featureset(void **state)
{
    struct xen_sysctl op = { 0 };
    struct xen_sysctl_cpu_featureset *s = &op.u.cpu_featureset;
    uint32_t *w = fake_at(BUF);

    (void)state;
    assert_int_equal(port_sysctl_get_cpu_featureset(fake_caller(0), &op), 0);
    assert_int_equal(s->nr_features, CPUID_FEATURE_WORDS);
    *s = (struct xen_sysctl_cpu_featureset){ XEN_SYSCTL_cpu_featureset_host, 19, { BUF } };
    w[CPUID_FEATURE_WORDS] = 0x55;
    assert_int_equal(port_sysctl_get_cpu_featureset(fake_caller(0), &op), 0);
    assert_int_equal(s->nr_features, CPUID_FEATURE_WORDS);
    assert_int_equal(w[0], UINT32_MAX);
    assert_int_equal(w[CPUID_FEATURE_WORDS], 0x55);
    *s = (struct xen_sysctl_cpu_featureset){ XEN_SYSCTL_cpu_featureset_pv, 2, { BUF } };
    assert_int_equal(port_sysctl_get_cpu_featureset(fake_caller(0), &op), -ENOBUFS);
    assert_int_equal(w[1] & (1U << 5), 0); /* VMX */
    s->index = XEN_SYSCTL_cpu_featureset_hvm;
    assert_int_equal(port_sysctl_get_cpu_featureset(fake_caller(0), &op), -EOPNOTSUPP);
    s->index = 6;
    assert_int_equal(port_sysctl_get_cpu_featureset(fake_caller(0), &op), -EINVAL);
}

/* What the tools do at each creation: default policy, the host's HTT and CMP_LEGACY, back as the
 * domain's own. */
static void test_policy_round_trip(void **state)
{
    struct xen_sysctl op = { 0 };
    struct xen_domctl set = { 0 };
    struct xen_domctl get = { 0 };
    struct xen_cpuid_leaf *l = fake_at(BUF);
    uint32_t n;

    (void)state;
    op.u.cpu_policy.index = XEN_SYSCTL_cpu_policy_pv_default;
    assert_int_equal(port_sysctl_get_cpu_policy(fake_caller(0), &op), 0);
    n = op.u.cpu_policy.nr_leaves;
    assert_true(n > 10 && n <= CPUID_LEAVES_MAX);
    assert_int_equal(op.u.cpu_policy.nr_msrs, 0);
    op.u.cpu_policy.leaves.va = BUF;
    op.u.cpu_policy.nr_leaves = n - 1;
    assert_int_equal(port_sysctl_get_cpu_policy(fake_caller(0), &op), -ENOBUFS);
    assert_int_equal(op.u.cpu_policy.nr_leaves, n);
    assert_int_equal(port_sysctl_get_cpu_policy(fake_caller(0), &op), 0);
    for (uint32_t i = 0; i < n; i++) {
        if (l[i].leaf == 1) {
            l[i].d |= 1U << 28;
        } else if (l[i].leaf == 0x80000001) {
            l[i].c |= 1U << 1;
        }
    }
    set.u.cpu_policy = (struct xen_domctl_cpu_policy){ .nr_leaves = n, .leaves = { BUF } };
    assert_int_equal(port_domctl_set_cpu_policy(fake_caller(0), &fake.dom[1], &set), 0);
    assert_int_equal(set.u.cpu_policy.err_leaf, UINT32_MAX);
    assert_int_equal(fake.paused_calls, 1);
    get.u.cpu_policy = (struct xen_domctl_cpu_policy){ .nr_leaves = n, .leaves = { BUF + 16384 } };
    assert_int_equal(port_domctl_get_cpu_policy(fake_caller(0), &fake.dom[1], &get), 0);
    assert_memory_equal(fake_at(BUF + 16384), l, n * sizeof(*l));
}

static void test_policy_refused(void **state)
{
    struct xen_cpuid_leaf vmx = { 1, XEN_CPUID_NO_SUBLEAF, 0, 0, 1U << 5, 0 };
    struct xen_msr_entry msr = { 0x10a, 0, 1 };
    struct xen_domctl op = { 0 };
    struct xen_domctl_cpu_policy *p = &op.u.cpu_policy;

    (void)state;
    fake_put(8192, &vmx, sizeof(vmx));
    *p = (struct xen_domctl_cpu_policy){ .nr_leaves = 1, .leaves = { BUF } };
    assert_int_equal(port_domctl_set_cpu_policy(fake_caller(0), &fake.dom[1], &op), -EINVAL);
    assert_int_equal(p->err_leaf, 1);
    assert_null(fake.dom[1].arch.policy);
    p->leaves.va = 64;
    assert_int_equal(port_domctl_set_cpu_policy(fake_caller(0), &fake.dom[1], &op), -EFAULT);
    p->nr_leaves = 1000;
    assert_int_equal(port_domctl_set_cpu_policy(fake_caller(0), &fake.dom[1], &op), -E2BIG);
    fake_put(8192, &msr, sizeof(msr));
    *p = (struct xen_domctl_cpu_policy){ .nr_msrs = 1, .msrs = { BUF } };
    assert_int_equal(port_domctl_set_cpu_policy(fake_caller(0), &fake.dom[1], &op), -EINVAL);
    assert_int_equal(p->err_msr, 0x10a);
}

static void test_tsc_and_size(void **state)
{
    struct xen_domctl op = { 0 };

    (void)state;
    op.u.tsc_info = (struct xen_domctl_tsc_info){ .tsc_mode = 2, .incarnation = 3 };
    fake.dom[1].arch.tsc_khz = 2600000;
    assert_int_equal(port_domctl_settscinfo(fake_caller(0), &fake.dom[1], &op), 0);
    memset(&op.u, 0xff, sizeof(op.u));
    assert_int_equal(port_domctl_gettscinfo(fake_caller(0), &fake.dom[1], &op), 0);
    assert_int_equal(op.u.tsc_info.tsc_mode, 2);
    assert_int_equal(op.u.tsc_info.gtsc_khz, 2600000);
    assert_int_equal(op.u.tsc_info.pad, 0);
    op.u.tsc_info.tsc_mode = 1;
    assert_int_equal(port_domctl_settscinfo(fake_caller(0), &fake.dom[1], &op), -EOPNOTSUPP);
    op.u.tsc_info.tsc_mode = 4;
    assert_int_equal(port_domctl_settscinfo(fake_caller(0), &fake.dom[1], &op), -EINVAL);
    assert_int_equal(fake.dom[1].arch.tsc_mode, 2);
    op.u.address_size.size = 32;
    assert_int_equal(port_domctl_set_address_size(fake_caller(0), &fake.dom[1], &op), -EINVAL);
    assert_int_equal(port_domctl_get_address_size(fake_caller(0), &fake.dom[1], &op), 0);
    assert_int_equal(op.u.address_size.size, 64);
    assert_int_equal(port_domctl_set_address_size(fake_caller(0), &fake.dom[1], &op), 0);
}

static void test_trigger(void **state)
{
    struct xen_domctl op = { 0 };

    (void)state;
    op.u.sendtrigger = (struct xen_domctl_sendtrigger){ XEN_DOMCTL_SENDTRIGGER_NMI, 0 };
    assert_int_equal(port_domctl_sendtrigger(fake_caller(0), &fake.dom[1], &op), 0);
    assert_true(fake.vcpu[1][0].arch.nmi_pending);
    assert_int_equal(fake.kicked, 1);
    op.u.sendtrigger.vcpu = 1;
    assert_int_equal(port_domctl_sendtrigger(fake_caller(0), &fake.dom[1], &op), -EINVAL);
    assert_int_equal(port_domctl_sendtrigger(fake_caller(0), &fake.dom[2], &op), -ESRCH);
    op.u.sendtrigger = (struct xen_domctl_sendtrigger){ XEN_DOMCTL_SENDTRIGGER_POWER, 0 };
    assert_int_equal(port_domctl_sendtrigger(fake_caller(0), &fake.dom[1], &op), -EINVAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_machine_map),    TEST(test_domain_map),   TEST(test_topology),
        TEST(test_features),       TEST(test_featureset),   TEST(test_policy_round_trip),
        TEST(test_policy_refused), TEST(test_tsc_and_size), TEST(test_trigger),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
