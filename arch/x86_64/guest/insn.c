/* SPDX-License-Identifier: MIT */
/* The instruction decoder: prefixes, opcode tables, addressing forms. */

#include "guest/insn.h"

#include "port/copy.h"

#include "abi/errno.h"
#include "cpu/msr.h"
#include "domain/vcpu.h"
#include "guest/desc.h"
#include "mm/addr.h"

/* What follows an opcode; 0 = not known here. */
#define K  1u  /* known */
#define M  2u  /* modrm */
#define B  4u  /* the operand is a byte */
#define I1 8u  /* immediate of one byte, sign-extended */
#define IZ 16u /* immediate of operand size, at most four bytes */
#define O  32u /* absolute address (moffs) */
#define U  64u /* the immediate is unsigned */
#define G                                                                                   \
    128u /* operand size is fixed by the mode: 8 in 64-bit code (control registers, pushes) \
          */

#define ALU(op) [(op)] = K | M | B, [(op) + 1] = K | M

static const uint8_t map_one[256] = {
    ALU(0x00),
    ALU(0x08),
    ALU(0x20),
    ALU(0x28),
    ALU(0x30), /* add or and sub xor, to memory */
    [0x6c] = K | B,
    [0x6d] = K,
    [0x6e] = K | B,
    [0x6f] = K, /* ins outs */
    [0x80] = K | M | B | I1,
    [0x81] = K | M | IZ,
    [0x83] = K | M | I1,
    ALU(0x86), /* xchg */
    ALU(0x88), /* mov */
    [0xa2] = K | B | O,
    [0xa3] = K | O,
    [0xa4] = K | B,
    [0xa5] = K, /* movs */
    [0xaa] = K | B,
    [0xab] = K, /* stos */
    [0xc6] = K | M | B | I1,
    [0xc7] = K | M | IZ,
    [0xe4] = K | B | I1 | U,
    [0xe5] = K | I1 | U,
    [0xe6] = K | B | I1 | U,
    [0xe7] = K | I1 | U,
    [0xec] = K | B,
    [0xed] = K,
    [0xee] = K | B,
    [0xef] = K,
    [0xf4] = K, /* hlt */
    [0xfa] = K,
    [0xfb] = K,
};

static const uint8_t map_two[256] = {
    [0x00] = K | M,      [0x01] = K | M, /* groups 6 and 7 */
    [0x06] = K,          [0x08] = K,         [0x09] = K,         [0x0b] = K,     [0x20] = K | M | G,
    [0x21] = K | M | G,  [0x22] = K | M | G, [0x23] = K | M | G, [0x30] = K,     [0x31] = K,
    [0x32] = K,          [0x33] = K,         [0xa2] = K,         [0xab] = K | M, [0xb3] = K | M,
    [0xba] = K | M | I1, [0xbb] = K | M, /* bts btr group-8 btc */
    ALU(0xb0),                           /* cmpxchg */
    [0xc3] = K | M,                      /* movnti */
    [0xc7] = K | M,                      /* group 9 */
};

/* Position in struct regs, in words, of registers 0-15. */
#define AT(field) (uint8_t)(offsetof(struct regs, field) / 8)
static const uint8_t reg_at[16] = {
    AT(rax), AT(rcx), AT(rdx), AT(rbx), AT(rsp), AT(rbp), AT(rsi), AT(rdi),
    AT(r8),  AT(r9),  AT(r10), AT(r11), AT(r12), AT(r13), AT(r14), AT(r15),
};

static inline uint64_t reg_word(const struct regs *r, unsigned int nr)
{
    return ((const uint64_t *)(const void *)r)[reg_at[nr & 15]];
}

static inline bool is_high_byte(const struct insn *i, unsigned int nr, unsigned int size)
{
    return size == 1 && i->rex == 0 && nr >= 4 && nr < 8;
}

static uint64_t cut(uint64_t val, unsigned int size)
{
    return size >= 8 ? val : val & ((UINT64_C(1) << (size * 8)) - 1);
}

