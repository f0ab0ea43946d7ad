/* SPDX-License-Identifier: MIT */
/*
 * Speculation.  The plan is data, decided once from what the processor says of itself;
 * docs/limits.md lists what is not done.
 *
 * Facts: Intel, "Speculative Execution Side Channel Mitigations" (336996), IA32_ARCH_CAPABILITIES
 * in SDM vol. 4 table 2-2; AMD, "Indirect Branch Control Extension" (111006), APM vol. 3 appendix
 * E.
 */
#include "guest/spec.h"

#include <stddef.h>

#include "base/log.h"
#include "config.h"
#include "cpu/msr.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "lib/str.h"
#include "port/cpu.h"
#include "start/cmdline.h"

#define MSR_PRED_CMD  0x49u
#define PRED_CMD_IBPB 1u
#define MSR_ARCH_CAPS 0x10au

#define LEAF7_EDX_IBRS_IBPB (UINT32_C(1) << 26)
#define LEAF7_EDX_ARCH_CAPS (UINT32_C(1) << 29)
#define EXT8_EBX_IBPB       (UINT32_C(1) << 12)

#define CAPS_RDCL_NO (UINT64_C(1) << 0)
#define CAPS_MDS_NO  (UINT64_C(1) << 5)

static struct spec_plan plan;
/* The last domain of each cpu that ran guest code there. */
static const struct domain *last_domain[CONFIG_MAX_CPUS];

/* Intel's in-order Atoms and Knights have neither fault; they are family 6 models. */
static bool intel_in_order(const struct spec_cpu *c)
{
    static const uint8_t models[] = { 0x1c, 0x26, 0x27, 0x35, 0x36 };

    if (c->family != 6) {
        return true; /* NetBurst and before */
    }
    for (size_t i = 0; i < sizeof models; i++) {
        if (c->model == models[i]) {
            return true;
        }
    }
    return false;
}

void spec_decide(const struct spec_cpu *c, const char *option, struct spec_plan *p)
{
    bool off = str_eq(option, "no") || str_eq(option, "off") || str_eq(option, "0") ||
               str_eq(option, "false");
    bool has_ibpb = (c->leaf7_edx & LEAF7_EDX_IBRS_IBPB) != 0 || (c->ext8_ebx & EXT8_EBX_IBPB) != 0;
    bool intel_ooo = c->is_intel && !intel_in_order(c);

    *p = (struct spec_plan){
        .ibpb = has_ibpb && !off && !str_eq(option, "no-ibpb") && !str_eq(option, "ibpb=0"),
        .meltdown = intel_ooo && !(c->arch_caps & CAPS_RDCL_NO),
        .l1tf = intel_ooo && !(c->arch_caps & CAPS_RDCL_NO),
        .mds = intel_ooo && !(c->arch_caps & CAPS_MDS_NO),
    };
}

static void read_cpu(struct spec_cpu *c)
{
    struct cpuid_leaf l0;
    struct cpuid_leaf l;

    *c = (struct spec_cpu){ 0 };
    cpu_cpuid(0, 0, &l0);
    c->is_intel = l0.b == 0x756e6547;                     /* "Genu" */
    c->is_amd = l0.b == 0x68747541 || l0.b == 0x6f677948; /* "Auth", "Hygo" */
    cpu_cpuid(1, 0, &l);
    uint32_t base = l.a >> 8 & 15;
    c->family = base + (base == 15 ? l.a >> 20 & 255 : 0);
    c->model = (l.a >> 4 & 15) | (base >= 6 ? l.a >> 12 & 0xf0 : 0);
    if (l0.a >= 7) {
        cpu_cpuid(7, 0, &l);
        c->leaf7_edx = l.d;
    }
    cpu_cpuid(UINT32_C(0x80000000), 0, &l);
    if (l.a >= UINT32_C(0x80000008)) {
        cpu_cpuid(UINT32_C(0x80000008), 0, &l);
        c->ext8_ebx = l.b;
    }
    if ((c->leaf7_edx & LEAF7_EDX_ARCH_CAPS) && !cpu_rdmsr_safe(MSR_ARCH_CAPS, &c->arch_caps)) {
        c->arch_caps = 0;
    }
}

void spec_init(void)
{
    struct spec_cpu cpu;

    read_cpu(&cpu);
    spec_decide(&cpu, options.spec_ctrl, &plan);
    log_info("speculation: branch predictions %s between domains",
             plan.ibpb ? "flushed" : "not flushed");
    if (plan.meltdown && options.xpti != 0) {
        log_warn("this processor needs page-table isolation (Meltdown), which Joist does not have: "
                 "guests can read all "
                 "memory; run only trusted ones (xpti=0 acknowledges)");
    }
    if (options.xpti == 1) {
        log_warn("xpti=1: page-table isolation is not there");
    }
    if (plan.mds && options.xpti != 0) {
        log_warn("this processor needs buffers cleared on the way to guests (MDS), which Joist "
                 "does not do");
    }
}

void spec_loaded(const struct vcpu *v)
{
    unsigned int cpu = port_cpu_id();

    if (plan.ibpb && last_domain[cpu] != v->d) {
        (void)cpu_wrmsr_safe(MSR_PRED_CMD, PRED_CMD_IBPB);
    }
    last_domain[cpu] = v->d;
}
