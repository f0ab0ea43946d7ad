/* SPDX-License-Identifier: MIT */
/* Attack: arguments that another vCPU changes while the hypervisor reads them, and page tables that
 * it changes while they are pinned. Whatever a call answers, no forbidden mapping may come of it.
 */
#include "kit/kit.h"

const char kit_name[] = "races";

#define SEC   1000000000UL
#define PHASE (SEC / 4)

/* What the other vCPUs do: store one value, then the other, for as long as there is something to
 * store to. */
static volatile u64 *volatile flip_at;
static volatile u64 flip_to[2];
static void (*volatile flip_call)(void);
static volatile u32 quit, busy;
static volatile u64 flips;

static u64 *l1, *l2, *l3, *data, *other, *given, *gdt;
static u8 *arg;

static void flipper(void)
{
    while (!quit) {
        __atomic_fetch_add(&busy, 1, __ATOMIC_SEQ_CST);
        volatile u64 *at = flip_at;
        void (*call)(void) = flip_call;

        if (at) {
            for (u32 i = 0; i < 64; i++) {
                *at = flip_to[0];
                *at = flip_to[1];
            }
            flips += 128;
        } else if (call) {
            call();
            flips++;
        }
        __atomic_fetch_sub(&busy, 1, __ATOMIC_SEQ_CST);
        __asm__ volatile("pause");
    }
}

/* No other vCPU is at what it was given any more, however late it runs. */
static void halt(void)
{
    flip_at = NULL;
    flip_call = NULL;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    check(wait_until(&busy, 0, 60 * SEC));
}

static u64 rw(const void *va)
{
    return mfn_of(va) * PAGE | PTE_RW;
}

static u64 entry_of(const u64 *table, u32 i)
{
    return mfn_of(table) * PAGE + i * 8;
}

static bool is_table(u64 mfn)
{
    return mfn == mfn_of(l1) || mfn == mfn_of(l2) || mfn == mfn_of(l3) ||
           mfn == mfn_of((void *)si->pt_base) || mfn == mfn_of(gdt);
}

/* The tree of our own: nothing in it writes to a table, and every table is where it should be. */
static void sound(const char *what)
{
    for (u32 i = 0; i < 512; i++) {
        u64 e = ((volatile u64 *)l1)[i];

        check_at((e & (PTE_P | PTE_W)) != (PTE_P | PTE_W) || !is_table((e & PTE_ADDR) / PAGE),
                 __FILE__, __LINE__, "%s: entry %u is 0x%lx: a table, writable", what, i, e);
        e = ((volatile u64 *)l2)[i];
        check_at((e & PTE_P) == 0 || (e & PTE_ADDR) == mfn_of(l1) * PAGE, __FILE__, __LINE__,
                 "%s: level 2, entry %u is 0x%lx", what, i, e);
    }
    u64 now_data = *pte_ptr(data, 1), now_other = *pte_ptr(other, 1);

    check_at((now_other & PTE_W) == 0 || !is_table((now_other & PTE_ADDR) / PAGE), __FILE__,
             __LINE__, "%s: a table is mapped by 0x%lx", what, now_other);

    check_at((now_data & PTE_ADDR) == mfn_of(data) * PAGE, __FILE__, __LINE__,
             "%s: the page itself is mapped by 0x%lx", what, now_data);
}

/* Calls one() for a while, with *at changing between two values. */
static void race(const char *what, void (*one)(void), void *at, u64 a, u64 b)
{
    u64 end = now() + PHASE, n = 0, before = flips;

    flip_to[0] = a;
    flip_to[1] = b;
    flip_at = at;
    while (now() < end || ((flips == before || n <= 10) && now() < end + 60 * SEC)) {
        one();
        n++;
    }
    halt();
    *(volatile u64 *)at = a;
    print("%s: %lu calls, %lu changes\r\n", what, n, flips - before);
    check(n > 10 && flips > before);
    sound(what);
}

/* ---- batches ---- */
static void updates(void)
{
    hc4(__HYPERVISOR_mmu_update, U64(arg), 3, U64(arg + 2048), DOMID_SELF);
}

static void exts(void)
{
    hc4(__HYPERVISOR_mmuext_op, U64(arg), 1, U64(arg + 2048), DOMID_SELF);
}

