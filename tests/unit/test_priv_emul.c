/* SPDX-License-Identifier: MIT */
/* Privileged instructions of a guest's kernel: each with good and bad operands. */
#include "tests/unit/core_kit.h"

#include <string.h>

#include "abi/arch_x86_64.h"
#include "arch/host/machine.h"
#include "cpu/msr.h"
#include "guest/cpuid.h"
#include "guest/trap.h"
#include "guest/x86_flags.h"
#include "mm/heap.h"
#include "port/mmu.h"

#define CR0_NOW UINT64_C(0x80050033) /* PE MP ET NE WP AM PG */

static struct domain *d;
static struct vcpu *v;
static struct regs r;
static uint8_t code[32];
static uint8_t bitmap[8192];

static int begin(void **state)
{
    (void)state;
    d = kit_domain(1, 1);
    v = d->vcpu[0];
    kit_as(v);
    v->arch.kernel_mode = true;
    v->arch.iopl = 1;
    r = (struct regs){ .cs = FLAT_KERNEL_CS, .ss = FLAT_KERNEL_SS };
    memset(bitmap, 0xff, sizeof bitmap);
    return 0;
}

static int end(void **state)
{
    host_hooks = (struct host_hooks){ 0 };
    kit_as(NULL);
    return kit_teardown(state);
}

/* 0: kept its fault and changed nothing, 1: done, 2: to be executed again. */
static int run(const char *bytes, size_t n)
{
    struct regs before;

    memset(code, 0x90, sizeof code);
    memcpy(code, bytes, n);
    r.rip = (uintptr_t)code;
    before = r;
    if (!priv_emulate(v, &r)) {
        assert_memory_equal(&before, &r, sizeof r);
        return 0;
    }
    if (r.rip == before.rip) {
        return 2;
    }
    assert_int_equal(r.rip, before.rip + n);
    return 1;
}
#define RUN(text) run(text, sizeof(text) - 1)

static void test_cr(void **state)
{
    (void)state;
    assert_int_equal(RUN("\x0f\x20\xc0"), 1); /* mov rax, cr0 */
    assert_int_equal(r.rax, CR0_NOW);
    r.rax |= CR0_TS;
    assert_int_equal(RUN("\x0f\x22\xc0"), 1);
    assert_int_equal(v->arch.cr0_ts, CR0_TS);
    assert_int_equal(RUN("\x41\x0f\x20\xc7"), 1); /* mov r15, cr0 */
    assert_int_equal(r.r15, CR0_NOW | CR0_TS);
    assert_int_equal(RUN("\x0f\x06"), 1); /* clts */
    assert_int_equal(v->arch.cr0_ts, 0);
    for (unsigned int bit = 0; bit < 64; bit++) {
        r.rax = CR0_NOW ^ UINT64_C(1) << bit;
        assert_int_equal(RUN("\x0f\x22\xc0"), bit == 3);
    }
    r.rax = 0x123456789;
    assert_int_equal(RUN("\x0f\x22\xd0"), 1); /* cr2 */
    r.rax = 0;
    assert_int_equal(RUN("\x0f\x20\xd0"), 1);
    assert_int_equal(r.rax, 0x123456789);
    r.rax = ~UINT64_C(0);
    assert_int_equal(RUN("\x0f\x22\xe0"), 1); /* cr4: what concerns the guest */
    assert_int_equal(v->arch.cr4, CR4_TSD | CR4_DE | CR4_OSXSAVE);
    static struct x86_cpuid_policy policy = { .count = 1, .leaf[0] = { .leaf = 7, .b = 1 } };
    d->arch.policy = &policy; /* FSGSBASE is there */
    assert_int_equal(RUN("\x0f\x22\xe0"), 1);
    d->arch.policy = NULL;
    assert_int_equal(v->arch.cr4, CR4_TSD | CR4_DE | CR4_FSGSBASE | CR4_OSXSAVE);
    assert_int_equal(host_record.cr4, v->arch.cr4); /* at once */
    r.rax = 0;
    assert_int_equal(RUN("\x0f\x22\xe0"), 1);
    assert_int_equal(host_record.cr4, 0);
    assert_int_equal(RUN("\x0f\x20\xe0"), 1);
    assert_int_equal(r.rax, CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT);
    assert_int_equal(RUN("\x0f\x20\xc8"), 0);     /* cr1 */
    assert_int_equal(RUN("\x0f\x22\xc8"), 0);     /* cr1 */
    assert_int_equal(RUN("\x44\x0f\x20\xc0"), 0); /* cr8 */
    assert_int_equal(RUN("\x44\x0f\x22\xc0"), 0);
}

