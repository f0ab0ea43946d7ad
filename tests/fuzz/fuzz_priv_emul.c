/* SPDX-License-Identifier: MIT */
/*
 * Any instruction at which a guest's kernel or user mode faults, with any registers: emulated or
 * bounced, in bounds, and never with more rights than before.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/arch_x86_64.h"
#include "arch/host/machine.h"
#include "cpu/msr.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/pte.h"
#include "guest/trap.h"
#include "guest/x86_flags.h"
#include "irq/rights.h"
#include "tests/fuzz/drive.h"
#include "tests/fuzz/world.h"

#define HANDLER UINT64_C(0xffffffff81000000)

/* Where the guest's instruction and stack lie. */
#define CODE_VA  KIT_VA
#define STACK_VA (KIT_VA + PAGE_SIZE)

static _Alignas(8) uint8_t code[64];
static bool touched; /* a port, a configuration register or an MSR of the machine */

static void hook_out(uint16_t port, unsigned int size, uint32_t val)
{
    (void)port;
    (void)size;
    (void)val;
    touched = true;
}

static uint32_t hook_in(uint16_t port, unsigned int size)
{
    (void)port;
    (void)size;
    touched = true;
    return 0;
}

static bool hook_wrmsr(uint32_t msr, uint64_t val)
{
    (void)val;
    touched = touched || msr != 0xc0000103;
    return true;
}

static void check(const struct vcpu *v, const struct regs *r, const struct regs *before)
{
    const struct arch_vcpu *a = &v->arch;

    if ((r->cs & 3) != 3 || (r->ss & 3) != 3 || touched || !va_canonical(cpu_get_fs_base()) ||
        !va_canonical(cpu_get_gs_base()) || !va_canonical(cpu_get_gs_base_other()) ||
        (a->cr4 & ~(uint64_t)(CR4_TSD | CR4_DE | CR4_FSGSBASE | CR4_OSXSAVE)) != 0 ||
        (a->xcr0 & ~cpu_xstate_features()) != 0 || (r->rflags & RFLAGS_IF) == 0 ||
        (r->rflags & (RFLAGS_IOPL | RFLAGS_VM)) != 0 || a->iopl > 3) {
        abort();
    }
    for (unsigned int i = 0; i < 4; i++) {
        if (!va_guest_ok(a->dr[i])) {
            abort();
        }
    }
    bool is_bounced = r->rip >= HANDLER && r->rip < HANDLER + 256;
    if (!is_bounced && r->rip - before->rip > 15) {
        abort();
    }
}

static void step(struct world_input *in, struct vcpu *v)
{
    struct regs r;
    uint64_t *words = (uint64_t *)(void *)&r;
    uint8_t how = world_byte(in);

    memset(&r, 0, sizeof r);
    for (size_t i = 0; i < 15; i++) {
        uint8_t b = world_byte(in);
        words[i] = b < 60    ? STACK_VA + b * 8u
                   : b < 120 ? b
                   : b < 150 ? 0xc0000080u + b
                             : world_number(in);
    }
    memset(code, 0x90, sizeof code);
    for (unsigned int i = 0; i < 15; i++) {
        code[i] = world_byte(in);
    }
    v->arch.kernel_mode = true;
    bool kernel = (how & 1) != 0;
    v->arch.kernel_mode = kernel;
    v->arch.iopl = how >> 1 & 3;
    v->arch.kernel_sp = STACK_VA + 4000;
    v->arch.root_user = v->arch.root_kernel;
    world_put(CODE_VA, code, sizeof code);
    r.rip = CODE_VA;
    r.cs = kernel ? FLAT_KERNEL_CS : FLAT_USER_CS;
    r.ss = FLAT_KERNEL_SS;
    r.rsp = STACK_VA + 3200;
    r.rflags = RFLAGS_FIXED | RFLAGS_IF;
    r.vector = how & 8 ? 6 : 13;
    r.error = how & 16 ? (uint32_t)world_byte(in) << 3 | 2 : 0;
    const struct regs before = r;
    host_guest_flat(false);
    guest_trap(&r, 0);
    host_guest_flat(true);
    v->arch.root_user = NULL;
    check(v, &r, &before);
    v->arch.kernel_mode = true;
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct world_input in = { data, size };

    world_begin();
    struct domain *d = world_guest[1].d;
    struct vcpu *v = world_guest[1].v;
    for (unsigned int i = 0; i < 256; i++) {
        v->arch.traps[i] = (struct x86_trap_entry){ .eip = HANDLER + i, .cs = FLAT_KERNEL_CS };
    }
    host_hooks = (struct host_hooks){ .in = hook_in, .out = hook_out, .wrmsr = hook_wrmsr };
    touched = false;
    for (unsigned int i = 0; i < 40 && in.left != 0; i++) {
        step(&in, v);
        if (atomic_load(&d->crash_pending)) {
            break;
        }
    }
    host_hooks = (struct host_hooks){ 0 };
    world_audit();
    world_end();
    return 0;
}

size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    static const uint8_t insns[][4] = {
        { 0x0f, 0x20, 0xc0 },
        { 0x0f, 0x22, 0xd8 },
        { 0x0f, 0x22, 0xe0 },
        { 0x0f, 0x23, 0xf8 },
        { 0x0f, 0x30 },
        { 0x0f, 0x32 },
        { 0x0f, 0xa2 },
        { 0x0f, 0x01, 0xd1 },
        { 0xec },
        { 0xf3, 0x6d },
        { 0xf3, 0x6e },
        { 0xe7, 0x80 },
        { 0xfa },
        { 0x0f, 0x06 },
        { 0x0f, 0x01, 0xf0 },
        { 0xcd, 0x80 },
    };

    if (index >= 64 || size < 31) {
        return 0;
    }
    memset(data, 0, 31);
    data[0] = (uint8_t)(7 - (index >> 4));
    memcpy(data + 16, insns[index & 15], 4);
    return 31;
}
