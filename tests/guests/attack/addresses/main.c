/* SPDX-License-Identifier: MIT */
/* Attack: addresses that are not canonical or the hypervisor's own, in registers, callbacks,
 * stacks, bases and returns. */
#include "kit/kit.h"

const char kit_name[] = "addresses";

static const u64 bad[] = { 0x0000800000000000UL, 0x00007fffffffffffUL, 0xffff7fffffffffffUL,
                           0x8000000000000000UL, 0xffff800000000000UL, 0xffff830000000000UL,
                           0xffff87ff80000000UL, 0xffff87ffffffffffUL, 0x0001000000000000UL,
                           0xfffeffffffffffffUL };

static bool is_hole(u64 a)
{
    return a >= 0xffff800000000000UL && a < 0xffff880000000000UL;
}

static bool is_canonical(u64 a)
{
    return a < 0x0000800000000000UL || a >= 0xffff800000000000UL;
}

static void callbacks(void)
{
    for (u32 i = 0; i < ARRAY(bad); i++) {
        struct trap_info t[2] = { { .vector = 40, .cs = KERNEL_CS, .address = bad[i] } };
        /* Xen takes its own addresses and faults on their use. */
        bool refused = !is_canonical(bad[i]) || (on_joist && is_hole(bad[i]));

        check_eq(hc1(__HYPERVISOR_set_trap_table, U64(t)), refused ? -EINVAL : 0);
        for (u16 type = 0; type < 8; type++) {
            struct callback_register c = { .type = type, .address = bad[i] };
            if (refused) {
                check(hc2(__HYPERVISOR_callback_op, CALLBACKOP_register, U64(&c)) < 0);
            }
        }
        if (refused) {
            /* Xen refuses one by one and says nothing: the other two stand. */
            check_eq(hc3(__HYPERVISOR_set_callbacks, bad[i], 0x1000, 0x1000),
                     xen_or_joist(0, -EINVAL));
            kit_traps_init();
        }
        for (u32 which = 0; which < 3 && !is_canonical(bad[i]); which++) {
            check_eq(hc2(__HYPERVISOR_set_segment_base, which, bad[i]), -EINVAL);
        }
        for (u32 dr = 0; dr < 4 && refused; dr++) {
            check(hc2(__HYPERVISOR_set_debugreg, dr, bad[i]) < 0);
        }
    }
}

static void wr(u64 i)
{
    u32 msr = 0xc0000100u + (u32)(i & 3);

    __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)bad[i >> 2]), "d"((u32)(bad[i >> 2] >> 32)));
}

static void bases(void)
{
    for (u32 i = 0; i < ARRAY(bad); i++) {
        for (u32 k = 0; k < 3; k++) {
            if (!is_canonical(bad[i])) {
                check_fault(wr, i << 2 | k, 13, 0);
            }
        }
    }
}

extern char attack_user[];
__asm__(".pushsection .text\n"
        "attack_user: syscall\n"
        ".popsection");

static u8 user_stack[PAGE] __attribute__((aligned(4096)));

/* To user mode and back with an address, in each field of the frame, by IRET and by SYSRET. */
static void returns(void)
{
    u64 root = mfn_of((void *)si->pt_base);

    check_eq(mmuext1(MMUEXT_NEW_USER_BASEPTR, root), 0);
    for (u32 i = 0; i < ARRAY(bad); i++) {
        for (u32 field = 0; field < 2; field++) {
            struct kit_regs r = { .rip = U64(attack_user),
                                  .cs = USER_CS,
                                  .ss = USER_DS,
                                  .rsp = U64(user_stack) + PAGE,
                                  .rflags = 0x202 };

            *(field == 0 ? &r.rip : &r.rsp) = bad[i];
            kit_user(&r);
            check_at(r.vector == 13 || r.vector == 14 || r.vector == 12 ||
                         r.vector == KIT_VEC_FAILSAFE ||
                         (field == 1 && r.vector == KIT_VEC_SYSCALL),
                     __FILE__, __LINE__, "address 0x%lx, field %u: vector 0x%lx", bad[i], field,
                     r.vector);
            check_eq(r.cs & 3, 3);
        }
    }
    for (u32 sel = 0; sel < 0x10000; sel += sel < 64 ? 1 : 509) {
        struct kit_regs r = { .rip = U64(attack_user),
                              .cs = USER_CS,
                              .ss = sel,
                              .rsp = U64(user_stack) + PAGE,
                              .rflags = 0x202 };

        kit_user(&r);
        check(r.vector < 32 || r.vector == KIT_VEC_SYSCALL || r.vector == KIT_VEC_FAILSAFE);
    }
    for (u32 bit = 0; bit < 64; bit++) {
        struct kit_regs r = { .rip = U64(attack_user),
                              .cs = USER_CS,
                              .ss = USER_DS,
                              .rsp = U64(user_stack) + PAGE,
                              .rflags = 0x202 ^ 1UL << bit };

        kit_user(&r);
        check(r.vector < 32 || r.vector == KIT_VEC_SYSCALL || r.vector == KIT_VEC_FAILSAFE);
        check_eq(r.rflags & 0x3000, 0);
        check(bit == 9 || (r.rflags & 0x200) != 0); /* bit 9: events masked, as it asked for */
    }
}

/* Tables of addresses as arguments: 8 bytes before an end of the address space, and across it. */
static void arguments(void)
{
    static const u64 at[] = { 0x00007ffffffffff8UL,
                              0xfffffffffffffff8UL,
                              0xffff7ffffffffff8UL,
                              0xffff87fffffffff8UL,
                              0xffff800000000000UL,
                              0xffff808000000000UL,
                              0xffff810000000000UL,
                              0xffff820000000000UL,
                              0xffff87ff40000000UL,
                              0xffff87ff80000000UL,
                              ~0UL,
                              1UL << 63 };

    for (u32 i = 0; i < ARRAY(at); i++) {
        check(hc2(__HYPERVISOR_xen_version, XENVER_compile_info, at[i]) == -EFAULT);
        check(hc2(__HYPERVISOR_xen_version, XENVER_guest_handle, at[i]) == -EFAULT);
        check(vcpu_op(VCPUOP_get_runstate_info, 0, (void *)at[i]) == -EFAULT);
        check(hc4(__HYPERVISOR_mmu_update, at[i], 1, 0, DOMID_SELF) < 0);
        check(hc4(__HYPERVISOR_mmuext_op, at[i], 1, 0, DOMID_SELF) < 0);
        check(hc2(__HYPERVISOR_multicall, at[i], 1) < 0);
        check(memory_op(XENMEM_memory_map, (void *)at[i]) < 0);
        check(event_op(EVTCHNOP_status, (void *)at[i]) == -EFAULT);
        check(grant_op(GNTTABOP_query_size, (void *)at[i], 1) == -EFAULT);
        check(sched_op(SCHEDOP_poll, (void *)at[i]) == -EFAULT);
    }
}

void test_main(void)
{
    callbacks();
    bases();
    arguments();
    returns();
}
