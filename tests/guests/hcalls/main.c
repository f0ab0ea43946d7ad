/* SPDX-License-Identifier: MIT */
/* Every hypercall and sub-operation, with good and with bad arguments, and the error of each. */
#include "kit/kit.h"

const char kit_name[] = "hcalls";

#define BAD_PTR ((void *)8)                    /* not mapped */
#define HV_PTR  ((void *)0xffff830000000000UL) /* the hypervisor's own */

static u8 buf[4096] __attribute__((aligned(4096)));

static void test_numbers(void)
{
    /* the last five exist on Xen: calls of 32-bit and older guests, and of features absent here */
    static const u64 absent[] = { 11,   38,           39,           43, 55, 56, 63, 64, 65,
                                  1000, 0x80000000UL, 0xffffffffUL, 6,  16, 19, 42, 49 };
    u32 n = on_joist ? ARRAY(absent) : ARRAY(absent) - 5;

    for (u32 i = 0; i < n; i++) {
        long rc = hypercall(absent[i], 0, 0, 0, 0, 0);

        check_at(rc == -ENOSYS, __FILE__, __LINE__, "call %lu: %ld", absent[i], rc);
    }
}

static void test_version(void)
{
    struct xen_platform_parameters pp = { 0 };
    struct xen_feature_info fi = { .submap_idx = 0 };

    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_version, 0), 4 << 16 | 17);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_extraversion, U64(buf)), 0);
    check(strlen((char *)buf) < XEN_EXTRAVERSION_LEN);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_compile_info, U64(buf)), 0);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_capabilities, U64(buf)), 0);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_changeset, U64(buf)), 0);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_platform_parameters, U64(&pp)), 0);
    check_eq(pp.virt_start, HYPERVISOR_VIRT_START);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_get_features, U64(&fi)), 0);
    check(fi.submap & 1UL << 2 || fi.submap != 0);
    fi.submap_idx = 1;
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_get_features, U64(&fi)), -EINVAL);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_pagesize, 0), PAGE);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_guest_handle, U64(buf)), 0);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_commandline, U64(buf)), 0);
    check_eq(hc2(__HYPERVISOR_xen_version, 99, U64(buf)), -ENOSYS);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_extraversion, U64(BAD_PTR)), -EFAULT);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_capabilities, U64(HV_PTR)), -EFAULT);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_platform_parameters, ~7UL), -EFAULT);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_get_features, U64(BAD_PTR)), -EFAULT);
}

static void test_cpu_calls(void)
{
    struct trap_info bad = { .vector = 14, .cs = USER_CS, .address = 0x800000000000UL };
    u64 sp = U64(this_cpu()) + KIT_STACK_SIZE;

    check_eq(hc1(__HYPERVISOR_set_trap_table, U64(&bad)), -EINVAL);
    check_eq(hc1(__HYPERVISOR_set_trap_table, U64(BAD_PTR)), -EFAULT);
    check_eq(hc2(__HYPERVISOR_stack_switch, USER_DS, sp), 0);
    check_eq(hc2(__HYPERVISOR_stack_switch, 0, sp), 0); /* a ring-0 selector is corrected */
    check_eq(hc2(__HYPERVISOR_stack_switch, USER_DS, sp), 0);
    check_eq(hc1(__HYPERVISOR_fpu_taskswitch, 0), 0);
    check_eq(hc1(__HYPERVISOR_fpu_taskswitch, 1), 0);
    check_eq(hc1(__HYPERVISOR_fpu_taskswitch, 0), 0);
    check_eq(hc1(__HYPERVISOR_get_debugreg, 7) & 0xff, 0);
    check_eq(hc1(__HYPERVISOR_get_debugreg, 77), -ENODEV);
    check_eq(hc2(__HYPERVISOR_set_segment_base, SEGBASE_GS_KERNEL, 0x1000), 0);
    check_eq(hc2(__HYPERVISOR_set_segment_base, SEGBASE_GS_KERNEL, 0), 0);
    check_eq(hc2(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER_SEL, 0), 0);
    check_eq(hc2(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER_SEL, 0x7f73), 0); /* becomes 0 */
    check_eq(hc2(__HYPERVISOR_set_segment_base, SEGBASE_GS_KERNEL, 1UL << 47), -EINVAL);
    check_eq(hc2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables), 0);
    check_eq(hc2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_4gb_segments), 0);
    check_eq(hc2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_pae_extended_cr3), 0);
    check_eq(hc2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_runstate_update_flag), 0);
    check_eq(hc2(__HYPERVISOR_vm_assist, VMASST_CMD_disable, VMASST_TYPE_runstate_update_flag), 0);
    check_eq(hc2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, 77), -EINVAL);
    check_eq(hc2(__HYPERVISOR_vm_assist, 7, VMASST_TYPE_writable_pagetables), -ENOSYS);
}

