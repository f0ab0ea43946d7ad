/* SPDX-License-Identifier: MIT */
/* What only the domain that owns the hardware may ask: physdev_op and platform_op, firmware calls
 * with their buffers. */
#include "tests/unit/core_kit.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/physdev.h"
#include "abi/platform.h"
#include "arch/host/machine.h"
#include "guest/trap.h"
#include "irq/irq.h"
#include "irq/pirq.h"
#include "port/cpu.h"
#include "start/boot_info.h"
#include "start/start.h"

static struct domain *d0, *d1;
static struct vcpu *v0, *v1;
static struct boot_info boot;

static int begin(void **state)
{
    (void)state;
    d0 = kit_domain(0, 2);
    d1 = kit_domain(1, 1);
    v0 = d0->vcpu[0];
    v1 = d1->vcpu[0];
    memset(&boot, 0, sizeof boot);
    boot_info_keep(&boot);
    return 0;
}

static int end(void **state)
{
    host_hooks = (struct host_hooks){ 0 };
    return kit_teardown(state);
}

static int64_t phys(struct vcpu *v, unsigned int op, const void *arg)
{
    return kit_call(v, hc_physdev_op, op, arg, 0);
}

/* Every number, by every caller: nothing is done for a domain without hardware but what concerns
 * itself. */
static void test_physdev_rights(void **state)
{
    uint8_t arg[64] = { 0 };

    (void)state;
    for (unsigned int op = 0; op < 64; op++) {
        int64_t rc = phys(v1, op, arg);
        if (op == PHYSDEVOP_set_iopl || op == PHYSDEVOP_set_iobitmap) {
            assert_int_equal(rc, 0);
        } else if (rc != -EPERM && rc != -ENOSYS) {
            fail_msg("physdev_op %u of a guest: %ld", op, rc);
        }
        assert_int_equal(phys(v0, op, (void *)(uintptr_t)KIT_BAD_VA),
                         rc == -ENOSYS ? -ENOSYS : -EFAULT);
    }
}

static void test_iopl(void **state)
{
    struct physdev_set_iopl p = { .iopl = 3 };
    struct physdev_set_iobitmap b = { .bitmap = { 0x1000 }, .nr_ports = 65536 };

    (void)state;
    assert_int_equal(phys(v1, PHYSDEVOP_set_iopl, &p), 0);
    assert_int_equal(v1->arch.iopl, 3);
    p.iopl = 4;
    assert_int_equal(phys(v1, PHYSDEVOP_set_iopl, &p), -EINVAL);
    assert_int_equal(phys(v1, PHYSDEVOP_set_iobitmap, &b), 0);
    assert_int_equal(v1->arch.iobmp_ports, 65536);
    b.nr_ports = 65537;
    assert_int_equal(phys(v1, PHYSDEVOP_set_iobitmap, &b), -EINVAL);
    assert_int_equal(v1->arch.iobmp_ports, 65536);
}

static int64_t map(struct physdev_map_pirq *m, int type, int index)
{
    m->domid = DOMID_SELF;
    m->type = type;
    m->index = index;
    m->pirq = -1;
    return phys(v0, PHYSDEVOP_map_pirq, m);
}

