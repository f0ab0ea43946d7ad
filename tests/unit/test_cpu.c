/* SPDX-License-Identifier: MIT */
/* What is turned on for which processor: control registers, EFER, PAT and the patches for SMAP,
 * which no QEMU of ours can run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/panic.h"
#include "config.h"
#include "hw/cpu.h"
#include "hw/x86.h"
#include "start/cmdline.h"
#include "tests/unit/recorded/hw/asm.h"

struct options options;

/* The processor of the test. */
static struct {
    uint32_t leaf1_eax, leaf1_ecx, leaf1_edx, leaf7_ebx, leaf7_ecx, leaf13_eax, ext1_edx, ext7_edx,
        ext8_eax, max_leaf, max_ext;
    uint64_t cr0, cr4, efer, pat;
    unsigned int others; /* writes of any other MSR */
} cpu;
static jmp_buf on_panic;

void panic(const char *fmt, ...)
{
    (void)fmt;
    longjmp(on_panic, 1);
}

uint64_t rdmsr(uint32_t msr)
{
    assert_int_equal(msr, MSR_EFER);
    return cpu.efer;
}

void wrmsr(uint32_t msr, uint64_t val)
{
    if (msr == MSR_EFER) {
        cpu.efer = val;
    } else if (msr == MSR_PAT) {
        cpu.pat = val;
    } else {
        cpu.others++;
    }
}

uint64_t read_cr0(void)
{
    return cpu.cr0;
}

void write_cr0(uint64_t val)
{
    cpu.cr0 = val;
}

void write_cr4(uint64_t val)
{
    cpu.cr4 = val;
}

void cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    memset(out, 0, 4 * sizeof out[0]);
    switch (leaf) {
    case 0:
        out[0] = cpu.max_leaf;
        memcpy(&out[1], "Genu", 4);
        memcpy(&out[3], "ineI", 4);
        memcpy(&out[2], "ntel", 4);
        break;
    case 1:
        out[0] = cpu.leaf1_eax;
        out[2] = cpu.leaf1_ecx;
        out[3] = cpu.leaf1_edx;
        break;
    case 7:
        assert_true(cpu.max_leaf >= 7);
        out[1] = cpu.leaf7_ebx;
        out[2] = cpu.leaf7_ecx;
        break;
    case 13:
        assert_true(cpu.leaf1_ecx >> 26 & 1);
        assert_int_equal(sub, 1);
        out[0] = cpu.leaf13_eax;
        break;
    case 0x80000000:
        out[0] = cpu.max_ext;
        break;
    case 0x80000001:
        out[3] = cpu.ext1_edx;
        break;
    case 0x80000007:
        assert_true(cpu.max_ext >= leaf);
        out[3] = cpu.ext7_edx;
        break;
    case 0x80000008:
        assert_true(cpu.max_ext >= leaf);
        out[0] = cpu.ext8_eax;
        break;
    default:
        fail_msg("leaf %#x", leaf);
    }
}

/* Two places to patch. */
static uint8_t image[16];
struct patch {
    uint64_t at;
    uint64_t code;
};
extern struct patch smap_patch_start[2];
struct patch smap_patch_start[2];
extern struct patch smap_patch_end[];
__asm__(".globl smap_patch_end\n.set smap_patch_end, smap_patch_start + 32");

