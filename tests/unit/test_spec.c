/* SPDX-License-Identifier: MIT */
/* The plan against speculation, for samples of processors and the command line's say, and the
 * registers that are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/machine.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/spec.h"
#include "start/cmdline.h"

#define RTM       (UINT32_C(1) << 11)
#define AVX2      (UINT32_C(1) << 5)
#define SRBDS_CTL (UINT32_C(1) << 9)
#define MD_CLEAR  (UINT32_C(1) << 10)
#define IBRS_IBPB (UINT32_C(1) << 26)
#define L1D       (UINT32_C(1) << 28)
#define ARCH_CAPS (UINT32_C(1) << 29)
#define AMD_IBPB  (UINT32_C(1) << 12)
#define BTC_NO    (UINT32_C(1) << 29)
#define AIBRS     (UINT32_C(1) << 8)
#define IBPB_BT   (UINT32_C(1) << 28)
#define SRSO_NO   (UINT32_C(1) << 29)
#define CAP(n)    (UINT64_C(1) << (n))
#define RDCL_NO   CAP(0)
#define IBRS_ALL  CAP(1)
#define MDS_NO    CAP(5)
#define TAA_NO    CAP(8)
#define MMIO_NO   (CAP(13) | CAP(14) | CAP(15))
#define FB_CLEAR  CAP(17)
#define BHI_NO    CAP(20)
#define GDS_CTRL  CAP(25)
#define GDS_NO    CAP(26)
#define RFDS_NO   CAP(27)
#define RFDS_CLR  CAP(28)
#define SKYLAKE_FLAWS                                                                        \
    (SPEC_V2 | SPEC_MELTDOWN | SPEC_L1TF | SPEC_MDS | SPEC_MMIO | SPEC_RETBLEED | SPEC_GDS | \
     SPEC_SRBDS | SPEC_BHI)

#define INTEL .is_intel = true, .family = 6, .smep = true
#define AMD   .is_amd = true, .smep = true

struct sample {
    const char *name;
    struct spec_cpu cpu;
    struct spec_plan want;
};

static const struct sample samples[] = {
    { "Skylake with microcode",
      { INTEL, .model = 0x5e, .leaf7_ebx = AVX2 | RTM,
        .leaf7_edx = IBRS_IBPB | MD_CLEAR | L1D | SRBDS_CTL | ARCH_CAPS, .arch_caps = GDS_CTRL },
      { .flaws = SKYLAKE_FLAWS | SPEC_TAA,
        .thunk = THUNK_RETPOLINE,
        .ibrs_entry = true,
        .verw_exit = true,
        .ibpb_switch = true,
        .l1d_switch = true,
        .xpti_dom0 = true,
        .xpti_domu = true } },
    { "Skylake as it was sold",
      { INTEL, .model = 0x4e, .leaf7_ebx = AVX2 },
      { .flaws = SKYLAKE_FLAWS,
        .thunk = THUNK_RETPOLINE,
        .open = SPEC_MDS | SPEC_MMIO | SPEC_RETBLEED | SPEC_GDS | SPEC_SRBDS,
        .xpti_dom0 = true,
        .xpti_domu = true } },
    { "Sandy Bridge without SMEP",
      { .is_intel = true, .family = 6, .model = 0x2a, .leaf7_edx = IBRS_IBPB | MD_CLEAR | L1D },
      { .flaws = SPEC_V2 | SPEC_MELTDOWN | SPEC_L1TF | SPEC_MDS | SPEC_BHI,
        .thunk = THUNK_RETPOLINE,
        .rsb_entry = true,
        .verw_exit = true,
        .ibpb_switch = true,
        .l1d_switch = true,
        .xpti_dom0 = true,
        .xpti_domu = true } },
    { "Skylake server is not Cascade Lake",
      { INTEL, .model = 0x55, .stepping = 4, .leaf7_edx = IBRS_IBPB | MD_CLEAR | L1D },
      { .flaws =
            SPEC_V2 | SPEC_MELTDOWN | SPEC_L1TF | SPEC_MDS | SPEC_MMIO | SPEC_RETBLEED | SPEC_BHI,
        .thunk = THUNK_RETPOLINE,
        .ibrs_entry = true,
        .verw_exit = true,
        .ibpb_switch = true,
        .l1d_switch = true,
        .xpti_dom0 = true,
        .xpti_domu = true } },
    { "Cascade Lake",
      { INTEL, .model = 0x55, .stepping = 7, .leaf7_ebx = AVX2,
        .leaf7_edx = IBRS_IBPB | MD_CLEAR | L1D | ARCH_CAPS, .leaf7_2_edx = 0x14,
        .arch_caps = RDCL_NO | IBRS_ALL | MDS_NO | TAA_NO | FB_CLEAR | GDS_CTRL },
      { .flaws = SPEC_V2 | SPEC_MMIO | SPEC_GDS | SPEC_BHI,
        .thunk = THUNK_RETPOLINE,
        .spec_ctrl = 0x441,
        .verw_exit = true,
        .ibpb_switch = true } },
    { "Alder Lake",
      { INTEL, .model = 0x97, .leaf7_ebx = AVX2,
        .leaf7_edx = IBRS_IBPB | MD_CLEAR | L1D | ARCH_CAPS, .leaf7_2_edx = 0x10,
        .arch_caps = RDCL_NO | IBRS_ALL | MDS_NO | TAA_NO | MMIO_NO | GDS_NO | RFDS_CLR },
      { .flaws = SPEC_V2 | SPEC_RFDS | SPEC_BHI,
        .thunk = THUNK_RETPOLINE,
        .spec_ctrl = 0x401,
        .verw_exit = true,
        .ibpb_switch = true } },
    { "Sapphire Rapids",
      { INTEL, .model = 0x8f, .leaf7_ebx = AVX2 | RTM, .leaf7_edx = IBRS_IBPB | ARCH_CAPS,
        .arch_caps = RDCL_NO | IBRS_ALL | MDS_NO | TAA_NO | MMIO_NO | GDS_NO | RFDS_NO | BHI_NO },
      { .flaws = SPEC_V2, .thunk = THUNK_RETPOLINE, .spec_ctrl = 1, .ibpb_switch = true } },
    { "TSX by itself",
      { INTEL, .model = 0x8f, .leaf7_ebx = RTM, .leaf7_edx = MD_CLEAR,
        .arch_caps = RDCL_NO | MDS_NO | BHI_NO },
      { .flaws = SPEC_V2 | SPEC_TAA, .thunk = THUNK_RETPOLINE, .verw_exit = true } },
    { "RDCL_NO alone",
      { INTEL, .model = 0x2a, .arch_caps = RDCL_NO | BHI_NO },
      { .flaws = SPEC_V2 | SPEC_MDS, .open = SPEC_MDS, .thunk = THUNK_RETPOLINE } },
    { "MDS_NO alone",
      { INTEL, .model = 0x7a, .arch_caps = MDS_NO | BHI_NO },
      { .flaws = SPEC_V2 | SPEC_MELTDOWN | SPEC_RFDS,
        .open = SPEC_RFDS,
        .thunk = THUNK_RETPOLINE,
        .xpti_dom0 = true,
        .xpti_domu = true } },
    { "Bonnell", { INTEL, .model = 0x1c }, { 0 } },
    { "Cedarview", { INTEL, .model = 0x36 }, { 0 } },
    { "Silvermont is out of order, and has no L1TF",
      { INTEL, .model = 0x37, .leaf7_edx = MD_CLEAR },
      { .flaws = SPEC_V2 | SPEC_MELTDOWN | SPEC_MDS | SPEC_BHI,
        .thunk = THUNK_RETPOLINE,
        .verw_exit = true,
        .xpti_dom0 = true,
        .xpti_domu = true } },
    { "NetBurst",
      { .is_intel = true, .family = 15, .model = 4, .smep = true },
      { .flaws = SPEC_V2, .thunk = THUNK_RETPOLINE } },
    { "Zen 1",
      { AMD, .family = 0x17, .model = 1, .ext8_ebx = AMD_IBPB },
      { .flaws = SPEC_V2 | SPEC_RETBLEED | SPEC_SRSO | SPEC_DIV0,
        .div_exit = true,
        .thunk = THUNK_RETPOLINE,
        .ibpb_entry = true,
        .ibpb_switch = true } },
    { "Zen 1 without microcode",
      { AMD, .family = 0x17, .model = 1 },
      { .flaws = SPEC_V2 | SPEC_RETBLEED | SPEC_SRSO | SPEC_DIV0,
        .open = SPEC_RETBLEED | SPEC_SRSO,
        .div_exit = true,
        .thunk = THUNK_RETPOLINE } },
    { "Zen 1, a late model",
      { AMD, .family = 0x17, .model = 0x50, .ext8_ebx = AMD_IBPB },
      { .flaws = SPEC_V2 | SPEC_RETBLEED | SPEC_SRSO | SPEC_DIV0,
        .div_exit = true,
        .thunk = THUNK_RETPOLINE,
        .ibpb_entry = true,
        .ibpb_switch = true } },
    { "Zen 2",
      { AMD, .family = 0x17, .model = 0x31, .ext8_ebx = AMD_IBPB },
      { .flaws = SPEC_V2 | SPEC_RETBLEED | SPEC_SRSO | SPEC_ZENBLEED,
        .thunk = THUNK_RETPOLINE,
        .ibpb_entry = true,
        .ibpb_switch = true,
        .zen_chicken = true } },
    { "Zen 3 without the later microcode",
      { AMD, .family = 0x19, .model = 0x21, .ext8_ebx = AMD_IBPB | BTC_NO },
      { .flaws = SPEC_V2 | SPEC_SRSO,
        .open = SPEC_SRSO,
        .thunk = THUNK_RETPOLINE,
        .ibpb_switch = true } },
    { "Zen 3",
      { AMD, .family = 0x19, .model = 0x21, .ext8_ebx = AMD_IBPB | BTC_NO, .ext21_eax = IBPB_BT },
      { .flaws = SPEC_V2 | SPEC_SRSO,
        .thunk = THUNK_RETPOLINE,
        .ibpb_entry = true,
        .ibpb_switch = true } },
    { "Zen 5",
      { AMD, .family = 0x1a, .ext8_ebx = AMD_IBPB | BTC_NO, .ext21_eax = AIBRS | SRSO_NO },
      { .flaws = SPEC_V2, .auto_ibrs = true, .ibpb_switch = true } },
    { "AMD of an Intel model",
      { AMD, .family = 6, .model = 0x5e },
      { .flaws = SPEC_V2, .thunk = THUNK_RETPOLINE } },
    { "neither",
      { .family = 6, .model = 0x5e, .smep = true },
      { .flaws = SPEC_V2, .thunk = THUNK_RETPOLINE } },
    { "QEMU's emulation", { AMD, .emulated = true, .family = 15, .model = 107 }, { 0 } },
};

static void same(const struct spec_plan *got, const struct spec_plan *want, const char *name,
                 const char *option, bool off)
{
    if (got->flaws != want->flaws || got->open != want->open || got->thunk != want->thunk ||
        got->spec_ctrl != want->spec_ctrl || got->auto_ibrs != want->auto_ibrs ||
        got->zen_chicken != want->zen_chicken || got->ibrs_entry != want->ibrs_entry ||
        got->ibpb_entry != want->ibpb_entry || got->rsb_entry != want->rsb_entry ||
        got->verw_exit != want->verw_exit || got->div_exit != want->div_exit ||
        got->l1tf_entries != (got->flaws & SPEC_L1TF && !off) ||
        got->ibpb_switch != want->ibpb_switch || got->l1d_switch != want->l1d_switch ||
        got->xpti_dom0 != want->xpti_dom0 || got->xpti_domu != want->xpti_domu) {
        fail_msg("%s, '%s': flaws %x open %x thunk %u ctrl %llx aibrs %d zen %d entry %d%d%d "
                 "exit %d%d switch %d%d xpti %d%d",
                 name, option, got->flaws, got->open, got->thunk,
                 (unsigned long long)got->spec_ctrl, got->auto_ibrs, got->zen_chicken,
                 got->ibrs_entry, got->ibpb_entry, got->rsb_entry, got->verw_exit, got->div_exit,
                 got->ibpb_switch, got->l1d_switch, got->xpti_dom0, got->xpti_domu);
    }
}

/* What a processor needs does not depend on the option; what is done about it does. */
static void test_decide(void **state)
{
    static const char *const off[] = { "no", "off", "0", "false", "xen=0", "no-xen", "ibpb,off" };
    static const char *const on[] = { "",     "yes",         "nothing-known", "no-",
                                      "offf", "bti-thunk=x", "ibpb=maybe",    ",," };

    (void)state;
    for (size_t s = 0; s < sizeof samples / sizeof samples[0]; s++) {
        const struct sample *t = &samples[s];
        struct spec_plan p;
        for (size_t i = 0; i < sizeof on / sizeof on[0]; i++) {
            struct spec_options o = { on[i], -1, -1 };
            spec_decide(&t->cpu, &o, &p);
            same(&p, &t->want, t->name, on[i], false);
        }
        struct spec_plan none = { .flaws = t->want.flaws, .open = t->want.flaws };
        for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
            struct spec_options o = { off[i], 0, 0 };
            spec_decide(&t->cpu, &o, &p);
            same(&p, &none, t->name, off[i], true);
        }
    }
}