static void test_lines(void **state)
{
    struct physdev_map_pirq m = { 0 };
    struct physdev_setup_gsi g = { .gsi = 9, .triggering = 1, .polarity = 1 };
    struct physdev_irq i = { .irq = 9 };

    (void)state;
    assert_int_equal(map(&m, MAP_PIRQ_TYPE_GSI, 9), 0);
    assert_int_equal(m.pirq, 9);
    assert_int_equal(map(&m, MAP_PIRQ_TYPE_GSI, -1), -EINVAL); /* XSA-16, 21 */
    assert_int_equal(map(&m, MAP_PIRQ_TYPE_GSI, 24), -EINVAL);
    assert_int_equal(map(&m, MAP_PIRQ_TYPE_GSI, INT32_MAX), -EINVAL);
    assert_int_equal(map(&m, MAP_PIRQ_TYPE_UNKNOWN, 9), -EINVAL);
    m = (struct physdev_map_pirq){ .domid = 1, .type = MAP_PIRQ_TYPE_GSI, .index = 9, .pirq = -1 };
    assert_int_equal(phys(v0, PHYSDEVOP_map_pirq, &m), -EPERM);
    assert_int_equal(phys(v0, PHYSDEVOP_setup_gsi, &g), 0);
    struct physdev_irq_status_query q = { .irq = 9 };
    assert_int_equal(phys(v0, PHYSDEVOP_irq_status_query, &q), 0);
    assert_int_equal(q.flags, XENIRQSTAT_needs_eoi);
    g.triggering = 0;
    assert_int_equal(phys(v0, PHYSDEVOP_setup_gsi, &g), 0);
    assert_int_equal(phys(v0, PHYSDEVOP_irq_status_query, &q), 0);
    assert_int_equal(q.flags, 0);
    q.irq = UINT32_MAX;
    assert_int_equal(phys(v0, PHYSDEVOP_irq_status_query, &q), -EINVAL);
    g.triggering = 2;
    assert_int_equal(phys(v0, PHYSDEVOP_setup_gsi, &g), -EINVAL);
    g = (struct physdev_setup_gsi){ .gsi = -1 };
    assert_int_equal(phys(v0, PHYSDEVOP_setup_gsi, &g), -EINVAL);
    g.gsi = 24;
    assert_int_equal(phys(v0, PHYSDEVOP_setup_gsi, &g), -EINVAL);
    assert_int_equal(phys(v0, PHYSDEVOP_alloc_irq_vector, &i), 0);
    assert_int_equal(i.vector, 9);
    i.irq = UINT32_MAX;
    assert_int_equal(phys(v0, PHYSDEVOP_alloc_irq_vector, &i), -EINVAL);
    struct physdev_eoi e = { .irq = 9 };
    assert_int_equal(phys(v0, PHYSDEVOP_eoi, &e), 0);
    e.irq = UINT32_MAX;
    assert_int_equal(phys(v0, PHYSDEVOP_eoi, &e), -EINVAL);
    struct physdev_unmap_pirq u = { .domid = 1, .pirq = 9 };
    assert_int_equal(phys(v0, PHYSDEVOP_unmap_pirq, &u), -EPERM);
    u.domid = DOMID_SELF;
    assert_int_equal(phys(v0, PHYSDEVOP_unmap_pirq, &u), 0);
    assert_int_equal(phys(v0, PHYSDEVOP_unmap_pirq, &u), -EINVAL);
    assert_int_equal(host_record.msi_teardowns, 0);
    struct physdev_apic ap = { 0 };
    assert_int_equal(phys(v0, PHYSDEVOP_apic_write, &ap), -EPERM);
    assert_int_equal(phys(v0, PHYSDEVOP_apic_read, &ap), -ENODEV);
}

static struct msi_source got;
static unsigned int got_irq;
static int msi_rc;

static int hook_msi(const struct msi_source *src, unsigned int irq)
{
    got = *src;
    got_irq = irq;
    return msi_rc;
}

