/* SPDX-License-Identifier: MIT */
/* Features of the processor, and the control registers that follow from them.  SDM vol. 2A CPUID,
 * vol. 3A 2.5. */
#include "hw/cpu.h"

#include "base/log.h"
#include "base/panic.h"
#include "config.h"
#include "hw/asm.h"
#include "hw/x86.h"
#include "lib/mem.h"
#include "start/cmdline.h"

struct cpu_features cpu_features __attribute__((section(".data.ro_after_init")));
static uint64_t cr4 __attribute__((section(".data.ro_after_init")));

struct patch {
    uint64_t at;
    uint64_t code; /* three bytes */
};
extern const struct patch smap_patch_start[];
extern const struct patch smap_patch_end[];

static void detect_basic(struct cpu_features *f)
{
    uint32_t r[4];

    cpuid(0, 0, r);
    f->max_leaf = r[0];
    memcpy(f->vendor, &r[1], 4);
    memcpy(f->vendor + 4, &r[3], 4);
    memcpy(f->vendor + 8, &r[2], 4);
    cpuid(1, 0, r);
    f->family = r[0] >> 8 & 15;
    f->model = r[0] >> 4 & 15;
    f->stepping = r[0] & 15;
    if (f->family == 6 || f->family == 15) {
        f->model |= r[0] >> 12 & 0xf0;
    }
    if (f->family == 15) {
        f->family += r[0] >> 20 & 0xff;
    }
    f->pge = r[3] >> 13 & 1;
    f->x2apic = r[2] >> 21 & 1;
    f->tsc_deadline = r[2] >> 24 & 1;
    f->xsave = r[2] >> 26 & 1;
    f->hypervisor = r[2] >> 31 & 1;
}

static void detect_extended(struct cpu_features *f)
{
    uint32_t r[4];

    if (f->max_leaf >= 7) {
        cpuid(7, 0, r);
        f->fsgsbase = r[1] & 1;
        f->smep = r[1] >> 7 & 1;
        f->smap = r[1] >> 20 & 1;
    }
    if (f->xsave) {
        cpuid(13, 1, r);
        f->xsaveopt = r[0] & 1;
    }
    cpuid(0x80000000, 0, r);
    f->max_ext_leaf = r[0];
    cpuid(0x80000001, 0, r);
    f->nx = r[3] >> 20 & 1;
    f->gib_pages = r[3] >> 26 & 1;
    f->rdtscp = r[3] >> 27 & 1;
    f->phys_bits = 36;
    if (f->max_ext_leaf >= 0x80000007) {
        cpuid(0x80000007, 0, r);
        f->invariant_tsc = r[3] >> 8 & 1;
    }
    if (f->max_ext_leaf >= 0x80000008) {
        cpuid(0x80000008, 0, r);
        f->phys_bits = (uint8_t)r[0];
    }
}

static void patch_smap(void)
{
    for (const struct patch *p = smap_patch_start; p < smap_patch_end; p++) {
        memcpy((void *)p->at, &p->code, 3);
    }
}

void cpu_detect(void)
{
    struct cpu_features *f = &cpu_features;

    detect_basic(f);
    detect_extended(f);
    if (!f->nx || !f->pge) {
        panic("this processor (%s family %u model %u) has no NX or no global pages", f->vendor,
              f->family, f->model);
    }
    f->smap = f->smap && options.smap;
    f->smep = f->smep && options.smep;
    f->x2apic = f->x2apic && options.x2apic && CONFIG_X2APIC;
    /* Not UMIP: kernels for the ABI read their tables' addresses, and ours are no secret. */
    cr4 = X86_CR4_DE | X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_OSFXSR |
          X86_CR4_OSXMMEXCPT | (f->fsgsbase ? X86_CR4_FSGSBASE : 0) |
          (f->xsave ? X86_CR4_OSXSAVE : 0) | (f->smep ? X86_CR4_SMEP : 0) |
          (f->smap ? X86_CR4_SMAP : 0);
    if (f->smap) {
        patch_smap();
    }
}

uint64_t cpu_cr4(void)
{
    return cr4;
}

void cpu_no_global(void)
{
    cr4 &= ~(uint64_t)X86_CR4_PGE;
    write_cr4(cr4);
}

void cpu_setup(void)
{
    uint64_t cr0 = read_cr0();

    cr0 &= ~(uint64_t)(X86_CR0_EM | X86_CR0_TS | (1u << 29) | (1u << 30));
    write_cr0(cr0 | X86_CR0_MP | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM);
    write_cr4(cr4);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE | EFER_NXE);
    wrmsr(MSR_PAT, PAT_VALUE);
}
