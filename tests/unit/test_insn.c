/* SPDX-License-Identifier: MIT */
/* The instruction decoder: encodings as an assembler makes them, every prefix, every truncation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "abi/errno.h"
#include "guest/insn.h"

#define MEM true
#define REG false

static const struct regs regs = {
    .rax = 0x1111111122223333,
    .rbx = 0x2000,
    .rcx = 0x30,
    .rdx = 0x44,
    .rsi = 0x5000,
    .rdi = 0x6000,
    .rbp = 0x7000,
    .rsp = 0x8000,
    .r8 = 0x9000,
    .r9 = 0x10,
    .r10 = 0xa000,
    .r11 = 0xb0b0,
    .r12 = 0xc000,
    .r13 = 0xd000,
    .r14 = 0xe000,
    .r15 = 0xf000,
    .rip = 0x400000,
};
static const struct insn_env env64 = { .code64 = true, .fs_base = 0x1000000, .gs_base = 0x2000000 };
static const struct insn_env env32 = { .code64 = false };

struct good {
    const char *text;
    uint8_t n;
    uint8_t bytes[15];
    uint8_t op_size;
    bool has_mem;
    uint64_t ea;
    uint64_t imm;
};

static const struct good good[] = {
    { "mov %rax,(%rdi)", 3, { 0x48, 0x89, 0x07 }, 8, MEM, 0x6000, 0 },
    { "mov %eax,8(%rdi)", 3, { 0x89, 0x47, 0x08 }, 4, MEM, 0x6008, 0 },
    { "mov %ax,-8(%rdi)", 4, { 0x66, 0x89, 0x47, 0xf8 }, 2, MEM, 0x5ff8, 0 },
    { "mov %al,0x12345678(%rdi)",
      6,
      { 0x88, 0x87, 0x78, 0x56, 0x34, 0x12 },
      1,
      MEM,
      0x1234b678,
      0 },
    { "mov %rax,(%rbx,%rcx,8)", 4, { 0x48, 0x89, 0x04, 0xcb }, 8, MEM, 0x2180, 0 },
    { "mov %rax,(%r12)", 4, { 0x49, 0x89, 0x04, 0x24 }, 8, MEM, 0xc000, 0 },
    { "mov %rax,0(%r13)", 4, { 0x49, 0x89, 0x45, 0x00 }, 8, MEM, 0xd000, 0 },
    { "mov %r8,(%r10,%r9,2)", 4, { 0x4f, 0x89, 0x04, 0x4a }, 8, MEM, 0xa020, 0 },
    { "mov %rax,(%rsp)", 4, { 0x48, 0x89, 0x04, 0x24 }, 8, MEM, 0x8000, 0 },
    { "mov %rax,(,%rcx,4)", 8, { 0x48, 0x89, 0x04, 0x8d, 0, 1, 0, 0 }, 8, MEM, 0x1c0, 0 },
    { "mov %rax,0x10(%rip)", 7, { 0x48, 0x89, 0x05, 0x10, 0, 0, 0 }, 8, MEM, 0x400017, 0 },
    { "movq $-1,0x10(%rip)",
      11,
      { 0x48, 0xc7, 0x05, 0x10, 0, 0, 0, 0xff, 0xff, 0xff, 0xff },
      8,
      MEM,
      0x40001b,
      ~UINT64_C(0) },
    { "movl $0x7fffffff,(%rdi)",
      6,
      { 0xc7, 0x07, 0xff, 0xff, 0xff, 0x7f },
      4,
      MEM,
      0x6000,
      0x7fffffff },
    { "movw $0x1234,(%rdi)", 5, { 0x66, 0xc7, 0x07, 0x34, 0x12 }, 2, MEM, 0x6000, 0x1234 },
    { "movb $0x80,(%rdi)", 3, { 0xc6, 0x07, 0x80 }, 1, MEM, 0x6000, 0xffffffffffffff80 },
    { "movabs %rax,0x1122334455667788",
      10,
      { 0x48, 0xa3, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11 },
      8,
      MEM,
      0x1122334455667788,
      0 },
    { "mov %rax,%fs:(%rdi)", 4, { 0x64, 0x48, 0x89, 0x07 }, 8, MEM, 0x1006000, 0 },
    { "mov %rax,%gs:8(%rdi)", 5, { 0x65, 0x48, 0x89, 0x47, 0x08 }, 8, MEM, 0x2006008, 0 },
    { "mov %rax,%ds:(%rdi)", 4, { 0x3e, 0x48, 0x89, 0x07 }, 8, MEM, 0x6000, 0 },
    { "mov %eax,(%eax)", 3, { 0x67, 0x89, 0x00 }, 4, MEM, 0x22223333, 0 },
    { "xchg %rax,(%rdi)", 3, { 0x48, 0x87, 0x07 }, 8, MEM, 0x6000, 0 },
    { "lock cmpxchg %rcx,(%rdi)", 5, { 0xf0, 0x48, 0x0f, 0xb1, 0x0f }, 8, MEM, 0x6000, 0 },
    { "lock and %rax,(%rdi)", 4, { 0xf0, 0x48, 0x21, 0x07 }, 8, MEM, 0x6000, 0 },
    { "lock andq $-3,(%rdi)", 5, { 0xf0, 0x48, 0x83, 0x27, 0xfd }, 8, MEM, 0x6000, ~UINT64_C(2) },
    { "lock btrq $1,(%rdi)", 6, { 0xf0, 0x48, 0x0f, 0xba, 0x37, 0x01 }, 8, MEM, 0x6000, 1 },
    { "lock bts %rax,(%rdi)", 5, { 0xf0, 0x48, 0x0f, 0xab, 0x07 }, 8, MEM, 0x6000, 0 },
    { "movnti %rax,(%rdi)", 4, { 0x48, 0x0f, 0xc3, 0x07 }, 8, MEM, 0x6000, 0 },
    { "rep stosq", 3, { 0xf3, 0x48, 0xab }, 8, REG, 0, 0 },
    { "cli", 1, { 0xfa }, 4, REG, 0, 0 },
    { "in $0x80,%al", 2, { 0xe4, 0x80 }, 1, REG, 0, 0x80 },
    { "out %eax,$0xff", 2, { 0xe7, 0xff }, 4, REG, 0, 0xff },
    { "in (%dx),%ax", 2, { 0x66, 0xed }, 2, REG, 0, 0 },
    { "wrmsr", 2, { 0x0f, 0x30 }, 4, REG, 0, 0 },
    { "mov %cr0,%rax", 3, { 0x0f, 0x20, 0xc0 }, 8, REG, 0, 0 },
    { "mov %r9,%dr7", 4, { 0x41, 0x0f, 0x23, 0xf9 }, 8, REG, 0, 0 },
    { "invlpg (%rdi)", 3, { 0x0f, 0x01, 0x3f }, 4, MEM, 0x6000, 0 },
    { "xsetbv", 3, { 0x0f, 0x01, 0xd1 }, 4, REG, 0, 0 },
    { "cpuid", 2, { 0x0f, 0xa2 }, 4, REG, 0, 0 },
    { "movq $0 with all prefixes",
      11,
      { 0x66, 0x2e, 0xf2, 0x48, 0xc7, 0x47, 0x01, 0, 0, 0, 0 },
      8,
      MEM,
      0x6001,
      0 },
};

static void test_good(void **state)
{
    (void)state;
    for (unsigned int k = 0; k < sizeof good / sizeof good[0]; k++) {
        const struct good *t = &good[k];
        struct insn i;
        uint8_t bytes[15];

        memset(bytes, 0xcc, sizeof bytes);
        memcpy(bytes, t->bytes, t->n);
        int rc = insn_decode(&i, bytes, sizeof bytes, &regs, &env64);
        if (rc != 0 || i.length != t->n || i.op_size != t->op_size || i.has_mem != t->has_mem ||
            (t->has_mem && i.ea != t->ea) || i.imm != t->imm) {
            print_error("%s: %d, length %u, size %u, memory %d, at %#lx, immediate %#lx\n", t->text,
                        rc, i.length, i.op_size, i.has_mem, (unsigned long)i.ea,
                        (unsigned long)i.imm);
            fail();
        }
        /* one byte less is too little, whatever was there before */
        for (size_t n = 0; n < t->n; n++) {
            assert_int_equal(insn_decode(&i, bytes, n, &regs, &env64), -EINVAL);
        }
    }
}