static void test_msi(void **state)
{
    struct physdev_map_pirq m = {
        .bus = (int32_t)0x00120034, .devfn = 0x56, .entry_nr = 2047, .table_base = 0xfe000000
    };
    struct physdev_unmap_pirq u = { .domid = DOMID_SELF };

    (void)state;
    host_hooks.msi_setup = hook_msi;
    msi_rc = 0;
    unsigned int before = host_record.msi_teardowns;
    assert_int_equal(map(&m, MAP_PIRQ_TYPE_MSI_SEG, -1), 0);
    assert_int_equal(got.segment, 0x12);
    assert_int_equal(got.bus, 0x34);
    assert_int_equal(got.devfn, 0x56);
    assert_true(got.is_msix);
    assert_int_equal(got.entry, 2047);
    u.pirq = m.pirq;
    assert_int_equal(phys(v0, PHYSDEVOP_unmap_pirq, &u), 0);
    assert_int_equal(host_record.msi_teardowns, before + 1);
    m.entry_nr = 2048;
    assert_int_equal(map(&m, MAP_PIRQ_TYPE_MSI, -1), -EINVAL);
    m.entry_nr = -1;
    assert_int_equal(map(&m, MAP_PIRQ_TYPE_MSI, -1), -EINVAL);
    m.table_base = 0;
    m.entry_nr = 0;
    assert_int_equal(map(&m, MAP_PIRQ_TYPE_MULTI_MSI, -1), -EDOM);
    m.entry_nr = 33;
    assert_int_equal(map(&m, MAP_PIRQ_TYPE_MULTI_MSI, -1), -EDOM);
    m.entry_nr = 2; /* several need interrupt remapping */
    assert_int_equal(map(&m, MAP_PIRQ_TYPE_MULTI_MSI, -1), -EOPNOTSUPP);
    m.entry_nr = 1;
    assert_int_equal(map(&m, MAP_PIRQ_TYPE_MULTI_MSI, -1), 0);
    assert_false(got.is_msix);
    u.pirq = m.pirq;
    assert_int_equal(phys(v0, PHYSDEVOP_unmap_pirq, &u), 0);
    /* What fails leaves no line and no number. */
    msi_rc = -ENODEV;
    for (unsigned int i = 0; i < 2 * IRQ_MAX; i++) {
        assert_int_equal(map(&m, MAP_PIRQ_TYPE_MSI, -1), -ENODEV);
    }
    msi_rc = 0;
    before = host_record.msi_teardowns;
    m.domid = DOMID_SELF;
    m.type = MAP_PIRQ_TYPE_MSI;
    m.pirq = 1 << 20;
    for (unsigned int i = 0; i < 2 * IRQ_MAX; i++) {
        assert_int_equal(phys(v0, PHYSDEVOP_map_pirq, &m), -EINVAL);
    }
    assert_int_equal(host_record.msi_teardowns, before + 2 * IRQ_MAX);
    struct physdev_get_free_pirq f = { .type = MAP_PIRQ_TYPE_MSI };
    assert_int_equal(phys(v0, PHYSDEVOP_get_free_pirq, &f), 0);
    m.pirq = (int32_t)f.pirq;
    assert_int_equal(phys(v0, PHYSDEVOP_map_pirq, &m), 0);
    assert_int_equal(m.pirq, f.pirq);
    u.pirq = m.pirq;
    assert_int_equal(phys(v0, PHYSDEVOP_unmap_pirq, &u), 0);
    f.type = MAP_PIRQ_TYPE_UNKNOWN;
    assert_int_equal(phys(v0, PHYSDEVOP_get_free_pirq, &f), -EINVAL);
    struct physdev_restore_msi r = { 0 };
    assert_int_equal(phys(v0, PHYSDEVOP_restore_msi, &r), -ENODEV);
}

static struct xen_platform_op op;

static int64_t pf(uint32_t cmd)
{
    op.cmd = cmd;
    op.interface_version = XENPF_INTERFACE_VERSION;
    return kit_call(v0, hc_platform_op, (uintptr_t)&op, NULL, 0);
}