static struct spec_plan with(const struct spec_cpu *c, const char *text)
{
    struct spec_options o = { text, -1, -1 };
    struct spec_plan p;

    spec_decide(c, &o, &p);
    return p;
}

/* One by one, on a processor that needs most and on one that needs nothing. */
static void test_options(void **state)
{
    const struct spec_cpu *sky = &samples[0].cpu;
    const struct spec_cpu *tcg = &samples[sizeof samples / sizeof samples[0] - 1].cpu;

    (void)state;
    assert_false(with(sky, "no-ibpb").ibpb_switch);
    assert_false(with(sky, "ibpb=0").ibpb_switch);
    assert_true(with(sky, "ibpb=0").ibrs_entry);
    assert_false(with(sky, "ibrs=off").ibrs_entry);
    assert_int_equal(with(sky, "ibrs=off").open, SPEC_RETBLEED);
    assert_false(with(sky, "verw=0").verw_exit);
    assert_int_equal(with(sky, "no-verw").open, SPEC_MDS | SPEC_TAA | SPEC_MMIO);
    assert_false(with(sky, "no-md-clear").verw_exit);
    assert_true(with(sky, "div-scrub").div_exit);
    assert_false(with(sky, "l1d-flush=no").l1d_switch);
    assert_true(with(sky, "rsb").rsb_entry);
    assert_int_equal(with(sky, "bti-thunk=jmp").open, SPEC_V2 | SPEC_BHI);
    assert_int_equal(with(sky, "bti-thunk=lfence").thunk, THUNK_LFENCE);
    assert_true(with(tcg, "verw,rsb=1").verw_exit);
    assert_true(with(tcg, "verw,rsb=1").rsb_entry);
    assert_int_equal(with(tcg, "bti-thunk=retpoline").thunk, THUNK_RETPOLINE);
    /* what is not there cannot be asked for */
    assert_false(with(tcg, "ibpb,ibrs,l1d-flush,ibpb-entry").ibpb_switch);
    assert_false(with(tcg, "ibpb,ibrs,l1d-flush,ibpb-entry").ibpb_entry);
    assert_false(with(tcg, "ibpb,ibrs,l1d-flush,ibpb-entry").l1d_switch);
}

