/* SPDX-License-Identifier: MIT */
/* Attack: states of its own that no kernel can go on from. It must end alone, and the hypervisor
 * say why; the case is the word after `case=`. */
#include "kit/kit.h"

const char kit_name[] = "crashes";

#define OWN_OF_HYPERVISOR 0xffff87ff80000000UL

extern char attack_user_fault[];
__asm__(".pushsection .text\n"
        "attack_user_fault: ud2\n"
        ".popsection");

static u8 user_stack[PAGE] __attribute__((aligned(4096)));

/* An exception in user mode, whose entry wants a stack at `at`. */
static void user_fault(u64 at)
{
    struct kit_regs r = { .rip = U64(attack_user_fault),
                          .cs = USER_CS,
                          .ss = USER_DS,
                          .rsp = U64(user_stack) + PAGE,
                          .rflags = 0x202 };

    check_eq(mmuext1(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)si->pt_base)), 0);
    hc2(__HYPERVISOR_stack_switch, USER_DS, at);
    kit_enter_user(&r, 0);
}

/* ... in kernel mode, on a stack that is none. */
static void fault_on(u64 stack)
{
    __asm__ volatile("mov %0, %%rsp; ud2" ::"r"(stack) : "memory");
}

static void return_from(u64 stack)
{
    __asm__ volatile("mov %0, %%rsp; mov $23, %%eax; syscall; ud2" ::"r"(stack) : "memory", "rax");
}

static void no_handler(void)
{
    hc1(__HYPERVISOR_set_trap_table, 0);
    __asm__ volatile("ud2");
}

static void no_user_tables(void)
{
    struct kit_regs r = { .rip = U64(attack_user_fault), .cs = USER_CS, .ss = USER_DS };

    check_eq(mmuext1(MMUEXT_NEW_USER_BASEPTR, 0), 0);
    kit_enter_user(&r, 0);
}

/* The handler of page faults is itself on a page that is not there. */
static void bad_handler(void)
{
    struct trap_info t[2] = { { .vector = 14, .cs = KERNEL_CS, .address = 0x5000 } };

    hc1(__HYPERVISOR_set_trap_table, U64(t));
    *(volatile u64 *)0x6000 = 1; /* each fault brings the next, until the stack is used up */
}

void test_main(void)
{
    print("crashes: %s\r\n", (const char *)si->cmd_line);
    if (kit_option("case=user-hole")) {
        user_fault(OWN_OF_HYPERVISOR);
    } else if (kit_option("case=user-nothing")) {
        user_fault(0x7000);
    } else if (kit_option("case=user-canonical")) {
        user_fault(0x0000900000000000UL);
    } else if (kit_option("case=hole")) {
        fault_on(OWN_OF_HYPERVISOR);
    } else if (kit_option("case=nothing")) {
        fault_on(0x7000);
    } else if (kit_option("case=no-handler")) {
        no_handler();
    } else if (kit_option("case=return-hole")) {
        return_from(OWN_OF_HYPERVISOR);
    } else if (kit_option("case=return-nothing")) {
        return_from(0x7000);
    } else if (kit_option("case=no-user")) {
        no_user_tables();
    } else if (kit_option("case=bad-handler")) {
        bad_handler();
    }
    check_at(false, __FILE__, __LINE__, "it went on");
}