static void test_platform_entry(void **state)
{
    (void)state;
    op.cmd = XENPF_get_cpuinfo;
    op.interface_version = XENPF_INTERFACE_VERSION - 1;
    assert_int_equal(kit_call(v0, hc_platform_op, (uintptr_t)&op, NULL, 0), -EACCES);
    assert_int_equal(kit_call(v0, hc_platform_op, KIT_BAD_VA, NULL, 0), -EFAULT);
    assert_int_equal(pf(0), -ENOSYS);
    assert_int_equal(pf(64), -ENOSYS);
    assert_int_equal(pf(UINT32_MAX), -ENOSYS);
    /* The row of the call's table says who. */
    struct hcall_args a = { { (uintptr_t)&op } };
    assert_int_equal(hcall_dispatch(v1, __HYPERVISOR_platform_op, &a), -EPERM);
    assert_int_equal(hcall_dispatch(v1, __HYPERVISOR_mca, &a), -EPERM);
    assert_int_equal(hcall_dispatch(v0, __HYPERVISOR_mca, &a), -ENOSYS);
}

static void test_clock(void **state)
{
    (void)state;
    memset(&op, 0, sizeof op);
    op.u.settime64.secs = 1800000000;
    op.u.settime64.nsecs = 999999999;
    assert_int_equal(pf(XENPF_settime64), 0);
    op.u.settime64.nsecs = 1000000000;
    assert_int_equal(pf(XENPF_settime64), -EINVAL);
    op.u.settime64.nsecs = 0;
    op.u.settime64.mbz = 1;
    assert_int_equal(pf(XENPF_settime64), -EINVAL);
    memset(&op, 0, sizeof op);
    op.u.settime32.nsecs = 1000000000;
    assert_int_equal(pf(XENPF_settime32), -EINVAL);
    op.u.settime32.secs = 1700000000;
    op.u.settime32.nsecs = 0;
    assert_int_equal(pf(XENPF_settime32), 0);
}

static uint16_t slept;

static int hook_sleep(unsigned int s, uint16_t a, uint16_t b)
{
    assert_int_equal(s, 5);
    slept = (uint16_t)(a + b);
    return 0;
}

static void test_sleep_and_cpus(void **state)
{
    uint8_t map8[16];
    uint64_t idle[4] = { 77, 77, 77, 77 };

    (void)state;
    host_hooks.sleep = hook_sleep;
    memset(&op, 0, sizeof op);
    op.u.enter_acpi_sleep = (struct xenpf_enter_acpi_sleep){ 0x2000, 0x11, 5, 0 };
    assert_int_equal(pf(XENPF_enter_acpi_sleep), 0);
    assert_int_equal(slept, 0x2011);
    op.u.enter_acpi_sleep.sleep_state = 3;
    assert_int_equal(pf(XENPF_enter_acpi_sleep), -EOPNOTSUPP);
    op.u.enter_acpi_sleep = (struct xenpf_enter_acpi_sleep){ 0, 0, 5, XENPF_ACPI_SLEEP_EXTENDED };
    assert_int_equal(pf(XENPF_enter_acpi_sleep), -EOPNOTSUPP);

    memset(&op, 0, sizeof op);
    memset(map8, 0xff, sizeof map8);
    op.u.getidletime.cpumap_bitmap.va = (uintptr_t)map8;
    op.u.getidletime.cpumap_nr_cpus = 4;
    op.u.getidletime.idletime.va = (uintptr_t)idle;
    assert_int_equal(pf(XENPF_getidletime), 0);
    assert_int_equal(map8[0], 0xf3); /* two of four cpus; bits beyond the count stay as they are */
    assert_int_equal(map8[1], 0xff);
    assert_int_not_equal(idle[1], 77);
    assert_int_equal(idle[2], 77);
    op.u.getidletime.cpumap_bitmap.va = KIT_BAD_VA;
    assert_int_equal(pf(XENPF_getidletime), -EFAULT);
    op.u.getidletime.cpumap_bitmap.va = (uintptr_t)map8;
    op.u.getidletime.idletime.va = KIT_BAD_VA;
    assert_int_equal(pf(XENPF_getidletime), -EFAULT);

    static const uint32_t bad[] = { 2, CONFIG_MAX_CPUS, UINT32_MAX };
    for (unsigned int i = 0; i < 3; i++) {
        op.u.pcpu_info.xen_cpuid = bad[i];
        assert_int_equal(pf(XENPF_get_cpuinfo), 0);
        assert_int_equal(op.u.pcpu_info.flags, XEN_PCPU_FLAGS_INVALID);
        assert_int_equal(op.u.pcpu_info.max_present, 1);
        op.u.pcpu_version.xen_cpuid = bad[i];
        op.u.pcpu_version.family = 9;
        assert_int_equal(pf(XENPF_get_cpu_version), 0);
        assert_int_equal(op.u.pcpu_version.family, 0);
    }
    op.u.pcpu_info.xen_cpuid = 1;
    assert_int_equal(pf(XENPF_get_cpuinfo), 0);
    assert_int_equal(op.u.pcpu_info.flags, XEN_PCPU_FLAGS_ONLINE);
    assert_int_equal(op.u.pcpu_info.apic_id, 1);
}