static void test_callbacks(void)
{
    struct callback_register r = { .type = 77, .address = U64(kit_stubs) };
    struct callback_unregister u = { .type = CALLBACKTYPE_failsafe };

    check_eq(hc2(__HYPERVISOR_callback_op, CALLBACKOP_register, U64(&r)), -ENOSYS);
    r.type = CALLBACKTYPE_event;
    r.address = 0x800000000000UL;
    check_eq(hc2(__HYPERVISOR_callback_op, CALLBACKOP_register, U64(&r)), -EINVAL);
    check_eq(hc2(__HYPERVISOR_callback_op, CALLBACKOP_register, U64(BAD_PTR)), -EFAULT);
    check_eq(hc2(__HYPERVISOR_callback_op, CALLBACKOP_unregister, U64(&u)), -EINVAL);
    u.type = CALLBACKTYPE_nmi;
    check_eq(hc2(__HYPERVISOR_callback_op, CALLBACKOP_unregister, U64(&u)), 0);
    u.type = 77;
    check_eq(hc2(__HYPERVISOR_callback_op, CALLBACKOP_unregister, U64(&u)), -ENOSYS);
    check_eq(hc2(__HYPERVISOR_callback_op, 9, U64(&u)), -ENOSYS);
}

static void test_console(void)
{
    if (is_dom0) {
        check_eq(hc3(__HYPERVISOR_console_io, CONSOLEIO_write, 2, U64("\r\n")), 0);
        check_eq(hc3(__HYPERVISOR_console_io, CONSOLEIO_read, 16, U64(buf)), 0);
        check_eq(hc3(__HYPERVISOR_console_io, CONSOLEIO_write, 4, U64(BAD_PTR)), -EFAULT);
        check_eq(hc3(__HYPERVISOR_console_io, 99, 4, U64(buf)), -ENOSYS);
    } else {
        check_eq(hc3(__HYPERVISOR_console_io, CONSOLEIO_read, 16, U64(buf)), -EPERM);
    }
}

static void test_multicall(void)
{
    static struct multicall_entry mc[64];

    for (u32 i = 0; i < ARRAY(mc); i++) {
        mc[i] = (struct multicall_entry){ .op = __HYPERVISOR_xen_version, .result = 77 };
    }
    mc[3].op = 55;
    mc[9].args[0] = XENVER_extraversion;
    mc[9].args[1] = 8;
    check_eq(hc2(__HYPERVISOR_multicall, U64(mc), ARRAY(mc)), 0);
    check_eq(mc[0].result, 4 << 16 | 17);
    check_eq(mc[63].result, 4 << 16 | 17);
    check_eq(mc[3].result, -ENOSYS);
    check_eq(mc[9].result, -EFAULT);
    mc[0] = (struct multicall_entry){ .op = __HYPERVISOR_multicall, .args = { U64(mc + 1), 1 } };
    check_eq(hc2(__HYPERVISOR_multicall, U64(mc), 1), 0);
    check_eq(mc[0].result, -EINVAL); /* not within itself */
    check_eq(hc2(__HYPERVISOR_multicall, U64(mc), 0), 0);
    check_eq(hc2(__HYPERVISOR_multicall, U64(BAD_PTR), 1), -EFAULT);
    check_eq(hc2(__HYPERVISOR_multicall, U64(HV_PTR), 1), -EFAULT);
    /* six arguments and a memory_op inside */
    domid_t self = DOMID_SELF;

    mc[0] = (struct multicall_entry){ .op = __HYPERVISOR_memory_op,
                                      .args = { XENMEM_current_reservation, U64(&self) } };
    check_eq(hc2(__HYPERVISOR_multicall, U64(mc), 1), 0);
    check_eq(mc[0].result, si->nr_pages);
}

