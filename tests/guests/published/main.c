/* SPDX-License-Identifier: MIT */
/*
 * What published test programs for the PV ABI demand, one after the other: how they set themselves
 * up (a GDT of their own, entries with ring-0 selectors, returns through the hypercall page), and
 * the advisories about PV guests that they try again. Each function names its advisory, if it has
 * one.
 */
#include "kit/kit.h"

const char kit_name[] = "published";

#define IOPL_SHIFT 12
#define CR4_TSD    4UL
#define CODE64     0x00af9b000000ffffUL /* of ring 0: the hypervisor raises it */
#define CODE32     0x00cf9b000000ffffUL
#define DATA32     0x00cf93000000ffffUL
#define RING3      0x0000600000000000UL
#define REF        8

static u8 user_stack[PAGE] __attribute__((aligned(4096)));
static u8 grant_page[PAGE] __attribute__((aligned(4096)));
static volatile struct grant_entry_v1 *const entries = (void *)grant_page;
static volatile u32 ss_word = USER_DS;
static volatile u64 far_pointer[3] __attribute__((used));
static domid_t me;

extern u8 hypercall_page[];
extern char gate_entry[], multi_entry[], user_gate[], user_iret_target[], user_cli[], user_outb[],
    user_rdtsc[];
extern char user_stack_load[], user_far_call[], user_ss_syscall[], user_sysenter[],
    user_ss_compat[];
long gate_call(void);
long multi_iret(struct multicall_entry *mc, u64 n);

__asm__(".pushsection .text\n"
        /* A handler that goes back by the hypercall page, with a number in eax. */
        ".balign 16\n"
        "gate_entry: pop %rcx; pop %r11; mov $0x600d, %eax; push $0; jmp hypercall_page + 23 * 32\n"
        "gate_call: xor %eax, %eax; int $0x30; ret\n"
        /* An IRET frame on the stack, then a multicall whose first entry takes it. */
        "multi_iret: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "mov %rsp, multi_sp(%rip)\n"
        "pushq $0xe02b; lea user_stack + 4096(%rip), %rax; push %rax; pushf; andl $~0x200, (%rsp)\n"
        "pushq $0xe033; lea user_iret_target(%rip), %rax; push %rax\n"
        "push $0; push $0; push $0; pushq $0xdead\n"
        "mov $13, %eax; syscall\n"
        "multi_back: mov multi_sp(%rip), %rsp\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
        ".balign 16\n"
        "multi_entry: jmp multi_back\n"
        "user_iret_target: int $0x31\n"
        "user_gate: xor %eax, %eax; int $0x30; syscall\n"
        "user_cli: cli; syscall\n"
        "user_outb: xor %eax, %eax; outb %al, $0x80; syscall\n"
        "user_rdtsc: rdtsc; syscall\n"
        "user_stack_load: mov (%rsp), %al; syscall\n"
        "user_far_call: rex64 lcall *far_pointer(%rip); syscall\n"
        "user_ss_syscall: mov %rsp, %rbx; btc $63, %rsp; mov ss_word(%rip), %ss; syscall; ud2\n"
        "user_sysenter: mov %rsp, %rcx; pushf; orl $0x4000, (%rsp); popf; sysenter; ud2\n"
        ".code32\n"
        "user_ss_compat: btc $31, %esp; mov (%ecx), %ss; syscall; ud2a\n"
        ".code64\n"
        ".popsection\n"
        ".pushsection .bss; .balign 8; multi_sp: .skip 8; .popsection");

#define FN(name, ...)                  \
    static void name(u64 arg)          \
    {                                  \
        (void)arg;                     \
        __asm__ volatile(__VA_ARGS__); \
    }

