/* SPDX-License-Identifier: MIT */
/* The inline part of the port on x86_64: this cpu, interrupts, direct map, counter, small guest
 * copies. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/types.h"
#include "config.h"
#include "hw/cpu_info.h"
#include "mm/addr.h"

struct vcpu;

static inline unsigned int port_cpu_id(void)
{
    return cpu_info()->cpu;
}

static inline struct vcpu *port_current(void)
{
    return cpu_info()->current;
}

static inline bool port_cpu_work_pending(void)
{
    return atomic_load_explicit(&cpu_info()->work, memory_order_relaxed) != 0;
}

static inline uint32_t port_cpu_take_work(void)
{
    struct cpu_info *ci = cpu_info();

    if (atomic_load_explicit(&ci->work, memory_order_relaxed) == 0) {
        return 0;
    }
    return atomic_exchange(&ci->work, 0);
}

static inline bool port_lock_check(void)
{
    return CONFIG_LOCK_CHECK != 0;
}

static inline void port_cpu_relax(void)
{
    __asm__ volatile("pause" ::: "memory");
}

static inline unsigned long port_irq_save(void)
{
    unsigned long flags;

    __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags)::"memory");
    return flags;
}

static inline void port_irq_enable(void)
{
    __asm__ volatile("sti" ::: "memory");
}

static inline void port_irq_disable(void)
{
    __asm__ volatile("cli" ::: "memory");
}

static inline void port_irq_restore(unsigned long flags)
{
    if ((flags & 0x200) != 0) {
        port_irq_enable();
    }
}

static inline bool port_irq_enabled(void)
{
    unsigned long flags;

    __asm__ volatile("pushfq; popq %0" : "=r"(flags)::"memory");
    return (flags & 0x200) != 0;
}

static inline void *port_frame_va(mfn_t mfn)
{
    return (void *)(HV_DIRECT + (mfn.n << PAGE_SHIFT));
}

static inline mfn_t port_va_mfn(const void *va)
{
    return MFN(((uintptr_t)va - HV_DIRECT) >> PAGE_SHIFT);
}

static inline uint64_t port_ticks(void)
{
    uint32_t low;
    uint32_t high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/*
 * Guest memory.  An instruction that may fault has an entry in the exception table: the address
 * where to go on.  With SMAP, STAC and CLAC open and close the access; their places hold a
 * no-operation of three bytes until cpu.c finds that the processor has it.
 */
#define X86_STAC                                                                           \
    "661: .byte 0x0f, 0x1f, 0x00\n.pushsection .smap_patch, \"a\"\n.quad 661b, 0xcb010f\n" \
    ".popsection\n"
#define X86_CLAC                                                                           \
    "662: .byte 0x0f, 0x1f, 0x00\n.pushsection .smap_patch, \"a\"\n.quad 662b, 0xca010f\n" \
    ".popsection\n"
#define X86_FIXUP(from, to) ".pushsection .ex_table, \"a\"\n.quad " from ", " to "\n.popsection\n"

/* [va, va + n) is canonical and outside the hypervisor's hole. The two halves that guests may use
 * are one range after a rotation. */
static inline bool x86_guest_range(uint64_t va, size_t n)
{
    return va + UINT64_C(0x780000000000) <= UINT64_C(0xf80000000000) - n;
}

size_t x86_guest_read(void *dst, uint64_t src, size_t n);
size_t x86_guest_write(uint64_t dst, const void *src, size_t n);

static inline void x86_access_begin(void)
{
    __asm__ volatile(X86_STAC ::: "memory");
}

static inline void x86_access_end(void)
{
    __asm__ volatile(X86_CLAC ::: "memory");
}

/* The window on guest memory of port/copy.h. */
static inline bool guest_window_ok(uint64_t va, size_t n)
{
    return x86_guest_range(va, n);
}

static inline void guest_window_begin(void)
{
    x86_access_begin();
}

static inline void guest_window_end(void)
{
    x86_access_end();
}