static int64_t fw(uint32_t type, uint32_t index)
{
    op.u.firmware_info.type = type;
    op.u.firmware_info.index = index;
    return pf(XENPF_firmware_info);
}

static void test_firmware_info(void **state)
{
    union xenpf_efi_info *i = &op.u.firmware_info.u.efi_info;
    uint16_t name[8];

    (void)state;
    memset(&op, 0, sizeof op);
    assert_int_equal(fw(XEN_FW_EFI_INFO, XEN_FW_EFI_VERSION), -ENODEV);
    boot.efi_system_table = 1;
    boot.efi_version = 0x20046;
    boot.efi_config_table = 0x1234000;
    boot.efi_config_count = 9;
    boot.range_count = 2;
    boot.ranges[0] = (struct boot_range){ .start = 0x1000, .end = 0x3000, .efi_type = 7 };
    boot.ranges[1] = (struct boot_range){ .start = 0x5000, .end = 0x9000, .efi_type = 6 };
    boot_info_keep(&boot);
    assert_int_equal(fw(XEN_FW_EFI_INFO, XEN_FW_EFI_VERSION), 0);
    assert_int_equal(i->version, 0x20046);
    assert_int_equal(fw(XEN_FW_EFI_INFO, XEN_FW_EFI_CONFIG_TABLE), 0);
    assert_int_equal(i->cfg.nent, 9);
    i->mem.addr = 0x6000;
    i->mem.size = UINT64_MAX;
    assert_int_equal(fw(XEN_FW_EFI_INFO, XEN_FW_EFI_MEM_INFO), 0);
    assert_int_equal(i->mem.size, 0x3000);
    assert_int_equal(i->mem.type, 6);
    i->mem.addr = 0x4000;
    assert_int_equal(fw(XEN_FW_EFI_INFO, XEN_FW_EFI_MEM_INFO), -ESRCH);
    i->mem.addr = UINT64_MAX;
    assert_int_equal(fw(XEN_FW_EFI_INFO, XEN_FW_EFI_MEM_INFO), -ESRCH);
    memset(name, 0xff, sizeof name);
    i->vendor.name.va = (uintptr_t)name;
    i->vendor.bufsz = 1;
    assert_int_equal(fw(XEN_FW_EFI_INFO, XEN_FW_EFI_VENDOR), -EINVAL);
    i->vendor.bufsz = 4;
    assert_int_equal(fw(XEN_FW_EFI_INFO, XEN_FW_EFI_VENDOR), 0);
    assert_int_equal(name[0], 0);
    assert_int_equal(name[2], 0xffff);
    i->vendor.name.va = KIT_BAD_VA;
    i->vendor.bufsz = 4;
    assert_int_equal(fw(XEN_FW_EFI_INFO, XEN_FW_EFI_VENDOR), -EFAULT);
    assert_int_equal(fw(XEN_FW_EFI_INFO, XEN_FW_EFI_PCI_ROM), -EINVAL);
    assert_int_equal(fw(XEN_FW_KBD_SHIFT_FLAGS, 0), 0);
    assert_int_equal(fw(XEN_FW_KBD_SHIFT_FLAGS, 1), -ESRCH);
    assert_int_equal(fw(XEN_FW_DISK_INFO, 0), -ESRCH);
    assert_int_equal(fw(99, 0), -EINVAL);
}

