/* SPDX-License-Identifier: MIT */
/*
 * A minimal 64-bit PV kernel that measures what hypervisor operations cost, in TSC ticks.
 * Under QEMU's -icount shift=0 one tick is one instruction.  As a domU it writes to the PV
 * console ring, as dom0 to console_io.  Command line "idle": block for ever instead.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define VIRT_BASE   0xffffffff80000000UL
#define PAGE        4096UL
#define DOMID_SELF  0x7ff0
#define PTE_RW      0x63UL /* present, writable, accessed, dirty */
#define PTE_RO      0x61UL
#define UVMF_INVLPG 2

struct start_info {
    char magic[32];
    u64 nr_pages, shared_info;
    u32 flags;
    u64 store_mfn;
    u32 store_evtchn;
    u64 console_mfn;
    u32 console_evtchn;
    u64 pt_base, nr_pt_frames, mfn_list, mod_start, mod_len;
    char cmd_line[1024];
};

struct console_ring {
    char in[1024], out[2048];
    u32 in_cons, in_prod, out_cons, out_prod;
};

struct trap {
    u8 vector, flags;
    u16 cs;
    u64 address;
};
struct mmu_update {
    u64 ptr, val;
};
struct mmuext {
    u32 cmd;
    u64 mfn;
    u64 arg2;
};
struct multicall {
    u64 op, result, args[6];
};
struct gnt_entry {
    u16 flags, domid;
    u32 frame;
};
struct gnt_map {
    u64 host_addr;
    u32 flags, ref;
    u16 dom;
    short status;
    u32 handle;
    u64 bus;
};
struct gnt_unmap {
    u64 host_addr, bus;
    u32 handle;
    short status;
};
struct gnt_setup {
    u16 dom;
    u32 nr_frames;
    short status;
    u64 *frames;
};
struct reservation {
    u64 *frames;
    u64 nr;
    u32 order, flags;
    u16 domid;
};

extern char hypercall_page[], syscall_stack_top[];
extern void event_entry(void), failsafe_entry(void), syscall_entry(void);
extern void pf_entry(void), gp_entry(void), ud_entry(void), user_syscalls(void), touch(void *);
extern u8 *volatile shared_info;
extern volatile u64 event_count, syscall_left;

static u64 hc(unsigned int nr, u64 a, u64 b, u64 c, u64 d)
{
    register u64 r10 asm("r10") = d;
    u64 ret;
    asm volatile("call *%[f]"
                 : "=a"(ret), "+D"(a), "+S"(b), "+d"(c), "+r"(r10)
                 : [f] "r"(hypercall_page + nr * 32)
                 : "memory", "rcx", "r11", "r8", "r9");
    return ret;
}

enum {
    set_trap_table = 0,
    mmu_update = 1,
    stack_switch = 3,
    set_callbacks = 4,
    fpu_taskswitch = 5,
    memory_op = 12,
    multicall = 13,
    update_va_mapping = 14,
    xen_version = 17,
    console_io = 18,
    grant_table_op = 20,
    vm_assist = 21,
    vcpu_op = 24,
    set_segment_base = 25,
    mmuext_op = 26,
    sched_op = 29,
    evtchn_op = 32
};

#define ARG(x) ((u64)(x))

static struct start_info *si;
static char pages[4][4096] __attribute__((aligned(4096))); /* remapped at run time */
static char info_page[4096] __attribute__((aligned(4096)));
static char gnt_page[4096] __attribute__((aligned(4096)));
static u64 table[2][512] __attribute__((aligned(4096))); /* become page tables */

static u64 rdtsc(void)
{
    u32 lo, hi;
    asm volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi)::"memory");
    return (u64)hi << 32 | lo;
}

/* ---- console ---- */
static void put(const char *s, u64 n)
{
    if (si->flags & 2) { /* initial domain */
        hc(console_io, 0, n, ARG(s), 0);
        return;
    }
    volatile struct console_ring *r;
    u64 *m2p = (u64 *)0xffff800000000000UL;
    r = (void *)(VIRT_BASE + m2p[si->console_mfn] * PAGE);
    u32 port = si->console_evtchn;
    while (n) {
        if (r->out_prod - r->out_cons >= sizeof r->out) {
            hc(evtchn_op, 4, ARG(&port), 0, 0);
            hc(sched_op, 0, 0, 0, 0);
            continue;
        }
        r->out[r->out_prod & (sizeof r->out - 1)] = *s++;
        asm volatile("" ::: "memory");
        r->out_prod++;
        n--;
    }
    hc(evtchn_op, 4, ARG(&port), 0, 0);
}

