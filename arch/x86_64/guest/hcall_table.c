/* SPDX-License-Identifier: MIT */
/* THE hypercall table of x86_64: number -> handler.  docs/hypercalls.md has a row for each (checked
 * by lint). */
#include "hcall/hcall.h"

#include "guest/mm_x86.h"
#include "guest/trap.h"

/* clang-format off */
const struct hcall_row hcall_table[HCALL_COUNT] = {
    [__HYPERVISOR_set_trap_table]     = { "set_trap_table", hc_set_trap_table, 1, WHO_ANY, HC_RESTART },
    [__HYPERVISOR_mmu_update]         = { "mmu_update", hc_mmu_update, 4, WHO_ANY, HC_RESTART },
    [__HYPERVISOR_set_gdt]            = { "set_gdt", hc_set_gdt, 2, WHO_ANY, 0 },
    [__HYPERVISOR_stack_switch]       = { "stack_switch", hc_stack_switch, 2, WHO_ANY, 0 },
    [__HYPERVISOR_set_callbacks]      = { "set_callbacks", hc_set_callbacks, 3, WHO_ANY, 0 },
    [__HYPERVISOR_fpu_taskswitch]     = { "fpu_taskswitch", hc_fpu_taskswitch, 1, WHO_ANY, 0 },
    [__HYPERVISOR_platform_op]        = { "platform_op", hc_platform_op, 1, WHO_HW, HC_RESTART },
    [__HYPERVISOR_set_debugreg]       = { "set_debugreg", hc_set_debugreg, 2, WHO_ANY, 0 },
    [__HYPERVISOR_get_debugreg]       = { "get_debugreg", hc_get_debugreg, 1, WHO_ANY, 0 },
    [__HYPERVISOR_update_descriptor]  = { "update_descriptor", hc_update_descriptor, 2, WHO_ANY, 0 },
    [__HYPERVISOR_memory_op]          = { "memory_op", hc_memory_op, 2, WHO_ANY, HC_RESTART },
    [__HYPERVISOR_multicall]          = { "multicall", hc_multicall, 2, WHO_ANY, HC_RESTART },
    [__HYPERVISOR_update_va_mapping]  = { "update_va_mapping", hc_update_va_mapping, 3, WHO_ANY, HC_RESTART },
    [__HYPERVISOR_set_timer_op]       = { "set_timer_op", hc_set_timer_op, 1, WHO_ANY, 0 },
    [__HYPERVISOR_xen_version]        = { "xen_version", hc_xen_version, 2, WHO_ANY, 0 },
    [__HYPERVISOR_console_io]         = { "console_io", hc_console_io, 3, WHO_ANY, HC_RESTART },
    [__HYPERVISOR_grant_table_op]     = { "grant_table_op", hc_grant_table_op, 3, WHO_ANY, HC_RESTART },
    [__HYPERVISOR_vm_assist]          = { "vm_assist", hc_vm_assist, 2, WHO_ANY, 0 },
    [__HYPERVISOR_update_va_mapping_otherdomain] =
        { "update_va_mapping_otherdomain", hc_update_va_mapping_otherdomain, 4, WHO_ANY, HC_RESTART },
    [__HYPERVISOR_iret]               = { "iret", hc_iret, 0, WHO_ANY, HC_NORESULT },
    [__HYPERVISOR_vcpu_op]            = { "vcpu_op", hc_vcpu_op, 3, WHO_ANY, HC_RESTART },
    [__HYPERVISOR_set_segment_base]   = { "set_segment_base", hc_set_segment_base, 2, WHO_ANY, 0 },
    [__HYPERVISOR_mmuext_op]          = { "mmuext_op", hc_mmuext_op, 4, WHO_ANY, HC_RESTART },
    [__HYPERVISOR_nmi_op]             = { "nmi_op", hc_nmi_op, 2, WHO_ANY, 0 },
    [__HYPERVISOR_sched_op]           = { "sched_op", hc_sched_op, 2, WHO_ANY, 0 },
    [__HYPERVISOR_callback_op]        = { "callback_op", hc_callback_op, 2, WHO_ANY, 0 },
    [__HYPERVISOR_event_channel_op]   = { "event_channel_op", hc_event_channel_op, 2, WHO_ANY, HC_RESTART },
    [__HYPERVISOR_physdev_op]         = { "physdev_op", hc_physdev_op, 2, WHO_ANY, 0 },
    [__HYPERVISOR_sysctl]             = { "sysctl", hc_sysctl, 1, WHO_CTL, HC_RESTART },
    [__HYPERVISOR_domctl]             = { "domctl", hc_domctl, 1, WHO_CTL, HC_RESTART },
    [__HYPERVISOR_mca]                = { "mca", hc_mca, 1, WHO_HW, 0 },
};
/* clang-format on */
