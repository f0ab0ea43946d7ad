/* SPDX-License-Identifier: MIT */
/*
 * Runtime of the freestanding test guests: a 64-bit PV kernel that prints, catches every
 * exception, handles events, starts further vCPUs, and ends with one verdict line.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/errno.h"
#include "abi/types.h"
#include "abi/hcall_nr.h"
#include "abi/xen.h"
#include "abi/mmu.h"
#include "abi/arch_x86_64.h"
#include "abi/callback.h"
#include "abi/event.h"
#include "abi/grant.h"
#include "abi/memory.h"
#include "abi/physdev.h"
#include "abi/platform.h"
#include "abi/sched.h"
#include "abi/vcpu.h"
#include "abi/version.h"

#include "kit/layout.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#define PAGE      4096UL
#define ARRAY(a)  (sizeof(a) / sizeof((a)[0]))
#define U64(p)    ((u64)(p))
#define KERNEL_CS 0xe030 /* the code selector that a handler sees for kernel mode */
#define USER_CS   0xe033
#define USER_DS   0xe02b

/* Page-table entry bits. */
#define PTE_P    0x001UL
#define PTE_W    0x002UL
#define PTE_U    0x004UL
#define PTE_PWT  0x008UL
#define PTE_PCD  0x010UL
#define PTE_A    0x020UL
#define PTE_D    0x040UL
#define PTE_PSE  0x080UL
#define PTE_G    0x100UL
#define PTE_NX   (1UL << 63)
#define PTE_RW   (PTE_P | PTE_W | PTE_A | PTE_D)
#define PTE_RO   (PTE_P | PTE_A | PTE_D)
#define PTE_ADDR 0x000ffffffffff000UL

/* Registers as the entry stubs store them. */
struct kit_regs {
    u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    u64 vector, error, rip, cs, rflags, rsp, ss;
};

/* Lies at the low end of each vCPU's stack. */
struct kit_cpu {
    u64 try_rsp;           /* non-zero: kit_try() is under way */
    u64 user_rsp;          /* where kit_leave_user() returns to */
    struct kit_regs *user; /* user mode's registers when it came back; NULL: not in user mode */
    u32 id;
    void (*entry)(void); /* what a secondary runs */
    volatile u32 state;  /* 0 down, 1 up, 2 ended */
};

/* The last fault that kit_try() or kit_user() caught. */
struct fault {
    u64 vector, error, rip, cr2, rflags, cs;
};

extern struct start_info *si;
extern struct shared_info *shared;
extern struct fault fault;
extern bool on_joist; /* the hypervisor says it is Joist; else it is taken for Xen */
extern bool is_dom0;
extern u8 kit_stacks[], kit_stubs[], kit_image_end[];
extern u64 kit_failsafe_sels[4];
extern const u64
    kit_start_regs[14]; /* what the first vCPU found in rax rbx rcx rdx rdi rbp r8-r15 */
extern const char kit_name[];

/* ---- a test's own part ---- */
void test_main(void);

/* ---- hypercalls ---- */
static inline long hypercall(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e)
{
    register u64 r10 __asm__("r10") = d;
    register u64 r8 __asm__("r8") = e;
    long ret;

    __asm__ volatile("syscall"
                     : "=a"(ret), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)
                     : "0"(nr)
                     : "memory", "cc", "rcx", "r11", "r9");
    return ret;
}

static inline long hc1(u64 nr, u64 a)
{
    return hypercall(nr, a, 0, 0, 0, 0);
}

static inline long hc2(u64 nr, u64 a, u64 b)
{
    return hypercall(nr, a, b, 0, 0, 0);
}

static inline long hc3(u64 nr, u64 a, u64 b, u64 c)
{
    return hypercall(nr, a, b, c, 0, 0);
}

static inline long hc4(u64 nr, u64 a, u64 b, u64 c, u64 d)
{
    return hypercall(nr, a, b, c, d, 0);
}

/* A guest handle to p. */
static inline gptr_t gptr(const void *p)
{
    gptr_t g = { .va = U64(p) };

    return g;
}

static inline long event_op(u32 cmd, void *arg)
{
    return hc2(__HYPERVISOR_event_channel_op, cmd, U64(arg));
}

static inline long sched_op(u32 cmd, void *arg)
{
    return hc2(__HYPERVISOR_sched_op, cmd, U64(arg));
}

static inline long vcpu_op(u32 cmd, u64 cpu, void *arg)
{
    return hc3(__HYPERVISOR_vcpu_op, cmd, cpu, U64(arg));
}

static inline long grant_op(u32 cmd, void *arg, u32 count)
{
    return hc3(__HYPERVISOR_grant_table_op, cmd, U64(arg), count);
}

static inline long memory_op(u32 cmd, void *arg)
{
    return hc2(__HYPERVISOR_memory_op, cmd, U64(arg));
}

static inline long physdev_op(u32 cmd, void *arg)
{
    return hc2(__HYPERVISOR_physdev_op, cmd, U64(arg));
}

static inline long update_va(const void *va, u64 pte, u64 flags)
{
    return hc3(__HYPERVISOR_update_va_mapping, U64(va), pte, flags);
}

/* ---- print.c ---- */
void vformat(char *buf, size_t size, const char *fmt, va_list ap);
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void console_put(const char *s, size_t n);