static void test_isolation(void **state)
{
    (void)state;
    for (int32_t host = -1; host < 2; host++) {
        for (int32_t domu = -1; domu < 2; domu++) {
            struct spec_options o = { "", host, domu };
            struct spec_plan p;
            spec_decide(&samples[0].cpu, &o, &p);
            assert_int_equal(p.xpti_dom0, host != 0);
            assert_int_equal(p.xpti_domu, domu != 0);
            assert_int_equal((p.open & SPEC_MELTDOWN) != 0, host == 0 || domu == 0);
            spec_decide(&samples[4].cpu, &o, &p);
            assert_int_equal(p.xpti_dom0, host > 0);
            assert_int_equal(p.xpti_domu, domu > 0);
            assert_int_equal(p.open & SPEC_MELTDOWN, 0);
        }
    }
}

/* The x87's pointers: whatever the options say, and only where they stay behind. */
static void test_pointers(void **state)
{
    const struct spec_cpu amd = { AMD, .family = 0x17, .model = 1, .ext8_ebx = AMD_IBPB };
    struct spec_cpu later = amd;
    struct spec_cpu tcg = amd;

    (void)state;
    later.ext8_ebx |= UINT32_C(1) << 2;
    tcg.emulated = true;
    assert_true(with(&amd, "").fpu_pointers);
    assert_true(with(&amd, "no").fpu_pointers);
    assert_false(with(&later, "").fpu_pointers);
    assert_false(with(&tcg, "").fpu_pointers);
    assert_false(with(&samples[0].cpu, "").fpu_pointers);
}

