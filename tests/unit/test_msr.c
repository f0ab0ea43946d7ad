/* SPDX-License-Identifier: MIT */
/* The allow-list of MSRs, debug registers, and I/O ports with PCI's latched address: what reaches
 * the machine. */
#include "tests/unit/core_kit.h"

#include <string.h>

#include "abi/arch_x86_64.h"
#include "arch/host/machine.h"
#include "cpu/msr.h"
#include "guest/debugreg.h"
#include "guest/port_io.h"
#include "guest/trap.h"
#include "guest/x86_flags.h"
#include "irq/rights.h"

#define NON_CANONICAL UINT64_C(0x0000800000000000)

static struct domain *d;
static struct vcpu *v;

/* What the machine was told, in order. */
static struct {
    uint64_t where, val;
    unsigned int size;
} told[16];
static unsigned int n_told;
static uint64_t msr_value;
static bool msr_there;

static bool hook_rdmsr(uint32_t msr, uint64_t *val)
{
    (void)msr;
    *val = msr_value;
    return msr_there;
}

static void tell(uint64_t where, unsigned int size, uint64_t val)
{
    assert_true(n_told < 16);
    told[n_told].where = where;
    told[n_told].size = size;
    told[n_told++].val = val;
}

static bool hook_wrmsr(uint32_t msr, uint64_t val)
{
    tell(msr, 8, val);
    return msr_there;
}

static uint32_t hook_in(uint16_t port, unsigned int size)
{
    tell(port, size, 0);
    return 0x5a5a5a5a;
}

static void hook_out(uint16_t port, unsigned int size, uint32_t val)
{
    tell(port, size, val);
}

static uint32_t hook_pci_read(uint32_t cf8, unsigned int offset, unsigned int size)
{
    tell(UINT64_C(0x100000000) | cf8 | offset, size, 0);
    return 0x1234;
}

static void hook_pci_write(uint32_t cf8, unsigned int offset, unsigned int size, uint32_t val)
{
    tell(UINT64_C(0x100000000) | cf8 | offset, size, val);
}

static int begin(void **state)
{
    (void)state;
    d = kit_domain(1, 2);
    v = d->vcpu[0];
    kit_as(v);
    v->arch.kernel_mode = true;
    n_told = 0;
    msr_there = true;
    msr_value = 0;
    host_hooks = (struct host_hooks){ .rdmsr = hook_rdmsr,
                                      .wrmsr = hook_wrmsr,
                                      .in = hook_in,
                                      .out = hook_out,
                                      .pci_read = hook_pci_read,
                                      .pci_write = hook_pci_write };
    return 0;
}

static int end(void **state)
{
    host_hooks = (struct host_hooks){ 0 };
    kit_as(NULL);
    return kit_teardown(state);
}

static uint64_t rd(uint32_t msr)
{
    uint64_t val = 0;

    assert_true(guest_rdmsr(v, msr, &val));
    return val;
}

static void test_bases(void **state)
{
    static const uint32_t bases[] = { 0xc0000100, 0xc0000101, 0xc0000102 };

    (void)state;
    for (unsigned int i = 0; i < 3; i++) {
        assert_true(guest_wrmsr(v, bases[i], 0x1000 + i));
        assert_false(guest_wrmsr(v, bases[i], NON_CANONICAL));
        assert_false(guest_wrmsr(v, bases[i], ~NON_CANONICAL));
        assert_true(guest_wrmsr(v, bases[i], UINT64_C(0xffffffff81000000) + i));
    }
    for (unsigned int i = 0; i < 3; i++) {
        assert_int_equal(rd(bases[i]), UINT64_C(0xffffffff81000000) + i);
    }
    assert_int_equal(cpu_get_fs_base(), UINT64_C(0xffffffff81000000));
    assert_int_equal(n_told, 0);
}

/* What a guest may see of the machine's own, and that it cannot change any of it. */
static void test_machine(void **state)
{
    static const uint32_t constant[] = { 0xc0000080, 0x277 };

    (void)state;
    msr_value = UINT64_C(0xffffffffffffffff);
    assert_int_equal(rd(0xc0000080), 0xd01); /* EFER: SCE LME LMA NX */
    assert_int_equal(rd(0x1a0), msr_value);
    msr_value = 0;
    assert_int_equal(rd(0x1a0), 1u << 11 | 1u << 12); /* no BTS, no PEBS */
    msr_value = 0x500;
    for (unsigned int i = 0; i < 2; i++) {
        assert_true(guest_wrmsr(v, constant[i], 0x500));
        assert_false(guest_wrmsr(v, constant[i], 0x501));
    }
    assert_true(guest_wrmsr(v, 0x8b, 0));
    assert_true(guest_wrmsr(v, 0x1a0, ~UINT64_C(0)));
    assert_true(guest_wrmsr(v, 0x1b, 0));
    assert_int_equal(rd(0x1b), 0xfee00000u | 1u << 11 | 1u << 8);
    v = d->vcpu[1];
    assert_int_equal(rd(0x1b), 0xfee00000u | 1u << 11);
    assert_int_equal(rd(0x179), 0);
    assert_int_equal(rd(0x17a), 0);
    assert_int_equal(n_told, 0);
    msr_there = false; /* XSA-333: registers that this processor does not have */
    static const uint32_t absent[] = { 0xc0000080, 0x1a0, 0x8b, 0x277, 0xc0010015, 0xc001001f };
    for (unsigned int i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        uint64_t val;
        assert_false(guest_rdmsr(v, absent[i], &val));
    }
}