/* ---- main.c: verdicts ---- */
/* Counts a check; a failed one is printed at once and makes the verdict FAIL. */
void check_at(bool ok, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void test_skip(const char *why);
bool kit_option(const char *word); /* the command line has it, anywhere */
__attribute__((noreturn)) void test_end(void);
__attribute__((noreturn)) void kit_stop(u32 reason);

#define check(cond) check_at((cond), __FILE__, __LINE__, "%s", #cond)

#define check_eq(expr, want)                                                                      \
    do {                                                                                          \
        s64 got_ = (s64)(expr), want_ = (s64)(want);                                              \
        check_at(got_ == want_, __FILE__, __LINE__, "%s is %ld (0x%lx), want %ld (0x%lx)", #expr, \
                 got_, got_, want_, want_);                                                       \
    } while (0)

/* Evaluates to the value that the hypervisor at hand must give. */
#define xen_or_joist(xen, joist) (on_joist ? (joist) : (xen))

/* ---- mem.c ---- */
/* Frame number of the page that va lies in, by the list that the builder left. */
u64 mfn_of(const void *va);
void mfn_set(const void *va, u64 mfn);
u64 mfn_to_pfn(u64 mfn);
void *page_alloc(void); /* a zeroed page of the guest's image */
/* The entry that maps va at a level (1 to 4): its virtual and its machine address. */
u64 *pte_ptr(const void *va, int level);
u64 pte_maddr(const void *va, int level);
void page_protect(const void *va, bool writable);
void page_remap(const void *va, u64 pte); /* must work */
void page_restore(const void *va);        /* its own frame again, writable */
/* Any frame of one's own, by its number, at one of four places, which is 0 to 3. Must work. */
void *frame_open(u32 which, u64 mfn, u64 flags);
void frame_close(u32 which);
long mmu_update1(u64 ptr, u64 val);
long mmuext1(u32 cmd, u64 mfn);
void *memset(void *p, int c, size_t n);
void *memcpy(void *d, const void *s, size_t n);
int memcmp(const void *a, const void *b, size_t n);
int strcmp(const char *a, const char *b);
size_t strlen(const char *s);
/* A fresh level-4 table with the entries of the running one, read-only; its virtual address. */
u64 *l4_clone(void);

/* ---- spare.c ---- */
u64 spare_first(void); /* the first pfn that nothing lies in */
u64 spare_take(void);  /* the mfn of the next; the test fails when there is none */
/* A level-3 table over `count` level-2 tables (told in l2s) of 512 level-1 tables full of value. */
u64 spare_tree(u64 *l2s, u32 count, u64 value);

/* ---- trap.c ---- */
u64 kit_try(void (*fn)(u64), u64 arg);
void kit_enter_user(const struct kit_regs *r, u64 flags);
__attribute__((noreturn)) void kit_leave_user(u64 rsp);
void kit_trap(struct kit_regs *r);
void kit_traps_init(void);
/* Runs user code with the registers in *r until it makes a system call or faults; *r is updated. */
void kit_user(struct kit_regs *r);
/* Called first for each trap; true: handled, return to the interrupted code. */
extern bool (*volatile kit_trap_hook)(struct kit_regs *r);
/* fn(arg) must fault with the vector (and, unless ~0, the error code). */
#define check_fault(fn, arg, vec, err)                                                      \
    do {                                                                                    \
        fault = (struct fault){ .vector = ~0UL };                                           \
        u64 faulted_ = kit_try((fn), U64(arg));                                             \
        check_at(faulted_ &&fault.vector == (u64)(vec) &&                                   \
                     ((u64)(err) == ~0UL || fault.error == (u64)(err)),                     \
                 __FILE__, __LINE__, "%s: fault %ld error 0x%lx, want %d 0x%lx", #fn,       \
                 faulted_ ? (long)fault.vector : -1L, fault.error, (int)(vec), (u64)(err)); \
    } while (0)

/* ---- event.c ---- */
void events_init(void);
struct vcpu_info *vcpu_info(void);
void events_mask(void);   /* this vCPU takes no upcall */
void events_unmask(void); /* ... and takes them again, pending ones at once */
void event_handler(evtchn_port_t port, void (*fn)(evtchn_port_t));
void event_unmask_port(evtchn_port_t port);
void event_mask_port(evtchn_port_t port);
bool event_is_pending(evtchn_port_t port);
void event_clear(evtchn_port_t port);
long bind_virq(u32 virq, u32 cpu); /* the port or -errno */
long bind_ipi(u32 cpu);
long event_send(evtchn_port_t port);
long event_close(evtchn_port_t port);
extern volatile u64 kit_upcalls;

/* ---- time.c ---- */
u64 now(void); /* nanoseconds of system time */
u64 rdtsc(void);
void spin_ns(u64 ns);

/* ---- smp.c ---- */
static inline struct kit_cpu *this_cpu(void)
{
    u64 rsp;

    __asm__ volatile("mov %%rsp, %0" : "=r"(rsp));
    return (struct kit_cpu *)((rsp - 1) & ~(u64)(KIT_STACK_SIZE - 1));
}
static inline struct kit_cpu *cpu_of(u32 id)
{
    return (struct kit_cpu *)(kit_stacks + (size_t)id * KIT_STACK_SIZE);
}
u32 cpu_count(void); /* vCPUs that exist, up or not */
long cpu_start(u32 id, void (*entry)(void));
bool wait_until(volatile u32 *word, u32 value, u64 ns);
void kit_secondary_main(void);
extern void kit_secondary(void);

struct lock {
    volatile u32 word;
};
static inline void lock(struct lock *l)
{
    while (__atomic_exchange_n(&l->word, 1, __ATOMIC_ACQUIRE)) {
        __asm__ volatile("pause");
    }
}
static inline void unlock(struct lock *l)
{
    __atomic_store_n(&l->word, 0, __ATOMIC_RELEASE);
}