static void test_lmsw(void **state)
{
    (void)state;
    r.rax = 0xb; /* PE MP TS */
    assert_int_equal(RUN("\x0f\x01\xf0"), 1);
    assert_int_equal(v->arch.cr0_ts, CR0_TS);
    r.rax = 0x3;
    assert_int_equal(RUN("\x0f\x01\xf0"), 1);
    assert_int_equal(v->arch.cr0_ts, 0);
    r.rax = 0x7; /* EM */
    assert_int_equal(RUN("\x0f\x01\xf0"), 0);
    r.rax = 0x1; /* without MP */
    assert_int_equal(RUN("\x0f\x01\xf0"), 0);
}

static void test_dr(void **state)
{
    (void)state;
    r.rax = 0x400000;
    assert_int_equal(RUN("\x0f\x23\xc0"), 1); /* dr0 */
    assert_int_equal(v->arch.dr[0], 0x400000);
    r.rax = 0;
    assert_int_equal(RUN("\x0f\x21\xc0"), 1);
    assert_int_equal(r.rax, 0x400000);
    r.rax = KIT_BAD_VA; /* an address of the hypervisor's */
    assert_int_equal(RUN("\x0f\x23\xd8"), 0);
    r.rax = DR7_DEFAULT | 1u << 13; /* GD */
    assert_int_equal(RUN("\x0f\x23\xf8"), 0);
    r.rax = DR7_DEFAULT | 1 | 2u << 16; /* an I/O breakpoint needs CR4.DE */
    assert_int_equal(RUN("\x0f\x23\xf8"), 0);
    v->arch.cr4 = CR4_DE;
    assert_int_equal(RUN("\x0f\x23\xf8"), 1);
    assert_int_equal(v->arch.dr[7], DR7_DEFAULT | 1 | 2u << 16);
    assert_int_equal(RUN("\x0f\x21\xe0"), 0);     /* dr4 */
    assert_int_equal(RUN("\x0f\x23\xe8"), 0);     /* dr5 */
    assert_int_equal(RUN("\x44\x0f\x21\xc0"), 0); /* dr8 */
}

/* IN, OUT: by level, or by the bitmap, of which every port of the access counts. */
static void test_ports(void **state)
{
    (void)state;
    r.rdx = 0x3f8;
    r.rax = UINT64_C(0x1122334455667788);
    assert_int_equal(RUN("\xec"), 1); /* a domain without the port reads ones */
    assert_int_equal(r.rax, UINT64_C(0x11223344556677ff));
    assert_int_equal(RUN("\x66\xed"), 1);
    assert_int_equal(r.rax, UINT64_C(0x112233445566ffff));
    assert_int_equal(RUN("\xed"), 1);
    assert_int_equal(r.rax, UINT32_MAX);
    assert_int_equal(RUN("\xe4\x80"), 1);
    assert_int_equal(RUN("\xe7\x80"), 1);
    v->arch.iopl = 0;
    assert_int_equal(RUN("\xec"), 0);
    assert_int_equal(RUN("\xee"), 0);
    v->arch.iobmp_va = (uintptr_t)bitmap;
    v->arch.iobmp_ports = 65536;
    assert_int_equal(RUN("\xec"), 0);
    bitmap[0x3f8 / 8] = 0xfe;
    assert_int_equal(RUN("\xec"), 1);
    assert_int_equal(RUN("\x66\xed"), 0);
    bitmap[0x3f8 / 8] = 0xf0;
    assert_int_equal(RUN("\xed"), 1);
    r.rdx = 0x3ff; /* over the edge of a byte */
    bitmap[0x3f8 / 8] = 0x7f;
    assert_int_equal(RUN("\x66\xed"), 0);
    bitmap[0x400 / 8] = 0xfe;
    assert_int_equal(RUN("\x66\xed"), 1);
    v->arch.iobmp_ports = 0x400;
    assert_int_equal(RUN("\xec"), 1);
    assert_int_equal(RUN("\x66\xed"), 0);
    host_fault_at(17); /* behind the instruction: the bitmap */
    assert_int_equal(RUN("\xec"), 0);
}