static unsigned int efi_offset;
static uint64_t efi_size;   /* what the firmware says of its data */
static uint64_t efi_status; /* what it answers */
static uint64_t efi_given;  /* the size it was given */
static unsigned int efi_calls;

static bool hook_efi(unsigned int offset, const uint64_t args[5], uint64_t *status)
{
    efi_calls++;
    efi_offset = offset;
    *status = efi_status;
    if (offset == 72) { /* GetVariable: attributes, size, data */
        uint64_t *size = (uint64_t *)(uintptr_t)args[3];
        efi_given = *size;
        *(uint32_t *)(uintptr_t)args[2] = 7;
        if (efi_status == 0) {
            memset((void *)(uintptr_t)args[4], 0xa5, efi_size);
        }
        *size = efi_size;
    } else if (offset == 80) { /* GetNextVariableName */
        uint64_t *size = (uint64_t *)(uintptr_t)args[0];
        efi_given = *size;
        *size = efi_size;
    } else if (offset == 88) { /* SetVariable */
        efi_given = args[3];
    }
    return true;
}

static int64_t efi(uint32_t function)
{
    op.u.efi_runtime_call.function = function;
    return pf(XENPF_efi_runtime_call);
}

static void test_efi_variables(void **state)
{
    static uint16_t name[2049];
    static uint8_t data[70000];
    struct xenpf_efi_runtime_call *c = &op.u.efi_runtime_call;

    (void)state;
    memset(&op, 0, sizeof op);
    name[0] = 'x';
    c->u.get_variable.name.va = (uintptr_t)name;
    c->u.get_variable.data.va = (uintptr_t)data;
    c->u.get_variable.size = 100;
    assert_int_equal(efi(XEN_EFI_get_variable), -ENODEV); /* no services */
    host_hooks.efi = hook_efi;
    efi_calls = 0;
    efi_size = 60;
    efi_status = 0;
    assert_int_equal(efi(XEN_EFI_get_variable), 0);
    assert_int_equal(efi_given, 100);
    assert_int_equal(c->misc, 7);
    assert_int_equal(c->u.get_variable.size, 60);
    assert_int_equal(data[59], 0xa5);
    assert_int_equal(data[60], 0);
    /* More than is kept for it is not asked for; what is too small says how much. */
    c->misc = 0;
    c->u.get_variable.size = UINT64_MAX;
    assert_int_equal(efi(XEN_EFI_get_variable), 0);
    assert_int_equal(efi_given, 65536);
    c->misc = 0;
    c->u.get_variable.size = 10;
    efi_status = UINT64_C(1) << 63 | 5;
    efi_size = 4000;
    memset(data, 0, sizeof data);
    assert_int_equal(efi(XEN_EFI_get_variable), 0);
    assert_int_equal(c->status, efi_status);
    assert_int_equal(c->u.get_variable.size, 4000);
    assert_int_equal(data[0], 0);
    efi_status = 0;
    efi_size = 60;
    c->u.get_variable.size = 100;
    c->misc = 1;
    assert_int_equal(efi(XEN_EFI_get_variable), -EINVAL);
    c->misc = 0;
    c->u.get_variable.data.va = KIT_BAD_VA;
    assert_int_equal(efi(XEN_EFI_get_variable), -EFAULT);
    /* A name without an end, and one that cannot be read. */
    unsigned int calls = efi_calls;
    for (unsigned int i = 0; i < 2049; i++) {
        name[i] = 'y';
    }
    assert_int_equal(efi(XEN_EFI_get_variable), -EINVAL);
    c->u.get_variable.name.va = KIT_BAD_VA;
    assert_int_equal(efi(XEN_EFI_get_variable), -EFAULT);
    assert_int_equal(efi(XEN_EFI_set_variable), -EFAULT);
    assert_int_equal(efi_calls, calls);
    name[2047] = 0; /* the longest */
    c->u.set_variable.name.va = (uintptr_t)name;
    c->u.set_variable.data.va = (uintptr_t)data;
    c->u.set_variable.size = 65536;
    assert_int_equal(efi(XEN_EFI_set_variable), 0);
    assert_int_equal(efi_given, 65536);
    c->u.set_variable.size = 65537;
    assert_int_equal(efi(XEN_EFI_set_variable), -ENOMEM);
    c->u.set_variable.size = 16;
    c->u.set_variable.data.va = KIT_BAD_VA;
    assert_int_equal(efi(XEN_EFI_set_variable), -EFAULT);
    assert_int_equal(efi_calls, calls + 1);

    memset(&op, 0, sizeof op);
    c->u.get_next_variable_name.size = UINT64_MAX;
    c->u.get_next_variable_name.name.va = (uintptr_t)name;
    efi_size = 4096;
    assert_int_equal(efi(XEN_EFI_get_next_variable_name), 0);
    assert_int_equal(efi_given, 4096);
    efi_size = 5000; /* firmware that claims more than it was given: nothing is copied */
    name[0] = 'z';
    c->u.get_next_variable_name.size = 4096;
    assert_int_equal(efi(XEN_EFI_get_next_variable_name), 0);
    c->misc = 1;
    assert_int_equal(efi(XEN_EFI_get_next_variable_name), -EINVAL);
}

