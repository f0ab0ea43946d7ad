/* SPDX-License-Identifier: MIT */
/* Where a guest's kernel wants to be entered: trap table, callbacks, stack, segment bases, with
 * every refusal. */
#include "tests/unit/core_kit.h"

#include <string.h>

#include "abi/arch_x86_64.h"
#include "abi/callback.h"
#include "abi/nmi.h"
#include "arch/host/machine.h"
#include "cpu/msr.h"
#include "guest/trap.h"
#include "guest/x86_flags.h"
#include "port/cpu.h"

#define HANDLER       UINT64_C(0xffffffff81000100)
#define NON_CANONICAL UINT64_C(0x0000800000000000)

static struct domain *d;
static struct vcpu *v;

static int begin(void **state)
{
    (void)state;
    d = kit_domain(1, 2);
    v = d->vcpu[0];
    kit_as(v);
    return 0;
}

static int end(void **state)
{
    kit_as(NULL);
    return kit_teardown(state);
}

static struct trap_info table[258];

static int64_t set_table(uint64_t at)
{
    return kit_call(v, hc_set_trap_table, at, NULL, 0);
}

static void fill(unsigned int n)
{
    memset(table, 0, sizeof table);
    for (unsigned int i = 0; i < n; i++) {
        table[i] = (struct trap_info){
            .vector = (uint8_t)i, .flags = 3, .cs = FLAT_KERNEL_CS, .address = HANDLER + i
        };
    }
}

static void test_trap_table(void **state)
{
    (void)state;
    fill(256);
    table[3].cs = 0x10; /* its level is raised */
    assert_int_equal(set_table((uintptr_t)table), 0);
    assert_int_equal(v->arch.traps[255].eip, HANDLER + 255);
    assert_int_equal(v->arch.traps[3].cs, 0x13);
    assert_int_equal(v->arch.traps[3].flags, 3);
    fill(257); /* as many entries as there are vectors, and one: it does not end */
    assert_int_equal(set_table((uintptr_t)table), -EINVAL);
    static const uint64_t bad[] = { NON_CANONICAL, KIT_BAD_VA, UINT64_C(0xffff87ff80000000) };
    for (unsigned int i = 0; i < 3; i++) {
        fill(4);
        table[2].address = bad[i];
        assert_int_equal(set_table((uintptr_t)table), -EINVAL);
        assert_int_equal(v->arch.traps[2].eip, HANDLER + 2);
    }
    assert_int_equal(set_table(KIT_BAD_VA), -EFAULT);
    assert_int_equal(set_table(0), 0);
    for (unsigned int i = 0; i < 256; i++) {
        assert_int_equal(v->arch.traps[i].eip, 0);
    }
    /* Stopped at every entry, it comes to the same. */
    fill(200);
    host_inject_yields(1, 1);
    assert_int_equal(set_table((uintptr_t)table), 0);
    host_inject_yields(0, 0);
    for (unsigned int i = 0; i < 256; i++) {
        assert_int_equal(v->arch.traps[i].eip, i < 200 ? HANDLER + i : 0);
    }
}

static void test_stack(void **state)
{
    (void)state;
    assert_int_equal(kit_call(v, hc_stack_switch, 0x10, (void *)(uintptr_t)HANDLER, 0), 0);
    assert_int_equal(v->arch.kernel_ss, 0x13);
    assert_int_equal(v->arch.kernel_sp, HANDLER);
}

static void test_set_callbacks(void **state)
{
    struct hcall_args a;

    (void)state;
    for (unsigned int i = 0; i < 3; i++) {
        a = (struct hcall_args){ { HANDLER, HANDLER + 1, HANDLER + 2 } };
        a.arg[i] = KIT_BAD_VA;
        assert_int_equal(hc_set_callbacks(v, &a), -EINVAL);
        assert_int_equal(v->arch.event.eip, 0);
        assert_int_equal(v->arch.failsafe.eip, 0);
        assert_int_equal(v->arch.syscall.eip, 0);
    }
    a = (struct hcall_args){ { HANDLER, HANDLER + 1, HANDLER + 2 } };
    assert_int_equal(hc_set_callbacks(v, &a), 0);
    assert_int_equal(v->arch.event.eip, HANDLER);
    assert_true(v->arch.event.mask);
    assert_int_equal(v->arch.failsafe.eip, HANDLER + 1);
    assert_int_equal(v->arch.syscall.eip, HANDLER + 2);
    assert_false(v->arch.syscall.mask);
}

static int64_t reg(uint16_t type, uint64_t address, uint16_t flags)
{
    struct callback_register c = { .type = type, .flags = flags, .address = address };

    return kit_call(v, hc_callback_op, CALLBACKOP_register, &c, 0);
}

static int64_t unreg(uint16_t type)
{
    struct callback_unregister c = { .type = type };

    return kit_call(v, hc_callback_op, CALLBACKOP_unregister, &c, 0);
}