#define CR4_LEAST \
    (X86_CR4_DE | X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

static int begin(void **state)
{
    (void)state;
    memset(&cpu, 0, sizeof cpu);
    memset(&cpu_features, 0, sizeof cpu_features);
    cpu.max_leaf = 1;
    cpu.max_ext = 0x80000001;
    cpu.leaf1_edx = 1u << 13;
    cpu.ext1_edx = 1u << 20;
    cpu.cr0 = 0xe0000015; /* caches off, no write protection, as a firmware may leave it */
    memset(image, 0x90, sizeof image);
    smap_patch_start[0] = (struct patch){ (uintptr_t)image + 1, 0xca010f };
    smap_patch_start[1] = (struct patch){ (uintptr_t)image + 9, 0xcb010f };
    options = (struct options){ .smep = true, .smap = true, .x2apic = true };
    return 0;
}

static void start(void)
{
    cpu_detect();
    cpu_setup();
}

static void test_least(void **state)
{
    (void)state;
    start();
    assert_int_equal(cpu.cr4, CR4_LEAST);
    assert_int_equal(cpu_cr4(), CR4_LEAST);
    assert_int_equal(cpu.cr0 & (1u << 16 | 1u << 5 | 1u << 1 | 1u << 18),
                     1u << 16 | 1u << 5 | 1u << 1 | 1u << 18);
    assert_int_equal(cpu.cr0 & (3u << 29 | 1u << 3 | 1u << 2), 0);
    assert_int_equal(cpu.efer, EFER_SCE | EFER_NXE);
    assert_int_equal(cpu.pat, PAT_VALUE);
    assert_int_equal(cpu.others, 0);
    assert_int_equal(cpu_features.phys_bits, 36);
    assert_false(cpu_features.invariant_tsc);
    for (unsigned int i = 0; i < sizeof image; i++) {
        assert_int_equal(image[i], 0x90);
    }
}

static void all_features(void)
{
    cpu.max_leaf = 13;
    cpu.max_ext = 0x80000008;
    cpu.leaf1_ecx = 1u << 17 | 1u << 21 | 1u << 24 | 1u << 26; /* PCID x2APIC deadline XSAVE */
    cpu.leaf7_ebx = 1u | 1u << 7 | 1u << 10 | 1u << 20;        /* FSGSBASE SMEP INVPCID SMAP */
    cpu.leaf7_ecx = 1u << 2;
    cpu.leaf13_eax = 1;
    cpu.ext1_edx = 1u << 20 | 1u << 26 | 1u << 27;
    cpu.ext7_edx = 1u << 8;
    cpu.ext8_eax = 0x3030;
}

static void test_all(void **state)
{
    (void)state;
    all_features();
    start();
    assert_int_equal(cpu.cr4,
                     CR4_LEAST | X86_CR4_FSGSBASE | X86_CR4_OSXSAVE | X86_CR4_SMEP | X86_CR4_SMAP);
    assert_int_equal(cpu.cr4 >> 17 & 1, 0); /* PCID stays off: XSA-292 to 294 have no place */
    assert_true(cpu_features.invariant_tsc);
    assert_true(cpu_features.tsc_deadline);
    assert_true(cpu_features.xsaveopt);
    assert_true(cpu_features.gib_pages);
    assert_int_equal(cpu_features.x2apic, CONFIG_X2APIC);
    assert_int_equal(cpu_features.phys_bits, 0x30);
    assert_string_equal(cpu_features.vendor, "GenuineIntel");
    /* CLAC and STAC stand where NOPs stood, and nothing beside them has changed. */
    assert_memory_equal(image, "\x90\x0f\x01\xca\x90\x90\x90\x90\x90\x0f\x01\xcb\x90\x90\x90\x90",
                        16);
}

static void test_options(void **state)
{
    (void)state;
    all_features();
    options = (struct options){ 0 };
    start();
    assert_int_equal(cpu.cr4, CR4_LEAST | X86_CR4_FSGSBASE | X86_CR4_OSXSAVE);
    assert_int_equal(image[1], 0x90);
    assert_false(cpu_features.x2apic);
    assert_false(cpu_features.smap);
}

static void test_models(void **state)
{
    static const struct {
        uint32_t eax, family, model, stepping;
    } table[] = {
        { 0x000906ea, 6, 0x9e, 10 },
        { 0x00000f65, 15, 6, 5 },
        { 0x00a20f10, 0x19, 0x21, 0 },
        { 0x00000543, 5, 4, 3 },
    };

    (void)state;
    for (unsigned int i = 0; i < sizeof table / sizeof table[0]; i++) {
        cpu.leaf1_eax = table[i].eax;
        cpu_detect();
        assert_int_equal(cpu_features.family, table[i].family);
        assert_int_equal(cpu_features.model, table[i].model);
        assert_int_equal(cpu_features.stepping, table[i].stepping);
    }
}

/* Without no-execute or global pages there is nothing to build on. */
static void test_refused(void **state)
{
    volatile unsigned int refusals = 0;

    (void)state;
    for (volatile unsigned int i = 0; i < 2; i++) {
        cpu.leaf1_edx = i == 0 ? 0 : 1u << 13;
        cpu.ext1_edx = i == 0 ? 1u << 20 : 0;
        if (setjmp(on_panic) == 0) {
            cpu_detect();
        } else {
            refusals++;
        }
    }
    assert_int_equal(refusals, 2);
}

#define T(fn) cmocka_unit_test_setup(fn, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_least), T(test_all), T(test_options), T(test_models), T(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