static void test_own(void **state)
{
    uint64_t val;

    (void)state;
    assert_true(guest_wrmsr(v, 0xc0000103, 5)); /* TSC_AUX */
    assert_int_equal(rd(0xc0000103), 5);
    assert_int_equal(n_told, 1);
    assert_int_equal(told[0].val, 5);
    assert_false(guest_wrmsr(v, 0xc0000103, UINT64_C(1) << 32));
    assert_true(guest_wrmsr(v, 0x140, 0));
    assert_false(guest_wrmsr(v, 0x140, 1));
    assert_int_equal(rd(0x140), 0);
    assert_int_equal(rd(0x10), port_ticks());
    assert_false(guest_wrmsr(v, 0x10, 0));
    /* Whatever is not listed: neither read nor written, and never asked of the machine. */
    n_told = 0;
    msr_value = 1;
    for (uint32_t msr = 0; msr < 0x2000; msr++) {
        static const uint32_t listed[] = { 0x10, 0x1b, 0x8b, 0x140, 0x179, 0x17a, 0x1a0, 0x277 };
        bool known = false;
        for (unsigned int i = 0; i < sizeof listed / sizeof listed[0]; i++) {
            known = known || listed[i] == msr;
        }
        if (!known) {
            assert_false(guest_rdmsr(v, msr, &val));
            assert_false(guest_wrmsr(v, msr, 0));
            assert_false(guest_rdmsr(v, 0xc0000000u + 0x200 + msr, &val));
            assert_false(guest_wrmsr(v, 0xc0000000u + 0x200 + msr, 0));
        }
    }
    static const uint32_t entry[] = { 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,
                                      0x174,      0x175,      0x176,      0x48,
                                      0x49,       0x1d9,      0x3f1,      0xc0010117 };
    for (unsigned int i = 0; i < sizeof entry / sizeof entry[0]; i++) {
        assert_false(guest_wrmsr(v, entry[i], 0));
        assert_false(guest_rdmsr(v, entry[i], &val));
    }
    assert_int_equal(n_told, 0);
}

static int64_t set_dr(uint64_t nr, uint64_t val)
{
    struct hcall_args a = { { nr, val } };

    return hc_set_debugreg(v, &a);
}

static int64_t get_dr(uint64_t nr)
{
    struct hcall_args a = { { nr } };

    return hc_get_debugreg(v, &a);
}

static void test_debugreg(void **state)
{
    (void)state;
    for (unsigned int i = 0; i < 4; i++) {
        assert_int_equal(set_dr(i, 0x1000 + i), 0);
        assert_int_equal(get_dr(i), 0x1000 + i);
        assert_int_equal(cpu_get_dr(i), 0); /* not before one is enabled */
        assert_int_equal(set_dr(i, KIT_BAD_VA), -EPERM);
        assert_int_equal(set_dr(i, UINT64_C(0xffff87ff80000000)), -EPERM); /* XSA-444 */
        assert_int_equal(set_dr(i, NON_CANONICAL), -EPERM);
        assert_int_equal(get_dr(i), 0x1000 + i);
    }
    assert_int_equal(set_dr(7, 1u << 13), -EPERM);                /* GD */
    assert_int_equal(set_dr(7, 1 | UINT64_C(2) << 16), -EPERM);   /* I/O without CR4.DE */
    assert_int_equal(set_dr(7, 1u << 6 | 2u << 28), -EPERM);      /* of the fourth */
    assert_int_equal(set_dr(7, UINT64_C(2) << 16), 0);            /* not enabled */
    assert_int_equal(set_dr(7, UINT64_C(0xffffffff0000d800)), 0); /* XSA-12: reserved bits */
    assert_int_equal(get_dr(7), DR7_DEFAULT);
    assert_int_equal(set_dr(7, 1), 0);
    assert_int_equal(cpu_get_dr(0), 0x1000);
    assert_int_equal(cpu_get_dr(3), 0x1003);
    assert_int_equal(cpu_get_dr(7), DR7_DEFAULT | 1);
    assert_int_equal(set_dr(0, 0x2000), 0);
    assert_int_equal(cpu_get_dr(0), 0x2000);
    assert_int_equal(set_dr(6, ~UINT64_C(0)), 0);
    assert_int_equal(get_dr(6), DR6_STATUS | DR6_DEFAULT);
    assert_int_equal(set_dr(4, 0), -ENODEV);
    assert_int_equal(set_dr(5, 0), -ENODEV);
    assert_int_equal(set_dr(8, 0), -ENODEV);
    assert_int_equal(set_dr(UINT64_C(1) << 32, 0), -ENODEV);
    assert_int_equal(get_dr(4), -ENODEV);
    assert_int_equal(get_dr(5), -ENODEV);
    assert_int_equal(get_dr(~UINT64_C(0)), -ENODEV);
    assert_int_equal(set_dr(7, 0), 0);
    assert_int_equal(cpu_get_dr(7), DR7_DEFAULT);
}

