/* SPDX-License-Identifier: MIT */
/*
 * Emulated stores to page tables.  The judge of what an instruction does is this machine's
 * processor: the same bytes are executed on ordinary memory and emulated on an entry that is not
 * present, which may hold any value, and all results are compared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "abi/errno.h"
#include "arch/host/machine.h"
#include "guest/mm_x86.h"
#include "guest/x86_flags.h"
#include "irq/rights.h"
#include "tests/unit/mm_kit.h"

#define SLOT   100u
#define FRAMES 1024u

#define CF    0x001u
#define ARITH 0x8d5u /* CF PF AF ZF SF OF */
#define NO_AF (ARITH & ~0x10u)

static struct kit_guest g;
static uint8_t *code;

/* Where the guest sees its level-1 table. */
static const uint64_t table_va = KIT_VA + KIT_DATA * PAGE_SIZE;

struct state {
    uint64_t rax, rcx, rdi, flags;
};

/* Runs the instruction at `code` for real; rdi points to *mem + offset. */
static void execute(struct state *s)
{
    uint64_t rax = s->rax, rcx = s->rcx, rdi = s->rdi, flags = s->flags;

    __asm__ volatile("lea -256(%%rsp), %%rsp\n\t"
                     "push %[flags]\n\tpopf\n\tcall *%[code]\n\tpushf\n\tpop %[flags]\n\t"
                     "cld\n\tlea 256(%%rsp), %%rsp"
                     : "+a"(rax), "+c"(rcx), "+D"(rdi), [flags] "+r"(flags)
                     : [code] "r"(code)
                     : "memory", "cc");
    *s = (struct state){ rax, rcx, rdi, flags };
}

struct form {
    const char *text;
    uint8_t n;
    uint8_t bytes[10];
    uint32_t flags; /* that are defined afterwards */
    uint8_t size;
};

static const struct form forms[] = {
    { "mov %rcx,(%rdi)", 3, { 0x48, 0x89, 0x0f }, ARITH, 8 },
    { "mov %ecx,(%rdi)", 2, { 0x89, 0x0f }, ARITH, 4 },
    { "mov %cx,(%rdi)", 3, { 0x66, 0x89, 0x0f }, ARITH, 2 },
    { "mov %cl,(%rdi)", 2, { 0x88, 0x0f }, ARITH, 1 },
    { "mov %ah,(%rdi)", 2, { 0x88, 0x27 }, ARITH, 1 },
    { "movq $-5,(%rdi)", 7, { 0x48, 0xc7, 0x07, 0xfb, 0xff, 0xff, 0xff }, ARITH, 8 },
    { "movl $7,(%rdi)", 6, { 0xc7, 0x07, 7, 0, 0, 0 }, ARITH, 4 },
    { "movb $0x81,(%rdi)", 3, { 0xc6, 0x07, 0x81 }, ARITH, 1 },
    { "movnti %rcx,(%rdi)", 4, { 0x48, 0x0f, 0xc3, 0x0f }, ARITH, 8 },
    { "xchg %rcx,(%rdi)", 3, { 0x48, 0x87, 0x0f }, ARITH, 8 },
    { "xchg %ecx,(%rdi)", 2, { 0x87, 0x0f }, ARITH, 4 },
    { "xchg %cl,(%rdi)", 2, { 0x86, 0x0f }, ARITH, 1 },
    { "xchg %ah,(%rdi)", 2, { 0x86, 0x27 }, ARITH, 1 },
    { "lock cmpxchg %rcx,(%rdi)", 5, { 0xf0, 0x48, 0x0f, 0xb1, 0x0f }, ARITH, 8 },
    { "cmpxchg %ecx,(%rdi)", 3, { 0x0f, 0xb1, 0x0f }, ARITH, 4 },
    { "cmpxchg %cx,(%rdi)", 4, { 0x66, 0x0f, 0xb1, 0x0f }, ARITH, 2 },
    { "cmpxchg %cl,(%rdi)", 3, { 0x0f, 0xb0, 0x0f }, ARITH, 1 },
    { "lock add %rcx,(%rdi)", 4, { 0xf0, 0x48, 0x01, 0x0f }, ARITH, 8 },
    { "add %cl,(%rdi)", 2, { 0x00, 0x0f }, ARITH, 1 },
    { "lock sub %rcx,(%rdi)", 4, { 0xf0, 0x48, 0x29, 0x0f }, ARITH, 8 },
    { "sub %cx,(%rdi)", 3, { 0x66, 0x29, 0x0f }, ARITH, 2 },
    { "lock or %rcx,(%rdi)", 4, { 0xf0, 0x48, 0x09, 0x0f }, NO_AF, 8 },
    { "lock and %rcx,(%rdi)", 4, { 0xf0, 0x48, 0x21, 0x0f }, NO_AF, 8 },
    { "xor %ecx,(%rdi)", 2, { 0x31, 0x0f }, NO_AF, 4 },
    { "andq $-3,(%rdi)", 4, { 0x48, 0x83, 0x27, 0xfd }, NO_AF, 8 },
    { "orl $0x12345678,(%rdi)", 6, { 0x81, 0x0f, 0x78, 0x56, 0x34, 0x12 }, NO_AF, 4 },
    { "addb $0x7f,(%rdi)", 3, { 0x80, 0x07, 0x7f }, ARITH, 1 },
    { "subq $1,(%rdi)", 4, { 0x48, 0x83, 0x2f, 1 }, ARITH, 8 },
    { "lock btsq $1,(%rdi)", 6, { 0xf0, 0x48, 0x0f, 0xba, 0x2f, 1 }, CF, 8 },
    { "lock btrq $63,(%rdi)", 6, { 0xf0, 0x48, 0x0f, 0xba, 0x37, 63 }, CF, 8 },
    { "btcl $5,(%rdi)", 4, { 0x0f, 0xba, 0x3f, 5 }, CF, 4 },
    { "btsw $31,(%rdi)", 5, { 0x66, 0x0f, 0xba, 0x2f, 31 }, CF, 2 },
    { "stos %rax", 2, { 0x48, 0xab }, ARITH, 8 },
    { "stos %eax", 1, { 0xab }, ARITH, 4 },
    { "stos %al", 1, { 0xaa }, ARITH, 1 },
};

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* One comparison. `old` and what is written may be anything: the entry is made not present by bit 0
 * of neither. */