static inline bool guest_load(uint64_t *to, uint64_t va)
{
    uint64_t val;

    __asm__ goto("1: movq %1, %0\n" X86_FIXUP("1b", "%l2")
                 : "=r"(val)
                 : "m"(*(const uint64_t *)va)
                 : "memory"
                 : fault);
    *to = val;
    return true;
fault:
    return false;
}

static inline bool guest_store(uint64_t va, uint64_t val)
{
    __asm__ goto("1: movq %0, %1\n" X86_FIXUP("1b", "%l2")
                 :
                 : "r"(val), "m"(*(const uint64_t *)va)
                 : "memory"
                 : fault);
    return true;
fault:
    return false;
}

/* Copies of a constant number of words, up to this many, are straight code: a load and a store
 * each. */
#define X86_COPY_WORDS 9u

/* The instructions for `n` words; one side or the other may fault. rax is the way between. */
#define X86_COPY(fault_load, fault_store)                                    \
    ".set .Lx86_at, 0\n.rept %c[n]\n"                                        \
    "1: mov .Lx86_at(%[from]), %%rax\n2: mov %%rax, .Lx86_at(%[to])\n"       \
    ".pushsection .ex_table, \"a\"\n" fault_load fault_store ".popsection\n" \
    ".set .Lx86_at, .Lx86_at + 8\n.endr\n"

/* false on a fault. `n` is constant. */
static inline __attribute__((always_inline)) bool x86_read_words(void *to, uint64_t va, size_t n)
{
    if (!__builtin_expect(x86_guest_range(va, 8 * n), 1)) {
        return false;
    }
    x86_access_begin();
    __asm__ goto(X86_COPY(".quad 1b, %l[fault]\n", "")
                 :
                 : [to] "r"(to), [from] "r"(va), [n] "i"(n)
                 : "rax", "memory"
                 : fault);
    x86_access_end();
    return true;
fault:
    x86_access_end();
    return false;
}

/* Half a word, as the smallest arguments are. false on a fault. */
static inline __attribute__((always_inline)) bool x86_read_half(void *to, uint64_t va)
{
    uint32_t val;

    if (!__builtin_expect(x86_guest_range(va, 4), 1)) {
        return false;
    }
    x86_access_begin();
    __asm__ goto("1: movl %1, %0\n" X86_FIXUP("1b", "%l2")
                 : "=r"(val)
                 : "m"(*(const uint32_t *)va)
                 : "memory"
                 : fault);
    x86_access_end();
    *(uint32_t *)to = val;
    return true;
fault:
    x86_access_end();
    return false;
}

static inline __attribute__((always_inline)) bool x86_write_words(uint64_t va, const void *from,
                                                                  size_t n)
{
    if (!__builtin_expect(x86_guest_range(va, 8 * n), 1)) {
        return false;
    }
    x86_access_begin();
    __asm__ goto(X86_COPY("", ".quad 2b, %l[fault]\n")
                 :
                 : [to] "r"(va), [from] "r"(from), [n] "i"(n)
                 : "rax", "memory"
                 : fault);
    x86_access_end();
    return true;
fault:
    x86_access_end();
    return false;
}

/* A copy that faults is done again by the slow function, which knows how far it comes. */
__attribute__((warn_unused_result)) static inline __attribute__((always_inline)) size_t guest_read(
    void *dst, gptr_t src, size_t n)
{
    if (__builtin_constant_p(n) && n % 8 == 0 && n <= 8 * X86_COPY_WORDS &&
        x86_read_words(dst, src.va, n / 8)) {
        return 0;
    }
    if (__builtin_constant_p(n) && n == 4 && x86_read_half(dst, src.va)) {
        return 0;
    }
    return x86_guest_read(dst, src.va, n);
}

__attribute__((warn_unused_result)) static inline __attribute__((always_inline)) size_t guest_write(
    gptr_t dst, const void *src, size_t n)
{
    if (__builtin_constant_p(n) && n % 8 == 0 && n <= 8 * X86_COPY_WORDS &&
        x86_write_words(dst.va, src, n / 8)) {
        return 0;
    }
    return x86_guest_write(dst.va, src, n);
}
