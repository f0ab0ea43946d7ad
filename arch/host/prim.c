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

struct host_hooks host_hooks;

bool cpu_rdmsr_safe(uint32_t msr, uint64_t *val)
{
    *val = 0;
    return host_hooks.rdmsr == NULL || host_hooks.rdmsr(msr, val);
}

bool cpu_wrmsr_safe(uint32_t msr, uint64_t val)
{
    return host_hooks.wrmsr == NULL || host_hooks.wrmsr(msr, val);
}

void cpu_cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *out)
{
    *out = (struct cpuid_leaf){ 0 };
    if (host_hooks.cpuid != NULL) {
        host_hooks.cpuid(leaf, subleaf, out);
        return;
    }
    if (leaf == 0x80000008u) {
        out->a = 40;
    }
}

uint32_t cpu_in(uint16_t port, unsigned int size)
{
    if (host_hooks.in != NULL) {
        return host_hooks.in(port, size);
    }
    return size == 4 ? ~0u : (1u << (size * 8)) - 1;
}

void cpu_out(uint16_t port, unsigned int size, uint32_t val)
{
    if (host_hooks.out != NULL) {
        host_hooks.out(port, size, val);
    }
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
    host_record.ts = ts;
}

void cpu_load_cr4(const struct vcpu *v)
{
    host_record.cr4 = v->arch.cr4;
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

/* The model's cpus keep no address space when they change vcpus. */
void cpu_drop_space(struct vcpu *v)
{
    (void)v;
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

void cpu_xstate_pointers(bool stay)
{
    (void)stay;
}

void cpu_xstate_reset(struct vcpu *v)
{
    memset(v->arch.xstate, 0, cpu_xstate_size());
}

uint32_t cpu_pci_read(uint32_t cf8, unsigned int offset, unsigned int size)
{
    if (host_hooks.pci_read != NULL) {
        return host_hooks.pci_read(cf8, offset, size);
    }
    return size == 4 ? ~0u : (1u << (size * 8)) - 1;
}

void cpu_pci_write(uint32_t cf8, unsigned int offset, unsigned int size, uint32_t val)
{
    if (host_hooks.pci_write != NULL) {
        host_hooks.pci_write(cf8, offset, size, val);
    }
}

uint8_t cpu_cmos_read(uint8_t index)
{
    cpu_out(0x70, 1, index);
    return (uint8_t)cpu_in(0x71, 1);
}

void cpu_cmos_write(uint8_t index, uint8_t val)
{
    cpu_out(0x70, 1, index);
    cpu_out(0x71, 1, val);
}

int msi_setup(const struct msi_source *src, unsigned int irq)
{
    return host_hooks.msi_setup != NULL ? host_hooks.msi_setup(src, irq) : 0;
}

void msi_teardown(unsigned int irq)
{
    (void)irq;
    host_record.msi_teardowns++;
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
    return host_hooks.efi != NULL && host_hooks.efi(offset, args, status);
}

int cpu_acpi_sleep(unsigned int state, uint16_t val_a, uint16_t val_b)
{
    return host_hooks.sleep != NULL ? host_hooks.sleep(state, val_a, val_b) : -ENODEV;
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
