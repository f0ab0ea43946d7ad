/* SPDX-License-Identifier: MIT */
/* Stores to page tables that are mapped read-only: each instruction that kernels use for it. */
#include "kit/kit.h"

const char kit_name[] = "ptwrite";

static u64 *l1;         /* a live level-1 table, seen read-only */
static volatile u64 *e; /* one of its entries */
static u8 *a, *b;
static u64 va_a, va_b; /* entry values for the two pages */

/* The entry with the bits that the hypervisor adds (user, global, marks) left out. */
static u64 entry(void)
{
    return *e & ~(PTE_U | PTE_G | 0x7ff0000000000000UL);
}

static void set(u64 value)
{
    check_eq(mmu_update1(mfn_of(l1) * PAGE + (U64(e) & 0xfff), value), 0);
}

static void store64(u64 v)
{
    __asm__ volatile("mov %0, (%1)" ::"r"(v), "r"(e) : "memory");
}

static void store32(u64 v)
{
    __asm__ volatile("movl %0, (%1)" ::"r"((u32)v), "r"(e) : "memory");
}

static void store32_high(u64 v)
{
    __asm__ volatile("movl %0, 4(%1)" ::"r"((u32)v), "r"(e) : "memory");
}

static void store16(u64 v)
{
    __asm__ volatile("movw %0, (%1)" ::"r"((u16)v), "r"(e) : "memory");
}

static void store8(u64 v)
{
    __asm__ volatile("movb %0, (%1)" ::"q"((u8)v), "r"(e) : "memory");
}

static void store_imm(u64 v)
{
    (void)v;
    __asm__ volatile("movq $0, (%0)" ::"r"(e) : "memory");
}

static void exchange(u64 v)
{
    __asm__ volatile("xchg %0, (%1)" : "+r"(v) : "r"(e) : "memory");
}

static void test_mov(void)
{
    set(va_a);
    check_eq(kit_try(store64, va_b), 0);
    check_eq(entry(), va_b);
    check_eq(kit_try(store_imm, 0), 0);
    check_eq(*e, 0);
    check_eq(kit_try(store64, va_a), 0);
    check_eq(entry(), va_a);
    /* a part of the entry: the rest keeps its value */
    check_eq(kit_try(store32, va_b), 0);
    check_eq(entry(), (va_a & ~0xffffffffUL) | (va_b & 0xffffffff));
    check_eq(kit_try(store32_high, va_b >> 32 | 0x80000000), 0);
    check_eq(entry() & ~PTE_NX, va_b);
    check_eq(*e >> 63, 1);
    set(va_a);
    check_eq(kit_try(store16, (va_a & 0xffff & ~PTE_W)), 0);
    check_eq(entry(), va_a & ~PTE_W);
    check_eq(kit_try(store8, (u8)va_a), 0);
    check_eq(entry(), va_a);
    check_eq(kit_try(store8, (u8)va_a & ~PTE_P), 0);
    check_eq(entry(), va_a & ~PTE_P);
}

static void test_xchg(void)
{
    u64 v = va_b;

    set(va_a);
    __asm__ volatile("xchg %0, (%1)" : "+r"(v) : "r"(e) : "memory");
    check_eq(v & PTE_ADDR, va_a & PTE_ADDR);
    check_eq(entry(), va_b);
    v = 0;
    __asm__ volatile("xchg %0, (%1)" : "+r"(v) : "r"(e) : "memory");
    check_eq(v & PTE_ADDR, va_b & PTE_ADDR);
    check_eq(*e, 0);
}

static void test_cmpxchg(void)
{
    u64 old, flags;

    set(va_a);
    old = *e;
    __asm__ volatile("lock cmpxchg %3, (%2); pushf; pop %1"
                     : "+a"(old), "=r"(flags)
                     : "r"(e), "r"(va_b)
                     : "memory", "cc");
    check_eq(flags >> 6 & 1, 1); /* ZF: exchanged */
    check_eq(entry(), va_b);
    old = va_a; /* no longer */
    __asm__ volatile("lock cmpxchg %3, (%2); pushf; pop %1"
                     : "+a"(old), "=r"(flags)
                     : "r"(e), "r"(0UL)
                     : "memory", "cc");
    check_eq(flags >> 6 & 1, 0);
    check_eq(old & PTE_ADDR, va_b & PTE_ADDR);
    check_eq(entry(), va_b);
}

