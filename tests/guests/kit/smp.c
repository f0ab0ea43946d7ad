/* SPDX-License-Identifier: MIT */
/* Further vCPUs of the test guests. */
#include "kit/kit.h"

extern void kit_stub_event(void), kit_stub_failsafe(void), kit_stub_syscall(void);

/* How many vCPUs the domain has: VCPUOP_is_up says -ENOENT for the first that is not there. */
u32 cpu_count(void)
{
    u32 n = 0;

    while (n < KIT_MAX_CPUS && vcpu_op(VCPUOP_is_up, n, NULL) >= 0) {
        n++;
    }
    return n;
}

/* First C code of a secondary. */
void kit_secondary_main(void)
{
    struct kit_cpu *cpu = this_cpu();

    kit_traps_init();
    for (;;) { /* once round for each cpu_start() */
        events_unmask();
        cpu->state = 1;
        cpu->entry();
        cpu->state = 2;
        vcpu_op(VCPUOP_down, cpu->id, NULL);
    }
}

/* A vCPU that has ended goes on behind its VCPUOP_down; it cannot be initialised twice. */
static long cpu_restart(struct kit_cpu *cpu, void (*entry)(void))
{
    u64 end = now() + 1000000000;

    while (vcpu_op(VCPUOP_is_up, cpu->id, NULL) == 1 && now() < end) {
        sched_op(SCHEDOP_yield, NULL);
    }
    cpu->entry = entry;
    cpu->state = 0;
    return vcpu_op(VCPUOP_up, cpu->id, NULL);
}

/* Starts vCPU id at entry, on its own stack; 0 or the hypervisor's error. */
long cpu_start(u32 id, void (*entry)(void))
{
    static struct vcpu_guest_context c;
    struct kit_cpu *cpu = cpu_of(id);

    if (cpu->state == 2) {
        return cpu_restart(cpu, entry);
    }
    memset(&c, 0, sizeof(c));
    *cpu = (struct kit_cpu){ .id = id, .entry = entry };
    c.flags = VGCF_in_kernel;
    c.user_regs.rip = U64(kit_secondary);
    c.user_regs.rsp = U64(cpu) + KIT_STACK_SIZE;
    c.user_regs.cs = USER_CS;
    c.user_regs.ss = USER_DS;
    c.user_regs.rflags = 0x200;
    c.kernel_ss = USER_DS;
    c.kernel_sp = U64(cpu) + KIT_STACK_SIZE;
    c.ctrlreg[3] = mfn_of((void *)si->pt_base) << 12;
    c.event_callback_eip = U64(kit_stub_event);
    c.failsafe_callback_eip = U64(kit_stub_failsafe);
    c.syscall_callback_eip = U64(kit_stub_syscall);
    shared->vcpu_info[id].evtchn_upcall_mask = 1;

    long rc = vcpu_op(VCPUOP_initialise, id, &c);

    return rc ? rc : vcpu_op(VCPUOP_up, id, NULL);
}

/* Waits until *word is value; false after ns. */
bool wait_until(volatile u32 *word, u32 value, u64 ns)
{
    u64 end = now() + ns;

    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value) {
        if (now() > end) {
            return false;
        }
        __asm__ volatile("pause");
    }
    return true;
}