FN(do_div, "xor %%ecx, %%ecx; xor %%edx, %%edx; mov $1, %%eax; div %%ecx" ::: "rax", "rcx", "rdx")
FN(do_int80, "int $0x80" :::)
FN(do_load, "mov (%0), %%al" ::"r"(arg) : "rax")
FN(do_cli, "cli" :::)
FN(do_outb, "xor %%eax, %%eax; outb %%al, $0x80" ::: "rax")
FN(do_rdmsr, "rdmsr" ::"c"(arg) : "rax", "rdx")
FN(do_wrmsr_odd, "wrmsr" ::"c"(arg), "a"(0), "d"(0x80000000) :)
FN(do_sidt, "sidt (%0)" ::"r"(arg) : "memory")
FN(do_sgdt, "sgdt (%0)" ::"r"(arg) : "memory")
FN(do_sldt, "sldt (%0)" ::"r"(arg) : "memory")
FN(do_str, "str (%0)" ::"r"(arg) : "memory")
FN(do_smsw, "smsw (%0)" ::"r"(arg) : "memory")
FN(do_rdfsbase, "rdfsbase %%rax" ::: "rax")
FN(do_rdgsbase, "rdgsbase %%rax" ::: "rax")
FN(do_wrfsbase, "wrfsbase %0" ::"r"(arg) :)
FN(do_wrgsbase, "wrgsbase %0" ::"r"(arg) :)
FN(do_rdtsc, "rdtsc" ::: "rax", "rdx")
FN(do_wrcr4, "mov %0, %%cr4" ::"r"(arg) :)
FN(do_xbegin, ".byte 0xc7, 0xf8, 0, 0, 0, 0" ::: "rax")
FN(do_forced_mov, "ud2a; .ascii \"xen\"; mov $1, %%eax" ::: "rax")
FN(do_foreign_cs, "push %0; lea 1f(%%rip), %%rax; push %%rax; lretq; 1: ud2" ::"r"(arg) : "rax")

static struct kit_regs user_regs(const void *rip)
{
    return (struct kit_regs){ .rip = U64(rip),
                              .cs = USER_CS,
                              .ss = USER_DS,
                              .rsp = U64(user_stack) + PAGE,
                              .rflags = 0x202 };
}

static u64 read_cr4(void)
{
    u64 v;

    __asm__ volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}

static void write_dr(u32 n, u64 v)
{
    switch (n) {
    case 0:
        __asm__ volatile("mov %0, %%dr0" ::"r"(v));
        break;
    case 6:
        __asm__ volatile("mov %0, %%dr6" ::"r"(v));
        break;
    default:
        __asm__ volatile("mov %0, %%dr7" ::"r"(v));
        break;
    }
}

/* Also under twice its number, for QEMU 7.2 tells Xen of INT n so. */
static void set_gate(u8 vector, u8 dpl, const void *entry)
{
    struct trap_info t[3] = {
        { .vector = vector, .flags = dpl | 4, .cs = KERNEL_CS, .address = U64(entry) },
        { .vector = (u8)(vector * 2), .flags = dpl | 4, .cs = KERNEL_CS, .address = U64(entry) },
    };

    check_eq(hc1(__HYPERVISOR_set_trap_table, U64(t)), 0);
}

/* ---- how such programs set themselves up ---- */

static void test_entries(void)
{
    struct kit_regs r = user_regs(user_gate);
    u16 was;

    set_gate(0x30, 1, gate_entry);
    check_eq(gate_call(), 0x600d); /* the kernel counts as ring 1 */
    kit_user(&r);
    check_eq(r.vector, 13); /* .. and user mode as ring 3 */
    set_gate(0x30, 3, gate_entry);
    r = user_regs(user_gate);
    kit_user(&r);
    check_eq(r.vector, KIT_VEC_SYSCALL);
    check_eq(r.rax, 0x600d);
    check_eq(hc2(__HYPERVISOR_stack_switch, USER_DS & ~3, U64(this_cpu()) + KIT_STACK_SIZE), 0);
    __asm__ volatile("mov %%ds, %0" : "=r"(was));
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" ::"r"(USER_DS));
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %1, %%fs; mov %1, %%gs" ::"r"((u32)was),
                     "r"(0));
    check_fault(do_forced_mov, 0, 6, 0);
    check_eq(*(u16 *)fault.rip, 0x0b0f);
}

