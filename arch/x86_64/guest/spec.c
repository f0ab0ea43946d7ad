/* SPDX-License-Identifier: MIT */
/*
 * Speculation on this machine: the plan (spec_plan.c) for its processor, the registers that it
 * wants, and what is done between two domains.  The ways in and out are hw/guard.c's.
 *
 * Facts: MSR numbers in SDM vol. 4 table 2-2; AMD, PPR of family 17h model 31h (DE_CFG2).
 */
#include "guest/spec.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/log.h"
#include "config.h"
#include "cpu/msr.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/x86_slots.h"
#include "lib/str.h"
#include "mm/frame.h"
#include "port/cpu.h"
#include "start/cmdline.h"

#define MSR_SPEC_CTRL 0x48u
#define MSR_PRED_CMD  0x49u
#define PRED_CMD_IBPB 1u
#define MSR_ARCH_CAPS 0x10au
#define MSR_FLUSH_CMD 0x10bu
#define FLUSH_CMD_L1D 1u
#define MSR_EFER      0xc0000080u
#define EFER_AIBRSE   (UINT64_C(1) << 21)
#define MSR_DE_CFG    0xc0011029u
#define DE_CFG_ZEN2   (UINT64_C(1) << 9)

#define LEAF7_EBX_SMEP      (UINT32_C(1) << 7)
#define LEAF7_EDX_ARCH_CAPS (UINT32_C(1) << 29)
#define LEAF1_ECX_VM        (UINT32_C(1) << 31)

static struct spec_plan plan __attribute__((section(".data.ro_after_init")));
/* The last domain of each cpu that ran guest code there. */
static const struct domain *_Atomic last_domain[CONFIG_MAX_CPUS];

const struct spec_plan *spec_plan(void)
{
    return &plan;
}

static bool is_tcg(void)
{
    struct cpuid_leaf l;

    cpu_cpuid(1, 0, &l);
    if ((l.c & LEAF1_ECX_VM) == 0) {
        return false;
    }
    cpu_cpuid(UINT32_C(0x40000000), 0, &l);
    return l.b == 0x54474354 && l.c == 0x43544743 && l.d == 0x47435447; /* "TCGTCGTCGTCG" */
}

static void read_extended(struct spec_cpu *c)
{
    struct cpuid_leaf l;

    cpu_cpuid(UINT32_C(0x80000000), 0, &l);
    uint32_t max = l.a;
    if (max >= UINT32_C(0x80000008)) {
        cpu_cpuid(UINT32_C(0x80000008), 0, &l);
        c->ext8_ebx = l.b;
    }
    if (max >= UINT32_C(0x80000021)) {
        cpu_cpuid(UINT32_C(0x80000021), 0, &l);
        c->ext21_eax = l.a;
    }
}

static void read_cpu(struct spec_cpu *c)
{
    struct cpuid_leaf l0;
    struct cpuid_leaf l;

    *c = (struct spec_cpu){ .emulated = is_tcg() };
    cpu_cpuid(0, 0, &l0);
    c->is_intel = l0.b == 0x756e6547;                     /* "Genu" */
    c->is_amd = l0.b == 0x68747541 || l0.b == 0x6f677948; /* "Auth", "Hygo" */
    cpu_cpuid(1, 0, &l);
    uint32_t base = l.a >> 8 & 15;
    c->family = base + (base == 15 ? l.a >> 20 & 255 : 0);
    c->model = (l.a >> 4 & 15) | (base >= 6 ? l.a >> 12 & 0xf0 : 0);
    c->stepping = l.a & 15;
    if (l0.a >= 7) {
        cpu_cpuid(7, 0, &l);
        c->leaf7_ebx = l.b;
        c->leaf7_edx = l.d;
        c->smep = (l.b & LEAF7_EBX_SMEP) != 0 && options.smep;
        if (l.a >= 2) {
            cpu_cpuid(7, 2, &l);
            c->leaf7_2_edx = l.d;
        }
    }
    read_extended(c);
    if ((c->leaf7_edx & LEAF7_EDX_ARCH_CAPS) && !cpu_rdmsr_safe(MSR_ARCH_CAPS, &c->arch_caps)) {
        c->arch_caps = 0;
    }
}

