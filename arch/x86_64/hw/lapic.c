/* SPDX-License-Identifier: MIT */
/* The local APIC.  Register numbers are x2APIC's; xAPIC has them 16 bytes apart in memory.  SDM
 * vol. 3A chapter 10. */
#include "hw/lapic.h"

#include <stddef.h>

#include "base/log.h"
#include "base/panic.h"
#include "cpu/msr.h"
#include "port/cpu.h"
#include "port/mmu.h"

#define REG_ID          0x02u
#define REG_TPR         0x08u
#define REG_EOI         0x0bu
#define REG_LDR         0x0du
#define REG_DFR         0x0eu
#define REG_SPURIOUS    0x0fu
#define REG_ESR         0x28u
#define REG_ICR         0x30u
#define REG_ICR_HIGH    0x31u
#define REG_LVT_TIMER   0x32u
#define REG_LVT_THERM   0x33u
#define REG_LVT_PERF    0x34u
#define REG_LVT_LINT0   0x35u
#define REG_LVT_LINT1   0x36u
#define REG_LVT_ERROR   0x37u
#define REG_TIMER_INIT  0x38u
#define REG_TIMER_COUNT 0x39u
#define REG_TIMER_DIV   0x3eu

#define MSR_APIC_BASE    0x1bu
#define MSR_X2APIC       0x800u
#define MSR_TSC_DEADLINE 0x6e0u
#define BASE_ENABLE      (UINT64_C(1) << 11)
#define BASE_X2APIC      (UINT64_C(1) << 10)

#define LVT_MASKED      0x10000u
#define LVT_NMI         0x00400u
#define TIMER_DEADLINE  0x40000u
#define SPURIOUS_ENABLE 0x100u
#define DIVIDE_BY_1     0xbu
#define ICR_PENDING     0x1000u
#define ICR_ASSERT      0x4000u
#define ICR_LEVEL       0x8000u
#define ICR_NMI         0x400u
#define ICR_INIT        0x500u
#define ICR_STARTUP     0x600u

#define CPUID_1C_X2APIC   (UINT32_C(1) << 21)
#define CPUID_1C_DEADLINE (UINT32_C(1) << 24)

static bool x2apic;
static volatile uint8_t *regs; /* xAPIC only */

static uint32_t rd(uint32_t reg)
{
    if (x2apic) {
        uint64_t val = 0;
        (void)cpu_rdmsr_safe(MSR_X2APIC + reg, &val);
        return (uint32_t)val;
    }
    return *(volatile uint32_t *)(regs + reg * 16);
}

static void wr(uint32_t reg, uint32_t val)
{
    if (x2apic) {
        (void)cpu_wrmsr_safe(MSR_X2APIC + reg, val);
    } else {
        *(volatile uint32_t *)(regs + reg * 16) = val;
    }
}

void lapic_init_bsp(uint64_t base, bool want_x2apic)
{
    struct cpuid_leaf l;
    uint64_t msr = 0;

    cpu_cpuid(1, 0, &l);
    (void)cpu_rdmsr_safe(MSR_APIC_BASE, &msr);
    /* A machine started in x2APIC mode stays there: ids may not fit xAPIC. */
    x2apic = (msr & BASE_X2APIC) != 0 || (want_x2apic && (l.c & CPUID_1C_X2APIC) != 0);
    if (!x2apic) {
        regs = port_map_device(base, PAGE_SIZE);
        if (regs == NULL) {
            panic("local APIC at %#lx cannot be mapped", (unsigned long)base);
        }
    }
    log_info("local APIC at %#lx, %s mode", (unsigned long)base, x2apic ? "x2APIC" : "xAPIC");
}

void lapic_init_cpu(void)
{
    uint64_t msr = 0;

    (void)cpu_rdmsr_safe(MSR_APIC_BASE, &msr);
    if (!(msr & BASE_ENABLE) || (x2apic && !(msr & BASE_X2APIC))) {
        (void)cpu_wrmsr_safe(MSR_APIC_BASE, msr | BASE_ENABLE);
        if (x2apic) {
            (void)cpu_wrmsr_safe(MSR_APIC_BASE, msr | BASE_ENABLE | BASE_X2APIC);
        }
    }
    wr(REG_LVT_TIMER, LVT_MASKED);
    wr(REG_LVT_THERM, LVT_MASKED);
    wr(REG_LVT_PERF, LVT_MASKED);
    wr(REG_LVT_LINT0, LVT_MASKED);
    wr(REG_LVT_LINT1, LVT_NMI);
    wr(REG_LVT_ERROR, VEC_ERROR);
    wr(REG_TPR, 0);
    if (!x2apic) {
        wr(REG_DFR, UINT32_MAX);
        wr(REG_LDR, 0);
    }
    wr(REG_SPURIOUS, SPURIOUS_ENABLE | VEC_SPURIOUS);
    (void)lapic_error();
    wr(REG_EOI, 0);
}

uint32_t lapic_id(void)
{
    return x2apic ? rd(REG_ID) : rd(REG_ID) >> 24;
}

bool lapic_is_x2apic(void)
{
    return x2apic;
}

void lapic_eoi(void)
{
    wr(REG_EOI, 0);
}

uint32_t lapic_error(void)
{
    wr(REG_ESR, 0);
    return rd(REG_ESR);
}

static void icr(uint32_t apic_id, uint32_t low)
{
    if (x2apic) {
        (void)cpu_wrmsr_safe(MSR_X2APIC + REG_ICR, (uint64_t)apic_id << 32 | low);
        return;
    }
    while (rd(REG_ICR) & ICR_PENDING) {
        port_cpu_relax();
    }
    wr(REG_ICR_HIGH, apic_id << 24);
    wr(REG_ICR, low);
}

uint32_t lapic_nmi_begin(void)
{
    return x2apic ? 0 : rd(REG_ICR_HIGH);
}

void lapic_nmi_end(uint32_t destination)
{
    if (x2apic) {
        return;
    }
    while (rd(REG_ICR) & ICR_PENDING) {
        port_cpu_relax();
    }
    wr(REG_ICR_HIGH, destination);
}

void lapic_send(uint32_t apic_id, uint8_t vector)
{
    icr(apic_id, ICR_ASSERT | vector);
}

void lapic_send_nmi(uint32_t apic_id)
{
    icr(apic_id, ICR_ASSERT | ICR_NMI);
}

void lapic_send_init(uint32_t apic_id)
{
    icr(apic_id, ICR_LEVEL | ICR_ASSERT | ICR_INIT);
}

void lapic_send_startup(uint32_t apic_id, uint8_t page)
{
    icr(apic_id, ICR_ASSERT | ICR_STARTUP | page);
}

bool lapic_has_deadline(void)
{
    struct cpuid_leaf l;

    cpu_cpuid(1, 0, &l);
    return (l.c & CPUID_1C_DEADLINE) != 0;
}

void lapic_timer_setup(bool deadline)
{
    wr(REG_TIMER_DIV, DIVIDE_BY_1);
    wr(REG_LVT_TIMER, VEC_TIMER | (deadline ? TIMER_DEADLINE : 0));
    wr(REG_TIMER_INIT, 0);
}

void lapic_timer_oneshot(uint32_t ticks)
{
    wr(REG_TIMER_INIT, ticks);
}

void lapic_timer_deadline(uint64_t tsc)
{
    (void)cpu_wrmsr_safe(MSR_TSC_DEADLINE, tsc);
}

uint32_t lapic_timer_count(void)
{
    return rd(REG_TIMER_COUNT);
}
