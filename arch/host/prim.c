/* SPDX-License-Identifier: MIT */
/* Host port: the processor's registers and devices that arch/x86_64/guest asks for, as plain state.
 */
#include "cpu/machine.h"
#include "cpu/msr.h"

#include <string.h>

#include "abi/errno.h"
#include "domain/vcpu.h"
#include "guest/x86_slots.h"
#include "arch/host/host_int.h"
#include "arch/host/machine.h"

/* Not frames of the machine: nobody may follow them on the host. */
static const uint64_t slots[16] = { 0x7f0000000001, 0x7f0000001001 };
const uint64_t *x86_hv_slots = slots;

static struct {
    uint64_t fs, gs, gs_other;
    uint16_t sel[4];
    uint64_t dr[8];
    uint64_t xcr0;
    struct regs regs;
} reg[HOST_MAX_CPUS];

#define REG (reg[port_cpu_id()])

bool cpu_rdmsr_safe(uint32_t msr, uint64_t *val)
{
    (void)msr;
    *val = 0;
    return true;
}

bool cpu_wrmsr_safe(uint32_t msr, uint64_t val)
{
    (void)msr;
    (void)val;
    return true;
}

void cpu_cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *out)
{
    (void)subleaf;
    *out = (struct cpuid_leaf){ 0 };
    if (leaf == 0x80000008u) {
        out->a = 40;
    }
}

uint32_t cpu_in(uint16_t port, unsigned int size)
{
    (void)port;
    return size == 4 ? ~0u : (1u << (size * 8)) - 1;
}

void cpu_out(uint16_t port, unsigned int size, uint32_t val)
{
    (void)port;
    (void)size;
    (void)val;
}

void cpu_set_fs_base(uint64_t addr)
{
    REG.fs = addr;
}

void cpu_set_gs_base(uint64_t addr)
{
    REG.gs = addr;
}

void cpu_set_gs_base_other(uint64_t addr)
{
    REG.gs_other = addr;
}

uint64_t cpu_get_fs_base(void)
{
    return REG.fs;
}

uint64_t cpu_get_gs_base(void)
{
    return REG.gs;
}

uint64_t cpu_get_gs_base_other(void)
{
    return REG.gs_other;
}

void cpu_swapgs(void)
{
    uint64_t gs = REG.gs;

    REG.gs = REG.gs_other;
    REG.gs_other = gs;
}

bool cpu_load_gs_user(uint16_t sel)
{
    REG.sel[3] = sel;
    return true;
}

bool cpu_load_ds(uint16_t sel)
{
    REG.sel[0] = sel;
    return true;
}

bool cpu_load_es(uint16_t sel)
{
    REG.sel[1] = sel;
    return true;
}

bool cpu_load_fs(uint16_t sel)
{
    REG.sel[2] = sel;
    return true;
}

uint16_t cpu_read_sel(char which)
{
    return REG.sel[which == 'd' ? 0 : which == 'e' ? 1 : which == 'f' ? 2 : 3];
}

void cpu_set_ts(bool ts)
{
    (void)ts;
}

void cpu_set_dr(unsigned int nr, uint64_t val)
{
    REG.dr[nr & 7] = val;
}

uint64_t cpu_get_dr(unsigned int nr)
{
    return REG.dr[nr & 7];
}

bool cpu_set_xcr0(uint64_t val)
{
    REG.xcr0 = val;
    return true;
}

void cpu_load_root(struct vcpu *v, bool flush_global)
{
    (void)v;
    (void)flush_global;
    host_record.root_loads++;
    host_tlb_clear(port_cpu_id());
}

void cpu_load_gdt(struct vcpu *v)
{
    (void)v;
    host_record.gdt_loads++;
}

void cpu_load_ldt(struct vcpu *v)
{
    (void)v;
    host_record.ldt_loads++;
}

void cpu_toggle_mode(struct vcpu *v)
{
    v->arch.kernel_mode = !v->arch.kernel_mode;
    cpu_swapgs();
    cpu_load_root(v, false);
}

struct regs *cpu_guest_regs(void)
{
    return &REG.regs;
}

void cpu_wbinvd(void)
{
    host_record.wbinvds++;
}

void cpu_wbinvd_all(void)
{
    host_record.wbinvds += host_cpu_count;
}

void cpu_xstate_save(struct vcpu *v)
{
    (void)v;
}

void cpu_xstate_load(struct vcpu *v)
{
    (void)v;
}

uint32_t cpu_xstate_size(void)
{
    return 832;
}

uint64_t cpu_xstate_features(void)
{
    return 7;
}

uint64_t cpu_dr_mask_unused(void)
{
    return 0;
}

uint64_t cpu_ldt_window(void)
{
    return UINT64_C(0xffff87ff00000000);
}

void cpu_xstate_reset(struct vcpu *v)
{
    memset(v->arch.xstate, 0, cpu_xstate_size());
}

uint32_t cpu_pci_read(uint32_t cf8, unsigned int offset, unsigned int size)
{
    (void)cf8;
    (void)offset;
    return size == 4 ? ~0u : (1u << (size * 8)) - 1;
}

void cpu_pci_write(uint32_t cf8, unsigned int offset, unsigned int size, uint32_t val)
{
    (void)cf8;
    (void)offset;
    (void)size;
    (void)val;
}

int msi_setup(const struct msi_source *src, unsigned int irq)
{
    (void)src;
    (void)irq;
    return 0;
}

void msi_teardown(unsigned int irq)
{
    (void)irq;
}

int msi_restore(uint16_t segment, uint8_t bus, uint8_t devfn)
{
    (void)segment;
    (void)bus;
    (void)devfn;
    return -ENODEV;
}

int cpu_ioapic_read(uint64_t base, uint32_t index, uint32_t *val)
{
    (void)base;
    (void)index;
    (void)val;
    return -ENODEV;
}

bool cpu_efi_call(unsigned int offset, const uint64_t args[5], uint64_t *status)
{
    (void)offset;
    (void)args;
    (void)status;
    return false;
}

int cpu_acpi_sleep(unsigned int state, uint16_t val_a, uint16_t val_b)
{
    (void)state;
    (void)val_a;
    (void)val_b;
    return -ENODEV;
}

bool cpu_ids(unsigned int cpu, uint32_t *apic_id, uint32_t *acpi_id)
{
    *apic_id = cpu;
    *acpi_id = cpu;
    return cpu < host_cpu_count;
}

bool cpu_m2p_extent(uint64_t n, mfn_t *mfn)
{
    *mfn = n == 1 ? INVALID_MFN : MFN(n * 512);
    return n < 3;
}
