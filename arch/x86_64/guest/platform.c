/* SPDX-License-Identifier: MIT */
/* platform_op: what dom0 asks of the machine through us: firmware, clock, sleep, processors. */
#include "guest/trap.h"

#include "abi/errno.h"
#include "abi/platform.h"
#include "base/log.h"
#include "cpu/machine.h"
#include "cpu/msr.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/efi_call.h"
#include "lib/mem.h"
#include "port/copy.h"
#include "port/cpu.h"
#include "port/mmu.h"
#include "port/time.h"
#include "sched/sched.h"
#include "sched/systime.h"
#include "start/boot_info.h"
#include "start/start.h"

#define VENDOR_CHARS 64u

static int64_t pf_settime32(struct vcpu *v, struct xen_platform_op *op)
{
    (void)v;
    if (op->u.settime32.nsecs >= 1000000000u) {
        return -EINVAL;
    }
    systime_wallclock_set(op->u.settime32.secs, op->u.settime32.nsecs, op->u.settime32.system_time);
    return 0;
}

static int64_t pf_settime64(struct vcpu *v, struct xen_platform_op *op)
{
    (void)v;
    if (op->u.settime64.mbz != 0 || op->u.settime64.nsecs >= 1000000000u) {
        return -EINVAL;
    }
    systime_wallclock_set(op->u.settime64.secs, op->u.settime64.nsecs, op->u.settime64.system_time);
    return 0;
}

static int64_t pf_efi_runtime_call(struct vcpu *v, struct xen_platform_op *op)
{
    (void)v;
    return efi_call(&op->u.efi_runtime_call);
}

/* The firmware's name is UCS-2 in its own memory: at most VENDOR_CHARS of it, always ended. */
static int64_t efi_vendor(const struct boot_info *bi, union xenpf_efi_info *i)
{
    const uint16_t *from = port_phys_va(bi->efi_fw_vendor);
    uint16_t name[VENDOR_CHARS];
    uint32_t n = 0;

    i->vendor.revision = bi->efi_fw_revision;
    if (i->vendor.name.va == 0) {
        return 0;
    }
    memset(name, 0, sizeof name);
    while (from != NULL && n < VENDOR_CHARS - 1 && from[n] != 0) {
        name[n] = from[n];
        n++;
    }
    uint32_t room = i->vendor.bufsz / 2;
    if (room == 0) {
        return -EINVAL;
    }
    uint32_t chars = n + 1 < room ? n + 1 : room;
    name[chars - 1] = 0;
    return guest_write(i->vendor.name, name, chars * sizeof name[0]) != 0 ? -EFAULT : 0;
}

static int64_t efi_memory(const struct boot_info *bi, union xenpf_efi_info *i)
{
    uint64_t addr = i->mem.addr;

    for (uint32_t k = 0; k < bi->range_count; k++) {
        const struct boot_range *r = &bi->ranges[k];
        if (addr >= r->start && addr < r->end) {
            i->mem.type = r->efi_type;
            i->mem.attr = r->efi_attr;
            if (i->mem.size == 0 || i->mem.size > r->end - addr) {
                i->mem.size = r->end - addr;
            }
            return 0;
        }
    }
    return -ESRCH;
}

static int64_t efi_info(struct xenpf_firmware_info *f)
{
    const struct boot_info *bi = boot_info_get();
    union xenpf_efi_info *i = &f->u.efi_info;

    if (bi->efi_system_table == 0) {
        return -ENODEV;
    }
    switch (f->index) {
    case XEN_FW_EFI_VERSION:
        i->version = bi->efi_version;
        return 0;
    case XEN_FW_EFI_RT_VERSION:
        i->version = bi->efi_version;
        return 0;
    case XEN_FW_EFI_CONFIG_TABLE:
        i->cfg.addr = bi->efi_config_table;
        i->cfg.nent = bi->efi_config_count;
        return 0;
    case XEN_FW_EFI_VENDOR:
        return efi_vendor(bi, i);
    case XEN_FW_EFI_MEM_INFO:
        return efi_memory(bi, i);
    default:
        return -EINVAL;
    }
}

/* BIOS data (disks, EDID, keyboard flags) does not exist on a machine that EFI started. */
static int64_t pf_firmware_info(struct vcpu *v, struct xen_platform_op *op)
{
    struct xenpf_firmware_info *f = &op->u.firmware_info;

    (void)v;
    switch (f->type) {
    case XEN_FW_EFI_INFO:
        return efi_info(f);
    case XEN_FW_KBD_SHIFT_FLAGS:
        if (f->index != 0) {
            return -ESRCH;
        }
        f->u.kbd_shift_flags = 0;
        return 0;
    case XEN_FW_DISK_INFO:
    case XEN_FW_DISK_MBR_SIGNATURE:
    case XEN_FW_VBEDDC_INFO:
        return -ESRCH;
    default:
        return -EINVAL;
    }
}

static int64_t pf_enter_acpi_sleep(struct vcpu *v, struct xen_platform_op *op)
{
    const struct xenpf_enter_acpi_sleep *s = &op->u.enter_acpi_sleep;

    (void)v;
    if (s->flags & XENPF_ACPI_SLEEP_EXTENDED) {
        return -EOPNOTSUPP;
    }
    if (s->sleep_state != 5) {
        return -EOPNOTSUPP; /* suspending the whole machine */
    }
    log_info("domain 0 powers the machine off");
    return cpu_acpi_sleep(s->sleep_state, s->val_a, s->val_b);
}