static struct {
    uint32_t eax1, ebx0, ebx7, edx7, ext8;
    bool tcg;
} machine_is;
static struct {
    uint32_t msr;
    uint64_t val;
} writes[8];
static unsigned int written;

static void hook_cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *out)
{
    *out = (struct cpuid_leaf){ 0 };
    if (leaf == 0) {
        *out = (struct cpuid_leaf){ .a = 7, .b = machine_is.ebx0 };
    } else if (leaf == 1) {
        out->a = machine_is.eax1;
        out->c = machine_is.tcg ? UINT32_C(1) << 31 : 0;
    } else if (leaf == 7 && subleaf == 0) {
        out->b = machine_is.ebx7;
        out->d = machine_is.edx7;
    } else if (leaf == UINT32_C(0x40000000) && machine_is.tcg) {
        *out = (struct cpuid_leaf){ .b = 0x54474354, .c = 0x43544743, .d = 0x47435447 };
    } else if (leaf == UINT32_C(0x80000000)) {
        out->a = UINT32_C(0x80000008);
    } else if (leaf == UINT32_C(0x80000008)) {
        out->b = machine_is.ext8;
    }
}

static bool hook_wrmsr(uint32_t msr, uint64_t val)
{
    assert_true(written < sizeof writes / sizeof writes[0]);
    writes[written].msr = msr;
    writes[written++].val = val;
    return true;
}