static void test_unknown(void **state)
{
    static const uint8_t bad[][15] = {
        { 0x90 },
        { 0xc3 },
        { 0xe8 },
        { 0xcd, 0x80 },
        { 0x0f, 0x05 },
        { 0x0f, 0x0d },
        { 0x8b, 0x07 },          /* a load */
        { 0x48, 0x66, 0x89, 7 }, /* REX must come last */
        { 0x48, 0x48, 0x89, 7 },
        { 0x0f, 0x38, 0xf0, 7 },
        { 0x62, 1, 2, 3 },
        { 0xc5, 1, 2, 3 },
    };
    uint8_t prefixes[15];
    struct insn i;

    (void)state;
    for (unsigned int k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        assert_int_equal(insn_decode(&i, bad[k], 15, &regs, &env64), -EINVAL);
    }
    memset(prefixes, 0x66, sizeof prefixes);
    assert_int_equal(insn_decode(&i, prefixes, 15, &regs, &env64), -EINVAL);
    /* sixteen bytes are too long even if they are there */
    uint8_t too_long[16] = { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                             0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x89, 0x07 };
    assert_int_equal(insn_decode(&i, too_long, 16, &regs, &env64), -EINVAL);
    assert_int_equal(insn_decode(&i, too_long + 1, 15, &regs, &env64), 0);
}

