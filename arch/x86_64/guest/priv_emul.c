/* SPDX-License-Identifier: MIT */
/*
 * Privileged instructions of a guest's kernel, which runs in ring 3 and so faults on them.
 *
 * The list is short on purpose (docs/abi.md): IN/OUT/INS/OUTS, CLI/STI, CLTS, LMSW, MOV CR/DR,
 * RDMSR/WRMSR, CPUID, RDTSC(P), WBINVD/INVD, XSETBV.  Anything else keeps its fault.
 */
#include "guest/trap.h"

#include "abi/arch_x86_64.h"
#include "abi/xen.h"
#include "base/counter.h"
#include "cpu/msr.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "guest/debugreg.h"
#include "guest/insn.h"
#include "guest/mm_x86.h"
#include "guest/port_io.h"
#include "guest/x86_flags.h"
#include "lib/mem.h"
#include "port/copy.h"
#include "port/time.h"

enum outcome {
    EMU_DONE,  /* advance over the instruction */
    EMU_RETRY, /* leave rip: the instruction is executed again */
    EMU_FAULT  /* not emulated: the guest gets its fault */
};

/* Bits that MOV from CR4 shows whatever the guest wrote: they are on in the processor. */
#define CR4_ALWAYS (CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT)
#define CR0_ALWAYS (CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG)

#define XCR0_X87    UINT64_C(1)
#define XCR0_SSE    UINT64_C(2)
#define XCR0_AVX    UINT64_C(4)
#define XCR0_MPX    UINT64_C(0x18)
#define XCR0_AVX512 UINT64_C(0xe0)

static enum outcome read_cr(struct vcpu *v, struct regs *r, const struct insn *i)
{
    uint64_t val;

    switch (i->reg) {
    case 0:
        val = CR0_ALWAYS | v->arch.cr0_ts;
        break;
    case 2:
        val = v->info->arch.cr2;
        break;
    case 3:
        val = xen_pfn_to_cr3(frame_mfn(v->arch.root_kernel).n);
        break;
    case 4:
        val = CR4_ALWAYS | v->arch.cr4;
        break;
    default:
        return EMU_FAULT;
    }
    insn_reg_set(i, r, i->rm, 8, val);
    return EMU_DONE;
}

static enum outcome set_cr0(struct vcpu *v, uint64_t val)
{
    if ((val ^ CR0_ALWAYS) & ~CR0_TS) {
        return EMU_FAULT;
    }
    v->arch.cr0_ts = val & CR0_TS;
    cpu_set_ts((val & CR0_TS) != 0);
    return EMU_DONE;
}

static enum outcome set_cr4(struct vcpu *v, uint64_t val)
{
    v->arch.cr4 = guest_cr4(v, val);
    cpu_load_cr4(v);
    return EMU_DONE;
}

static enum outcome write_cr(struct vcpu *v, struct regs *r, const struct insn *i)
{
    uint64_t val = insn_reg_get(i, r, i->rm, 8);

    switch (i->reg) {
    case 0:
        return set_cr0(v, val);
    case 2:
        v->info->arch.cr2 = val;
        return EMU_DONE;
    case 3: {
        int64_t rc = mm_set_root(v, MFN(xen_cr3_to_pfn(val)), false);
        return rc == HC_AGAIN ? EMU_RETRY : rc == 0 ? EMU_DONE : EMU_FAULT;
    }
    case 4:
        return set_cr4(v, val);
    default:
        return EMU_FAULT;
    }
}

static enum outcome move_dr(struct vcpu *v, struct regs *r, const struct insn *i, bool write)
{
    unsigned int nr = i->reg;

    if (nr > 7 || nr == 4 || nr == 5) {
        return EMU_FAULT;
    }
    if (!write) {
        insn_reg_set(i, r, i->rm, 8, v->arch.dr[nr & 7]);
        return EMU_DONE;
    }
    return debugreg_set(v, nr, insn_reg_get(i, r, i->rm, 8)) == 0 ? EMU_DONE : EMU_FAULT;
}

static enum outcome do_cpuid(struct vcpu *v, struct regs *r)
{
    struct cpuid_leaf l;

    guest_cpuid(v, (uint32_t)r->rax, (uint32_t)r->rcx, &l);
    r->rax = l.a;
    r->rbx = l.b;
    r->rcx = l.c;
    r->rdx = l.d;
    return EMU_DONE;
}