static void test_efi_others(void **state)
{
    struct xenpf_efi_runtime_call *c = &op.u.efi_runtime_call;

    (void)state;
    memset(&op, 0, sizeof op);
    host_hooks.efi = hook_efi;
    efi_status = 0;
    assert_int_equal(efi(0), -ENOSYS);
    assert_int_equal(efi(XEN_EFI_update_capsule), -ENOSYS);
    assert_int_equal(efi(UINT32_MAX), -ENOSYS);
    assert_int_equal(efi(XEN_EFI_get_time), 0);
    assert_int_equal(efi_offset, 24);
    assert_int_equal(efi(XEN_EFI_set_time), 0);
    assert_int_equal(efi_offset, 32);
    assert_int_equal(efi(XEN_EFI_get_wakeup_time), 0);
    assert_int_equal(efi(XEN_EFI_query_variable_info), 0);
    assert_int_equal(efi_offset, 128);
    assert_int_equal(efi(XEN_EFI_get_next_high_monotonic_count), 0);
    static const uint32_t strict[] = { XEN_EFI_get_time, XEN_EFI_set_time, XEN_EFI_get_wakeup_time,
                                       XEN_EFI_get_next_high_monotonic_count };
    unsigned int calls = efi_calls;
    for (unsigned int i = 0; i < 4; i++) {
        c->misc = 1;
        assert_int_equal(efi(strict[i]), -EINVAL);
    }
    c->misc = 4;
    assert_int_equal(efi(XEN_EFI_set_wakeup_time), -EINVAL);
    assert_int_equal(efi(XEN_EFI_query_variable_info), -EINVAL);
    assert_int_equal(efi_calls, calls);
    c->misc = XEN_EFI_SET_WAKEUP_TIME_ENABLE;
    assert_int_equal(efi(XEN_EFI_set_wakeup_time), 0);
    assert_int_equal(efi_offset, 48);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_physdev_rights), T(test_iopl),       T(test_lines),          T(test_msi),
        T(test_platform_entry), T(test_clock),      T(test_sleep_and_cpus), T(test_firmware_info),
        T(test_efi_variables),  T(test_efi_others),
    };

    kit_start(2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