static void test_gdt(void)
{
    static const u64 want[] = { 0, CODE64, CODE32, DATA32, CODE64 | RING3, CODE32 | RING3, DATA32 };
    u64 *gdt = page_alloc();
    u64 frame = mfn_of(gdt);

    memcpy(gdt, want, sizeof(want));
    page_protect(gdt, false);
    check_eq(hc2(__HYPERVISOR_set_gdt, U64(&frame), 15), 0);
    for (u32 i = 1; i < ARRAY(want); i++) {
        check_eq(gdt[i], want[i] | RING3);
    }
    check_fault(do_foreign_cs, 1 << 3 | 3, 6, 0);
    check_eq(fault.cs, 1 << 3);
    check_eq(hc2(__HYPERVISOR_update_descriptor, frame * PAGE + 9 * 8, CODE64), 0);
    check_eq(gdt[9], CODE64 | RING3);
    check_fault(do_foreign_cs, 9 << 3 | 3, 6, 0);
    check_eq(fault.cs, 9 << 3);
    check_eq(hc2(__HYPERVISOR_set_gdt, 0, 0), 0);
    page_restore(gdt);
}

static void test_null(void)
{
#ifdef KIT_LOW
    check_eq(kit_try(do_load, 0), 0); /* mapped from the virtual base on */
    check_eq(update_va(0, 0, UVMF_INVLPG), 0);
    check_fault(do_load, 0, 14, 0);
#endif
}

/* ---- processor state ---- */

static void test_iopl_call(void)
{
    struct kit_regs r;

    for (u32 iopl = 0; iopl < 4; iopl += iopl ? 2 : 1) {
        struct physdev_set_iopl arg = { .iopl = iopl };
        u64 want = iopl == 3 ? KIT_VEC_SYSCALL : 13;

        check_eq(physdev_op(PHYSDEVOP_set_iopl, &arg), 0);
        check_eq(kit_try(do_cli, 0), iopl == 0);
        check_eq(kit_try(do_outb, 0), iopl == 0);
        r = user_regs(user_cli);
        kit_user(&r);
        check_eq(r.vector, want);
        r = user_regs(user_outb);
        kit_user(&r);
        check_eq(r.vector, want);
        check(want != 13 || r.error == 0);
    }
}

static void test_iopl_flags(void)
{
    struct physdev_set_iopl arg = { .iopl = 0 };
    struct kit_regs r;

    check_eq(physdev_op(PHYSDEVOP_set_iopl, &arg), 0);
    check_eq(hc2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_architectural_iopl), 0);
    for (u32 iopl = 0; iopl < 4; iopl += iopl ? 2 : 1) {
        u64 want = iopl == 3 ? KIT_VEC_SYSCALL : 13;

        r = user_regs(user_cli);
        r.rflags |= iopl << IOPL_SHIFT;
        kit_user(&r);
        check_eq(r.vector, want);
        check_eq(r.rflags >> IOPL_SHIFT & 3, iopl);
        r = user_regs(user_outb);
        r.rflags |= iopl << IOPL_SHIFT;
        kit_user(&r);
        check_eq(r.vector, want);
        check_eq(kit_try(do_cli, 0), 0); /* the kernel counts as ring 0 now */
        check_eq(kit_try(do_outb, 0), 0);
    }
    check_eq(hc2(__HYPERVISOR_vm_assist, VMASST_CMD_disable, VMASST_TYPE_architectural_iopl), 0);
    check_eq(physdev_op(PHYSDEVOP_set_iopl, &arg), 0);
}

/* The four instructions fault unless CR4.FSGSBASE is on, and it cannot be where CPUID has it not
 * (XSA-293). */
