/* SPDX-License-Identifier: MIT */
/* The primitives of cpu/msr.h: one or two instructions each. */
#include "cpu/msr.h"

#include "base/panic.h"
#include "hw/asm.h"
#include "hw/cpu.h"
#include "hw/cpu_info.h"
#include "hw/x86.h"
#include "port/copy.h"

bool cpu_rdmsr_safe(uint32_t msr, uint64_t *val)
{
    uint32_t low;
    uint32_t high;

    __asm__ goto("1: rdmsr\n" X86_FIXUP("1b", "%l3")
                 : "=a"(low), "=d"(high)
                 : "c"(msr)
                 : "memory"
                 : fault);
    *val = (uint64_t)high << 32 | low;
    return true;
fault:
    return false;
}

bool cpu_wrmsr_safe(uint32_t msr, uint64_t val)
{
    __asm__ goto("1: wrmsr\n" X86_FIXUP("1b", "%l3")
                 :
                 : "c"(msr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
                 : "memory"
                 : fault);
    return true;
fault:
    return false;
}

void cpu_cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *out)
{
    uint32_t r[4];

    cpuid(leaf, subleaf, r);
    *out = (struct cpuid_leaf){ .a = r[0], .b = r[1], .c = r[2], .d = r[3] };
}

uint32_t cpu_in(uint16_t port, unsigned int size)
{
    return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

void cpu_out(uint16_t port, unsigned int size, uint32_t val)
{
    if (size == 1) {
        outb(port, (uint8_t)val);
    } else if (size == 2) {
        outw(port, (uint16_t)val);
    } else {
        outl(port, val);
    }
}

/* Are there instructions for the bases of FS and GS? That is up to the vcpu that runs. */
static bool base_insns(void)
{
    return (read_cr4() & X86_CR4_FSGSBASE) != 0;
}

void cpu_set_fs_base(uint64_t addr)
{
    if (base_insns()) {
        __asm__ volatile("wrfsbase %0" ::"r"(addr));
    } else {
        wrmsr(MSR_FS_BASE, addr);
    }
}

void cpu_set_gs_base(uint64_t addr)
{
    if (base_insns()) {
        __asm__ volatile("wrgsbase %0" ::"r"(addr));
    } else {
        wrmsr(MSR_GS_BASE, addr);
    }
}

void cpu_set_gs_base_other(uint64_t addr)
{
    wrmsr(MSR_KERNEL_GS_BASE, addr);
}

uint64_t cpu_get_fs_base(void)
{
    uint64_t addr;

    if (!base_insns()) {
        return rdmsr(MSR_FS_BASE);
    }
    __asm__ volatile("rdfsbase %0" : "=r"(addr));
    return addr;
}

uint64_t cpu_get_gs_base(void)
{
    uint64_t addr;

    if (!base_insns()) {
        return rdmsr(MSR_GS_BASE);
    }
    __asm__ volatile("rdgsbase %0" : "=r"(addr));
    return addr;
}

uint64_t cpu_get_gs_base_other(void)
{
    return rdmsr(MSR_KERNEL_GS_BASE);
}

void cpu_swapgs(void)
{
    __asm__ volatile("swapgs" ::: "memory");
}

/* A selector load that faults loads 0 and says so. */
#define LOAD_SELECTOR(name, reg)                                     \
    static bool load_##name(uint16_t sel)                            \
    {                                                                \
        __asm__ goto("1: mov %0, %%" reg "\n" X86_FIXUP("1b", "%l1") \
                     :                                               \
                     : "r"((uint32_t)sel)                            \
                     : "memory"                                      \
                     : fault);                                       \
        return true;                                                 \
    fault:                                                           \
        __asm__ volatile("mov %0, %%" reg ::"r"(0));                 \
        return false;                                                \
    }
LOAD_SELECTOR(ds, "ds")
LOAD_SELECTOR(es, "es")
LOAD_SELECTOR(fs, "fs")
LOAD_SELECTOR(gs, "gs")

bool cpu_load_ds(uint16_t sel)
{
    return load_ds(sel);
}

bool cpu_load_es(uint16_t sel)
{
    return load_es(sel);
}

bool cpu_load_fs(uint16_t sel)
{
    return load_fs(sel);
}

/* The load writes the base of the active GS, the kernel's: out of the way for it. */
bool cpu_load_gs_user(uint16_t sel)
{
    cpu_swapgs();
    bool ok = load_gs(sel);
    cpu_swapgs();
    return ok;
}

uint16_t cpu_read_sel(char which)
{
    uint32_t sel;

    switch (which) {
    case 'd':
        __asm__ volatile("mov %%ds, %0" : "=r"(sel));
        break;
    case 'e':
        __asm__ volatile("mov %%es, %0" : "=r"(sel));
        break;
    case 'f':
        __asm__ volatile("mov %%fs, %0" : "=r"(sel));
        break;
    default:
        __asm__ volatile("mov %%gs, %0" : "=r"(sel));
        break;
    }
    return (uint16_t)sel;
}

#define DR_READ(n)                                          \
    case n:                                                 \
        __asm__ volatile("mov %%db" #n ", %0" : "=r"(val)); \
        break
#define DR_WRITE(n)                                                \
    case n:                                                        \
        __asm__ volatile("mov %0, %%db" #n ::"r"(val) : "memory"); \
        break

void cpu_set_dr(unsigned int nr, uint64_t val)
{
    switch (nr) {
        DR_WRITE(0);
        DR_WRITE(1);
        DR_WRITE(2);
        DR_WRITE(3);
        DR_WRITE(6);
        DR_WRITE(7);
    default:
        BUG();
    }
    if (nr == 7) {
        cpu_info()->dr_loaded = (val & 0xff) != 0;
    }
}

uint64_t cpu_get_dr(unsigned int nr)
{
    uint64_t val;

    switch (nr) {
        DR_READ(0);
        DR_READ(1);
        DR_READ(2);
        DR_READ(3);
        DR_READ(6);
        DR_READ(7);
    default:
        BUG();
    }
    return val;
}

uint64_t cpu_dr_mask_unused(void)
{
    return 0;
}

void cpu_wbinvd(void)
{
    __asm__ volatile("wbinvd" ::: "memory");
}