static void compare(const struct form *f, uint64_t old, uint64_t rax, uint64_t rcx,
                    unsigned int off)
{
    static uint64_t mem[2] __attribute__((aligned(64)));
    struct state real = { rax, rcx, (uintptr_t)mem + off, 0x202 | (rcx & ARITH) };
    struct regs r = { .rax = rax,
                      .rcx = rcx,
                      .rdi = table_va + SLOT * 8 + off,
                      .rflags = real.flags,
                      .rip = (uintptr_t)code };

    memset(code, 0xc3, 16);
    memcpy(code, f->bytes, f->n);
    mem[0] = old;
    execute(&real);
    kit_poke(g.l1, SLOT, old);
    bool done = pt_write_emulate(g.v, &r, table_va + SLOT * 8 + off);
    if ((mem[0] & 1) != 0) {
        kit_poke(g.l1, SLOT, 0); /* present: whether that is allowed is not the question here */
        return;
    }
    if (!done || kit_entry(g.l1, SLOT) != mem[0] || r.rax != real.rax || r.rcx != real.rcx ||
        r.rdi - (table_va + SLOT * 8) != real.rdi - (uintptr_t)mem ||
        ((r.rflags ^ real.flags) & f->flags) != 0 || r.rip != (uintptr_t)code + f->n) {
        print_error(
            "%s, old %#lx rax %#lx rcx %#lx: done %d; memory %#lx, is %#lx; rax %#lx, is %#lx; "
            "rcx %#lx, is %#lx; flags %#lx, are %#lx\n",
            f->text, (unsigned long)old, (unsigned long)rax, (unsigned long)rcx, done,
            (unsigned long)mem[0], (unsigned long)kit_entry(g.l1, SLOT), (unsigned long)real.rax,
            (unsigned long)r.rax, (unsigned long)real.rcx, (unsigned long)r.rcx,
            (unsigned long)real.flags & ARITH, (unsigned long)r.rflags & ARITH);
        fail();
    }
    assert_int_equal((r.rflags ^ real.flags) & ~(uint64_t)ARITH & 0x600, 0);
}