uint64_t insn_reg_get(const struct insn *i, const struct regs *r, unsigned int nr,
                      unsigned int size)
{
    if (is_high_byte(i, nr, size)) {
        return (reg_word(r, nr - 4) >> 8) & 0xff;
    }
    return cut(reg_word(r, nr), size);
}

void insn_reg_set(const struct insn *i, struct regs *r, unsigned int nr, unsigned int size,
                  uint64_t val)
{
    unsigned int shift = 0;

    if (is_high_byte(i, nr, size)) {
        nr -= 4;
        shift = 8;
    }
    uint64_t *word = &((uint64_t *)(void *)r)[reg_at[nr & 15]];
    if (size >= 4) {
        *word = cut(val, size);
    } else {
        uint64_t mask = cut(~UINT64_C(0), size) << shift;
        *word = (*word & ~mask) | ((val << shift) & mask);
    }
}

/* The bytes still to be read; running out is remembered, not acted on at once. */
struct cursor {
    const uint8_t *p;
    size_t left;
    bool over;
};

static inline uint8_t next_byte(struct cursor *c)
{
    if (c->left == 0) {
        c->over = true;
        return 0;
    }
    c->left--;
    return *c->p++;
}

/* A little-endian number of 1, 2, 4 or 8 bytes, sign-extended. */
static uint64_t next_number(struct cursor *c, unsigned int size)
{
    uint64_t val = 0;

    if (c->left < size) {
        c->over = true;
        return 0;
    }
    __builtin_memcpy(&val, c->p, size > 8 ? 8 : size);
    c->p += size;
    c->left -= size;
    switch (size) {
    case 1:
        return (uint64_t)(int64_t)(int8_t)val;
    case 2:
        return (uint64_t)(int64_t)(int16_t)val;
    case 4:
        return (uint64_t)(int64_t)(int32_t)val;
    default:
        return val;
    }
}

struct prefixes {
    bool op, addr;
    bool seg_given;
};

/* Reads prefixes and returns the first byte that is none. */
static uint8_t read_prefixes(struct insn *i, struct cursor *c, struct prefixes *p)
{
    for (;;) {
        uint8_t b = next_byte(c);

        if (i->code64 && (b & 0xf0) == 0x40) {
            i->rex = b;
            return next_byte(c); /* a prefix after REX is not known as an opcode: refused */
        }
        switch (b) {
        case 0x66:
            p->op = true;
            break;
        case 0x67:
            p->addr = true;
            break;
        case 0xf0:
            i->lock = true;
            break;
        case 0xf2:
        case 0xf3:
            i->rep = b;
            break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
            i->seg = (uint8_t)((b >> 3) & 3);
            p->seg_given = true;
            break;
        case 0x64:
        case 0x65:
            i->seg = (uint8_t)(b & 7);
            p->seg_given = true;
            break;
        default:
            return b;
        }
        if (c->over) {
            return 0;
        }
    }
}

/* The memory operand's offset within its segment; *rip_relative is completed once the length is
 * known. */
static uint64_t read_memory_form(struct insn *i, struct cursor *c, const struct regs *r,
                                 const struct prefixes *p, bool *rip_relative)
{
    unsigned int rm = i->modrm & 7;
    unsigned int base = rm | (i->rex & 1 ? 8u : 0u);
    unsigned int disp_size = i->mod == 1 ? 1 : i->mod == 2 ? 4 : 0;
    bool has_base = true;
    uint64_t ea = 0;

    if (rm == 4) {
        uint8_t sib = next_byte(c);
        unsigned int index = ((sib >> 3) & 7u) | (i->rex & 2 ? 8u : 0u);

        base = (sib & 7u) | (i->rex & 1 ? 8u : 0u);
        if (index != 4) {
            ea = reg_word(r, index) << (sib >> 6);
        }
        if ((sib & 7) == 5 && i->mod == 0) {
            has_base = false;
            disp_size = 4;
        }
    } else if (rm == 5 && i->mod == 0) {
        has_base = false;
        disp_size = 4;
        *rip_relative = i->code64;
    }
    if (has_base) {
        ea += reg_word(r, base);
        if ((base == 4 || base == 5) && !p->seg_given) {
            i->seg = SEG_SS;
        }
    }
    if (disp_size != 0) {
        ea += next_number(c, disp_size);
    }
    return ea;
}