static void test_ports(void **state)
{
    (void)state;
    assert_int_equal(port_io_read(v, 0x3f8, 1), 0xff);
    assert_int_equal(port_io_read(v, 0xffff, 2), 0xffff);
    port_io_write(v, 0x3f8, 1, 7);
    assert_int_equal(n_told, 0); /* no right, nothing done */
    assert_int_equal(rights_allow(d, RIGHT_PORT, 0x3f8, 0x3fb), 0);
    assert_int_equal(port_io_read(v, 0x3f8, 4), 0x5a5a5a5a);
    assert_int_equal(port_io_read(v, 0x3fa, 4), UINT32_MAX); /* one port too far */
    port_io_write(v, 0x3fb, 2, 7);
    assert_int_equal(n_told, 1);
    port_io_write(v, 0x3fb, 1, 7);
    assert_int_equal(n_told, 2);
    assert_int_equal(told[1].where, 0x3fb);
    assert_int_equal(told[1].val, 7);
}

/* What is behind PCI's ports is the control domain's alone, and it has no right to the ports.  The
 * address is latched; data ports use it and nothing else. */
static void test_pci(void **state)
{
    (void)state;
    port_io_write(v, 0xcf8, 4, 0x80001810);
    assert_int_equal(port_io_read(v, 0xcf8, 4), UINT32_MAX); /* a guest */
    port_io_write(v, 0xcfc, 4, 1);
    assert_int_equal(port_io_read(v, 0xcfc, 4), UINT32_MAX);
    assert_int_equal(n_told, 0);
    d->is_ctl = true;
    assert_int_equal(port_io_read(v, 0xcf8, 4), 0);
    assert_int_equal(port_io_read(v, 0xcfc, 2), 0xffff); /* not enabled */
    port_io_write(v, 0xcfc, 4, 1);
    assert_int_equal(n_told, 0);
    port_io_write(v, 0xcf8, 4, 0x80001810);
    assert_int_equal(n_told, 0);
    assert_int_equal(port_io_read(v, 0xcf8, 4), 0x80001810);
    assert_int_equal(port_io_read(v, 0xcfe, 2), 0x1234);
    assert_int_equal(told[0].where, UINT64_C(0x180001812));
    assert_int_equal(told[0].size, 2);
    port_io_write(v, 0xcff, 1, 0x99);
    assert_int_equal(told[1].where, UINT64_C(0x180001813));
    assert_int_equal(told[1].val, 0x99);
    /* Smaller accesses to the address port, and data that runs over, are ports like any other. */
    port_io_write(v, 0xcf9, 1, 6);
    assert_int_equal(port_io_read(v, 0xcfd, 4), UINT32_MAX);
    assert_int_equal(n_told, 2);
    assert_int_equal(rights_allow(d, RIGHT_PORT, 0xcfd, 0xd00), 0);
    assert_int_equal(port_io_read(v, 0xcfd, 4), 0x5a5a5a5a);
    assert_int_equal(told[2].where, 0xcfd);
}

/* The RTC's index is each domain's own too: nothing reaches the machine before the data port is
 * used, and then both together. */
static void test_cmos(void **state)
{
    (void)state;
    assert_int_equal(rights_allow(d, RIGHT_PORT, 0x70, 0x71), 0);
    port_io_write(v, 0x70, 1, 0x0b);
    assert_int_equal(n_told, 0);
    assert_int_equal(port_io_read(v, 0x71, 1), 0x5a);
    assert_int_equal(n_told, 2);
    assert_int_equal(told[0].where, 0x70);
    assert_int_equal(told[0].val, 0x0b);
    assert_int_equal(told[1].where, 0x71);
    port_io_write(v, 0x71, 1, 2); /* the same index, told to the machine again */
    assert_int_equal(n_told, 4);
    assert_int_equal(told[2].val, 0x0b);
    assert_int_equal(told[3].where, 0x71);
    assert_int_equal(told[3].val, 2);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_bases), T(test_machine), T(test_own),  T(test_debugreg),
        T(test_ports), T(test_pci),     T(test_cmos),
    };

    kit_start(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
