/* SPDX-License-Identifier: MIT */
/* The plan against speculation, for samples of processors and every way to say no. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/host/machine.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/spec.h"

#define IBRS_IBPB (UINT32_C(1) << 26)
#define AMD_IBPB  (UINT32_C(1) << 12)
#define RDCL_NO   UINT64_C(1)
#define MDS_NO    (UINT64_C(1) << 5)

struct sample {
    const char *name;
    struct spec_cpu cpu;
    struct spec_plan want;
};

static const struct sample samples[] = {
    { "Skylake with microcode",
      { .is_intel = true, .family = 6, .model = 0x5e, .leaf7_edx = IBRS_IBPB },
      { .ibpb = true, .meltdown = true, .l1tf = true, .mds = true } },
    { "Haswell without microcode",
      { .is_intel = true, .family = 6, .model = 0x3c },
      { .meltdown = true, .l1tf = true, .mds = true } },
    { "Cascade Lake",
      { .is_intel = true,
        .family = 6,
        .model = 0x55,
        .leaf7_edx = IBRS_IBPB,
        .arch_caps = RDCL_NO | MDS_NO },
      { .ibpb = true } },
    { "RDCL_NO alone",
      { .is_intel = true, .family = 6, .model = 0x55, .arch_caps = RDCL_NO },
      { .mds = true } },
    { "MDS_NO alone",
      { .is_intel = true, .family = 6, .model = 0x7a, .arch_caps = MDS_NO },
      { .meltdown = true, .l1tf = true } },
    { "other capabilities say nothing",
      { .is_intel = true, .family = 6, .model = 0x5e, .arch_caps = ~(RDCL_NO | MDS_NO) },
      { .meltdown = true, .l1tf = true, .mds = true } },
    { "Bonnell", { .is_intel = true, .family = 6, .model = 0x1c }, { 0 } },
    { "Cedarview", { .is_intel = true, .family = 6, .model = 0x36 }, { 0 } },
    { "Silvermont is out of order",
      { .is_intel = true, .family = 6, .model = 0x37 },
      { .meltdown = true, .l1tf = true, .mds = true } },
    { "NetBurst", { .is_intel = true, .family = 15, .model = 4 }, { 0 } },
    { "Zen 2",
      { .is_amd = true, .family = 23, .model = 0x31, .ext8_ebx = AMD_IBPB },
      { .ibpb = 1 } },
    { "Zen 1 without microcode", { .is_amd = true, .family = 23, .model = 1 }, { 0 } },
    { "AMD by Intel's leaf",
      { .is_amd = true, .family = 25, .leaf7_edx = IBRS_IBPB },
      { .ibpb = 1 } },
    { "other bits of the leaves",
      { .is_amd = true, .family = 25, .leaf7_edx = ~IBRS_IBPB, .ext8_ebx = ~AMD_IBPB },
      { 0 } },
    { "AMD of an Intel model", { .is_amd = true, .family = 6, .model = 0x5e }, { 0 } },
    { "neither", { .family = 6, .model = 0x5e }, { 0 } },
};

static void same(const struct spec_plan *got, const struct spec_plan *want, bool ibpb,
                 const char *name, const char *option)
{
    if (got->ibpb != ibpb || got->meltdown != want->meltdown || got->l1tf != want->l1tf ||
        got->mds != want->mds) {
        fail_msg("%s, '%s': ibpb %d meltdown %d l1tf %d mds %d", name, option, got->ibpb,
                 got->meltdown, got->l1tf, got->mds);
    }
}

/* What a processor needs does not depend on the option; what is done about it does. */
static void test_decide(void **state)
{
    static const char *const off[] = { "no", "off", "0", "false", "no-ibpb", "ibpb=0" };
    static const char *const on[] = { "", "yes", "ibpb=1", "nothing-known", "no-", "offf" };

    (void)state;
    for (size_t s = 0; s < sizeof samples / sizeof samples[0]; s++) {
        const struct sample *t = &samples[s];
        for (size_t i = 0; i < 6; i++) {
            struct spec_plan p;
            spec_decide(&t->cpu, on[i], &p);
            same(&p, &t->want, t->want.ibpb, t->name, on[i]);
            spec_decide(&t->cpu, off[i], &p);
            same(&p, &t->want, false, t->name, off[i]);
        }
    }
}

static bool amd_ibpb;
static unsigned int barriers;

static void hook_cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *out)
{
    (void)subleaf;
    if (leaf == 0) {
        *out = (struct cpuid_leaf){ .a = 1, .b = 0x68747541 };
    } else if (leaf == UINT32_C(0x80000000)) {
        out->a = UINT32_C(0x80000008);
    } else if (leaf == UINT32_C(0x80000008)) {
        out->b = amd_ibpb ? AMD_IBPB : 0;
    }
}

static bool hook_wrmsr(uint32_t msr, uint64_t val)
{
    assert_int_equal(msr, 0x49); /* PRED_CMD */
    assert_int_equal(val, 1);
    barriers++;
    return true;
}

/* The barrier stands between two domains, not between vcpus of one, and not where there is none. */
static void test_barrier(void **state)
{
    static struct domain d[2];
    struct vcpu v[3] = { { .d = &d[0] }, { .d = &d[0] }, { .d = &d[1] } };

    (void)state;
    host_hooks = (struct host_hooks){ .cpuid = hook_cpuid, .wrmsr = hook_wrmsr };
    amd_ibpb = true;
    spec_init();
    spec_loaded(&v[0]);
    assert_int_equal(barriers, 1);
    spec_loaded(&v[1]);
    spec_loaded(&v[0]);
    assert_int_equal(barriers, 1);
    spec_loaded(&v[2]);
    assert_int_equal(barriers, 2);
    spec_loaded(&v[1]);
    assert_int_equal(barriers, 3);
    amd_ibpb = false;
    spec_init();
    spec_loaded(&v[2]);
    assert_int_equal(barriers, 3);
}

static int machine(void **state)
{
    struct host_config c = { .frames = 1024, .cpus = 1 };

    (void)state;
    host_init(&c);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_decide),
                                        cmocka_unit_test_setup(test_barrier, machine) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
