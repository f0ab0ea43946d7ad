/* SPDX-License-Identifier: MIT */
/*
 * FPU, SSE, AVX...: saved and loaded whole at each vcpu switch; the hypervisor uses none of it.
 *
 * The area has the standard format of XSAVE (SDM vol. 1 chapter 13), or FXSAVE's 512 bytes.  It is
 * always saved and loaded with everything we support enabled, whatever XCR0 the guest has chosen.
 */
#include "hw/xstate.h"

#include "base/panic.h"
#include "cpu/msr.h"
#include "domain/vcpu.h"
#include "hw/asm.h"
#include "hw/cpu.h"
#include "hw/cpu_info.h"
#include "lib/mem.h"
#include "port/cpu.h"

#define XCR0_X87     UINT64_C(1)
#define XCR0_SSE     UINT64_C(2)
#define XCR0_AVX     UINT64_C(4)
#define XCR0_AVX512  UINT64_C(0xe0)
#define FXSAVE_SIZE  512u
#define HEADER_SIZE  64u
#define MXCSR_OFFSET 24u
#define MXCSR_INIT   0x1f80u
#define FCW_INIT     0x37fu

static uint64_t features __attribute__((section(".data.ro_after_init")));
static bool pointers_stay __attribute__((section(".data.ro_after_init")));
static uint32_t area_size __attribute__((section(".data.ro_after_init")));

/* XSETBV; false if the processor refuses. */
static bool write_xcr0(uint64_t val)
{
    __asm__ goto("1: xsetbv\n" X86_FIXUP("1b", "%l3")
                 :
                 : "c"(0), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
                 : "memory"
                 : fault);
    return true;
fault:
    return false;
}

/* Runs before paging: CR4.OSXSAVE is set. */
void xstate_detect(void)
{
    uint32_t r[4];

    area_size = FXSAVE_SIZE;
    if (!cpu_features.xsave) {
        return;
    }
    cpuid(13, 0, r);
    uint64_t have = (uint64_t)r[3] << 32 | r[0];
    features = have & (XCR0_X87 | XCR0_SSE | XCR0_AVX);
    if ((features & XCR0_AVX) != 0 && (have & XCR0_AVX512) == XCR0_AVX512) {
        features |= XCR0_AVX512;
    }
    xstate_cpu_init();
    cpuid(13, 0, r);
    area_size = r[1];
    bug_if(area_size < FXSAVE_SIZE + HEADER_SIZE);
}

void xstate_cpu_init(void)
{
    if (features != 0) {
        (void)write_xcr0(features);
        cpu_info()->xcr0 = features;
    }
}

uint32_t cpu_xstate_size(void)
{
    return area_size;
}

uint64_t cpu_xstate_features(void)
{
    return features;
}

static void enable_all(void)
{
    struct cpu_info *ci = cpu_info();

    if (ci->xcr0 != features) {
        (void)write_xcr0(features);
        ci->xcr0 = features;
    }
}

bool cpu_set_xcr0(uint64_t val)
{
    if (!write_xcr0(val)) {
        return false;
    }
    cpu_info()->xcr0 = val;
    return true;
}

void cpu_xstate_save(struct vcpu *v)
{
    uint8_t *area = v->arch.xstate;

    if (cpu_info()->ts != 0) {
        clts();
    }
    if (features == 0) {
        __asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
    } else {
        enable_all();
        if (cpu_features.xsaveopt) {
            __asm__ volatile("xsaveopt64 (%0)" ::"r"(area), "a"(-1), "d"(-1) : "memory");
        } else {
            __asm__ volatile("xsave64 (%0)" ::"r"(area), "a"(-1), "d"(-1) : "memory");
        }
        if (v->arch.xcr0 != features) {
            (void)cpu_set_xcr0(v->arch.xcr0);
        }
    }
    if (cpu_info()->ts != 0) {
        write_cr0(read_cr0() | 8);
    }
}

void cpu_xstate_pointers(bool stay)
{
    pointers_stay = stay;
}

/* The last instruction and operand of the x87 become ours, whatever its registers hold: one is
 * emptied first, so that the load finds a place. */
static void overwrite_pointers(void)
{
    static const uint32_t zero;

    __asm__ volatile("fnclex\n"
                     "ffree %%st(7)\n"
                     "fildl %0"
                     :
                     : "m"(zero)
                     : "memory");
}

/* Load an area; false if the processor finds it malformed. */
static bool load_area(const uint8_t *area)
{
    if (features == 0) {
        __asm__ goto("1: fxrstor64 (%0)\n" X86_FIXUP("1b", "%l1") : : "r"(area) : "memory" : fault);
    } else {
        __asm__ goto("1: xrstor64 (%0)\n" X86_FIXUP("1b", "%l3")
                     :
                     : "r"(area), "a"(-1), "d"(-1)
                     : "memory"
                     : fault);
    }
    return true;
fault:
    return false;
}

void cpu_xstate_load(struct vcpu *v)
{
    struct cpu_info *ci = cpu_info();

    if (ci->ts != 0) {
        clts();
        ci->ts = 0;
    }
    if (features != 0) {
        enable_all();
    }
    if (pointers_stay) {
        overwrite_pointers();
    }
    if (!load_area(v->arch.xstate)) {
        cpu_xstate_reset(v);
        bug_if(!load_area(v->arch.xstate));
    }
    if (features != 0 && v->arch.xcr0 != features) {
        (void)cpu_set_xcr0(v->arch.xcr0);
    }
    cpu_set_ts(v->arch.cr0_ts != 0);
}

void cpu_xstate_reset(struct vcpu *v)
{
    uint8_t *area = v->arch.xstate;
    uint32_t mxcsr = MXCSR_INIT;
    uint16_t fcw = FCW_INIT;

    memset(area, 0, area_size);
    memcpy(area, &fcw, sizeof fcw);
    memcpy(area + MXCSR_OFFSET, &mxcsr, sizeof mxcsr);
}

void cpu_set_ts(bool ts)
{
    struct cpu_info *ci = cpu_info();

    if (ts == (ci->ts != 0)) {
        return;
    }
    ci->ts = ts;
    if (ts) {
        write_cr0(read_cr0() | 8);
    } else {
        clts();
    }
}
