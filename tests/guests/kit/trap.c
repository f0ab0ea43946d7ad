/* SPDX-License-Identifier: MIT */
/* Exceptions of the test guests: caught and noted, or printed with the registers. */
#include "kit/kit.h"

struct fault fault;
bool (*volatile kit_trap_hook)(struct kit_regs *r);

extern void kit_try_resume(void), kit_stub_event(void), kit_stub_failsafe(void);
extern void kit_stub_syscall(void), kit_stub_syscall32(void), kit_stub_sysenter(void);
extern void kit_stub_int80(void);
void kit_event_upcall(void);

static const char *const names[] = { "divide error",
                                     "debug",
                                     "NMI",
                                     "breakpoint",
                                     "overflow",
                                     "bound",
                                     "invalid opcode",
                                     "no FPU",
                                     "double fault",
                                     "",
                                     "TSS",
                                     "segment not present",
                                     "stack",
                                     "general protection",
                                     "page fault",
                                     "",
                                     "x87",
                                     "alignment",
                                     "machine check",
                                     "SIMD" };

static void dump(const struct kit_regs *r)
{
    const char *name = r->vector < ARRAY(names) ? names[r->vector] : "callback";

    print("trap 0x%lx (%s) error 0x%lx rip 0x%lx cs 0x%lx rflags 0x%lx cr2 0x%lx\r\n", r->vector,
          name, r->error, r->rip, r->cs, r->rflags, vcpu_info()->arch.cr2);
    print("rax %016lx rbx %016lx rcx %016lx rdx %016lx\r\n", r->rax, r->rbx, r->rcx, r->rdx);
    print("rsi %016lx rdi %016lx rbp %016lx rsp %016lx\r\n", r->rsi, r->rdi, r->rbp, r->rsp);
    print("r8  %016lx r9  %016lx r10 %016lx r11 %016lx\r\n", r->r8, r->r9, r->r10, r->r11);
    print("r12 %016lx r13 %016lx r14 %016lx r15 %016lx\r\n", r->r12, r->r13, r->r14, r->r15);
}

static void note_fault(const struct kit_regs *r)
{
    fault = (struct fault){ .vector = r->vector,
                            .error = r->error,
                            .rip = r->rip,
                            .cr2 = vcpu_info()->arch.cr2,
                            .rflags = r->rflags,
                            .cs = r->cs };
}

/* Called by the entry stubs for every trap, event and callback. */
void kit_trap(struct kit_regs *r)
{
    struct kit_cpu *cpu = this_cpu();

    if (kit_trap_hook && kit_trap_hook(r)) {
        return;
    }
    if (r->vector == KIT_VEC_EVENT) {
        kit_event_upcall();
        return;
    }
    note_fault(r);
    if ((r->cs & 3) == 3 && cpu->user) {
        *cpu->user = *r;
        cpu->user = NULL;
        if (r->rflags & 0x200) {
            events_unmask(); /* the state before user mode; the trap has masked them */
        }
        kit_leave_user(cpu->user_rsp);
    }
    if (cpu->try_rsp) {
        r->rsp = cpu->try_rsp;
        r->rip = U64(kit_try_resume);
        r->cs = KERNEL_CS;
        r->ss = USER_DS;
        r->rflags &= ~0x40100UL; /* TF, AC */
        cpu->try_rsp = 0;
        return;
    }
    dump(r);
    check_at(false, __FILE__, __LINE__, "unexpected trap 0x%lx at 0x%lx", r->vector, r->rip);
    test_end();
}

static long register_callback(u16 type, void (*entry)(void))
{
    struct callback_register c = { .type = type,
                                   .flags = CALLBACKF_mask_events,
                                   .address = U64(entry) };

    return hc2(__HYPERVISOR_callback_op, CALLBACKOP_register, U64(&c));
}

/* Installs the trap table and the callbacks of the calling vCPU. */
void kit_traps_init(void)
{
    static struct trap_info table[24];
    u32 n = 0;

    for (u32 v = 0; v < 22; v++) {
        u8 dpl = v == 3 || v == 4 ? 3 : 0;

        if (v == 15 || v == 20 || v == 9) {
            continue;
        }
        table[n++] = (struct trap_info){
            .vector = (u8)v, .flags = dpl | 4, .cs = USER_CS, .address = U64(kit_stubs + 16 * v)
        };
    }
    table[n++] = (struct trap_info){
        .vector = 0x80, .flags = 3 | 4, .cs = USER_CS, .address = U64(kit_stub_int80)
    };
    table[n] = (struct trap_info){ .address = 0 };
    check_eq(hc1(__HYPERVISOR_set_trap_table, U64(table)), 0);
    check_eq(register_callback(CALLBACKTYPE_event, kit_stub_event), 0);
    check_eq(register_callback(CALLBACKTYPE_failsafe, kit_stub_failsafe), 0);
    check_eq(register_callback(CALLBACKTYPE_syscall, kit_stub_syscall), 0);
    check_eq(register_callback(CALLBACKTYPE_syscall32, kit_stub_syscall32), 0);
    check_eq(register_callback(CALLBACKTYPE_nmi, (void (*)(void))(U64(kit_stubs) + 32)), 0);
    check_eq(hc2(__HYPERVISOR_stack_switch, USER_DS, U64(this_cpu()) + KIT_STACK_SIZE), 0);
}

void kit_user(struct kit_regs *r)
{
    struct kit_cpu *cpu = this_cpu();
    struct kit_regs in = *r;
    u64 top;

    /* the traps of user mode must not overwrite the frames below us */
    __asm__ volatile("mov %%rsp, %0" : "=r"(top));
    top = (top - 2048) & ~15UL;
    hc2(__HYPERVISOR_stack_switch, USER_DS, top);
    r->vector = ~0UL;
    cpu->user = r;
    kit_enter_user(&in, 0);
    hc2(__HYPERVISOR_stack_switch, USER_DS, U64(cpu) + KIT_STACK_SIZE);
}