static void at_updates(void)
{
    struct mmu_update *u = (struct mmu_update *)arg;

    for (u32 i = 0; i < 3; i++) {
        u[i] = (struct mmu_update){ .ptr = entry_of(l1, 40 + i), .val = rw(other) };
    }
    race("mmu_update, value", updates, &u[1].val, rw(other), rw(l1));
    u[1].val = rw(other);
    race("mmu_update, entry", updates, &u[1].ptr, entry_of(l1, 41), entry_of(l2, 41));
    mmu_update1(entry_of(l2, 41), 0);
    u[1].val = mfn_of(other) * PAGE | PTE_RO;
    race("mmu_update, kind", updates, &u[1].ptr, entry_of(l1, 41),
         mfn_of(l1) * PAGE | MMU_MACHPHYS_UPDATE);
    /* the count of those done lands on the list itself */
    race("mmu_update, count on the list", updates, arg + 2048, 0, ~0UL);
    for (u32 i = 0; i < 3; i++) {
        check_eq(mmu_update1(entry_of(l1, 40 + i), 0), 0);
    }
}

static void at_exts(void)
{
    struct mmuext_op *op = (struct mmuext_op *)arg;

    memset(arg, 0, PAGE);
    op->cmd = MMUEXT_CLEAR_PAGE;
    op->arg1.mfn = mfn_of(other);
    race("mmuext, frame", exts, &op->arg1.mfn, mfn_of(other), mfn_of(l1));
    op->cmd = MMUEXT_COPY_PAGE;
    op->arg2.src_mfn = mfn_of(data);
    race("mmuext, source", exts, &op->arg2.src_mfn, mfn_of(data), 0x7fffffffff);
    op->arg1.mfn = mfn_of(other);
    race("mmuext, command", exts, &op->cmd, MMUEXT_CLEAR_PAGE, MMUEXT_PIN_L4_TABLE);
    op->cmd = MMUEXT_NEW_BASEPTR;
    op->arg1.mfn = mfn_of((void *)si->pt_base);
    race("mmuext, base", exts, &op->arg1.mfn, mfn_of((void *)si->pt_base), mfn_of(l3));
    op->cmd = MMUEXT_SET_LDT;
    op->arg2.nr_ents = 0;
    op->arg1.linear_addr = U64(gdt);
    race("mmuext, LDT", exts, &op->arg2.nr_ents, 0, 0xffffffff);
    op->cmd = MMUEXT_SET_LDT;
    op->arg2.nr_ents = 0;
    exts();
}

/* ---- calls of calls ---- */
static void multi(void)
{
    hc2(__HYPERVISOR_multicall, U64(arg), 4);
}

static void at_multicalls(void)
{
    struct multicall_entry *e = (struct multicall_entry *)arg;

    for (u32 i = 0; i < 4; i++) {
        e[i] = (struct multicall_entry){ .op = __HYPERVISOR_update_va_mapping,
                                         .args = { U64(other), rw(other), UVMF_INVLPG } };
    }
    race("multicall, number", multi, &e[2].op, __HYPERVISOR_update_va_mapping, ~0UL << 3);
    e[2].op = __HYPERVISOR_update_va_mapping;
    race("multicall, value", multi, &e[2].args[1], rw(other), rw(l2));
    race("multicall, address", multi, &e[2].args[0], U64(other), 0xffff87ff80000000UL);
    page_restore(other);
}

/* ---- grants ---- */
static struct gnttab_copy *copy;

static void copies(void)
{
    copy->status = 0;
    grant_op(GNTTABOP_copy, copy, 1);
}

static void at_copies(void)
{
    static u64 kept[512];

    memset(arg, 0, PAGE);
    copy = (struct gnttab_copy *)(arg + 64);
    copy->source.u.gmfn = mfn_of(data);
    copy->source.domid = DOMID_SELF;
    copy->dest.u.gmfn = mfn_of(other);
    copy->dest.domid = DOMID_SELF;
    copy->len = 64;
    memcpy(kept, l1, PAGE);
    race("copy, frame", copies, &copy->dest.u.gmfn, mfn_of(other), mfn_of(l1));
    race("copy, source", copies, &copy->source.u.gmfn, mfn_of(data), 0x8000000000000UL);
    u64 *where = (u64 *)copy + 3, *length = (u64 *)copy + 4;

    race("copy, offset", copies, where, *where, *where | 0x0ff8UL << 16);
    race("copy, length", copies, length, *length, *length | 0xffff);
    check_eq(memcmp(kept, l1, PAGE), 0);
}

/* ---- single structures ---- */
static void traps(void)
{
    hc1(__HYPERVISOR_set_trap_table, U64(arg));
}

static void gdts(void)
{
    hc2(__HYPERVISOR_set_gdt, U64(arg), 512);
}