static enum outcome do_rdmsr(struct vcpu *v, struct regs *r)
{
    uint64_t val;

    if (!guest_rdmsr(v, (uint32_t)r->rcx, &val)) {
        return EMU_FAULT;
    }
    r->rax = (uint32_t)val;
    r->rdx = val >> 32;
    return EMU_DONE;
}

static enum outcome do_wrmsr(struct vcpu *v, const struct regs *r)
{
    uint64_t val = (uint64_t)(uint32_t)r->rdx << 32 | (uint32_t)r->rax;

    return guest_wrmsr(v, (uint32_t)r->rcx, val) ? EMU_DONE : EMU_FAULT;
}

/* SDM vol. 1 section 13.3: x87 always; AVX needs SSE; AVX-512's three go together and need AVX. */
static bool xcr0_valid(uint64_t val)
{
    if ((val & ~cpu_xstate_features()) != 0 || !(val & XCR0_X87)) {
        return false;
    }
    if ((val & XCR0_AVX) && !(val & XCR0_SSE)) {
        return false;
    }
    if ((val & XCR0_MPX) != 0 && (val & XCR0_MPX) != XCR0_MPX) {
        return false;
    }
    return (val & XCR0_AVX512) == 0 ||
           ((val & XCR0_AVX512) == XCR0_AVX512 && (val & XCR0_AVX) != 0);
}

static enum outcome do_xsetbv(struct vcpu *v, const struct regs *r)
{
    uint64_t val = (uint64_t)(uint32_t)r->rdx << 32 | (uint32_t)r->rax;

    if ((uint32_t)r->rcx != 0 || !xcr0_valid(val) || !cpu_set_xcr0(val)) {
        return EMU_FAULT;
    }
    v->arch.xcr0 = val;
    v->arch.xcr0_accum |= val;
    return EMU_DONE;
}

static enum outcome do_rdtsc(struct vcpu *v, struct regs *r, bool with_aux)
{
    uint64_t t = v->d->arch.vtsc ? port_time_now() : port_ticks();

    if (!v->arch.kernel_mode && (v->arch.cr4 & CR4_TSD) != 0) {
        return EMU_FAULT;
    }
    r->rax = (uint32_t)t;
    r->rdx = t >> 32;
    if (with_aux) {
        r->rcx = (uint32_t)v->arch.msr_tsc_aux;
    }
    return EMU_DONE;
}

/* 0f 01: LMSW (/6), XSETBV (d1), RDTSCP (f9). INVLPG keeps its fault, as HLT does: the ABI has
 * calls for both. */
static enum outcome group_0f01(struct vcpu *v, struct regs *r, const struct insn *i)
{
    if (i->modrm == 0xf9) {
        return do_rdtsc(v, r, true);
    }
    if (!v->arch.kernel_mode) {
        return EMU_FAULT;
    }
    if (i->modrm == 0xd1) {
        return do_xsetbv(v, r);
    }
    if ((i->reg & 7) == 6 && !i->has_mem) {
        /* LMSW changes PE, MP, EM, TS; only TS may differ from what is. */
        uint64_t low = insn_reg_get(i, r, i->rm, 2) & 0xf;
        return set_cr0(v, (CR0_ALWAYS & ~UINT64_C(0xf)) | low);
    }
    return EMU_FAULT;
}

static enum outcome two_byte(struct vcpu *v, struct regs *r, const struct insn *i)
{
    switch (i->opcode) {
    case 0x01:
        return group_0f01(v, r, i);
    case 0x31:
        return do_rdtsc(v, r, false);
    case 0xa2:
        return do_cpuid(v, r);
    default:
        break;
    }
    if (!v->arch.kernel_mode) {
        return EMU_FAULT;
    }
    switch (i->opcode) {
    case 0x06: /* CLTS */
        v->arch.cr0_ts = 0;
        cpu_set_ts(false);
        return EMU_DONE;
    case 0x08: /* INVD is never let through: it would lose others' data */
    case 0x09: /* WBINVD */
        if (v->d->is_hw) {
            cpu_wbinvd();
        }
        return EMU_DONE;
    case 0x20:
        return read_cr(v, r, i);
    case 0x21:
        return move_dr(v, r, i, false);
    case 0x22:
        return write_cr(v, r, i);
    case 0x23:
        return move_dr(v, r, i, true);
    case 0x30:
        return do_wrmsr(v, r);
    case 0x32:
        return do_rdmsr(v, r);
    default:
        return EMU_FAULT;
    }
}