static void test_fsgsbase(void)
{
    static void (*const fns[])(u64) = { do_rdfsbase, do_rdgsbase, do_wrfsbase, do_wrgsbase };
    u32 a = 7, b, c = 0, d;
    u64 cr4 = read_cr4();

    __asm__ volatile("ud2; .ascii \"xen\"; cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    print("fsgsbase: cpuid %u, cr4 0x%lx\r\n", b & 1, cr4);
    check_eq(cr4 >> 16 & 1, 0);
    for (u32 i = 0; i < ARRAY(fns); i++) {
        check_fault(fns[i], 0, 6, 0);
    }
    kit_try(do_wrcr4, cr4 | 1 << 16);
    check_eq(read_cr4() >> 16 & 1, b & 1);
    for (u32 i = 0; i < ARRAY(fns) && (b & 1); i++) {
        check_eq(kit_try(fns[i], 0), 0);
    }
    check_eq(kit_try(do_wrcr4, cr4), 0);
    for (u32 i = 0; i < ARRAY(fns); i++) {
        check_fault(fns[i], 0, 6, 0);
    }
}

/* User mode has no clock when its kernel says so; the kernel has. */
static void test_clock(void)
{
    u64 cr4 = read_cr4();

    for (u32 off = 0; off < 2; off++) {
        struct kit_regs r = user_regs(user_rdtsc);

        check_eq(kit_try(do_wrcr4, cr4 | (off ? CR4_TSD : 0)), 0);
        check_eq(read_cr4() & CR4_TSD, off ? CR4_TSD : 0);
        check_eq(kit_try(do_rdtsc, 0), 0);
        kit_user(&r);
        check_eq(r.vector, off ? 13 : KIT_VEC_SYSCALL);
    }
    check_eq(kit_try(do_wrcr4, cr4), 0);
}

/* Not privileged, unless the processor has UMIP and the hypervisor turns it on. */
static void test_table_registers(void)
{
    static u8 out[16];
    u64 xlat;

    check_eq(kit_try(do_sidt, U64(out)), 0);
    check_eq(kit_try(do_sldt, U64(out)), 0);
    check_eq(kit_try(do_str, U64(out)), 0);
    check_eq(kit_try(do_smsw, U64(out)), 0);
    check_eq(kit_try(do_sgdt, U64(out)), 0);
    /* no breakpoint beside the descriptor table (XSA-444) */
    xlat = (*(u64 *)(out + 2) & ~((1UL << 39) - 1)) + (1UL << 31);
    check_eq(hc2(__HYPERVISOR_set_debugreg, 0, xlat), -EPERM);
}

static volatile u32 debugs;

static bool on_debug(struct kit_regs *r)
{
    if (r->vector == 1 || r->vector == 3) {
        debugs += r->vector == 1;
        r->rflags &= ~0x100UL;
        return true;
    }
    return false;
}

/* DR7 is in force at once; breakpoints behind MOV SS (XSA-260), with a sticky bit in DR6 (XSA-265).
 */
static void test_debug(void)
{
    volatile u32 word;
    struct kit_regs r;

    kit_trap_hook = on_debug;
    write_dr(0, U64(&word));
    for (u32 i = 0; i < 10; i++) {
        debugs = 0;
        __asm__ volatile("mov %1, %%dr7; movl $0, %0; nop" : "=m"(word) : "r"(0xf0202UL));
        write_dr(7, 0);
        check_eq(debugs, 1);
    }
    write_dr(6, 0x2000);
    write_dr(0, U64(&ss_word));
    write_dr(7, 0xf0303);
    debugs = 0;
    __asm__ volatile("mov %0, %%ss; int3" ::"m"(ss_word) : "memory");
    __asm__ volatile("mov %0, %%ss; nop" ::"m"(ss_word) : "memory");
    check(debugs > 0);
    kit_trap_hook = NULL;
    r = user_regs(user_ss_syscall);
    kit_user(&r);
    check(r.vector == KIT_VEC_SYSCALL || r.vector == 1);
#ifdef KIT_LOW
    r = user_regs(user_ss_compat);
    r.cs = 0xe023;
    r.rcx = U64(&ss_word);
    kit_user(&r);
    check(r.vector == KIT_VEC_SYSCALL32 || r.vector == 6 || r.vector == 1);
    write_dr(7, 0);
    r = user_regs(user_ss_compat);
    r.cs = 0xe023;
    r.rcx = U64(&ss_word);
    kit_user(&r);
    check(r.vector == KIT_VEC_SYSCALL32 || r.vector == 6);
#endif
    write_dr(7, 0);
    write_dr(0, 0);
}

/* INT 0x80 that has no handler (XSA-259); SYSENTER with NT set (XSA-44, XSA-339). */
static void test_entries_of_user(void)
{
    struct callback_register cb = { .type = CALLBACKTYPE_sysenter, .flags = CALLBACKF_mask_events };
    extern char kit_stub_sysenter[];
    struct kit_regs r = user_regs(user_sysenter);

    check_eq(hc1(__HYPERVISOR_set_trap_table, 0), 0);
    kit_traps_init();
    struct trap_info none[2] = {
        { .vector = 13, .flags = 4, .cs = USER_CS, .address = U64(kit_stubs + 16 * 13) }
    };

    check_eq(hc1(__HYPERVISOR_set_trap_table, 0), 0);
    check_eq(hc1(__HYPERVISOR_set_trap_table, U64(none)), 0);
    check_fault(do_int80, 0, 13, 0x80 << 3 | 2);
    kit_traps_init();
    cb.address = U64(kit_stub_sysenter);
    check_eq(hc2(__HYPERVISOR_callback_op, CALLBACKOP_register, U64(&cb)), 0);
    kit_user(&r);
    check(r.vector == 6 || r.vector == 13 || r.vector == KIT_VEC_SYSENTER);
    /* a far call through an LDT that is not there, read from where address 0 would have it
     * (XSA-298) */
    for (u32 i = 0; i < ARRAY(far_pointer); i++) {
        far_pointer[i] = 0x1007;
    }
    r = user_regs(user_far_call);
    kit_user(&r);
    check_eq(r.vector, 13);
    check(r.error == 0x1004 || r.error == 0);
}

static void test_registers(void)
{
    static const u32 ranges[][2] = { { 0, 0x2000 },
                                     { 0x40000000, 0x40000100 },
                                     { 0xc0000000, 0xc0002000 } };
    struct kit_regs r = user_regs(user_stack_load);
    u32 read = 0, odd = 0;

    for (u32 i = 0; i < ARRAY(ranges); i++) {
        for (u32 msr = ranges[i][0]; msr < ranges[i][1]; msr++) {
            if (kit_try(do_rdmsr, msr) == 0) {
                read++;
            } else {
                odd += fault.vector != 13 || fault.error != 0;
            }
        }
    }
    print("%u MSRs can be read\r\n", read);
    check_eq(odd, 0);
    for (u32 msr = 0xc0000100; msr <= 0xc0000102; msr++) {
        check_fault(do_wrmsr_odd, msr, 13, 0); /* XSA-193 */
    }
    r.rsp = 0x8000000040000000UL;
    kit_user(&r);
    check(r.vector == 12 || r.vector == 13); /* a stack fault; QEMU 7.2 knows none */
    check_eq(r.error, 0);
    check_fault(do_load, 0x8000000040000000UL, 13, 0);
    check(kit_try(do_xbegin, 0) == 0 || fault.vector == 6);
}

/* ---- calls ---- */

/* Nothing behind a text's end (XSA-122). */
static void test_texts(void)
{
    static const struct {
        u32 cmd;
        u16 sizes[4];
    } calls[] = {
        { XENVER_extraversion, { 16 } },
        { XENVER_compile_info, { 64, 16, 32, 32 } },
        { XENVER_changeset, { 64 } },
    };
    static u8 buf[256];

    for (u32 i = 0; i < ARRAY(calls); i++) {
        u8 *p = buf;

        memset(buf, 0, sizeof(buf));
        check_eq(hc2(__HYPERVISOR_xen_version, calls[i].cmd, U64(buf)), 0);
        for (u32 k = 0; k < 4; p += calls[i].sizes[k++]) {
            for (size_t n = calls[i].sizes[k] ? strlen((char *)p) : 0; n < calls[i].sizes[k]; n++) {
                check_eq(p[n], 0);
            }
        }
    }
}

/* Super pages (XSA-167), FIFO events with a bad frame (XSA-188), addresses nobody has (XSA-279),
 * nodes (XSA-231), caches of frames that are no domain's (XSA-232), every port polled (XSA-221). */
static void test_refusals(void)
{
    struct evtchn_init_control ic = { .control_gfn = (u64)-2 };
    struct evtchn_expand_array ea = { .array_gfn = mfn_of(user_stack) };
    struct xen_memory_reservation res = { .nr_extents = 1, .domid = DOMID_SELF };
    struct gnttab_cache_flush flush = { .length = PAGE, .op = 3 };
    evtchn_port_t port;
    struct sched_poll poll = { .nr_ports = 1, .timeout = 1, .ports = gptr(&port) };
    long rc = mmuext1(MMUEXT_MARK_SUPER, ~0UL << 21);
    u32 first_bad = 0;

    check(rc == -EINVAL || rc == -ENOSYS || rc == -EOPNOTSUPP);
    check_eq(event_op(EVTCHNOP_init_control, &ic), -EINVAL);
    rc = event_op(EVTCHNOP_expand_array, &ea);
    check(rc == -ENOSYS || rc == -EOPNOTSUPP);
    check(update_va((void *)(1UL << 63), 0, UVMF_INVLPG | UVMF_ALL) < 0);
    for (; res.mem_flags < 0x10000; res.mem_flags += 0x100) {
        rc = memory_op(XENMEM_increase_reservation, &res);
        check(rc == 0 || rc == 1);
    }
    for (u64 at = 0; at < 1UL << 20; at += PAGE) {
        *(u64 *)&flush = at;
        grant_op(GNTTABOP_cache_flush, &flush, 1);
    }
    for (port = 32; port <= 4096; port++) {
        rc = sched_op(SCHEDOP_poll, &poll);
        check(rc == 0 || rc == -EINVAL);
        first_bad = rc && !first_bad ? port : first_bad;
    }
    print("poll: first port refused %u\r\n", first_bad);
}

/* Progress told that leads past the checked part of a list (XSA-212). */
static void test_exchange(void)
{
    xen_pfn_t in = mfn_of(user_stack);
    u64 base = 0xffff83000009f000UL;
    struct xen_memory_exchange x = {
        .in = { .extent_start = gptr((void *)(U64(&in) - base)),
                .nr_extents = base / 8 + 1,
                .domid = DOMID_SELF },
        .out = { .nr_extents = base / 8 + 1, .mem_flags = 32, .domid = DOMID_SELF },
        .nr_exchanged = base / 8,
    };

    check(memory_op(XENMEM_exchange, &x) < 0);
    check_fault(do_div, 0, 0, 0);
}

/* A multicall ends where it leaves the kernel (XSA-213). */
static void test_multicall_iret(void)
{
    static struct multicall_entry mc[2] = { { .op = __HYPERVISOR_iret },
                                            { .op = __HYPERVISOR_xen_version } };
    u64 sp;

    set_gate(0x31, 3, multi_entry);
    /* the stack that the gate is taken on must not be the one that we come back to */
    __asm__ volatile("mov %%rsp, %0" : "=r"(sp));
    hc2(__HYPERVISOR_stack_switch, USER_DS, (sp - 2048) & ~15UL);
    check_eq(multi_iret(mc, ARRAY(mc)), 0xdead);
    check_eq(mc[1].result, 0);
    hc2(__HYPERVISOR_stack_switch, USER_DS, U64(this_cpu()) + KIT_STACK_SIZE);
    events_unmask();
}

/* A multicall that changes a table between two entries that lead through it (XSA-286). */
static void test_stale_tables(void)
{
    u64 *l1[2], *l2[2], *l3 = (u64 *)(U64(pte_ptr((void *)KIT_BASE, 3)) & ~(PAGE - 1));
    u64 va = (KIT_BASE & ~((1UL << 39) - 1)) + (1UL << 30);
    u64 page = mfn_of(user_stack) * PAGE | PTE_RW;

    for (u32 i = 0; i < 2; i++) {
        l1[i] = page_alloc();
        l2[i] = page_alloc();
        l2[i][0] = mfn_of(l1[i]) * PAGE | PTE_RW;
        check_eq(update_va(l1[i], mfn_of(l1[i]) * PAGE | PTE_RO, 0), 0);
        check_eq(update_va(l2[i], mfn_of(l2[i]) * PAGE | PTE_RO, 0), 0);
        check_eq(mmuext1(MMUEXT_PIN_L2_TABLE, mfn_of(l2[i])), 0);
    }
    for (u32 i = 0; i < 15; i++) {
        struct mmu_update u = { .ptr = mfn_of(l3) * PAGE + 8,
                                .val = mfn_of(l2[1]) * PAGE | PTE_RW };
        struct multicall_entry mc[3] = {
            { .op = __HYPERVISOR_update_va_mapping, .args = { va, 0, UVMF_INVLPG } },
            { .op = __HYPERVISOR_mmu_update, .args = { U64(&u), 1, 0, DOMID_SELF } },
            { .op = __HYPERVISOR_update_va_mapping, .args = { va, page, UVMF_INVLPG } },
        };

        check_eq(mmu_update1(u.ptr, mfn_of(l2[0]) * PAGE | PTE_RW), 0);
        check_eq(mmu_update1(mfn_of(l1[0]) * PAGE, 0), 0);
        check_eq(mmu_update1(mfn_of(l1[1]) * PAGE, 0), 0);
        check_eq(hc2(__HYPERVISOR_multicall, U64(mc), 3), 0);
        check_eq(mc[0].result | mc[1].result | mc[2].result, 0);
        check_eq(l1[0][0], 0);
        check_eq(l1[1][0] & PTE_ADDR, page & PTE_ADDR);
    }
    check_eq(mmu_update1(mfn_of(l3) * PAGE + 8, 0), 0);
    for (u32 i = 0; i < 2; i++) {
        check_eq(mmuext1(MMUEXT_UNPIN_TABLE, mfn_of(l2[i])), 0);
        page_restore(l2[i]);
        page_restore(l1[i]);
    }
}

/* A top-level table that refers to itself must not become writable (XSA-182). */
static void test_recursive(void)
{
    u64 *l4 = (u64 *)si->pt_base;
    u64 at = mfn_of(l4) * PAGE + 300 * 8, val = mfn_of(l4) * PAGE | PTE_RO | PTE_U;
    long rc = mmu_update1(at, val);

    print("recursive table: %ld\r\n", rc);
    check(rc == 0 || rc == -EINVAL);
    check(mmu_update1(at, val | PTE_W) < 0);
    check_eq(mmu_update1(at, 0), 0);
}

/* A vcpu whose tables must be checked first, with an event waiting (XSA-296). */
static void test_vcpu_initialise(void)
{
    static struct vcpu_guest_context ctx = { .flags = VGCF_in_kernel };
    u64 *l3 = page_alloc(), *l4 = page_alloc();

    l4[3] = mfn_of(l3) * PAGE | PTE_P;
    page_protect(l3, false);
    page_protect(l4, false);
    ctx.ctrlreg[3] = mfn_of(l4) * PAGE;
    vcpu_info()->evtchn_upcall_pending = 1;
    check_eq(vcpu_op(VCPUOP_initialise, 1, &ctx), 0);
    check_eq(vcpu_op(VCPUOP_initialise, 1, &ctx), -EEXIST);
}

/* ---- grants of one's own frames to oneself ---- */

static void grant(u32 ref, const void *page)
{
    entries[ref].domid = me;
    entries[ref].frame = (u32)mfn_of(page);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    entries[ref].flags = GTF_permit_access;
}

static s16 map(u32 ref, u64 addr, u32 flags, domid_t dom, grant_handle_t *handle)
{
    struct gnttab_map_grant_ref m = {
        .host_addr = addr, .flags = flags, .ref = ref, .dom = dom, .dev_bus_addr = addr
    };

    check_eq(grant_op(GNTTABOP_map_grant_ref, &m, 1), 0);
    *handle = m.handle;
    return m.status;
}

static s16 unmap(u64 addr, u64 bus, grant_handle_t handle)
{
    struct gnttab_unmap_grant_ref u = { .host_addr = addr, .dev_bus_addr = bus, .handle = handle };

    check_eq(grant_op(GNTTABOP_unmap_grant_ref, &u, 1), 0);
    return u.status;
}

static void test_grant_table(void)
{
    struct evtchn_alloc_unbound a = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
    struct evtchn_status s = { .dom = DOMID_SELF };
    struct gnttab_set_version v = { .version = 1 };
    xen_pfn_t frames[1] = { 0 };
    struct gnttab_setup_table t = { .dom = DOMID_SELF, .nr_frames = 1, .frame_list = gptr(frames) };
    grant_handle_t h;

    check_eq(event_op(EVTCHNOP_alloc_unbound, &a), 0);
    s.port = a.port;
    check_eq(event_op(EVTCHNOP_status, &s), 0);
    me = s.u.unbound.dom;
    event_close(a.port);
    /* an entry of a table that was never asked for, which is there on Xen (XSA-316); a guest's
     * builder has asked for it */
    check_eq(map(REF, U64(user_stack), GNTMAP_host_map, me, &h),
             is_dom0 ? xen_or_joist(GNTST_general_error, GNTST_bad_gntref) : GNTST_general_error);
    check_eq(grant_op(GNTTABOP_set_version, &v, 1), 0);
    check_eq(grant_op(GNTTABOP_setup_table, &t, 1), 0);
    check_eq(t.status, GNTST_okay);
    page_remap(grant_page, frames[0] * PAGE | PTE_RW);
    check_eq(map(REF, U64(user_stack), GNTMAP_host_map, me, &h), GNTST_general_error);
    v.version = 2;
    long rc = grant_op(GNTTABOP_set_version, &v, 1);

    print("grant tables of version 2: %ld\r\n", rc);
    check(rc == 0 || rc == -ENOSYS);
    v.version = 1;
    check_eq(grant_op(GNTTABOP_set_version, &v, 1), 0);
}

/* Mapped for the kernel and for a device, unmapped one by one (XSA-224). */
static void test_grant_halves(void)
{
    u8 *page = page_alloc(), *at = page_alloc();
    grant_handle_t h;

    grant(REF, page);
    check_eq(map(REF, U64(at), GNTMAP_host_map | GNTMAP_device_map, me, &h), GNTST_okay);
    check_eq(unmap(U64(at), 0, h), GNTST_okay);
    check_eq(unmap(0, mfn_of(page) * PAGE, h), GNTST_okay);
    check_eq(mmuext1(MMUEXT_PIN_L1_TABLE, mfn_of(page)), -EINVAL);
    page_restore(at);
}

/* An entry named at an odd address (XSA-227). */
static void test_grant_crooked(void)
{
    u8 *page = page_alloc(), *at = page_alloc();
    grant_handle_t h;

    grant(REF, page);
    page_remap(at + PAGE, 0);
    check(map(REF, pte_maddr(at + PAGE, 1) - 2, GNTMAP_host_map | GNTMAP_contains_pte, me, &h) < 0);
    check_eq(kit_try(do_load, U64(at)), 0);
    page_restore(at + PAGE);
}

/* A writable mapping's entry taken by unmap_and_replace; its own unmap then finds another
 * (XSA-234). */
static void test_grant_shuffled(void)
{
    u8 *page1 = page_alloc(), *page2 = page_alloc(), *at1 = page_alloc(), *at2 = page_alloc();
    struct gnttab_unmap_and_replace ur = { .host_addr = U64(at2), .new_addr = U64(at1) };
    grant_handle_t h1, h2;

    page_protect(page1, false);
    grant(REF, page1);
    grant(REF + 1, page2);
    check_eq(map(REF, U64(at1), GNTMAP_host_map, me, &h1), GNTST_okay);
    check_eq(map(REF + 1, U64(at2), GNTMAP_host_map | GNTMAP_readonly, me, &h2), GNTST_okay);
    ur.handle = h2;
    check_eq(grant_op(GNTTABOP_unmap_and_replace, &ur, 1), 0);
    check_eq(ur.status, GNTST_okay);
    page_remap(at1, mfn_of(page1) * PAGE | PTE_RO);
    /* Joist counts by what stands in the entry that it clears, Xen wants it to be what it has set
     */
    check_eq(unmap(U64(at1), 0, h1), xen_or_joist(GNTST_general_error, GNTST_okay));
    check_eq(mmuext1(MMUEXT_PIN_L1_TABLE, mfn_of(page1)), -EINVAL);
}

/* More ports than there can be (XSA-317). Last, for they are all taken then. */
static void test_ports(void)
{
    struct evtchn_alloc_unbound a = { .dom = DOMID_SELF };
    long rc = 0;
    u32 n = 0;

    for (; n < 4100 && rc == 0; n++) {
        rc = event_op(EVTCHNOP_alloc_unbound, &a);
    }
    print("%u ports\r\n", n);
    check(rc == -ENOSPC || (rc == 0 && !on_joist));
}

void test_main(void)
{
    check_eq(mmuext1(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)si->pt_base)), 0);
    test_entries();
    test_gdt();
    test_null();
    test_entries_of_user();
    test_iopl_call();
    test_iopl_flags();
    test_fsgsbase();
    test_clock();
    test_table_registers();
    test_debug();
    test_registers();
    test_texts();
    test_exchange();
    test_multicall_iret();
    test_stale_tables();
    test_recursive();
    test_vcpu_initialise();
    test_grant_table();
    test_grant_halves();
    test_grant_crooked();
    test_grant_shuffled();
    test_refusals();
    test_ports();
}