static void reserve(void)
{
    struct xen_memory_reservation *r = (void *)arg;

    memory_op(XENMEM_decrease_reservation, r);
    memory_op(XENMEM_increase_reservation, r);
}

static void poll(void)
{
    sched_op(SCHEDOP_poll, arg);
}

static void write_console(void)
{
    hc3(__HYPERVISOR_console_io, CONSOLEIO_write, 8, U64(arg));
}

static void bind(void)
{
    struct evtchn_status *s = (void *)(arg + 32);

    event_op(EVTCHNOP_status, s);
    event_op(EVTCHNOP_unmask, arg);
    event_op(EVTCHNOP_send, arg);
}

static void at_structures(void)
{
    struct trap_info *t = (struct trap_info *)arg;
    struct xen_memory_reservation *r = (void *)arg;
    u64 *list = (u64 *)(arg + 1024);

    memset(arg, 0, PAGE);
    t[0] = (struct trap_info){ .vector = 40, .cs = KERNEL_CS, .address = U64(kit_stubs) };
    t[1] = t[0];
    race("trap table, address", traps, &t[1].address, U64(kit_stubs), 0x0000900000000000UL);
    race("trap table, selector", traps, t, *(u64 *)t, *(u64 *)t ^ 0xffff0000UL);
    kit_traps_init();
    memset(arg, 0, PAGE);
    list[0] = mfn_of(gdt);
    *(u64 *)arg = mfn_of(gdt);
    race("descriptor table, frame", gdts, arg, mfn_of(gdt), mfn_of(data));
    check_eq(hc2(__HYPERVISOR_set_gdt, U64(arg), 512), 0);
    check(update_va(gdt, rw(gdt), UVMF_INVLPG) < 0);
    memset(arg, 0, 1024);
    list[0] = mfn_of(given);
    r->extent_start = gptr(list);
    r->nr_extents = 0;
    r->domid = DOMID_SELF;
    race("reservation, count", reserve, &r->nr_extents, 0, 1UL << 40);
    r->nr_extents = 1;
    race("reservation, frame", reserve, list, mfn_of(given), mfn_of((void *)si->pt_base));
    race("reservation, list", reserve, &r->extent_start, U64(list), 0xffff82d080000000UL);
    r->extent_start = gptr(list);
    race("reservation, order and flags", reserve, &r->extent_order, 0, ~0UL);
    memset(arg, 0, PAGE);
    struct sched_poll *p = (void *)arg;
    p->ports = gptr(arg + 512);
    p->timeout = 1;
    p->nr_ports = 1;
    race("poll, count", poll, &p->nr_ports, 1, 0xffffffff);
    p->nr_ports = 1;
    race("poll, port", poll, arg + 512, 1, 0xffffffff);
    memset(arg, 0, PAGE);
    race("ports", bind, arg, 1, 0xfffff000);
    race("console text", write_console, arg, 0x4141414141414141UL, 0);
}

/* ---- the frame of a return ---- */
void attack_return(u64 *frame, u64 *save);
extern char attack_landing[];
__asm__(".pushsection .text\n"
        ".globl attack_return, attack_landing\n"
        "attack_return:\n"
        "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "mov %rsp, (%rsi)\n"
        "mov %rdi, %rsp\n"
        "mov $23, %eax\n"
        "syscall\n"
        "ud2\n"
        "attack_landing:\n"
        "syscall\n"
        "ud2\n"
        ".popsection");

static u8 user_stack[PAGE] __attribute__((aligned(4096)));
static u64 *frame;

/* rax r11 rcx flags rip cs rflags rsp ss, as struct iret_context has them */
static void fill_frame(void)
{
    u64 f[9] = { 0, 0, 0, 0, U64(attack_landing), USER_CS, 0x202, U64(user_stack) + PAGE, USER_DS };

    for (u32 i = 0; i < 9; i++) {
        frame[i] = f[i];
    }
}

static void return_once(void)
{
    struct kit_cpu *cpu = this_cpu();
    struct kit_regs r = { .vector = ~0UL };
    u64 top;

    __asm__ volatile("mov %%rsp, %0" : "=r"(top));
    hc2(__HYPERVISOR_stack_switch, USER_DS, (top - 2048) & ~15UL);
    cpu->user = &r;
    attack_return(frame, &cpu->user_rsp);
    hc2(__HYPERVISOR_stack_switch, USER_DS, U64(cpu) + KIT_STACK_SIZE);
    check((r.cs & 3) == 3);
    check((r.rflags & 0x3000) == 0);
}