/* IN, OUT: opcodes e4-e7 (immediate port) and ec-ef (port in dx); bit 1 set = out. */
static enum outcome port_insn(struct vcpu *v, struct regs *r, const struct insn *i)
{
    unsigned int size = (i->opcode & 1) == 0 ? 1 : i->op_size == 2 ? 2 : 4;
    uint16_t port = (uint16_t)((i->opcode & 8) ? r->rdx : i->imm);

    if (!port_io_allowed(v, port, size)) {
        return EMU_FAULT;
    }
    if (i->opcode & 2) {
        port_io_write(v, port, size, (uint32_t)r->rax);
    } else {
        insn_reg_set(i, r, 0, size, port_io_read(v, port, size));
    }
    return EMU_DONE;
}

/* One element of INS (6c, 6d) or OUTS (6e, 6f). A fault on the memory side is the guest's own. */
static enum outcome string_port(struct vcpu *v, struct regs *r, const struct insn *i)
{
    unsigned int size = (i->opcode & 1) == 0 ? 1 : i->op_size == 2 ? 2 : 4;
    uint16_t port = (uint16_t)r->rdx;
    bool out = (i->opcode & 2) != 0;
    uint64_t *ptr = out ? &r->rsi : &r->rdi;
    uint32_t val = 0;

    if (i->rep != 0 && r->rcx == 0) {
        return EMU_DONE;
    }
    if (i->addr_size != 8 || !port_io_allowed(v, port, size)) {
        return EMU_FAULT;
    }
    if (out) {
        if (guest_read(&val, gptr(*ptr), size) != 0) {
            return EMU_FAULT;
        }
        port_io_write(v, port, size, val);
    } else {
        /* Prove that the target can be written before the device gives its data away. */
        if (guest_read(&val, gptr(*ptr), size) != 0 || guest_write(gptr(*ptr), &val, size) != 0) {
            return EMU_FAULT;
        }
        val = port_io_read(v, port, size);
        if (guest_write(gptr(*ptr), &val, size) != 0) {
            return EMU_FAULT;
        }
    }
    *ptr = (r->rflags & RFLAGS_DF) ? *ptr - size : *ptr + size;
    if (i->rep != 0 && --r->rcx != 0) {
        return EMU_RETRY;
    }
    return EMU_DONE;
}

static enum outcome one_byte(struct vcpu *v, struct regs *r, const struct insn *i)
{
    switch (i->opcode) {
    case 0x6c:
    case 0x6d:
    case 0x6e:
    case 0x6f:
        return string_port(v, r, i);
    case 0xe4:
    case 0xe5:
    case 0xe6:
    case 0xe7:
    case 0xec:
    case 0xed:
    case 0xee:
    case 0xef:
        return port_insn(v, r, i);
    case 0xfa: /* CLI, STI: the real flag stays on; a guest masks events in its vcpu_info */
    case 0xfb:
        return port_io_iopl_ok(v) ? EMU_DONE : EMU_FAULT;
    default:
        return EMU_FAULT;
    }
}

bool priv_emulate(struct vcpu *v, struct regs *r)
{
    struct insn i;

    if (insn_fetch(v, r, &i) != 0 || i.lock) {
        return false;
    }
    enum outcome o = i.two_byte ? two_byte(v, r, &i) : one_byte(v, r, &i);
    if (o == EMU_FAULT) {
        return false;
    }
    if (o == EMU_DONE) {
        r->rip += i.length;
    }
    count(CNT_INSN, 1);
    return true;
}

bool priv_emulate_ud(struct vcpu *v, struct regs *r)
{
    /* ud2; .ascii "xen"; cpuid: how a PV kernel asks the hypervisor rather than the processor. */
    static const uint8_t prefix[] = { 0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2 };
    uint8_t bytes[sizeof prefix];

    if (guest_read(bytes, gptr(r->rip), sizeof bytes) != 0 ||
        memcmp(bytes, prefix, sizeof prefix) != 0) {
        return false;
    }
    (void)do_cpuid(v, r);
    r->rip += sizeof prefix;
    return true;
}
