/* SPDX-License-Identifier: MIT */
/*
 * Stores of a guest kernel to its own level-1 tables, which it sees read-only: the instruction is
 * done here, as an update of the entry.  What an update call would refuse stays a page fault of the
 * guest.  A plain store to a device that domain 0 may only read does nothing.
 *
 * Known are mov, movnti, stos (one at a time), xchg, cmpxchg, add, or, and, sub, xor, bts, btr,
 * btc, of 1 to 8 bytes within an entry.
 */
#include "guest/mm_x86.h"

#include "base/counter.h"
#include "domain/vcpu.h"
#include "guest/insn.h"
#include "guest/pt_l1.h"
#include "guest/pt_walk.h"
#include "guest/x86_flags.h"
#include "irq/rights.h"

#define FLAG_CF     UINT64_C(0x001)
#define FLAG_PF     UINT64_C(0x004)
#define FLAG_AF     UINT64_C(0x010)
#define FLAG_ZF     UINT64_C(0x040)
#define FLAG_SF     UINT64_C(0x080)
#define FLAG_OF     UINT64_C(0x800)
#define FLAGS_ARITH (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

enum store_kind {
    ST_NONE,
    ST_PLAIN, /* the value is src */
    ST_XCHG,  /* src, and the old value goes to a register */
    ST_CMPXCHG,
    ST_ALU, /* op: group-1 number */
    ST_BIT  /* op: 5 bts, 6 btr, 7 btc */
};

/* A decoded store. */
struct store {
    enum store_kind kind;
    unsigned int op;
    unsigned int size; /* bytes */
    uint64_t ea;
    uint64_t src;  /* value, or the bit's number within the operand */
    uint64_t mask; /* all ones of the operand's size */
};

/* Group-1 operations by number (the reg field, or bits 3-5 of the opcode). */
#define ALU_ADD 0u
#define ALU_OR  1u
#define ALU_AND 4u
#define ALU_SUB 5u
#define ALU_XOR 6u

#define BIT_BTS 5u
#define BIT_BTR 6u
#define BIT_BTC 7u

static bool alu_known(unsigned int op)
{
    return op == ALU_ADD || op == ALU_OR || op == ALU_AND || op == ALU_SUB || op == ALU_XOR;
}

/* A bit test whose number is in a register reaches beyond the operand: the address moves by whole
 * operands. */
static void set_bit_operand(struct store *s, const struct insn *i, const struct regs *r)
{
    unsigned int bits = s->size * 8;

    s->kind = ST_BIT;
    if (i->opcode == 0xba) {
        s->op = i->reg & 7;
        s->src = i->imm & (bits - 1);
        return;
    }
    s->op = (i->opcode >> 3) & 7;
    uint64_t nr = insn_reg_get(i, r, i->reg, s->size);
    int64_t index = s->size == 8 ? (int64_t)nr : s->size == 4 ? (int32_t)nr : (int16_t)nr;
    int64_t operand = index >> (s->size == 8 ? 6 : s->size == 4 ? 5 : 4);
    s->ea += (uint64_t)operand * s->size;
    s->src = nr & (bits - 1);
}

static void decode_two_byte(struct store *s, const struct insn *i, const struct regs *r)
{
    switch (i->opcode) {
    case 0xb0:
    case 0xb1:
        s->kind = ST_CMPXCHG;
        s->src = insn_reg_get(i, r, i->reg, s->size);
        break;
    case 0xc3:
        s->kind = i->op_size >= 4 ? ST_PLAIN : ST_NONE;
        s->src = insn_reg_get(i, r, i->reg, s->size);
        break;
    case 0xab:
    case 0xb3:
    case 0xbb:
    case 0xba:
        set_bit_operand(s, i, r);
        s->kind = s->op >= BIT_BTS ? ST_BIT : ST_NONE;
        break;
    default:
        break;
    }
}

static void decode_one_byte(struct store *s, const struct insn *i, const struct regs *r)
{
    switch (i->opcode) {
    case 0x88:
    case 0x89:
        s->kind = ST_PLAIN;
        s->src = insn_reg_get(i, r, i->reg, s->size);
        break;
    case 0xc6:
    case 0xc7:
        s->kind = i->reg == 0 ? ST_PLAIN : ST_NONE;
        s->src = i->imm;
        break;
    case 0xa2:
    case 0xa3:
        s->kind = ST_PLAIN;
        s->src = r->rax;
        break;
    case 0x86:
    case 0x87:
        s->kind = ST_XCHG;
        s->src = insn_reg_get(i, r, i->reg, s->size);
        break;
    case 0x80:
    case 0x81:
    case 0x83:
        s->op = i->reg & 7;
        s->kind = alu_known(s->op) ? ST_ALU : ST_NONE;
        s->src = i->imm;
        break;
    case 0xaa:
    case 0xab:
        s->kind = i->addr_size == 8 ? ST_PLAIN : ST_NONE;
        s->src = r->rax;
        s->ea = r->rdi;
        break;
    default:
        if (i->opcode < 0x40) {
            s->op = i->opcode >> 3;
            s->kind = alu_known(s->op) ? ST_ALU : ST_NONE;
            s->src = insn_reg_get(i, r, i->reg, s->size);
        }
        break;
    }
}