/* The kernel counts as ring 1, or as ring 0 if it wants the architecture's way; a user as ring 3.
 */
static void test_iopl(void **state)
{
    (void)state;
    for (unsigned int iopl = 0; iopl < 4; iopl++) {
        v->arch.iopl = (uint8_t)iopl;
        v->arch.kernel_mode = true;
        v->d->vm_assist = 0;
        assert_int_equal(RUN("\xfa"), iopl >= 1);
        assert_int_equal(RUN("\xfb"), iopl >= 1);
        v->d->vm_assist = 1u << VMASST_TYPE_architectural_iopl;
        assert_int_equal(RUN("\xfa"), 1);
        v->arch.kernel_mode = false;
        assert_int_equal(RUN("\xfa"), iopl == 3);
    }
}

static void test_strings(void **state)
{
    uint8_t buf[8] = { 0 };

    (void)state;
    r.rdx = 0x3f8;
    r.rdi = (uintptr_t)buf;
    assert_int_equal(RUN("\x6d"), 1); /* insd */
    assert_memory_equal(buf, "\xff\xff\xff\xff\0\0\0\0", 8);
    assert_int_equal(r.rdi, (uintptr_t)buf + 4);
    r.rflags = RFLAGS_DF;
    assert_int_equal(RUN("\x6c"), 1);
    assert_int_equal(r.rdi, (uintptr_t)buf + 3);
    r.rflags = 0;
    r.rsi = (uintptr_t)buf;
    r.rcx = 2;
    assert_int_equal(RUN("\xf3\x6e"), 2);
    assert_int_equal(r.rcx, 1);
    assert_int_equal(RUN("\xf3\x6e"), 1);
    assert_int_equal(r.rcx, 0);
    assert_int_equal(r.rsi, (uintptr_t)buf + 2);
    assert_int_equal(RUN("\xf3\x6e"), 1);
    assert_int_equal(r.rsi, (uintptr_t)buf + 2);
    r.rdi = r.rsi = KIT_BAD_VA;
    assert_int_equal(RUN("\x6c"), 0);
    assert_int_equal(RUN("\x6e"), 0);
    r.rsi = (uintptr_t)buf;
    v->arch.iopl = 0;
    assert_int_equal(RUN("\x6e"), 0);
}

static void test_others(void **state)
{
    (void)state;
    r.rcx = 1;
    r.rax = 1;
    assert_int_equal(RUN("\x0f\x01\xd1"), 0); /* xsetbv of another register */
    r.rcx = 0;
    r.rax = 0; /* x87 is always on */
    assert_int_equal(RUN("\x0f\x01\xd1"), 0);
    host_advance(UINT64_C(1) << 33);
    assert_int_equal(RUN("\x0f\x31"), 1); /* rdtsc */
    assert_true(r.rdx >= 2);
    assert_int_equal(r.rax >> 32, 0);
    v->arch.msr_tsc_aux = 77;
    assert_int_equal(RUN("\x0f\x01\xf9"), 1);
    assert_int_equal(r.rcx, 77);
    unsigned int n = host_record.wbinvds;
    assert_int_equal(RUN("\x0f\x09"), 1); /* nothing to flush without devices */
    assert_int_equal(host_record.wbinvds, n);
    d->is_hw = true;
    assert_int_equal(RUN("\x0f\x09"), 1);
    assert_int_equal(host_record.wbinvds, n + 1);
    d->is_hw = false;
    assert_int_equal(RUN("\xf4"), 0);         /* hlt */
    assert_int_equal(RUN("\x0f\x01\x38"), 0); /* invlpg */
    assert_int_equal(RUN("\xf0\x0f\x06"), 0); /* lock clts */
    r.rip = KIT_BAD_VA;
    assert_false(priv_emulate(v, &r));
}