static void test_against_processor(void **state)
{
    uint64_t x = 88172645463325252u;

    (void)state;
    for (unsigned int k = 0; k < sizeof forms / sizeof forms[0]; k++) {
        const struct form *f = &forms[k];
        for (unsigned int i = 0; i < 400; i++) {
            uint64_t old = next(&x) & ~UINT64_C(1);
            uint64_t rax = i % 3 == 0 ? old : next(&x);
            uint64_t rcx = next(&x);
            /* edges: all ones, zero, sign bits */
            if (i % 16 == 1) {
                rcx = UINT64_C(0x8000000080008080);
            } else if (i % 16 == 2) {
                old = 0;
                rax = 0;
            }
            unsigned int off = f->size == 8 ? 0 : (unsigned int)(next(&x) & (8u - f->size));
            if (off != 0) {
                rax = i % 3 == 0 ? old >> (off * 8) : rax;
            }
            compare(f, old, rax, rcx, off);
        }
    }
    kit_poke(g.l1, SLOT, 0);
    kit_audit();
}

static bool store(uint64_t va, uint64_t val)
{
    static const uint8_t mov[16] = { 0x48, 0x89, 0x0f };
    struct regs r = { .rcx = val, .rdi = va, .rip = (uintptr_t)mov };
    uint64_t rip = r.rip;
    bool done = pt_write_emulate(g.v, &r, va);

    assert_int_equal(r.rip, done ? rip + 3 : rip);
    assert_int_equal(r.rcx, val);
    return done;
}

/* What mmu_update would refuse stays a fault. */
static void test_refused(void **state)
{
    struct frame *f = kit_frame(&g);
    uint64_t at = table_va + SLOT * 8;

    (void)state;
    assert_true(store(at, kit_pte(f, K_RW)));
    assert_int_equal(kit_entry(g.l1, SLOT), kit_pte(f, K_RW | PTE_US | PTE_GUEST_KERNEL));
    assert_int_equal(kit_type_refs(f), 1);
    kit_audit();
    assert_false(store(at, kit_pte(g.l1, K_RW)));
    assert_false(store(at, kit_pte(f, K_RW | PTE_PCD)));
    assert_false(store(at, pte_make(MFN(frame_limit), K_RW)));
    assert_int_equal(kit_refs(f), 2);
    assert_true(store(at, kit_pte(f, K_RO)));
    assert_int_equal(kit_type_refs(f), 0);
    assert_true(store(at, 0));
    assert_int_equal(kit_refs(f), 1);
    assert_false(store(at + 4, 0));                    /* across two entries */
    assert_false(store(table_va + PAGE_SIZE, 0));      /* a level-2 table */
    assert_false(store(KIT_VA, 0));                    /* ordinary, writable memory */
    assert_false(store(KIT_VA + SLOT * PAGE_SIZE, 0)); /* nothing there */
    assert_false(store(HV_VIRT_START, 0));
    assert_false(store(UINT64_C(1) << 47, 0));
    kit_audit();
    /* the address of the fault and that of the operand must agree */
    static const uint8_t mov[16] = { 0x48, 0x89, 0x0f };
    struct regs r = { .rdi = at, .rip = (uintptr_t)mov };
    assert_false(pt_write_emulate(g.v, &r, at + PAGE_SIZE));
    r.rdi = at + PAGE_SIZE;
    assert_false(pt_write_emulate(g.v, &r, at));
    r.rip = HV_VIRT_START;
    assert_false(pt_write_emulate(g.v, &r, at));
}