static void at_returns(void)
{
    frame = (u64 *)(arg + 1024);
    memset(arg, 0, PAGE);
    check_eq(mmuext1(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)si->pt_base)), 0);
    fill_frame();
    race("return, cs", return_once, &frame[5], USER_CS, 0xe00b);
    fill_frame();
    race("return, rip", return_once, &frame[4], U64(attack_landing), 0x0000800000000000UL);
    fill_frame();
    race("return, rflags", return_once, &frame[6], 0x202, 0x27302);
    fill_frame();
    race("return, ss", return_once, &frame[8], USER_DS, 0xe013);
    fill_frame();
    race("return, rsp", return_once, &frame[7], U64(user_stack) + PAGE, 0xffff87ff80000000UL);
    fill_frame();
}

/* ---- tables that change while they are pinned ---- */
static u64 *young; /* becomes a table and stops being one */
static u8 *alias;  /* another way to it, and to other pages */
static volatile u32 is_pinned;
static volatile u32 pins, stores, refused;

/* The other vCPU: makes its way writable, stores what must never be an entry, takes it away. */
static void poke(void)
{
    if (update_va(alias, rw(young), UVMF_INVLPG) == 0) {
        if (is_pinned) {
            check_at(false, __FILE__, __LINE__, "a pinned table could be mapped writable");
        }
        ((volatile u64 *)alias)[stores % 512] = rw(l1);
        ((volatile u64 *)alias)[stores % 512] = 0;
        stores++;
        update_va(alias, rw(alias), UVMF_INVLPG);
    } else {
        refused++;
    }
}

static void poke_entries(void)
{
    static u32 n;

    mmu_update1(entry_of(young, n % 512), n & 1 ? rw(l1) : rw(data));
    mmu_update1(entry_of(young, n % 512), 0);
    n++;
}

static void store_entry(u64 at)
{
    *(volatile u64 *)at = rw(data);
    *(volatile u64 *)at = rw(l1);
}

static void poke_stores(void)
{
    kit_try(store_entry, U64(young) + stores % 512 * 8);
    stores++;
}

static void pin_for(const char *what, void (*by)(void))
{
    u64 end = now() + 3 * PHASE;

    pins = stores = refused = 0;
    flip_call = by;
    while (now() < end || (pins < 3 && now() < end + 60 * SEC)) {
        if (mmuext1(MMUEXT_PIN_L1_TABLE, mfn_of(young)) != 0) {
            continue;
        }
        is_pinned = 1;
        for (u32 i = 0; i < 512; i++) {
            u64 e = ((volatile u64 *)young)[i];

            check_at((e & (PTE_P | PTE_W)) != (PTE_P | PTE_W) || !is_table((e & PTE_ADDR) / PAGE),
                     __FILE__, __LINE__, "%s: a pinned table's entry %u is 0x%lx", what, i, e);
        }
        pins++;
        is_pinned = 0;
        mmuext1(MMUEXT_UNPIN_TABLE, mfn_of(young));
        sched_op(SCHEDOP_yield, NULL);
    }
    halt();
    print("%s: %u pins, %u stores, %u refused\r\n", what, pins, stores, refused);
    check(pins > 0);
    sound(what);
}

static void at_pins(void)
{
    young = page_alloc();
    alias = page_alloc();
    page_protect(young, false);
    pin_for("mapped writable while pinned", poke);
    page_remap(alias, rw(alias));
    pin_for("updated while pinned", poke_entries);
    page_protect(young, true);
    memset(young, 0, PAGE);
    page_protect(young, false);
    hc2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables);
    pin_for("stored to while pinned", poke_stores);
}

/* ---- an LDT whose pages are looked for at returns, while tables are waited for ---- */
static u64 *ldt;

/* The other vCPU: each pin and each way to write waits until this one's translations are gone. */
static void retype(void)
{
    update_va(young, rw(young), UVMF_NONE);
    update_va(young, mfn_of(young) * PAGE | PTE_RO, UVMF_NONE);
    if (mmuext1(MMUEXT_PIN_L1_TABLE, mfn_of(young)) == 0) {
        stores++;
        mmuext1(MMUEXT_UNPIN_TABLE, mfn_of(young));
    }
}