/* XSA-190, 296: what XCR0 may be, with the features of the host machine: x87, SSE, AVX. */
static void test_xsetbv(void **state)
{
    static const struct {
        uint64_t val;
        int done;
    } table[] = { { 1, 1 },
                  { 3, 1 },
                  { 7, 1 },
                  { 0, 0 },
                  { 2, 0 },
                  { 5, 0 },
                  { 6, 0 },
                  { 8, 0 },
                  { 0x1b, 0 },
                  { 0xe7, 0 },
                  { 0x203, 0 },
                  { UINT64_C(1) << 63 | 3, 0 },
                  { UINT64_C(1) << 62 | 3, 0 } };

    (void)state;
    for (unsigned int i = 0; i < sizeof table / sizeof table[0]; i++) {
        r.rcx = 0;
        r.rax = (uint32_t)table[i].val | UINT64_C(0xdead) << 32; /* the upper half does not count */
        r.rdx = table[i].val >> 32;
        v->arch.xcr0 = 99;
        assert_int_equal(RUN("\x0f\x01\xd1"), table[i].done);
        assert_int_equal(v->arch.xcr0, table[i].done ? table[i].val : 99);
    }
    assert_int_equal(v->arch.xcr0_accum & 7, 7);
    r.rax = 3;
    r.rdx = 0;
    r.rcx = UINT64_C(1) << 32; /* ecx is 0 */
    assert_int_equal(RUN("\x0f\x01\xd1"), 1);
    v->arch.kernel_mode = false;
    assert_int_equal(RUN("\x0f\x01\xd1"), 0);
}

static uint64_t msr_written;

static bool hook_wrmsr(uint32_t msr, uint64_t val)
{
    assert_int_equal(msr, 0xc0000103);
    msr_written = val;
    return true;
}

static void test_msr(void **state)
{
    (void)state;
    host_hooks.wrmsr = hook_wrmsr;
    r.rcx = UINT64_C(0xff00000000) | 0xc0000103; /* ecx alone names it */
    r.rax = UINT64_C(0xaaaaaaaa) << 32 | 17;
    r.rdx = UINT64_C(0xbbbbbbbb) << 32;
    assert_int_equal(RUN("\x0f\x30"), 1);
    assert_int_equal(msr_written, 17);
    r.rax = r.rdx = ~UINT64_C(0);
    assert_int_equal(RUN("\x0f\x32"), 1);
    assert_int_equal(r.rax, 17);
    assert_int_equal(r.rdx, 0);
    host_hooks.wrmsr = NULL;
    r.rcx = 0xc0000100; /* FS base, both halves */
    r.rax = 0x81000000;
    r.rdx = 0xffffffff;
    assert_int_equal(RUN("\x0f\x30"), 1);
    assert_int_equal(cpu_get_fs_base(), UINT64_C(0xffffffff81000000));
    r.rax = r.rdx = 0;
    assert_int_equal(RUN("\x0f\x32"), 1);
    assert_int_equal(r.rax, 0x81000000);
    assert_int_equal(r.rdx, 0xffffffff);
    r.rdx = 0x8000; /* not canonical */
    assert_int_equal(RUN("\x0f\x30"), 0);
    r.rcx = 0xc0000082; /* LSTAR */
    assert_int_equal(RUN("\x0f\x30"), 0);
    assert_int_equal(RUN("\x0f\x32"), 0);
    v->arch.kernel_mode = false; /* XSA-105: user mode has none of it */
    r.rcx = 0xc0000100;
    r.rdx = 0;
    assert_int_equal(RUN("\x0f\x30"), 0);
    assert_int_equal(RUN("\x0f\x32"), 0);
}