static void test_locked(void)
{
    u8 carry;

    set(va_a);
    __asm__ volatile("lock andq %0, (%1)" ::"r"(~PTE_W), "r"(e) : "memory", "cc");
    check_eq(entry(), va_a & ~PTE_W);
    __asm__ volatile("lock orq %0, (%1)" ::"r"(PTE_W), "r"(e) : "memory", "cc");
    check_eq(entry(), va_a);
    __asm__ volatile("lock btrq $1, (%1); setc %0" : "=q"(carry) : "r"(e) : "memory", "cc");
    check_eq(carry, 1);
    check_eq(entry(), va_a & ~PTE_W);
    __asm__ volatile("lock btsq $1, (%1); setc %0" : "=q"(carry) : "r"(e) : "memory", "cc");
    check_eq(carry, 0);
    check_eq(entry(), va_a);
    __asm__ volatile("lock btrq %2, (%1); setc %0"
                     : "=q"(carry)
                     : "r"(e), "r"(5UL)
                     : "memory", "cc");
    check_eq(carry, 1);
    check_eq(entry(), va_a & ~PTE_A);
    __asm__ volatile("lock andb %0, (%1)" ::"q"((u8)~PTE_D), "r"(e) : "memory", "cc");
    check_eq(entry(), va_a & ~(PTE_A | PTE_D));
    __asm__ volatile("lock orl %0, (%1)" ::"r"((u32)(PTE_A | PTE_D)), "r"(e) : "memory", "cc");
    check_eq(entry(), va_a);
}

/* The mapping really changes. */
static void test_effect(void)
{
    static u64 *slot;
    u8 *win = page_alloc();

    a[0] = 0xa1;
    b[0] = 0xb1;
    slot = pte_ptr(win, 1);
    e = slot;
    check_eq(kit_try(store64, va_a), 0);
    mmuext1(MMUEXT_TLB_FLUSH_LOCAL, 0);
    check_eq(*(volatile u8 *)win, 0xa1);
    check_eq(kit_try(store64, va_b), 0);
    mmuext1(MMUEXT_TLB_FLUSH_LOCAL, 0);
    check_eq(*(volatile u8 *)win, 0xb1);
    page_restore(win);
}

/* What an update call would refuse is a page fault here, with nothing changed. */
static void test_refused(void)
{
    volatile u64 *l2 = pte_ptr(a, 2);
    volatile u64 *keep = e;

    e = &l1[20];
    set(va_a);
    check_fault(store64, mfn_of(l1) * PAGE | PTE_RW, 14, 3);
    check_eq(fault.cr2, U64(e));
    check_eq(entry(), va_a);
    check_fault(store64, mfn_of((void *)si->pt_base) * PAGE | PTE_RW, 14, 3);
    check_fault(exchange, mfn_of(l1) * PAGE | PTE_RW, 14, 3);
    check_eq(entry(), va_a);
    e = l2; /* only level-1 tables are emulated */
    check_fault(store64, *l2, 14, 3);
    e = (u64 *)U64(si->pt_base);
    check_fault(store64, *e, 14, 3);
    e = (u64 *)(U64(l1) + 20 * 8 + 4); /* across two entries */
    check_fault(store64, 0, 14, 3);
    e = keep;
}

static void store_string(u64 n)
{
    volatile u64 *to = e;

    __asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(0UL) : "memory");
}

static void test_string(void)
{
    e = &l1[40];
    for (u32 i = 0; i < 4; i++) {
        e = &l1[40 + i];
        set(va_a);
    }
    e = &l1[40];
    if (kit_try(store_string, 4) == 0) {
        for (u32 i = 0; i < 4; i++) {
            check_eq(l1[40 + i], 0);
        }
    } else {
        check_eq(fault.vector, 14); /* not emulated: then it must be an honest fault */
    }
}

void test_main(void)
{
    if (!is_dom0) {
        check_eq(hc2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables),
                 0);
    }
    a = page_alloc();
    b = page_alloc();
    l1 = page_alloc();
    va_a = mfn_of(a) * PAGE | PTE_RW;
    va_b = mfn_of(b) * PAGE | PTE_RW;
    page_protect(l1, false);
    check_eq(mmuext1(MMUEXT_PIN_L1_TABLE, mfn_of(l1)), 0);
    e = &l1[17];
    test_mov();
    test_xchg();
    test_cmpxchg();
    test_locked();
    test_refused();
    test_string();
    test_effect();
    check_eq(mmuext1(MMUEXT_UNPIN_TABLE, mfn_of(l1)), 0);
    page_restore(l1);
}