static void at_ldt(void)
{
    struct mmuext_op op = { .cmd = MMUEXT_SET_LDT, .arg1.linear_addr = U64(ldt) };
    u64 end = now() + 3 * PHASE, n = 0;

    ldt[1] = 0x00cff3000000ffffUL; /* data, ring 3, accessed */
    page_protect(ldt, false);
    memset(young, 0, PAGE);
    stores = 0;
    flip_call = retype;
    while (now() < end || ((n < 10 || stores < 10) && now() < end + 60 * SEC)) {
        struct kit_regs r = { .rip = U64(attack_landing),
                              .cs = USER_CS,
                              .ss = 0xf,
                              .rsp = U64(user_stack) + PAGE,
                              .rflags = 0x202 };

        op.arg2.nr_ents = 512;
        check_eq(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF), 0);
        kit_user(&r);
        check_eq(r.vector, KIT_VEC_SYSCALL);
        n++;
    }
    halt();
    op.arg2.nr_ents = 0;
    check_eq(hc4(__HYPERVISOR_mmuext_op, U64(&op), 1, 0, DOMID_SELF), 0);
    print("LDT: %lu returns, %u pins\r\n", n, stores);
    check(n >= 10 && stores >= 10);
}

/* ---- frames that the hypervisor takes for itself and gives back, named meanwhile ---- */
static struct mmu_update named[8];
static struct multicall_entry naming[32];

static void name_frames(void)
{
    hc2(__HYPERVISOR_multicall, U64(naming), ARRAY(naming));
}

static void at_own_frames(void)
{
    struct xen_memory_exchange none = { .in.domid = DOMID_SELF, .out.domid = DOMID_SELF };
    struct xen_memory_map map = { .nr_entries = 0 };
    u64 end = now() + 3 * PHASE, n = 0, before = flips;

    /* Given up while their neighbours are kept: what is given up last is taken first. */
    for (u32 i = 0; i < 2 * ARRAY(named); i++) {
        u8 *page = page_alloc();
        u64 mfn = mfn_of(page);
        struct xen_memory_reservation r = { .extent_start = gptr(&mfn),
                                            .nr_extents = 1,
                                            .domid = DOMID_SELF };

        if (i % 2 == 0) {
            named[i / 2].ptr = mfn * PAGE | MMU_MACHPHYS_UPDATE;
            check_eq(update_va(page, 0, UVMF_INVLPG), 0);
            check_eq(memory_op(XENMEM_decrease_reservation, &r), 1);
        }
    }
    for (u32 i = 0; i < ARRAY(naming); i++) {
        naming[i] =
            (struct multicall_entry){ .op = __HYPERVISOR_mmu_update,
                                      .args = { U64(&named[i % ARRAY(named)]), 1, 0, DOMID_SELF } };
    }
    flip_call = name_frames;
    while (now() < end || ((flips == before || n <= 10) && now() < end + 60 * SEC)) {
        memory_op(XENMEM_exchange, &none);
        memory_op(XENMEM_memory_map, &map);
        n++;
    }
    halt();
    print("own frames: %lu calls, %lu changes\r\n", n, flips - before);
    check(n > 10 && flips > before);
    for (u32 i = 0; i < ARRAY(naming); i++) {
        check_at((long)naming[i].result < 0, __FILE__, __LINE__, "a frame of others was named");
    }
}

static void build(void)
{
    u64 mfn;

    l1 = page_alloc();
    l2 = page_alloc();
    l3 = page_alloc();
    data = page_alloc();
    other = page_alloc();
    given = page_alloc();
    gdt = page_alloc();
    arg = page_alloc();
    ldt = page_alloc();
    l1[0] = rw(data);
    l2[0] = rw(l1) | PTE_U;
    l3[0] = rw(l2) | PTE_U;
    page_protect(l1, false);
    page_protect(l2, false);
    page_protect(l3, false);
    page_protect(gdt, false);
    mfn = mfn_of(gdt);
    check_eq(hc2(__HYPERVISOR_set_gdt, U64(&mfn), 512), 0);
    check_eq(mmu_update1(entry_of((u64 *)si->pt_base, 300), rw(l3) | PTE_U), 0);
}

void test_main(void)
{
    u32 cpus = cpu_count();

    if (cpus < 2) {
        test_skip("wants two vCPUs");
        return;
    }
    build();
    for (u32 i = 1; i < cpus; i++) {
        check_eq(cpu_start(i, flipper), 0);
        check(wait_until(&cpu_of(i)->state, 1, 10 * SEC));
    }
    at_updates();
    at_exts();
    at_multicalls();
    at_copies();
    at_structures();
    at_returns();
    at_pins();
    page_protect(young, true);
    page_restore(young);
    at_ldt();
    at_own_frames();
    quit = 1;
    for (u32 i = 1; i < cpus; i++) {
        check(wait_until(&cpu_of(i)->state, 2, 10 * SEC));
    }
}