/* Of the instructions that only the guest's kernel has, none for its user mode. */
static void test_user_mode(void **state)
{
    (void)state;
    v->arch.kernel_mode = false;
    v->arch.iopl = 1;
    assert_int_equal(RUN("\x0f\x06"), 0);
    assert_int_equal(RUN("\x0f\x08"), 0);
    assert_int_equal(RUN("\x0f\x09"), 0);
    assert_int_equal(RUN("\x0f\x20\xc0"), 0);
    assert_int_equal(RUN("\x0f\x22\xc0"), 0);
    assert_int_equal(RUN("\x0f\x22\xd8"), 0);
    assert_int_equal(RUN("\x0f\x21\xc0"), 0);
    assert_int_equal(RUN("\x0f\x23\xc0"), 0);
    assert_int_equal(RUN("\x0f\x01\xf0"), 0);
    assert_int_equal(RUN("\xfa"), 0);
    assert_int_equal(RUN("\xec"), 0);
    assert_int_equal(RUN("\x0f\x31"), 1); /* with CR4.TSD on in the processor: rdtsc */
    v->arch.cr4 |= CR4_TSD;               /* its kernel's own wish */
    assert_int_equal(RUN("\x0f\x31"), 0);
    assert_int_equal(RUN("\x0f\x01\xf9"), 0);
    v->arch.kernel_mode = true;
    assert_int_equal(RUN("\x0f\x31"), 1);
    v->arch.kernel_mode = false;
    v->arch.cr4 &= ~CR4_TSD;
    assert_int_equal(RUN("\x0f\xa2"), 1); /* with cpuid faulting: cpuid */
    v->arch.iopl = 3;
    assert_int_equal(RUN("\xfa"), 1);
    assert_int_equal(RUN("\xec"), 1);
}

/* mov cr3: what is no level-4 table of the guest's is its own fault, and changes nothing. */
static void test_cr3(void **state)
{
    static const uint64_t bad[] = { 0, 0x1000, UINT64_C(0xfffffffffffff000),
                                    UINT64_C(0x7ffffffff000), UINT64_C(0xffffffffff) };
    struct frame *f = heap_alloc_domain(d, 0, HEAP_ANY, M2P_INVALID);

    (void)state;
    assert_non_null(f);
    memset(port_frame_va(frame_mfn(f)), 0, PAGE_SIZE);
    for (unsigned int i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        r.rax = bad[i];
        assert_int_equal(RUN("\x0f\x22\xd8"), 0);
        assert_null(v->arch.root_kernel);
    }
    r.rax = xen_pfn_to_cr3(frame_mfn(f).n);
    assert_int_equal(RUN("\x0f\x22\xd8"), 1);
    assert_ptr_equal(v->arch.root_kernel, f);
    r.rax = 0;
    assert_int_equal(RUN("\x0f\x20\xd8"), 1);
    assert_int_equal(r.rax, xen_pfn_to_cr3(frame_mfn(f).n));
    r.rax = 0x1000;
    assert_int_equal(RUN("\x0f\x22\xd8"), 0);
    assert_ptr_equal(v->arch.root_kernel, f);
}

static void test_forced_cpuid(void **state)
{
    (void)state;
    memcpy(code, "\x0f\x0bxen\x0f\xa2", 7);
    r.rip = (uintptr_t)code;
    r.rax = 0x40000000;
    assert_true(priv_emulate_ud(v, &r));
    assert_int_equal(r.rip, (uintptr_t)code + 7);
    assert_int_equal(r.rbx, 0x566e6558); /* XenV */
    for (unsigned int i = 0; i < 7; i++) {
        code[i] ^= 1;
        r.rip = (uintptr_t)code;
        assert_false(priv_emulate_ud(v, &r));
        assert_int_equal(r.rip, (uintptr_t)code);
        code[i] ^= 1;
    }
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_cr),   T(test_lmsw),      T(test_dr),     T(test_ports),
        T(test_iopl), T(test_strings),   T(test_others), T(test_xsetbv),
        T(test_msr),  T(test_user_mode), T(test_cr3),    T(test_forced_cpuid),
    };

    kit_start(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