/* A store takes the mark of an access from pages of its own domain only. */
static void test_mark(void **state)
{
    struct frame *own = kit_frame(&g);
    uint64_t at = table_va + SLOT * 8;
    struct kit_guest other;
    pte_t old = 0;

    (void)state;
    assert_true(store(at, kit_pte(own, K_RW)));
    assert_true(store(at, kit_pte(own, K_RW & ~PTE_A)));
    assert_int_equal(kit_entry(g.l1, SLOT) & PTE_A, 0);
    assert_true(store(at, 0));
    kit_guest(&other, false, 1);
    host_load(g.v);
    assert_int_equal(frame_get(other.data[0], other.d), 0);
    assert_int_equal(
        pt_set_l1_by_va(g.v, KIT_VA + SLOT * PAGE_SIZE, kit_pte(other.data[0], K_RO), &old), 0);
    assert_true(store(at, kit_pte(other.data[0], (K_RO & ~PTE_A) | PTE_D)));
    assert_int_equal(kit_entry(g.l1, SLOT) & (PTE_A | PTE_D), PTE_A | PTE_D);
    assert_true(store(at, 0)); /* with a flush, and the reference goes */
    kit_audit();
    kit_guest_end(&other);
    host_load(g.v);
}

static void test_string(void **state)
{
    static const uint8_t rep_stos[16] = { 0xf3, 0x48, 0xab };
    struct regs r = { .rcx = 5, .rdi = table_va + SLOT * 8, .rip = (uintptr_t)rep_stos };

    (void)state;
    for (unsigned int i = 0; i < 5; i++) {
        kit_poke(g.l1, SLOT + i, 0xabcde0);
    }
    for (unsigned int i = 5; i-- > 0;) {
        assert_true(pt_write_emulate(g.v, &r, r.rdi));
        assert_int_equal(r.rcx, i);
        assert_int_equal(r.rip, (uintptr_t)rep_stos + (i == 0 ? 3 : 0));
    }
    for (unsigned int i = 0; i < 5; i++) {
        assert_int_equal(kit_entry(g.l1, SLOT + i), 0);
    }
    r = (struct regs){
        .rcx = 1, .rdi = table_va + SLOT * 8, .rip = (uintptr_t)rep_stos, .rflags = RFLAGS_DF
    };
    assert_true(pt_write_emulate(g.v, &r, r.rdi));
    assert_int_equal(r.rdi, table_va + SLOT * 8 - 8);
}

/* A plain store to a device that may only be read is done without effect; any other faults. */
static void test_device(void **state)
{
    static const uint8_t lock_or[16] = { 0xf0, 0x48, 0x09, 0x0f };
    const uint64_t va = KIT_VA + SLOT * PAGE_SIZE;
    const uint64_t first = FRAMES - FRAMES / 8; /* where the machine has a hole */

    (void)state;
    assert_int_equal(rights_readonly_global(first, first), 0);
    assert_int_equal(kit_update_va(va, pte_make(MFN(first), K_RO), 0), -EPERM); /* no right */
    assert_int_equal(rights_allow(g.d, RIGHT_MMIO, first, first + 1), 0);
    assert_int_equal(kit_update_va(va, pte_make(MFN(first), K_RW), 0), 0);
    assert_int_equal(kit_entry(g.l1, SLOT) & PTE_RW, 0);
    assert_true(store(va + 16, 5));
    struct regs r = { .rcx = 1, .rdi = va, .rip = (uintptr_t)lock_or };
    assert_false(pt_write_emulate(g.v, &r, va));
    assert_int_equal(r.rip, (uintptr_t)lock_or);
    assert_false(store(va + PAGE_SIZE - 4, 5)); /* across its end */
    /* One that is mapped read-only because the guest wants it so. */
    assert_int_equal(kit_update_va(va, pte_make(MFN(first + 1), K_RO), 0), 0);
    assert_false(store(va, 5));
    assert_int_equal(rights_deny(g.d, RIGHT_MMIO, first, first + 1), 0);
    assert_int_equal(kit_update_va(va, 0, 0), 0);
    kit_audit();
}

static int setup(void **state)
{
    (void)state;
    code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    kit_machine(FRAMES, 1);
    kit_guest(&g, false, 1);
    return code == MAP_FAILED;
}

static int end(void **state)
{
    (void)state;
    kit_guest_end(&g);
    kit_audit();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_processor),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_mark),
        cmocka_unit_test(test_device),
        cmocka_unit_test(test_string),
    };

    return cmocka_run_group_tests(tests, setup, end);
}