static void print(const char *s)
{
    u64 n = 0;
    while (s[n])
        n++;
    put(s, n);
}

static void number(u64 v, u64 base)
{
    char b[24];
    int i = sizeof b;
    do {
        b[--i] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    put(b + i, sizeof b - i);
}

static void stop(u32 reason)
{
    for (;;)
        hc(sched_op, 2, ARG(&reason), 0, 0);
}

void unexpected(u64 vec, u64 err, u64 rip)
{
    print("MICRO trap ");
    number(vec, 10);
    print(" error ");
    number(err, 16);
    print(" rip ");
    number(rip, 16);
    print("\r\n");
    stop(3);
}

static void check(const char *what, u64 rc)
{
    if (!rc)
        return;
    print("MICRO error ");
    print(what);
    print(" -");
    number(-rc, 10);
    print("\r\n");
}

/* ---- memory ---- */
static u64 mfn_of(void *p)
{
    return ((u64 *)si->mfn_list)[((u64)p - VIRT_BASE) / PAGE];
}

static u64 *table_va(u64 entry)
{
    u64 *m2p = (u64 *)0xffff800000000000UL;
    return (u64 *)(VIRT_BASE + m2p[(entry & 0xffffffffff000UL) / PAGE] * PAGE);
}

/* machine address of the L1 entry that maps va */
static u64 pte_of(void *va)
{
    u64 a = (u64)va, *t = (u64 *)si->pt_base, e = 0;
    for (int shift = 39; shift >= 12; shift -= 9) {
        u64 *p = &t[a >> shift & 511];
        e = mfn_of(t) * PAGE + ((u64)p & (PAGE - 1));
        if (shift > 12)
            t = table_va(*p);
    }
    return e;
}

static void map(void *va, u64 pte)
{
    check("update_va_mapping", hc(update_va_mapping, ARG(va), pte, UVMF_INVLPG, 0));
}

static u64 ext(u32 cmd, u64 mfn)
{
    struct mmuext op = { cmd, mfn, 0 };
    return hc(mmuext_op, ARG(&op), 1, 0, DOMID_SELF);
}

/* ---- measuring: best of 5 runs of n, per item ---- */
static u64 loop_cost;
static void report(const char *name, u64 ticks, u64 items)
{
    u64 x = ticks * 10 / items;
    print("MICRO ");
    print(name);
    print(" ");
    number(x / 10, 10);
    print(".");
    number(x % 10, 10);
    print("\r\n");
}
#define BENCH(name, n, items, ...)              \
    do {                                        \
        u64 best = ~0UL;                        \
        for (int run = 0; run < 5; run++) {     \
            u64 t = rdtsc();                    \
            for (u64 i = 0; i < (n); i++) {     \
                asm volatile("" ::: "memory");  \
                __VA_ARGS__;                    \
            }                                   \
            t = rdtsc() - t;                    \
            if (t < best)                       \
                best = t;                       \
        }                                       \
        report(name, best, (u64)(n) * (items)); \
        if (!loop_cost)                         \
            loop_cost = best;                   \
    } while (0)

static void bench_basic(void)
{
    u64 z = 0;
    BENCH("loop", 1000, 1, (void)i);
    BENCH("rdtsc", 1000, 1, rdtsc());
    BENCH("xen_version(XENVER_version)", 1000, 1, hc(xen_version, 0, 0, 0, 0));
    BENCH("bad hypercall (ENOSYS)", 1000, 1, hc(55, 0, 0, 0, 0));
    BENCH("stack_switch", 1000, 1, hc(stack_switch, 0xe02b, ARG(syscall_stack_top), 0, 0));
    BENCH("fpu_taskswitch", 1000, 1, hc(fpu_taskswitch, 0, 0, 0, 0));
    BENCH("set_segment_base(gs user)", 1000, 1, hc(set_segment_base, 1, 0, 0, 0));
    BENCH("sched_op yield", 200, 1, hc(sched_op, 0, 0, 0, 0));
    BENCH("vcpu_op stop_singleshot_timer", 1000, 1, hc(vcpu_op, 9, 0, 0, 0));
    BENCH("rdmsr EFER (emulated)", 500, 1, asm volatile("rdmsr" ::"c"(0xc0000080) : "rax", "rdx"));
    BENCH("read cr0 (emulated)", 500, 1, asm volatile("mov %%cr0, %0" : "=r"(z)));
    BENCH("cpuid (native instruction)", 500, 1,
          asm volatile("cpuid"
                       : "=a"(z)
                       : "0"(0L), "c"(0L)
                       : "rbx", "rdx"));
    static struct multicall mc[32];
    for (int i = 0; i < 32; i++)
        mc[i].op = xen_version;
    BENCH("multicall of 32 xen_version, per call", 100, 32, hc(multicall, ARG(mc), 32, 0, 0));
}

static void bench_events(void)
{
    struct {
        u32 vcpu, port;
    } ipi = { 0, 0 };
    check("bind_ipi", hc(evtchn_op, 7, ARG(&ipi), 0, 0));
    u32 port = ipi.port;
    shared_info[1] = 1;                        /* mask upcalls */
    *(volatile u64 *)(shared_info + 2560) = 0; /* unmask all ports */
    BENCH("evtchn send to self, upcalls masked", 1000, 1, hc(evtchn_op, 4, ARG(&port), 0, 0);
          *(volatile u64 *)(shared_info + 2048) = 0; *(volatile u64 *)(shared_info + 8) = 0;
          shared_info[0] = 0);
    BENCH("evtchn send, already pending", 1000, 1, hc(evtchn_op, 4, ARG(&port), 0, 0));
    *(volatile u64 *)(shared_info + 2048) = 0;
    *(volatile u64 *)(shared_info + 8) = 0;
    shared_info[0] = 0;
    shared_info[1] = 0; /* upcalls on */
    event_count = 0;
    BENCH("evtchn send to self + upcall + iret", 1000, 1, hc(evtchn_op, 4, ARG(&port), 0, 0));
    if (event_count != 5000)
        check("upcalls seen", -event_count);
    BENCH("evtchn bind_ipi + close", 500, 1, hc(evtchn_op, 7, ARG(&ipi), 0, 0);
          hc(evtchn_op, 3, ARG(&ipi.port), 0, 0));
}

static void bench_ptwrite(void *va, u64 pte, u64 a, u64 b);
static void bench_tables(void *va);
static void bench_balloon(void);

static void bench_mmu(void)
{
    u64 a = mfn_of(pages[1]) * PAGE | PTE_RW, b = mfn_of(pages[2]) * PAGE | PTE_RW;
    void *va = pages[0];
    u64 pte = pte_of(va), done;
    static struct mmu_update u[64];
    static struct multicall mc[32];
    BENCH("update_va_mapping, other frame, no flush", 500, 1,
          hc(update_va_mapping, ARG(va), i & 1 ? a : b, 0, 0));
    BENCH("update_va_mapping, other frame, invlpg", 500, 1,
          hc(update_va_mapping, ARG(va), i & 1 ? a : b, UVMF_INVLPG, 0));
    BENCH("update_va_mapping, flags only (rw/ro)", 500, 1,
          hc(update_va_mapping, ARG(va), i & 1 ? b : b & ~2UL, 0, 0));
    BENCH("update_va_mapping, map+clear, per call", 500, 2, hc(update_va_mapping, ARG(va), 0, 0, 0);
          hc(update_va_mapping, ARG(va), b, 0, 0));
    for (int i = 0; i < 64; i++)
        u[i] = (struct mmu_update){ pte, i & 1 ? a : b };
    BENCH("mmu_update of 1 entry", 500, 1,
          hc(mmu_update, ARG(u + (i & 1)), 1, ARG(&done), DOMID_SELF));
    BENCH("mmu_update of 64 entries, per entry", 50, 64,
          hc(mmu_update, ARG(u), 64, ARG(&done), DOMID_SELF));
    for (int i = 0; i < 64; i++)
        u[i] = (struct mmu_update){ pte, i & 1 ? b : b & ~2UL };
    BENCH("mmu_update of 64 flag changes, per entry", 50, 64,
          hc(mmu_update, ARG(u), 64, ARG(&done), DOMID_SELF));
    for (int i = 0; i < 32; i++)
        mc[i] = (struct multicall){ update_va_mapping, 0, { ARG(va), i & 1 ? a : b, 0 } };
    BENCH("multicall of 32 update_va_mapping, per entry", 50, 32, hc(multicall, ARG(mc), 32, 0, 0));
    for (int i = 0; i < 32; i++)
        mc[i] = (struct multicall){ mmu_update, 0, { ARG(u + i), 1, 0, DOMID_SELF } };
    BENCH("multicall of 32 mmu_update of 1, per entry", 50, 32, hc(multicall, ARG(mc), 32, 0, 0));
    bench_ptwrite(va, pte, a, b);
    bench_tables(va);
    bench_balloon();
}

/* a write to a page-table page traps and is emulated, once asked for */
static void bench_ptwrite(void *va, u64 pte, u64 a, u64 b)
{
    check("vm_assist", hc(vm_assist, 0, 2, 0, 0));
    map(va, b);
    volatile u64 *l1 = (u64 *)table_va(pte);
    BENCH("direct write to a PTE (trap and emulate)", 200, 1, l1[(pte & 4095) / 8] = i & 1 ? a : b);
    map(va, mfn_of(va) * PAGE | PTE_RW);
}

static void bench_tables(void *va)
{
    BENCH("mmuext tlb_flush_local", 500, 1, ext(6, 0));
    BENCH("mmuext invlpg_local", 500, 1, ext(7, ARG(va)));
    /* pin and unpin an L1 table with 512 present entries */
    for (int i = 0; i < 512; i++)
        table[0][i] = mfn_of(pages[i & 3]) * PAGE | PTE_RW | 4;
    u64 l1mfn = mfn_of(table[0]);
    map(table[0], l1mfn * PAGE | PTE_RO);
    BENCH("pin + unpin L1 of 512 entries", 20, 1, ext(0, l1mfn); ext(4, l1mfn));
    check("pin L1", ext(0, l1mfn));
    /* switch between two L4 tables with the same contents */
    u64 *l4 = (u64 *)si->pt_base;
    for (int i = 0; i < 512; i++)
        table[1][i] = i >= 256 && i < 272 ? 0 : l4[i];
    u64 m0 = mfn_of(l4), m1 = mfn_of(table[1]);
    map(table[1], m1 * PAGE | PTE_RO);
    check("pin L4", ext(3, m1));
    BENCH("mmuext new_baseptr (address-space switch)", 500, 1, ext(5, i & 1 ? m0 : m1));
    check("new_baseptr", ext(5, m0));
    BENCH("mmuext new_user_baseptr", 500, 1, ext(15, i & 1 ? m0 : m1));
    ext(4, l1mfn); /* drop the extra references */
    map(table[0], l1mfn * PAGE | PTE_RW);
}

/* give one page back and get one */
static void bench_balloon(void)
{
    u64 frame = mfn_of(pages[3]);
    map(pages[3], 0);
    struct reservation r = { &frame, 1, 0, 0, DOMID_SELF };
    u64 got = 0;
    BENCH("memory_op decrease_reservation + populate_physmap", 100, 1,
          got += hc(memory_op, 1, ARG(&r), 0, 0);
          frame = ((u64)pages[3] - VIRT_BASE) / PAGE; got += hc(memory_op, 6, ARG(&r), 0, 0));
    if (got != 1000)
        check("reservation", -got);
    ((u64 *)si->mfn_list)[((u64)pages[3] - VIRT_BASE) / PAGE] = frame;
    map(pages[3], frame * PAGE | PTE_RW);
}

static void bench_traps(void)
{
    check("user baseptr", ext(15, mfn_of((void *)si->pt_base)));
    BENCH("user syscall + return, PV bounce", 2, 1000, syscall_left = 1000; user_syscalls());
    map(pages[0], 0);
    BENCH("page fault to guest handler + iret", 500, 1, touch(pages[0]));
    map(pages[0], mfn_of(pages[0]) * PAGE | PTE_RW);
}

static u16 my_domid(void)
{
    struct {
        u16 dom, remote;
        u32 port;
    } a = { DOMID_SELF, DOMID_SELF, 0 };
    struct {
        u16 dom;
        u32 port, status, vcpu;
        u16 remote, pad[3];
    } s = { DOMID_SELF };
    check("alloc_unbound", hc(evtchn_op, 6, ARG(&a), 0, 0));
    s.port = a.port;
    check("evtchn status", hc(evtchn_op, 5, ARG(&s), 0, 0));
    hc(evtchn_op, 3, ARG(&a.port), 0, 0);
    return s.remote;
}

static void bench_grants(void)
{
    u64 frame = 0;
    u16 me = my_domid();
    struct gnt_setup set = { DOMID_SELF, 1, 0, &frame };
    check("setup_table", hc(grant_table_op, 2, ARG(&set), 1, 0));
    if (set.status) {
        check("setup_table status", set.status);
        return;
    }
    map(gnt_page, frame * PAGE | PTE_RW);
    volatile struct gnt_entry *g = (void *)gnt_page;
    for (int i = 0; i < 4; i++) {
        g[16 + i].domid = me;
        g[16 + i].frame = mfn_of(pages[2]);
        asm volatile("" ::: "memory");
        g[16 + i].flags = 1; /* GTF_permit_access */
    }
    static struct gnt_map m[2];
    static struct gnt_unmap n[2];
    short bad = 0;
    BENCH("grant map + unmap, batch of 1", 200, 1,
          m[0] = (struct gnt_map){ ARG(pages[0]), 2, 16, me };
          hc(grant_table_op, 0, ARG(m), 1, 0); bad |= m[0].status;
          n[0] = (struct gnt_unmap){ ARG(pages[0]), 0, m[0].handle };
          hc(grant_table_op, 1, ARG(n), 1, 0); bad |= n[0].status);
    BENCH("grant map + unmap, batch of 2, per grant", 200, 2,
          for (int k = 0; k < 2; k++) m[k] = (struct gnt_map){ ARG(pages[k]), 2, 16 + k, me };
          hc(grant_table_op, 0, ARG(m), 2, 0);
          for (int k = 0; k < 2; k++) n[k] = (struct gnt_unmap){ ARG(pages[k]), 0, m[k].handle };
          hc(grant_table_op, 1, ARG(n), 2, 0));
    if (bad)
        check("grant status", bad);
    struct {
        struct {
            u64 u;
            u16 dom, off;
        } src, dst;
        u16 len, flags;
        short status;
    } c = { { 16, me, 0 }, { mfn_of(pages[3]), DOMID_SELF, 0 }, 4096, 1, 0 };
    BENCH("grant copy of 4096 bytes", 200, 1, hc(grant_table_op, 5, ARG(&c), 1, 0));
    if (c.status)
        check("grant copy status", c.status);
    map(pages[0], mfn_of(pages[0]) * PAGE | PTE_RW);
    map(pages[1], mfn_of(pages[1]) * PAGE | PTE_RW);
}

void main(struct start_info *s);
void unexpected(u64 vec, u64 err, u64 rip);

void main(struct start_info *s)
{
    static const struct trap traps[] = { { 6, 4, 0xe033, ARG(ud_entry) },
                                         { 13, 4, 0xe033, ARG(gp_entry) },
                                         { 14, 4, 0xe033, ARG(pf_entry) },
                                         { 0, 0, 0, 0 } };
    si = s;
    hc(set_trap_table, ARG(traps), 0, 0, 0);
    hc(set_callbacks, ARG(event_entry), ARG(failsafe_entry), ARG(syscall_entry), 0);
    hc(stack_switch, 0xe02b, ARG(syscall_stack_top), 0, 0);
    map(info_page, si->shared_info | PTE_RW);
    shared_info = (u8 *)info_page;
    if (si->cmd_line[0] == 'i') {
        *(volatile u64 *)(shared_info + 2560) = ~0UL; /* no event wakes us */
        for (;;)
            hc(sched_op, 1, 0, 0, 0);
    }
    print("MICRO start pages=");
    number(si->nr_pages, 10);
    print("\r\n");
    bench_basic();
    bench_events();
    bench_mmu();
    bench_traps();
    bench_grants();
    print("MICRO end\r\n");
    stop(0);
}