static int64_t pf_getidletime(struct vcpu *v, struct xen_platform_op *op)
{
    struct xenpf_getidletime *g = &op->u.getidletime;
    uint8_t wanted[(CONFIG_MAX_CPUS + 7) / 8] = { 0 };
    uint32_t cpus = g->cpumap_nr_cpus < CONFIG_MAX_CPUS ? g->cpumap_nr_cpus : CONFIG_MAX_CPUS;

    (void)v;
    if (guest_read(wanted, g->cpumap_bitmap, (cpus + 7) / 8) != 0) {
        return -EFAULT;
    }
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        bool want = (wanted[cpu / 8] >> (cpu % 8)) & 1;
        if (want && !cpumask_test(&cpu_online_mask, cpu)) {
            wanted[cpu / 8] &= (uint8_t) ~(1u << (cpu % 8));
        } else if (want) {
            uint64_t ns = sched_idle_time(cpu);
            if (guest_write(gptr_at(g->idletime, cpu, sizeof ns), &ns, sizeof ns) != 0) {
                return -EFAULT;
            }
        }
    }
    g->now = port_time_now();
    return guest_write(g->cpumap_bitmap, wanted, (cpus + 7) / 8) != 0 ? -EFAULT : 0;
}

static int64_t pf_get_cpuinfo(struct vcpu *v, struct xen_platform_op *op)
{
    struct xenpf_pcpuinfo *p = &op->u.pcpu_info;

    (void)v;
    p->max_present = port_cpu_count() - 1;
    p->flags = 0;
    p->apic_id = UINT32_MAX;
    p->acpi_id = UINT32_MAX;
    if (p->xen_cpuid >= CONFIG_MAX_CPUS || !cpu_ids(p->xen_cpuid, &p->apic_id, &p->acpi_id)) {
        p->flags = XEN_PCPU_FLAGS_INVALID;
    } else {
        p->flags = XEN_PCPU_FLAGS_ONLINE;
    }
    return 0;
}

static int64_t pf_get_cpu_version(struct vcpu *v, struct xen_platform_op *op)
{
    struct xenpf_pcpu_version *p = &op->u.pcpu_version;
    struct cpuid_leaf l0;
    struct cpuid_leaf l1;

    (void)v;
    p->max_present = port_cpu_count() - 1;
    if (p->xen_cpuid >= CONFIG_MAX_CPUS || !cpumask_test(&cpu_online_mask, p->xen_cpuid)) {
        memset(p->vendor_id, 0, sizeof p->vendor_id);
        p->family = p->model = p->stepping = 0;
        return 0;
    }
    cpu_cpuid(0, 0, &l0);
    cpu_cpuid(1, 0, &l1);
    memcpy(p->vendor_id, &l0.b, 4);
    memcpy(p->vendor_id + 4, &l0.d, 4);
    memcpy(p->vendor_id + 8, &l0.c, 4);
    p->family = (l1.a >> 8 & 15) + ((l1.a >> 8 & 15) == 15 ? l1.a >> 20 & 255 : 0);
    p->model = (l1.a >> 4 & 15) | (l1.a >> 12 & 0xf0);
    p->stepping = l1.a & 15;
    return 0;
}

typedef int64_t platform_fn(struct vcpu *v, struct xen_platform_op *op);

static const struct {
    const char *name;
    platform_fn *fn;
} rows[] = {
    [XENPF_settime32] = { "settime32", pf_settime32 },
    [XENPF_settime64] = { "settime64", pf_settime64 },
    [XENPF_efi_runtime_call] = { "efi_runtime_call", pf_efi_runtime_call },
    [XENPF_firmware_info] = { "firmware_info", pf_firmware_info },
    [XENPF_enter_acpi_sleep] = { "enter_acpi_sleep", pf_enter_acpi_sleep },
    [XENPF_getidletime] = { "getidletime", pf_getidletime },
    [XENPF_get_cpuinfo] = { "get_cpuinfo", pf_get_cpuinfo },
    [XENPF_get_cpu_version] = { "get_cpu_version", pf_get_cpu_version },
};

/* platform_op(struct xen_platform_op *): -EFAULT, -EACCES (another interface version), -ENOSYS, or
 * the row's. */
int64_t hc_platform_op(struct vcpu *v, struct hcall_args *a)
{
    struct xen_platform_op op;
    gptr_t ptr = gptr(a->arg[0]);

    if (guest_read(&op, ptr, sizeof op) != 0) {
        return -EFAULT;
    }
    if (op.interface_version != XENPF_INTERFACE_VERSION) {
        return -EACCES;
    }
    if (op.cmd >= sizeof rows / sizeof rows[0] || rows[op.cmd].fn == NULL) {
        return -ENOSYS;
    }
    int64_t rc = rows[op.cmd].fn(v, &op);
    if (rc == 0 && guest_write(ptr, &op, sizeof op) != 0) {
        return -EFAULT;
    }
    return rc;
}

/* Machine-check telemetry: none is kept for dom0; it goes on without (Linux prints one line). */
int64_t hc_mca(struct vcpu *v, struct hcall_args *a)
{
    (void)v;
    (void)a;
    return -ENOSYS;
}
