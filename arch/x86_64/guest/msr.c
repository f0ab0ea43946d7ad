/* SPDX-License-Identifier: MIT */
/* Model-specific registers that a guest may read or write; every other one is a #GP, as on hardware
 * without it. */
#include "guest/trap.h"

#include "cpu/msr.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/pte.h"
#include "port/time.h"

#define MSR_TSC            0x00000010u
#define MSR_APIC_BASE      0x0000001bu
#define MSR_UCODE_REV      0x0000008bu
#define MSR_MISC_FEATURES  0x00000140u
#define MSR_MCG_CAP        0x00000179u
#define MSR_MCG_STATUS     0x0000017au
#define MSR_MISC_ENABLE    0x000001a0u
#define MSR_PAT            0x00000277u
#define MSR_EFER           0xc0000080u
#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX        0xc0000103u
#define MSR_AMD_HWCR       0xc0010015u
#define MSR_AMD_NB_CFG     0xc001001fu
#define MSR_AMD_DE_CFG     0xc0011029u

#define EFER_GUEST       UINT64_C(0xd01) /* SCE, LME, LMA, NX */
#define APIC_BASE_BSP    (UINT64_C(1) << 8)
#define APIC_BASE_ENABLE (UINT64_C(1) << 11)
#define APIC_BASE_ADDR   UINT64_C(0xfee00000)
/* MISC_ENABLE: branch trace and event based sampling are unavailable. */
#define MISC_ENABLE_NO_BTS  (UINT64_C(1) << 11)
#define MISC_ENABLE_NO_PEBS (UINT64_C(1) << 12)

bool guest_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *val)
{
    switch (msr) {
    case MSR_FS_BASE:
        *val = cpu_get_fs_base();
        return true;
    case MSR_GS_BASE:
        *val = cpu_get_gs_base();
        return true;
    case MSR_KERNEL_GS_BASE:
        *val = cpu_get_gs_base_other();
        return true;
    case MSR_EFER:
        if (!cpu_rdmsr_safe(msr, val)) {
            return false;
        }
        *val &= EFER_GUEST;
        return true;
    case MSR_TSC:
        *val = port_ticks();
        return true;
    case MSR_TSC_AUX:
        *val = v->arch.msr_tsc_aux;
        return true;
    case MSR_APIC_BASE:
        *val = APIC_BASE_ADDR | APIC_BASE_ENABLE | (v->id == 0 ? APIC_BASE_BSP : 0);
        return true;
    case MSR_MISC_FEATURES:
        *val = v->arch.msr_misc_features;
        return true;
    case MSR_MCG_CAP: /* no banks: machine checks are the hypervisor's */
    case MSR_MCG_STATUS:
        *val = 0;
        return true;
    case MSR_MISC_ENABLE:
        if (!cpu_rdmsr_safe(msr, val)) {
            return false;
        }
        *val |= MISC_ENABLE_NO_BTS | MISC_ENABLE_NO_PEBS;
        return true;
    case MSR_UCODE_REV:
    case MSR_PAT:
        return cpu_rdmsr_safe(msr, val);
    case MSR_AMD_HWCR:
    case MSR_AMD_NB_CFG:
    case MSR_AMD_DE_CFG:
        return cpu_rdmsr_safe(msr, val);
    default:
        return false;
    }
}

bool guest_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val)
{
    uint64_t now;

    switch (msr) {
    case MSR_FS_BASE:
    case MSR_GS_BASE:
    case MSR_KERNEL_GS_BASE:
        if (!va_canonical(val)) {
            return false;
        }
        if (msr == MSR_FS_BASE) {
            cpu_set_fs_base(val);
        } else if (msr == MSR_GS_BASE) {
            cpu_set_gs_base(val);
        } else {
            cpu_set_gs_base_other(val);
        }
        return true;
    case MSR_TSC_AUX:
        if (val >> 32 != 0) {
            return false;
        }
        v->arch.msr_tsc_aux = val;
        return cpu_wrmsr_safe(msr, val);
    case MSR_MISC_FEATURES:
        return val == 0;
    case MSR_EFER:
    case MSR_PAT:
        /* What it is already; a change would be everybody's. */
        return guest_rdmsr(v, msr, &now) && now == val;
    case MSR_UCODE_REV: /* the customary 0 before reading the revision */
    case MSR_MISC_ENABLE:
    case MSR_APIC_BASE:
    case MSR_MCG_STATUS:
        return true;
    default:
        return false;
    }
}
