/* SPDX-License-Identifier: MIT */
/* Attack: every hypercall and sub-operation with counts and addresses that wrap, point into the
 * hypervisor, or lie across an end of what is mapped. */
#include "kit/kit.h"

const char kit_name[] = "numbers";

static u8 *buf;

static const u64 values[] = { 0,
                              1,
                              2,
                              0x7fffffff,
                              0x80000000,
                              0xffffffff,
                              0x100000000,
                              0x7fffffffffffffff,
                              1UL << 63,
                              ~0UL,
                              0xffff800000000000,
                              0xffff87ff80000000,
                              0x0000800000000000,
                              0xfffffffffffffff8,
                              0x7ff0,
                              4096 };

/* Calls that would end, stop or change the caller for good whatever the arguments. */
static bool is_left_out(u64 nr)
{
    return nr == __HYPERVISOR_iret || nr == __HYPERVISOR_stack_switch ||
           nr == __HYPERVISOR_sched_op || nr == __HYPERVISOR_set_trap_table ||
           nr == __HYPERVISOR_set_callbacks || nr == __HYPERVISOR_callback_op ||
           nr == __HYPERVISOR_set_gdt || nr == __HYPERVISOR_vcpu_op ||
           nr == __HYPERVISOR_memory_op || nr == __HYPERVISOR_console_io ||
           nr == __HYPERVISOR_fpu_taskswitch || nr == __HYPERVISOR_set_segment_base ||
           nr == __HYPERVISOR_event_channel_op || nr == __HYPERVISOR_vm_assist ||
           nr == __HYPERVISOR_nmi_op || nr == __HYPERVISOR_mmuext_op ||
           nr == __HYPERVISOR_set_timer_op || nr == __HYPERVISOR_physdev_op ||
           nr == __HYPERVISOR_update_va_mapping || nr == __HYPERVISOR_multicall ||
           /* Xen still has it: it blocks for good, or shuts down */
           (nr == __HYPERVISOR_sched_op_compat && !on_joist);
}

static void each_call(void)
{
    u64 calls = 0;

    for (u64 nr = 0; nr < 80; nr++) {
        if (is_left_out(nr)) {
            continue;
        }
        for (u32 i = 0; i < ARRAY(values); i++) {
            for (u32 k = 0; k < ARRAY(values); k += 3) {
                u64 third = (i + k) & 1 ? U64(buf) : values[k];

                memset(buf, 0, 256);
                hypercall(nr, values[i], values[k], third, values[(i * 7 + k) % 16], 0);
                memset(buf, 0xff, 256);
                hypercall(nr, U64(buf), values[i], values[k], 0x7ff0, 0);
                if (nr == __HYPERVISOR_update_va_mapping_otherdomain) {
                    page_restore(buf); /* of its own it may change, and flush nothing */
                }
                calls += 2;
            }
        }
    }
    print("%lu calls\r\n", calls);
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_version, 0), 4 << 16 | 17);
    for (u64 nr = 64; nr != 0; nr <<= 1) {
        check_eq(hypercall(nr, 0, 0, 0, 0, 0), -ENOSYS);
        check_eq(hypercall(nr | __HYPERVISOR_xen_version, 0, 0, 0, 0, 0), -ENOSYS);
    }
}

/* Batches whose array wraps round the end of the address space, or runs into the hypervisor. */
static void batches(void)
{
    static const u64 at[] = { 0xfffffffffffffff0UL, 0xffff7ffffffffff0UL, 0x00007ffffffffff0UL,
                              0xffff87fffffffff0UL };

    for (u32 i = 0; i < ARRAY(at); i++) {
        for (u32 n = 1; n < 0x80000000u && n != 0; n <<= 5) {
            check(hc4(__HYPERVISOR_mmu_update, at[i], n, 0, DOMID_SELF) < 0);
            check(hc4(__HYPERVISOR_mmuext_op, at[i], n, 0, DOMID_SELF) < 0);
            check(hc2(__HYPERVISOR_multicall, at[i], n) < 0);
            check(grant_op(GNTTABOP_copy, (void *)at[i], n) < 0);
            check(grant_op(GNTTABOP_map_grant_ref, (void *)at[i], n) < 0);
            check(grant_op(GNTTABOP_unmap_grant_ref, (void *)at[i], n) < 0);
        }
    }
    check(grant_op(GNTTABOP_copy, buf, 0x80000000u) < 0);
}

/* Lists of memory operations: sizes that overflow, orders, starts. */
static void lists(void)
{
    static const u64 sizes[] = { ~0UL, 1UL << 63, 1UL << 61, 1UL << 32, 0xffffffff };
    u64 before = (u64)memory_op(XENMEM_current_reservation, &(domid_t){ DOMID_SELF });

    for (u32 i = 0; i < ARRAY(sizes); i++) {
        for (u32 order = 0; order < 70; order += 9) {
            for (u32 op = 0; op < 3; op++) {
                static const u32 cmds[] = { XENMEM_increase_reservation,
                                            XENMEM_decrease_reservation, XENMEM_populate_physmap };
                struct xen_memory_reservation r = { .extent_start = { ~0UL - 7 },
                                                    .nr_extents = sizes[i],
                                                    .extent_order = order,
                                                    .domid = DOMID_SELF };

                check(memory_op(cmds[op], &r) <= 0);
                r.extent_start.va = 0xffff810000000000UL;
                r.nr_extents = 1;
                check(memory_op(cmds[op], &r) <= 0);
            }
            struct xen_memory_exchange e = { .in = { { U64(buf) }, sizes[i], order, 0, DOMID_SELF },
                                             .out = { { U64(buf) }, sizes[i], 0, 0, DOMID_SELF } };

            check(memory_op(XENMEM_exchange, &e) < 0);
            e = (struct xen_memory_exchange){
                .in = { { 0xffff810000000000UL }, 1, 0, 0, DOMID_SELF },
                .out = { { 0xffff810000000000UL }, 1, 0, 0, DOMID_SELF }
            };
            check(memory_op(XENMEM_exchange, &e) < 0); /* XSA-212 */
            e.nr_exchanged = sizes[i];
            check(memory_op(XENMEM_exchange, &e) < 0);
        }
    }
    check_eq(memory_op(XENMEM_current_reservation, &(domid_t){ DOMID_SELF }), before);
}

/* Multicalls within multicalls, and ones that overwrite their own list. */
static void multicalls(void)
{
    u8 *page = page_alloc();
    struct multicall_entry *e = (struct multicall_entry *)page;

    for (u32 i = 0; i < 8; i++) {
        e[i] = (struct multicall_entry){ .op = __HYPERVISOR_multicall, .args = { U64(page), 8 } };
    }
    hc2(__HYPERVISOR_multicall, U64(page), 8);
    for (u32 i = 0; i < 8; i++) {
        check_eq(e[i].result, -EINVAL);
        e[i] = (struct multicall_entry){ .op = __HYPERVISOR_xen_version,
                                         .args = { XENVER_changeset, U64(page) } };
    }
    hc2(__HYPERVISOR_multicall, U64(page), 8); /* the text lands on the entries */
    check_eq(hc2(__HYPERVISOR_xen_version, XENVER_version, 0), 4 << 16 | 17);
}

void test_main(void)
{
    buf = page_alloc();
    each_call();
    batches();
    if (!is_dom0) {
        lists();
    }
    multicalls();
}