static bool decode(struct store *s, const struct insn *i, const struct regs *r)
{
    *s = (struct store){ .kind = ST_NONE, .size = i->op_size, .ea = i->ea };
    if (i->two_byte) {
        decode_two_byte(s, i, r);
    } else {
        decode_one_byte(s, i, r);
    }
    s->mask = s->size == 8 ? ~UINT64_C(0) : (UINT64_C(1) << (s->size * 8)) - 1;
    s->src &= s->mask;
    bool is_string = !i->two_byte && (i->opcode & 0xfe) == 0xaa;
    return s->kind != ST_NONE && (i->has_mem || is_string) && (s->ea & 7) + s->size <= 8;
}

/* Flags of a result as the processor sets them; carry, overflow and adjust by the operation. */
static uint64_t result_flags(const struct store *s, uint64_t result)
{
    uint64_t flags = 0;

    flags |= result == 0 ? FLAG_ZF : 0;
    flags |= (result >> (s->size * 8 - 1)) != 0 ? FLAG_SF : 0;
    flags |= __builtin_parity((unsigned int)(result & 0xff)) == 0 ? FLAG_PF : 0;
    return flags;
}

/* a - b (carry set: borrow) or a + b. */
static uint64_t sum_flags(const struct store *s, uint64_t a, uint64_t b, uint64_t result,
                          bool minus)
{
    unsigned int top = s->size * 8 - 1;
    uint64_t over = minus ? (a ^ b) & (a ^ result) : (a ^ result) & (b ^ result);
    bool carry = minus ? a < b : result < a;

    return result_flags(s, result) | (carry ? FLAG_CF : 0) |
           ((over >> top & 1) != 0 ? FLAG_OF : 0) | (((a ^ b ^ result) & 0x10) != 0 ? FLAG_AF : 0);
}

/* The new value of the operand whose value is `old`; *flags: those that the instruction leaves. */
static uint64_t compute(const struct store *s, uint64_t old, uint64_t rax, uint64_t *flags)
{
    uint64_t bit = UINT64_C(1) << (s->src & 63);
    uint64_t val = s->src;

    switch (s->kind) {
    case ST_CMPXCHG:
        *flags = sum_flags(s, rax & s->mask, old, ((rax & s->mask) - old) & s->mask, true);
        return (rax & s->mask) == old ? s->src : old;
    case ST_ALU:
        if (s->op == ALU_ADD || s->op == ALU_SUB) {
            val = (s->op == ALU_ADD ? old + s->src : old - s->src) & s->mask;
            *flags = sum_flags(s, old, s->src, val, s->op == ALU_SUB);
            return val;
        }
        val = s->op == ALU_OR ? old | s->src : s->op == ALU_AND ? old & s->src : old ^ s->src;
        *flags = result_flags(s, val);
        return val;
    case ST_BIT:
        *flags = (*flags & ~FLAG_CF) | ((old & bit) != 0 ? FLAG_CF : 0);
        val = s->op == BIT_BTS ? old | bit : s->op == BIT_BTR ? old & ~bit : old ^ bit;
        return val;
    default:
        return val;
    }
}

/* The entry is `now` still: replace it. The processor may set accessed and dirty bits at any time.
 */