static void wrote(unsigned int n, uint32_t msr, uint64_t val)
{
    assert_int_equal(writes[n].msr, msr);
    assert_int_equal(writes[n].val, val);
}

/* Barriers stand between two domains, not between vcpus of one, and not where there are none. */
static void test_barrier(void **state)
{
    static struct domain d[2];
    struct vcpu v[3] = { { .d = &d[0] }, { .d = &d[0] }, { .d = &d[1] } };

    (void)state;
    host_hooks = (struct host_hooks){ .cpuid = hook_cpuid, .wrmsr = hook_wrmsr };
    machine_is.ebx0 = 0x68747541; /* Zen 3 */
    machine_is.eax1 = 0x00a20f10;
    machine_is.ext8 = AMD_IBPB;
    written = 0;
    spec_init();
    spec_loaded(&v[0]);
    assert_int_equal(written, 1);
    wrote(0, 0x49, 1);
    spec_loaded(&v[1]);
    spec_loaded(&v[0]);
    assert_int_equal(written, 1);
    spec_loaded(&v[2]);
    assert_int_equal(written, 2);
    wrote(1, 0x49, 1);
    spec_loaded(&v[1]);
    assert_int_equal(written, 3);
    /* the next domain has the structure of one that ended */
    spec_forget(&d[1]);
    spec_loaded(&v[0]);
    assert_int_equal(written, 3);
    spec_forget(&d[0]);
    spec_loaded(&v[0]);
    assert_int_equal(written, 4);
    machine_is.ext8 = 0;
    spec_init();
    spec_loaded(&v[2]);
    assert_int_equal(written, 4);
}

/* The registers of a cpu's start, and both barriers; nothing at all in the emulation of the same.
 */
static void test_registers(void **state)
{
    static struct domain d;
    struct vcpu v = { .d = &d };

    (void)state;
    host_hooks = (struct host_hooks){ .cpuid = hook_cpuid, .wrmsr = hook_wrmsr };
    memset(&machine_is, 0, sizeof machine_is);
    machine_is.ebx0 = 0x756e6547; /* Skylake */
    machine_is.eax1 = 0x000506e3;
    machine_is.edx7 = IBRS_IBPB | MD_CLEAR | L1D;
    written = 0;
    spec_init();
    assert_true(spec_plan()->verw_exit && spec_plan()->xpti_domu);
    assert_int_equal(written, 1);
    wrote(0, 0x48, 1);
    spec_cpu_init();
    assert_int_equal(written, 2);
    wrote(1, 0x48, 1);
    spec_loaded(&v);
    assert_int_equal(written, 4);
    wrote(2, 0x49, 1);
    wrote(3, 0x10b, 1);
    machine_is.tcg = true;
    written = 0;
    spec_init();
    assert_int_equal(spec_plan()->flaws, 0);
    v.d = NULL;
    spec_loaded(&v);
    /* able, and not needed */
    assert_int_equal(written, 0);
    machine_is.tcg = false;
    machine_is.ebx0 = 0x68747541; /* Zen 2 */
    machine_is.eax1 = 0x00830f10;
    spec_init();
    assert_int_equal(written, 1);
    assert_int_equal(writes[0].msr, 0xc0011029);
    assert_int_equal(writes[0].val & 0x200, 0x200);
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
                                        cmocka_unit_test(test_options),
                                        cmocka_unit_test(test_isolation),
                                        cmocka_unit_test(test_pointers),
                                        cmocka_unit_test_setup(test_barrier, machine),
                                        cmocka_unit_test(test_registers) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