static void test_code32(void **state)
{
    static const uint8_t inc[] = { 0x40, 0, 0, 0, 0, 0 };
    static const uint8_t mov[] = { 0x89, 0x05, 0x10, 0, 0, 0x80 };
    static const uint8_t addr16[] = { 0x67, 0x89, 0x07 };
    static const uint8_t mov_cr[] = { 0x0f, 0x20, 0xc0 };
    struct insn i;

    (void)state;
    assert_int_equal(insn_decode(&i, inc, sizeof inc, &regs, &env32), -EINVAL);
    assert_int_equal(insn_decode(&i, mov, sizeof mov, &regs, &env32), 0);
    assert_int_equal(i.ea, 0x80000010); /* absolute, not relative to rip */
    assert_int_equal(i.op_size, 4);
    assert_int_equal(insn_decode(&i, addr16, sizeof addr16, &regs, &env32), -EINVAL);
    assert_int_equal(insn_decode(&i, mov_cr, sizeof mov_cr, &regs, &env32), 0);
    assert_int_equal(i.op_size, 4);
}

static void test_registers(void **state)
{
    struct insn i = { .rex = 0 };
    struct regs r = regs;

    (void)state;
    assert_int_equal(insn_reg_get(&i, &r, 0, 8), 0x1111111122223333);
    assert_int_equal(insn_reg_get(&i, &r, 0, 4), 0x22223333);
    assert_int_equal(insn_reg_get(&i, &r, 0, 2), 0x3333);
    assert_int_equal(insn_reg_get(&i, &r, 0, 1), 0x33);
    assert_int_equal(insn_reg_get(&i, &r, 4, 1), 0x33); /* ah */
    assert_int_equal(insn_reg_get(&i, &r, 4, 8), 0x8000);
    i.rex = 0x40;
    assert_int_equal(insn_reg_get(&i, &r, 4, 1), 0); /* spl */
    assert_int_equal(insn_reg_get(&i, &r, 15, 8), 0xf000);
    i.rex = 0;
    insn_reg_set(&i, &r, 4, 1, 0xab);
    assert_int_equal(r.rax, 0x111111112222ab33);
    insn_reg_set(&i, &r, 0, 1, 0xcd);
    assert_int_equal(r.rax, 0x111111112222abcd);
    insn_reg_set(&i, &r, 0, 2, 0x5678);
    assert_int_equal(r.rax, 0x1111111122225678);
    insn_reg_set(&i, &r, 0, 4, 0x9abcdef0);
    assert_int_equal(r.rax, 0x9abcdef0);
    for (unsigned int nr = 0; nr < 16; nr++) {
        struct regs z = { 0 };
        insn_reg_set(&i, &z, nr, 8, ~UINT64_C(0));
        const uint64_t *w = (const uint64_t *)(const void *)&z;
        unsigned int set = 0;
        for (unsigned int k = 0; k < sizeof z / 8; k++) {
            set += w[k] != 0;
        }
        assert_int_equal(set, 1);
        assert_true(insn_reg_get(&i, &z, nr, 8) == ~UINT64_C(0));
        assert_int_equal(z.error | z.vector | z.rip | z.cs | z.rflags | z.ss, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_code32),
        cmocka_unit_test(test_registers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