static bool replace(pte_t *p, pte_t *now, pte_t e)
{
    return __atomic_compare_exchange_n(p, now, e, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* What the store did, for the registers. */
struct effect {
    uint64_t old;   /* operand before */
    uint64_t flags; /* FLAGS_ARITH after */
};

/*
 * The store as an update of the locked table's entry. 0 or as pt_l1_update(). The table is
 * unlocked.
 */
static int store_locked(struct domain *d, struct frame *table, const struct store *s,
                        const struct regs *r, struct effect *out)
{
    pte_t *p = &pt_entries(table)[(s->ea & ~PAGE_MASK) / 8];
    unsigned int shift = (unsigned int)(s->ea & 7) * 8;
    pte_t was = pt_read(p);
    bool changed_refs;
    int rc = 0;

    for (;;) {
        uint64_t flags = r->rflags & FLAGS_ARITH;
        uint64_t old = (was >> shift) & s->mask;
        uint64_t val = compute(s, old, r->rax, &flags);
        pte_t e = (was & ~(s->mask << shift)) | (val << shift);

        *out = (struct effect){ .old = old, .flags = flags };
        if ((e & PTE_P) != 0) {
            rc = pt_l1_adjust(d, &e);
        } else if (pt_absent_leaks(d, e)) {
            rc = -EINVAL;
        }
        changed_refs = ((was ^ e) & (PTE_ADDR | PTE_RW | PTE_P)) != 0;
        if ((e & PTE_P) != 0 && !changed_refs && pt_l1_hides_access(d, e)) {
            e |= was & PTE_A;
        }
        if (rc == 0 && (e & PTE_P) != 0 && changed_refs) {
            rc = pt_l1_get(d, d, &e);
        }
        if (rc != 0) {
            pt_l1_unlock(table);
            return rc;
        }
        pte_t now = was;
        if (replace(p, &now, e)) {
            break;
        }
        if ((e & PTE_P) != 0 && changed_refs) {
            pt_l1_put(d, e);
        }
        was = now;
    }
    pt_l1_unlock(table);
    if ((was & PTE_P) != 0 && changed_refs) {
        pt_l1_put(d, was);
    }
    return 0;
}

static void finish_insn(const struct insn *i, const struct store *s, struct regs *r,
                        const struct effect *done)
{
    uint64_t step = r->rflags & RFLAGS_DF ? -(uint64_t)s->size : s->size;

    switch (s->kind) {
    case ST_XCHG:
        insn_reg_set(i, r, i->reg, s->size, done->old);
        break;
    case ST_CMPXCHG:
        if ((done->flags & FLAG_ZF) == 0) {
            insn_reg_set(i, r, 0, s->size, done->old);
        }
        break;
    default:
        break;
    }
    if (s->kind >= ST_CMPXCHG) {
        r->rflags = (r->rflags & ~FLAGS_ARITH) | done->flags;
    }
    if (s->kind == ST_PLAIN && !i->two_byte && (i->opcode & 0xfe) == 0xaa) {
        r->rdi += step;
        if (i->rep != 0) {
            r->rcx--;
            /* The rest of a repeated store comes back here, element by element. */
            if (r->rcx != 0) {
                return;
            }
        }
    }
    r->rip += i->length;
}

/* The frame that va shows read-only to the kernel. */
static bool shown_at(struct vcpu *v, uint64_t va, mfn_t *mfn)
{
    struct frame *f = pt_l1_find(v->arch.root_kernel, va);

    if (f == NULL || !pt_l1_lock(f, v->d)) {
        return false;
    }
    pte_t e = pt_read(&pt_entries(f)[pt_index(va, 1)]);
    pt_l1_unlock(f);
    *mfn = pte_mfn(e);
    return (e & (PTE_P | PTE_RW)) == PTE_P;
}

static bool is_level1(const struct frame *f)
{
    return f != NULL && (frame_word(f) & (FW_TYPE_MASK | FW_VALID)) == (FW_TYPE(FT_PT1) | FW_VALID);
}

/* What has no frame: a device's page that is read-only for everybody? */
static bool is_device(struct domain *d, mfn_t mfn)
{
    bool readonly = false;

    return rights_check_mmio(d, mfn, &readonly) == 0 && readonly;
}

bool pt_write_emulate(struct vcpu *v, struct regs *r, uint64_t va)
{
    struct effect done;
    struct insn i;
    struct store s;

    if (!va_guest_ok(va)) {
        return false;
    }
    mfn_t mfn;
    if (!shown_at(v, va, &mfn)) {
        return false;
    }
    struct frame *table = frame_of(mfn);
    bool device = table == NULL && is_device(v->d, mfn);
    if ((!device && !is_level1(table)) || insn_fetch(v, r, &i) != 0 || !decode(&s, &i, r) ||
        ((s.ea ^ va) & PAGE_MASK) != 0) {
        return false;
    }
    if (device) {
        done = (struct effect){ 0 };
        if (s.kind == ST_PLAIN) {
            finish_insn(&i, &s, r, &done);
        }
        return s.kind == ST_PLAIN;
    }
    if (!pt_l1_lock(table, v->d)) {
        return false;
    }
    int rc = store_locked(v->d, table, &s, r, &done);
    if (rc == -EAGAIN) {
        /* A walk is in the way: finish it (or a part) and let the guest execute the instruction
         * again. */
        (void)pt_finish_unlocked(v->d);
        return true;
    }
    if (rc != 0) {
        return false;
    }
    finish_insn(&i, &s, r, &done);
    count(CNT_MMU_WRITE, 1);
    return true;
}