/* The names of `flaws`, one after the other, or "none". */
static const char *flaw_list(uint32_t flaws, char *to, size_t size)
{
    size_t at = 0;

    to[0] = 0;
    for (unsigned int i = 0; i < SPEC_FLAWS; i++) {
        if ((flaws >> i & 1) != 0 && at < size) {
            at += str_copy(to + at, size - at, at == 0 ? "" : " ");
            at += str_copy(to + at, size - at, spec_flaw_name(i));
        }
    }
    return at == 0 ? "none" : to;
}

static void report(const struct spec_plan *p)
{
    static const char *const thunks[] = { "plain", "LFENCE", "retpolines" };
    char text[128];

    log_info("speculation: flaws of this processor: %s", flaw_list(p->flaws, text, sizeof text));
    log_info(
        "speculation: indirect branches %s%s%s; entry%s%s%s%s; exit%s%s%s; between domains%s%s%s; "
        "page-table isolation dom0 %s, guests %s",
        thunks[p->thunk], p->spec_ctrl != 0 ? ", IBRS always" : "",
        p->auto_ibrs ? ", automatic IBRS" : "", p->ibrs_entry ? " IBRS" : "",
        p->ibpb_entry ? " IBPB" : "", p->rsb_entry ? " RSB" : "",
        p->ibrs_entry || p->ibpb_entry || p->rsb_entry ? "" : " -", p->verw_exit ? " VERW" : "",
        p->div_exit ? " DIV" : "", p->verw_exit || p->div_exit ? "" : " -",
        p->ibpb_switch ? " IBPB" : "", p->l1d_switch ? " L1D" : "",
        p->ibpb_switch || p->l1d_switch ? "" : " -", p->xpti_dom0 ? "on" : "off",
        p->xpti_domu ? "on" : "off");
    if (p->open != 0) {
        log_warn(
            "speculation: guests are not kept from using: %s (spec-ctrl=, xpti=, or microcode; "
            "run only trusted ones)",
            flaw_list(p->open, text, sizeof text));
    }
}

void spec_init(void)
{
    struct spec_cpu cpu;
    struct spec_options o = { options.spec_ctrl, options.xpti_dom0, options.xpti };

    read_cpu(&cpu);
    spec_decide(&cpu, &o, &plan);
    report(&plan);
    cpu_xstate_pointers(plan.fpu_pointers);
    spec_cpu_init();
}

void spec_late_init(void)
{
    struct cpuid_leaf l = { 0 };

    if (!plan.l1tf_entries) {
        return;
    }
    cpu_cpuid(UINT32_C(0x80000008), 0, &l);
    /* The cache knows 44 bits of an address at least, or as many as there are. */
    unsigned int bits = (l.a & 0xff) >= 36 && (l.a & 0xff) < 44 ? l.a & 0xff : 44;
    x86_l1tf_mask = (UINT64_C(1) << bits) - PAGE_SIZE;
    x86_l1tf_span = (uint64_t)frame_limit * PAGE_SIZE - 1;
}

void spec_cpu_init(void)
{
    uint64_t val;

    if (plan.spec_ctrl != 0 || plan.ibrs_entry) {
        (void)cpu_wrmsr_safe(MSR_SPEC_CTRL, plan.spec_ctrl != 0 ? plan.spec_ctrl : 1);
    }
    if (plan.auto_ibrs && cpu_rdmsr_safe(MSR_EFER, &val)) {
        (void)cpu_wrmsr_safe(MSR_EFER, val | EFER_AIBRSE);
    }
    if (plan.zen_chicken && cpu_rdmsr_safe(MSR_DE_CFG, &val)) {
        (void)cpu_wrmsr_safe(MSR_DE_CFG, val | DE_CFG_ZEN2);
    }
}

void spec_loaded(const struct vcpu *v)
{
    unsigned int cpu = port_cpu_id();

    if (atomic_load_explicit(&last_domain[cpu], memory_order_relaxed) != v->d) {
        if (plan.ibpb_switch) {
            (void)cpu_wrmsr_safe(MSR_PRED_CMD, PRED_CMD_IBPB);
        }
        if (plan.l1d_switch) {
            (void)cpu_wrmsr_safe(MSR_FLUSH_CMD, FLUSH_CMD_L1D);
        }
    }
    atomic_store_explicit(&last_domain[cpu], v->d, memory_order_relaxed);
}

void spec_forget(const struct domain *d)
{
    for (unsigned int cpu = 0; cpu < CONFIG_MAX_CPUS; cpu++) {
        const struct domain *was = d;

        (void)atomic_compare_exchange_strong(&last_domain[cpu], &was, NULL);
    }
}