static void test_vcpu(void)
{
    static struct vcpu_runstate_info rs;
    struct vcpu_register_runstate_memory_area area = { .addr.h = gptr(&rs) };
    struct vcpu_set_periodic_timer pt = { .period_ns = 100 };
    struct vcpu_set_singleshot_timer st = { .timeout_abs_ns = 1, .flags = VCPU_SSHOTTMR_future };
    struct vcpu_register_vcpu_info vi = { .mfn = 0x7fffffff };
    static struct vcpu_guest_context ctx;
    long rc;

    check_eq(vcpu_op(VCPUOP_is_up, 0, NULL), 1);
    check_eq(vcpu_op(VCPUOP_is_up, 1, NULL), -ENOENT);
    check_eq(vcpu_op(VCPUOP_is_up, 8191, NULL), -ENOENT);
    check_eq(vcpu_op(VCPUOP_is_up, 0xffffffff, NULL), -ENOENT);
    check_eq(vcpu_op(VCPUOP_up, 0, NULL), 0);
    check_eq(vcpu_op(VCPUOP_up, 1, NULL), -ENOENT);
    check_eq(vcpu_op(VCPUOP_initialise, 0, &ctx), -EEXIST);
    check_eq(vcpu_op(VCPUOP_initialise, 1, &ctx), -ENOENT);
    check_eq(vcpu_op(VCPUOP_get_runstate_info, 0, &rs), 0);
    check_eq(rs.state, RUNSTATE_running);
    check(rs.time[RUNSTATE_running] > 0);
    check_eq(vcpu_op(VCPUOP_get_runstate_info, 0, BAD_PTR), -EFAULT);
    memset(&rs, 0xff, sizeof(rs));
    check_eq(vcpu_op(VCPUOP_register_runstate_memory_area, 0, &area), 0);
    check_eq(rs.state, RUNSTATE_running);
    area.addr.h = gptr(NULL);
    check_eq(vcpu_op(VCPUOP_register_runstate_memory_area, 0, &area), 0);
    area.addr.h = gptr(HV_PTR);
    check_eq(vcpu_op(VCPUOP_register_runstate_memory_area, 0, &area), -EFAULT);
    check_eq(vcpu_op(VCPUOP_set_periodic_timer, 0, &pt), -EINVAL);
    pt.period_ns = 1UL << 62;
    check_eq(vcpu_op(VCPUOP_set_periodic_timer, 0, &pt), -EINVAL);
    check_eq(vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL), 0);
    rc = vcpu_op(VCPUOP_set_singleshot_timer, 0, &st); /* Xen 4.17 fires at once instead */
    check(rc == -ETIME || rc == 0);
    check_eq(vcpu_op(VCPUOP_set_singleshot_timer, 1, &st), -ENOENT);
    check_eq(vcpu_op(VCPUOP_set_singleshot_timer, 0, BAD_PTR), -EFAULT);
    check_eq(vcpu_op(VCPUOP_stop_singleshot_timer, 0, NULL), 0);
    check_eq(vcpu_op(VCPUOP_register_vcpu_info, 0, &vi), -EINVAL);
    vi = (struct vcpu_register_vcpu_info){ .mfn = mfn_of(buf), .offset = 4090 };
    check_eq(vcpu_op(VCPUOP_register_vcpu_info, 0, &vi), -ENXIO);
    check_eq(vcpu_op(99, 0, NULL), -ENOSYS);
}

static void test_sched(void)
{
    struct sched_watchdog wd = { .id = 0, .timeout = 100 };
    struct sched_remote_shutdown rs = { .domain_id = 4321, .reason = 0 };
    struct sched_pin_override po = { .pcpu = 9999 };
    long id;

    check_eq(sched_op(SCHEDOP_yield, NULL), 0);
    check_eq(hc2(__HYPERVISOR_set_timer_op, 0, 0), 0);
    check_eq(hc1(__HYPERVISOR_set_timer_op, now() + 1000000000), 0);
    check_eq(hc1(__HYPERVISOR_set_timer_op, 0), 0);
    id = sched_op(SCHEDOP_watchdog, &wd);
    check(id > 0);
    wd.id = (u32)id;
    wd.timeout = 0;
    check_eq(sched_op(SCHEDOP_watchdog, &wd), 0);
    wd.id = 99;
    check_eq(sched_op(SCHEDOP_watchdog, &wd), -EINVAL);
    check_eq(sched_op(SCHEDOP_watchdog, BAD_PTR), -EFAULT);
    check_eq(sched_op(SCHEDOP_shutdown, BAD_PTR), -EFAULT);
    check_eq(sched_op(SCHEDOP_poll, BAD_PTR), -EFAULT);
    if (is_dom0) {
        check_eq(sched_op(SCHEDOP_remote_shutdown, &rs), -ESRCH);
        check_eq(sched_op(SCHEDOP_pin_override, &po), -EINVAL);
    }
    check_eq(sched_op(99, NULL), -ENOSYS);
}