static void test_callback_op(void **state)
{
    static const uint16_t types[] = { CALLBACKTYPE_event, CALLBACKTYPE_failsafe,
                                      CALLBACKTYPE_syscall, CALLBACKTYPE_sysenter,
                                      CALLBACKTYPE_syscall32 };

    (void)state;
    for (unsigned int i = 0; i < 5; i++) {
        assert_int_equal(reg(types[i], HANDLER + i, CALLBACKF_mask_events), 0);
        assert_int_equal(reg(types[i], NON_CANONICAL, 0), -EINVAL);
        assert_int_equal(unreg(types[i]), -EINVAL);
    }
    assert_int_equal(v->arch.event.eip, HANDLER);
    assert_int_equal(v->arch.failsafe.eip, HANDLER + 1);
    assert_int_equal(v->arch.syscall.eip, HANDLER + 2);
    assert_int_equal(v->arch.sysenter.eip, HANDLER + 3);
    assert_int_equal(v->arch.syscall32.eip, HANDLER + 4);
    assert_true(v->arch.syscall32.mask);
    assert_int_equal(reg(CALLBACKTYPE_event, HANDLER, 0), 0);
    assert_true(v->arch.event.mask); /* always */
    assert_int_equal(reg(CALLBACKTYPE_syscall, HANDLER, 0), 0);
    assert_false(v->arch.syscall.mask);
    assert_int_equal(reg(CALLBACKTYPE_nmi, HANDLER, 0), 0);
    assert_int_equal(v->arch.traps[2].eip, HANDLER);
    assert_int_equal(reg(CALLBACKTYPE_nmi, KIT_BAD_VA, 0), -EINVAL);
    assert_int_equal(unreg(CALLBACKTYPE_nmi), 0);
    assert_int_equal(v->arch.traps[2].eip, 0);
    assert_int_equal(reg(99, HANDLER, 0), -ENOSYS);
    assert_int_equal(unreg(99), -ENOSYS);
    assert_int_equal(kit_call(v, hc_callback_op, 2, &types, 0), -ENOSYS);
    assert_int_equal(
        kit_call(v, hc_callback_op, CALLBACKOP_register, (void *)(uintptr_t)KIT_BAD_VA, 0),
        -EFAULT);
}

static void test_nmi(void **state)
{
    struct xennmi_callback c = { .handler_address = HANDLER };

    (void)state;
    assert_int_equal(kit_call(v, hc_nmi_op, XENNMI_register_callback, &c, 0), 0);
    assert_int_equal(v->arch.traps[2].eip, HANDLER);
    assert_int_equal(kit_call(d->vcpu[1], hc_nmi_op, XENNMI_register_callback, &c, 0), -EINVAL);
    c.handler_address = KIT_BAD_VA;
    assert_int_equal(kit_call(v, hc_nmi_op, XENNMI_register_callback, &c, 0), -EINVAL);
    assert_int_equal(v->arch.traps[2].eip, HANDLER);
    assert_int_equal(kit_call(v, hc_nmi_op, XENNMI_unregister_callback, NULL, 0), 0);
    assert_int_equal(v->arch.traps[2].eip, 0);
    assert_int_equal(kit_call(v, hc_nmi_op, 2, NULL, 0), -ENOSYS);
}

static int64_t base(uint64_t which, uint64_t val)
{
    return kit_call(v, hc_set_segment_base, which, (void *)(uintptr_t)val, 0);
}

static void test_segment_base(void **state)
{
    (void)state;
    for (unsigned int which = SEGBASE_FS; which <= SEGBASE_GS_KERNEL; which++) {
        assert_int_equal(base(which, HANDLER + which), 0);
        assert_int_equal(base(which, NON_CANONICAL), -EINVAL); /* XSA-193 */
        assert_int_equal(base(which, ~NON_CANONICAL), -EINVAL);
    }
    assert_int_equal(cpu_get_fs_base(), HANDLER + SEGBASE_FS);
    assert_int_equal(cpu_get_gs_base_other(), HANDLER + SEGBASE_GS_USER);
    assert_int_equal(cpu_get_gs_base(), HANDLER + SEGBASE_GS_KERNEL);
    assert_int_equal(base(SEGBASE_GS_USER_SEL, 0x33), 0);
    assert_int_equal(cpu_read_sel('g'), 0x33);
    assert_int_equal(base(SEGBASE_GS_USER_SEL + 1, 0), -EINVAL);
    assert_int_equal(base(~UINT64_C(0), 0), -EINVAL);
}

static void test_fpu(void **state)
{
    (void)state;
    assert_int_equal(kit_call(v, hc_fpu_taskswitch, 1, NULL, 0), 0);
    assert_int_equal(v->arch.cr0_ts, CR0_TS);
    assert_true(host_record.ts);
    assert_int_equal(kit_call(v, hc_fpu_taskswitch, 0, NULL, 0), 0);
    assert_int_equal(v->arch.cr0_ts, 0);
    assert_false(host_record.ts);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_trap_table), T(test_stack),        T(test_set_callbacks), T(test_callback_op),
        T(test_nmi),        T(test_segment_base), T(test_fpu),
    };

    kit_start(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
