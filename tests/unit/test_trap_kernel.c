/* SPDX-License-Identifier: MIT */
/* Exceptions of the hypervisor: those that were expected go on, and the guest's LDT is mapped with
 * interrupts on, for whoever holds its locks may be waiting for this cpu. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "abi/arch_x86_64.h"
#include "arch/host/machine.h"
#include "base/lock.h"
#include "cpu/msr.h"
#include "guest/desc.h"
#include "guest/mm_x86.h"
#include "hw/asm.h"
#include "hw/backtrace.h"
#include "hw/ioapic.h"
#include "hw/lapic.h"
#include "hw/smp.h"
#include "hw/tlb.h"
#include "hw/trap.h"
#include "port/irq.h"
#include "tests/unit/mm_kit.h"

#define DATA3  UINT64_C(0x00cff3000000ffff)
#define VEC_GP 13u
#define VEC_PF 14u
#define SLOT   100u
#define LDT_VA (KIT_VA + SLOT * PAGE_SIZE)

/* What the linker script and the assembly provide: one instruction that may fault. */
static const uint8_t may_fault[1], goes_on[1];
const uint8_t iret_guest[1];
struct fix {
    uint64_t from, to;
};
struct fix ex_table_start[1];
__asm__(".globl ex_table_end\n.set ex_table_end, ex_table_start + 16");

static struct kit_guest g;
static uint64_t cr2;

uint64_t read_cr2(void)
{
    return cr2;
}

void backtrace_from(const struct regs *r)
{
    (void)r;
}

int ioapic_vector_irq(uint8_t vector)
{
    (void)vector;
    return -1;
}

void lapic_eoi(void)
{
}

uint32_t lapic_error(void)
{
    return 0;
}

uint32_t lapic_nmi_begin(void)
{
    return 0;
}

void lapic_nmi_end(uint32_t destination)
{
    (void)destination;
}

void smp_nmi_others(void)
{
}

void tlb_serve(void)
{
}

static int begin(void **state)
{
    struct frame *f;

    (void)state;
    kit_guest(&g, false, 1);
    f = kit_frame(&g);
    kit_poke(f, 1, DATA3);
    assert_int_equal(kit_update_va(LDT_VA, kit_pte(f, K_RO), 0), 0);
    assert_int_equal(kit_mmuext(MMUEXT_SET_LDT, LDT_VA, 512), 0);
    ex_table_start[0] = (struct fix){ (uintptr_t)may_fault, (uintptr_t)goes_on };
    lock_check_up();
    port_irq_disable();
    return 0;
}

static int end(void **state)
{
    (void)state;
    port_irq_enable();
    kit_audit();
    kit_guest_end(&g);
    return 0;
}

static struct regs fault(const void *at, uint32_t vector, uint64_t address)
{
    struct regs r;

    memset(&r, 0x5a, sizeof r);
    r.rip = (uintptr_t)at;
    r.vector = vector;
    r.error = 0;
    r.cs = 0xe008;
    cr2 = address;
    return r;
}

static void test_selector(void **state)
{
    struct regs r = fault(may_fault, VEC_PF, cpu_ldt_window() + 8);

    (void)state;
    assert_ptr_equal(trap_kernel(&r), &r);
    assert_true(r.rip == (uintptr_t)may_fault); /* it is tried again */
    assert_non_null(g.v->arch.ldt_frame[0]);
    assert_false(port_irq_enabled());
    /* the page is there, so the fault has another reason; and others are expected, too */
    assert_ptr_equal(trap_kernel(&r), &r);
    assert_true(r.rip == (uintptr_t)goes_on);
    r = fault(may_fault, VEC_GP, cpu_ldt_window() + PAGE_SIZE);
    assert_ptr_equal(trap_kernel(&r), &r);
    assert_true(r.rip == (uintptr_t)goes_on);
    assert_null(g.v->arch.ldt_frame[1]);
}

/* The guest's frame is put together, and goes through the whole exit again. */
static void test_exit(void **state)
{
    struct regs r = fault(iret_guest, VEC_PF, cpu_ldt_window() + 8);
    struct regs *guest = cpu_guest_regs();

    (void)state;
    memset(guest, 0, sizeof *guest);
    guest->rip = 0x1234;
    guest->cs = FLAT_USER_CS;
    guest->vector = REGS_SYSCALL;
    assert_ptr_equal(trap_kernel(&r), guest);
    assert_non_null(g.v->arch.ldt_frame[0]);
    assert_false(port_irq_enabled());
    assert_int_equal(guest->r15, 0x5a5a5a5a5a5a5a5a);
    assert_int_equal(guest->r9, 0x5a5a5a5a5a5a5a5a);
    assert_int_equal(guest->rip, 0x1234);
    assert_int_equal(guest->cs, FLAT_USER_CS);
    assert_int_not_equal(guest->vector, REGS_SYSCALL); /* SYSRET would not load its selectors */
}

/* An LDT that is not to be had, and any other fault of the exit: the guest is told. */
static void test_failsafe(void **state)
{
    static uint64_t stack[32];
    struct regs *guest = cpu_guest_regs();

    (void)state;
    for (unsigned int i = 0; i < 2; i++) {
        struct regs r = fault(iret_guest, i == 0 ? VEC_PF : VEC_GP, cpu_ldt_window() + PAGE_SIZE);

        memset(guest, 0, sizeof *guest);
        guest->cs = FLAT_USER_CS;
        guest->rsp = (uintptr_t)stack + sizeof stack;
        g.v->arch.kernel_mode = true;
        g.v->arch.failsafe.eip = 0x4321;
        assert_ptr_equal(trap_kernel(&r), guest);
        assert_int_equal(guest->rip, 0x4321);
    }
}

static int machine(void **state)
{
    (void)state;
    kit_machine(1024, 1);
    return 0;
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
    const struct CMUnitTest tests[] = { T(test_selector), T(test_exit), T(test_failsafe) };

    return cmocka_run_group_tests(tests, machine, NULL);
}