static uint64_t segment_base(const struct insn *i, const struct insn_env *env)
{
    /* Other segments have base 0 in 64-bit code; 32-bit code is emulated with flat segments only.
     */
    return i->seg == SEG_FS ? env->fs_base : i->seg == SEG_GS ? env->gs_base : 0;
}

static unsigned int operand_size(const struct insn *i, unsigned int form, const struct prefixes *p)
{
    if (form & B) {
        return 1;
    }
    if (form & G) {
        return i->code64 ? 8 : 4;
    }
    if (i->rex & 8) {
        return 8;
    }
    return p->op ? 2 : 4;
}

int insn_decode(struct insn *i, const uint8_t *bytes, size_t n, const struct regs *r,
                const struct insn_env *env)
{
    struct cursor c = { bytes, n > INSN_MAX ? INSN_MAX : n, false };
    struct prefixes p = { false, false, false };
    size_t all = c.left;
    bool rip_relative = false;

    *i = (struct insn){ .code64 = env->code64, .seg = SEG_DS };
    i->opcode = read_prefixes(i, &c, &p);
    unsigned int form = map_one[i->opcode];
    if (i->opcode == 0x0f) {
        i->two_byte = true;
        i->opcode = next_byte(&c);
        form = map_two[i->opcode];
    }
    if (c.over || form == 0) {
        return -EINVAL;
    }
    i->op_size = (uint8_t)operand_size(i, form, &p);
    i->addr_size = p.addr == env->code64 ? 4 : 8;
    if (p.addr && !env->code64) {
        return -EINVAL;
    }
    if (form & M) {
        i->has_modrm = true;
        i->modrm = next_byte(&c);
        i->mod = i->modrm >> 6;
        i->reg = (uint8_t)(((i->modrm >> 3) & 7) | (i->rex & 4 ? 8 : 0));
        i->rm = (uint8_t)((i->modrm & 7) | (i->rex & 1 ? 8 : 0));
        if (i->mod != 3 && !(form & G)) {
            i->has_mem = true;
            i->ea = read_memory_form(i, &c, r, &p, &rip_relative);
        }
    } else if (form & O) {
        i->has_mem = true;
        i->ea = next_number(&c, i->addr_size);
    }
    if (form & I1) {
        i->imm = next_number(&c, 1);
    } else if (form & IZ) {
        i->imm = next_number(&c, i->op_size == 8 ? 4 : i->op_size);
    }
    if (c.over) {
        return -EINVAL;
    }
    if (form & U) {
        i->imm &= 0xff;
    }
    i->length = (uint8_t)(all - c.left);
    if (i->has_mem) {
        i->ea += rip_relative ? r->rip + i->length : 0;
        i->ea = cut(i->ea, i->addr_size);
        i->ea += segment_base(i, env);
        i->ea = env->code64 ? i->ea : cut(i->ea, 4);
    }
    return 0;
}

int insn_fetch(struct vcpu *v, const struct regs *r, struct insn *i)
{
    uint8_t bytes[16];
    size_t n = 16;
    struct insn_env env;

    if (guest_read(bytes, gptr(r->rip), 16) != 0) {
        /* Near the end of a page only the bytes up to it can be expected. */
        n = PAGE_SIZE - (r->rip & ~PAGE_MASK);
        n = n > 16 ? 16 : n;
        if (guest_read(bytes, gptr(r->rip), n) != 0) {
            return -EFAULT;
        }
    }
    env.code64 = v->arch.kernel_mode || desc_is_code64(v, (uint16_t)r->cs);
    env.fs_base = 0;
    env.gs_base = 0;
    int rc = insn_decode(i, bytes, n, r, &env);
    if (rc == 0 && i->has_mem && i->seg >= SEG_FS) {
        /* Segment bases cost an instruction of their own: read only where one is used. */
        i->ea += i->seg == SEG_FS ? cpu_get_fs_base() : cpu_get_gs_base();
    }
    return rc;
}
