/* SPDX-License-Identifier: MIT */
/*
 * The one instruction decoder: bytes fetched once, decoded once, only the instructions that are
 * ever emulated.
 *
 * Facts: SDM vol. 2A chapter 2 (formats), vol. 2D appendix A (opcode maps).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/regs.h"

struct vcpu;

#define INSN_MAX 15u

enum insn_seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

struct insn {
    uint8_t length; /* bytes, prefixes included */
    bool two_byte;  /* opcode follows 0f */
    uint8_t opcode;
    bool has_modrm;
    bool has_mem; /* an operand in memory at `ea` */
    bool lock;
    bool code64;
    uint8_t rep; /* 0, 0xf2 or 0xf3 */
    uint8_t modrm;
    uint8_t mod;
    uint8_t reg;       /* 0-15: REX.R included */
    uint8_t rm;        /* 0-15: register operand if !has_mem */
    uint8_t rex;       /* 0 = none */
    uint8_t op_size;   /* of the operand: 1, 2, 4 or 8 bytes */
    uint8_t addr_size; /* 4 or 8 (2 is refused) */
    uint8_t seg;       /* enum insn_seg: override or default */
    uint64_t imm;      /* sign-extended to 64 bits; unsigned for I/O port numbers (e4-e7) */
    uint64_t ea;       /* linear address, segment base added (in/outs, stos, movs: not set) */
};

/*
 * Fetch at r->rip and decode, for the vcpu loaded on this cpu.  0, -EFAULT (bytes cannot be read),
 * -EINVAL (not one of the instructions known here).  No lock may be held.
 */
int insn_fetch(struct vcpu *v, const struct regs *r, struct insn *i)
    __attribute__((warn_unused_result));

/* What insn_decode() needs besides the bytes. */
struct insn_env {
    bool code64;
    uint64_t fs_base;
    uint64_t gs_base;
};
/* The pure part: n bytes. -EINVAL also if n bytes are too few. */
int insn_decode(struct insn *i, const uint8_t *bytes, size_t n, const struct regs *r,
                const struct insn_env *env) __attribute__((warn_unused_result));

/* A general register by number 0-15 (8-bit forms: ah..bh where the encoding says so;
 * zero-extended). */
uint64_t insn_reg_get(const struct insn *i, const struct regs *r, unsigned int nr,
                      unsigned int size);
/* Writes as the processor does: 4 bytes clear the upper half, 1 and 2 keep the rest. */
void insn_reg_set(const struct insn *i, struct regs *r, unsigned int nr, unsigned int size,
                  uint64_t val);