static void test_memory(void)
{
    domid_t self = DOMID_SELF, none = 4321;
    xen_pfn_t frame = 0x7fffffff;
    struct xen_memory_reservation r = { .extent_start = gptr(&frame),
                                        .nr_extents = 1,
                                        .domid = DOMID_SELF };
    struct xen_machphys_mapping mm = { 0 };
    struct xen_memory_map map = { .nr_entries = 128, .buffer = gptr(buf) };
    struct xen_mem_acquire_resource ar = { .domid = 4321, .type = XENMEM_resource_grant_table };
    struct xen_add_to_physmap atp = { .domid = DOMID_SELF, .space = XENMAPSPACE_shared_info };

    check(memory_op(XENMEM_maximum_ram_page, NULL) > 0x1000);
    check_eq(memory_op(XENMEM_current_reservation, &self), si->nr_pages);
    check(memory_op(XENMEM_maximum_reservation, &self) >= (long)si->nr_pages);
    check_eq(memory_op(XENMEM_current_reservation, &none), -ESRCH);
    check_eq(memory_op(XENMEM_current_reservation, BAD_PTR), -EFAULT);
    check_eq(memory_op(XENMEM_machphys_mapping, &mm), 0);
    check_eq(mm.v_start, HYPERVISOR_VIRT_START);
    check_eq(memory_op(XENMEM_machphys_mapping, BAD_PTR), -EFAULT);
    if (is_dom0) {
        check_eq(memory_op(XENMEM_machine_memory_map, &map), 0);
        check(map.nr_entries > 1);
        map.nr_entries = 1;
        check_eq(memory_op(XENMEM_machine_memory_map, &map), -EINVAL);
        check_eq(memory_op(XENMEM_acquire_resource, &ar), -ESRCH);
        check_eq(memory_op(XENMEM_get_sharing_freed_pages, NULL), 0);
        check_eq(memory_op(XENMEM_get_sharing_shared_pages, NULL), 0);
        r.domid = 4321;
        check_eq(memory_op(XENMEM_populate_physmap, &r), 0);
        r.domid = DOMID_SELF;
    }
    check_eq(memory_op(XENMEM_decrease_reservation, &r), 0);
    r.extent_order = 60;
    check_eq(memory_op(XENMEM_populate_physmap, &r), 0);
    check_eq(memory_op(XENMEM_increase_reservation, &r), 0);
    r.extent_order = 0;
    r.extent_start = gptr(HV_PTR);
    check_eq(memory_op(XENMEM_decrease_reservation, &r), 0);
    r.nr_extents = ~0UL;
    check_eq(memory_op(XENMEM_populate_physmap, &r), 0);
    check_eq(memory_op(XENMEM_populate_physmap, BAD_PTR), 0);
    check(memory_op(XENMEM_add_to_physmap, &atp) < 0); /* PV memory has no such map */
    check_eq(memory_op(63, NULL), -ENOSYS);
}

static void test_physdev(void)
{
    struct physdev_irq_status_query q = { .irq = 9999 };
    struct physdev_eoi eoi = { .irq = 9999 };
    struct physdev_map_pirq mp = { .domid = DOMID_SELF, .type = 77 };
    struct physdev_unmap_pirq up = { .domid = DOMID_SELF, .pirq = 5 };
    struct physdev_apic apic = { .apic_physbase = 0x12345000 };

    check_eq(physdev_op(PHYSDEVOP_irq_status_query, &q), -EINVAL);
    check_eq(physdev_op(PHYSDEVOP_eoi, &eoi), -EINVAL);
    check_eq(physdev_op(PHYSDEVOP_eoi, BAD_PTR), -EFAULT);
    check_eq(physdev_op(PHYSDEVOP_map_pirq, &mp), -EINVAL);
    check_eq(physdev_op(PHYSDEVOP_unmap_pirq, &up), -EINVAL);
    if (is_dom0) {
        check_eq(physdev_op(PHYSDEVOP_apic_read, &apic), -EINVAL); /* no such I/O APIC */
    } else {
        check_eq(physdev_op(PHYSDEVOP_apic_read, &apic), -EPERM);
    }
    check_eq(physdev_op(99, &q), -ENOSYS);
}

static void test_control(void)
{
    memset(buf, 0, sizeof(buf));
    if (is_dom0) {
        check_eq(hc1(__HYPERVISOR_domctl, U64(buf)), -EACCES); /* interface version 0 */
        check_eq(hc1(__HYPERVISOR_sysctl, U64(buf)), -EACCES);
        check_eq(hc1(__HYPERVISOR_platform_op, U64(buf)), -EACCES);
    } else {
        check_eq(hc1(__HYPERVISOR_domctl, U64(buf)), -EACCES);
        check(hc1(__HYPERVISOR_sysctl, U64(buf)) < 0);
        check_eq(hc1(__HYPERVISOR_platform_op, U64(buf)), -EPERM);
    }
    check_eq(hc1(__HYPERVISOR_domctl, 8), -EFAULT);
    check_eq(hc1(__HYPERVISOR_sysctl, 8), -EFAULT);
    check(hc2(__HYPERVISOR_xsm_op, 0, 0) < 0);
    check(hc2(__HYPERVISOR_xenpmu_op, 0, U64(buf)) < 0);
    check(hc2(__HYPERVISOR_hvm_op, 0, U64(buf)) < 0);
}

void test_main(void)
{
    test_numbers();
    test_version();
    test_cpu_calls();
    test_callbacks();
    test_console();
    test_multicall();
    test_vcpu();
    test_sched();
    test_memory();
    test_physdev();
    test_control();
}
